//! How far a replica is, shared by its consumer, its repair, by who reads and by who watches.
//!
//! **When a cursor has passed a range.** A replica is *current* while the oldest entry of the log it has not written is
//! younger than a few seconds: whatever is asked, it has it. A replica that lags has passed a range when the newest
//! window end it has written (of the asked metric, when one is asked for) is not before the range's end: a metric's
//! windows come in order. A late value of an older window that is still on its way is not counted; until it arrives the
//! answer shows the value before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Body, Entry, Missed, Positions, TimeRange, Timestamp};
use tokio::sync::{Notify, watch};

/// How far a replica is. Outlives its consumer, so that one that is started again goes on where it was.
#[derive(Debug, Default)]
pub struct Status {
    pub(super) visible: watch::Sender<Positions>,
    /// Wakes the repair: the consumer found that entries went before it read them.
    pub(super) lost: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whether the store was reached since the start and what it lacks is known.
    started: bool,
    /// When the oldest entry that is not written was appended (civil time); `None`: none is known of.
    behind_since: Option<Timestamp>,
    /// The newest window end written of each metric; as many as there are metrics.
    reach: HashMap<Arc<str>, Timestamp>,
    newest: Option<Timestamp>,
    /// Why it takes nothing now.
    trouble: Option<String>,
    missed: Option<Missed>,
    /// How often the consumer found something missing.
    losses: u64,
    repair: Repairing,
}

/// What becomes of what a replica missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Repairing {
    /// It missed nothing, or nothing was done yet.
    #[default]
    Idle,
    /// No replica that has it can be read now.
    Waiting,
    /// It is copied, the newest first.
    Copying {
        /// From which replica.
        from: String,
        /// What is left to be copied.
        left: TimeRange,
        /// Points copied so far.
        points: u64,
    },
    /// No replica has it any more.
    Hopeless,
}

/// How a replica stands, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it was reached since the start.
    pub started: bool,
    /// Why it takes nothing now; `None` while it takes all it is given.
    pub trouble: Option<String>,
    /// How old the oldest entry is that it does not have; `None` before it was reached.
    pub lag: Option<Duration>,
    /// Up to where everything is written; `None` when it is not known.
    pub reach: Option<Timestamp>,
    /// What it missed for good; `None` when it has everything.
    pub missed: Option<Missed>,
    /// What becomes of that.
    pub repair: Repairing,
}

impl Status {
    /// Of a replica that nobody feeds and that is read as it is; with what it missed.
    pub fn at_rest(missed: Option<Missed>) -> Self {
        let inner = Inner { started: true, missed, ..Inner::default() };
        Self { inner: Mutex::new(inner), ..Self::default() }
    }

    /// What the ledger says it missed, told before anybody feeds, repairs or reads it: until then it seems whole.
    pub fn remember(&self, missed: Option<Missed>) {
        self.lock().missed = missed;
    }

    /// The positions up to which every point is visible to readers of the store.
    pub fn visible(&self) -> Positions {
        self.visible.borrow().clone()
    }

    /// How old the oldest entry is that the store does not have; `None` before the store was reached.
    pub fn lag(&self, civil_now: Timestamp) -> Option<Duration> {
        self.lock().lag(civil_now)
    }

    /// Up to where everything of a metric is written, or of any when none is named; `None` when it is not known.
    pub fn reach(&self, metric: Option<&str>) -> Option<Timestamp> {
        let inner = self.lock();
        metric.map_or(inner.newest, |metric| inner.reach.get(metric).copied())
    }

    /// Whether it lacks a part of what is older than its cursor.
    pub fn is_incomplete(&self) -> bool {
        self.lock().missed.is_some()
    }

    /// How it stands.
    pub fn standing(&self, civil_now: Timestamp) -> Standing {
        let inner = self.lock();
        Standing {
            started: inner.started,
            trouble: inner.trouble.clone(),
            lag: inner.lag(civil_now),
            reach: inner.newest,
            missed: inner.missed,
            repair: inner.repair.clone(),
        }
    }

    /// Whether it was reached and took what it was given last.
    pub(super) fn is_up(&self) -> bool {
        let inner = self.lock();
        inner.started && inner.trouble.is_none()
    }

    /// The store was reached, and is here.
    pub(super) fn begin(&self, at: Positions) {
        self.visible.send_replace(at);
    }

    /// The log was read from there; what it had released of it before is in `missed`.
    pub(super) fn accounted(&self) {
        self.lock().started = true;
    }

    /// Entries went before the consumer read them.
    pub(super) fn note_loss(&self, missed: Missed) {
        let mut inner = self.lock();
        inner.losses += 1;
        inner.missed = Some(missed);
        drop(inner);
        self.lost.notify_one();
    }

    /// How often that happened, to be told to [`Self::settle`].
    pub(super) fn losses(&self) -> u64 {
        self.lock().losses
    }

    /// What the ledger said. Does nothing when something was lost since `losses` was asked, before the ledger was.
    pub(super) fn settle(&self, losses: u64, missed: Option<Missed>) {
        let mut inner = self.lock();
        if inner.losses == losses {
            inner.missed = missed;
            if missed.is_none() {
                inner.repair = Repairing::Idle;
            }
        }
    }

    /// What the repair does; whether it did something else before.
    pub(super) fn set_repair(&self, now: Repairing) -> bool {
        let mut inner = self.lock();
        let changed = inner.repair != now;
        inner.repair = now;
        changed
    }

    /// The store did what it was asked.
    pub(super) fn well(&self) {
        self.lock().trouble = None;
    }

    /// The store did not, and why.
    pub(super) fn failed(&self, why: String) {
        self.lock().trouble = Some(why);
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
    fn lag(&self, civil_now: Timestamp) -> Option<Duration> {
        let lag = self.behind_since.map_or(Duration::ZERO, |since| civil_now.since(since));
        self.started.then_some(lag)
    }

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
