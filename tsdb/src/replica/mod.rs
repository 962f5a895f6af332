//! The consumer that feeds one store from the log.
//!
//! It reads `samples verdicts alerts pipeline` from the store's own position on, turns entries into points and writes
//! them in bounded slices, in order. It holds nobody back: a store that is slow or down costs only its own lag, and the
//! log keeps what it still needs.
//!
//! * A write that fails for now is tried again for ever, with growing waits and the store's own `Retry-After`.
//! * A write that is refused for good is split until the points at fault stand alone; those are dropped, counted and
//!   logged. One bad point never stops the rest.
//! * What retention released before the store read it is in the ledger of what replicas missed before anything after it
//!   is written. [`Repair`] copies it from another replica, on the side.
//! * The cursor `replica/<name>` in the log is committed once the store holds the points durably, never before. After
//!   a crash the points since are written again, which changes nothing.

mod metrics;
mod progress;
mod reads;
mod repair;
mod status;
mod write;

use std::sync::Arc;
use std::time::Duration;

use model::{
    Clock, Positions, ReadBatch, ReadError, ReadLimit, ReplicaLedger, SampleLog, Topic, Topics, WriteError,
    WriteSamples,
};
use tokio_util::sync::CancellationToken;

pub use self::metrics::ReplicaMetrics;
pub use self::progress::{Progress, Stopped};
pub use self::reads::{ReadOptions, Replicas};
pub use self::repair::{Repair, RepairOptions};
pub use self::status::{Repairing, Standing, Status};
use self::write::{Backoff, Feeder};

/// What a replica holds.
pub const TOPICS: Topics = Topics::of(&[Topic::Samples, Topic::Verdicts, Topic::Alerts, Topic::Pipeline]);

/// How a replica is fed.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// How much one read of the log brings.
    pub batch: ReadLimit,
    /// How many points one write takes, exceeded by at most one entry's points.
    pub points_per_write: usize,
    /// How long one write may take before it is tried again.
    pub write_timeout: Duration,
    /// How long written points may wait for a flush (monotonic time).
    pub flush_interval: Duration,
    /// How often the store drops what is older than its retention (monotonic time).
    pub expire_interval: Duration,
    /// First wait after a failure; doubles up to `max_backoff`.
    pub min_backoff: Duration,
    /// Longest wait after a failure, unless the store asked for more.
    pub max_backoff: Duration,
    /// How long the last flush may take at shutdown.
    pub shutdown_timeout: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            batch: ReadLimit { entries: 2_000, bytes: 1 << 20 },
            points_per_write: 5_000,
            write_timeout: Duration::from_secs(30),
            flush_interval: Duration::from_secs(30),
            expire_interval: Duration::from_secs(600),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a replica ended badly.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store could not make its last points durable at shutdown; the next start replays them from the log.
    #[error(
        "store {replica} could not be flushed at shutdown; its last points are replayed at the next start"
    )]
    Flush {
        /// Which replica.
        replica: String,
        /// Why.
        #[source]
        source: WriteError,
    },
}

/// One store and the consumer that feeds it.
#[derive(Debug)]
pub struct Replica {
    log: LogHandle,
    ledger: Option<LedgerHandle>,
    consumer: String,
    feeder: Feeder,
}

/// What the consumer carries from one round to the next.
struct Round {
    /// Where to read on.
    next: Positions,
    /// What the store said last of its own positions.
    stored: Option<Positions>,
    /// What the log's cursor says.
    committed: Option<Positions>,
    /// What was written since the last flush.
    unflushed: bool,
    flush_at: Duration,
    expire_at: Duration,
}

impl Replica {
    /// Joins a store to the log; nothing is read before [`Self::follow`].
    pub fn new(
        log: Arc<dyn SampleLog>,
        store: Arc<dyn WriteSamples>,
        options: FollowOptions,
        clock: Arc<dyn Clock>,
        metrics: ReplicaMetrics,
    ) -> Self {
        let consumer = consumer_of(store.name());
        let metrics = metrics.of_store(store.name());
        let (log, store, status) = (LogHandle(log), StoreHandle(store), Arc::default());
        let feeder = Feeder { log: Some(log.clone()), store, options, clock, metrics, status };
        Self { log, ledger: None, consumer, feeder }
    }

    /// The same with a status kept elsewhere, so that it outlives this consumer.
    #[must_use]
    pub fn with_status(mut self, status: Arc<Status>) -> Self {
        self.feeder.status = status;
        self
    }

    /// The same with a ledger, where it notes what the log released before the store had it and nobody noted: a store
    /// that is new, or was put back to an older state.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Arc<dyn ReplicaLedger>) -> Self {
        self.ledger = Some(LedgerHandle(ledger));
        self
    }

    /// How far it is; may be taken before it runs and outlives it.
    pub fn progress(&self) -> Progress {
        Progress::new(self.feeder.status.visible.subscribe())
    }

    /// Feeds the store until `shutdown`, then flushes it.
    ///
    /// # Errors
    /// [`FollowError`] when the last flush fails; every other failure is retried, counted and logged.
    pub async fn follow(self, shutdown: CancellationToken) -> Result<(), FollowError> {
        let Some(mut round) = self.until(&shutdown, self.begin()).await else { return Ok(()) };
        while !shutdown.is_cancelled() {
            if self.until(&shutdown, self.turn(&mut round)).await.is_none() {
                break;
            }
        }
        self.end(&mut round).await
    }

    /// The future's value, or `None` when shutdown came first.
    async fn until<R>(&self, shutdown: &CancellationToken, work: impl Future<Output = R>) -> Option<R> {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// Finds where to read on and registers the cursor, so that the log keeps what the store still needs.
    async fn begin(&self) -> Round {
        let stored = self.feeder.insist("ask its position", || self.feeder.store.0.position()).await;
        let known = stored.clone().or_else(|| self.log.0.committed(&self.consumer)).unwrap_or_default();
        let next = self.start_from(known);
        self.feeder.status.begin(next.clone());
        let now = self.feeder.clock.monotonic_now();
        let mut round = Round {
            next,
            stored,
            committed: self.log.0.committed(&self.consumer),
            unflushed: false,
            flush_at: now + self.feeder.options.flush_interval,
            expire_at: now,
        };
        self.commit(&mut round).await;
        round
    }

    /// Where to read on of a store that has these.
    fn start_from(&self, known: Positions) -> Positions {
        let mut next = self.rewound(known);
        // Named, so that a read tells what went of them before.
        for partition in self.log.0.end().0.into_keys() {
            next.0.entry(partition).or_insert(0);
        }
        next
    }

    /// A log shorter than the store's position is another log (the data folder was cleared): it is read from its
    /// oldest entry, since replaying is harmless and skipping is not.
    fn rewound(&self, mut known: Positions) -> Positions {
        let end = self.log.0.end();
        known.0.retain(|partition, offset| {
            let ahead = *offset > end.next(partition);
            if ahead {
                tracing::warn!(
                    replica = self.feeder.name(),
                    %partition,
                    offset,
                    end = end.next(partition),
                    "store is ahead of the log: reading the partition from its oldest entry"
                );
            }
            !ahead
        });
        known
    }

    /// One batch, or a wait for one; then whatever is due.
    async fn turn(&self, round: &mut Round) {
        let batch = self.read(&round.next).await;
        self.note_losses(&batch).await;
        self.feeder.status.accounted();
        let idle = batch.entries.is_empty() && batch.next == round.next;
        if !idle {
            self.feeder.status.pending(&batch.entries);
            self.feeder.write_batch(&batch.entries, &round.next, &batch.next).await;
            round.unflushed = true;
            round.next = batch.next;
            self.feeder.status.written(&batch.entries, &round.next, &self.log.0.end());
        }
        self.feeder.note_lag();
        self.upkeep(round, idle).await;
        if idle {
            self.wait(round).await;
        }
    }

    /// Waits for new entries, or until a flush or an expiry is due.
    async fn wait(&self, round: &Round) {
        let now = self.feeder.clock.monotonic_now();
        let due = if round.unflushed { round.flush_at.min(round.expire_at) } else { round.expire_at };
        tokio::select! {
            () = self.log.0.wait(&round.next) => {}
            () = self.feeder.clock.sleep(due.saturating_sub(now)) => {}
        }
    }

    async fn upkeep(&self, round: &mut Round, idle: bool) {
        let now = self.feeder.clock.monotonic_now();
        if now >= round.expire_at {
            round.expire_at = now + self.feeder.options.expire_interval;
            let dropped = self
                .feeder
                .insist("expire", || self.feeder.store.0.expire(self.feeder.clock.domain_now()))
                .await;
            if dropped > 0 {
                tracing::info!(
                    replica = self.feeder.name(),
                    dropped,
                    "dropped blocks older than the retention"
                );
            }
        }
        if now >= round.flush_at {
            round.flush_at = now + self.feeder.options.flush_interval;
            if round.unflushed {
                self.feeder.insist("flush", || self.feeder.store.0.flush()).await;
                round.unflushed = false;
            }
            self.commit(round).await;
        } else if idle {
            self.commit(round).await;
        }
    }

    /// A store that says it has less than before lost what it held (its database was dropped, its disk replaced): it is
    /// fed anew, and what the log holds no more is noted as missed.
    fn note_emptied(&self, stored: Option<&Positions>, round: &mut Round) {
        let Some(stored) = stored else { return };
        if round.stored.as_ref().is_none_or(|before| !stored.covers(before)) {
            tracing::warn!(
                replica = self.feeder.name(),
                "store lost what it held: it is fed anew from the oldest entry of the log"
            );
            round.next = self.start_from(stored.clone());
        }
    }

    /// Moves the log's cursor to what the store holds durably.
    async fn commit(&self, round: &mut Round) {
        let stored = self.feeder.insist("ask its position", || self.feeder.store.0.position()).await;
        self.note_emptied(stored.as_ref(), round);
        round.stored.clone_from(&stored);
        let durable = stored.unwrap_or_else(|| round.next.clone());
        if round.committed.as_ref() == Some(&durable) {
            return;
        }
        let (log, consumer, positions) = (self.log.0.clone(), self.consumer.clone(), durable.clone());
        let done = tokio::task::spawn_blocking(move || log.commit(&consumer, &positions)).await;
        match done {
            Ok(Ok(())) => round.committed = Some(durable),
            Ok(Err(error)) => {
                self.feeder.metrics.errors.inc();
                tracing::warn!(replica = self.feeder.name(), %error, "cannot move the cursor; tried again later");
            }
            // The runtime is stopping; the cursor is only a lower bound.
            Err(_) => {}
        }
    }

    /// Reads a batch; a log that cannot be read is tried again for ever, since skipping would lose points silently.
    async fn read(&self, from: &Positions) -> ReadBatch {
        let mut backoff = Backoff::new(&self.feeder.options);
        loop {
            let (log, from, limit) = (self.log.0.clone(), from.clone(), self.feeder.options.batch);
            let read = tokio::task::spawn_blocking(move || log.read(&from, TOPICS, limit)).await;
            let problem = match read {
                Ok(Ok(batch)) => return batch,
                Ok(Err(error)) => describe(&error),
                Err(stopped) => stopped.to_string(),
            };
            self.feeder.failed("read the log", &problem, &mut backoff, None).await;
        }
    }

    /// Flushes within its deadline and leaves the cursor where the store is.
    async fn end(&self, round: &mut Round) -> Result<(), FollowError> {
        let replica = self.feeder.name().to_owned();
        let flushed = tokio::select! {
            flushed = self.feeder.store.0.flush() => flushed,
            () = self.feeder.clock.sleep(self.feeder.options.shutdown_timeout) => Err(self.feeder.too_slow(self.feeder.options.shutdown_timeout)),
        };
        flushed.map_err(|source| FollowError::Flush { replica, source })?;
        tokio::select! {
            () = self.commit(round) => {}
            () = self.feeder.clock.sleep(self.feeder.options.shutdown_timeout) => {}
        }
        Ok(())
    }

    async fn note_losses(&self, batch: &ReadBatch) {
        self.feeder.metrics.unknown.inc_by(batch.unknown as u64);
        if batch.lost_bytes == 0 {
            return;
        }
        self.feeder.metrics.lost_bytes.inc_by(batch.lost_bytes);
        tracing::warn!(
            replica = self.feeder.name(),
            lost_bytes = batch.lost_bytes,
            "retention released entries this store had not read: it is incomplete"
        );
        let Some(ledger) = &self.ledger else { return };
        let mut backoff = Backoff::new(&self.feeder.options);
        loop {
            let (ledger, consumer, gone) = (ledger.clone(), self.consumer.clone(), batch.lost.clone());
            let noted = tokio::task::spawn_blocking(move || ledger.0.account(&consumer, &gone)).await;
            let problem = match noted {
                Ok(Ok(Some(missed))) => return self.feeder.status.note_loss(missed),
                // The log had noted it, and it was copied before this read.
                Ok(Ok(None)) => return,
                Ok(Err(error)) => error.to_string(),
                Err(stopped) => stopped.to_string(),
            };
            self.feeder.failed("note what it missed", &problem, &mut backoff, None).await;
        }
    }
}

/// The name of a replica's consumer in the log.
fn consumer_of(replica: &str) -> String {
    format!("replica/{replica}")
}

fn describe(error: &ReadError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The log, shown in `Debug` without its content.
#[derive(Clone)]
struct LogHandle(Arc<dyn SampleLog>);

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SampleLog")
    }
}

/// The ledger of what replicas missed, shown in `Debug` without its content.
#[derive(Clone)]
struct LedgerHandle(Arc<dyn ReplicaLedger>);

impl std::fmt::Debug for LedgerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplicaLedger")
    }
}

/// The store, shown in `Debug` by its name.
#[derive(Clone)]
struct StoreHandle(Arc<dyn WriteSamples>);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(test)]
mod tests;
