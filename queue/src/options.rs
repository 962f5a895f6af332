//! What a log can be told, and what opening one tells back.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{Ratio, SeriesKey, Timestamp};
use serde::{Deserialize, Serialize};

/// Settings of a log folder; the defaults are those of production.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The folder; each partition is a folder in it. Made when absent.
    pub dir: PathBuf,
    /// Most bytes the segments of all partitions may take; an append that would exceed it is refused when nothing can
    /// be deleted. Default 8 GiB.
    pub max_bytes: u64,
    /// History kept although every consumer has passed it, so that tools can look back. Default 1 GiB.
    pub keep_bytes: u64,
    /// Size at which a segment is closed and the next begun (a frame is never split). At most a quarter of `max_bytes`
    /// is used. Default 64 MiB.
    pub segment_bytes: u64,
    /// Largest encoded batch. Default 16 MiB.
    pub max_frame_bytes: u64,
    /// Batches that may wait for a partition's writer; when full, `append` waits. Default 64.
    pub queue_frames: usize,
    /// Bytes of the batches that may be under way to a partition's disk, estimated from above; beyond that `append`
    /// waits. A batch larger than all of it goes alone. Default 64 MiB.
    pub queue_bytes: u32,
    /// Bytes after which the derived files (index, producers) are brought up to date; so many bytes at most are read
    /// again after a crash. Default 32 MiB.
    pub checkpoint_bytes: u64,
    /// How often `wait` looks for frames of other processes. Frames of this process wake it at once. Default 200 ms.
    pub poll: Duration,
    /// Where revisions of windows older than 28 days are looked up. Without it such a window whose day the index no
    /// longer holds begins anew at revision 0.
    pub older: Option<Arc<dyn OlderSamples>>,
}

impl LogOptions {
    /// The defaults, for this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 8 << 30,
            keep_bytes: 1 << 30,
            segment_bytes: 64 << 20,
            max_frame_bytes: 16 << 20,
            queue_frames: 64,
            queue_bytes: 64 << 20,
            checkpoint_bytes: 32 << 20,
            poll: Duration::from_millis(200),
            older: None,
        }
    }

    /// The segment size in effect: small enough that deleting one segment makes room in a small log.
    pub(crate) fn effective_segment_bytes(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 4).max(1)
    }
}

/// The newest value a store holds of a window the log's own index has forgotten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OlderSample {
    /// Its revision.
    pub revision: u32,
    /// Its value.
    pub value: f64,
    /// Its ratio, when the metric is a rate.
    pub ratio: Option<Ratio>,
}

/// Looks up samples of windows older than 28 days, usually in a time-series store.
///
/// Called on the writer's thread: an append waits for the answer, so it has a deadline of a few seconds.
pub trait OlderSamples: Send + Sync + fmt::Debug {
    /// The value of highest revision of (series, window start); `None` when there is none.
    ///
    /// # Errors
    /// Why it cannot be told now, in a sentence. The append is then refused ([`model::AppendError::Older`]): taking the
    /// value as not there could write a second first one.
    fn latest(&self, series: &SeriesKey, window_start: Timestamp) -> Result<Option<OlderSample>, String>;
}

/// What retention may do to a consumer when the log is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerKind {
    /// Its segments are never released before it passed them (detector, notifier, a backfill tool).
    #[default]
    Keeper,
    /// A TSDB replica: in a full log a segment is released before it passed it, provided another replica has passed
    /// it; it is then marked incomplete until it is repaired ([`model::ReplicaLedger`]).
    Replica,
}

/// What opening a partition found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The partition.
    pub partition: String,
    /// Offset after its last frame.
    pub end: u64,
    /// A half-written tail that was cut off.
    pub cut: Option<CutTail>,
    /// Frames read again because the derived files did not cover them yet.
    pub replayed_frames: u64,
    /// Their bytes.
    pub replayed_bytes: u64,
    /// Whether the revision index was absent or damaged and was made anew from the log.
    pub index_rebuilt: bool,
}

/// A tail cut off at opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutTail {
    /// The segment file.
    pub path: PathBuf,
    /// Offset in the partition from which on it was cut.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Whether the file was shorter than what had been acknowledged as durable: the disk lost data it had promised
    /// to hold. False for the ordinary torn write of a crash.
    pub acknowledged_lost: bool,
}
