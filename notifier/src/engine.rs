//! The steps of the notifier, each one transaction: consume, settle the backlog, keep the timers, lease, finish.
//!
//! A step first changes the book in memory, then writes the difference; when the writing fails the book is thrown away
//! and loaded again, so that the book never knows more than the database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{
    AlertId, Body, Clock, Positions, ReadLimit, SampleLog, Secret, Severity, Timestamp, Topic, Topics,
};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::NotifierError;
use crate::incident::{Book, Now};
use crate::link::{self, LinkError};
use crate::message::MessageKind;
use crate::metrics::{NotifierMetrics, ReasonLabels, StateLabels};
use crate::plan::{ChannelSlot, Plan};
use crate::store::{Addressed, Finished, Lease, Step, Store, StoreError};
use crate::view::{Acknowledged, AlertState, DeliveryState};

/// Name of the notifier's cursor in the log.
pub const CONSUMER: &str = "notifier";

/// How much one transaction consumes.
const BATCH: ReadLimit = ReadLimit { entries: 2_000, bytes: 4 << 20 };

/// How often a position that moved past entries of other topics alone is written: every frame of samples wakes the
/// notifier, but only alerts are worth a transaction.
const KEEP_POSITION_EVERY: Duration = Duration::from_secs(60);

/// What a step of consuming did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// How many transitions were taken in.
    pub transitions: usize,
    /// Whether that was the end of the log.
    pub caught_up: bool,
}

struct State {
    store: Box<dyn Store>,
    book: Book,
    positions: Positions,
    plan: Arc<Plan>,
    /// Monotonic time the position was last written.
    kept_at: Duration,
    /// A step failed: the book is to be loaded before the next one.
    stale: bool,
    last_now: Timestamp,
}

/// The notifier without its tasks.
pub struct Engine {
    state: Mutex<State>,
    log: Arc<dyn SampleLog>,
    clock: Arc<dyn Clock>,
    metrics: NotifierMetrics,
    /// Counts changes of the outbox: whoever delivers looks again.
    outbox: watch::Sender<u64>,
    /// Deliveries an attempt of this process holds: however old, their leases are not forgotten.
    held: Mutex<BTreeSet<i64>>,
    /// What links are signed with.
    link_key: Secret,
}

/// An attempt's hold on its delivery, also when it panics or is dropped.
pub(crate) struct Held {
    engine: Arc<Engine>,
    delivery: i64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.engine.held().remove(&self.delivery);
    }
}

impl Engine {
    /// Takes up what the store holds: deliveries that were under way go back to the queue, open alerts are routed by
    /// this plan.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn new(
        mut store: Box<dyn Store>,
        plan: Arc<Plan>,
        log: Arc<dyn SampleLog>,
        clock: Arc<dyn Clock>,
        metrics: NotifierMetrics,
    ) -> Result<Self, NotifierError> {
        let released = store.release_leases(clock.civil_now()).map_err(NotifierError::Store)?;
        if released > 0 {
            tracing::info!(
                deliveries = released,
                "deliveries whose outcome is unknown are sent again with their key"
            );
        }
        let fresh = Secret::new(format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()));
        let link_key = store.link_key(&fresh).map_err(NotifierError::Store)?;
        let state = State {
            store,
            book: Book::default(),
            positions: Positions::default(),
            plan: Arc::clone(&plan),
            kept_at: Duration::ZERO,
            stale: true,
            last_now: Timestamp::MIN,
        };
        let engine = Self {
            state: Mutex::new(state),
            log,
            clock,
            metrics,
            outbox: watch::Sender::new(0),
            held: Mutex::default(),
            link_key,
        };
        engine.apply(plan)?;
        engine.commit_cursor();
        Ok(engine)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next delivery of a channel for an attempt, which holds it until the value is dropped.
    pub(crate) fn lease_held(
        self: &Arc<Self>,
        channel: &str,
        recipients: &[String],
    ) -> Result<Option<(Lease, Held)>, NotifierError> {
        // Under one lock with the lease, so that nobody sees a lease without its hold.
        let mut state = self.lock();
        let now = self.clock.civil_now();
        let lease = state.store.lease(channel, recipients, now).map_err(NotifierError::Store)?;
        Ok(lease.map(|lease| {
            self.held().insert(lease.delivery);
            let held = Held { engine: Arc::clone(self), delivery: lease.delivery };
            (lease, held)
        }))
    }

    fn now(&self) -> Now {
        Now { domain: self.clock.domain_now(), civil: self.clock.civil_now() }
    }

    /// Runs a step: changes the book, writes the difference.
    fn step<T>(
        &self,
        work: impl FnOnce(&mut State, Now) -> Result<T, NotifierError>,
    ) -> Result<T, NotifierError> {
        let now = self.now();
        let mut state = self.lock();
        if state.stale {
            state.reload().map_err(NotifierError::Store)?;
        }
        let plan = Arc::clone(&state.plan);
        if now.domain < state.last_now {
            state.book.heal_timers(now.domain, &plan);
        }
        state.last_now = now.domain;
        state.stale = true;
        let value = work(&mut state, now)?;
        if state.book.is_changed() {
            let mut step = state.book.take_step(now.civil);
            step.hushable = state.plan.hushable();
            state.store.commit(&step).map_err(NotifierError::Store)?;
            if let Some(positions) = &step.positions {
                state.positions = positions.clone();
            }
            self.count(&step, &mut state);
        }
        state.stale = false;
        Ok(value)
    }

    fn count(&self, step: &Step, state: &mut State) {
        for suppression in &step.suppressions {
            let reason = suppression.reason.split(':').next().unwrap_or_default().to_owned();
            self.metrics.suppressed.get_or_create(&ReasonLabels { reason }).inc();
        }
        self.metrics.transitions.inc_by(step.transitions.len() as u64);
        for alert_state in [AlertState::Pending, AlertState::Firing] {
            let labels = StateLabels { state: alert_state.as_str() };
            self.metrics.alerts.get_or_create(&labels).set(state.book.count(alert_state) as i64);
        }
        if !step.notifications.is_empty() || !step.released.is_empty() || !step.hushed.is_empty() {
            self.outbox_changed(state);
        }
    }

    fn outbox_changed(&self, state: &mut State) {
        if let Ok(depth) = state.store.queue_depth() {
            self.metrics.queue_depth.set(depth.cast_signed());
        }
        self.outbox.send_modify(|count| *count += 1);
    }

    /// Takes in the next transitions of the log.
    ///
    /// # Errors
    /// [`NotifierError::Log`] or [`NotifierError::Store`]; nothing was consumed then.
    pub fn consume(&self) -> Result<Consumed, NotifierError> {
        let consumed = self.step(|state, now| {
            let from = state.positions.clone();
            let batch =
                self.log.read(&from, Topics::of(&[Topic::Alerts]), BATCH).map_err(NotifierError::Log)?;
            if batch.lost_bytes > 0 {
                tracing::error!(
                    bytes = batch.lost_bytes,
                    "the log was shortened before the notifier had read it"
                );
                self.metrics.lost_bytes.inc_by(batch.lost_bytes);
            }
            let plan = Arc::clone(&state.plan);
            let mut transitions = 0;
            for entry in batch.entries {
                if let Body::Alert(transition) = entry.body {
                    state.book.consume(entry.position, *transition, now.domain, &plan);
                    transitions += 1;
                }
            }
            let caught_up = batch.next == from || batch.next.covers(&self.log.end());
            let idle = self.clock.monotonic_now().saturating_sub(state.kept_at);
            let keep = transitions > 0 || (batch.next != from && idle >= KEEP_POSITION_EVERY);
            if keep {
                state.kept_at = self.clock.monotonic_now();
                state.book.advance(batch.next);
            } else {
                state.positions = batch.next;
            }
            Ok((Consumed { transitions, caught_up }, keep))
        });
        let (consumed, kept) = consumed?;
        if kept {
            self.commit_cursor();
        }
        Ok(consumed)
    }

    /// Tells the log what is consumed for good: it may release what lies before.
    fn commit_cursor(&self) {
        let positions = self.positions();
        if let Err(error) = self.log.commit(CONSUMER, &positions) {
            tracing::warn!(%error, "cannot move the notifier's cursor; the next commit tries again");
        }
    }

    /// The backlog is at its end: what was held is told or goes into a digest.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn settle(&self) -> Result<(), NotifierError> {
        self.step(|state, now| {
            if state.book.waits_for_backlog() {
                let plan = Arc::clone(&state.plan);
                state.book.settle_backlog(now, &plan);
            }
            Ok(())
        })
    }

    /// Flushes the groups and merges the waiting messages whose time has come.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn keep_timers(&self) -> Result<(), NotifierError> {
        self.step(|state, now| {
            let plan = Arc::clone(&state.plan);
            for receiver in state.book.due_merges(now.domain) {
                let waiting = state.store.waiting(&receiver).map_err(NotifierError::Store)?;
                state.book.merge(&receiver, waiting, now, &plan);
            }
            state.book.flush_due(now, &plan);
            Ok(())
        })
    }

    /// Domain time of the next timer.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.lock().book.next_timer()
    }

    /// Whether something waits for the end of the backlog.
    pub fn waits_for_backlog(&self) -> bool {
        self.lock().book.waits_for_backlog()
    }

    /// How far the log is consumed.
    pub fn positions(&self) -> Positions {
        self.lock().positions.clone()
    }

    /// The plan that is followed.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.lock().plan)
    }

    /// Follows another plan: open alerts are routed anew, queued deliveries of channels that are gone end.
    ///
    /// # Errors
    /// [`NotifierError::Store`]; the plan before stands then.
    pub fn apply(&self, plan: Arc<Plan>) -> Result<(), NotifierError> {
        let before = self.plan();
        let routed = self.step(|state, now| {
            state.plan = Arc::clone(&plan);
            state.book.reroute_all(now.domain, &plan);
            Ok(())
        });
        let mut state = self.lock();
        if let Err(error) = routed {
            state.plan = before;
            return Err(error);
        }
        state.end_orphans(self.clock.civil_now());
        state.end_acknowledged(self.clock.civil_now());
        if let Err(error) = state.store.set_timezone(plan.config.timezone) {
            tracing::error!(%error, "cannot keep the zone for readers");
        }
        self.outbox_changed(&mut state);
        Ok(())
    }

    /// Deletes what is older than the plan keeps.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn prune(&self) -> Result<usize, NotifierError> {
        let now = self.now();
        let mut state = self.lock();
        let keep = state.plan.config.keep;
        state.end_orphans(now.civil);
        state.store.prune(now.domain - keep, now.civil - keep).map_err(NotifierError::Store)
    }

    /// Takes an acknowledgement of alerts, each as bad as somebody was told: one transaction, durable when it returns.
    ///
    /// # Errors
    /// [`NotifierError::Store`]; nothing is acknowledged then.
    pub fn acknowledge(
        &self,
        alerts: &[(AlertId, Severity)],
        by: &str,
        via: &str,
    ) -> Result<Acknowledged, NotifierError> {
        let came = self.step(|state, now| Ok(state.book.acknowledge(alerts, by, via, now.civil)))?;
        tracing::info!(alerts = alerts.len(), via, ?came, "acknowledgement");
        Ok(came)
    }

    /// The same of one alert, as bad as it is now. `None` when it is not open.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn acknowledge_alert(&self, id: AlertId, by: &str, via: &str) -> Result<Acknowledged, NotifierError> {
        self.acknowledge(&[(id, Severity::P0)], by, via)
    }

    /// The delivery a signed link speaks of.
    ///
    /// # Errors
    /// [`LinkError`] inside; outside [`NotifierError::Store`]. Only what was signed here touches the database.
    pub fn open_link(&self, token: &str) -> Result<Result<Addressed, LinkError>, NotifierError> {
        let key = match link::open(&self.link_key, token, self.clock.civil_now()) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.addressed(&key)?.ok_or(LinkError::Expired))
    }

    /// The delivery of an idempotency key.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn addressed(&self, key: &str) -> Result<Option<Addressed>, NotifierError> {
        self.lock().store.addressed(key).map_err(NotifierError::Store)
    }

    /// A provider says by itself that it has a message.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn learn(&self, key: &str, provider_id: &str) -> Result<(), NotifierError> {
        let mut state = self.lock();
        if state.store.learn(key, provider_id, self.clock.civil_now()).map_err(NotifierError::Store)? {
            tracing::info!(key, "the provider says it has a message nobody answered for");
            self.outbox_changed(&mut state);
        }
        Ok(())
    }

    /// The token that acknowledges what a message tells; `None` where it tells of nothing that fires.
    pub(crate) fn link_of(&self, lease: &Lease) -> Option<String> {
        let message = &lease.message;
        let tells = matches!(message.kind, MessageKind::Firing | MessageKind::Repeat);
        if tells { self.link_to(&lease.key, message.created_at) } else { None }
    }

    /// The token of a key and the civil time its message was written.
    #[doc(hidden)]
    pub fn link_to(&self, key: &str, created_at: Timestamp) -> Option<String> {
        link::sign(&self.link_key, key, created_at)
    }

    /// Takes the next delivery of a channel.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn lease(&self, channel: &str) -> Result<Option<Lease>, NotifierError> {
        let mut state = self.lock();
        let slot = state.plan.slots().find(|slot| slot.name == channel).cloned();
        let recipients = slot.map(|slot| slot.recipients).unwrap_or_default();
        state.store.lease(channel, &recipients, self.clock.civil_now()).map_err(NotifierError::Store)
    }

    /// Puts back the deliveries of a channel that were leased so long ago though no attempt holds them.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn release_forgotten(&self, channel: &str, age: Duration) -> Result<usize, NotifierError> {
        let mut state = self.lock();
        let held: Vec<i64> = self.held().iter().copied().collect();
        let now = self.clock.civil_now();
        state.store.release_forgotten(channel, now - age, &held, now).map_err(NotifierError::Store)
    }

    /// Civil time at which the next delivery of a channel may be tried.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn next_due(&self, channel: &str) -> Result<Option<Timestamp>, NotifierError> {
        self.lock().store.next_due(channel, self.clock.civil_now()).map_err(NotifierError::Store)
    }

    /// Records the end of an attempt.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn finish(&self, finished: &Finished) -> Result<(), NotifierError> {
        let mut state = self.lock();
        state.store.finish(finished).map_err(NotifierError::Store)?;
        if finished.state == DeliveryState::Queued {
            // Its channel may have gone while it was under way, and somebody may have taken it in hand.
            state.end_orphans(self.clock.civil_now());
            state.end_acknowledged(self.clock.civil_now());
        }
        if matches!(finished.state, DeliveryState::Failed | DeliveryState::Expired) {
            self.metrics.undelivered.inc();
        }
        self.outbox_changed(&mut state);
        Ok(())
    }

    /// Changes of the outbox.
    pub fn outbox(&self) -> watch::Receiver<u64> {
        self.outbox.subscribe()
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn SampleLog> {
        &self.log
    }

    /// The metrics.
    pub fn metrics(&self) -> &NotifierMetrics {
        &self.metrics
    }
}

/// Runs a step where blocking is allowed. A panic there is an error here.
pub(crate) async fn on_disk<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Engine) -> Result<T, NotifierError> + Send + 'static,
) -> Result<T, NotifierError> {
    let engine = Arc::clone(engine);
    match spawn_blocking(move || work(&engine)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(NotifierError::Panicked(text.unwrap_or_default()))
            }
            // The runtime is ending: nobody waits for the answer.
            Err(_) => std::future::pending().await,
        },
    }
}

impl State {
    /// Gives queued deliveries to where their channel stands now and ends those whose channel is gone. A failure is
    /// logged alone: the next time tries again, and nothing is leased to a channel that does not reach its recipient.
    fn end_orphans(&mut self, now: Timestamp) {
        let slots: Vec<ChannelSlot> = self.plan.slots().cloned().collect();
        match self.store.suppress_orphans(&slots, now) {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(count, "queued deliveries of channels that are no longer configured ended")
            }
            Err(error) => {
                tracing::error!(%error, "cannot end deliveries of channels that are no longer configured")
            }
        }
    }

    /// Ends calls of incidents that are in hand. A failure is logged alone: the next time tries again.
    fn end_acknowledged(&mut self, now: Timestamp) {
        if self.stale {
            return;
        }
        let (incidents, channels) = (self.book.acknowledged_incidents(), self.plan.hushable());
        if let Err(error) = self.store.hush(&incidents, &channels, now) {
            tracing::error!(%error, "cannot end calls of acknowledged incidents");
        }
    }

    fn reload(&mut self) -> Result<(), StoreError> {
        let loaded = self.store.load()?;
        self.positions = loaded.positions.clone();
        self.book = Book::new(loaded);
        self.stale = false;
        Ok(())
    }
}
