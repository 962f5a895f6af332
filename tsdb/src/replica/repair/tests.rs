//! Repair between real stores, and from sources that fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use model::testing::MemoryLog;
use model::{FieldValue, Labels, ManualClock, Matcher, Positions, ReadSeries};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::super::{ReadOptions, Status};
use super::*;
use crate::{EmbeddedOptions, EmbeddedStore, Store};

const DAY: i64 = 86_400;

fn point(measurement: Measurement, tags: &[(&str, &str)], secs: i64, value: f64) -> Point {
    Point {
        measurement,
        tags: Labels::new(tags.iter().copied()),
        time: Timestamp::from_secs(secs),
        fields: vec![("value".into(), FieldValue::Float(value)), ("state".into(), FieldValue::Integer(3))],
    }
}

/// A few days of every measurement, with a gap of a month in the middle.
fn history() -> Vec<Point> {
    let text = (Arc::from("text"), FieldValue::Text("down, \"half\"\n".into()));
    let mut points = Vec::new();
    for secs in (0..3 * DAY).step_by(7_200).chain((33 * DAY..35 * DAY).step_by(3_600)) {
        let value = secs as f64;
        for measurement in [Measurement::Sample, Measurement::Verdict] {
            points.push(point(measurement, &[("metric", "orders"), ("channel", "app")], secs, value));
        }
        if secs % DAY == 0 {
            let late = [("metric", "orders"), ("channel", "app"), ("revision", "2")];
            points.push(point(Measurement::SampleRevision, &late, secs, value + 0.5));
            points.push(point(Measurement::VerdictRevision, &late, secs, value + 0.5));
            points.push(point(Measurement::Pipeline, &[("kind", "sampler")], secs, value));
            let mut alert =
                point(Measurement::Alert, &[("metric", "orders"), ("state", "firing")], secs, value);
            alert.fields.push(text.clone());
            points.push(alert);
        }
    }
    points
}

fn span(start: i64, end: i64) -> TimeRange {
    TimeRange { start: Timestamp::from_secs(start), end: Timestamp::from_secs(end) }
}

async fn stored(store: &dyn ReadSeries, range: TimeRange) -> Vec<(Measurement, Vec<SeriesData>)> {
    let mut all = Vec::new();
    for measurement in Measurement::ALL {
        let (matchers, fields) = (Vec::new(), Vec::new());
        let query = SeriesQuery { measurement, matchers, fields, range, last: 0 };
        all.push((measurement, store.read_stored(&query).await.expect("read")));
    }
    all
}

/// A store that reads like another, and misbehaves on request.
struct FakeSource {
    inner: Arc<dyn Store>,
    moods: Mutex<Vec<Mood>>,
    asked: Mutex<Vec<TimeRange>>,
    /// Reads that end before this never answer.
    hangs_before: Mutex<Option<Timestamp>>,
    /// The most points one read brought.
    most: AtomicUsize,
}

/// What the next read does.
#[derive(Clone, Copy)]
enum Mood {
    Fails,
    Hangs,
}

#[async_trait]
impl ReadSeries for FakeSource {
    async fn read(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.inner.read(query).await
    }

    async fn series(&self, of: Measurement, matchers: &[Matcher]) -> Result<Vec<Labels>, StoreError> {
        self.inner.series(of, matchers).await
    }

    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.asked.lock().expect("ledger").push(query.range);
        let mood = self.moods.lock().expect("moods").pop();
        if self.hangs_before.lock().expect("wish").is_some_and(|wish| query.range.end <= wish) {
            std::future::pending::<()>().await;
        }
        match mood {
            None => {
                let found = self.inner.read_stored(query).await?;
                self.most.fetch_max(found.iter().map(|data| data.times.len()).sum(), Ordering::Relaxed);
                Ok(found)
            }
            Some(Mood::Fails) => {
                Err(StoreError { replica: "b".into(), operation: "read", message: "down".into() })
            }
            Some(Mood::Hangs) => std::future::pending().await,
        }
    }
}

/// Replica `a`, which missed something, and `b`, which has everything.
struct Bench {
    clock: ManualClock,
    ledger: Arc<MemoryLog>,
    target: Arc<dyn Store>,
    source: Arc<FakeSource>,
    statuses: Vec<Arc<Status>>,
    replicas: Arc<Replicas>,
    options: RepairOptions,
    metrics: ReplicaMetrics,
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let open = |name: &str| {
            let options = EmbeddedOptions { name: name.into(), ..EmbeddedOptions::default() };
            EmbeddedStore::open(&folder.path().join(name), options).expect("open") as Arc<dyn Store>
        };
        let (target, source) = (open("a"), open("b"));
        Self::of(folder, target, source).await
    }

    async fn of(folder: tempfile::TempDir, target: Arc<dyn Store>, source: Arc<dyn Store>) -> Self {
        source.write(&history(), &Positions::default()).await.expect("write");
        let clock = ManualClock::new(Timestamp::from_secs(40 * DAY));
        let source = Arc::new(FakeSource {
            inner: source,
            moods: Mutex::default(),
            asked: Mutex::default(),
            hangs_before: Mutex::default(),
            most: AtomicUsize::new(0),
        });
        let mut registry = Registry::default();
        let metrics = ReplicaMetrics::register(&mut registry);
        let mut replicas = Replicas::new(Arc::new(clock.clone()), ReadOptions::default(), metrics.clone());
        let statuses: Vec<Arc<Status>> = (0..2).map(|_| Arc::default()).collect();
        statuses.iter().for_each(|status| status.accounted());
        replicas.push(target.name(), Arc::clone(&target) as _, Arc::clone(&statuses[0]));
        replicas.push("b", Arc::clone(&source) as _, Arc::clone(&statuses[1]));
        let options = RepairOptions { points_per_slice: 20, ..RepairOptions::default() };
        let (ledger, replicas) = (Arc::new(MemoryLog::new("p")), Arc::new(replicas));
        let _folder = folder;
        Self { clock, ledger, target, source, statuses, replicas, options, metrics, registry, _folder }
    }

    fn consumer(&self) -> String {
        consumer_of(self.target.name())
    }

    fn miss(&self, span: Option<TimeRange>) {
        self.ledger.mark(&self.consumer(), Missed { bytes: 7, span }).expect("mark");
    }

    fn missed(&self) -> Option<Missed> {
        self.ledger.missed(&self.consumer()).expect("ledger")
    }

    fn start(&self) -> JoinHandle<()> {
        let (ledger, clock) = (self.ledger.clone() as _, Arc::new(self.clock.clone()));
        let (replicas, store) = (Arc::clone(&self.replicas), Arc::clone(&self.target) as _);
        let repair = Repair::new(replicas, store, ledger, self.options.clone(), clock, &self.metrics);
        tokio::spawn(repair.run(CancellationToken::new()))
    }

    /// Waits for a state; the clock moves meanwhile. Fails after a minute of real time.
    async fn until(&self, what: &str, mut reached: impl FnMut() -> bool) {
        let waiting = async {
            while !reached() {
                if self.clock.sleepers() > 0 {
                    self.clock.advance(Duration::from_millis(200));
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("{what}"));
    }

    async fn repaired(&self) {
        let running = self.start();
        self.until("it is whole", || self.missed().is_none() && !self.statuses[0].is_incomplete()).await;
        running.abort();
    }

    fn repair(&self) -> Repairing {
        self.statuses[0].standing(self.clock.civil_now()).repair
    }

    fn metric(&self, name: &str) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encode");
        let begin = format!("tidemark_replica_{name}{{replica=\"{}\"}} ", self.target.name());
        text.lines().find_map(|line| line.strip_prefix(&begin)).expect("metric").to_owned()
    }
}

#[tokio::test]
async fn what_was_missed_is_copied_and_the_mark_goes() {
    for missed in [None, Some(span(-DAY, 40 * DAY)), Some(span(DAY, 34 * DAY))] {
        let bench = Bench::new().await;
        bench.miss(missed);
        bench.repaired().await;
        let (everything, range) = (TimeRange::ALL, missed.unwrap_or(TimeRange::ALL));
        let expected = stored(&*bench.source, range).await;
        assert_eq!(stored(&*bench.target, everything).await, expected, "{missed:?}");
        assert_eq!(
            (bench.metric("incomplete"), bench.metric("repair_at_seconds")),
            ("0".into(), "0.0".into())
        );
        assert_ne!(bench.metric("repaired_points_total"), "0");
    }
}

#[tokio::test]
async fn influxdb_of_both_versions_is_repaired_and_repaired_from() {
    let mut source: Option<Arc<dyn Store>> = None;
    let stores = crate::influx::tests::both("repair").await;
    for target in stores {
        let folder = tempfile::tempdir().expect("folder");
        let source_of = |store: Option<Arc<dyn Store>>| match store {
            Some(store) => store,
            None => EmbeddedStore::open(&folder.path().join("b"), EmbeddedOptions::default()).expect("open"),
        };
        let from = source_of(source.take());
        let bench = Bench::of(folder, target, from).await;
        bench.miss(None);
        bench.repaired().await;
        let everything = TimeRange::ALL;
        let expected = stored(&*bench.source, everything).await;
        assert_eq!(stored(&*bench.target, everything).await, expected, "{}", bench.target.name());
        source = Some(Arc::clone(&bench.target));
    }
}

#[tokio::test]
async fn a_repair_that_is_killed_goes_on_where_it_was() {
    let bench = Bench::new().await;
    bench.miss(None);
    let mut end = None;
    for _ in 0..3 {
        let running = bench.start();
        let before = end;
        bench
            .until("a step", || {
                end = bench.missed().and_then(|missed| missed.span).map(|span| span.end);
                end != before
            })
            .await;
        running.abort();
        let _ = running.await;
        // What was durable is not asked for again.
        bench.source.asked.lock().expect("ledger").clear();
        end = bench.missed().and_then(|missed| missed.span).map(|span| span.end);
        let running = bench.start();
        bench.until("it reads on", || !bench.source.asked.lock().expect("ledger").is_empty()).await;
        running.abort();
        let _ = running.await;
        let first = bench.source.asked.lock().expect("ledger")[0];
        assert_eq!(Some(first.end), end);
    }
    bench.repaired().await;
    assert_eq!(stored(&*bench.target, TimeRange::ALL).await, stored(&*bench.source, TimeRange::ALL).await);
}

#[tokio::test]
async fn a_repair_that_is_killed_after_its_last_point_ends_with_the_next_start() {
    // Of the second the source has nothing of the oldest day.
    for missed in [None, Some(span(-DAY, 40 * DAY))] {
        let bench = Bench::new().await;
        bench.miss(missed);
        *bench.source.hangs_before.lock().expect("wish") = Some(Timestamp::from_secs(0));
        let running = bench.start();
        let at_the_end = |asked: &Mutex<Vec<TimeRange>>| {
            asked.lock().expect("ledger").last().is_some_and(|range| range.end <= Timestamp::from_secs(0))
        };
        bench.until("all is copied", || at_the_end(&bench.source.asked)).await;
        running.abort();
        let _ = running.await;
        *bench.source.hangs_before.lock().expect("wish") = None;
        bench.repaired().await;
        assert_eq!(
            stored(&*bench.target, TimeRange::ALL).await,
            stored(&*bench.source, TimeRange::ALL).await,
            "{missed:?}"
        );
    }
    // So does one that had noted the time before the first point as its leftover.
    let bench = Bench::new().await;
    bench.miss(Some(TimeRange { start: Timestamp::MIN, end: Timestamp::from_secs(-60) }));
    bench.repaired().await;
}

#[tokio::test]
async fn a_dense_day_after_sparse_ones_is_not_read_at_once() {
    let bench = Bench::new().await;
    let dense: Vec<_> = (30 * DAY..31 * DAY)
        .step_by(60)
        .map(|secs| point(Measurement::Sample, &[("metric", "orders"), ("channel", "app")], secs, 1.0))
        .collect();
    bench.source.inner.write(&dense, &Positions::default()).await.expect("write");
    bench.miss(None);
    bench.repaired().await;
    let most = bench.source.most.load(Ordering::Relaxed);
    assert!(most <= 2 * bench.options.points_per_slice + 1, "{most}");
    assert_eq!(stored(&*bench.target, TimeRange::ALL).await, stored(&*bench.source, TimeRange::ALL).await);
}

#[tokio::test]
async fn a_source_that_fails_or_hangs_is_asked_again_and_read_by_others_meanwhile() {
    let bench = Bench::new().await;
    bench.miss(None);
    bench.source.moods.lock().expect("moods").extend([Mood::Hangs, Mood::Fails, Mood::Fails]);
    let running = bench.start();
    bench.until("it waits", || bench.repair() == Repairing::Waiting).await;
    let now = bench.clock.monotonic_now();
    assert!(bench.replicas.others("a").all(|member| !member.is_failing(now)), "readers ask it as before");
    running.abort();
    bench.repaired().await;
    assert_eq!(stored(&*bench.target, TimeRange::ALL).await, stored(&*bench.source, TimeRange::ALL).await);
}

#[tokio::test]
async fn what_is_missed_meanwhile_is_copied_too() {
    let bench = Bench::new().await;
    bench.miss(Some(span(34 * DAY, 40 * DAY)));
    let running = bench.start();
    bench.until("it is under way", || matches!(bench.repair(), Repairing::Copying { points: 1.., .. })).await;
    bench.miss(Some(span(0, DAY)));
    bench.until("it is whole", || bench.missed().is_none()).await;
    running.abort();
    assert_eq!(stored(&*bench.target, TimeRange::ALL).await, stored(&*bench.source, TimeRange::ALL).await);
}

#[tokio::test]
async fn it_stays_incomplete_while_nobody_has_what_is_missing() {
    let bench = Bench::new().await;
    bench.miss(Some(span(0, DAY)));
    // The other one is incomplete in the same span.
    bench.ledger.mark("replica/b", Missed { bytes: 1, span: Some(span(DAY - 60, 2 * DAY)) }).expect("mark");
    let running = bench.start();
    bench.until("it gives up", || bench.repair() == Repairing::Hopeless).await;
    assert!(bench.statuses[0].is_incomplete() && bench.metric("incomplete") == "1");
    // It has it again.
    let seen = bench.ledger.missed("replica/b").expect("ledger").expect("incomplete");
    bench.ledger.repaired("replica/b", seen, None).expect("ledger");
    bench.until("it is whole", || bench.missed().is_none()).await;
    running.abort();

    // It says it has it, and has nothing.
    let bench = Bench::new().await;
    bench.miss(Some(span(5 * DAY, 6 * DAY)));
    let running = bench.start();
    bench.until("it gives up", || bench.repair() == Repairing::Hopeless).await;
    assert!(bench.missed().is_some());
    running.abort();
}

#[tokio::test]
async fn a_replica_that_is_away_is_waited_for() {
    let bench = Bench::new().await;
    bench.miss(None);
    bench.statuses[1].failed("cannot take points: no connection".into());
    let running = bench.start();
    bench.until("it waits", || bench.repair() == Repairing::Waiting).await;
    bench.statuses[1].well();
    bench.until("it is whole", || bench.missed().is_none()).await;
    running.abort();
}
