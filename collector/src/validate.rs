//! Checks of what serde cannot see: addresses, expressions, statements, names.

use std::collections::BTreeSet;
use std::time::Duration;

pub use model::Problem;
use model::{check_label_name, check_metric_name};

use crate::{SamplerSpec, SourceConfig, Timetable};

/// Checks one entry of `sources`. Paths begin with the source's type (`http`, `sqlite`).
pub fn validate_source(source: &SourceConfig) -> Vec<Problem> {
    source.as_type().validate()
}

/// Checks one sampler. Paths begin with the key of the metric's entry: `query`, `interval`, `cron`, `window`, `delay`,
/// `timeout`, `labels`, `static_labels`, `values`, `max_rows`. Without its source the fit of source and query is not
/// checked.
pub fn validate_sampler(spec: &SamplerSpec, source: Option<&SourceConfig>) -> Vec<Problem> {
    let mut problems = match source.map(|source| (crate::sources::validate_fit(&spec.query, source), source))
    {
        Some((Some(misfit), _)) => vec![misfit],
        Some((None, source)) => source.as_type().validate_query(&spec.query),
        None => spec.query.as_type().validate(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{spec, value};
    use crate::{Query, Schedule, ValueSpec};

    fn check(spec: &SamplerSpec) -> String {
        let problems = validate_sampler(spec, None);
        problems.iter().map(|p| format!("{}: {}", p.path.join("."), p.message)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_sampler_is_checked_as_a_whole_and_each_problem_has_its_place() {
        assert_eq!(check(&spec("orders")), "");
        let mut wrong = spec("orders");
        wrong.query = Query::Sql("SELECT :begin".into());
        wrong.schedule = Schedule::Cron { expression: "0 0 0 * * 1".into(), window: Duration::from_secs(60) };
        wrong.timeout = Duration::ZERO;
        wrong.delay = Duration::from_secs(100_000);
        wrong.max_rows = 0;
        wrong.labels = vec!["a-b".into(), "value".into(), "channel".into(), "channel".into()];
        wrong.static_labels =
            vec![("channel".into(), "x".into()), ("9".into(), "x".into()), ("ok".into(), String::new())];
        wrong.values = vec![
            value("orders.n", "channel"),
            value("orders.n", "n"),
            value("orders.ü", "u"),
            ValueSpec { numerator: Some("a".into()), ..value("rate", "r") },
            ValueSpec { numerator: Some("a".into()), denominator: Some("b".into()), ..value("rate2", "r") },
        ];
        insta::assert_snapshot!(check(&wrong), @r#"
        query.sql: unknown parameter `:begin`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        cron: `1`: write days of the week by name (MON, TUE, .. SUN), since their numbers mean different days in different crons
        timeout: timeout is not between 1ms and 1h
        delay: delay is longer than 1d
        max_rows: max_rows is not between 1 and 1000000
        labels.0: `a-b` is not a label name: letters, digits and `_`, not starting with a digit
        labels.1: `value` cannot be a label: the time-series layout has a tag or field of that name
        labels.3: label `channel` is listed twice
        static_labels.channel: label `channel` is a column under `labels` too
        static_labels.9: `9` is not a label name: letters, digits and `_`, not starting with a digit
        static_labels.ok: label `ok` is empty, which means absent: leave it out
        values.0: column of `orders.n` is a label too
        values.1: metric `orders.n` is listed twice
        values.2: `orders.ü` is not a metric name: letters, digits, `_` and `.`, not starting with a digit or `.`
        values.3: a rate needs both `numerator` and `denominator`
        values.4: a rate has no `column`: it is numerator / denominator
        "#);
    }

    #[test]
    fn source_and_query_must_fit() {
        let http = serde_json::from_value(serde_json::json!({"http": {"url": "http://x"}})).unwrap();
        let problems = validate_sampler(&spec("orders"), Some(&http));
        assert_eq!(problems[0].path, ["query", "sql"]);
        assert_eq!(problems[0].message, "source of type http takes its query under `http`, not under `sql`");
    }
}
