//! What `check` found: errors and warnings, each at its place.

use std::path::PathBuf;

use serde::Serialize;

/// A place in the file: line and column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    /// Line.
    pub(crate) line: usize,
    /// Column.
    pub(crate) column: usize,
}

impl Place {
    /// The first character of the file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// The file cannot be used.
    Error,
    /// The file can be used, but someone will be surprised.
    Warning,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    /// Where.
    pub(crate) place: Place,
    /// How bad.
    pub(crate) level: Level,
    /// What; lower case, no full stop, without secrets.
    pub(crate) message: String,
}

impl Finding {
    /// An error.
    pub(crate) fn error(place: Place, message: impl Into<String>) -> Self {
        Self { place, level: Level::Error, message: message.into() }
    }

    /// A warning.
    pub(crate) fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { place, level: Level::Warning, message: message.into() }
    }
}

/// Everything found in one file, in order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The file as it was named.
    pub(crate) file: PathBuf,
    /// Its text, for showing lines; empty when it could not be read.
    pub(crate) text: String,
    /// What was found.
    pub(crate) all: Vec<Finding>,
}

impl Findings {
    /// Sorts by place and drops what was said twice.
    pub(crate) fn tidy(mut self) -> Self {
        self.all.sort();
        self.all.dedup();
        self
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.all.iter().filter(|finding| finding.level == Level::Error).count()
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.all.len() - self.errors()
    }

    /// One line for each finding: `FILE:LINE:COL: error: message`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.all.iter().map(|finding| self.line(finding)).collect()
    }

    /// All of it for people; with `source` each line of the file with a caret under the place.
    pub(crate) fn shown(&self, source: bool) -> String {
        let mut out = String::new();
        let lines: Vec<&str> = if source { self.text.lines().collect() } else { Vec::new() };
        for finding in &self.all {
            out.push_str(&self.line(finding));
            out.push('\n');
            if let Some(line) = lines.get(finding.place.line - 1) {
                out.push_str(&excerpt(line, finding.place));
            }
        }
        out
    }

    /// The line of one finding.
    pub(crate) fn line(&self, finding: &Finding) -> String {
        let level = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let Place { line, column } = finding.place;
        format!("{}:{line}:{column}: {level}: {}", self.file.display(), finding.message)
    }
}

/// Most characters of a line that are shown.
const EXCERPT: usize = 100;
/// A line that speaks of one of these may hold a secret: its value is not shown.
const SECRETIVE: [&str; 7] = ["passw", "secret", "token", "key", "credential", "authorization", "url"];

/// A line of the file and a caret under a column; long lines are cut around it.
fn excerpt(line: &str, place: Place) -> String {
    let lower = line.to_lowercase();
    let hide = SECRETIVE.iter().any(|word| lower.contains(word));
    let until = if hide { line.find(':').map_or(0, |at| at + 1) } else { line.len() };
    let kept = line.get(..until).unwrap_or_default();
    let chars: Vec<char> = kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let caret = (place.column - 1).min(chars.len());
    let from = caret.saturating_sub(EXCERPT / 2);
    let part: String = chars.iter().skip(from).take(EXCERPT).collect();
    let dots = if from > 0 { "…" } else { "" };
    let rest = if hide || chars.len() > from + EXCERPT { " …" } else { "" };
    let number = place.line.to_string();
    let indent = " ".repeat(number.len());
    let under = " ".repeat(caret - from + dots.chars().count());
    format!("  {number} | {dots}{part}{rest}\n  {indent} | {under}^\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: usize, column: usize) -> String {
        excerpt(text.lines().nth(line - 1).unwrap(), Place { line, column })
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        insta::assert_snapshot!(shown("a:\n  intervall: 1m\n", 2, 3), @r#"
        2 |   intervall: 1m
          |   ^
        "#);
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        insta::assert_snapshot!(shown("  passwrd: hunter2", 1, 3), @r#"
        1 |   passwrd: …
          |   ^
        "#);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let line = "x".repeat(1_000_000);
        insta::assert_snapshot!(shown(&line, 1, 500_000), @r#"
        1 | …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx …
          |                                                    ^
        "#);
    }
}
