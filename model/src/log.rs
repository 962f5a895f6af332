//! The port to the durable log, the spine of Tidemark.
//!
//! Each role appends to one partition of its own and reads all of them. A topic is the entries of that name over all
//! partitions.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AlertTransition, PipelinePoint, SeriesKey, Tick, TimeRange, Timestamp, Verdict, Window};

/// The topics, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// One entry for every due tick.
    Samples,
    /// Verdicts.
    Verdicts,
    /// Alert transitions.
    Alerts,
    /// The system's own health.
    Pipeline,
    /// What people said of windows.
    Labels,
    /// Points that came by the Influx API.
    Foreign,
}

impl Topic {
    /// Every topic, in order of its stored number.
    pub const ALL: [Self; 6] =
        [Self::Samples, Self::Verdicts, Self::Alerts, Self::Pipeline, Self::Labels, Self::Foreign];

    /// Name as it stands in metrics and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Verdicts => "verdicts",
            Self::Alerts => "alerts",
            Self::Pipeline => "pipeline",
            Self::Labels => "labels",
            Self::Foreign => "foreign",
        }
    }
}

/// A set of topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topics(u8);

impl Topics {
    /// The set of these topics.
    pub const fn of(topics: &[Topic]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < topics.len() {
            bits |= 1 << topics[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the topic is in it.
    pub const fn contains(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u8) != 0
    }
}

/// A place in the log: the frame at `offset` bytes of a partition, and the entry's place in that frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition's name: the role that writes it.
    pub partition: Arc<str>,
    /// Byte offset of the frame since the partition began; never reused, only grows.
    pub offset: u64,
    /// Index of the entry in the frame.
    pub index: u32,
}

/// How far a consumer is: for each partition the offset of the next frame it wants. A partition that is not named
/// begins at its oldest entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(pub BTreeMap<Arc<str>, u64>);

impl Positions {
    /// The next wanted offset of a partition; 0 when not named.
    pub fn next(&self, partition: &str) -> u64 {
        self.0.get(partition).copied().unwrap_or(0)
    }

    /// Whether this is at least as far as `other` in every partition `other` names.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(partition, offset)| self.next(partition) >= *offset)
    }
}

/// Parts of the log that went: of each partition the offsets from one up to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Released(pub BTreeMap<Arc<str>, Range<u64>>);

impl Released {
    /// Adds a part. What it does not touch of the same partition is forgotten: parts go in order.
    pub fn add(&mut self, partition: &Arc<str>, part: Range<u64>) {
        let known = self.0.entry(Arc::clone(partition)).or_insert_with(|| part.clone());
        let touches = part.start <= known.end && known.start <= part.end;
        *known = if touches { known.start.min(part.start)..known.end.max(part.end) } else { part };
    }

    /// Forgets the parts that a consumer at these positions has behind it.
    pub fn forget(&mut self, passed: &Positions) {
        self.0.retain(|partition, part| part.end > passed.next(partition));
    }

    /// Adds what was found gone; how many bytes of that were not in here before.
    pub fn account(&mut self, gone: &Self) -> u64 {
        let mut bytes = 0;
        for (partition, part) in &gone.0 {
            let known = self.0.get(partition).cloned().unwrap_or_default();
            let both = known.end.min(part.end).saturating_sub(known.start.max(part.start));
            bytes += part.end.saturating_sub(part.start).saturating_sub(both);
            self.add(partition, part.clone());
        }
        bytes
    }
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Topic `samples`.
    Tick(Tick),
    /// Topic `verdicts`: the verdicts of one tick of one metric.
    Verdicts(Vec<Verdict>),
    /// Topic `alerts`.
    Alert(Box<AlertTransition>),
    /// Topic `pipeline`.
    Pipeline(PipelinePoint),
    /// Topic `labels`.
    Label(LabelMark),
    /// Topic `foreign`: a batch of line protocol.
    Foreign {
        /// Database or bucket it was written to.
        database: String,
        /// The lines, timestamps in nanoseconds.
        lines: Vec<u8>,
    },
}

impl Body {
    /// The topic it belongs to.
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Tick(_) => Topic::Samples,
            Self::Verdicts(_) => Topic::Verdicts,
            Self::Alert(_) => Topic::Alerts,
            Self::Pipeline(_) => Topic::Pipeline,
            Self::Label(_) => Topic::Labels,
            Self::Foreign { .. } => Topic::Foreign,
        }
    }

    /// From the first to after the last of the times its points have in a store; `None` when it becomes none.
    pub fn span(&self) -> Option<TimeRange> {
        let times: (Timestamp, Timestamp) = match self {
            Self::Tick(tick) if tick.samples().is_empty() => return None,
            Self::Tick(tick) => (tick.window.start, tick.window.start),
            Self::Verdicts(verdicts) => {
                let starts = verdicts.iter().map(|verdict| verdict.window.start);
                (starts.clone().min()?, starts.max()?)
            }
            Self::Alert(alert) => (alert.id.starts_at, alert.id.starts_at),
            Self::Pipeline(reading) => (reading.at, reading.at),
            Self::Label(_) | Self::Foreign { .. } => return None,
        };
        Some(TimeRange { start: times.0, end: times.1 + Duration::from_nanos(1) })
    }
}

/// What a person said of a stretch of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelMark {
    /// The series, or every series of the metric when it has no labels.
    pub series: SeriesKey,
    /// The stretch.
    pub window: Window,
    /// `anomaly`, `normal` or `promotion`.
    pub label: String,
    /// Who said so.
    pub author: String,
}

/// An entry to append.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// Metric name (sampler name for ticks).
    pub key: Arc<str>,
    /// Who produces: `sampler/orders`, `detector`, ...; its sequences only grow.
    pub producer: Arc<str>,
    /// Number of this entry among its producer's; must exceed the producer's last one, else the entry was appended
    /// before and is skipped.
    pub sequence: u64,
    /// Opaque position of the producer's own input that this entry covers.
    pub source_position: Vec<u8>,
    /// What it carries.
    pub body: Body,
}

/// An entry as it was appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// Metric name (sampler name for ticks).
    pub key: Arc<str>,
    /// Who produced it.
    pub producer: Arc<str>,
    /// Its number among its producer's.
    pub sequence: u64,
    /// Opaque position of the producer's input.
    pub source_position: Vec<u8>,
    /// Civil time of the append.
    pub appended_at: Timestamp,
    /// What it carries.
    pub body: Body,
}

/// The answer of an append: everything in it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Appended {
    /// How many entries were written.
    pub written: usize,
    /// How many entries were skipped because their sequence was there before.
    pub skipped: usize,
    /// How many samples were dropped because an equal one of the same (series, window start) was there before.
    pub duplicate_samples: usize,
    /// Positions just after this append, in the partition appended to.
    pub end: Positions,
}

/// A producer's last durable word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Its last sequence.
    pub sequence: u64,
    /// The source position of its last entry.
    pub source_position: Vec<u8>,
}

/// Why an append was refused. Nothing of the batch is visible then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log is at `max_bytes` and every segment is still needed. Transient: try again when consumers caught up.
    #[error("log is full: {used_bytes} of {max_bytes} bytes, and {held_by} still needs the oldest segment")]
    Full {
        /// Bytes in use.
        used_bytes: u64,
        /// The limit.
        max_bytes: u64,
        /// The consumer that holds the oldest segment.
        held_by: String,
    },
    /// The batch is larger than a frame may be. Permanent.
    #[error("batch of {bytes} bytes is larger than a frame may be ({limit} bytes): split it")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The disk failed. A full disk refuses this batch alone: later ones are taken once there is space. After a failed
    /// fsync nobody knows what is on disk, and the partition refuses until it is opened again.
    #[error("cannot write the log at {path}")]
    Io {
        /// The file.
        path: String,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A sample is older than the log's own index reaches, and the store that knows the rest did not answer: its revision
    /// cannot be told. Transient: try again.
    #[error("cannot look up what is stored of {series} at {window_start}: {message}")]
    Older {
        /// The sample's series.
        series: SeriesKey,
        /// Its window.
        window_start: Timestamp,
        /// What the store said.
        message: String,
    },
    /// The log was closed.
    #[error("log is closed")]
    Closed,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A frame in the middle of the log is damaged.
    #[error("log is damaged at {path} offset {offset}: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// Offset in the partition.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error("cannot read the log at {path}")]
    Io {
        /// The file.
        path: String,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// How much one read may bring. At least one frame is brought when there is one.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Stop after this many entries (a frame is never split, so it may be exceeded by one frame).
    pub entries: usize,
    /// Stop after this many bytes of frames.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 4 << 20 }
    }
}

/// What a read brought.
#[derive(Clone, Debug, Default)]
pub struct ReadBatch {
    /// Entries of the wanted topics, in order within each partition; whole frames only.
    pub entries: Vec<Entry>,
    /// Where to read on. Further than the entries when frames of other topics were passed over.
    pub next: Positions,
    /// Entries of unknown kinds that were skipped.
    pub unknown: usize,
    /// Bytes lost to retention before the wanted offset (0 for a consumer that commits its positions).
    pub lost_bytes: u64,
    /// Where these were.
    pub lost: Released,
}

/// The log's own health.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogStats {
    /// Bytes on disk, all partitions.
    pub bytes: u64,
    /// The limit.
    pub max_bytes: u64,
    /// Segments on disk.
    pub segments: usize,
    /// For each registered consumer the bytes between its cursor and the end of the log.
    pub lag_bytes: BTreeMap<String, u64>,
    /// Replicas for which a full log released segments they had not read, with the bytes they missed; they stay here
    /// until they are declared repaired.
    pub incomplete: BTreeMap<String, u64>,
}

/// What a replica has missed for good: entries that went before it had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Bytes of the log it has not seen, since it was last whole.
    pub bytes: u64,
    /// The times of the points it may lack; `None` when they are not known, so that everything is to be copied.
    pub span: Option<TimeRange>,
}

impl Missed {
    /// Whether some of it may lie in a span; `None` is all time.
    pub fn touches(self, span: Option<TimeRange>) -> bool {
        self.span.zip(span).is_none_or(|(missed, wanted)| missed.overlaps(wanted))
    }

    /// This and another one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let span = self.span.zip(other.span).map(|(a, b)| a.and(b));
        Self { bytes: self.bytes.saturating_add(other.bytes), span }
    }
}

/// The ledger of replicas that are incomplete. Durable, and shared by every process that has the log open.
///
/// All methods touch the disk: call them where blocking is allowed.
pub trait ReplicaLedger: Send + Sync {
    /// What a consumer missed; `None` when it has everything.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn missed(&self, consumer: &str) -> io::Result<Option<Missed>>;

    /// Adds to what a consumer missed. Durable when it returns.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    fn mark(&self, consumer: &str, missed: Missed) -> io::Result<()>;

    /// Notes what a consumer found gone when it read on, but for what the log noted when it released it and the
    /// consumer has not passed since, be that repaired or not. The rest was lost to a store that is new or was put back,
    /// and nobody knows its times. Gives all that the consumer misses now. Durable when it returns.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    fn account(&self, consumer: &str, gone: &Released) -> io::Result<Option<Missed>>;

    /// A consumer that had missed `seen` now lacks `left` (`None`: nothing). Does nothing and gives `false` when it has
    /// missed more meanwhile. Durable when it returns.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    fn repaired(&self, consumer: &str, seen: Missed, left: Option<Missed>) -> io::Result<bool>;
}

/// The durable log.
///
/// An append is one frame under one CRC: all or none of it is visible, after a crash too. It returns once the frame
/// is durable (fsync), and waits while the bounded queue to the writer is full (backpressure).
#[async_trait]
pub trait SampleLog: Send + Sync {
    /// Appends entries to this role's partition as one frame. Samples get their revision here: a sample equal to what
    /// the log holds for (series, window start) is dropped and counted, a different one becomes the next revision. The
    /// tick's entry itself is written even when all its samples were dropped.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the batch is visible then. When the future is dropped half-way the batch is either
    /// wholly written or not at all, and `last` tells.
    async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError>;

    /// Reads entries of the wanted topics from `from` on, from every partition, without blocking for new ones: when
    /// there is nothing, the batch is empty. Touches the disk: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`ReadError`] naming file and offset.
    fn read(&self, from: &Positions, topics: Topics, limit: ReadLimit) -> Result<ReadBatch, ReadError>;

    /// Completes once some partition has a frame at or after `from`. Also may complete without one; read to see.
    async fn wait(&self, from: &Positions);

    /// A producer's last durable sequence and source position, over all partitions.
    fn last(&self, producer: &str) -> Option<ProducerState>;

    /// The end of the log: positions after the last durable frame of every partition.
    fn end(&self) -> Positions;

    /// Makes sure segments from the consumer's position on are kept. Registers the consumer when new.
    ///
    /// # Errors
    /// [`AppendError::Io`] when the cursor could not be written; the old one then stands.
    fn commit(&self, consumer: &str, positions: &Positions) -> Result<(), AppendError>;

    /// The consumer's last committed positions; `None` when it never committed.
    fn committed(&self, consumer: &str) -> Option<Positions>;

    /// Health.
    fn stats(&self) -> LogStats;
}
