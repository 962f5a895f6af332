//! The consumer against a store that misbehaves on request, and against the embedded store.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use model::testing::MemoryLog;
use model::{
    Body, FieldValue, Labels, ManualClock, Measurement, Missed, NewEntry, Origin, Point, ReadSeries,
    ReplicaLedger, Sample, SeriesKey, SeriesQuery, Tick, TickOutcome, TimeRange, Timestamp, Window, Written,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;
use crate::{EmbeddedOptions, EmbeddedStore};

/// A store that keeps a ledger of what it was told and misbehaves on request.
#[derive(Debug, Default)]
struct FakeStore {
    state: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Every value that was taken, in order, repeats included.
    taken: Vec<f64>,
    covered: Positions,
    /// Positions said to be covered while points before them were not taken.
    too_early: usize,
    writes: usize,
    /// The next writes fail for now; with this wish for a pause.
    transient: usize,
    retry_after: Option<Duration>,
    /// The next writes never answer.
    hang: usize,
    /// A batch with one of these values is refused for good, as a whole.
    poison: BTreeSet<u64>,
    keeps_positions: bool,
    /// Its next position says that it lost everything.
    emptied: bool,
    flushes: usize,
    expired_at: Vec<Timestamp>,
}

impl FakeStore {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.state.lock().expect("ledger")
    }

    fn transient(message: &str, retry_after: Option<Duration>) -> WriteError {
        WriteError::Transient { replica: "fake".into(), message: message.into(), retry_after }
    }
}

fn value(point: &Point) -> f64 {
    point.fields.first().and_then(|(_, value)| value.as_f64()).expect("value")
}

#[async_trait]
impl WriteSamples for FakeStore {
    fn name(&self) -> &str {
        "fake"
    }

    async fn write(&self, points: &[Point], covered: &Positions) -> Result<Written, WriteError> {
        let hang = {
            let mut ledger = self.lock();
            ledger.writes += 1;
            let hang = ledger.hang > 0;
            ledger.hang = ledger.hang.saturating_sub(1);
            hang
        };
        if hang {
            std::future::pending::<()>().await;
        }
        let mut ledger = self.lock();
        if ledger.transient > 0 {
            ledger.transient -= 1;
            return Err(Self::transient("busy", ledger.retry_after));
        }
        if points.iter().any(|point| ledger.poison.contains(&value(point).to_bits())) {
            let message = "cannot parse the batch".into();
            return Err(WriteError::Permanent { replica: "fake".into(), message });
        }
        ledger.taken.extend(points.iter().map(value));
        ledger.covered = covered.clone();
        let distinct: BTreeSet<u64> = ledger.taken.iter().map(|value| value.to_bits()).collect();
        let missing = (0..covered.next("test")).filter(|frame| {
            let bits = (*frame as f64).to_bits();
            !distinct.contains(&bits) && !ledger.poison.contains(&bits)
        });
        ledger.too_early += missing.count();
        Ok(Written { points: points.len(), refused: Vec::new() })
    }

    async fn fill(&self, points: &[Point]) -> Result<Written, WriteError> {
        let covered = self.lock().covered.clone();
        self.write(points, &covered).await
    }

    async fn position(&self) -> Result<Option<Positions>, WriteError> {
        let mut ledger = self.lock();
        if std::mem::take(&mut ledger.emptied) {
            return Ok(Some(Positions::default()));
        }
        Ok(ledger.keeps_positions.then(|| ledger.covered.clone()))
    }

    async fn flush(&self) -> Result<(), WriteError> {
        self.lock().flushes += 1;
        Ok(())
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, WriteError> {
        self.lock().expired_at.push(now);
        Ok(0)
    }
}

/// A tick with one sample of this value, at minute `number`.
fn tick(number: u64) -> NewEntry {
    let start = Timestamp::from_secs(60 * i64::try_from(number).expect("small"));
    let series = SeriesKey::new("orders", Labels::default());
    let sample = Sample { series, value: number as f64, ratio: None, revision: 0 };
    let body = Body::Tick(Tick {
        sampler: "orders".into(),
        metrics: vec!["orders".into()],
        window: Window::new(start, Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Live,
        outcome: TickOutcome::Rows(vec![sample]),
        duration_ms: 1,
    });
    let (key, producer) = ("orders".into(), "sampler/orders".into());
    NewEntry { key, producer, sequence: number + 1, source_position: Vec::new(), body }
}

struct Bench {
    log: Arc<MemoryLog>,
    store: Arc<FakeStore>,
    clock: ManualClock,
    registry: Registry,
    metrics: ReplicaMetrics,
    options: FollowOptions,
}

impl Bench {
    async fn new(frames: u64) -> Self {
        let log = Arc::new(MemoryLog::new("test"));
        for number in 0..frames {
            log.append(vec![tick(number)]).await.expect("append");
        }
        let mut registry = Registry::default();
        let metrics = ReplicaMetrics::register(&mut registry);
        let batch = ReadLimit { entries: 7, bytes: 1 << 20 };
        let options = FollowOptions { batch, points_per_write: 3, ..FollowOptions::default() };
        let clock = ManualClock::new(Timestamp::from_secs(1_000_000));
        Self { log, store: Arc::default(), clock, registry, metrics, options }
    }

    fn replica(&self, store: Arc<dyn WriteSamples>) -> Replica {
        let clock = Arc::new(self.clock.clone());
        Replica::new(self.log.clone(), store, self.options.clone(), clock, self.metrics.clone())
    }

    /// Follows until the store has the whole log, then stops; moves the clock whenever somebody waits for it.
    async fn catch_up(&self, store: Arc<dyn WriteSamples>) -> Duration {
        let replica = self.replica(store);
        let (progress, end) = (replica.progress(), self.log.end());
        let before = self.clock.monotonic_now();
        let shutdown = CancellationToken::new();
        let following = tokio::spawn(replica.follow(shutdown.clone()));
        let arrived = self.driven(progress.wait_until(&end)).await;
        arrived.expect("arrives");
        let took = self.clock.monotonic_now() - before;
        shutdown.cancel();
        self.driven(following).await.expect("task").expect("ends well");
        took
    }

    /// The future's value; the clock moves while it is not there. Fails after a minute of real time.
    async fn driven<R>(&self, work: impl Future<Output = R>) -> R {
        let drive = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if self.clock.sleepers() > 0 {
                    self.clock.advance(Duration::from_millis(100));
                }
            }
        };
        let raced = async {
            tokio::select! {
                done = work => done,
                () = drive => unreachable!("the drive has no end"),
            }
        };
        tokio::time::timeout(Duration::from_secs(60), raced).await.expect("within a minute")
    }

    fn metric(&self, name: &str) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("encode");
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{replica=\"fake\"}}")));
        line.and_then(|line| line.rsplit(' ').next()).expect("metric").to_owned()
    }
}

fn numbers(range: std::ops::Range<u64>) -> Vec<f64> {
    range.map(|number| number as f64).collect()
}

#[tokio::test]
async fn every_point_arrives_once_and_in_order() {
    let bench = Bench::new(100).await;
    bench.catch_up(bench.store.clone()).await;
    let ledger = bench.store.lock();
    assert_eq!(ledger.taken, numbers(0..100));
    assert_eq!((ledger.too_early, &ledger.covered), (0, &bench.log.end()));
    assert_eq!(bench.log.committed("replica/fake"), Some(bench.log.end()));
    assert_eq!(ledger.expired_at.len(), 1);
    assert_eq!(bench.metric("tidemark_replica_points_total"), "100");
    assert_eq!(bench.metric("tidemark_replica_lag_bytes"), "0");
}

#[tokio::test]
async fn a_second_start_goes_on_at_the_cursor() {
    let bench = Bench::new(20).await;
    bench.catch_up(bench.store.clone()).await;
    for number in 20..30 {
        bench.log.append(vec![tick(number)]).await.expect("append");
    }
    bench.catch_up(bench.store.clone()).await;
    assert_eq!(bench.store.lock().taken, numbers(0..30));
}

#[tokio::test]
async fn a_store_that_fails_for_now_is_tried_again_until_it_takes_the_batch() {
    let bench = Bench::new(10).await;
    bench.store.lock().transient = 5;
    bench.catch_up(bench.store.clone()).await;
    assert_eq!(bench.store.lock().taken, numbers(0..10));
    assert_eq!(bench.metric("tidemark_replica_errors_total"), "5");
    assert_eq!(bench.metric("tidemark_replica_refused_total"), "0");
}

#[tokio::test]
async fn the_stores_wish_for_a_pause_is_honoured() {
    let bench = Bench::new(1).await;
    {
        let mut ledger = bench.store.lock();
        (ledger.transient, ledger.retry_after) = (2, Some(Duration::from_secs(90)));
    }
    let took = bench.catch_up(bench.store.clone()).await;
    assert!(took >= Duration::from_secs(180), "{took:?}");
}

#[tokio::test]
async fn a_store_that_hangs_is_left_after_its_deadline() {
    let bench = Bench::new(10).await;
    bench.store.lock().hang = 2;
    let took = bench.catch_up(bench.store.clone()).await;
    assert!(took >= 2 * bench.options.write_timeout, "{took:?}");
    assert_eq!(bench.store.lock().taken, numbers(0..10));
}

#[tokio::test]
async fn points_refused_for_good_stand_alone_and_stop_nothing() {
    let bench = Bench::new(50).await;
    // The first and the last of the log among them, and neighbours.
    bench.store.lock().poison = [0.0, 17.0, 18.0, 49.0].map(f64::to_bits).into();
    bench.catch_up(bench.store.clone()).await;
    let ledger = bench.store.lock();
    let good: Vec<_> = numbers(0..50).into_iter().filter(|n| ![0.0, 17.0, 18.0, 49.0].contains(n)).collect();
    assert_eq!(ledger.taken, good);
    assert_eq!((ledger.too_early, &ledger.covered), (0, &bench.log.end()));
    assert_eq!(bench.metric("tidemark_replica_refused_total"), "4");
    assert_eq!(bench.metric("tidemark_replica_points_total"), "46");
}

#[tokio::test]
async fn a_stop_while_the_store_is_down_ends_at_once_and_the_next_start_goes_on() {
    let bench = Bench::new(10).await;
    bench.store.lock().hang = usize::MAX;
    let shutdown = CancellationToken::new();
    let replica = bench.replica(bench.store.clone());
    let progress = replica.progress();
    let following = tokio::spawn(replica.follow(shutdown.clone()));
    tokio::time::timeout(Duration::from_secs(30), async {
        while bench.store.lock().writes == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a write begins");
    shutdown.cancel();
    following.await.expect("task").expect("ends well");
    assert_eq!(progress.wait_until(&bench.log.end()).await, Err(Stopped));
    assert_ne!(bench.log.committed("replica/fake"), Some(bench.log.end()));

    bench.store.lock().hang = 0;
    bench.catch_up(bench.store.clone()).await;
    assert_eq!(bench.store.lock().taken, numbers(0..10));
}

#[tokio::test]
async fn a_store_ahead_of_the_log_is_fed_from_the_oldest_entry() {
    let bench = Bench::new(5).await;
    {
        let mut ledger = bench.store.lock();
        ledger.keeps_positions = true;
        ledger.covered = Positions([("test".into(), 1000)].into());
    }
    bench.catch_up(bench.store.clone()).await;
    assert_eq!(bench.store.lock().taken, numbers(0..5));
    assert_eq!(bench.store.lock().covered, bench.log.end());
}

#[tokio::test]
async fn written_points_are_flushed_in_time_and_the_cursor_follows() {
    let bench = Bench::new(5).await;
    bench.store.lock().keeps_positions = true;
    let replica = bench.replica(bench.store.clone());
    let shutdown = CancellationToken::new();
    let following = tokio::spawn(replica.follow(shutdown.clone()));
    let flushed = async {
        while bench.store.lock().flushes == 0 || bench.log.committed("replica/fake") != Some(bench.log.end())
        {
            tokio::task::yield_now().await;
        }
    };
    bench.driven(flushed).await;
    shutdown.cancel();
    bench.driven(following).await.expect("task").expect("ends well");
    assert!(bench.store.lock().flushes >= 2, "one in time, one at the end");
}

/// A flush that was under way when its consumer was aborted ends by itself and holds the file until then.
async fn open_when_free(folder: &std::path::Path, options: &EmbeddedOptions) -> Arc<EmbeddedStore> {
    let opened = async {
        loop {
            match EmbeddedStore::open(folder, options.clone()) {
                Ok(store) => return store,
                Err(error) => assert!(error.message.contains("open in another process"), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.expect("within a minute")
}

#[tokio::test]
async fn the_embedded_store_is_fed_through_crashes_without_loss_or_doubles() {
    let bench = Bench::new(500).await;
    let folder = tempfile::TempDir::new().expect("folder");
    let options = EmbeddedOptions { head_bytes: 1_000, ..EmbeddedOptions::default() };
    for crash in 0..5u64 {
        // Leave in the middle: what is in the head dies with the store.
        let store = open_when_free(folder.path(), &options).await;
        let replica = bench.replica(store.clone());
        let progress = replica.progress();
        let half_way = Positions([("test".into(), 90 * (crash + 1))].into());
        let following = tokio::spawn(replica.follow(CancellationToken::new()));
        bench.driven(progress.wait_until(&half_way)).await.expect("half-way");
        following.abort();
        following.await.expect_err("aborted");
        let durable = store.position().await.expect("position").expect("own position");
        assert!(progress.visible().covers(&durable), "{durable:?}");
        drop(store);
    }
    let store = open_when_free(folder.path(), &options).await;
    bench.catch_up(store.clone()).await;
    let range = TimeRange { start: Timestamp::MIN, end: Timestamp::MAX };
    let (matchers, fields) = (Vec::new(), Vec::new());
    let query = SeriesQuery { measurement: Measurement::Sample, matchers, fields, range, last: 0 };
    let found = store.read(&query).await.expect("read");
    let values: Vec<_> = found[0].columns["value"].iter().flatten().filter_map(FieldValue::as_f64).collect();
    assert_eq!(values, numbers(0..500));
    assert_eq!(store.position().await.expect("position"), Some(bench.log.end()));
}

/// A log whose first ten frames went before the store saw them.
async fn with_lost_frames(noted: Option<Missed>) -> (Bench, Option<Missed>) {
    let bench = Bench::new(20).await;
    match noted {
        Some(noted) => bench.log.leave_behind("replica/fake", 10, noted),
        None => bench.log.release(10),
    }
    let replica = bench.replica(bench.store.clone()).with_ledger(bench.log.clone());
    let (status, progress) = (Arc::clone(&replica.feeder.status), replica.progress());
    let shutdown = CancellationToken::new();
    let following = tokio::spawn(replica.follow(shutdown.clone()));
    bench.driven(progress.wait_until(&bench.log.end())).await.expect("arrives");
    assert!(status.is_incomplete());
    shutdown.cancel();
    bench.driven(following).await.expect("task").expect("ends well");
    let missed = bench.log.missed("replica/fake").expect("ledger");
    (bench, missed)
}

#[tokio::test]
async fn what_went_before_a_new_store_saw_it_is_noted_once() {
    let unknown = Missed { bytes: 10, span: None };
    let (bench, missed) = with_lost_frames(None).await;
    assert_eq!(missed, Some(unknown));
    assert_eq!(bench.store.lock().taken, numbers(10..20));
    // A second start goes on at its cursor: nothing more is missing.
    bench.catch_up(bench.store.clone()).await;
    assert_eq!(bench.log.missed("replica/fake").expect("ledger"), Some(unknown));
    // The log had noted it itself, with its times.
    let span = TimeRange { start: Timestamp::from_secs(0), end: Timestamp::from_secs(600) };
    let noted = Missed { bytes: 10, span: Some(span) };
    assert_eq!(with_lost_frames(Some(noted)).await.1, Some(noted));
}

#[tokio::test]
async fn what_the_log_noted_is_not_noted_again_and_hides_nothing_else() {
    let span = TimeRange { start: Timestamp::from_secs(0), end: Timestamp::from_secs(600) };
    let noted = Missed { bytes: 10, span: Some(span) };
    // Copied before the consumer reads on: it is whole.
    let bench = Bench::new(20).await;
    bench.log.leave_behind("replica/fake", 10, noted);
    assert!(bench.log.repaired("replica/fake", noted, None).expect("ledger"));
    let follow = async || {
        let replica = bench.replica(bench.store.clone()).with_ledger(bench.log.clone());
        let (progress, shutdown) = (replica.progress(), CancellationToken::new());
        let following = tokio::spawn(replica.follow(shutdown.clone()));
        bench.driven(progress.wait_until(&bench.log.end())).await.expect("arrives");
        shutdown.cancel();
        bench.driven(following).await.expect("task").expect("ends well");
        bench.log.missed("replica/fake").expect("ledger")
    };
    assert_eq!(follow().await, None);
    // An older loss that is not copied yet is more, and another one.
    bench.log.mark("replica/fake", Missed { bytes: 100, span: Some(span) }).expect("mark");
    for number in 20..30 {
        bench.log.append(vec![tick(number)]).await.expect("append");
    }
    bench.log.release(25);
    assert_eq!(follow().await, Some(Missed { bytes: 105, span: None }));
}

#[tokio::test]
async fn a_store_that_lost_everything_is_fed_anew_and_the_rest_noted() {
    let bench = Bench::new(20).await;
    let replica = bench.replica(bench.store.clone()).with_ledger(bench.log.clone());
    let progress = replica.progress();
    let shutdown = CancellationToken::new();
    let following = tokio::spawn(replica.follow(shutdown.clone()));
    bench.driven(progress.wait_until(&bench.log.end())).await.expect("arrives");
    bench.log.release(5);
    bench.store.lock().emptied = true;
    let fed_anew = async {
        while bench.store.lock().taken.len() < 35 {
            tokio::task::yield_now().await;
        }
    };
    bench.driven(fed_anew).await;
    shutdown.cancel();
    bench.driven(following).await.expect("task").expect("ends well");
    assert_eq!(bench.store.lock().taken, [numbers(0..20), numbers(5..20)].concat());
    let missed = bench.log.missed("replica/fake").expect("ledger");
    assert_eq!(missed, Some(Missed { bytes: 5, span: None }));
}
