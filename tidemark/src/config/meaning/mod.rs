//! What a schema cannot see: names that must exist, names that must be unique, numbers that must fit together, and
//! what each crate checks of its own sections.
//!
//! Every part that is whole is checked, whatever else in the file is broken, so that all mistakes show at once.

mod matchers;
mod metrics;
mod notify;
mod server;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::explain::Issue;
use super::finding::{Finding, Place};
use super::tree::Node;

/// Checks a tree that was checked against the schema, whose violations are `issues`.
pub(crate) fn check(root: &Node, issues: &[Issue]) -> Vec<Finding> {
    let broken = issues.iter().map(|issue| issue.path.clone()).collect();
    let mut checker = Checker { root, broken, findings: Vec::new() };
    server::check(&mut checker);
    metrics::check(&mut checker);
    notify::check(&mut checker);
    checker.findings
}

/// A tree under check.
pub(super) struct Checker<'a> {
    root: &'a Node,
    /// Paths at which the schema was violated.
    broken: BTreeSet<Vec<String>>,
    findings: Vec<Finding>,
}

impl<'a> Checker<'a> {
    /// The value at a path as its type; `None` when it is absent, empty or broken. What serde alone refuses is reported.
    fn typed<T: DeserializeOwned>(&mut self, path: &[&str]) -> Option<T> {
        let node = self.root.at(path)?;
        if self.is_broken(path) || node.is_null() {
            return None;
        }
        match serde_json::from_value(node.to_value()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.findings.push(Finding::error(node.place, error.to_string()));
                None
            }
        }
    }

    /// Whether the schema was violated at or below a path.
    fn is_broken(&self, path: &[&str]) -> bool {
        // In order of paths, what lies below a path comes right after it.
        let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
        self.broken.range(path.clone()..).next().is_some_and(|found| found.starts_with(&path))
    }

    /// Names under a mapping.
    fn keys(&self, section: &str) -> Vec<&'a str> {
        let node = self.root.get(section);
        node.map_or_else(Vec::new, |node| node.entries().iter().map(|(key, _)| key.text.as_str()).collect())
    }

    /// The entries of a list.
    fn items(&self, section: &str) -> &'a [Node] {
        self.root.get(section).map_or(&[], Node::items)
    }

    fn place<S: AsRef<str>>(&self, path: &[S]) -> Place {
        self.root.nearest_place(path)
    }

    fn error<S: AsRef<str>>(&mut self, path: &[S], message: impl Into<String>) {
        self.findings.push(Finding::error(self.place(path), message));
    }

    fn warning<S: AsRef<str>>(&mut self, path: &[S], message: impl Into<String>) {
        self.findings.push(Finding::warning(self.place(path), message));
    }
}

/// A path and steps below it.
fn below(path: &[&str], steps: impl IntoIterator<Item = String>) -> Vec<String> {
    path.iter().map(|step| (*step).to_owned()).chain(steps).collect()
}
