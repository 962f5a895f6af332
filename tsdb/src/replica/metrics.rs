//! The replicas' own health, for `/metrics`.

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
        metrics
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
        }
    }
}
