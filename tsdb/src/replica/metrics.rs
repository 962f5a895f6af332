//! The replicas' own health, for `/metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    replica: String,
}

/// The metrics of all replicas of a process, each with the label `replica`.
#[derive(Clone, Debug, Default)]
pub struct ReplicaMetrics {
    lag_bytes: Family<Labels, Gauge>,
    points: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    unknown: Family<Labels, Counter>,
    lost_bytes: Family<Labels, Counter>,
    lag_seconds: Family<Labels, Gauge<f64, AtomicU64>>,
    incomplete: Family<Labels, Gauge>,
    up: Family<Labels, Gauge>,
    repaired: Family<Labels, Counter>,
    repair_at: Family<Labels, Gauge<f64, AtomicU64>>,
    reads: Family<Labels, Counter>,
    read_failures: Family<Labels, Counter>,
}

/// The metrics of one replica.
#[derive(Clone, Debug)]
pub(super) struct StoreMetrics {
    pub(super) lag_bytes: Gauge,
    pub(super) points: Counter,
    pub(super) refused: Counter,
    pub(super) errors: Counter,
    pub(super) unknown: Counter,
    pub(super) lost_bytes: Counter,
    pub(super) lag_seconds: Gauge<f64, AtomicU64>,
    pub(super) incomplete: Gauge,
    pub(super) up: Gauge,
    pub(super) repaired: Counter,
    pub(super) repair_at: Gauge<f64, AtomicU64>,
}

impl ReplicaMetrics {
    /// Makes the metrics and registers them under `tidemark_replica_*`; `registry` has no prefix of its own.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("tidemark_replica");
        registry.register(
            "lag_bytes",
            "Bytes of the log the store has not taken in yet",
            metrics.lag_bytes.clone(),
        );
        registry.register("points", "Points written to the store", metrics.points.clone());
        registry.register(
            "refused",
            "Points the store refused for good; they are dropped",
            metrics.refused.clone(),
        );
        registry.register(
            "errors",
            "Operations on store or log that failed and were tried again",
            metrics.errors.clone(),
        );
        registry.register(
            "unknown_entries",
            "Entries of unknown kinds that were skipped",
            metrics.unknown.clone(),
        );
        registry.register(
            "lost_bytes",
            "Bytes of the log released before the store read them",
            metrics.lost_bytes.clone(),
        );
        registry.register(
            "lag_seconds",
            "Age of the oldest entry of the log the store has not taken in",
            metrics.lag_seconds.clone(),
        );
        registry.register(
            "incomplete",
            "Whether a full log released entries before the store had them: 1 until it is whole again",
            metrics.incomplete.clone(),
        );
        registry.register(
            "up",
            "Whether the store is open and took what it was given last",
            metrics.up.clone(),
        );
        registry.register(
            "repaired_points",
            "Points copied from another replica to make the store whole again",
            metrics.repaired.clone(),
        );
        registry.register(
            "repair_at_seconds",
            "Unix time down to which what the store missed is copied; 0 while nothing is",
            metrics.repair_at.clone(),
        );
        registry.register("reads", "Reads the store answered", metrics.reads.clone());
        registry.register(
            "read_failures",
            "Reads the store failed or did not answer in time",
            metrics.read_failures.clone(),
        );
        metrics
    }

    /// Counts a read that was answered.
    pub(super) fn read(&self, replica: &str) {
        self.reads.get_or_create(&Labels { replica: replica.to_owned() }).inc();
    }

    /// Counts a read that failed.
    pub(super) fn read_failed(&self, replica: &str) {
        self.read_failures.get_or_create(&Labels { replica: replica.to_owned() }).inc();
    }

    pub(super) fn of_store(&self, name: &str) -> StoreMetrics {
        let labels = Labels { replica: name.to_owned() };
        StoreMetrics {
            lag_bytes: self.lag_bytes.get_or_create(&labels).clone(),
            points: self.points.get_or_create(&labels).clone(),
            refused: self.refused.get_or_create(&labels).clone(),
            errors: self.errors.get_or_create(&labels).clone(),
            unknown: self.unknown.get_or_create(&labels).clone(),
            lost_bytes: self.lost_bytes.get_or_create(&labels).clone(),
            lag_seconds: self.lag_seconds.get_or_create(&labels).clone(),
            incomplete: self.incomplete.get_or_create(&labels).clone(),
            up: self.up.get_or_create(&labels).clone(),
            repaired: self.repaired.get_or_create(&labels).clone(),
            repair_at: self.repair_at.get_or_create(&labels).clone(),
        }
    }
}
