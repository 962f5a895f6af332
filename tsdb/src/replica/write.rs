//! Writing to a store that may be slow, down, or refuse a point.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Entry, Point, Positions, WriteError, Written};

use super::metrics::StoreMetrics;
use super::status::Status;
use super::{FollowOptions, LogHandle, StoreHandle};
use crate::points::entry_points;

/// Of so many refused points of one write the reason is logged; the rest are counted.
const LOGGED_REFUSALS: usize = 3;

/// Growing waits between tries.
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    pub(super) fn new(options: &FollowOptions) -> Self {
        Self { next: options.min_backoff, max: options.max_backoff, tries: 0 }
    }

    /// How long to wait now: what the store asked for, else twice the time before.
    pub(super) fn step(&mut self, asked: Option<Duration>) -> Duration {
        let wait = asked.map_or(self.next, |asked| asked.max(self.next));
        self.next = (self.next * 2).min(self.max);
        self.tries += 1;
        wait
    }
}

/// What a write says of the log.
#[derive(Clone, Copy)]
pub(super) enum Covers<'p> {
    /// With the last of its points it covers everything up to `after`, with those before up to `before`.
    Log { before: &'p Positions, after: &'p Positions },
    /// Nothing: the points are another replica's.
    Nothing,
}

impl<'p> Covers<'p> {
    fn when(self, last: bool) -> Option<&'p Positions> {
        match self {
            Self::Log { after, .. } if last => Some(after),
            Self::Log { before, .. } => Some(before),
            Self::Nothing => None,
        }
    }
}

/// A store and the patience it is written to with.
#[derive(Clone, Debug)]
pub(super) struct Feeder {
    /// What it is fed from; `None` when it is repaired.
    pub(super) log: Option<LogHandle>,
    pub(super) store: StoreHandle,
    pub(super) options: FollowOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: StoreMetrics,
    pub(super) status: Arc<Status>,
}

impl Feeder {
    /// The store's name.
    pub(super) fn name(&self) -> &str {
        self.store.0.name()
    }

    /// Writes a batch's points in slices. Only the last slice covers the batch: positions between frames are not
    /// known, and after a crash the whole batch is written again, which changes nothing.
    pub(super) async fn write_batch(&self, entries: &[Entry], before: &Positions, after: &Positions) {
        let mut points = Vec::new();
        for entry in entries {
            if points.len() >= self.options.points_per_write {
                self.write_slice(&points, Covers::Log { before, after: before }).await;
                points.clear();
            }
            points.extend(entry_points(entry));
        }
        self.write_slice(&points, Covers::Log { before, after }).await;
    }

    /// Writes points; when the store refuses them for good, halves them until those at fault stand alone. The log is
    /// said to be covered with the last of them and not before.
    pub(super) async fn write_slice(&self, points: &[Point], covers: Covers<'_>) {
        let mut todo = vec![points];
        while let Some(slice) = todo.pop() {
            match self.write_insisting(slice, covers.when(todo.is_empty())).await {
                Ok(written) => self.note_written(&written),
                Err(message) if slice.len() <= 1 => {
                    self.note_refused(&[message], slice.len());
                    if todo.is_empty() && !slice.is_empty() {
                        todo.push(&[]);
                    }
                }
                Err(_) => {
                    let (first, second) = slice.split_at(slice.len() / 2);
                    todo.extend([second, first]);
                }
            }
        }
    }

    /// Writes until the store takes the points or refuses them for good, then with its reason.
    async fn write_insisting(
        &self,
        points: &[Point],
        covered: Option<&Positions>,
    ) -> Result<Written, String> {
        let mut backoff = Backoff::new(&self.options);
        let write = || async {
            match covered {
                Some(covered) => self.store.0.write(points, covered).await,
                None => self.store.0.fill(points).await,
            }
        };
        loop {
            match self.in_time(write()).await {
                Ok(written) => {
                    self.well();
                    return Ok(written);
                }
                Err(WriteError::Permanent { message, .. }) => return Err(message),
                Err(WriteError::Transient { message, retry_after, .. }) => {
                    self.failed("take points", &message, &mut backoff, retry_after).await;
                }
            }
        }
    }

    /// Repeats an operation on the store until it succeeds.
    pub(super) async fn insist<R, F: Future<Output = Result<R, WriteError>>>(
        &self,
        operation: &'static str,
        work: impl Fn() -> F,
    ) -> R {
        let mut backoff = Backoff::new(&self.options);
        loop {
            let (message, retry_after) = match self.in_time(work()).await {
                Ok(done) => {
                    self.well();
                    return done;
                }
                Err(WriteError::Permanent { message, .. }) => (message, None),
                Err(WriteError::Transient { message, retry_after, .. }) => (message, retry_after),
            };
            self.failed(operation, &message, &mut backoff, retry_after).await;
        }
    }

    async fn in_time<R>(&self, work: impl Future<Output = Result<R, WriteError>>) -> Result<R, WriteError> {
        tokio::select! {
            done = work => done,
            () = self.clock.sleep(self.options.write_timeout) => Err(self.too_slow(self.options.write_timeout)),
        }
    }

    fn well(&self) {
        self.metrics.up.set(1);
        self.status.well();
    }

    /// Counts a failure, logs the first of a row and every tenth, and waits.
    pub(super) async fn failed(
        &self,
        operation: &'static str,
        problem: &str,
        backoff: &mut Backoff,
        asked: Option<Duration>,
    ) {
        self.metrics.errors.inc();
        self.metrics.up.set(0);
        self.note_lag();
        self.status.failed(format!("cannot {operation}: {problem}"));
        let tries = backoff.tries + 1;
        let wait = backoff.step(asked);
        if tries % 10 == 1 {
            tracing::warn!(replica = self.name(), operation, tries, ?wait, "store cannot: {problem}");
        }
        self.clock.sleep(wait).await;
    }

    /// How much of the log is not written, and how old the oldest entry of it is; also told while the store fails.
    pub(super) fn note_lag(&self) {
        let Some(log) = &self.log else { return };
        let (end, visible) = (log.0.end(), self.status.visible());
        let lag: u64 = end.0.iter().map(|(partition, end)| end.saturating_sub(visible.next(partition))).sum();
        self.metrics.lag_bytes.set(i64::try_from(lag).unwrap_or(i64::MAX));
        let age = self.status.lag(self.clock.civil_now()).unwrap_or_default();
        self.metrics.lag_seconds.set(age.as_secs_f64());
    }

    pub(super) fn too_slow(&self, limit: Duration) -> WriteError {
        WriteError::Transient {
            replica: self.name().to_owned(),
            message: format!("no answer within {} s", limit.as_secs_f64()),
            retry_after: None,
        }
    }

    fn note_written(&self, written: &Written) {
        self.metrics.points.inc_by(written.points as u64);
        if !written.refused.is_empty() {
            self.note_refused(&written.refused, written.refused.len());
        }
    }

    fn note_refused(&self, reasons: &[String], points: usize) {
        self.metrics.refused.inc_by(points as u64);
        for reason in reasons.iter().take(LOGGED_REFUSALS) {
            tracing::warn!(replica = self.name(), points, "point refused for good and dropped: {reason}");
        }
    }
}
