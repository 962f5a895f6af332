//! The notifier as the process sees it: its tasks, its configuration, its answers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{AlertId, Clock, Labels, SampleLog};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::channel::{Callback, Notification, ProbeError};
use crate::channels::{self, ChannelConfig, within};
use crate::engine::{Engine, on_disk};
use crate::incident::{Now, key};
use crate::link::LinkError;
use crate::message::{Message, MessageKind, compose};
use crate::outbox::{Slot, keep_pumping};
use crate::plan::{ChannelSlot, Plan, Receiver};
use crate::store::{Addressed, Reader, SqliteStore};
use crate::view::{Acknowledged, ChannelHealth, ChannelTest};
use crate::{NotifierConfig, NotifierError, NotifierMetrics};

/// How long the stream of alerts must be quiet before a backlog counts as over, when nobody tells.
const QUIET: Duration = Duration::from_secs(5);

/// Pause after the database or the log failed.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// How often old alerts are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// The notifier.
pub struct Notifier {
    engine: Arc<Engine>,
    slots: watch::Sender<Arc<Vec<Slot>>>,
    upstream: Mutex<Option<watch::Receiver<bool>>>,
    reader: Reader,
    place: PathBuf,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Notifier {
    /// Opens the database (made when absent) and takes up what was left there. Touches the disk.
    ///
    /// # Errors
    /// [`NotifierError::Config`], [`NotifierError::Channel`] or [`NotifierError::Store`].
    pub fn open(
        path: &Path,
        config: NotifierConfig,
        log: Arc<dyn SampleLog>,
        clock: Arc<dyn Clock>,
        metrics: NotifierMetrics,
    ) -> Result<Self, NotifierError> {
        let plan = Arc::new(Plan::compile(config).map_err(NotifierError::Config)?);
        let slots = build_slots(&plan, &clock)?;
        let store = SqliteStore::open(path).map_err(NotifierError::Store)?;
        let engine = Arc::new(Engine::new(Box::new(store), plan, log, clock, metrics)?);
        let reader = Reader::open(path).map_err(NotifierError::Store)?;
        let slots = watch::Sender::new(Arc::new(slots));
        Ok(Self { engine, slots, upstream: Mutex::new(None), reader, place: path.to_owned() })
    }

    /// Tells whether what writes `alerts` has caught up with its own input. While it has not, alerts that are older
    /// than `alert_max_age` wait, since their end may still be coming. Without this, a backlog counts as over when no
    /// transition came for 5 s.
    pub fn set_upstream(&self, caught_up: watch::Receiver<bool>) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(caught_up);
    }

    /// Consumes `alerts`, keeps the timers and delivers, until `shutdown`; deliveries in flight then end within
    /// `shutdown_timeout`, the rest stays queued for the next start. A failing database or log is tried again for ever.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut pumps = JoinSet::new();
        let delivering = self.deliver(&mut pumps, &shutdown);
        tokio::join!(self.consume(&shutdown), delivering, self.prune(&shutdown));
        let timeout = self.engine.plan().config.shutdown_timeout;
        let ending = async { while pumps.join_next().await.is_some() {} };
        if within(&**self.engine.clock(), timeout, ending).await.is_none() {
            tracing::warn!("deliveries in flight did not end in time; they are sent again with their key");
        }
    }

    /// Keeps one pump for each channel of the configuration.
    async fn deliver(&self, pumps: &mut JoinSet<()>, shutdown: &CancellationToken) {
        let mut slots = self.slots.subscribe();
        while !shutdown.is_cancelled() {
            let stop = shutdown.child_token();
            for slot in slots.borrow_and_update().iter() {
                pumps.spawn(keep_pumping(Arc::clone(&self.engine), slot.clone(), stop.clone()));
            }
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    _ = slots.changed() => break,
                    Some(_) = pumps.join_next(), if !pumps.is_empty() => {}
                }
            }
            stop.cancel();
        }
    }

    async fn consume(&self, shutdown: &CancellationToken) {
        let mut last_news = self.engine.clock().monotonic_now();
        while !shutdown.is_cancelled() {
            let settle = self.is_upstream_done(last_news);
            match on_disk(&self.engine, move |engine| advance(engine, settle)).await {
                Ok(step) => {
                    if step.transitions > 0 {
                        last_news = self.engine.clock().monotonic_now();
                    }
                    if step.caught_up && step.transitions == 0 {
                        self.wait(shutdown, last_news).await;
                    }
                }
                Err(error) => {
                    self.engine.metrics().step_errors.inc();
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a step of the notifier failed, it is tried again"
                    );
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = self.engine.clock().sleep(ERROR_PAUSE) => {}
                    }
                }
            }
        }
    }

    fn upstream(&self) -> Option<watch::Receiver<bool>> {
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_upstream_done(&self, last_news: Duration) -> bool {
        match self.upstream() {
            Some(caught_up) => *caught_up.borrow(),
            None => self.engine.clock().monotonic_now().saturating_sub(last_news) >= QUIET,
        }
    }

    /// Waits for news: of the log, of a timer, of the end of the backlog, of another configuration.
    async fn wait(&self, shutdown: &CancellationToken, last_news: Duration) {
        let (engine, clock) = (&self.engine, self.engine.clock());
        let positions = engine.positions();
        let mut changes = engine.outbox();
        let timer = async {
            match engine.next_timer() {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let backlog = async {
            match (engine.waits_for_backlog(), self.upstream()) {
                (false, _) => std::future::pending().await,
                (true, None) => clock.sleep((last_news + QUIET).saturating_sub(clock.monotonic_now())).await,
                (true, Some(mut caught_up)) => {
                    if caught_up.wait_for(|done| *done).await.is_err() {
                        clock.sleep(QUIET).await;
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = engine.log().wait(&positions) => {}
            () = timer => {}
            () = backlog => {}
            _ = changes.changed() => {}
        }
    }

    async fn prune(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.engine.clock().sleep(PRUNE_EVERY) => {}
            }
            match on_disk(&self.engine, Engine::prune).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old alerts deleted"),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot delete old alerts")
                }
            }
        }
    }

    /// Puts another configuration in place of the one before. Open alerts are routed anew; who was told of one is told
    /// of its end. Deliveries in flight end with the channels they began with.
    ///
    /// # Errors
    /// [`NotifierError::Config`], [`NotifierError::Channel`] or [`NotifierError::Store`]; the one before stands then.
    pub async fn apply(&self, config: NotifierConfig) -> Result<(), NotifierError> {
        let plan = Arc::new(Plan::compile(config).map_err(NotifierError::Config)?);
        let slots = build_slots(&plan, self.engine.clock())?;
        on_disk(&self.engine, move |engine| engine.apply(plan)).await?;
        self.slots.send_replace(Arc::new(slots));
        Ok(())
    }

    /// Sends a test message by every channel of a receiver, at once and past the outbox.
    ///
    /// # Errors
    /// [`NotifierError::UnknownReceiver`].
    pub async fn test_receiver(&self, name: &str) -> Result<Vec<ChannelTest>, NotifierError> {
        let plan = self.engine.plan();
        test(&plan, name, self.engine.clock()).await
    }

    /// Tries to reach the provider of every channel without sending anything.
    pub async fn probe(&self) -> Vec<ChannelTest> {
        let slots = Arc::clone(&self.slots.borrow());
        probe_slots(&slots, self.engine.clock()).await
    }

    /// How every channel of the configuration fares. Touches the disk.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn channels(&self) -> Result<Vec<ChannelHealth>, NotifierError> {
        let queued = self.reader.queued()?;
        let health = |slot: &ChannelSlot| {
            let tally = self.engine.metrics().tallies.of(&slot.name);
            ChannelHealth {
                channel: slot.name.clone(),
                delivered: tally.delivered,
                failed: tally.failed,
                unknown: tally.unknown,
                queued: queued.get(&slot.name).copied().unwrap_or_default(),
                error: tally.error,
            }
        };
        Ok(self.engine.plan().slots().map(health).collect())
    }

    /// Names of the receivers an alert with these labels goes to, severity included as label `severity`.
    pub fn route_for(&self, labels: &Labels) -> Vec<String> {
        self.engine.plan().route_for(labels)
    }

    /// Acknowledges one alert, as bad as it is now: its messages are not repeated until it gets worse or is over, and
    /// calls that were not made yet are dropped. Durable when it returns.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub async fn acknowledge(&self, id: AlertId, by: &str, via: &str) -> Result<Acknowledged, NotifierError> {
        let (by, via) = (by.to_owned(), via.to_owned());
        on_disk(&self.engine, move |engine| engine.acknowledge_alert(id, &by, &via)).await
    }

    /// What a signed link speaks of.
    ///
    /// # Errors
    /// [`LinkError`] inside; outside [`NotifierError::Store`].
    pub async fn open_link(&self, token: &str) -> Result<Result<Addressed, LinkError>, NotifierError> {
        let token = token.to_owned();
        on_disk(&self.engine, move |engine| engine.open_link(&token)).await
    }

    /// Acknowledges what a message told, as bad as it told it, in the name of who was told.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub async fn acknowledge_message(&self, message: &Addressed) -> Result<Acknowledged, NotifierError> {
        let (alerts, by, via) = (message.firing.clone(), message.recipient.clone(), message.channel.clone());
        on_disk(&self.engine, move |engine| engine.acknowledge(&alerts, &by, &via)).await
    }

    /// Whether a request comes from the provider of the channel a message went by.
    pub fn is_from_provider(&self, message: &Addressed, callback: &Callback<'_>) -> bool {
        let slots = Arc::clone(&self.slots.borrow());
        let slot = slots.iter().find(|slot| slot.name == message.channel);
        slot.is_some_and(|slot| slot.channel.is_from_provider(callback))
    }

    /// The message of an idempotency key.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub async fn addressed(&self, key: &str) -> Result<Option<Addressed>, NotifierError> {
        let key = key.to_owned();
        on_disk(&self.engine, move |engine| engine.addressed(&key)).await
    }

    /// Takes what a provider said by itself of the message of a key; the caller has seen that it was the provider.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub async fn provider_says(&self, key: &str, form: &[(String, String)]) -> Result<(), NotifierError> {
        let Some(id) = channels::twilio::taken(form) else { return Ok(()) };
        let (key, id) = (key.to_owned(), id.to_owned());
        on_disk(&self.engine, move |engine| engine.learn(&key, &id)).await
    }

    /// Reads the state beside what runs.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The positions the notifier has consumed: covers the log's end when it has caught up.
    pub fn positions(&self) -> model::Positions {
        self.engine.positions()
    }

    /// The steps themselves, for tests that drive them one by one.
    #[doc(hidden)]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

/// One round: consume, and at the end of the log settle what was held and keep the timers.
fn advance(engine: &Engine, settle: bool) -> Result<crate::engine::Consumed, NotifierError> {
    let consumed = engine.consume()?;
    if consumed.caught_up {
        if settle {
            engine.settle()?;
        }
        engine.keep_timers()?;
    }
    Ok(consumed)
}

fn build_slots(plan: &Plan, clock: &Arc<dyn Clock>) -> Result<Vec<Slot>, NotifierError> {
    let mut slots = Vec::new();
    for receiver in plan.receivers() {
        slots.extend(receiver_slots(receiver, clock)?);
    }
    Ok(slots)
}

fn receiver_slots(receiver: &Receiver, clock: &Arc<dyn Clock>) -> Result<Vec<Slot>, NotifierError> {
    let build = |(name, config): (String, &ChannelConfig)| match config.build(Arc::clone(clock)) {
        Ok(channel) => Ok(Slot { name, channel }),
        Err(what) => Err(NotifierError::Channel { channel: name, what }),
    };
    channels::slots(&receiver.config).map(build).collect()
}

/// Opens the database for reading alone, for commands without a process.
///
/// # Errors
/// [`NotifierError::Store`], also when there is none.
pub fn open_read_only(path: &Path) -> Result<Reader, NotifierError> {
    Reader::open(path).map_err(NotifierError::Store)
}

/// Tries to reach the provider of every channel of a configuration, for `check --online`.
///
/// # Errors
/// [`NotifierError::Config`] or [`NotifierError::Channel`].
pub async fn probe(
    config: &NotifierConfig,
    clock: Arc<dyn Clock>,
) -> Result<Vec<ChannelTest>, NotifierError> {
    let plan = Plan::compile(config.clone()).map_err(NotifierError::Config)?;
    let slots = build_slots(&plan, &clock)?;
    Ok(probe_slots(&slots, &clock).await)
}

/// Sends a test message to a receiver of a configuration, for `notify test` without a running process.
///
/// # Errors
/// [`NotifierError::Config`], [`NotifierError::Channel`] or [`NotifierError::UnknownReceiver`].
pub async fn test_receiver(
    config: &NotifierConfig,
    name: &str,
    clock: Arc<dyn Clock>,
) -> Result<Vec<ChannelTest>, NotifierError> {
    let plan = Plan::compile(config.clone()).map_err(NotifierError::Config)?;
    test(&plan, name, &clock).await
}

async fn test(plan: &Plan, name: &str, clock: &Arc<dyn Clock>) -> Result<Vec<ChannelTest>, NotifierError> {
    let Some(receiver) = plan.receiver(name) else {
        let valid = plan.receivers().map(|receiver| receiver.config.name.clone()).collect();
        return Err(NotifierError::UnknownReceiver { name: name.to_owned(), valid });
    };
    let now = Now { domain: clock.domain_now(), civil: clock.civil_now() };
    let message = test_message(receiver, plan, now);
    let mut tries = JoinSet::new();
    for slot in receiver_slots(receiver, clock)? {
        for recipient in slot.channel.recipients() {
            let step = now.civil.as_nanos().unsigned_abs();
            let notification = Notification {
                key: key(&message.incident, "test", &recipient, &slot.name, step),
                thread: None,
                recipient,
                attempt_at: now.civil,
                message: message.clone(),
                acknowledge: None,
            };
            tries.spawn(try_once(slot.clone(), notification, Arc::clone(clock)));
        }
    }
    Ok(collect(tries).await)
}

async fn try_once(slot: Slot, notification: Notification, clock: Arc<dyn Clock>) -> ChannelTest {
    let began = clock.monotonic_now();
    let outcome = slot.channel.deliver(&notification).await;
    let ok = matches!(outcome, crate::channel::Outcome::Receipt(_));
    ChannelTest {
        channel: slot.name,
        recipient: notification.recipient,
        outcome: outcome.as_str().to_owned(),
        ok,
        detail: outcome.detail().to_owned(),
        millis: millis_since(&*clock, began),
    }
}

async fn probe_slots(slots: &[Slot], clock: &Arc<dyn Clock>) -> Vec<ChannelTest> {
    let mut tries = JoinSet::new();
    for slot in slots.iter().cloned() {
        let clock = Arc::clone(clock);
        tries.spawn(async move {
            let began = clock.monotonic_now();
            let result = slot.channel.probe().await;
            ChannelTest {
                channel: slot.name,
                recipient: String::new(),
                outcome: result.as_ref().map_or_else(ProbeError::as_str, |_| "reachable").to_owned(),
                ok: result.is_ok(),
                detail: result.unwrap_or_else(|what| what.to_string()),
                millis: millis_since(&*clock, began),
            }
        });
    }
    collect(tries).await
}

fn millis_since(clock: &dyn Clock, began: Duration) -> u64 {
    u64::try_from(clock.monotonic_now().saturating_sub(began).as_millis()).unwrap_or(u64::MAX)
}

async fn collect(mut tries: JoinSet<ChannelTest>) -> Vec<ChannelTest> {
    let mut results = Vec::new();
    while let Some(joined) = tries.join_next().await {
        results.extend(joined);
    }
    results.sort_by(|a, b| (&a.channel, &a.recipient).cmp(&(&b.channel, &b.recipient)));
    results
}

fn test_message(receiver: &Receiver, plan: &Plan, now: Now) -> Message {
    compose::compose(compose::Draft {
        kind: MessageKind::Test,
        incident: "test".to_owned(),
        group_key: "test".to_owned(),
        receiver: &receiver.config.name,
        language: receiver.language,
        zone: plan.config.timezone,
        group_labels: Labels::default(),
        notes: Vec::new(),
        firing: 0,
        resolved: 0,
        at: now.domain,
        created_at: now.civil,
        external_url: plan.config.external_url.as_deref(),
    })
}
