//! Checks of what serde cannot see: addresses, expressions, statements, names.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{check_label_name, check_metric_name};

use crate::{SamplerSpec, SourceConfig, Timetable};

/// Something wrong with a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from the checked section down: keys and list indices, `["http", "url"]`, `["labels", "0"]`.
    pub path: Vec<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    pub(crate) fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self::at(&path, message)
    }

    pub(crate) fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|part| (*part).to_owned()).collect(), message: message.into() }
    }
}

/// Checks one entry of `sources`. Paths begin with the source's type (`http`, `sqlite`).
pub fn validate_source(source: &SourceConfig) -> Vec<Problem> {
    crate::sources::validate_source(source)
}

/// Checks one sampler. Paths begin with the key of the metric's entry: `query`, `interval`, `cron`, `window`, `delay`,
/// `timeout`, `labels`, `static_labels`, `values`, `max_rows`. Without its source the fit of source and query is not
/// checked.
pub fn validate_sampler(spec: &SamplerSpec, source: Option<&SourceConfig>) -> Vec<Problem> {
    let mut problems = match source.and_then(|source| crate::sources::validate_fit(&spec.query, source)) {
        Some(misfit) => vec![misfit],
        None => crate::sources::validate_query(&spec.query),
    };
    if let Err(error) = Timetable::new(&spec.schedule, spec.timezone) {
        problems.push(Problem::new([error.key], error.message));
    }
    problems.extend(check_limits(spec));
    problems.extend(check_labels(spec));
    problems.extend(check_values(spec));
    problems
}

/// The longest timeout and delay.
const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);
const MAX_DELAY: Duration = Duration::from_secs(86_400);

fn check_limits(spec: &SamplerSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.timeout.is_zero() || spec.timeout > MAX_TIMEOUT {
        problems.push(Problem::new(["timeout"], "timeout is not between 1ms and 1h"));
    }
    if spec.delay > MAX_DELAY {
        problems.push(Problem::new(["delay"], "delay is longer than 1d"));
    }
    if !(1..=1_000_000).contains(&spec.max_rows) {
        problems.push(Problem::new(["max_rows"], "max_rows is not between 1 and 1000000"));
    }
    problems
}

fn check_labels(spec: &SamplerSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for (index, name) in spec.labels.iter().enumerate() {
        let at = index.to_string();
        if let Err(error) = check_label_name(name) {
            problems.push(Problem::at(&["labels", &at], error.to_string()));
        } else if !names.insert(name.as_str()) {
            problems.push(Problem::at(&["labels", &at], format!("label `{name}` is listed twice")));
        }
    }
    for (name, value) in &spec.static_labels {
        let place = ["static_labels", name.as_str()];
        if let Err(error) = check_label_name(name) {
            problems.push(Problem::at(&place, error.to_string()));
        } else if !names.insert(name.as_str()) {
            problems.push(Problem::at(&place, format!("label `{name}` is a column under `labels` too")));
        } else if value.is_empty() {
            problems.push(Problem::at(
                &place,
                format!("label `{name}` is empty, which means absent: leave it out"),
            ));
        }
    }
    problems
}

fn check_values(spec: &SamplerSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.values.is_empty() {
        problems.push(Problem::new(["values"], "there is no value to take"));
    }
    let mut metrics = BTreeSet::new();
    for (index, value) in spec.values.iter().enumerate() {
        let at = index.to_string();
        let mut wrong = |message: String| problems.push(Problem::at(&["values", &at], message));
        if let Err(error) = check_metric_name(&value.metric) {
            wrong(error.to_string());
        } else if !metrics.insert(&value.metric) {
            wrong(format!("metric `{}` is listed twice", value.metric));
        }
        if value.numerator.is_some() != value.denominator.is_some() {
            wrong("a rate needs both `numerator` and `denominator`".to_owned());
        } else if value.numerator.is_some() && value.column.is_some() {
            wrong("a rate has no `column`: it is numerator / denominator".to_owned());
        }
        let is_label = |column: &String| spec.labels.contains(column);
        if value.column.as_ref().is_some_and(is_label) {
            wrong(format!("column of `{}` is a label too", value.metric));
        }
    }
    problems
}
