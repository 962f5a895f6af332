//! The section `storage`: the log and the replicas it feeds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tsdb::StoreConfig;

use super::size::ByteSize;

/// Where numbers are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSection {
    /// The durable log that every number passes.
    pub(crate) log: LogSection,
    /// The time-series stores, one to five; each gets every number. Default: one embedded store.
    #[schemars(length(min = 1, max = 5))]
    pub(crate) replicas: Vec<StoreConfig>,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self { log: LogSection::default(), replicas: vec![StoreConfig::default()] }
    }
}

/// The durable log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// Most bytes the log may take on disk. At the limit it releases what every consumer has read, and refuses new
    /// numbers only when there is nothing to release.
    pub(crate) max_bytes: ByteSize,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { max_bytes: ByteSize(8 << 30) }
    }
}
