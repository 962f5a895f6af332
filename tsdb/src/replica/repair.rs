//! Making an incomplete replica whole again.
//!
//! What a full log released before a replica had it stands in the ledger of what replicas missed. The repair copies the
//! span from a replica that has it: read as it is stored, newest first, in slices of bounded size, each read and write
//! with a deadline. Revision 0 of a window is the same in every replica and later ones carry their number, so that the
//! copy is a union and may be repeated.
//!
//! * After each slice, once the store holds it durably, the ledger says what is left: a repair goes on there after a crash.
//!   Only what the source still has a point in is left: nothing older, and the repair has ended.
//! * A source that cannot be read is passed over by this repair alone; who reads asks it as before.
//! * The consumer goes on meanwhile; whatever is missed meanwhile is added to the ledger and copied too.
//! * With the last slice the mark goes, and the replica is read again.
//! * When no replica has the span any more, that is said once and the replica stays incomplete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{
    Clock, Measurement, Missed, Monotonic, Point, ReadSeries, ReplicaLedger, SeriesData, SeriesQuery,
    StoreError, TimeRange, Timestamp, WriteSamples,
};
use tokio_util::sync::CancellationToken;

use super::metrics::ReplicaMetrics;
use super::reads::{Member, Replicas, too_slow};
use super::status::Repairing;
use super::write::{Backoff, Covers, Feeder};
use super::{FollowOptions, LedgerHandle, StoreHandle, consumer_of};

/// How replicas are repaired.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// How the store is written to.
    pub follow: FollowOptions,
    /// How often the ledger is looked at (monotonic time).
    pub poll: Duration,
    /// How long reading one measurement of a slice may take.
    pub read_timeout: Duration,
    /// Time of the first slice; later ones are half or twice as long, for `points_per_slice`.
    pub slice: Duration,
    /// The longest slice.
    pub longest_slice: Duration,
    /// About so many points a slice. No measurement of a slice is read with more than twice as many, or one point a
    /// series; in the shortest slice all.
    pub points_per_slice: usize,
    /// For how long nothing is copied from a replica that could not be read (monotonic time).
    pub source_pause: Duration,
    /// How often progress is logged (monotonic time).
    pub report: Duration,
}

impl Default for RepairOptions {
    fn default() -> Self {
        Self {
            follow: FollowOptions::default(),
            poll: Duration::from_secs(2),
            read_timeout: Duration::from_secs(30),
            slice: Duration::from_secs(600),
            longest_slice: Duration::from_secs(6 * 3_600),
            points_per_slice: 50_000,
            source_pause: Duration::from_secs(15),
            report: Duration::from_secs(10),
        }
    }
}

/// The shortest slice.
const SHORTEST_SLICE: Duration = Duration::from_secs(1);

/// The repair of one replica.
#[derive(Debug)]
pub struct Repair {
    replicas: Arc<Replicas>,
    ledger: LedgerHandle,
    consumer: String,
    feeder: Feeder,
    options: RepairOptions,
}

/// What the repair remembers from one try to the next.
struct Memory {
    backoff: Backoff,
    /// Time of the next slice.
    slice: Duration,
    /// Replicas in which nothing was found of what is missed: they have it no more.
    barren: (Option<Missed>, BTreeSet<String>),
    /// Until when nothing is copied from replicas that could not be read.
    failing: BTreeMap<String, Monotonic>,
    /// The leftover noted last and the replica the part before it was copied from.
    leftover: Option<(Missed, String)>,
}

/// Where a span may be copied from.
enum Source<'r> {
    /// From this one.
    Ready(&'r Member),
    /// Some replica has it, and none of those can be read now.
    Away,
    /// No replica has it.
    Nowhere,
}

/// One span on its way.
struct Copy<'r> {
    from: &'r Member,
    /// What the ledger says.
    seen: Missed,
    /// What is not copied yet.
    left: TimeRange,
    /// Whether the end of what is left is just after its newest point.
    found: bool,
    points: u64,
    report_at: Duration,
}

/// What came of a step.
enum Step {
    /// There is more.
    More,
    /// All is copied.
    Done,
    /// The replica missed more meanwhile.
    Stale,
}

/// Why a step failed.
enum Failure {
    Source(StoreError),
    Ledger(std::io::Error),
}

impl Repair {
    /// The repair of `store`, one of `replicas`; does nothing before [`Self::run`].
    pub fn new(
        replicas: Arc<Replicas>,
        store: Arc<dyn WriteSamples>,
        ledger: Arc<dyn ReplicaLedger>,
        options: RepairOptions,
        clock: Arc<dyn Clock>,
        metrics: &ReplicaMetrics,
    ) -> Self {
        let status = replicas.statuses().find(|(name, _)| *name == store.name());
        let status = status.map(|(_, status)| Arc::clone(status)).unwrap_or_default();
        let (consumer, metrics) = (consumer_of(store.name()), metrics.of_store(store.name()));
        let follow = options.follow.clone();
        let feeder = Feeder { log: None, store: StoreHandle(store), options: follow, clock, metrics, status };
        Self { replicas, ledger: LedgerHandle(ledger), consumer, feeder, options }
    }

    /// Watches the ledger and repairs, until `shutdown`. Whatever fails is tried again.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        let mut memory = Memory {
            backoff: Backoff::new(&self.options.follow),
            slice: self.options.slice,
            barren: Default::default(),
            failing: BTreeMap::new(),
            leftover: None,
        };
        loop {
            let pause = match self.look(&mut memory).await {
                Ok(()) => {
                    memory.backoff = Backoff::new(&self.options.follow);
                    self.options.poll
                }
                Err(failure) => {
                    self.note_failure(&failure);
                    memory.slice = (memory.slice / 2).max(SHORTEST_SLICE);
                    memory.backoff.step(None)
                }
            };
            tokio::select! {
                () = self.feeder.clock.sleep(pause) => {}
                () = self.feeder.status.lost.notified() => {}
            }
        }
    }

    /// Repairs what the ledger names. A store that takes nothing is left to its consumer.
    async fn look(&self, memory: &mut Memory) -> Result<(), Failure> {
        match self.missed().await.map_err(Failure::Ledger)? {
            Some(missed) if self.feeder.status.is_up() => self.repair(missed, memory).await,
            _ => Ok(()),
        }
    }

    /// What the ledger says, told to whoever looks at the status too.
    async fn missed(&self) -> std::io::Result<Option<Missed>> {
        let losses = self.feeder.status.losses();
        let consumer = self.consumer.clone();
        let missed = self.with_ledger(move |ledger| ledger.missed(&consumer)).await?;
        self.settle(losses, missed);
        Ok(missed)
    }

    fn settle(&self, losses: u64, missed: Option<Missed>) {
        self.feeder.status.settle(losses, missed);
        self.feeder.metrics.incomplete.set(i64::from(self.feeder.status.is_incomplete()));
    }

    /// Copies what is missed, until it is, the source fails or more is missed.
    async fn repair(&self, missed: Missed, memory: &mut Memory) -> Result<(), Failure> {
        if missed.span.is_some_and(TimeRange::is_empty) {
            return self.clear(missed, "no point was among what it missed").await;
        }
        if memory.barren.0 != Some(missed) {
            memory.barren = (Some(missed), BTreeSet::new());
        }
        let from = match self.source(missed.span, memory).await? {
            Source::Ready(from) => from,
            Source::Away => {
                if self.feeder.status.set_repair(Repairing::Waiting) {
                    tracing::info!(replica = self.feeder.name(), "waiting for a replica to be repaired from");
                }
                return Ok(());
            }
            Source::Nowhere => {
                self.give_up(missed);
                return Ok(());
            }
        };
        let copied = self.copy(missed, from, memory).await;
        if let Err(Failure::Source(_)) = &copied {
            let until = self.feeder.clock.monotonic_now() + self.options.source_pause;
            memory.failing.insert(from.name.clone(), until);
        }
        copied
    }

    /// Copies what is missed from one replica.
    async fn copy(&self, missed: Missed, from: &Member, memory: &mut Memory) -> Result<(), Failure> {
        tracing::info!(replica = self.feeder.name(), from = from.name, span = %words(missed.span), "repair begins");
        let goes_on = goes_on(missed, &from.name, memory.leftover.as_ref());
        let mut copy = Copy {
            from,
            seen: missed,
            left: missed.span.unwrap_or(TimeRange::ALL),
            found: false,
            points: 0,
            report_at: self.feeder.clock.monotonic_now() + self.options.report,
        };
        loop {
            self.note_progress(&mut copy);
            match self.step(&mut copy, &mut memory.slice).await? {
                Step::More if copy.points == 0 => {}
                Step::More => memory.leftover = Some((copy.seen, from.name.clone())),
                Step::Done if copy.points == 0 && !goes_on => {
                    memory.barren.1.insert(from.name.clone());
                    return Ok(());
                }
                Step::Done => return self.finish(&copy).await,
                Step::Stale => return Ok(()),
            }
        }
    }

    /// The first replica that has all of the span and can be read.
    async fn source(&self, span: Option<TimeRange>, memory: &Memory) -> Result<Source<'_>, Failure> {
        let now = self.feeder.clock.monotonic_now();
        let mut none = Source::Nowhere;
        for member in self.replicas.others(self.feeder.name()) {
            let consumer = consumer_of(&member.name);
            // Asked anew: what its status says may be older than what this one missed.
            let lacks = self.with_ledger(move |ledger| ledger.missed(&consumer)).await;
            if lacks.map_err(Failure::Ledger)?.is_some_and(|missed| missed.touches(span))
                || memory.barren.1.contains(&member.name)
            {
                continue;
            }
            let failed = memory.failing.get(&member.name).is_some_and(|until| now < *until);
            if member.status.is_up() && !member.is_failing(now) && !failed {
                return Ok(Source::Ready(member));
            }
            none = Source::Away;
        }
        Ok(none)
    }

    /// Copies the newest slice of what is left.
    async fn step(&self, copy: &mut Copy<'_>, slice: &mut Duration) -> Result<Step, Failure> {
        if !copy.found && !self.narrow(copy, *slice).await? {
            return Ok(Step::Done);
        }
        let range = newest_of(copy.left, *slice);
        let began = self.feeder.clock.monotonic_now();
        let mut points = 0;
        for measurement in Measurement::ALL {
            let Some(copied) = self.copy_slice(copy.from, measurement, range, *slice).await? else {
                *slice = (*slice / 2).max(SHORTEST_SLICE);
                return Ok(Step::More);
            };
            points += copied;
        }
        let took = self.feeder.clock.monotonic_now().saturating_sub(began);
        if points > self.options.points_per_slice || took > self.options.read_timeout {
            *slice = (*slice / 2).max(SHORTEST_SLICE);
        } else if points < self.options.points_per_slice / 2 && took < self.options.read_timeout / 4 {
            *slice = (*slice * 2).min(self.options.longest_slice);
        }
        copy.points += points as u64;
        copy.left.end = range.start;
        // Asked before the rest is noted: a leftover in which nobody has anything would never be repaired.
        if copy.left.is_empty() || !self.narrow(copy, *slice).await? {
            return Ok(Step::Done);
        }
        self.feeder.insist("flush", || self.feeder.store.0.flush()).await;
        self.shrink(copy, Some(Missed { span: Some(copy.left), ..copy.seen })).await
    }

    /// Ends what is left just after its newest point; whether there is one.
    async fn narrow(&self, copy: &mut Copy<'_>, slice: Duration) -> Result<bool, Failure> {
        // Mostly it is near, and looking there costs least.
        let mut newest = self.newest(copy.from, newest_of(copy.left, slice)).await?;
        if newest.is_none() {
            newest = self.newest(copy.from, copy.left).await?;
        }
        let Some(newest) = newest else { return Ok(false) };
        copy.left.end = copy.left.end.min(newest + Duration::from_nanos(1));
        copy.found = true;
        Ok(true)
    }

    /// Copies one measurement of a slice; gives the number of its points, or `None` when there are too many to be read
    /// at once and the slice can be shorter.
    async fn copy_slice(
        &self,
        from: &Member,
        measurement: Measurement,
        range: TimeRange,
        slice: Duration,
    ) -> Result<Option<usize>, Failure> {
        let series = self.read(from, measurement, range, 1).await?.len();
        if series == 0 {
            return Ok(Some(0));
        }
        let most = (2 * self.options.points_per_slice / series).max(1);
        let last = if slice > SHORTEST_SLICE { most + 1 } else { 0 };
        let found = self.read(from, measurement, range, last).await?;
        if last > 0 && found.iter().any(|data| data.times.len() > most) {
            return Ok(None);
        }
        let (mut points, mut count) = (Vec::new(), 0);
        for data in found {
            for point in points_of(measurement, &data) {
                points.push(point);
                if points.len() >= self.options.follow.points_per_write {
                    count += self.write(&mut points).await;
                }
            }
        }
        Ok(Some(count + self.write(&mut points).await))
    }

    async fn write(&self, points: &mut Vec<Point>) -> usize {
        if !points.is_empty() {
            self.feeder.write_slice(points, Covers::Nothing).await;
            self.feeder.metrics.repaired.inc_by(points.len() as u64);
        }
        points.drain(..).count()
    }

    /// The time of the newest point in a range.
    async fn newest(&self, from: &Member, range: TimeRange) -> Result<Option<Timestamp>, Failure> {
        let mut newest = None;
        for measurement in Measurement::ALL {
            let found = self.read(from, measurement, range, 1).await?;
            newest = found.iter().filter_map(|data| data.times.last().copied()).chain(newest).max();
        }
        Ok(newest)
    }

    async fn read(
        &self,
        from: &Member,
        measurement: Measurement,
        range: TimeRange,
        last: usize,
    ) -> Result<Vec<SeriesData>, Failure> {
        let (matchers, fields) = (Vec::new(), Vec::new());
        let query = SeriesQuery { measurement, matchers, fields, range, last };
        let limit = self.options.read_timeout;
        let read = tokio::select! {
            read = ReadSeries::read_stored(&*from.store, &query) => read,
            () = self.feeder.clock.sleep(limit) => Err(too_slow(&from.name, limit)),
        };
        read.map_err(Failure::Source)
    }

    /// Notes in the ledger what is left; [`Step::Stale`] when more was missed meanwhile.
    async fn shrink(&self, copy: &mut Copy<'_>, left: Option<Missed>) -> Result<Step, Failure> {
        let (consumer, seen) = (self.consumer.clone(), copy.seen);
        let noted = self.with_ledger(move |ledger| ledger.repaired(&consumer, seen, left)).await;
        if !noted.map_err(Failure::Ledger)? {
            return Ok(Step::Stale);
        }
        copy.seen = left.unwrap_or(copy.seen);
        Ok(if left.is_some() { Step::More } else { Step::Done })
    }

    /// Everything is copied.
    async fn finish(&self, copy: &Copy<'_>) -> Result<(), Failure> {
        self.feeder.insist("flush", || self.feeder.store.0.flush()).await;
        self.feeder.metrics.repair_at.set(0.0);
        self.clear(copy.seen, &format!("{} points were copied from {}", copy.points, copy.from.name)).await
    }

    /// Takes the mark away, unless more was missed meanwhile.
    async fn clear(&self, seen: Missed, why: &str) -> Result<(), Failure> {
        let losses = self.feeder.status.losses();
        let consumer = self.consumer.clone();
        let noted = self.with_ledger(move |ledger| ledger.repaired(&consumer, seen, None)).await;
        if noted.map_err(Failure::Ledger)? {
            self.settle(losses, None);
            tracing::info!(replica = self.feeder.name(), "replica is whole again: {why}");
        }
        Ok(())
    }

    /// Says once that nobody has what is missing, and how to go on.
    fn give_up(&self, missed: Missed) {
        self.feeder.metrics.repair_at.set(0.0);
        if self.feeder.status.set_repair(Repairing::Hopeless) {
            tracing::error!(
                replica = self.feeder.name(),
                span = %words(missed.span),
                "replica stays incomplete, since no other replica has what it missed: list one that has under \
                 `storage.replicas` and it is copied from there, or accept the gap by `tidemark replicas accept {}`",
                self.feeder.name()
            );
        }
    }

    fn note_progress(&self, copy: &mut Copy<'_>) {
        let (from, left, points) = (copy.from.name.clone(), copy.left, copy.points);
        self.feeder.status.set_repair(Repairing::Copying { from, left, points });
        // Before the first slice nobody knows how far the newest point is.
        if points == 0 {
            return;
        }
        self.feeder.metrics.repair_at.set(left.end.as_nanos() as f64 / 1e9);
        let now = self.feeder.clock.monotonic_now();
        if now >= copy.report_at {
            copy.report_at = now + self.options.report;
            let (replica, down_to) = (self.feeder.name(), left.end);
            tracing::info!(replica, from = copy.from.name, points, %down_to, "repair goes on");
        }
    }

    fn note_failure(&self, failure: &Failure) {
        self.feeder.metrics.errors.inc();
        let (replica, error): (_, &dyn std::error::Error) = match failure {
            Failure::Source(error) => (self.feeder.name(), error),
            Failure::Ledger(error) => (self.feeder.name(), error),
        };
        tracing::warn!(replica, error, "repair is interrupted; tried again");
    }

    /// Asks the ledger where blocking is allowed.
    async fn with_ledger<R: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ReplicaLedger) -> std::io::Result<R> + Send + 'static,
    ) -> std::io::Result<R> {
        let ledger = self.ledger.clone();
        tokio::task::spawn_blocking(move || work(&*ledger.0)).await.map_err(std::io::Error::other)?
    }
}

/// Whether nothing found in a source means that all is copied, not that the source lost it: what is missed is what a
/// repair from it left, or reaches back to the beginning of time, which only a leftover or everything does.
fn goes_on(missed: Missed, from: &str, leftover: Option<&(Missed, String)>) -> bool {
    let left = leftover.is_some_and(|(left, source)| *left == missed && source == from);
    left || missed.span.is_none_or(|span| span.start == Timestamp::MIN)
}

/// The newest slice of a range.
fn newest_of(range: TimeRange, slice: Duration) -> TimeRange {
    TimeRange { start: range.start.max(range.end - slice), end: range.end }
}

/// A span in words.
fn words(span: Option<TimeRange>) -> String {
    span.map_or_else(|| "everything".into(), |span| format!("{} to {}", span.start, span.end))
}

/// The points a series' rows were written as.
fn points_of(measurement: Measurement, data: &SeriesData) -> impl Iterator<Item = Point> {
    data.times.iter().enumerate().map(move |(row, time)| {
        let cells = data.columns.iter().filter_map(|(name, column)| {
            let value = column.get(row)?.clone()?;
            Some((Arc::clone(name), value))
        });
        let fields = cells.collect();
        Point { measurement, tags: data.tags.clone(), time: *time, fields }
    })
}

#[cfg(test)]
mod tests;
