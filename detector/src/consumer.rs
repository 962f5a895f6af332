//! The detector as a consumer of the log: the only part of this crate that does I/O.
//!
//! **Durable.** The verdicts and transitions of a batch of ticks are one append that carries the input it covers. On
//! start the newest snapshot is loaded, `samples` are replayed silently up to what the last append covers, and judging
//! goes on from there: every tick is judged once and its verdicts are written once, after `kill -9` too. A snapshot
//! only shortens the replay; after it the cursor `detector` is committed, so that retention keeps what a replay needs.
//!
//! **Waits.** A full log is tried again every `full_retry` until it takes the batch; so is a disk that refuses one, with
//! pauses that double up to [`MAX_PAUSE`]. Nothing is dropped; only a closed log ends it. A snapshot the disk refuses is
//! tried again when the next one is due.
//!
//! **Large outputs.** Judged and appended are about `max_verdicts` at a time, so that memory does not grow with the
//! length of an outage: a range of missed ticks is judged window by window. What the log still calls too large is
//! halved. Each append says how far it covers, in the middle of an entry too, so that a restart goes on from there. A
//! configuration that changed between two appends of one entry may judge verdicts of one window by both.
//!
//! **A changed configuration** applies from the next batch on; alerts of metrics that are judged no more are resolved,
//! and a snapshot follows at once, so that a replay does not judge the past by it. When it changed while the detector
//! was down, the log's alerts and the engine's are reconciled after the replay (note `reconfigured`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{AlertTransition, AppendError, Clock, Monotonic, Positions, ReadError, SampleLog, Topic, Topics};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, EngineStats, JudgingConfig, Overflow};

mod collection;
mod covered;
mod metrics;
mod output;
mod overflow;
mod start;
mod steps;
mod store;

pub use collection::{METRIC as COLLECTION_METRIC, NOTE as COLLECTION_NOTE};
pub use metrics::DetectorMetrics;
pub use output::PRODUCER;

use collection::Collection;
use covered::Covered;
use output::Output;
use overflow::Overflows;
use steps::Work;

/// The longest pause between two tries of an append the disk refuses.
pub const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Where and how often the detector keeps its state.
#[derive(Clone, Debug)]
pub struct DetectorOptions {
    /// Folder of the snapshots; made when absent.
    pub snapshot_dir: PathBuf,
    /// Monotonic time between snapshots.
    pub snapshot_every: Duration,
    /// At most this many entries are read and judged as one batch.
    pub max_batch: usize,
    /// An append of so many verdicts and transitions is closed at the next window.
    pub max_verdicts: usize,
    /// Pause between tries while the log is full.
    pub full_retry: Duration,
}

impl DetectorOptions {
    /// The usual values for a folder.
    pub fn new(snapshot_dir: impl Into<PathBuf>) -> Self {
        Self {
            snapshot_dir: snapshot_dir.into(),
            snapshot_every: Duration::from_secs(60),
            max_batch: 2_000,
            max_verdicts: 5_000,
            full_retry: Duration::from_secs(1),
        }
    }
}

/// Why the detector stopped.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The log cannot be read.
    #[error("detector cannot read the log")]
    Read(#[source] ReadError),
    /// The log cannot be written.
    #[error("detector cannot append its verdicts")]
    Append(#[source] AppendError),
    /// The cursor cannot be kept.
    #[error("detector cannot commit its cursor")]
    Commit(#[source] AppendError),
    /// The log's last word of the detector is not the detector's.
    #[error("detector cannot go on: {message}")]
    SourcePosition {
        /// What is wrong with it.
        message: String,
    },
    /// Judging panicked.
    #[error("detector's judging broke off")]
    Judging(#[source] tokio::task::JoinError),
}

/// How far the detector is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Positions up to which verdicts are durable.
    pub positions: Positions,
    /// Bytes of the log behind the end.
    pub lag_bytes: u64,
    /// Whether the replay after the start is over and the end of the log was reached once.
    pub caught_up: bool,
    /// Series judged.
    pub series: usize,
    /// Series that still learn.
    pub learning: usize,
    /// Series whose alert fires.
    pub firing: usize,
    /// Tick entries judged since the start, the silent replay left out.
    pub ticks: u64,
    /// The metric last told of whose further series are not judged, in words; empty when there is none.
    pub overflow: String,
}

/// A handle to watch the progress.
pub type ProgressReader = watch::Receiver<Progress>;

/// Runs the detector until `shutdown`: judges what stands in the log, appends verdicts and transitions.
///
/// # Errors
/// [`DetectorError`] when log or disk fail; nothing judged is lost, the next start goes on where the log ends.
pub async fn run(
    log: Arc<dyn SampleLog>,
    clock: Arc<dyn Clock>,
    mut config: watch::Receiver<Arc<JudgingConfig>>,
    options: DetectorOptions,
    metrics: DetectorMetrics,
    progress: watch::Sender<Progress>,
    shutdown: CancellationToken,
) -> Result<(), DetectorError> {
    progress.send_modify(|progress| progress.caught_up = false);
    let judging = config.borrow_and_update().as_ref().clone();
    let mut consumer = Consumer::start(log, clock, judging, options, metrics, progress, &shutdown).await?;
    while !shutdown.is_cancelled() {
        if config.has_changed().unwrap_or(false) {
            let judging = config.borrow_and_update().as_ref().clone();
            consumer.reconfigure(judging, &shutdown).await?;
        }
        if consumer.batch(&shutdown).await? {
            consumer.snapshot_when_due().await?;
            continue;
        }
        consumer.snapshot_when_due().await?;
        if consumer.tell_silence(&shutdown).await? {
            continue;
        }
        let silence = consumer.collection.wait(&*consumer.clock, consumer.engine.config().quiet_after);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = consumer.log.wait(&consumer.covered.before) => {}
            () = consumer.clock.sleep(silence.unwrap_or_default()), if silence.is_some() => {}
            changed = config.changed() => {
                if changed.is_err() {
                    // Nobody will change it any more: the others are left to wait for.
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = consumer.log.wait(&consumer.covered.before) => {}
                        () = consumer.clock.sleep(silence.unwrap_or_default()), if silence.is_some() => {}
                    }
                } else {
                    config.mark_changed();
                }
            }
        }
    }
    consumer.snapshot().await
}

/// What became of an append.
enum Tried {
    Taken,
    TooLarge,
    Shutdown,
}

struct Consumer {
    log: Arc<dyn SampleLog>,
    clock: Arc<dyn Clock>,
    options: DetectorOptions,
    metrics: DetectorMetrics,
    progress: watch::Sender<Progress>,
    engine: Engine,
    covered: Covered,
    sequence: u64,
    last_snapshot: Monotonic,
    overflows: Overflows,
    collection: Collection,
    /// Whether anything was judged since the last snapshot.
    stale: bool,
}

impl Consumer {
    async fn start(
        log: Arc<dyn SampleLog>,
        clock: Arc<dyn Clock>,
        judging: JudgingConfig,
        options: DetectorOptions,
        metrics: DetectorMetrics,
        progress: watch::Sender<Progress>,
        shutdown: &CancellationToken,
    ) -> Result<Self, DetectorError> {
        if log.committed(PRODUCER).is_none() {
            let own = log.clone();
            let committed = blocking(move || own.commit(PRODUCER, &Positions::default())).await?;
            committed.map_err(DetectorError::Commit)?;
        }
        let (reader, own) = (log.clone(), options.clone());
        let restored = blocking(move || start::restore(reader.as_ref(), judging, &own)).await??;
        metrics.replayed.inc_by(restored.replayed);
        metrics.lost_bytes.inc_by(restored.lost_bytes);
        let last_snapshot = clock.monotonic_now();
        let (covered, sequence) = (restored.covered, restored.sequence);
        let engine = restored.engine;
        let collection = Collection::new(&*clock, restored.collection);
        let mut consumer = Self {
            log,
            clock,
            options,
            metrics,
            progress,
            engine,
            covered,
            sequence,
            last_snapshot,
            overflows: Overflows::default(),
            collection,
            stale: true,
        };
        if let Some(output) = restored.unfinished
            && !consumer.append(output, shutdown).await?
        {
            return Ok(consumer);
        }
        // The corrections first: a snapshot of the corrected state would hide that they were never told.
        consumer.correct(restored.corrections, shutdown).await?;
        if restored.replayed > 0 {
            consumer.snapshot().await?;
        }
        consumer.show();
        Ok(consumer)
    }

    /// Reads, judges and appends one batch; false when there was nothing to read.
    async fn batch(&mut self, shutdown: &CancellationToken) -> Result<bool, DetectorError> {
        let begun = self.clock.monotonic_now();
        let (log, at, limit) = (self.log.clone(), self.covered.before.clone(), self.options.limit());
        let read = blocking(move || log.read(&at, Topics::of(&[Topic::Samples]), limit)).await?;
        let batch = read.map_err(DetectorError::Read)?;
        self.metrics.lost_bytes.inc_by(batch.lost_bytes);
        if batch.entries.is_empty() {
            let moved = batch.next != self.covered.before;
            self.covered.before = batch.next;
            self.show_caught_up(!moved);
            return Ok(moved);
        }
        let ticks = batch.entries.len();
        self.stale = true;
        if let Some(ended) = self.collection.seen(&*self.clock) {
            self.correct(vec![ended], shutdown).await?;
        }
        let mut work = Work::new(batch.entries, &self.covered, batch.next);
        loop {
            let most = self.options.max_verdicts;
            let judge = move |engine: &mut Engine| (work.judge(engine, most), work);
            let (output, left) = self.with_engine(judge).await?;
            let Some(output) = output else { break };
            work = left;
            if !self.append(output, shutdown).await?
                || shutdown.is_cancelled() && self.covered.within.is_some()
            {
                return Ok(true);
            }
        }
        self.metrics.ticks.inc_by(ticks as u64);
        self.metrics.batch_seconds.observe((self.clock.monotonic_now() - begun).as_secs_f64());
        self.progress.send_modify(|progress| progress.ticks += ticks as u64);
        self.tell_overflows();
        self.show();
        Ok(true)
    }

    /// Works with the engine where blocking is allowed; it goes there and comes back.
    async fn with_engine<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, DetectorError> {
        let mut engine = std::mem::replace(&mut self.engine, Engine::new(JudgingConfig::default()));
        let (engine, done) = blocking(move || {
            let done = work(&mut engine);
            (engine, done)
        })
        .await?;
        self.engine = engine;
        Ok(done)
    }

    /// Appends, in halves where it is too large, waiting while the log does not take it; false when the shutdown came
    /// first. Then the engine is ahead of the log, and no snapshot may be taken of it.
    async fn append(&mut self, output: Output, shutdown: &CancellationToken) -> Result<bool, DetectorError> {
        let mut left = vec![output];
        while let Some(output) = left.pop() {
            match self.append_whole(&output, shutdown).await? {
                Tried::Taken => self.covered = output.covered,
                Tried::Shutdown => {
                    self.last_snapshot = Monotonic::MAX;
                    return Ok(false);
                }
                Tried::TooLarge if output.units() > 1 => {
                    let half = output.units() / 2;
                    let (first, rest) = output.split(half);
                    left.extend([rest, first]);
                }
                Tried::TooLarge => {
                    self.metrics.oversized.inc();
                    tracing::error!(
                        "a single verdict or transition is larger than a frame of the log: left out"
                    );
                    self.covered = output.covered;
                }
            }
        }
        Ok(true)
    }

    /// Appends as it is, trying until the log takes it or will never take it.
    async fn append_whole(
        &mut self,
        output: &Output,
        shutdown: &CancellationToken,
    ) -> Result<Tried, DetectorError> {
        let mut refused: u32 = 0;
        while !output.bodies.is_empty() {
            let pause = match self.log.append(output.entries(self.sequence)).await {
                Ok(_) => break,
                Err(AppendError::TooLarge { .. }) => return Ok(Tried::TooLarge),
                Err(error @ AppendError::Closed) => return Err(DetectorError::Append(error)),
                Err(error) => self.refused(&error, refused),
            };
            refused = refused.saturating_add(1);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(Tried::Shutdown),
                () = self.clock.sleep(pause) => {}
            }
        }
        if refused > 0 {
            tracing::info!(tries = refused, "the log takes verdicts again");
        }
        self.sequence += output.bodies.len() as u64;
        self.metrics.verdicts.inc_by(output.verdicts as u64);
        self.metrics.transitions.inc_by(output.transitions as u64);
        Ok(Tried::Taken)
    }

    /// Counts a refused append and tells of the first one; gives the pause before the next try.
    fn refused(&self, error: &AppendError, before: u32) -> Duration {
        if before == 0 {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the log does not take verdicts: trying again"
            );
        }
        if matches!(error, AppendError::Full { .. }) {
            self.metrics.log_full.inc();
            return self.options.full_retry;
        }
        self.metrics.append_failed.inc();
        self.options.full_retry.saturating_mul(1 << before.min(16)).min(MAX_PAUSE)
    }

    async fn reconfigure(
        &mut self,
        judging: JudgingConfig,
        shutdown: &CancellationToken,
    ) -> Result<(), DetectorError> {
        let ended = self.with_engine(move |engine| engine.apply(judging)).await?;
        self.progress.send_modify(|progress| progress.overflow.clear());
        self.correct(ended, shutdown).await?;
        self.show();
        self.stale = true;
        self.snapshot().await
    }

    /// Says that no tick arrives any more; true when it did.
    async fn tell_silence(&mut self, shutdown: &CancellationToken) -> Result<bool, DetectorError> {
        let quiet_after = self.engine.config().quiet_after;
        let Some(fired) = self.collection.silent(&*self.clock, quiet_after) else { return Ok(false) };
        self.correct(vec![fired], shutdown).await?;
        Ok(true)
    }

    /// Appends transitions no tick led to.
    async fn correct(
        &mut self,
        transitions: Vec<AlertTransition>,
        shutdown: &CancellationToken,
    ) -> Result<(), DetectorError> {
        let mut output = Output::new(self.covered.clone());
        output.tell(transitions);
        self.append(output, shutdown).await.map(|_| ())
    }

    async fn snapshot_when_due(&mut self) -> Result<(), DetectorError> {
        let now = self.clock.monotonic_now();
        let due = now.checked_sub(self.last_snapshot).is_some_and(|past| past >= self.options.snapshot_every);
        if due { self.snapshot().await } else { Ok(()) }
    }

    /// Keeps the state and lets go of what a replay from it does not need. What the disk refuses is tried again when the
    /// next one is due: without it a replay takes longer and nothing is lost.
    async fn snapshot(&mut self) -> Result<(), DetectorError> {
        let unsafe_now = self.covered.within.is_some() || self.collection.is_silent();
        if !self.stale || self.last_snapshot == Monotonic::MAX || unsafe_now {
            return Ok(());
        }
        self.last_snapshot = self.clock.monotonic_now();
        let positions = self.covered.before.clone();
        let (folder, log) = (self.options.snapshot_dir.clone(), self.log.clone());
        let keep = move |engine: &mut Engine| {
            let snapshot = store::Snapshot { positions, engine: engine.save() };
            let bytes = store::write(&folder, &snapshot)?;
            log.commit(PRODUCER, &snapshot.positions).map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(bytes)
        };
        match self.with_engine(keep).await? {
            Ok(bytes) => {
                self.metrics.snapshots.inc();
                self.metrics.snapshot_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
                self.stale = false;
            }
            Err(error) => {
                self.metrics.snapshot_failed.inc();
                let folder = self.options.snapshot_dir.display();
                tracing::warn!(%folder, error = &error as &dyn std::error::Error, "detector cannot keep a snapshot");
            }
        }
        Ok(())
    }

    fn tell_overflows(&mut self) {
        for left_out in self.overflows.take(self.engine.take_overflows(), self.clock.monotonic_now()) {
            let Overflow { sampler, metric, samples, limit } = left_out;
            tracing::warn!(%sampler, %metric, samples, limit, "metric has more series than are judged: samples of the further ones are left out");
            self.progress.send_modify(|progress| {
                progress.overflow = format!(
                    "{metric} has more than {limit} series: samples of the further ones are not judged"
                );
            });
        }
    }

    fn show(&self) {
        let stats: EngineStats = self.engine.stats();
        self.metrics.show(&stats);
        let lag_bytes = lag(&self.log.end(), &self.covered.before);
        self.progress.send_modify(|progress| {
            progress.positions = self.covered.before.clone();
            (progress.series, progress.learning, progress.firing) =
                (stats.series, stats.learning, stats.firing);
            progress.lag_bytes = lag_bytes;
        });
    }

    fn show_caught_up(&self, at_end: bool) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.positions != self.covered.before || at_end && !progress.caught_up;
            progress.positions = self.covered.before.clone();
            progress.caught_up |= at_end;
            if at_end {
                progress.lag_bytes = 0;
            }
            changed
        });
    }
}

fn lag(end: &Positions, at: &Positions) -> u64 {
    end.0.iter().map(|(partition, end)| end.saturating_sub(at.next(partition))).sum()
}

/// Runs what touches the disk, or takes long, where that is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DetectorError> {
    tokio::task::spawn_blocking(work).await.map_err(DetectorError::Judging)
}
