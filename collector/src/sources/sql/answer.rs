//! Rows as a database gives them, one after the other, within limits.

use crate::text::shown;
use crate::{Cell, Rows, SourceError};

/// More columns are an error.
pub(crate) const MAX_COLUMNS: usize = 256;
/// A longer text in a cell is an error.
const MAX_CELL_BYTES: usize = 64 << 10;
/// Memory of all cells together; more is an error.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Takes an answer row by row. It never holds more than `max_rows` rows and 256 MiB.
#[derive(Debug)]
pub(crate) struct Answer {
    rows: Rows,
    max_rows: usize,
    bytes: usize,
}

impl Answer {
    /// An answer with these columns and no row yet.
    ///
    /// # Errors
    /// When there are too many columns.
    pub(crate) fn new(columns: Vec<String>, max_rows: usize) -> Result<Self, SourceError> {
        if columns.len() > MAX_COLUMNS {
            let found = columns.len();
            return Err(SourceError::invalid(format!("answer has {found} columns, more than {MAX_COLUMNS}")));
        }
        Ok(Self { rows: Rows { columns, rows: Vec::new() }, max_rows, bytes: 0 })
    }

    /// Takes a row; `cell` gives the cell of each column by its index, or says what is wrong with it.
    ///
    /// # Errors
    /// When there are too many rows or bytes, or a cell is wrong: then with its column and row (from 1).
    pub(crate) fn push(
        &mut self,
        mut cell: impl FnMut(usize) -> Result<Cell, String>,
    ) -> Result<(), SourceError> {
        if self.rows.rows.len() == self.max_rows {
            let message =
                format!("more than {} rows: aggregate in the query or raise max_rows", self.max_rows);
            return Err(SourceError::invalid(message));
        }
        let mut cells = Vec::with_capacity(self.rows.columns.len());
        for at in 0..self.rows.columns.len() {
            let found = cell(at).and_then(|cell| self.weigh(cell));
            cells.push(found.map_err(|what| SourceError::invalid(format!("{}: {what}", self.place(at))))?);
        }
        if self.bytes > MAX_ANSWER_BYTES {
            let message = format!("answer holds more than {MAX_ANSWER_BYTES} bytes: aggregate in the query");
            return Err(SourceError::invalid(message));
        }
        self.rows.rows.push(cells);
        Ok(())
    }

    /// The rows that came.
    pub(crate) fn finish(self) -> Rows {
        self.rows
    }

    fn weigh(&mut self, cell: Cell) -> Result<Cell, String> {
        self.bytes += size_of::<Cell>();
        if let Cell::Text(text) = &cell {
            self.bytes += text.len();
            if text.len() > MAX_CELL_BYTES {
                return Err(format!("a text of {} bytes, more than {MAX_CELL_BYTES}", text.len()));
            }
        }
        Ok(cell)
    }

    fn place(&self, at: usize) -> String {
        format!("column `{}`, row {}", shown(&self.rows.columns[at], 60), self.rows.rows.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_bounded_in_every_direction() {
        let columns = |count: usize| (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>();
        let text = |bytes: usize| move |_| Ok(Cell::Text("x".repeat(bytes)));
        let mut one = Answer::new(columns(1), 1).unwrap();
        one.push(text(MAX_CELL_BYTES)).unwrap();
        let mut heavy = Answer::new(columns(MAX_COLUMNS), 100).unwrap();
        let too_heavy = (0..100).find_map(|_| heavy.push(text(MAX_CELL_BYTES)).err()).unwrap();
        let messages = [
            Answer::new(columns(MAX_COLUMNS + 1), 1).unwrap_err(),
            one.push(|_| Ok(Cell::Int(1))).unwrap_err(),
            Answer::new(columns(2), 1).unwrap().push(text(MAX_CELL_BYTES + 1)).unwrap_err(),
            too_heavy,
        ]
        .map(|error| format!("{:?}: {error}", error.reason));
        insta::assert_snapshot!(messages.join("\n"), @r#"
            Invalid: answer has 257 columns, more than 256
            Invalid: more than 1 rows: aggregate in the query or raise max_rows
            Invalid: column `c0`, row 1: a text of 65537 bytes, more than 65536
            Invalid: answer holds more than 268435456 bytes: aggregate in the query
            "#);
        assert_eq!(one.finish().rows.len(), 1);
    }
}
