//! The system's own health, as entries of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Body, NewEntry, Timestamp};

/// What part of the pipeline a point speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineKind {
    /// A sampler: `duration_ms`, `rows`, `missed`, `errors`.
    Sampler,
    /// A consumer of the log: `lag_entries` (estimated when it is far behind), `lag_secs` (age of the oldest of them).
    Consumer,
    /// A delivery channel: `delivered`, `failed`, `unknown` since the reading before, and `queued` now.
    Channel,
    /// The log: `bytes`, `max_bytes`, `depth_pct`.
    Log,
}

impl PipelineKind {
    /// The tag value `kind` in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sampler => "sampler",
            Self::Consumer => "consumer",
            Self::Channel => "channel",
            Self::Log => "log",
        }
    }
}

/// One reading of the health of one component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelinePoint {
    /// What part.
    pub kind: PipelineKind,
    /// The component's name: a sampler's, consumer's or channel's.
    pub component: Arc<str>,
    /// Domain time of the reading.
    pub at: Timestamp,
    /// Readings by name.
    pub fields: BTreeMap<Arc<str>, f64>,
}

impl PipelinePoint {
    /// Its entry of the log: a producer of its own, such as `sampler/orders/health`, numbered by the reading's time in
    /// milliseconds.
    pub fn into_entry(self) -> NewEntry {
        NewEntry {
            key: Arc::clone(&self.component),
            producer: format!("{}/{}/health", self.kind.as_str(), self.component).into(),
            sequence: u64::try_from(self.at.as_millis()).unwrap_or(0),
            source_position: Vec::new(),
            body: Body::Pipeline(self),
        }
    }
}
