//! The section `storage`: the log and the replicas it feeds.

use model::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::size::ByteSize;

/// Where numbers are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSection {
    /// The durable log that every number passes.
    pub(crate) log: LogSection,
    /// The time-series stores; each gets every number. Default: one embedded store.
    #[schemars(length(min = 1))]
    pub(crate) replicas: Vec<ReplicaConfig>,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            log: LogSection::default(),
            replicas: vec![ReplicaConfig::Embedded(EmbeddedReplica::default())],
        }
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

/// A time-series store, keyed by its type: `embedded: {retention: 400d}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplicaConfig {
    /// The store inside this process, in the data folder.
    Embedded(EmbeddedReplica),
}

impl ReplicaConfig {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Embedded(embedded) => &embedded.name,
        }
    }
}

/// The store inside this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EmbeddedReplica {
    /// Its name in metrics and messages, and its folder under `data_dir/store`.
    pub(crate) name: String,
    /// How long numbers are kept.
    pub(crate) retention: HumanDuration,
}

impl Default for EmbeddedReplica {
    fn default() -> Self {
        Self { name: "embedded".into(), retention: HumanDuration::from_secs(400 * 86_400) }
    }
}
