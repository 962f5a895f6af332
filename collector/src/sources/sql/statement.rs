//! What can be told of a statement without a database: that it is one, that it reads, and which parameters it names.

use crate::params::{Param, valid_names};

/// Longer statements are refused.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Checks a statement: one SELECT, WITH or VALUES, and no parameter but the window's.
pub(super) fn check(sql: &str) -> Result<(), String> {
    if sql.len() > MAX_BYTES {
        return Err(format!("statement is longer than {MAX_BYTES} bytes"));
    }
    let found = scan(sql)?;
    match found.first_word.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" | "VALUES" => {}
        "" => return Err("statement is empty".to_owned()),
        other => return Err(format!("statement begins with `{other}`: only SELECT and WITH are run")),
    }
    if found.second_statement {
        return Err("there is a second statement after `;`: write one".to_owned());
    }
    match found.parameters.iter().find(|name| parameter(name).is_none()) {
        Some(unknown) => Err(unknown_parameter(unknown)),
        None => Ok(()),
    }
}

/// The parameter of this name as it stands in the statement, with its colon.
pub(super) fn parameter(name: &str) -> Option<Param> {
    name.strip_prefix(':').and_then(Param::parse)
}

/// The error for a parameter that is not one of the window's.
pub(super) fn unknown_parameter(name: &str) -> String {
    format!("unknown parameter `{name}`: there are {}", valid_names(":"))
}

#[derive(Debug, Default, PartialEq)]
struct Found {
    first_word: String,
    second_statement: bool,
    parameters: Vec<String>,
}

/// Walks over a statement outside of quotes and comments.
fn scan(sql: &str) -> Result<Found, String> {
    let mut found = Found::default();
    let mut ended = false;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skipped = skip_quoted(rest)?;
        if skipped > 0 {
            found.second_statement |= ended && !is_comment(rest);
            rest = &rest[skipped..];
            continue;
        }
        let mut taken = first.len_utf8();
        if first == ';' {
            ended = true;
        } else if !first.is_whitespace() {
            found.second_statement |= ended;
            taken = token(rest, first, &mut found);
        }
        rest = &rest[taken..];
    }
    Ok(found)
}

/// Length of the token at the start; notes words and parameters.
fn token(rest: &str, first: char, found: &mut Found) -> usize {
    let word = |from: usize| rest[from..].find(|c: char| !is_word(c)).map_or(rest.len(), |end| from + end);
    match first {
        ':' if rest[1..].starts_with(':') => 2,
        ':' | '@' | '$' | '?' => {
            let end = word(1);
            if end > 1 || first == '?' {
                found.parameters.push(rest[..end].to_owned());
            }
            end
        }
        c if is_word(c) => {
            let end = word(0);
            if found.first_word.is_empty() {
                found.first_word = rest[..end].to_owned();
            }
            end
        }
        c => c.len_utf8(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_comment(rest: &str) -> bool {
    rest.starts_with("--") || rest.starts_with("/*")
}

/// Length of the quoted text or comment at the start; 0 when there is none.
fn skip_quoted(rest: &str) -> Result<usize, String> {
    let until = |open: usize, close: &str| rest[open..].find(close).map(|at| open + at + close.len());
    let unclosed = |what: &str| format!("{what} is not closed");
    match rest.as_bytes() {
        [b'-', b'-', ..] => Ok(until(2, "\n").unwrap_or(rest.len())),
        [b'/', b'*', ..] => Ok(until(2, "*/").unwrap_or(rest.len())),
        [b'\'', ..] => until(1, "'").ok_or_else(|| unclosed("a text that begins with '")),
        [b'"', ..] => until(1, "\"").ok_or_else(|| unclosed("a name that begins with \"")),
        [b'`', ..] => until(1, "`").ok_or_else(|| unclosed("a name that begins with `")),
        [b'[', ..] => until(1, "]").ok_or_else(|| unclosed("a name that begins with [")),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart_from_what_is_none() {
        for good in [
            "SELECT 1",
            "  -- a comment; here\n select ':nothing' AS \"a:b\" FROM t WHERE at >= :start AND at < :end_text ; ",
            "WITH x AS (SELECT 1) SELECT * FROM x /* :no ; */",
            "SELECT 'it''s; :x', [a;b], `c;d` FROM t; -- the end",
            "VALUES (1)",
            "SELECT a::text FROM t",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let messages: Vec<String> = [
            "",
            "-- nothing",
            "DELETE FROM t",
            "PRAGMA writable_schema = 1",
            "SELECT 1; DROP TABLE t",
            "SELECT 1; 'x'",
            "SELECT * FROM t WHERE at > :begin",
            "SELECT * FROM t WHERE at > ?1",
            "SELECT * FROM t WHERE at > @start",
            "SELECT 'open",
        ]
        .into_iter()
        .map(|sql| check(sql).unwrap_err())
        .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        statement is empty
        statement is empty
        statement begins with `DELETE`: only SELECT and WITH are run
        statement begins with `PRAGMA`: only SELECT and WITH are run
        there is a second statement after `;`: write one
        there is a second statement after `;`: write one
        unknown parameter `:begin`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        unknown parameter `?1`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        unknown parameter `@start`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        a text that begins with ' is not closed
        "#);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scanned(sql in ".{0,60}") {
            let _ = check(&sql);
        }
    }
}
