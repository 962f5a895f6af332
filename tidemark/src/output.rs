//! Results on stdout: tables that fit the terminal, JSON, or one JSON document a line.
//!
//! A reader that goes away (`| head`) ends the command quietly.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, LineStyle, Table, TableStyle};
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

    /// Prints a result of one piece: as it is in JSON, in `words` for people.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn print_one<T: Serialize>(
        self,
        result: &T,
        words: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => self.text(&words(result)),
            OutputFormat::Json => self.text(&serde_json::to_string_pretty(result)?),
            OutputFormat::Ndjson => self.text(&serde_json::to_string(result)?),
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

/// One line under the headings, and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How wide a table is where there is no terminal.
const WIDTH: u16 = 120;

/// An empty table with these headings, as wide as the terminal at most.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    if !io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings.iter().map(|heading| Cell::new(*heading)));
    table
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A number for people: at most six significant digits, nothing for none.
pub(crate) fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return String::new() };
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..15.0).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let decimals = (5.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let table = [
            (None, ""),
            (Some(0.0), "0"),
            (Some(12.0), "12"),
            (Some(1234.5678), "1234.57"),
            (Some(0.12345678), "0.123457"),
            (Some(1_234_567.8), "1234568"),
            (Some(-0.5), "-0.5"),
            (Some(1e300), "1.0000e300"),
            (Some(1e-9), "1.0000e-9"),
        ];
        for (value, text) in table {
            assert_eq!(number(value), text, "{value:?}");
        }
    }
}
