//! The port to whatever holds business numbers.
//!
//! A source may be slow, hang or lie. It promises nothing but to end its work soon after the future of [`Source::sample`]
//! is dropped; the task around it owns deadline, retries and the record of what was missed.

use std::time::Duration;

use async_trait::async_trait;
use model::{MissedReason, Window};

use crate::Query;

/// Something that answers queries with rows.
#[async_trait]
pub trait Source: Send + Sync {
    /// The type's name in the configuration: `sqlite`, `http`, ...
    fn kind(&self) -> &'static str;

    /// Asks the query for one window. Waits for a free place while too many queries of this source run; the caller
    /// ends the wait and the query by dropping the future.
    ///
    /// # Errors
    /// [`SourceError`] saying what failed, without secrets.
    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError>;

    /// Sees whether the source is there and lets us in.
    ///
    /// # Errors
    /// [`SourceError`], as of a sampling.
    async fn probe(&self) -> Result<ProbeReport, SourceError>;
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest<'a> {
    /// What to ask.
    pub query: &'a Query,
    /// For which window.
    pub window: Window,
    /// More rows than this are an error.
    pub max_rows: usize,
    /// How long the caller will wait: an upper bound for what a source sets on its own side (a busy timeout).
    pub timeout: Duration,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// In words: `SQLite 3.50.4, 12 tables`, `HTTP 200`.
    pub detail: String,
}

/// A scalar as the source gave it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing: the number is missing, the label absent.
    Null,
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// A number.
    Float(f64),
    /// A text; a number when it reads as one (DECIMAL, CSV).
    Text(String),
    /// Truth; 1 or 0 as a number.
    Bool(bool),
}

/// An answer: named columns and rows of as many cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Column names, in the order of the answer.
    pub columns: Vec<String>,
    /// Rows; each has one cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// Whether asking again soon may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// A refused connection, a locked file, 503: asked again inside the deadline.
    Transient,
    /// A wrong statement, 401, rubbish: asked again at the next tick only.
    Permanent,
}

/// Why a source gave no rows. The message is for people and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What kind of failure, as it is recorded with the tick.
    pub reason: MissedReason,
    /// Whether asking again soon may help.
    pub persistence: Persistence,
    /// What happened, naming the thing.
    pub message: String,
    /// How long the source asked us to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl SourceError {
    /// The source could not be reached. Transient.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(MissedReason::Unreachable, Persistence::Transient, message)
    }

    /// The source did not answer in time. Not asked again: the time is used up.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(MissedReason::Timeout, Persistence::Permanent, message)
    }

    /// The source answered with an error that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(MissedReason::Error, Persistence::Transient, message)
    }

    /// The source answered with an error that stays.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(MissedReason::Error, Persistence::Permanent, message)
    }

    /// The answer was no valid rows.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(MissedReason::Invalid, Persistence::Permanent, message)
    }

    /// The same error with the wait the source asked for.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Whether asking again soon may help.
    pub fn is_transient(&self) -> bool {
        self.persistence == Persistence::Transient
    }

    fn new(reason: MissedReason, persistence: Persistence, message: impl Into<String>) -> Self {
        Self { reason, persistence, message: message.into(), retry_after: None }
    }
}
