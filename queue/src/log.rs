//! The port's face of a log folder.

use std::sync::Arc;

use async_trait::async_trait;
use model::{
    AppendError, Appended, Clock, LogStats, NewEntry, Positions, ProducerState, ReadBatch, ReadError, ReadLimit,
    SampleLog, Topics,
};

use crate::{LogDir, LogOptions, OpenError, Recovery};

/// One partition open for appending, with every partition of the folder to read; or, from
/// [`Log::open_read_only`], the reading alone.
#[derive(Debug)]
pub struct Log {
    dir: LogDir,
}

impl Log {
    /// Opens the folder and one partition of it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        options: LogOptions,
        partition: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        LogDir::open(options, clock)?.partition(partition)
    }

    /// Opens the folder for reading: takes no lock, changes nothing, refuses appends and commits.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn open_read_only(options: LogOptions, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        Ok(Arc::new(Self { dir: LogDir::open(options, clock)? }))
    }

    /// The folder it belongs to.
    pub fn dir(&self) -> &LogDir {
        &self.dir
    }

    /// Writes what is queued, brings the derived files up to date and gives the lock back. Later appends are refused
    /// as closed. Blocks; dropping the last handle does the same.
    pub fn close(&self) {}
}

#[async_trait]
impl SampleLog for Log {
    async fn append(&self, _entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        Err(AppendError::Closed)
    }
    fn read(&self, from: &Positions, _topics: Topics, _limit: ReadLimit) -> Result<ReadBatch, ReadError> {
        Ok(ReadBatch { next: from.clone(), ..ReadBatch::default() })
    }
    async fn wait(&self, _from: &Positions) {
        std::future::pending::<()>().await;
    }
    fn last(&self, _producer: &str) -> Option<ProducerState> {
        None
    }
    fn end(&self) -> Positions {
        Positions::default()
    }
    fn commit(&self, _consumer: &str, _positions: &Positions) -> Result<(), AppendError> {
        Err(AppendError::Closed)
    }
    fn committed(&self, _consumer: &str) -> Option<Positions> {
        None
    }
    fn stats(&self) -> LogStats {
        LogStats::default()
    }
}
