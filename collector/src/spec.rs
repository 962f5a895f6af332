//! What to sample, and when.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::Query;

/// When a sampler runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Every interval; intervals divide 24 h, under 1 h they align to UTC, from 1 h on to local midnight.
    Interval(Duration),
    /// At the instants of a cron expression (seconds first, day names only), in the sampler's zone; each tick's
    /// window is the `window` before it.
    Cron {
        /// The expression.
        expression: String,
        /// Length of each window.
        window: Duration,
    },
}

/// A value column and the metric it feeds.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueSpec {
    /// Full metric name: the sampler's own when it has one value, else `sampler.value`.
    pub metric: Arc<str>,
    /// Column of the rows; `None` = the one column that is no label.
    pub column: Option<String>,
    /// Column of the numerator, of a rate.
    pub numerator: Option<String>,
    /// Column of the denominator, of a rate.
    pub denominator: Option<String>,
}

/// The unit of scheduling: one query, one schedule, one or more metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerSpec {
    /// Its name: the `name` of the entry under `metrics`.
    pub name: Arc<str>,
    /// Name of its source.
    pub source: String,
    /// What to ask.
    pub query: Query,
    /// When.
    pub schedule: Schedule,
    /// How long after a window's end it is asked, so that late rows are there.
    pub delay: Duration,
    /// How long the source may take.
    pub timeout: Duration,
    /// Zone of schedule and local midnights.
    pub timezone: Tz,
    /// Columns that become labels.
    pub labels: Vec<String>,
    /// Labels every series gets.
    pub static_labels: Vec<(String, String)>,
    /// Value columns.
    pub values: Vec<ValueSpec>,
    /// At most this many rows are taken; more is an error.
    pub max_rows: usize,
}
