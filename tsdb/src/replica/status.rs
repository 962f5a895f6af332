//! How far a replica is, shared by its consumer, by who reads and by who watches.
//!
//! **When a cursor has passed a range.** A replica is *current* while the oldest entry of the log it has not written is
//! younger than a few seconds: whatever is asked, it has it. A replica that lags has passed a range when the newest
//! window end it has written (of the asked metric, when one is asked for) is not before the range's end: a metric's
//! windows come in order. A late value of an older window that is still on its way is not counted; until it arrives the
//! answer shows the value before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Body, Entry, Positions, Timestamp};
use tokio::sync::watch;

/// How far a replica is. Outlives its consumer, so that one that is started again goes on where it was.
#[derive(Debug, Default)]
pub struct Status {
    pub(super) visible: watch::Sender<Positions>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whether the store was reached since the start.
    started: bool,
    /// When the oldest entry that is not written was appended (civil time); `None`: none is known of.
    behind_since: Option<Timestamp>,
    /// The newest window end written of each metric; as many as there are metrics.
    reach: HashMap<Arc<str>, Timestamp>,
    newest: Option<Timestamp>,
}

impl Status {
    /// The positions up to which every point is visible to readers of the store.
    pub fn visible(&self) -> Positions {
        self.visible.borrow().clone()
    }

    /// How old the oldest entry is that the store does not have; `None` before the store was reached.
    pub fn lag(&self, civil_now: Timestamp) -> Option<Duration> {
        let inner = self.lock();
        let lag = inner.behind_since.map_or(Duration::ZERO, |since| civil_now.since(since));
        inner.started.then_some(lag)
    }

    /// Up to where everything of a metric is written, or of any when none is named; `None` when it is not known.
    pub fn reach(&self, metric: Option<&str>) -> Option<Timestamp> {
        let inner = self.lock();
        metric.map_or(inner.newest, |metric| inner.reach.get(metric).copied())
    }

    /// The store was reached, and is here.
    pub(super) fn begin(&self, at: Positions) {
        self.lock().started = true;
        self.visible.send_replace(at);
    }

    /// Entries are about to be written.
    pub(super) fn pending(&self, entries: &[Entry]) {
        if let Some(first) = entries.first() {
            self.lock().behind_since.get_or_insert(first.appended_at);
        }
    }

    /// They are written, and the store is here.
    pub(super) fn written(&self, entries: &[Entry], at: &Positions, end: &Positions) {
        let mut inner = self.lock();
        for entry in entries {
            inner.note(&entry.body);
        }
        inner.behind_since = entries.last().map(|last| last.appended_at).filter(|_| !at.covers(end));
        drop(inner);
        self.visible.send_replace(at.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, body: &Body) {
        match body {
            Body::Tick(tick) => tick.metrics.iter().for_each(|metric| self.raise(metric, tick.window.end)),
            Body::Verdicts(verdicts) => {
                verdicts.iter().for_each(|verdict| self.raise(&verdict.series.metric, verdict.window.end));
            }
            _ => {}
        }
    }

    fn raise(&mut self, metric: &Arc<str>, end: Timestamp) {
        self.newest = self.newest.max(Some(end));
        match self.reach.get_mut(metric) {
            Some(have) => *have = (*have).max(end),
            None => {
                self.reach.insert(Arc::clone(metric), end);
            }
        }
    }
}
