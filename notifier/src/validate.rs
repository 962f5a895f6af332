//! What is wrong with a configuration beyond its schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::NotifierConfig;
use crate::interval::Interval;
use crate::plan::Plan;
use crate::route::below;

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
    Plan::compile(config.clone()).err().unwrap_or_default()
}

/// Mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a mistake.
    pub(crate) fn add(&mut self, path: &[String], message: &str) {
        self.0.push(Problem { path: path.to_vec(), message: message.to_owned(), ..Problem::default() });
    }

    /// Notes a name nobody knows.
    pub(crate) fn unknown(
        &mut self,
        path: &[String],
        what: &str,
        name: &str,
        valid: impl Iterator<Item = String>,
    ) {
        let valid: Vec<String> = valid.collect();
        let known = if valid.is_empty() {
            "there is none".to_owned()
        } else {
            format!("valid: {}", valid.join(", "))
        };
        self.0.push(Problem {
            path: path.to_vec(),
            message: format!("unknown {what} `{name}`, {known}"),
            unknown: Some(name.to_owned()),
            valid,
        });
    }

    /// All of them.
    pub(crate) fn into_inner(self) -> Vec<Problem> {
        self.0
    }
}

/// Checks the receivers and their channels.
pub(crate) fn check_receivers(config: &NotifierConfig, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for (index, receiver) in config.receivers.iter().enumerate() {
        let path = ["receivers".to_owned(), index.to_string()];
        if receiver.name.is_empty() {
            problems.add(&below(&path, "name"), "a receiver must have a name");
        }
        if let Some(first) = seen.insert(receiver.name.as_str(), index) {
            let message = format!("receiver `{}` stands twice: it is receivers[{first}] too", receiver.name);
            problems.add(&below(&path, "name"), &message);
        }
        if receiver.rate_limit.messages == 0 || receiver.rate_limit.per.0.is_zero() {
            problems.add(
                &below(&path, "rate_limit"),
                "rate_limit must allow at least one message in a time above zero",
            );
        }
        for (number, channel) in receiver.channels.iter().enumerate() {
            let place = below(&below(&path, "channels"), &number.to_string());
            channel.check(&place, problems);
        }
    }
}

/// Compiles the named intervals.
pub(crate) fn compile_intervals(
    config: &NotifierConfig,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<Interval>> {
    let mut intervals = BTreeMap::new();
    for (index, interval) in config.time_intervals.iter().enumerate() {
        let path = ["time_intervals".to_owned(), index.to_string()];
        if interval.name.is_empty() {
            problems.add(&below(&path, "name"), "a time interval must have a name");
        }
        let compiled = Interval::compile(interval).unwrap_or_else(|errors| {
            for (more, message) in errors {
                problems.add(&path.iter().cloned().chain(more).collect::<Vec<_>>(), &message);
            }
            // Its name is known all the same.
            Interval::never(&interval.name)
        });
        if intervals.insert(interval.name.clone(), Arc::new(compiled)).is_some() {
            problems.add(&below(&path, "name"), &format!("time interval `{}` stands twice", interval.name));
        }
    }
    intervals
}
