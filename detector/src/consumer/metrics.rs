//! The detector's own metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::engine::EngineStats;

/// The detector's own metrics, all named `tidemark_detector_..`.
#[derive(Clone, Debug)]
pub struct DetectorMetrics {
    pub(super) ticks: Counter,
    pub(super) verdicts: Counter,
    pub(super) transitions: Counter,
    pub(super) replayed: Counter,
    pub(super) log_full: Counter,
    pub(super) append_failed: Counter,
    pub(super) oversized: Counter,
    pub(super) snapshot_failed: Counter,
    pub(super) snapshots: Counter,
    pub(super) snapshot_bytes: Gauge,
    pub(super) lost_bytes: Counter,
    pub(super) batch_seconds: Histogram,
    series: Gauge,
    learning: Gauge,
    firing: Gauge,
    dropped_series: Gauge,
    repeated: Gauge,
    unknown_metric: Gauge,
}

impl DetectorMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("tidemark_detector");
        let metrics = Self {
            ticks: Counter::default(),
            verdicts: Counter::default(),
            transitions: Counter::default(),
            replayed: Counter::default(),
            log_full: Counter::default(),
            append_failed: Counter::default(),
            oversized: Counter::default(),
            snapshot_failed: Counter::default(),
            snapshots: Counter::default(),
            snapshot_bytes: Gauge::default(),
            lost_bytes: Counter::default(),
            batch_seconds: Histogram::new(exponential_buckets(0.001, 4.0, 9)),
            series: Gauge::default(),
            learning: Gauge::default(),
            firing: Gauge::default(),
            dropped_series: Gauge::default(),
            repeated: Gauge::default(),
            unknown_metric: Gauge::default(),
        };
        metrics.name(registry);
        metrics
    }

    fn name(&self, registry: &mut Registry) {
        registry.register("ticks", "Tick entries judged", self.ticks.clone());
        registry.register("verdicts", "Verdicts appended", self.verdicts.clone());
        registry.register("transitions", "Alert transitions appended", self.transitions.clone());
        registry.register("replayed", "Tick entries replayed silently after a start", self.replayed.clone());
        registry.register("log_full", "Appends refused because the log was full", self.log_full.clone());
        let failed = "Appends the disk refused, each tried again";
        registry.register("append_failed", failed, self.append_failed.clone());
        let oversized = "Verdicts and transitions left out because one alone exceeds a frame of the log";
        registry.register("oversized", oversized, self.oversized.clone());
        let failed = "Snapshots that could not be written";
        registry.register("snapshot_failed", failed, self.snapshot_failed.clone());
        registry.register("snapshots", "Snapshots written", self.snapshots.clone());
        registry.register("snapshot_bytes", "Size of the newest snapshot", self.snapshot_bytes.clone());
        registry.register("lost_bytes", "Log bytes gone before they were judged", self.lost_bytes.clone());
        registry.register("batch_seconds", "Time to judge and append a batch", self.batch_seconds.clone());
        registry.register("series", "Series judged", self.series.clone());
        registry.register("learning", "Series that cannot be judged yet", self.learning.clone());
        registry.register("firing", "Series whose alert fires", self.firing.clone());
        let dropped = "Samples dropped because their metric has too many series";
        registry.register("dropped_series", dropped, self.dropped_series.clone());
        registry.register("repeated", "Observations that were judged before", self.repeated.clone());
        let unknown = "Samples of metrics that are not configured";
        registry.register("unknown_metric", unknown, self.unknown_metric.clone());
    }

    /// Shows what the engine counted.
    pub(super) fn show(&self, stats: &EngineStats) {
        self.series.set(stats.series as i64);
        self.learning.set(stats.learning as i64);
        self.firing.set(stats.firing as i64);
        self.dropped_series.set(stats.dropped_series as i64);
        self.repeated.set(stats.repeated as i64);
        self.unknown_metric.set(stats.unknown_metric as i64);
    }
}
