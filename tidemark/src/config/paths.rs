//! Paths and secret files in the tree: relative paths become relative to the configuration file, and every `*_file`
//! must be there.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::explain::Issue;
use super::finding::Finding;
use super::read::say;
use super::tree::{Content, Node};

/// Mappings whose keys are the user's own: a key there that ends in `_file` is no file.
const FREE: [&str; 5] = ["static_labels", "headers", "params", "columns", "sources"];
/// Largest secret or certificate file that is read.
const MAX_SECRET_BYTES: u64 = 1 << 20;

/// Makes paths absolute or relative to the working folder, and feeds the content of every `*_file` into the hash.
pub(crate) fn resolve(root: &mut Node, folder: &Path, hash: &mut Sha256) -> Vec<Issue> {
    let mut issues = Vec::new();
    for path in file_paths(root) {
        let Some(node) = root.at_mut(&path).filter(|node| !node.is_unset()) else { continue };
        let place = node.place;
        let Some(found) = absolute(node, folder) else { continue };
        if !path.last().is_some_and(|key| key.ends_with("_file")) {
            continue;
        }
        match content(Path::new(&found)) {
            Ok(bytes) => hash.update(Sha256::digest(&bytes)),
            Err(message) => issues.push(Issue { path, finding: Finding::error(place, message) }),
        }
    }
    issues
}

/// Paths of the scalars that name files or folders.
fn file_paths(root: &Node) -> Vec<Vec<String>> {
    let mut found = vec![vec!["data_dir".to_owned()]];
    if let Some(sources) = root.get("sources") {
        let keys = collector::path_keys();
        for (name, _) in sources.entries() {
            let path = |(kind, key)| ["sources", &name.text, kind, key].map(str::to_owned).to_vec();
            found.extend(keys.iter().map(|(kind, key)| path((kind.as_str(), key.as_str()))));
        }
    }
    collect(root, &mut Vec::new(), &mut found);
    found
}

fn collect(node: &Node, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if matches!(&path[..], [section, _, key] if section == "metrics" && key == "query") {
        // What a query holds is the source's business: fields of documents may end in `_file`.
        return;
    }
    let free = path.last().is_some_and(|last| FREE.contains(&last.as_str()));
    let mut visit = |step: &str, child: &Node| {
        path.push(step.to_owned());
        if !free && step.ends_with("_file") && child.text().is_some() {
            found.push(path.clone());
        }
        collect(child, path, found);
        path.pop();
    };
    match &node.content {
        Content::Scalar(_) => {}
        Content::List(items) => items.iter().enumerate().for_each(|(i, item)| visit(&i.to_string(), item)),
        Content::Map(entries) => entries.iter().for_each(|(key, child)| visit(&key.text, child)),
    }
}

fn absolute(node: &mut Node, folder: &Path) -> Option<String> {
    let Content::Scalar(scalar) = &mut node.content else { return None };
    if scalar.text.is_empty() || !scalar.value.is_string() || scalar.text == ":memory:" {
        return None;
    }
    let path = folder.join(&scalar.text).to_string_lossy().into_owned();
    if path != scalar.text {
        scalar.written.get_or_insert_with(|| scalar.text.clone());
        scalar.text.clone_from(&path);
        scalar.value = Value::String(path.clone());
    }
    Some(path)
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot read `{}`: {}", path.display(), say(&error));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    match bytes.len() as u64 {
        0 => Err(format!("`{}` is empty", path.display())),
        1..=MAX_SECRET_BYTES => Ok(bytes),
        _ => Err(format!("`{}` is larger than {} MiB", path.display(), MAX_SECRET_BYTES >> 20)),
    }
}
