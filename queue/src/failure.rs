//! Why the writer refused, kept so that several appends can be told the same, and which failures pass by themselves.

use std::io;
use std::path::Path;

use model::AppendError;

/// A failed write: on which file, and the system's word.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    path: String,
    kind: io::ErrorKind,
    what: String,
}

impl Failure {
    /// What the system said about this file.
    pub(crate) fn new(path: &Path, error: &io::Error) -> Self {
        Self { path: path.display().to_string(), kind: error.kind(), what: error.to_string() }
    }

    /// As an append is answered.
    pub(crate) fn error(&self) -> AppendError {
        AppendError::Io { path: self.path.clone(), source: io::Error::new(self.kind, self.what.clone()) }
    }

    /// For the process that has to stop.
    pub(crate) fn sentence(&self, partition: &str) -> String {
        format!(
            "log partition `{partition}` takes nothing until it is opened again, because {} failed: {}",
            self.path, self.what
        )
    }
}

/// Whether the failure passes once there is room again: it says nothing about what is on disk.
pub(crate) fn is_lack_of_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | WriteZero | OutOfMemory)
}
