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
