//! The ports to the time-series database. They are two, because the replicas' consumer only writes and detector and
//! console only read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Labels, Positions, Timestamp};

/// The measurements Tidemark writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// First values of samples.
    Sample,
    /// First verdicts.
    Verdict,
    /// Alerts as annotations.
    Alert,
    /// The system's own health.
    Pipeline,
    /// Later values of samples, with tag `revision`.
    SampleRevision,
    /// Later verdicts, with tag `revision`.
    VerdictRevision,
}

impl Measurement {
    /// Every measurement.
    pub const ALL: [Self; 6] = [
        Self::Sample,
        Self::Verdict,
        Self::Alert,
        Self::Pipeline,
        Self::SampleRevision,
        Self::VerdictRevision,
    ];

    /// Its name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Verdict => "verdict",
            Self::Alert => "alert",
            Self::Pipeline => "pipeline",
            Self::SampleRevision => "sample_revision",
            Self::VerdictRevision => "verdict_revision",
        }
    }
}

/// A field's value. Floats are finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// Integer (`state`, `end_ms`).
    Integer(i64),
    /// Float.
    Float(f64),
    /// Text.
    Text(Arc<str>),
}

impl FieldValue {
    /// As a float; `None` for text.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(_) => None,
        }
    }
}

/// One point: what a replica stores. Tags hold `metric` (absent for `pipeline`) and the series' labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Measurement.
    pub measurement: Measurement,
    /// All tags, `metric` among them.
    pub tags: Labels,
    /// Start of the window.
    pub time: Timestamp,
    /// Fields, at least one.
    pub fields: Vec<(Arc<str>, FieldValue)>,
}

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Points stored.
    pub points: usize,
    /// Points the store refused for good, each with its reason; they are not tried again.
    pub refused: Vec<String>,
}

/// Why a write failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Try the same batch again.
    #[error("store {replica} cannot take the batch now: {message}")]
    Transient {
        /// Which replica.
        replica: String,
        /// Why.
        message: String,
        /// When the store asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// The same batch will never do.
    #[error("store {replica} refused the batch: {message}")]
    Permanent {
        /// Which replica.
        replica: String,
        /// Why.
        message: String,
    },
}

/// Writing to one replica. Called by that replica's consumer of the log and its repair, and by nobody else.
#[async_trait]
pub trait WriteSamples: Send + Sync {
    /// The replica's name in configuration and metrics.
    fn name(&self) -> &str;

    /// Takes points and the log positions they cover (all that was written before included). Writing the same points
    /// again changes nothing; at equal time the newest value of a field wins.
    ///
    /// When it returns the points are visible to readers. They are durable at the latest after [`Self::flush`]: a store
    /// may hold them in memory until then, because the log is its write-ahead log. It then makes points and positions
    /// durable in one transaction, and after a crash the consumer replays the log from [`Self::position`].
    ///
    /// # Errors
    /// [`WriteError`]; nothing or a part of the batch is visible then.
    async fn write(&self, points: &[Point], covered: &Positions) -> Result<Written, WriteError>;

    /// Takes points that another replica has and this one missed. They cover nothing of the log, and may come while
    /// [`Self::write`] is under way. Visible and durable as after a write.
    ///
    /// # Errors
    /// [`WriteError`]; nothing or a part of them is visible then.
    async fn fill(&self, points: &[Point]) -> Result<Written, WriteError>;

    /// The positions up to which everything is durable in the store itself; `None` for a store that keeps none (its
    /// writes are durable when they return, and the consumer uses the log's cursor). Such a store answers once with no
    /// positions at all when it finds that it lost everything: it is then fed anew from the oldest entry of the log.
    ///
    /// # Errors
    /// [`WriteError`].
    async fn position(&self) -> Result<Option<Positions>, WriteError>;

    /// Makes everything written so far durable, and the positions it covers. Does nothing in a store whose writes are
    /// durable when they return.
    ///
    /// # Errors
    /// [`WriteError`]; what was written stays visible and is tried again with the next flush.
    async fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }

    /// Drops what is older than the store's retention, measured from `now` (domain time); returns how many stored
    /// blocks went. Does nothing in a store that expires by itself.
    ///
    /// # Errors
    /// [`WriteError`]; nothing is dropped then.
    async fn expire(&self, _now: Timestamp) -> Result<usize, WriteError> {
        Ok(0)
    }
}

/// A half-open span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl TimeRange {
    /// All time.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// From the earlier start to the later end; an empty one adds nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Whether some instant is inside both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start.max(other.start) < self.end.min(other.end)
    }

    /// Whether no instant is inside.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A condition on a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The tag.
    pub tag: Arc<str>,
    /// The value it must have; empty: the tag must be absent.
    pub value: Arc<str>,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// From which measurement. For `sample` and `verdict` the highest revision is laid over the first values.
    pub measurement: Measurement,
    /// Conditions, all of which must hold; `metric` is a tag like any other.
    pub matchers: Vec<Matcher>,
    /// Which fields; empty means all.
    pub fields: Vec<Arc<str>>,
    /// Of which time.
    pub range: TimeRange,
    /// At most this many points a series, the newest; 0 means all.
    pub last: usize,
}

/// One series' points, in order of time, one row an instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SeriesData {
    /// All tags.
    pub tags: Labels,
    /// Instants, ascending, unique.
    pub times: Vec<Timestamp>,
    /// For each field a column as long as `times`; `None` where the point lacks the field.
    pub columns: BTreeMap<Arc<str>, Vec<Option<FieldValue>>>,
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
#[error("store {replica} cannot {operation}: {message}")]
pub struct StoreError {
    /// Which replica.
    pub replica: String,
    /// What was tried.
    pub operation: &'static str,
    /// Why not.
    pub message: String,
}

/// How far an answer reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Over all of the asked range.
    #[default]
    Whole,
    /// Not over all of it: no store that could be read has taken in everything of the asked range.
    Short(Shortfall),
}

/// Why an answer does not reach over all of the asked range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// The replica that answered.
    pub replica: String,
    /// Up to where it has everything, but for what it lacks when it is incomplete; `None` when it reaches over all of the
    /// range so, or that is not known.
    pub until: Option<Timestamp>,
    /// Whether it lacks a part of what is older, too, which is being copied to it.
    pub incomplete: bool,
}

/// Reading from the time-series database.
#[async_trait]
pub trait ReadSeries: Send + Sync {
    /// Series that match, in order of tags; a series without a point in the range is left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn read(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError>;

    /// The tag sets that match, whatever their time.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn series(&self, measurement: Measurement, matchers: &[Matcher])
    -> Result<Vec<Labels>, StoreError>;

    /// The same as [`Self::read`] with nothing laid over anything: of `sample` and `verdict` the first values alone, as
    /// they were written. What one store gives so can be written to another.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError>;

    /// The same as [`Self::read`], with how far the answer reaches. One store alone answers with what it has.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn read_with_reach(&self, query: &SeriesQuery) -> Result<(Vec<SeriesData>, Reach), StoreError> {
        Ok((self.read(query).await?, Reach::Whole))
    }
}
