//! Which replica answers, and what a dead one costs.

use std::sync::atomic::{AtomicU64, Ordering};

use model::{
    Body, Entry, ManualClock, Missed, Origin, Position, Positions, Tick, TickOutcome, TimeRange, Window,
};

use super::*;

const NOW: i64 = 1_000_000;

/// How a fake store behaves.
const WELL: u64 = 0;
const FAILS: u64 = 1;
const HANGS: u64 = 2;

/// A store whose one series is called by its name; counts what it was asked.
#[derive(Default)]
struct FakeStore {
    name: &'static str,
    mood: AtomicU64,
    asked: AtomicU64,
}

#[async_trait]
impl ReadSeries for FakeStore {
    async fn read(&self, _: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.mood.load(Ordering::Relaxed) {
            WELL => {
                Ok(vec![SeriesData { tags: Labels::new([("name", self.name)]), ..SeriesData::default() }])
            }
            FAILS => Err(StoreError { replica: self.name.into(), operation: "read", message: "down".into() }),
            _ => std::future::pending().await,
        }
    }

    async fn series(&self, _: Measurement, _: &[Matcher]) -> Result<Vec<Labels>, StoreError> {
        Ok(Vec::new())
    }

    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.read(query).await
    }
}

struct Bench {
    clock: ManualClock,
    stores: [Arc<FakeStore>; 2],
    statuses: [Arc<Status>; 2],
    replicas: Replicas,
}

/// A tick of `orders` that ends and was appended at this second.
fn tick(end: i64) -> Entry {
    let end = Timestamp::from_secs(end);
    Entry {
        position: Position { partition: "p".into(), offset: 0, index: 0 },
        key: "orders".into(),
        producer: "sampler/orders".into(),
        sequence: 1,
        source_position: Vec::new(),
        appended_at: end,
        body: Body::Tick(Tick {
            sampler: "orders".into(),
            metrics: vec!["orders".into()],
            window: Window { start: end - Duration::from_secs(60), end },
            ticks: 1,
            origin: Origin::Live,
            outcome: TickOutcome::Empty,
            duration_ms: 0,
        }),
    }
}

fn at(offset: u64) -> Positions {
    Positions([("p".into(), offset)].into())
}

impl Bench {
    /// Two replicas `a` and `b` that have everything.
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_secs(NOW));
        let stores = ["a", "b"].map(|name| Arc::new(FakeStore { name, ..FakeStore::default() }));
        let statuses: [Arc<Status>; 2] = Default::default();
        let (options, metrics) = (ReadOptions::default(), ReplicaMetrics::default());
        let mut replicas = Replicas::new(Arc::new(clock.clone()), options, metrics);
        for (store, status) in stores.iter().zip(&statuses) {
            status.begin(at(0));
            status.accounted();
            replicas.push(store.name, store.clone(), status.clone());
        }
        Self { clock, stores, statuses, replicas }
    }

    /// The replica has written up to a tick of this second, and more waits behind it.
    fn lags(&self, replica: usize, end: i64) {
        self.statuses[replica].written(&[tick(end)], &at(1), &at(2));
    }

    /// Who answers of `orders` up to a second, and how far.
    async fn ask(&self, end: i64) -> (String, Reach) {
        let query = SeriesQuery {
            measurement: Measurement::Sample,
            matchers: vec![Matcher { tag: "metric".into(), value: "orders".into() }],
            fields: Vec::new(),
            range: TimeRange { start: Timestamp::from_secs(0), end: Timestamp::from_secs(end) },
            last: 0,
        };
        let asking = self.replicas.read_with_reach(&query);
        let ticking = async {
            loop {
                tokio::task::yield_now().await;
                if self.clock.sleepers() > 0 {
                    self.clock.advance(Duration::from_millis(500));
                }
            }
        };
        tokio::select! {
            biased;
            answer = asking => {
                let (series, reach) = answer.expect("an answer");
                (series[0].tags.get("name").expect("a name").to_owned(), reach)
            }
            () = ticking => unreachable!("it has no end"),
        }
    }
}

fn short(replica: &str, until: i64, incomplete: bool) -> Reach {
    let until = Some(Timestamp::from_secs(until));
    Reach::Short(Shortfall { replica: replica.into(), until, incomplete })
}

#[tokio::test]
async fn the_first_that_has_passed_the_range_answers() {
    let bench = Bench::new();
    assert_eq!(bench.ask(NOW).await, ("a".into(), Reach::Whole));
    bench.lags(0, NOW - 600);
    assert_eq!(bench.ask(NOW).await, ("b".into(), Reach::Whole));
    assert_eq!(bench.ask(NOW - 600).await, ("a".into(), Reach::Whole), "of what it has");
    bench.lags(1, NOW - 300);
    assert_eq!(bench.ask(NOW).await, ("b".into(), short("b", NOW - 300, false)), "the least lagging");
    bench.statuses[0].written(&[tick(NOW)], &at(2), &at(2));
    assert_eq!(bench.ask(NOW + 60).await, ("a".into(), Reach::Whole), "caught up");
}

#[tokio::test]
async fn an_incomplete_one_is_asked_last() {
    let bench = Bench::new();
    bench.statuses[0].note_loss(Missed { bytes: 1, span: None });
    assert_eq!(bench.ask(NOW).await, ("b".into(), Reach::Whole));
    bench.stores[1].mood.store(FAILS, Ordering::Relaxed);
    let (name, reach) = bench.ask(NOW).await;
    assert!(name == "a" && matches!(reach, Reach::Short(Shortfall { incomplete: true, .. })), "{reach:?}");
}

#[tokio::test]
async fn a_dead_or_hung_one_is_passed_over_and_not_asked_each_time() {
    for mood in [FAILS, HANGS] {
        let bench = Bench::new();
        bench.stores[0].mood.store(mood, Ordering::Relaxed);
        for _ in 0..5 {
            assert_eq!(bench.ask(NOW).await.0, "b");
        }
        assert_eq!(bench.stores[0].asked.load(Ordering::Relaxed), 1);
        bench.stores[0].mood.store(WELL, Ordering::Relaxed);
        bench.clock.advance(ReadOptions::default().memory);
        assert_eq!(bench.ask(NOW).await, ("a".into(), Reach::Whole), "it is back");
    }
}

#[tokio::test]
async fn when_all_fail_the_first_one_s_word_is_told() {
    let bench = Bench::new();
    bench.stores.iter().for_each(|store| store.mood.store(FAILS, Ordering::Relaxed));
    let query = SeriesQuery {
        measurement: Measurement::Sample,
        matchers: Vec::new(),
        fields: Vec::new(),
        range: TimeRange::ALL,
        last: 0,
    };
    let error = bench.replicas.read(&query).await.unwrap_err();
    assert_eq!(error.to_string(), "store a cannot read: down");
}
