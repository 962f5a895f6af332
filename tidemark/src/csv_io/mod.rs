//! Reading and writing CSV files and folders of them, for `detect` and `forecast`.
//!
//! `.csv` and `.csv.gz`, the second recognised by its first bytes. A result file appears under its name only once it
//! is whole. One bad file is reported and the others go on; nothing waits and nothing is retried.

mod files;
mod instant;
mod work;

pub(crate) use files::{Sink, column, need_column, open};
pub(crate) use instant::InstantReader;
pub(crate) use work::{Job, jobs, run_all};

use std::path::PathBuf;

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A result could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no CSV.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A column is missing.
    #[error("{}: no column `{column}`; its columns are {found}", path.display())]
    NoColumn {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: &'static str,
        /// What it has.
        found: String,
    },
    /// The input holds nothing to work on.
    #[error("{}: no .csv or .csv.gz file in it", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// Input and output are the same file.
    #[error("{}: the result would replace its input; give another --output", path.display())]
    Same {
        /// The file.
        path: PathBuf,
    },
    /// No row of the file can be used.
    #[error("{}: {message}", path.display())]
    Useless {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
}
