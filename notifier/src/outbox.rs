//! Carries what stands in the outbox: one pump for each channel, each with a bounded number of attempts at a time.
//!
//! Every attempt has a deadline. What fails and may pass is tried again after a growing pause, never before the
//! provider's own `Retry-After`; after `delivery_max_age` it is `expired`. A crash or a deadline leaves the outcome
//! unknown: the channel is asked whether its provider has the message, and it is sent again, with the same key, only when
//! it has not. The queue is the database: it is never full; one incident's
//! messages to one recipient keep their order.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Monotonic, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, Found, Notification, Outcome, Unanswered};
use crate::channels::within;
use crate::engine::{Engine, Held, on_disk};
use crate::metrics::{ChannelLabels, DeliveryLabels};
use crate::store::{Finished, Lease};
use crate::view::DeliveryState;

/// Attempts of one channel at a time. More wait in the queue.
const CONCURRENCY: usize = 4;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The longest time until the queue is looked at again though nothing happens.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The longest wish of a provider that is heeded.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// What a channel may take beyond its own deadline before the outbox gives up on it.
const GRACE: Duration = Duration::from_secs(5);

/// What recording may take beyond that before a lease that no attempt holds counts as forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after the database failed again and again.
const LONGEST_DATABASE_PAUSE: Duration = Duration::from_secs(30);

/// A channel and its name.
#[derive(Clone)]
pub(crate) struct Slot {
    /// Receiver, type and number: `ops/email/0`.
    pub(crate) name: String,
    /// The channel.
    pub(crate) channel: Arc<dyn Channel>,
}

/// Runs a pump until `stop`; one that dies is counted and started again. What it had leased is released by its age.
pub(crate) async fn keep_pumping(engine: Arc<Engine>, slot: Slot, stop: CancellationToken) {
    let mut wait = DATABASE_PAUSE;
    loop {
        let mut pumping = JoinSet::new();
        pumping.spawn(pump(Arc::clone(&engine), slot.clone(), stop.clone()));
        let ended = pumping.join_next().await;
        if stop.is_cancelled() {
            return;
        }
        engine.metrics().restarts.inc();
        tracing::error!(
            channel = slot.name,
            ?ended,
            "the deliveries of a channel stopped, starting them again"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.clock().sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_DATABASE_PAUSE);
    }
}

/// Carries the deliveries of one channel until `stop`; then lets those under way end.
pub(crate) async fn pump(engine: Arc<Engine>, slot: Slot, stop: CancellationToken) {
    let mut changes = engine.outbox();
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        changes.borrow_and_update();
        let pause = fill(&engine, &slot, &mut running).await;
        let sleep = engine.clock().sleep(pause);
        tokio::select! {
            () = stop.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = sleep => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Begins as many attempts as may run; says after which pause to look again though nothing happens.
async fn fill(engine: &Arc<Engine>, slot: &Slot, running: &mut JoinSet<()>) -> Duration {
    release_forgotten(engine, slot).await;
    while running.len() < CONCURRENCY {
        let (name, holder) = (slot.name.clone(), Arc::clone(engine));
        let recipients = slot.channel.recipients();
        match on_disk(engine, move |_| holder.lease_held(&name, &recipients)).await {
            Ok(Some((lease, held))) => {
                running.spawn(attempt(Arc::clone(engine), slot.clone(), lease, held));
            }
            Ok(None) => break,
            Err(error) => {
                tracing::error!(
                    channel = slot.name,
                    error = &error as &dyn std::error::Error,
                    "cannot lease a delivery"
                );
                return DATABASE_PAUSE;
            }
        }
    }
    let name = slot.name.clone();
    match on_disk(engine, move |engine| engine.next_due(&name)).await {
        // A clock that was set back must not stop deliveries, nor a forgotten lease those behind it.
        Ok(Some(at)) => at.since(engine.clock().civil_now()).clamp(Duration::from_millis(1), LOOK_AGAIN),
        Ok(None) => LOOK_AGAIN,
        Err(_) => DATABASE_PAUSE,
    }
}

/// Puts back what is leased though no attempt holds it: the outcome is unknown.
async fn release_forgotten(engine: &Arc<Engine>, slot: &Slot) {
    let (name, age) = (slot.name.clone(), slot.channel.timeout() + GRACE + FORGOTTEN_AFTER);
    match on_disk(engine, move |engine| engine.release_forgotten(&name, age)).await {
        Ok(0) => {}
        Ok(count) => tracing::error!(channel = slot.name, count, "forgotten deliveries are sent again"),
        Err(error) => tracing::error!(
            channel = slot.name,
            error = &error as &dyn std::error::Error,
            "cannot look for forgotten deliveries"
        ),
    }
}

/// Hands the message over in a task of its own: a channel that panics leaves the outcome unknown.
async fn carry(clock: &dyn Clock, slot: &Slot, notification: Notification) -> Outcome {
    let (channel, limit) = (Arc::clone(&slot.channel), slot.channel.timeout() + GRACE);
    let mut carrying = JoinSet::new();
    carrying.spawn(async move { channel.deliver(&notification).await });
    let unknown = |message: &str| Outcome::Unknown { message: message.to_owned() };
    match within(clock, limit, carrying.join_next()).await {
        Some(Some(Ok(outcome))) => outcome,
        Some(_) => unknown("the attempt panicked"),
        None => unknown("the channel did not end in time"),
    }
}

/// Asks the provider for a message nobody answered for, before it is sent again.
async fn ask(clock: &dyn Clock, slot: &Slot, notification: &Notification, unanswered: &Unanswered) -> Found {
    let (channel, limit) = (Arc::clone(&slot.channel), slot.channel.timeout() + GRACE);
    let (notification, unanswered) = (notification.clone(), unanswered.clone());
    let mut asking = JoinSet::new();
    asking.spawn(async move { channel.find(&notification, &unanswered).await });
    let cannot = |message: &str| Found::CannotTell { retry_after: None, message: message.to_owned() };
    match within(clock, limit, asking.join_next()).await {
        Some(Some(Ok(found))) => found,
        Some(_) => cannot("asking the provider panicked"),
        None => cannot("the channel did not end in time"),
    }
}

async fn attempt(engine: Arc<Engine>, slot: Slot, lease: Lease, _held: Held) {
    let clock = engine.clock();
    let (started_at, began) = (clock.civil_now(), clock.monotonic_now());
    let notification = Notification {
        acknowledge: engine.link_of(&lease),
        key: lease.key.clone(),
        thread: lease.thread.clone(),
        recipient: lease.recipient.clone(),
        attempt_at: started_at,
        message: lease.message.clone(),
    };
    let found = match &lease.unanswered {
        Some(unanswered) => ask(&**clock, &slot, &notification, unanswered).await,
        None => Found::No,
    };
    let outcome = match found {
        Found::Yes(receipt) => Outcome::Receipt(receipt),
        Found::Dead { message } => Outcome::Permanent { message },
        Found::No => carry(&**clock, &slot, notification).await,
        Found::CannotTell { retry_after, message } => Outcome::Transient { retry_after, message },
    };
    let took = clock.monotonic_now().saturating_sub(began);
    observe(&engine, &slot, &lease, &outcome, took);
    let max_age = engine.plan().config.delivery_max_age;
    let finished = decide(&lease, outcome, started_at, took, clock.civil_now(), max_age);
    engine.metrics().tallies.count(&slot.name, &finished);
    record(&engine, finished).await;
}

fn observe(engine: &Engine, slot: &Slot, lease: &Lease, outcome: &Outcome, took: Monotonic) {
    let labels = DeliveryLabels { channel: slot.channel.kind(), outcome: outcome.as_str() };
    engine.metrics().deliveries.get_or_create(&labels).inc();
    engine.metrics().attempt_seconds.observe(took.as_secs_f64());
    let (channel, key, attempt, result) = (&slot.name, &lease.key, lease.attempt, outcome.as_str());
    if let Outcome::Receipt(receipt) = outcome {
        let labels = ChannelLabels { channel: slot.channel.kind() };
        engine.metrics().parts.get_or_create(&labels).inc_by(u64::from(receipt.parts));
    }
    match outcome {
        Outcome::Receipt(_) => tracing::info!(channel, key, attempt, result, "message delivered"),
        _ => {
            tracing::warn!(channel, key, attempt, result, detail = outcome.detail(), "message not delivered")
        }
    }
}

/// Records the end of an attempt, however long the database fails. When the process ends before, the delivery is sent
/// again with the same key.
async fn record(engine: &Arc<Engine>, finished: Finished) {
    let mut wait = DATABASE_PAUSE;
    loop {
        let copy = finished.clone();
        match on_disk(engine, move |engine| engine.finish(&copy)).await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot record a delivery");
                engine.clock().sleep(wait).await;
                wait = (wait * 2).min(LONGEST_DATABASE_PAUSE);
            }
        }
    }
}

/// What becomes of a delivery after an attempt.
fn decide(
    lease: &Lease,
    outcome: Outcome,
    started_at: Timestamp,
    took: Monotonic,
    now: Timestamp,
    max_age: Duration,
) -> Finished {
    let name = outcome.as_str();
    let detail = outcome.detail().to_owned();
    let too_old = now.since(lease.created_at) >= max_age;
    let (state, wait, provider_id) = match outcome {
        Outcome::Receipt(receipt) if receipt.delivered => {
            (DeliveryState::Delivered, Duration::ZERO, receipt.provider_id)
        }
        Outcome::Receipt(receipt) => (DeliveryState::Accepted, Duration::ZERO, receipt.provider_id),
        Outcome::Permanent { .. } => (DeliveryState::Failed, Duration::ZERO, String::new()),
        _ if too_old => (DeliveryState::Expired, Duration::ZERO, String::new()),
        Outcome::Transient { retry_after, .. } => {
            let wish = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            (DeliveryState::Queued, pause(&lease.key, lease.attempt).max(wish), String::new())
        }
        Outcome::Unknown { .. } => (DeliveryState::Queued, pause(&lease.key, lease.attempt), String::new()),
    };
    Finished {
        delivery: lease.delivery,
        started_at,
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        outcome: name,
        detail,
        provider_id,
        state,
        not_before: now + wait,
        decided_at: now,
    }
}

/// The pause after an attempt: doubling, with a spread of a fifth either way that depends on the key, so that what
/// failed together does not come back together.
fn pause(key: &str, attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    let seed = key
        .bytes()
        .fold(u32::from(attempt == 0), |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    doubled.mul_f64(0.8 + 0.4 * f64::from(seed.wrapping_add(attempt) % 1_000) / 1_000.0)
}

#[cfg(test)]
mod tests;
