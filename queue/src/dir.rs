//! The log folder.

use std::sync::Arc;

use model::Clock;

use crate::{ConsumerKind, Log, LogOptions, OpenError, Recovery};

/// A log folder, opened by one process; cheap to clone. Several partitions of it may be open for appending in one
/// process, and an append to one of them wakes who waits on any.
#[derive(Clone, Debug)]
pub struct LogDir {
    options: Arc<LogOptions>,
    clock: Arc<dyn Clock>,
}

impl LogDir {
    /// Opens the folder for appending, making it when absent.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn open(options: LogOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(Self { options: Arc::new(options), clock })
    }

    /// Opens a partition for appending: takes its lock, recovers it and starts its writer.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn partition(&self, name: &str) -> Result<(Arc<Log>, Recovery), OpenError> {
        let _ = (&self.clock, &self.options);
        Err(OpenError::PartitionName(name.to_owned()))
    }

    /// Registers a consumer so that retention keeps what it has not passed, or changes its kind.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn register(&self, consumer: &str, kind: ConsumerKind) -> Result<(), OpenError> {
        let _ = (consumer, kind);
        Ok(())
    }
}
