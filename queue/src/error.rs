//! Why a log cannot be opened.

use std::path::{Path, PathBuf};

/// Why [`crate::LogDir::partition`] or [`crate::Log::open`] failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or this one, has the partition open for appending.
    #[error(
        "partition `{partition}` of the log {dir} is in use by process {holder}: stop it or choose another data_dir"
    )]
    InUse {
        /// The partition.
        partition: String,
        /// The log folder.
        dir: PathBuf,
        /// Process id of the holder, or `unknown`.
        holder: String,
    },
    /// The name cannot be a partition's.
    #[error("`{0}` is not a partition name: 1 to 64 of a-z, 0-9, `_` and `-`")]
    PartitionName(String),
    /// The folder was opened for reading.
    #[error("log {0} was opened for reading alone")]
    ReadOnly(PathBuf),
    /// A segment is damaged where it had been durable: not a torn write.
    #[error("log is damaged at {path} offset {offset}: {what}")]
    Damaged {
        /// The segment file.
        path: PathBuf,
        /// Offset in the partition.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
}

impl OpenError {
    /// Wraps an error of the system with what was tried and where.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_path_buf(), source }
    }
}
