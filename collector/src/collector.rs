//! The collector: one task per sampler, started, kept and stopped by the difference of configurations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Clock, SampleLog};

use crate::{CollectorMetrics, SamplerHealth, SamplerSpec, SourceConfig};

/// What to collect: the sources and samplers of one configuration, validated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectorConfig {
    /// Sources by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Samplers; names are unique.
    pub samplers: Vec<SamplerSpec>,
}

/// Why a configuration could not be applied. The old one goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A sampler names a source that is not there.
    #[error("sampler `{sampler}` names the source `{source_name}`, which is not configured")]
    UnknownSource {
        /// The sampler.
        sampler: String,
        /// The name.
        source_name: String,
    },
    /// A source could not be made ready.
    #[error("source `{source_name}`: {message}")]
    Source {
        /// The source.
        source_name: String,
        /// Why.
        message: String,
    },
    /// A sampler's schedule cannot be kept.
    #[error("sampler `{sampler}`: {message}")]
    Schedule {
        /// The sampler.
        sampler: String,
        /// Why.
        message: String,
    },
}

/// Runs samplers and appends what they bring to the log.
pub struct Collector {
    _log: Arc<dyn SampleLog>,
    _clock: Arc<dyn Clock>,
    _metrics: CollectorMetrics,
    state: Mutex<CollectorConfig>,
}

impl Collector {
    /// A collector without samplers; [`Collector::apply`] brings them.
    pub fn start(log: Arc<dyn SampleLog>, clock: Arc<dyn Clock>, metrics: CollectorMetrics) -> Self {
        Self { _log: log, _clock: clock, _metrics: metrics, state: Mutex::default() }
    }

    /// Makes the running samplers those of `config`: unchanged ones keep running untouched. Does not wait for ticks in
    /// flight. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was changed then.
    pub fn apply(&self, config: CollectorConfig) -> Result<(), ApplyError> {
        *self.lock() = config;
        Ok(())
    }

    /// How each sampler fares, in order of name.
    pub fn health(&self) -> Vec<SamplerHealth> {
        Vec::new()
    }

    /// Stops: no new tick begins; those in flight end or reach their deadline, and are appended. Returns when all
    /// samplers have ended.
    pub async fn shutdown(&self) {
        self.lock().samplers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, CollectorConfig> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
