//! What is generated: documents from the binary, so that they say what it does, and Grafana's files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::diff::diff;
use crate::{cli_doc, config_doc, grafana};

/// A document: its path in the checkout and its text.
struct Document {
    path: &'static str,
    text: String,
}

/// Writes every document.
pub(crate) fn write() -> Result<String, String> {
    save(&documents()?)
}

/// Writes only Grafana's files, which need no build of the binary.
pub(crate) fn write_grafana() -> Result<String, String> {
    save(&grafana_documents()?)
}

fn save(documents: &[Document]) -> Result<String, String> {
    for document in documents {
        let path = crate::root().join(document.path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = written.and_then(|()| std::fs::write(&path, &document.text));
        written.map_err(|error| format!("cannot write {}: {error}", document.path))?;
    }
    Ok(format!("wrote {}", documents.iter().map(|d| d.path).collect::<Vec<_>>().join(", ")))
}

/// Fails, showing the difference, when a document is not what would be written.
pub(crate) fn check() -> Result<String, String> {
    let mut stale = Vec::new();
    for document in documents()? {
        let have = std::fs::read_to_string(crate::root().join(document.path)).unwrap_or_default();
        if have != document.text {
            stale.push(format!("{}\n{}", document.path, diff(&have, &document.text)));
        }
    }
    if stale.is_empty() {
        return Ok("generated documents are up to date".into());
    }
    Err(format!("not up to date, run `cargo xtask generate`:\n{}", stale.join("\n")))
}

fn documents() -> Result<Vec<Document>, String> {
    let binary = build()?;
    let schema_text = said(&binary, &["schema"])?;
    let schema =
        serde_json::from_str(&schema_text).map_err(|error| format!("schema is not JSON: {error}"))?;
    let help = |path: &[&str]| {
        let mut args = path.to_vec();
        args.push("--help");
        said(&binary, &args)
    };
    let mut documents = vec![
        Document { path: "docs/tidemark.schema.json", text: with_newline(schema_text) },
        Document { path: "docs/configuration.md", text: config_doc::render(&schema) },
        Document { path: "docs/cli.md", text: cli_doc::render(&help)? },
    ];
    documents.extend(grafana_documents()?);
    Ok(documents)
}

fn grafana_documents() -> Result<Vec<Document>, String> {
    Ok(grafana::files()?.into_iter().map(|(path, text)| Document { path, text }).collect())
}

/// Builds the binary and says where it is. With the tests of the whole workspace, so that dependencies have the features
/// they have under `cargo test --workspace` and are not built a second time.
fn build() -> Result<PathBuf, String> {
    crate::output(crate::cargo().args(["build", "--quiet", "--workspace", "--bins", "--tests"]))?;
    let metadata = crate::metadata()?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target).join("debug").join(format!("tidemark{}", std::env::consts::EXE_SUFFIX)))
}

/// What the binary prints, whatever the terminal and the settings of whoever runs this.
fn said(binary: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEMARK_") {
            command.env_remove(name);
        }
    }
    let quiet =
        command.args(args).env("COLUMNS", "100").env("NO_COLOR", "1").stdin(std::process::Stdio::null());
    crate::output(quiet)
}

fn with_newline(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
