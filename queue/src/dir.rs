//! The log folder.

use std::io;
use std::sync::Arc;

use model::{Clock, Missed, Released, ReplicaLedger, SampleLog};

use crate::cursors::Cursor;
use crate::disk::{Disk, RealDisk};
use crate::log::Log;
use crate::shared::{Shared, is_partition_name};
use crate::writer::Writer;
use crate::{ConsumerKind, LogOptions, OpenError, Recovery, recovery};

/// A log folder, opened by one process; cheap to clone. Several partitions of it may be open for appending in one
/// process, and an append to one of them wakes who waits on any.
#[derive(Clone, Debug)]
pub struct LogDir {
    pub(crate) shared: Arc<Shared>,
}

impl LogDir {
    /// Opens the folder, making it when absent.
    ///
    /// # Errors
    /// [`OpenError::Io`], also for a cursor file that is none.
    pub fn open(options: LogOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_on(options, clock, Arc::new(RealDisk))
    }

    pub(crate) fn open_on(
        options: LogOptions,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, OpenError> {
        Ok(Self { shared: Arc::new(Shared::open(options, clock, disk, false)?) })
    }

    /// Opens the folder for reading: takes no lock and changes nothing.
    ///
    /// # Errors
    /// [`OpenError::Io`], also when there is no such folder.
    pub fn open_read_only(options: LogOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(Self { shared: Arc::new(Shared::open(options, clock, Arc::new(RealDisk), true)?) })
    }

    /// Opens a partition for appending: takes its lock, recovers it and starts its writer.
    ///
    /// # Errors
    /// [`OpenError`]: the lock is taken, the log is damaged, the disk failed.
    pub fn partition(&self, name: &str) -> Result<(Arc<Log>, Recovery), OpenError> {
        if !is_partition_name(name) {
            return Err(OpenError::PartitionName(name.to_owned()));
        }
        self.check_writable()?;
        let opened = recovery::open(&self.shared, name)?;
        let recovery = opened.recovery.clone();
        let (writer, partition) = Writer::new(Arc::clone(&self.shared), opened);
        let log = Log::start(self.clone(), Arc::clone(&partition), writer)?;
        self.shared.adopt(partition);
        self.shared.notify();
        Ok((Arc::new(log), recovery))
    }

    /// A handle that reads every partition and commits, but appends to none.
    pub fn reader(&self) -> Arc<Log> {
        Arc::new(Log::reader(self.clone()))
    }

    /// Registers a consumer so that retention keeps what it has not passed, or changes its kind. Durable when it
    /// returns. Register before the first append what must not miss anything.
    ///
    /// # Errors
    /// [`OpenError::Io`] when its cursor cannot be written.
    pub fn register(&self, consumer: &str, kind: ConsumerKind) -> Result<(), OpenError> {
        self.change(consumer, |cursor| cursor.kind = kind)
    }

    /// Forgets a consumer that will not come back: nothing is kept for it any more.
    ///
    /// # Errors
    /// [`OpenError::Io`] when its cursor cannot be deleted.
    pub fn unregister(&self, consumer: &str) -> Result<(), OpenError> {
        self.check_writable()?;
        let mut cursors = self.shared.cursors();
        let path = cursors.path(consumer);
        cursors.remove(consumer).map_err(OpenError::io("delete", &path))
    }

    /// The registered consumers.
    pub fn consumers(&self) -> Vec<(String, ConsumerKind)> {
        self.shared.cursors().iter().map(|cursor| (cursor.consumer.clone(), cursor.kind)).collect()
    }

    /// Health of the whole folder; the same as any handle's [`SampleLog::stats`].
    pub fn stats(&self) -> model::LogStats {
        self.reader().stats()
    }

    /// Why a partition of this process takes no append until it is opened again, in a sentence that names the file: a
    /// sync failed, and nobody knows what is on disk. `None` while all are well; a full disk is no such failure.
    pub fn poisoned(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Waits until [`LogDir::poisoned`] has something to say, and says it: the process should end then, so that the
    /// next start recovers the partition.
    pub async fn failed(&self) -> String {
        let mut failures = self.shared.subscribe_failures();
        loop {
            if let Some(sentence) = self.poisoned() {
                return sentence;
            }
            if failures.changed().await.is_err() {
                // The sender lives as long as this handle.
                std::future::pending::<()>().await;
            }
        }
    }

    fn change(&self, consumer: &str, edit: impl FnOnce(&mut Cursor)) -> Result<(), OpenError> {
        self.check_writable()?;
        let mut cursors = self.shared.cursors();
        let path = cursors.path(consumer);
        cursors.change(consumer, edit).map_err(OpenError::io("write", &path))
    }

    fn check_writable(&self) -> Result<(), OpenError> {
        if self.shared.read_only { Err(OpenError::ReadOnly(self.shared.options.dir.clone())) } else { Ok(()) }
    }
}

impl ReplicaLedger for LogDir {
    fn missed(&self, consumer: &str) -> io::Result<Option<Missed>> {
        Ok(self.shared.cursors().fresh(consumer)?.and_then(Cursor::missed))
    }

    fn mark(&self, consumer: &str, missed: Missed) -> io::Result<()> {
        self.check_writable().map_err(io::Error::other)?;
        self.shared.cursors().change(consumer, |cursor| cursor.miss(missed))
    }

    fn account(&self, consumer: &str, gone: &Released) -> io::Result<Option<Missed>> {
        self.check_writable().map_err(io::Error::other)?;
        let mut missed = None;
        self.shared.cursors().change(consumer, |cursor| {
            let bytes = cursor.noted.account(gone);
            if bytes > 0 {
                cursor.miss(Missed { bytes, span: None });
            }
            missed = cursor.missed();
        })?;
        Ok(missed)
    }

    fn repaired(&self, consumer: &str, seen: Missed, left: Option<Missed>) -> io::Result<bool> {
        self.check_writable().map_err(io::Error::other)?;
        let mut unchanged = false;
        self.shared.cursors().change(consumer, |cursor| {
            unchanged = cursor.missed() == Some(seen);
            if unchanged {
                cursor.set_missed(left);
            }
        })?;
        Ok(unchanged)
    }
}
