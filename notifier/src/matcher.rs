//! Alertmanager's matchers: `severity="P0"`, `team!="risk"`, `channel=~"app|web"`, `metric!~"test_.*"`.
//!
//! An entry may hold several, separated by commas, in braces or not; values may be quoted or bare. Regular expressions
//! are anchored at both ends. A label that is absent has the empty value.

use std::fmt;

use model::{Labels, Severity};
use regex::Regex;

/// Name under which matchers see the severity.
pub const SEVERITY_LABEL: &str = "severity";

/// Bytes a compiled regular expression may take: a pathological one is refused when the configuration is read.
const REGEX_LIMIT_BYTES: usize = 1 << 20;

/// Why a text is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Not of the form.
    #[error(
        "`{text}` is not a matcher: {what}; write for example severity=\"P0\", team!=\"risk\", channel=~\"app|web\""
    )]
    Syntax {
        /// The whole entry.
        text: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The regular expression does not compile.
    #[error("`{pattern}` is not a regular expression: {what}")]
    Regex {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        what: String,
    },
}

#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Matches(Regex),
    MatchesNot(Regex),
}

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    name: String,
    test: Test,
}

impl LabelMatcher {
    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one value it wants, when it wants one.
    pub fn equals(&self) -> Option<&str> {
        match &self.test {
            Test::Equal(wanted) => Some(wanted),
            Test::NotEqual(_) | Test::Matches(_) | Test::MatchesNot(_) => None,
        }
    }

    /// Whether labels and severity fulfil it.
    pub fn matches(&self, labels: &Labels, severity: Severity) -> bool {
        let value = match labels.get(&self.name) {
            Some(value) => value,
            None if self.name == SEVERITY_LABEL => severity.as_str(),
            None => "",
        };
        self.accepts(value)
    }

    /// Whether a value of its label fulfils it; the empty value is an absent label.
    pub fn accepts(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(wanted) => value != wanted,
            Test::Matches(pattern) => pattern.is_match(value),
            Test::MatchesNot(pattern) => !pattern.is_match(value),
        }
    }

    fn new(name: &str, operator: &str, value: String) -> Result<Self, MatcherError> {
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Matches(compile(&value)?),
            _ => Test::MatchesNot(compile(&value)?),
        };
        Ok(Self { name: name.to_owned(), test })
    }
}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, value) = match &self.test {
            Test::Equal(value) => ("=", value.as_str()),
            Test::NotEqual(value) => ("!=", value.as_str()),
            Test::Matches(pattern) => ("=~", pattern.as_str()),
            Test::MatchesNot(pattern) => ("!~", pattern.as_str()),
        };
        write!(f, "{}{operator}{value:?}", self.name)
    }
}

fn compile(pattern: &str) -> Result<Regex, MatcherError> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_LIMIT_BYTES).build().map_err(
        |error| MatcherError::Regex { pattern: pattern.to_owned(), what: last_line(&error.to_string()) },
    )
}

/// The regex crate explains over several lines with carets; the last one says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// Reads the matchers of one entry.
///
/// # Errors
/// [`MatcherError`] naming the entry.
pub fn parse_matchers(text: &str) -> Result<Vec<LabelMatcher>, MatcherError> {
    let wrong = |what| MatcherError::Syntax { text: text.to_owned(), what };
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
        (Some(rest), Some(_)) => &rest[..rest.len() - 1],
        (None, None) => trimmed,
        (None, Some(_)) if trimmed.contains('"') || trimmed.contains("=~") || trimmed.contains("!~") => {
            trimmed
        }
        _ => return Err(wrong("its braces do not match")),
    };
    let mut rest = inner.trim_start();
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (matcher, after) = parse_one(rest).map_err(|error| error.into_matcher_error(text))?;
        matchers.push(matcher);
        rest = match after.trim_start().strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.trim().is_empty() => "",
            None => return Err(wrong("something follows the value")),
        };
    }
    if matchers.is_empty() { Err(wrong("it is empty")) } else { Ok(matchers) }
}

enum OneError {
    Syntax(&'static str),
    Matcher(MatcherError),
}

impl OneError {
    fn into_matcher_error(self, text: &str) -> MatcherError {
        match self {
            Self::Syntax(what) => MatcherError::Syntax { text: text.to_owned(), what },
            Self::Matcher(error) => error,
        }
    }
}

fn parse_one(text: &str) -> Result<(LabelMatcher, &str), OneError> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(OneError::Syntax("it does not begin with a label name"));
    }
    let rest = rest.trim_start();
    let operator = ["=~", "!~", "!=", "="]
        .into_iter()
        .find(|operator| rest.starts_with(operator))
        .ok_or(OneError::Syntax("no operator (=, !=, =~, !~) follows the label name"))?;
    let (value, rest) = parse_value(rest[operator.len()..].trim_start()).map_err(OneError::Syntax)?;
    let matcher = LabelMatcher::new(name, operator, value).map_err(OneError::Matcher)?;
    Ok((matcher, rest))
}

fn parse_value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let value = text[..end].trim_end();
        return if value.contains('"') {
            Err("a quote stands inside a bare value")
        } else {
            Ok((value.into(), &text[end..]))
        };
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("its closing quote is missing")
}

/// Whether every matcher is fulfilled.
pub fn all_match(matchers: &[LabelMatcher], labels: &Labels, severity: Severity) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels, severity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (&'static str, &'static [(&'static str, &'static str)], bool);

    fn check(entry: &str, pairs: &[(&str, &str)], severity: Severity) -> bool {
        let labels = Labels::new(pairs.iter().copied());
        all_match(&parse_matchers(entry).unwrap(), &labels, severity)
    }

    #[test]
    fn matchers_mean_what_alertmanager_means() {
        let table: [Row; 19] = [
            (r#"a="b""#, &[("a", "b")], true),
            (r#"a="b""#, &[("a", "bb")], false),
            (r#"a=b"#, &[("a", "b")], true),
            (r#" a = "b" "#, &[("a", "b")], true),
            (r#"a!="b""#, &[("a", "c")], true),
            (r#"a!="b""#, &[], true),
            (r#"a="""#, &[], true),
            (r#"a=~"b|c""#, &[("a", "c")], true),
            (r#"a=~"b|c""#, &[("a", "cc")], false),
            (r#"a=~"b""#, &[("a", "abc")], false),
            (r#"a=~".*""#, &[], true),
            (r#"a!~"b.*""#, &[("a", "bad")], false),
            (r#"a!~"b.*""#, &[("a", "good")], true),
            (r#"{a="b",c!="d"}"#, &[("a", "b")], true),
            (r#"a="b",c="d""#, &[("a", "b")], false),
            (r#"a="x,y""#, &[("a", "x,y")], true),
            (r#"a="say \"hi\"""#, &[("a", "say \"hi\"")], true),
            (r#"a=~"\\d{2}""#, &[("a", "12")], true),
            (r#"severity=~"P[01]""#, &[], true),
        ];
        for (entry, pairs, expected) in table {
            assert_eq!(check(entry, pairs, Severity::P1), expected, "{entry} on {pairs:?}");
        }
    }

    #[test]
    fn rubbish_is_refused_with_what_is_wrong() {
        let table =
            ["", "{}", "a", "=b", "1a=b", r#"a="b"#, r#"a="b" c="d""#, r#"{a="b""#, r#"a=~"(""#, r#"a=b"c"#];
        let said: Vec<String> =
            table.iter().map(|text| parse_matchers(text).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(said.join("\n"), @r##"
        `` is not a matcher: it is empty; write for example severity="P0", team!="risk", channel=~"app|web"
        `{}` is not a matcher: it is empty; write for example severity="P0", team!="risk", channel=~"app|web"
        `a` is not a matcher: no operator (=, !=, =~, !~) follows the label name; write for example severity="P0", team!="risk", channel=~"app|web"
        `=b` is not a matcher: it does not begin with a label name; write for example severity="P0", team!="risk", channel=~"app|web"
        `1a=b` is not a matcher: it does not begin with a label name; write for example severity="P0", team!="risk", channel=~"app|web"
        `a="b` is not a matcher: its closing quote is missing; write for example severity="P0", team!="risk", channel=~"app|web"
        `a="b" c="d"` is not a matcher: something follows the value; write for example severity="P0", team!="risk", channel=~"app|web"
        `{a="b"` is not a matcher: its braces do not match; write for example severity="P0", team!="risk", channel=~"app|web"
        `(` is not a regular expression: unclosed group
        `a=b"c` is not a matcher: a quote stands inside a bare value; write for example severity="P0", team!="risk", channel=~"app|web"
        "##);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_but_never_panics(text in "\\PC{0,40}") {
            let _ = parse_matchers(&text);
        }

        #[test]
        fn a_quoted_value_is_matched_whatever_it_holds(value in "[^\u{0}]{1,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let matchers = parse_matchers(&format!("a=\"{quoted}\"")).unwrap();
            prop_assert!(all_match(&matchers, &Labels::new([("a", value.as_str())]), Severity::P2));
        }
    }
}
