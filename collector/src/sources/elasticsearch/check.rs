//! What can be told of the section and its queries without asking.

use std::collections::BTreeSet;

use model::{Secret, check_label_name, check_metric_name};

use super::columns;
use super::config::{Aggregation, ElasticsearchConfig, ElasticsearchQuery, Filter, Group, Values};
use crate::sources::web::check;
use crate::text::shown;
use crate::validate::Problem;

/// Checks a source's section.
pub(super) fn validate(config: &ElasticsearchConfig) -> Vec<Problem> {
    let mut problems = check::settings("elasticsearch", &config.settings());
    let mut wrong = |key: &str, message: &str| {
        problems.push(Problem::new(["elasticsearch", key], message));
    };
    let given = |value: &Option<Secret>, file: &Option<String>| value.is_some() || file.is_some();
    let password = given(&config.password, &config.password_file);
    let ways = [
        ("username", config.username.is_some() || password),
        ("api_key", given(&config.api_key, &config.api_key_file)),
        ("bearer_token", given(&config.bearer_token, &config.bearer_token_file)),
    ];
    if ways.iter().filter(|(_, given)| *given).count() > 1 {
        let last = ways.iter().rev().find(|(_, given)| *given).map_or("username", |(key, _)| key);
        wrong(last, "`username`, `api_key` and `bearer_token` exclude each other: keep one");
    }
    match (config.username.is_some(), password) {
        (true, false) => wrong("username", "username has no `password` or `password_file`"),
        (false, true) => wrong("username", "there is a password, but no `username`"),
        _ => {}
    }
    for (value, file, key, message) in [
        (&config.password, &config.password_file, "password_file", "there is a `password` too: keep one"),
        (&config.api_key, &config.api_key_file, "api_key_file", "there is an `api_key` too: keep one"),
        (
            &config.bearer_token,
            &config.bearer_token_file,
            "bearer_token_file",
            "there is a `bearer_token` too: keep one",
        ),
    ] {
        if value.is_some() && file.is_some() {
            wrong(key, message);
        }
    }
    problems
}

/// Checks a query: its index, names and that no two columns are called the same.
pub(super) fn validate_query(query: &ElasticsearchQuery) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |path: &[&str], result: Result<(), String>| {
        let place: Vec<&str> = ["query", "elasticsearch"].into_iter().chain(path.iter().copied()).collect();
        problems.extend(result.err().map(|message| Problem::at(&place, message)));
    };
    wrong(&["index"], index(&query.index));
    wrong(&["query"], query.query.as_ref().map_or(Ok(()), filter));
    wrong(&["time_field"], query.time_field.as_deref().map_or(Ok(()), field));
    for (at, by) in query.by.iter().enumerate() {
        wrong(&["by", &at.to_string()], group(by));
    }
    for (name, metric) in &query.metrics {
        let named = check_metric_name(name)
            .map_err(|_| format!("`{}` is not a column name: letters, digits, `_` and `.`", shown(name, 60)));
        wrong(&["metrics", name], named.and_then(|()| aggregation(metric)));
    }
    wrong(&[], once(&columns::names(query)));
    problems
}

fn index(name: &str) -> Result<(), String> {
    match name {
        "" => Err("index is empty: name one, or a pattern such as `orders-*`".to_owned()),
        "." | ".." => Err(format!("`{name}` is no index")),
        name if name.starts_with('_') && name != "_all" => Err(format!("no index begins with `_`: `{name}`")),
        name if name.contains(char::is_whitespace) => {
            Err(format!("index `{}` holds blanks", shown(name, 60)))
        }
        _ => Ok(()),
    }
}

fn field(name: &str) -> Result<(), String> {
    if name.trim().is_empty() { Err("name of the field is empty".to_owned()) } else { Ok(()) }
}

fn filter(filter: &Filter) -> Result<(), String> {
    match filter {
        Filter::Text(text) if text.trim().is_empty() => {
            Err("query is empty: leave it out to count all documents".to_owned())
        }
        Filter::Dsl(dsl) if dsl.len() != 1 => Err(format!(
            "query DSL has one key, such as `term` or `bool`, and not {}: put several into `bool: {{filter: [..]}}`",
            dsl.len()
        )),
        _ => Ok(()),
    }
}

fn group(group: &Group) -> Result<(), String> {
    field(group.field())?;
    check_label_name(group.name()).map_err(|error| match group {
        Group::Field(field) => format!("{error}: write {{name: .., field: {}}}", shown(field, 60)),
        Group::Settings(_) => error.to_string(),
    })
}

fn aggregation(metric: &Aggregation) -> Result<(), String> {
    match metric {
        Aggregation::Filter(of) => filter(of),
        Aggregation::Percentiles(of) if of.percents.is_empty() => {
            Err("percents are empty: name some, such as [95]".to_owned())
        }
        Aggregation::Percentiles(of) => {
            match of.percents.iter().find(|percent| !(0.0..=100.0).contains(*percent)) {
                Some(percent) => Err(format!("{percent} is not between 0 and 100")),
                None => field(&of.field),
            }
        }
        Aggregation::Sum(values)
        | Aggregation::Avg(values)
        | Aggregation::Min(values)
        | Aggregation::Max(values)
        | Aggregation::ValueCount(values)
        | Aggregation::Cardinality(values)
        | Aggregation::Stats(values)
        | Aggregation::ExtendedStats(values) => match values {
            Values::Field(name) => field(name),
            Values::Settings(settings) if settings.is_empty() => {
                Err("settings are empty: name at least the `field`".to_owned())
            }
            Values::Settings(_) => Ok(()),
        },
    }
}

fn once(columns: &[String]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match columns.iter().find(|column| !seen.insert(column.as_str())) {
        Some(column) => Err(format!(
            "two columns are called `{}`: the columns are {}",
            shown(column, 60),
            columns.join(", ")
        )),
        None => Ok(()),
    }
}
