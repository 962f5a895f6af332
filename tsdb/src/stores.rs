//! The store types: one file or folder each, and this one visible list.
//!
//! A new type is a file beside this one, a variant of [`StoreConfig`] and an arm of `StoreConfig::as_type`. What a type
//! can do stands in its own file, as its `StoreType` and [`Store`]; nothing else matches on the enum.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
pub use model::Problem;
use model::{Clock, ReadSeries, StoreError, WriteSamples};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::embedded::EmbeddedConfig;
use crate::influx::{InfluxdbConfig, InfluxdbV2Config};

/// A time-series store, keyed by its type: `embedded: {retention: 400d}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreConfig {
    /// The store inside this process, in the data folder.
    Embedded(EmbeddedConfig),
    /// An InfluxDB 1.x.
    Influxdb(Box<InfluxdbConfig>),
    /// An InfluxDB 2.x.
    InfluxdbV2(Box<InfluxdbV2Config>),
}

impl StoreConfig {
    fn as_type(&self) -> &dyn StoreType {
        match self {
            Self::Embedded(config) => config,
            Self::Influxdb(config) => &**config,
            Self::InfluxdbV2(config) => &**config,
        }
    }

    /// The type's name in the configuration.
    pub fn kind(&self) -> &'static str {
        self.as_type().kind()
    }

    /// The store's name in metrics and messages; its consumer in the log is `replica/<name>`.
    pub fn name(&self) -> &str {
        self.as_type().name()
    }

    /// Finds what a schema cannot see. Paths begin with the type's name.
    pub fn validate(&self) -> Vec<Problem> {
        self.as_type().validate()
    }

    /// Opens the store for writing. One across the network is connected to at its first use.
    ///
    /// # Errors
    /// [`StoreError`]: what is wrong, without secrets.
    pub async fn open(&self, data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
        self.as_type().open(data_dir, clock).await
    }

    /// Opens the store for reading while no process runs on the data folder.
    ///
    /// # Errors
    /// [`StoreError`]; among them that nothing was stored yet.
    pub async fn open_read_only(
        &self,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        self.as_type().open_read_only(data_dir, clock).await
    }
}

impl StoreConfig {
    /// Tries the store without changing anything; answers where it is and what was found, in a sentence. A process that
    /// runs on the data folder is no obstacle.
    ///
    /// # Errors
    /// [`ProbeError`]: why it cannot be used, without secrets.
    pub async fn probe(&self, data_dir: &Path, clock: Arc<dyn Clock>) -> Result<String, ProbeError> {
        self.as_type().probe(data_dir, clock).await
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::Embedded(EmbeddedConfig::default())
    }
}

/// What a store type's configuration can do. Implemented in the type's own file.
#[async_trait]
pub(crate) trait StoreType: Sync {
    /// The type's name in the configuration: the variant in snake case.
    fn kind(&self) -> &'static str;

    /// The store's name.
    fn name(&self) -> &str;

    /// Finds what a schema cannot see. Paths begin with the type's name.
    fn validate(&self) -> Vec<Problem>;

    /// See [`StoreConfig::open`].
    async fn open(&self, data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError>;

    /// See [`StoreConfig::open_read_only`]; the same as `open` for a store across the network.
    async fn open_read_only(
        &self,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        self.open(data_dir, clock).await
    }

    /// See [`StoreConfig::probe`].
    async fn probe(&self, data_dir: &Path, clock: Arc<dyn Clock>) -> Result<String, ProbeError> {
        self.open(data_dir, clock).await.map_err(ProbeError::Wrong)?.probe().await
    }
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It does not answer, or cannot now.
    #[error(transparent)]
    Unreachable(StoreError),
    /// It answered, and something is wrong: a token, a permission, its version, its file.
    #[error(transparent)]
    Wrong(StoreError),
}

/// A store: written by its replica's consumer, read by whoever draws or judges. An `Arc<dyn Store>` coerces to an
/// `Arc<dyn WriteSamples>` and an `Arc<dyn ReadSeries>`.
#[async_trait]
pub trait Store: WriteSamples + ReadSeries {
    /// Reaches the store, changing nothing; answers where it is, its version and what it holds for us, in a sentence.
    ///
    /// # Errors
    /// [`ProbeError`]: why it cannot be used, without secrets.
    async fn probe(&self) -> Result<String, ProbeError>;
}

/// What a store's name may be: it names a consumer, a folder and a label.
pub(crate) fn check_name(kind: &str, name: &str) -> Option<Problem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let message = || format!("`{name}` cannot name a replica: letters, digits, `_` and `-`");
    (name.is_empty() || !name.bytes().all(plain)).then(|| Problem::new([kind, "name"], message()))
}
