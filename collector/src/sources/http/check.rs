//! What can be told of HTTP sources and queries without asking.

use chrono_tz::Tz;

use super::{HttpConfig, HttpQuery, JsonPathText, template};
use crate::params::zone;
use crate::sources::web::check;
use crate::validate::Problem;

/// Checks a source's section.
pub(super) fn validate(config: &HttpConfig) -> Vec<Problem> {
    let mut problems = check::settings("http", &config.settings());
    let mut wrong = |path: &[&str], message: String| problems.push(Problem::at(path, message));
    let bearer = config.bearer_token.is_some() || config.bearer_token_file.is_some();
    if bearer && config.basic_auth.is_some() {
        wrong(&["http", "basic_auth"], "there is a bearer token too: keep one".to_owned());
    }
    if config.bearer_token.is_some() && config.bearer_token_file.is_some() {
        wrong(&["http", "bearer_token_file"], "there is a bearer_token too: keep one".to_owned());
    }
    let both_passwords = |auth: &super::BasicAuth| auth.password.is_some() && auth.password_file.is_some();
    if config.basic_auth.as_ref().is_some_and(both_passwords) {
        wrong(&["http", "basic_auth", "password_file"], "there is a password too: keep one".to_owned());
    }
    if let Err(message) = zone(config.timezone.as_deref()) {
        wrong(&["http", "timezone"], message);
    }
    problems
}

/// Checks a query: its templates, paths and that it takes rows in one way.
pub(super) fn validate_query(query: &HttpQuery) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |path: &[&str], result: Result<(), String>| {
        let place: Vec<&str> = ["query", "http"].into_iter().chain(path.iter().copied()).collect();
        problems.extend(result.err().map(|message| Problem::at(&place, message)));
    };
    wrong(&["path"], template::check(&query.path).and_then(|()| path(&query.path)));
    for (name, value) in &query.params {
        wrong(&["params", name], template::check(value));
    }
    for (name, value) in &query.headers {
        wrong(
            &["headers", name],
            template::check(value.expose()).and_then(|()| header(name, value.expose())),
        );
    }
    wrong(&["body"], query.body.as_deref().map_or(Ok(()), template::check));
    wrong(&["error_path"], query.error_path.as_ref().map_or(Ok(()), json_path));
    let ways = [query.json.is_some(), query.csv.is_some(), query.number];
    if ways.iter().filter(|is| **is).count() > 1 {
        wrong(&[], Err("`json`, `csv` and `number` exclude each other: keep one".to_owned()));
    }
    if let Some(json) = &query.json {
        wrong(&["json", "rows"], json.rows.as_ref().map_or(Ok(()), json_path));
        for (name, column) in &json.columns {
            wrong(&["json", "columns", name], json_path(column));
        }
    }
    if query.csv.as_ref().is_some_and(|csv| !csv.delimiter.is_ascii() || csv.delimiter == '"') {
        wrong(
            &["csv", "delimiter"],
            Err("delimiter is not one ASCII character other than a quote".to_owned()),
        );
    }
    if query.csv.as_ref().is_some_and(|csv| csv.header && !csv.columns.is_empty()) {
        wrong(
            &["csv", "columns"],
            Err("columns are named by the header: write `header: false` or leave them".to_owned()),
        );
    }
    problems
}

/// The path must stay on the source's host.
fn path(text: &str) -> Result<(), String> {
    if text.contains("://") || text.starts_with("//") {
        return Err("path is an address of its own: the host belongs into the source's url".to_owned());
    }
    Ok(())
}

fn json_path(path: &JsonPathText) -> Result<(), String> {
    path.compiled().map(|_| ()).map_err(str::to_owned)
}

/// The header as it would be sent for some window.
fn header(name: &str, value: &str) -> Result<(), String> {
    let window =
        model::Window { start: model::Timestamp::from_secs(0), end: model::Timestamp::from_secs(60) };
    let filled = template::render(value, window, Tz::UTC, std::borrow::Cow::Owned);
    check::header(name, filled.as_deref().unwrap_or(value))
}
