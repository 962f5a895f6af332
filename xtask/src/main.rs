//! Tasks of the repository that are no part of the product: generated documents, and checks the compiler does not make.
//!
//! `cargo xtask check-deps` reads `cargo metadata` and fails when a crate depends on one it must not know.
//! `cargo xtask generate [--check]` writes what is generated from the binary and Grafana's dashboards, or fails when it is not up to date.

mod cli_doc;
mod config_doc;
mod deps;
mod diff;
mod generate;
mod grafana;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask <task>
  check-deps         fail when a crate depends on one it must not know
  generate           write docs/tidemark.schema.json, docs/configuration.md, docs/cli.md and what is in grafana/
  generate grafana   write only what is in grafana/, which needs no build of the binary
  generate --check   fail, showing the difference, when one of them is not up to date";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["check-deps"] => deps::check(),
        ["generate"] => generate::write(),
        ["generate", "grafana"] => generate::write_grafana(),
        ["generate", "--check"] => generate::check(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The checkout: the folder above this crate's.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Standard output of a command that must succeed.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("cannot run {shown}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown} failed ({}):\n{}", output.status, said.trim_end()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{shown} printed what is not UTF-8"))
}

/// `cargo` as it was called.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// What `cargo metadata` says of the workspace's own crates.
fn metadata() -> Result<serde_json::Value, String> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]))?;
    serde_json::from_str(&text).map_err(|error| format!("cannot read cargo metadata: {error}"))
}
