//! Walks over a statement and tells its parts: texts, quoted names and comments are passed over whole.

use std::ops::Range;

use super::dialect::Dialect;

/// What a part of a statement is. White space is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A word outside of quotes.
    Word,
    /// Something to bind: `:start`, or what the database itself takes for a parameter.
    Parameter,
    /// `;`
    End,
    /// A comment.
    Comment,
    /// A text, a quoted name, a sign.
    Other,
}

/// The parts of a statement, in order, each with its place in bytes. Ends after an error.
pub(crate) struct Lexer<'s> {
    sql: &'s str,
    at: usize,
    dialect: &'s Dialect,
}

impl<'s> Lexer<'s> {
    /// Begins at the statement's start.
    pub(crate) fn new(sql: &'s str, dialect: &'s Dialect) -> Self {
        Self { sql, at: 0, dialect }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<(Token, Range<usize>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let blank = |rest: &str| rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        self.at += blank(&self.sql[self.at..]);
        let rest = self.sql.get(self.at..).filter(|rest| !rest.is_empty())?;
        match token(rest, self.dialect) {
            Ok((token, length)) => {
                let from = self.at;
                self.at += length;
                Some(Ok((token, from..self.at)))
            }
            Err(message) => {
                self.at = self.sql.len();
                Some(Err(message))
            }
        }
    }
}

/// The part at the start and its length; `rest` is not empty and begins with no white space.
fn token(rest: &str, dialect: &Dialect) -> Result<(Token, usize), String> {
    if let Some(length) = comment(rest, dialect) {
        return Ok((Token::Comment, length));
    }
    if let Some(length) = quoted(rest, dialect)? {
        return Ok((Token::Other, length));
    }
    if let Some(length) = parameter(rest, dialect) {
        return Ok((Token::Parameter, length));
    }
    let first = rest.chars().next().unwrap_or_default();
    let word = word(rest);
    match first {
        ';' => Ok((Token::End, 1)),
        ':' if rest.starts_with("::") => Ok((Token::Other, 2)),
        _ if word == 0 => Ok((Token::Other, first.len_utf8())),
        _ if dialect.escape_texts
            && rest[..word].eq_ignore_ascii_case("e")
            && rest[word..].starts_with('\'') =>
        {
            Ok((Token::Other, word + text(&rest[word..], '\'', true)?))
        }
        _ => Ok((Token::Word, word)),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Length of the word at the start.
fn word(rest: &str) -> usize {
    rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
}

/// Length of the parameter at the start.
fn parameter(rest: &str, dialect: &Dialect) -> Option<usize> {
    let first = rest.chars().next()?;
    let behind = &rest[first.len_utf8()..];
    let next = behind.chars().next();
    let name = next.is_some_and(|c| c.is_alphabetic() || c == '_');
    let digits = next.is_some_and(|c| c.is_ascii_digit());
    let whole = first.len_utf8() + word(behind);
    let named = first == ':' || dialect.named.contains(&first);
    let is = (named && name) || (dialect.numbered.contains(&first) && digits);
    is.then_some(whole).or_else(|| dialect.bare.contains(&first).then_some(first.len_utf8()))
}

/// Length of the comment at the start. One that is not closed goes to the end: the database will say so.
fn comment(rest: &str, dialect: &Dialect) -> Option<usize> {
    let line = || rest.find('\n').map_or(rest.len(), |at| at + 1);
    if let Some(behind) = rest.strip_prefix("--") {
        let is = !dialect.spaced_dashes || behind.chars().next().is_none_or(char::is_whitespace);
        return is.then(line);
    }
    if dialect.hash_comments && rest.starts_with('#') {
        return Some(line());
    }
    rest.starts_with("/*").then(|| block_comment(rest, dialect.nested_comments))
}

fn block_comment(rest: &str, nested: bool) -> usize {
    let (mut depth, mut at) = (1, 2);
    while let Some(found) = rest[at..].find(['*', '/']) {
        at += found;
        let sign = &rest.as_bytes()[at..];
        if sign.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else if nested && sign.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of the text or quoted name at the start.
fn quoted(rest: &str, dialect: &Dialect) -> Result<Option<usize>, String> {
    match rest.as_bytes()[0] {
        b'\'' => text(rest, '\'', dialect.backslashes).map(Some),
        b'"' => text(rest, '"', dialect.backslashes).map(Some),
        b'`' if dialect.backticks => text(rest, '`', false).map(Some),
        b'[' if dialect.brackets => text(rest, ']', false).map(Some),
        b'$' if dialect.dollar_texts => dollar_text(rest),
        _ => Ok(None),
    }
}

/// Length of the text at the start up to `close`; what is doubled inside reads as a text after a text.
fn text(rest: &str, close: char, backslashes: bool) -> Result<usize, String> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == close {
            return Ok(at + 1);
        }
        if backslashes && c == '\\' {
            chars.next();
        }
    }
    let open = &rest[..1];
    let what = if open == "'" { "text" } else { "name" };
    Err(format!("a {what} that begins with {open} is not closed"))
}

/// Length of the `$tag$ .. $tag$` at the start; `None` when it begins none.
fn dollar_text(rest: &str) -> Result<Option<usize>, String> {
    let name = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len() - 1);
    let is_tag = rest[1 + name..].starts_with('$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return Ok(None);
    }
    let (tag, body) = rest.split_at(name + 2);
    match body.find(tag) {
        Some(at) => Ok(Some(tag.len() + at + tag.len())),
        None => Err(format!("a text that begins with {} is not closed", crate::text::shown(tag, 40))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters a dialect finds.
    fn found(sql: &str, dialect: &Dialect) -> Result<Vec<String>, String> {
        let tokens = Lexer::new(sql, dialect).collect::<Result<Vec<_>, String>>()?;
        let parameters = tokens.into_iter().filter(|(token, _)| *token == Token::Parameter);
        Ok(parameters.map(|(_, at)| sql[at].to_owned()).collect())
    }

    #[test]
    fn each_dialect_quotes_in_its_own_way() {
        let plain = Dialect { dollar_texts: false, backticks: false, numbered: &[], ..Dialect::COMMON };
        for (sql, dialect, expected) in [
            (r"'a\' :start", plain, "[:start]"),
            (r"'a\' :start '", Dialect { backslashes: true, ..plain }, ""),
            (r"E'a\' :start '", Dialect { escape_texts: true, ..plain }, ""),
            (r"e'a\' :start '", Dialect { escape_texts: true, ..plain }, ""),
            (r"note'a' :start", Dialect { escape_texts: true, ..plain }, "[:start]"),
            ("$$ :start $x$ $$ :end", Dialect { dollar_texts: true, ..plain }, "[:end]"),
            ("$x$ :start $$ $x$ :end", Dialect { dollar_texts: true, ..plain }, "[:end]"),
            ("a$x$ :start", Dialect { dollar_texts: true, ..plain }, "[:start]"),
            ("$1 :start", Dialect { dollar_texts: true, numbered: &['$'], ..plain }, "[$1 :start]"),
            ("`a :start`", Dialect { backticks: true, ..plain }, ""),
            ("[a :start]", Dialect { brackets: true, ..plain }, ""),
            ("[a, :start]", plain, "[:start]"),
            ("# :start\n :end", Dialect { hash_comments: true, ..plain }, "[:end]"),
            ("a #> :start", plain, "[:start]"),
            ("5--:start", Dialect { spaced_dashes: true, ..plain }, "[:start]"),
            ("5--:start", plain, ""),
            ("/* /* */ :start */ :end", Dialect { nested_comments: true, ..plain }, "[:end]"),
            ("/* /* */ :start */ :end", plain, "[:start :end]"),
            ("a ? b @x", plain, ""),
            ("a ? b @x ?1", Dialect { bare: &['?'], named: &['@'], numbered: &['?'], ..plain }, "[? @x ?1]"),
            ("a::start, a[1:2], b := 1, :start::date", plain, "[:start]"),
            ("/* never closed :start", plain, ""),
        ] {
            let names = found(sql, &dialect).unwrap();
            let shown = if names.is_empty() { String::new() } else { format!("[{}]", names.join(" ")) };
            assert_eq!(shown, expected, "{sql}");
        }
    }
}
