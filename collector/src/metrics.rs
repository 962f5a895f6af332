//! The collector's own metrics: the same from every sampler, whatever its source.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// The label of everything counted per sampler.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct SamplerLabel {
    pub(crate) sampler: String,
}

/// Sampler and what a tick brought: `rows`, `empty` or `missed`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub(crate) sampler: String,
    pub(crate) outcome: &'static str,
}

/// Sampler and why a tick was missed.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct MissedLabel {
    pub(crate) sampler: String,
    pub(crate) reason: &'static str,
}

/// Counters of all samplers. Cheap to clone; every clone counts into the same.
#[derive(Clone, Debug)]
pub struct CollectorMetrics {
    pub(crate) ticks: Family<OutcomeLabel, Counter>,
    pub(crate) rows: Family<SamplerLabel, Counter>,
    pub(crate) duration_secs: Family<SamplerLabel, Histogram>,
    pub(crate) missed: Family<MissedLabel, Counter>,
    pub(crate) last_success_secs: Family<SamplerLabel, Gauge<f64, AtomicU64>>,
    pub(crate) refused: Family<SamplerLabel, Gauge>,
}

impl Default for CollectorMetrics {
    fn default() -> Self {
        Self {
            ticks: Family::default(),
            rows: Family::default(),
            duration_secs: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 9))
            }),
            missed: Family::default(),
            last_success_secs: Family::default(),
            refused: Family::default(),
        }
    }
}

impl CollectorMetrics {
    /// Makes the metrics and registers them, all with the label `component="collector"`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_label(("component".into(), "collector".into()));
        registry.register(
            "tidemark_sampler_ticks",
            "Ticks by what they brought: rows, empty or missed",
            metrics.ticks.clone(),
        );
        registry.register("tidemark_sampler_rows", "Rows the sources gave", metrics.rows.clone());
        registry.register(
            "tidemark_sampler_duration_seconds",
            "How long the source took to answer or to fail",
            metrics.duration_secs.clone(),
        );
        registry.register("tidemark_sampler_missed", "Missed ticks by reason", metrics.missed.clone());
        registry.register(
            "tidemark_sampler_last_success_timestamp_seconds",
            "Domain time of the last answered tick",
            metrics.last_success_secs.clone(),
        );
        registry.register(
            "tidemark_sampler_refused_ticks",
            "Ticks that wait in memory because the log refused them",
            metrics.refused.clone(),
        );
        metrics
    }

    /// Forgets a sampler that is no longer configured.
    pub(crate) fn forget(&self, sampler: &str) {
        let label = SamplerLabel { sampler: sampler.to_owned() };
        self.last_success_secs.remove(&label);
        self.refused.remove(&label);
    }
}
