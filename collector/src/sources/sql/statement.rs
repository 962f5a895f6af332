//! What can be told of a statement without a database: that it is one, that it reads, and where its parameters stand.
//!
//! This is a help for people, not the guard: a statement that gets past it meets the database's own read-only session.

use std::ops::Range;

use super::dialect::Dialect;
use super::lexer::{Lexer, Token};
use crate::params::{Param, valid_names};

/// Longer statements are refused.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// One reading statement, its parameters all of the window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement<'s> {
    sql: &'s str,
    places: Vec<(Range<usize>, Param)>,
}

impl<'s> Statement<'s> {
    /// Checks a statement: one, of those the dialect calls reading, and no parameter but the window's.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn parse(sql: &'s str, dialect: &Dialect) -> Result<Self, String> {
        if sql.len() > MAX_BYTES {
            return Err(format!("statement is longer than {MAX_BYTES} bytes"));
        }
        let mut first_word = None;
        let (mut ended, mut second) = (false, false);
        let mut places = Vec::new();
        for token in Lexer::new(sql, dialect) {
            let (token, at) = token?;
            second |= ended && !matches!(token, Token::Comment | Token::End);
            match token {
                Token::End => ended = true,
                Token::Word => first_word = first_word.or(Some(&sql[at])),
                Token::Parameter => places.push(at),
                Token::Comment | Token::Other => {}
            }
        }
        check_first_word(first_word, dialect)?;
        if second {
            return Err("there is a second statement after `;`: write one".to_owned());
        }
        let known = |at: Range<usize>| match parameter(&sql[at.clone()]) {
            Some(param) => Ok((at, param)),
            None => Err(unknown_parameter(&sql[at])),
        };
        Ok(Self { sql, places: places.into_iter().map(known).collect::<Result<_, _>>()? })
    }

    /// Whether it speaks of its window; a snapshot does not.
    pub(crate) fn asks_for_window(&self) -> bool {
        !self.places.is_empty()
    }

    /// With `$1`, `$2`, .. for the parameters: one number for each name, however often it stands.
    pub(crate) fn numbered(&self) -> Rendered {
        let mut params: Vec<Param> = Vec::new();
        let text = self.fill(|param| {
            let known = params.iter().position(|have| *have == param);
            let at = known.unwrap_or_else(|| {
                params.push(param);
                params.len() - 1
            });
            format!("${}", at + 1)
        });
        Rendered { params, ..text }
    }

    /// With `?` for each parameter, in the order they stand.
    pub(crate) fn positional(&self) -> Rendered {
        let text = self.fill(|_| "?".to_owned());
        Rendered { params: self.places.iter().map(|(_, param)| *param).collect(), ..text }
    }

    fn fill(&self, mut placeholder: impl FnMut(Param) -> String) -> Rendered {
        let mut rendered = Rendered::default();
        let mut from = 0;
        for (at, param) in &self.places {
            rendered.copy(&self.sql[from..at.start]);
            rendered.replace(&self.sql[at.clone()], &placeholder(*param));
            from = at.end;
        }
        rendered.copy(&self.sql[from..]);
        rendered
    }
}

fn check_first_word(word: Option<&str>, dialect: &Dialect) -> Result<(), String> {
    let Some(word) = word else { return Err("statement is empty".to_owned()) };
    if dialect.reading.iter().any(|reading| reading.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    let (last, others) = dialect.reading.split_last().unwrap_or((&"nothing", &[]));
    let word = crate::text::shown(word, 40);
    Err(format!("statement begins with `{word}`: only {} and {last} are run", others.join(", ")))
}

/// The parameter of this name as it stands in the statement, with its colon.
pub(crate) fn parameter(name: &str) -> Option<Param> {
    name.strip_prefix(':').and_then(Param::parse)
}

/// The error for a parameter that is not one of the window's.
pub(crate) fn unknown_parameter(name: &str) -> String {
    format!("unknown parameter `{}`: there are {}", crate::text::shown(name, 40), valid_names(":"))
}

/// A statement as it is sent, and what to bind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rendered {
    /// The statement with the database's placeholders.
    pub(crate) text: String,
    /// What to bind, in the placeholders' order.
    pub(crate) params: Vec<Param>,
    /// The statement as it was written.
    written: String,
    /// Characters of `text` and of `written` up to the end of each parameter.
    ends: Vec<(usize, usize)>,
}

impl Rendered {
    fn copy(&mut self, part: &str) {
        self.text.push_str(part);
        self.written.push_str(part);
    }

    fn replace(&mut self, written: &str, placeholder: &str) {
        self.text.push_str(placeholder);
        self.written.push_str(written);
        self.ends.push((self.text.chars().count(), self.written.chars().count()));
    }

    /// Line and column, both from 1, in the statement as it was written, of the n-th character (from 1) of `text`.
    pub(crate) fn place(&self, character: usize) -> (usize, usize) {
        let before = character.saturating_sub(1);
        let (sent, written) = self.ends.iter().rev().find(|(end, _)| *end <= before).unwrap_or(&(0, 0));
        let written = written + (before - sent);
        let head: Vec<char> = self.written.chars().take(written).collect();
        let line_start = head.iter().rposition(|c| *c == '\n').map_or(0, |at| at + 1);
        (head.iter().filter(|c| **c == '\n').count() + 1, head.len() - line_start + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &Dialect = &Dialect::COMMON;

    #[test]
    fn statements_are_told_apart_from_what_is_none() {
        for good in [
            "SELECT 1",
            "  -- a comment; here\n select ':nothing' AS \"a:b\" FROM t WHERE at >= :start AND at < :end_text ; ",
            "WITH x AS (SELECT 1) SELECT * FROM x /* :no ; */",
            "SELECT 'it''s; :x', `c;d` FROM t; -- the end",
            "(SELECT 1) UNION (SELECT 2);;",
            "SELECT a::text, f(x := 1), b[1:2] FROM t",
        ] {
            assert_eq!(Statement::parse(good, COMMON).err(), None, "{good}");
        }
        let messages: Vec<String> = [
            "",
            "-- nothing",
            "DELETE FROM t",
            "SELECT 1; DROP TABLE t",
            "SELECT 1; 'x'",
            "SELECT * FROM t WHERE at > :begin",
            "SELECT * FROM t WHERE at > $1",
            "SELECT 'open",
        ]
        .into_iter()
        .map(|sql| Statement::parse(sql, COMMON).unwrap_err())
        .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
            statement is empty
            statement is empty
            statement begins with `DELETE`: only SELECT, WITH, VALUES, TABLE and SHOW are run
            there is a second statement after `;`: write one
            there is a second statement after `;`: write one
            unknown parameter `:begin`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
            unknown parameter `$1`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
            a text that begins with ' is not closed
            "#);
    }

    #[test]
    fn parameters_become_each_databases_placeholders_and_places_lead_back() {
        let sql = "SELECT :start,\n ':end' FROM t WHERE at >= :start AND at < :end_ms AND x = 1";
        let statement = Statement::parse(sql, COMMON).unwrap();
        let (numbered, positional) = (statement.numbered(), statement.positional());
        assert_eq!(numbered.text, "SELECT $1,\n ':end' FROM t WHERE at >= $1 AND at < $2 AND x = 1");
        assert_eq!(positional.text, "SELECT ?,\n ':end' FROM t WHERE at >= ? AND at < ? AND x = 1");
        let param = |name| Param::parse(name).unwrap();
        assert_eq!(numbered.params, [param("start"), param("end_ms")]);
        assert_eq!(positional.params, [param("start"), param("start"), param("end_ms")]);
        for (rendered, needle) in
            [(&numbered, "x ="), (&positional, "x ="), (&numbered, "SELECT"), (&numbered, "FROM")]
        {
            let at = |text: &str| text.find(needle).unwrap();
            let line_start = sql[..at(sql)].rfind('\n').map_or(0, |nl| nl + 1);
            let expected = (1 + sql[..at(sql)].matches('\n').count(), at(sql) - line_start + 1);
            assert_eq!(rendered.place(at(&rendered.text) + 1), expected, "{needle}");
        }
    }

    /// Parts that hold what looks like a parameter and is none, as every dialect here reads them.
    const HARMLESS: [&str; 8] = [
        " 'a text of :start and ''quotes''' ",
        " \"a name of :end\" ",
        " /* a comment of :start */ ",
        " -- a line of :end\n ",
        " x::text ",
        " f(a := 1) ",
        " '数据 :end' ",
        " , ",
    ];

    proptest::proptest! {
        #[test]
        fn any_text_is_scanned_in_any_dialect(sql in ".{0,60}", flags in 0_u16..256) {
            let on = |bit: u16| flags & (1 << bit) != 0;
            let dialect = Dialect {
                backslashes: on(0), escape_texts: on(1), dollar_texts: on(2), backticks: on(3), brackets: on(4),
                hash_comments: on(5), spaced_dashes: on(6), nested_comments: on(7), ..Dialect::COMMON
            };
            if let Ok(statement) = Statement::parse(&sql, &dialect) {
                proptest::prop_assert_eq!(statement.numbered().written, sql);
            }
        }

        #[test]
        fn parameters_are_found_among_anything(parts in proptest::collection::vec((0_usize..8, 0_usize..9), 0..12)) {
            let (mut sql, mut expected, mut count) = ("SELECT ".to_owned(), "SELECT ".to_owned(), 0);
            for (harmless, name) in parts {
                sql.push_str(HARMLESS[harmless]);
                expected.push_str(HARMLESS[harmless]);
                if let Some(name) = crate::params::NAMES.get(name) {
                    sql.push_str(&format!("(:{name})"));
                    expected.push_str("(?)");
                    count += 1;
                }
            }
            let statement = Statement::parse(&sql, COMMON).unwrap();
            let rendered = statement.positional();
            proptest::prop_assert_eq!(rendered.text, expected);
            proptest::prop_assert_eq!(rendered.params.len(), count);
            proptest::prop_assert_eq!(statement.asks_for_window(), count > 0);
        }
    }
}
