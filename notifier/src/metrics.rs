//! The notifier's own health, for `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::tally::Tallies;

/// Labels of [`NotifierMetrics::deliveries`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabels {
    /// Type of the channel.
    pub channel: &'static str,
    /// What became of the attempt.
    pub outcome: &'static str,
}

/// Labels of [`NotifierMetrics::alerts`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    /// The alerts' state.
    pub state: &'static str,
}

/// Labels of [`NotifierMetrics::suppressed`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// The reason without its detail: `backfill`, `muted`, `inhibited`, ...
    pub reason: String,
}

/// Labels of [`NotifierMetrics::parts`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabels {
    /// Type of the channel.
    pub channel: &'static str,
}

/// The metrics; cheap to clone, all clones count together.
#[derive(Clone, Debug)]
pub struct NotifierMetrics {
    /// Attempts by channel type and outcome.
    pub deliveries: Family<DeliveryLabels, Counter>,
    /// What the messages that were taken are made of and paid by, such as segments of SMS, by channel type.
    pub parts: Family<ChannelLabels, Counter>,
    /// Deliveries that wait or are under way.
    pub queue_depth: Gauge,
    /// How long attempts take.
    pub attempt_seconds: Histogram,
    /// Alerts by state.
    pub alerts: Family<StateLabels, Gauge>,
    /// Alerts that were suppressed for good, by reason.
    pub suppressed: Family<ReasonLabels, Counter>,
    /// Deliveries that ended as `failed` or `expired`.
    pub undelivered: Counter,
    /// Transitions consumed.
    pub transitions: Counter,
    /// Bytes of the log that retention took before the notifier read them.
    pub lost_bytes: Counter,
    /// Steps that failed because the database or the log did.
    pub step_errors: Counter,
    /// Pumps of channels that died and were started again.
    pub restarts: Counter,
    /// The same by the channel's own name, for console and log.
    pub(crate) tallies: Tallies,
}

impl Default for NotifierMetrics {
    fn default() -> Self {
        Self {
            deliveries: Family::default(),
            parts: Family::default(),
            queue_depth: Gauge::default(),
            attempt_seconds: Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
            alerts: Family::default(),
            suppressed: Family::default(),
            undelivered: Counter::default(),
            transitions: Counter::default(),
            lost_bytes: Counter::default(),
            step_errors: Counter::default(),
            restarts: Counter::default(),
            tallies: Tallies::default(),
        }
    }
}

impl NotifierMetrics {
    /// Makes the metrics and registers them as `tidemark_notifier_*`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let sub = registry.sub_registry_with_prefix("tidemark_notifier");
        sub.register(
            "deliveries",
            "Delivery attempts by channel type and outcome",
            metrics.deliveries.clone(),
        );
        sub.register("parts", "Parts that are paid for, such as segments of SMS", metrics.parts.clone());
        sub.register("queue_depth", "Deliveries that wait or are under way", metrics.queue_depth.clone());
        sub.register("attempt_seconds", "Duration of delivery attempts", metrics.attempt_seconds.clone());
        sub.register("alerts", "Alerts by state", metrics.alerts.clone());
        sub.register("suppressed", "Alerts not told, by reason", metrics.suppressed.clone());
        sub.register("undelivered", "Deliveries that failed or expired", metrics.undelivered.clone());
        sub.register("transitions", "Alert transitions consumed", metrics.transitions.clone());
        sub.register("lost_bytes", "Bytes of the log lost to retention unread", metrics.lost_bytes.clone());
        sub.register("step_errors", "Steps that failed and were tried again", metrics.step_errors.clone());
        sub.register("restarts", "Delivery tasks that died and were started again", metrics.restarts.clone());
        metrics
    }
}
