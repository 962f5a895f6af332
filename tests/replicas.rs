//! One dead replica costs nothing: the real binary over two real InfluxDB, which die in turn.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use components::Component;
use model::{
    Body, ManualClock, Measurement, Missed, MissedReason, Positions, ReadLimit, ReplicaLedger, SampleLog,
    SeriesData, SeriesQuery, TickOutcome, TimeRange, Timestamp, Topic, Topics,
};
use queue::{Log, LogDir, LogOptions};
use serde_json::{Value, json};
use support::{Running, level, ready_address, tidemark, wait_for_within, write};
use tsdb::StoreConfig;

/// The log is full after a while, the dead replica has fallen out of it, and all of it is repaired: on a loaded machine.
const LONG: Duration = Duration::from_secs(180);
/// Series of the one metric: enough for the log to be full soon.
const SERIES: usize = 300;
/// The newest window that was sampled may be so old when it is read.
const FRESH: Duration = Duration::from_secs(15);

/// Two replicas, `a` listed first, and a Tidemark over them.
struct Bench {
    dir: tempfile::TempDir,
    a: Component,
    b: Component,
    running: Running,
}

fn section_of_a(a: &Component) -> Value {
    json!({"influxdb": {"name": "a", "url": format!("http://{}", a.address()),
        "username": a.detail("username"), "password": a.detail("password")}})
}

fn section_of_b(b: &Component) -> Value {
    json!({"influxdb_v2": {"name": "b", "url": format!("http://{}", b.address()),
        "org": b.detail("org"), "token": b.detail("token")}})
}

/// One metric of many series, outside below `limit`: two of them every few seconds, so that the notifier's cursor moves.
fn configure(dir: &Path, a: &Component, b: &Component, limit: usize) {
    let storage = json!({"log": {"max_bytes": "768KiB"}, "replicas": [section_of_a(a), section_of_b(b)]});
    let sql = format!(
        "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {SERIES}) \
         SELECT 's' || i AS place, i + :start_s % 7 AS value FROM s"
    );
    let metric = level::metric("orders", &sql).replace("below: 10", &format!("below: {limit}"));
    let text = format!("{}storage: {storage}\nmetrics:\n{metric}    labels: [place]\n", level::head());
    write(dir, "tidemark.yaml", &text);
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (Component::start("influxdb1"), Component::start("influxdb2"));
        level::create(dir.path(), 100);
        configure(dir.path(), &a, &b, 3);
        let running = Running::start(dir.path(), &["run"]);
        Self { dir, a, b, running }
    }

    /// Has the detector take a snapshot, as it does once a minute, so that the log need not be large enough for minutes:
    /// a change of how the metric is judged makes it do so at once.
    fn let_the_detector_commit(&self, limit: usize) {
        configure(self.dir.path(), &self.a, &self.b, limit);
        self.running.signal("HUP");
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the process answers; it must be there and well.
    fn get(&self, path: &str) -> String {
        support::get(&ready_address(&self.data()), path)
            .unwrap_or_else(|| panic!("no answer to {path}: {}", self.running.said()))
    }

    /// Waits for a state of the process.
    fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        println!("waiting for {what}");
        let mut looks = 0;
        wait_for_within(LONG, what, || {
            looks += 1;
            if looks % 25 == 0 {
                self.let_the_detector_commit(3 + looks / 25 % 2);
            }
            look(self)
        })
    }

    /// A metric of a replica, from `/metrics`.
    fn gauge(&self, name: &str, replica: &str) -> f64 {
        let begin = format!("tidemark_replica_{name}{{replica=\"{replica}\"}} ");
        let page = self.get("/metrics");
        page.lines().find_map(|line| line.strip_prefix(&begin)?.parse().ok()).unwrap_or(0.0)
    }

    /// The stored samples of the last while, as a command reads them.
    fn answer(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/series?metric=orders&from=2020-01-01T00:00:00Z&last=1"))
            .unwrap()
    }

    /// Whether the answer has all series, and as of now.
    fn is_current(answer: &Value) -> bool {
        let now = Timestamp::parse_rfc3339(answer["now"].as_str().unwrap()).unwrap();
        let newest = |series: &Value| series["times_ns"][0].as_i64().map(Timestamp::from_nanos);
        let series = answer["series"].as_array().unwrap();
        series.len() == SERIES && series.iter().filter_map(newest).all(|newest| now.since(newest) < FRESH)
    }

    /// Whether it is current, and of a replica that lacks nothing of what is older.
    fn is_whole(answer: &Value) -> bool {
        Self::is_current(answer) && answer["short"]["incomplete"] != true
    }

    fn readiness(&self) -> BTreeMap<String, (bool, String)> {
        let readiness: Value = serde_json::from_str(&self.get("/readyz")).unwrap();
        let parts = readiness["parts"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        parts.map(|part| (text(&part["part"]), (part["ready"] == true, text(&part["detail"])))).collect()
    }
}

#[test]
fn promise_3_one_dead_replica_costs_nothing() {
    let mut bench = Bench::start();
    bench.until("both replicas to be current", |bench| {
        let whole = Bench::is_current(&bench.answer()) && bench.gauge("points_total", "b") > 0.0;
        (whole && bench.answer()["short"].is_null()).then_some(())
    });

    // Dead for so long that the log lets go what it has not read. Reads go on from the other, current and whole.
    bench.a.kill();
    bench.until("the dead one to be passed over", |bench| Bench::is_current(&bench.answer()).then_some(()));
    // A start does not wait for it either.
    bench.running.kill();
    bench.running = Running::start(bench.dir.path(), &["run"]);
    bench.until("reads after a start without it", |bench| {
        let answer = bench.answer();
        Bench::is_whole(&answer).then_some(())
    });

    bench.until("the log to let go what the dead one lacks", |bench| {
        let answer = bench.answer();
        assert!(answer["short"]["incomplete"] != true, "{}\n{}", answer["short"], bench.running.said());
        (bench.gauge("incomplete", "a") == 1.0 && Bench::is_current(&answer)).then_some(())
    });
    let (ready, why) = bench.readiness()["store a"].clone();
    assert!(!ready && why.contains("cannot take points"), "{why}");
    assert!(bench.readiness()["store b"].0);
    let listed = tidemark(bench.dir.path(), &["replicas", "ls", "-o", "ndjson"]);
    let states: Vec<Value> =
        serde_json::Deserializer::from_slice(&listed.stdout).into_iter().flatten().collect();
    assert_eq!((&states[0]["state"], &states[1]["state"]), (&"down".into(), &"whole".into()), "{listed:?}");

    // When the other one dies too, the incomplete one answers and says so.
    bench.a.start_again();
    bench.b.kill();
    let short = bench.until("an answer of the incomplete one", |bench| {
        let answer = bench.answer();
        (answer["short"]["replica"] == "a").then(|| answer["short"].clone())
    });
    assert_eq!(short["incomplete"], true, "{short}");
    bench.b.start_again();

    // It is repaired from the other one and read again.
    bench.until("its repair", |bench| {
        let whole = bench.gauge("incomplete", "a") == 0.0 && bench.gauge("incomplete", "b") == 0.0;
        (whole && bench.gauge("repaired_points_total", "a") > 0.0).then_some(())
    });
    let before = bench.gauge("reads_total", "a");
    bench.until("it to be read again", |bench| {
        let answer = bench.answer();
        let read = bench.gauge("reads_total", "a") > before;
        (read && Bench::is_whole(&answer)).then_some(())
    });

    bench.running.signal("TERM");
    assert!(bench.running.wait().success(), "{}", bench.running.said());
    assert_both_have_everything(&bench);
}

#[test]
fn a_gap_that_nobody_can_fill_is_said_and_may_be_accepted() {
    let dir = tempfile::tempdir().unwrap();
    level::create(dir.path(), 100);
    let metric = level::metric("orders", "SELECT n AS value FROM level");
    write(dir.path(), "tidemark.yaml", &format!("{}metrics:\n{metric}", level::head()));
    let log = LogDir::open(
        LogOptions::new(dir.path().join("data/log")),
        Arc::new(ManualClock::new(Timestamp::from_secs(0))),
    );
    let (start, end) = (Timestamp::from_secs(600), Timestamp::from_secs(1_200));
    log.unwrap().mark("replica/embedded", Missed { bytes: 7, span: Some(TimeRange { start, end }) }).unwrap();
    let running = Running::start(dir.path(), &["run"]);
    ready_address(&dir.path().join("data"));
    let said = |args: &[&str]| {
        let done = tidemark(dir.path(), args);
        (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let until = |what: &str, words: &str, args: &[&str]| {
        wait_for_within(LONG, what, || said(args).1.contains(words).then_some(()));
    };
    until(
        "it gives up",
        "incomplete: no other replica has what it missed",
        &["replicas", "ls", "-o", "json"],
    );
    until("a read to say so", "answered by replica `embedded`, which lacks a part", &["metrics", "ls"]);
    until(
        "a replay to say so",
        "which lacks a part of what is older\n",
        &["backtest", "orders", "--since", "1h"],
    );
    wait_for_within(LONG, "the way out", || {
        running.stderr.lock().unwrap().contains("tidemark replicas accept embedded").then_some(())
    });
    let unknown = said(&["replicas", "accept", "nobody"]);
    assert!(!unknown.0 && unknown.1.contains("there is no replica `nobody`, only embedded"), "{}", unknown.1);
    let accepted = said(&["replicas", "accept", "embedded"]);
    assert!(accepted.0, "{}", accepted.1);
    until("it to be read as it is", "\"whole\"", &["replicas", "ls", "-o", "json"]);
    let again = said(&["replicas", "accept", "embedded"]);
    assert!(!again.0 && again.1.contains("replica `embedded` lacks nothing"), "{}", again.1);
}

/// No tick was missed but while the process was down, and both replicas hold every sample and verdict, equal.
fn assert_both_have_everything(bench: &Bench) {
    let stored = |section: Value| {
        let config: StoreConfig = serde_json::from_value(section).unwrap();
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        executor.block_on(everything(&config))
    };
    let (in_a, in_b) = (stored(section_of_a(&bench.a)), stored(section_of_b(&bench.b)));
    for measurement in [Measurement::Sample, Measurement::Verdict] {
        let (a, b) = (&in_a[&measurement], &in_b[&measurement]);
        assert_eq!(a.len(), SERIES, "{}", measurement.as_str());
        assert!(a == b, "{} differs between the replicas", measurement.as_str());
    }
    let (answered, full) = ticks(&bench.data());
    assert_eq!(full, 0, "the log refused ticks");
    let times = &in_a[&Measurement::Sample][0].times;
    let newest = times.iter().rev().take(answered.len()).rev().copied().collect::<Vec<_>>();
    assert_eq!(newest, answered, "what the log still holds is in the store");
    println!("{} windows of {SERIES} series in both replicas", times.len());
}

async fn everything(config: &StoreConfig) -> BTreeMap<Measurement, Vec<SeriesData>> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
    let store = config.open(Path::new("."), clock).await.unwrap();
    let mut all = BTreeMap::new();
    for measurement in Measurement::ALL {
        let (matchers, fields, range) = (Vec::new(), Vec::new(), TimeRange::ALL);
        let query = SeriesQuery { measurement, matchers, fields, range, last: 0 };
        all.insert(measurement, store.read_stored(&query).await.unwrap());
    }
    all
}

/// The windows that were answered, of those the log still holds, and how many were missed for want of room.
fn ticks(data: &Path) -> (Vec<Timestamp>, usize) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
    let log = Log::open_read_only(LogOptions::new(data.join("log")), clock).unwrap();
    let (mut answered, mut full, mut at) = (Vec::new(), 0, Positions::default());
    loop {
        let batch = log.read(&at, Topics::of(&[Topic::Samples]), ReadLimit::default()).unwrap();
        if batch.next == at {
            return (answered, full);
        }
        at = batch.next;
        for entry in batch.entries {
            let Body::Tick(tick) = entry.body else { continue };
            if !tick.samples().is_empty() {
                answered.push(tick.window.start);
            } else if let TickOutcome::Missed { reason: MissedReason::Full, .. } = tick.outcome {
                full += 1;
            }
        }
    }
}
