//! The system's own health, as entries of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What part of the pipeline a point speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineKind {
    /// A sampler: `duration_ms`, `rows`, `missed`, `errors`.
    Sampler,
    /// A consumer of the log: `lag_entries`, `lag_secs`.
    Consumer,
    /// A delivery channel: `delivered`, `failed`, `queued`.
    Channel,
}

impl PipelineKind {
    /// The tag value `kind` in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sampler => "sampler",
            Self::Consumer => "consumer",
            Self::Channel => "channel",
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
