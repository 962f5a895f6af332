//! The way of a file: bytes, tree with places, `${NAME}`, schema, paths, meaning, serde.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::expand::{self, Environment, Mask};
use super::explain::Issue;
use super::file::ConfigFile;
use super::finding::{Finding, Findings, Level, Place};
use super::tree::{Content, Node};
use super::{compose, explain, file, meaning, paths, read, schema};

/// What checking a file gave.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The configuration and its revision; `None` when there is any error.
    pub(crate) good: Option<(ConfigFile, u64)>,
    /// Everything found.
    pub(crate) findings: Findings,
}

/// Checks a file.
pub(crate) fn check_file(path: &Path, environment: Environment<'_>) -> Checked {
    match read::read(path) {
        Ok(text) => check_text(path, text, environment),
        Err(finding) => {
            let findings = Findings { file: path.to_owned(), text: String::new(), all: vec![finding] };
            Checked { good: None, findings }
        }
    }
}

/// Checks a text as if it stood in this file.
pub(crate) fn check_text(path: &Path, text: String, environment: Environment<'_>) -> Checked {
    let (root, mut all) = compose::parse(&text);
    let mut good = None;
    if let Some(mut root) = root {
        let (mask, found) = expand::expand(&mut root, &text, environment);
        let unexpanded = !found.is_empty();
        all.extend(found);
        let (found, revision) = check_tree(&mut root, path, &mask);
        all.extend(found);
        if !unexpanded && !all.iter().any(|finding| finding.level == Level::Error) {
            match finish(&root) {
                Ok(file) => good = Some((file, revision)),
                Err(finding) => all.push(Finding { message: mask.apply(&finding.message), ..finding }),
            }
        }
    }
    if good.is_none() {
        // What a mistake leads to (a source that nobody names, since its name is misspelt) is no news.
        all.retain(|finding| finding.level == Level::Error);
    }
    let findings = Findings { file: path.to_owned(), text, all }.tidy();
    Checked { good, findings }
}

/// The last step: serde, and the token out of its file.
fn finish(root: &Node) -> Result<ConfigFile, Finding> {
    let read = serde_json::from_value::<ConfigFile>(root.to_value());
    let mut file = read.map_err(|error| Finding::error(Place::START, error.to_string()))?;
    let at_token = |message| Finding::error(root.nearest_place(&["http", "token_file"]), message);
    file.http.read_token().map_err(at_token)?;
    Ok(file)
}

/// The data folder a file names, whatever else is wrong in it.
pub(crate) fn data_dir(path: &Path, environment: Environment<'_>) -> Result<PathBuf, Findings> {
    let fail = |text: String, all| Findings { file: path.to_owned(), text, all }.tidy();
    let text = read::read(path).map_err(|finding| fail(String::new(), vec![finding]))?;
    let (root, found) = compose::parse(&text);
    let Some(mut root) = root else { return Err(fail(text, found)) };
    expand::expand(&mut root, &text, environment);
    let named = root.get("data_dir").and_then(Node::text).map_or_else(file::default_data_dir, str::to_owned);
    Ok(folder(path).join(named))
}

/// What is wrong with a tree, and the revision of its content.
fn check_tree(root: &mut Node, path: &Path, mask: &Mask) -> (Vec<Finding>, u64) {
    if !matches!(root.content, Content::Map(_)) {
        let message = "expected a mapping of keys such as `version: 1`";
        return (vec![Finding::error(root.place, message)], 0);
    }
    let mut issues = explain::unset(root);
    issues.extend(schema::check(root));
    let mut hash = Sha256::new();
    hash.update(root.to_value().to_string());
    issues.extend(paths::resolve(root, &folder(path), &mut hash));
    let found = meaning::check(root, &issues);
    let all = issues.into_iter().map(|Issue { finding, .. }| finding).chain(found);
    let masked = all.map(|finding| Finding { message: mask.apply(&finding.message), ..finding });
    (masked.collect(), first_eight_bytes(hash))
}

/// The folder that relative paths start from.
pub(super) fn folder(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .unwrap_or_else(|_| folder.to_owned())
}

fn first_eight_bytes(hash: Sha256) -> u64 {
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
