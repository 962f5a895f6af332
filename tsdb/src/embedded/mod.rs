//! The embedded store: one file of compressed chunks and a bounded head in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{
    Labels, Matcher, Measurement, Point, Positions, ReadSeries, SeriesData, SeriesQuery, StoreError,
    Timestamp, WriteError, WriteSamples, Written,
};

/// How an embedded store behaves.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The replica's name in configuration, metrics and errors.
    pub name: String,
    /// Points older than this are dropped, whole days at a time; `None` keeps everything.
    pub retention: Option<Duration>,
    /// Size of the head in memory at which a write flushes it to the file first.
    pub head_bytes: usize,
    /// Size of the file's page cache.
    pub cache_bytes: usize,
    /// A read that would bring more values than this is refused.
    pub max_read_values: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            name: "embedded".into(),
            retention: Some(Duration::from_secs(400 * 86_400)),
            head_bytes: 12 << 20,
            cache_bytes: 8 << 20,
            max_read_values: 20_000_000,
        }
    }
}

/// The embedded time-series store.
#[derive(Debug)]
pub struct EmbeddedStore {
    name: String,
}

impl EmbeddedStore {
    /// Opens the store in the folder `dir`, creating it when absent. One process at a time.
    ///
    /// # Errors
    /// [`StoreError`] naming the file: when another process has it open, it is damaged, or of a newer version.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, StoreError> {
        let _ = dir;
        Ok(Arc::new(Self { name: options.name }))
    }

    /// Opens the store for reading while no process has it open for writing.
    ///
    /// # Errors
    /// [`StoreError`] naming the file.
    pub fn open_read_only(dir: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, StoreError> {
        Self::open(dir, options)
    }
}

fn unfinished(name: &str) -> String {
    format!("store {name} is being built")
}

#[async_trait]
impl WriteSamples for EmbeddedStore {
    fn name(&self) -> &str {
        &self.name
    }

    async fn write(&self, _points: &[Point], _covered: &Positions) -> Result<Written, WriteError> {
        Err(WriteError::Permanent { replica: self.name.clone(), message: unfinished(&self.name) })
    }

    async fn position(&self) -> Result<Option<Positions>, WriteError> {
        Err(WriteError::Permanent { replica: self.name.clone(), message: unfinished(&self.name) })
    }

    async fn flush(&self) -> Result<(), WriteError> {
        Err(WriteError::Permanent { replica: self.name.clone(), message: unfinished(&self.name) })
    }

    async fn expire(&self, _now: Timestamp) -> Result<usize, WriteError> {
        Err(WriteError::Permanent { replica: self.name.clone(), message: unfinished(&self.name) })
    }
}

#[async_trait]
impl ReadSeries for EmbeddedStore {
    async fn read(&self, _query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        Err(StoreError {
            replica: self.name.clone(),
            operation: "read series",
            message: unfinished(&self.name),
        })
    }

    async fn series(&self, _: Measurement, _: &[Matcher]) -> Result<Vec<Labels>, StoreError> {
        Err(StoreError {
            replica: self.name.clone(),
            operation: "list series",
            message: unfinished(&self.name),
        })
    }
}
