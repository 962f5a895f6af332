//! Statements, with names and texts quoted exactly.

use std::fmt::Write;

use model::{Matcher, SeriesQuery};

use super::line::carried;

/// First and last instant InfluxDB has.
const MIN_TIME: i64 = i64::MIN + 2;
const MAX_TIME: i64 = i64::MAX - 1;

/// A quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    quoted(name, '"')
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c => {
                if c == quote || c == '\\' {
                    out.push('\\');
                }
                out.push(c);
            }
        }
    }
    out.push(quote);
    out
}

/// `name=value&..`, encoded.
pub(super) fn parameters(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Conditions on tags, an absent tag being an empty one.
fn conditions<'a>(matchers: impl Iterator<Item = &'a Matcher>) -> Vec<String> {
    let condition = |matcher: &Matcher| {
        format!("{}::tag = {}", identifier(&carried(&matcher.tag)), quoted(&carried(&matcher.value), '\''))
    };
    matchers.map(condition).collect()
}

fn push_where(out: &mut String, conditions: &[String]) {
    if !conditions.is_empty() {
        let _ = write!(out, " WHERE {}", conditions.join(" AND "));
    }
}

/// Rows of a query from one measurement; `fields` empty means all; `limit` 0 means all rows of a series, else its newest.
pub(super) fn select(
    measurement: &str,
    query: &SeriesQuery,
    matchers: &[Matcher],
    fields: &[&str],
    limit: usize,
) -> String {
    let what = match fields {
        [] => "*".to_owned(),
        fields => {
            let fields = fields.iter().map(|field| format!("{}::field", identifier(&carried(field))));
            fields.collect::<Vec<_>>().join(", ")
        }
    };
    let start = query.range.start.as_nanos().clamp(MIN_TIME, MAX_TIME);
    let last = query.range.end.as_nanos().saturating_sub(1).clamp(MIN_TIME, MAX_TIME);
    let mut conditions = conditions(matchers.iter());
    conditions.push(format!("time >= {start} AND time <= {last}"));
    let mut out = format!("SELECT {what} FROM {}", identifier(measurement));
    push_where(&mut out, &conditions);
    out.push_str(" GROUP BY *");
    if limit > 0 {
        let _ = write!(out, " ORDER BY time DESC LIMIT {limit}");
    }
    out
}

/// Keys of series.
pub(super) fn show_series(measurement: &str, matchers: &[Matcher]) -> String {
    let mut out = format!("SHOW SERIES FROM {}", identifier(measurement));
    push_where(&mut out, &conditions(matchers.iter()));
    out
}

/// Fields of a measurement and their types.
pub(super) fn show_fields(measurement: &str) -> String {
    format!("SHOW FIELD KEYS FROM {}", identifier(measurement))
}
