//! Results on stdout: tables that fit the terminal, JSON, or one JSON document a line.
//!
//! A reader that goes away (`| head`) ends the command quietly.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::{ColorChoice, OutputFormat};

/// Where and how results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// The format asked for.
    pub(crate) format: OutputFormat,
    /// Whether stdout gets colours.
    pub(crate) color: bool,
}

/// A result that knows how it looks to people.
pub(crate) trait Present: Serialize {
    /// One row of it, for `ndjson`.
    type Row: Serialize;

    /// Its rows.
    fn rows(&self) -> &[Self::Row];

    /// As text for people.
    fn table(&self, output: Output) -> String;
}

impl Output {
    /// Prints a result.
    ///
    /// # Errors
    /// When stdout cannot be written, except for a reader that went away.
    pub(crate) fn print<T: Present>(self, result: &T) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => self.text(&result.table(self)),
            OutputFormat::Json => self.text(&serde_json::to_string_pretty(result)?),
            OutputFormat::Ndjson => {
                let lines: Result<Vec<_>, _> = result.rows().iter().map(serde_json::to_string).collect();
                self.text(&lines?.join("\n"))
            }
        }
    }

    /// Prints text and a line end; nothing when it is empty.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        quiet_pipe(write!(out, "{text}{end}").and_then(|()| out.flush()))
    }
}

/// A reader that went away is no error.
fn quiet_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether a stream gets colours.
pub(crate) fn wants_color(choice: ColorChoice, stream: &impl IsTerminal) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            stream.is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// An empty table with these headings, as wide as the terminal at most.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings.iter().map(|heading| Cell::new(*heading)));
    table
}
