//! Judging all metrics: from ticks to verdicts.

use std::sync::Arc;

use model::Tick;

use crate::calendar::Calendar;
use crate::series::Judged;
use crate::settings::Settings;

/// What is judged and how: immutable, handed out anew at every change of the configuration.
#[derive(Clone, Debug)]
pub struct JudgingConfig {
    /// The metrics.
    pub metrics: Vec<Arc<Settings>>,
    /// The calendar.
    pub calendar: Arc<Calendar>,
    /// How many series one metric may have; further ones are dropped and counted.
    pub max_series_per_metric: usize,
}

impl Default for JudgingConfig {
    fn default() -> Self {
        Self { metrics: Vec::new(), calendar: Arc::default(), max_series_per_metric: 10_000 }
    }
}

/// The judges of every series of every metric.
#[derive(Debug)]
pub struct Engine {
    config: JudgingConfig,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: JudgingConfig) -> Self {
        Self { config }
    }

    /// Judges one tick: every series of every metric it feeds, in window order.
    pub fn tick(&mut self, _tick: &Tick) -> Vec<Judged> {
        Vec::new()
    }

    /// Takes a new configuration in by difference: unchanged metrics keep everything, changed judging keeps what was
    /// learned and pending alerts, changed sampling (interval, kind, zone) starts anew.
    pub fn apply(&mut self, config: JudgingConfig) {
        self.config = config;
    }

    /// Everything learned, as bytes (versioned, CRC).
    pub fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes saved state in; series of metrics that are no longer configured are dropped.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged; the engine is then as new.
    pub fn load(&mut self, _bytes: &[u8]) -> Result<(), String> {
        Ok(())
    }
}
