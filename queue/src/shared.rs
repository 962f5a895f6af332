//! What all handles of a log folder share in one process.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::{Clock, Positions};
use tokio::sync::watch;

use crate::cursors::Cursors;
use crate::decode::Decoder;
use crate::disk::Disk;
use crate::partition::Partition;
use crate::{LogOptions, OpenError};

/// Name of the folder of cursors, which no partition may have.
pub(crate) const CURSORS: &str = "cursors";

/// What all handles of a log folder share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: LogOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) decoder: Decoder,
    pub(crate) counters: Counters,
    /// Opened for reading alone: nothing in the folder may be changed.
    pub(crate) read_only: bool,
    partitions: RwLock<BTreeMap<Arc<str>, Arc<Partition>>>,
    cursors: Mutex<Cursors>,
    /// Counts up whenever a partition of this process has new frames.
    changed: watch::Sender<u64>,
    /// Counts up whenever a partition of this process fails for good.
    failures: watch::Sender<u64>,
    /// One at a time decides what to delete.
    pub(crate) retention: Mutex<()>,
}

/// What happened since the folder was opened, for `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended_entries: AtomicU64,
    pub(crate) appended_bytes: AtomicU64,
    pub(crate) skipped_entries: AtomicU64,
    pub(crate) duplicate_samples: AtomicU64,
    pub(crate) revised_samples: AtomicU64,
    pub(crate) refused_appends: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) unknown_entries: AtomicU64,
    pub(crate) deleted_segments: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Shared {
    /// Opens a folder.
    pub(crate) fn open(
        options: LogOptions,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        read_only: bool,
    ) -> Result<Self, OpenError> {
        let dir = options.dir.clone();
        if read_only {
            std::fs::read_dir(&dir).map_err(OpenError::io("open", &dir))?;
        } else {
            let cursors = dir.join(CURSORS);
            std::fs::create_dir_all(&cursors).map_err(OpenError::io("make", &cursors))?;
            crate::disk::sync_dir(&dir).map_err(OpenError::io("sync", &dir))?;
        }
        let cursors = Cursors::open(&dir).map_err(OpenError::io("read the cursors of", &dir))?;
        let shared = Self {
            options,
            clock,
            disk,
            decoder: Decoder::default(),
            counters: Counters::default(),
            read_only,
            partitions: RwLock::default(),
            cursors: Mutex::new(cursors),
            changed: watch::Sender::new(0),
            failures: watch::Sender::new(0),
            retention: Mutex::default(),
        };
        shared.refresh().map_err(OpenError::io("list", &dir))?;
        Ok(shared)
    }

    /// Looks for partitions and frames of other processes.
    pub(crate) fn refresh(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.options.dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_partition_name(name)) else { continue };
            let known = self.partition(name);
            let partition = match known {
                Some(partition) => partition,
                None if self.options.dir.join(name).is_dir() => {
                    self.insert_new(Partition::foreign(name, self.options.dir.join(name)))
                }
                None => continue,
            };
            partition.refresh()?;
        }
        Ok(())
    }

    fn insert_new(&self, partition: Partition) -> Arc<Partition> {
        let mut all = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(Arc::clone(&partition.name)).or_insert_with(|| Arc::new(partition)))
    }

    /// Puts a partition this process has opened in the place of the foreign view of it.
    pub(crate) fn adopt(&self, partition: Arc<Partition>) {
        let mut all = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(Arc::clone(&partition.name), partition);
    }

    /// A partition in view.
    pub(crate) fn partition(&self, name: &str) -> Option<Arc<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Every partition in view, by name.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The cursors.
    pub(crate) fn cursors(&self) -> MutexGuard<'_, Cursors> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for frames.
    pub(crate) fn notify(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Completes at each [`Shared::notify`].
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Notes that a partition takes nothing more until it is opened again, and why.
    pub(crate) fn fail(&self, partition: &Partition, sentence: String) {
        partition.fail(sentence);
        self.failures.send_modify(|count| *count += 1);
    }

    /// Why a partition takes nothing more, if one does not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.partitions().iter().find_map(|partition| partition.failure())
    }

    /// Completes at each [`Shared::fail`].
    pub(crate) fn subscribe_failures(&self) -> watch::Receiver<u64> {
        self.failures.subscribe()
    }

    /// The end of every partition.
    pub(crate) fn end(&self) -> Positions {
        Positions(self.partitions().iter().map(|p| (Arc::clone(&p.name), p.end())).collect())
    }

    /// Bytes of all segments.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.partitions().iter().map(|partition| partition.bytes()).sum()
    }
}

/// Whether a name can be a partition's (and its folder's).
pub(crate) fn is_partition_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name != CURSORS
}
