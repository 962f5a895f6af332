//! Samples and ticks: what a sampler brings home.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{SeriesKey, Window};

/// How a tick came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Sampled on schedule.
    Live,
    /// History taken in afterwards: learned from and judged, never notified.
    Backfill,
    /// Pushed from outside.
    Push,
}

/// Numerator and denominator of a rate, sampled together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// How many of the denominator had the property.
    pub numerator: f64,
    /// How many there were.
    pub denominator: f64,
}

/// One number of one series in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Whose number it is.
    pub series: SeriesKey,
    /// The number; always finite. For a rate numerator / denominator.
    pub value: f64,
    /// Present when the metric is a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// 0 for the first value of (series, window start); each different later value counts one up. Set by the log
    /// inside append, whatever the writer put here.
    #[serde(default)]
    pub revision: u32,
}

/// Why a due tick brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedReason {
    /// The source did not answer within the sampler's timeout.
    Timeout,
    /// The source could not be reached.
    Unreachable,
    /// The source answered with an error.
    Error,
    /// The source's answer was no valid rows (text, NaN, two rows for one series, too large, not UTF-8).
    Invalid,
    /// The previous tick of this sampler was still running.
    Overrun,
    /// The log refused the tick because it was full.
    Full,
    /// Tidemark was not running.
    Down,
}

impl MissedReason {
    /// Every reason, in order of declaration.
    pub const ALL: [Self; 7] =
        [Self::Timeout, Self::Unreachable, Self::Error, Self::Invalid, Self::Overrun, Self::Full, Self::Down];

    /// The reason's name as it stands in logs, metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Error => "error",
            Self::Invalid => "invalid",
            Self::Overrun => "overrun",
            Self::Full => "full",
            Self::Down => "down",
        }
    }
}

/// What a tick brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// The source answered with at least one number. A series that is absent had none (NULL or no row).
    Rows(Vec<Sample>),
    /// The source answered: there is nothing.
    Empty,
    /// The source did not answer, or was not asked.
    Missed {
        /// Why.
        reason: MissedReason,
        /// The error in words, for people; without secrets.
        message: String,
    },
}

/// The one entry every due tick of a sampler leaves in the topic `samples`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// The sampler's name; also the entry's key and producer.
    pub sampler: Arc<str>,
    /// Full names of the metrics the sampler feeds, so that a miss is a miss of each.
    pub metrics: Vec<Arc<str>>,
    /// The window; of a range of missed ticks the whole span.
    pub window: Window,
    /// How many ticks this entry stands for: 1, or more for a range of missed ones, whose windows are `window` split
    /// into this many equal parts.
    pub ticks: u32,
    /// How it came to be.
    pub origin: Origin,
    /// What it brought.
    pub outcome: TickOutcome,
    /// How long the source took, in milliseconds; 0 when it was not asked.
    pub duration_ms: u64,
}

impl Tick {
    /// The windows this entry speaks of, oldest first.
    pub fn windows(&self) -> impl Iterator<Item = Window> {
        self.window.split(self.ticks)
    }

    /// The samples; none when empty or missed.
    pub fn samples(&self) -> &[Sample] {
        match &self.outcome {
            TickOutcome::Rows(samples) => samples,
            TickOutcome::Empty | TickOutcome::Missed { .. } => &[],
        }
    }

    /// Whether the source answered (rows or empty).
    pub fn answered(&self) -> bool {
        !matches!(self.outcome, TickOutcome::Missed { .. })
    }
}
