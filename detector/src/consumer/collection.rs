//! The dead man's switch: nobody else would say that no tick entry arrives any more, since every other judgement is of
//! entries. It is the one judgement that runs on the clock.
//!
//! One alert stands for the whole collection, of the series [`METRIC`]: it fires when the log has had no tick for
//! [`JudgingConfig::quiet_after`](crate::engine::JudgingConfig), and ends with the next one. It is part of no engine
//! state: what the log says of it since the newest snapshot is all there is to know, so no snapshot is taken while it
//! fires.

use std::sync::Arc;
use std::time::Duration;

use model::{
    AlertId, AlertInfo, AlertTransition, Clock, Labels, Monotonic, Origin, Reason, ReasonCode, SeriesKey,
    Severity, Transition, Window,
};

/// The metric that stands for the collection itself.
pub const METRIC: &str = "tidemark.collection";

/// The note its reason carries.
pub const NOTE: &str = "collection_silent";

/// The series of the alert.
pub(super) fn series() -> SeriesKey {
    SeriesKey::new(METRIC, Labels::default())
}

/// When a tick was last seen, and the alert while it fires.
#[derive(Debug)]
pub(super) struct Collection {
    seen: Monotonic,
    fires: Option<AlertTransition>,
}

impl Collection {
    /// As the log left it: `fires` is the alert that stands. Ticks have as long to come as after any other.
    pub(super) fn new(clock: &dyn Clock, fires: Option<AlertTransition>) -> Self {
        Self { seen: clock.monotonic_now(), fires }
    }

    /// Whether the alert fires.
    pub(super) fn is_silent(&self) -> bool {
        self.fires.is_some()
    }

    /// Ticks came: the transition that ends the alert, if it fires.
    pub(super) fn seen(&mut self, clock: &dyn Clock) -> Option<AlertTransition> {
        self.seen = clock.monotonic_now();
        let fired = self.fires.take()?;
        let window = Window { end: clock.domain_now().max(fired.window.end), ..fired.window };
        Some(AlertTransition { transition: Transition::Resolved, window, ..fired })
    }

    /// How long until it is known that nothing comes; `None` when the alert fires or there is nothing to wait for.
    pub(super) fn wait(&self, clock: &dyn Clock, quiet_after: Option<Duration>) -> Option<Duration> {
        let quiet_after = quiet_after.filter(|_| self.fires.is_none())?;
        Some(quiet_after.saturating_sub(clock.monotonic_now().saturating_sub(self.seen)))
    }

    /// The transition that begins the alert, when nothing came for so long.
    pub(super) fn silent(
        &mut self,
        clock: &dyn Clock,
        quiet_after: Option<Duration>,
    ) -> Option<AlertTransition> {
        self.wait(clock, quiet_after).filter(Duration::is_zero)?;
        let fired = firing(clock, quiet_after.unwrap_or_default());
        tracing::error!(
            seconds = quiet_after.unwrap_or_default().as_secs(),
            "no sample of any metric arrives: is the collector running?"
        );
        self.fires = Some(fired.clone());
        Some(fired)
    }
}

fn firing(clock: &dyn Clock, quiet_after: Duration) -> AlertTransition {
    let (series, end) = (series(), clock.domain_now());
    let window = Window { start: end - quiet_after, end };
    let reason =
        Reason { version: 1, code: ReasonCode::NoData, notes: vec![NOTE.to_owned()], ..Reason::default() };
    let name: Arc<str> = METRIC.into();
    let labels = Labels::default().with([("alertname", name.clone()), ("metric", name)]);
    AlertTransition {
        id: AlertId {
            fingerprint: SeriesKey::new(METRIC, labels.clone()).fingerprint(),
            starts_at: model::Timestamp::from_millis(window.start.as_nanos() / 1_000_000),
        },
        series,
        labels,
        transition: Transition::Firing,
        severity: Severity::P0,
        window,
        origin: Origin::Live,
        value: None,
        expected: None,
        lower: None,
        upper: None,
        deviation_pct: None,
        score: 0.0,
        info: AlertInfo::default(),
        reason: Arc::new(reason),
        config_revision: 0,
    }
}
