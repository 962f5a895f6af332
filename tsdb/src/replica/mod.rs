//! The consumer that feeds one store from the log.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Positions, ReadLimit, SampleLog, WriteSamples};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How a replica is fed.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// How much one read of the log brings.
    pub batch: ReadLimit,
    /// How many points one write takes.
    pub points_per_write: usize,
    /// How long one write may take before it is tried again.
    pub write_timeout: Duration,
    /// How long written points may wait for a flush (monotonic time).
    pub flush_interval: Duration,
    /// First wait after a failure; doubles up to `max_backoff`.
    pub min_backoff: Duration,
    /// Longest wait after a failure, unless the store asked for more.
    pub max_backoff: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            batch: ReadLimit { entries: 2_000, bytes: 1 << 20 },
            points_per_write: 5_000,
            write_timeout: Duration::from_secs(30),
            flush_interval: Duration::from_secs(30),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// The replicas' own health, for `/metrics`. One set for all replicas of the process.
#[derive(Clone, Debug, Default)]
pub struct ReplicaMetrics {}

impl ReplicaMetrics {
    /// Makes the metrics and registers them.
    pub fn register(_registry: &mut Registry) -> Self {
        Self::default()
    }
}

/// How far a replica is.
#[derive(Clone, Debug)]
pub struct Progress {
    visible: watch::Receiver<Positions>,
}

/// The replica was stopped before it got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replica was stopped before it reached the asked position")]
pub struct Stopped;

impl Progress {
    /// The positions up to which every point is visible to readers of the store.
    pub fn visible(&self) -> Positions {
        self.visible.borrow().clone()
    }

    /// Completes once the store shows everything up to `positions`.
    ///
    /// # Errors
    /// [`Stopped`] when the replica ends before.
    pub async fn wait_until(&self, positions: &Positions) -> Result<(), Stopped> {
        let mut visible = self.visible.clone();
        visible.wait_for(|now| now.covers(positions)).await.map(drop).map_err(|_| Stopped)
    }
}

/// Why a replica could not go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store could not make its last points durable at shutdown; the next start replays them from the log.
    #[error("store {replica} could not be flushed at shutdown")]
    Flush {
        /// Which replica.
        replica: String,
        /// Why.
        #[source]
        source: model::WriteError,
    },
}

/// One store and the consumer that feeds it. Consumer name in the log: `replica/<name of the store>`.
pub struct Replica {
    log: Arc<dyn SampleLog>,
    store: Arc<dyn WriteSamples>,
    options: FollowOptions,
    clock: Arc<dyn Clock>,
    metrics: ReplicaMetrics,
    visible: watch::Sender<Positions>,
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
        Self { log, store, options, clock, metrics, visible: watch::Sender::default() }
    }

    /// How far it is; may be taken before it runs and outlives it.
    pub fn progress(&self) -> Progress {
        Progress { visible: self.visible.subscribe() }
    }

    /// Feeds the store until `shutdown`, then flushes it.
    ///
    /// # Errors
    /// [`FollowError`]; every other failure is retried, counted and logged.
    pub async fn follow(self, shutdown: CancellationToken) -> Result<(), FollowError> {
        let _ = (&self.log, &self.options, &self.clock, &self.metrics);
        shutdown.cancelled().await;
        let flushed = self.store.flush().await;
        flushed.map_err(|source| FollowError::Flush { replica: self.store.name().to_owned(), source })
    }
}
