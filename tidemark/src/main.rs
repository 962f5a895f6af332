//! Tidemark: the command line, the configuration, and the one place where everything is wired together.

mod api;
mod cli;
mod client;
mod commands;
mod config;
mod exit;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
