//! The replicated path: from appends that are answered after fsync to two stores that have answered. Prints tables.
//!
//! `cargo bench -p tsdb --bench replication [-- PART..]`; parts are `stubs`, `slow`, `influxdb`, `down`. The servers of
//! `influxdb` are real (`scripts/component influxdb2 install`); the others are stubs in this process that read a body and
//! answer. Everything shares the machine's cores.

#[path = "replication/stub.rs"]
mod stub;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use components::Component;
use model::{
    Body, Clock, Labels, Monotonic, NewEntry, Origin, Positions, Sample, SampleLog, SeriesKey, Sleep, Tick,
    TickOutcome, Timestamp, Window, WriteSamples,
};
use nix::time::{ClockId, clock_gettime};
use prometheus_client::registry::Registry;
use queue::{Log, LogOptions};
use serde_json::{Value, json};
use stub::Stub;
use tokio_util::sync::CancellationToken;
use tsdb::{FollowOptions, Progress, Replica, ReplicaMetrics, Store, StoreConfig};

/// Start of the first window.
const START: i64 = 1_700_000_040;
/// Rows of a tick, each a series of its own.
const ROWS: u64 = 100;
/// Ticks of one append.
const TICKS: u64 = 20;
/// Appenders at a time, each a sampler.
const SAMPLERS: u64 = 4;

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|own| own == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if wanted("stubs") {
        runtime.block_on(stubs());
    }
    if wanted("slow") {
        runtime.block_on(slow());
    }
    if wanted("influxdb") {
        runtime.block_on(influxdb());
    }
    if wanted("down") {
        runtime.block_on(down());
    }
}

/// The machine's clock.
#[derive(Debug)]
struct MachineClock;

impl MachineClock {
    fn read(id: ClockId) -> Duration {
        clock_gettime(id).expect("a clock").into()
    }
}

impl Clock for MachineClock {
    fn domain_now(&self) -> Timestamp {
        Timestamp::from_nanos(Self::read(ClockId::CLOCK_REALTIME).as_nanos() as i64)
    }

    fn civil_now(&self) -> Timestamp {
        self.domain_now()
    }

    fn monotonic_now(&self) -> Monotonic {
        Self::read(ClockId::CLOCK_MONOTONIC)
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        self.sleep(at.since(self.domain_now()))
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Seconds the work takes, and of the processor's time what this process takes.
async fn timed<T>(work: impl Future<Output = T>) -> (f64, f64, T) {
    let now = || {
        let of = |id| MachineClock::read(id).as_secs_f64();
        (of(ClockId::CLOCK_MONOTONIC), of(ClockId::CLOCK_PROCESS_CPUTIME_ID))
    };
    let began = now();
    let done = work.await;
    let ended = now();
    (ended.0 - began.0, ended.1 - began.1, done)
}

fn open(dir: &Path) -> Arc<Log> {
    Log::open(LogOptions::new(dir), "collector", Arc::new(MachineClock)).expect("a log").0
}

fn tick(sampler: u64, number: u64) -> NewEntry {
    let name: Arc<str> = format!("sales{sampler}").into();
    let sample = |row: u64| Sample {
        series: SeriesKey::new(
            Arc::clone(&name),
            Labels::new([("shop", format!("shop-{row}")), ("zone", "east".into())]),
        ),
        value: ((number * 7919 + row * 97) % 100_000) as f64 / 100.0,
        ratio: None,
        revision: 0,
    };
    let start = Timestamp::from_secs(START + 60 * number as i64);
    let body = Body::Tick(Tick {
        sampler: Arc::clone(&name),
        metrics: vec![Arc::clone(&name)],
        window: Window::new(start, Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Backfill,
        outcome: TickOutcome::Rows((0..ROWS).map(sample).collect()),
        duration_ms: 12,
    });
    NewEntry {
        key: Arc::clone(&name),
        producer: name,
        sequence: number + 1,
        source_position: Vec::new(),
        body,
    }
}

/// Appends points from several samplers at once, the `part`th of equal parts; returns when all are durable.
async fn append(log: &Arc<Log>, points: u64, part: u64) {
    let frames = points / (SAMPLERS * TICKS * ROWS);
    let one = |sampler: u64| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for frame in part * frames..(part + 1) * frames {
                let batch = (0..TICKS).map(|own| tick(sampler, frame * TICKS + own)).collect();
                log.append(batch).await.expect("appended");
            }
        })
    };
    for sampler in (0..SAMPLERS).map(one).collect::<Vec<_>>() {
        sampler.await.expect("a sampler");
    }
}

/// A replica that runs.
struct Follower {
    progress: Progress,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    fn start(log: &Arc<Log>, store: Arc<dyn Store>) -> Self {
        let metrics = ReplicaMetrics::register(&mut Registry::default());
        let store: Arc<dyn WriteSamples> = store;
        let clock = Arc::new(MachineClock);
        let replica = Replica::new(Arc::clone(log) as _, store, FollowOptions::default(), clock, metrics);
        let (progress, stop) = (replica.progress(), CancellationToken::new());
        let following = replica.follow(stop.clone());
        let task = tokio::spawn(async move { following.await.expect("ends well") });
        Self { progress, stop, task }
    }

    async fn reach(&self, end: &Positions) {
        self.progress.wait_until(end).await.expect("goes on");
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("a task");
    }
}

async fn store(name: &str, url: &str, org: &str, token: &str) -> Arc<dyn Store> {
    let section: Value =
        json!({"influxdb_v2": {"name": name, "url": url, "org": org, "token": token, "bucket": name}});
    let config: StoreConfig = serde_json::from_value(section).expect("a section");
    config.open(Path::new("."), Arc::new(MachineClock)).await.expect("a store")
}

async fn stub_store(name: &str, stub: &Stub) -> Arc<dyn Store> {
    store(name, &format!("http://127.0.0.1:{}", stub.port()), "bench", "bench").await
}

/// Appends while two stubs are fed; what the log and the whole path take in.
async fn stubs() {
    const POINTS: u64 = 4_000_000;
    println!(
        "\n| points appended while | durable, points/s | in every store, points/s | own processor time, s |\n|---|---|---|---|"
    );
    for (title, names) in
        [("nobody reads", vec![]), ("one stub is fed", vec!["a"]), ("two stubs are fed", vec!["a", "b"])]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let log = open(folder.path());
        let servers: Vec<Stub> = names.iter().map(|_| Stub::start(None, Duration::ZERO)).collect();
        let mut followers = Vec::new();
        for (name, server) in names.iter().zip(&servers) {
            followers.push(Follower::start(&log, stub_store(name, server).await));
        }
        let (all, own, durable) = timed(async {
            let (durable, _, ()) = timed(append(&log, POINTS, 0)).await;
            for follower in &followers {
                follower.reach(&log.end()).await;
            }
            durable
        })
        .await;
        let rate = |seconds: f64| POINTS as f64 / seconds;
        println!("| {title} | {:.0} | {:.0} | {own:.1} |", rate(durable), rate(all));
        for (follower, server) in followers.into_iter().zip(&servers) {
            follower.end().await;
            assert_eq!(server.lines(), POINTS);
        }
    }
}

/// Feeds stores from the same log, each alone and then all at once; prints the points a second of each.
async fn alone_and_together(
    log: &Arc<Log>,
    points: u64,
    stores: impl AsyncFn(&str) -> Vec<Arc<dyn Store>>,
    servers: &[Component],
    round: u32,
) {
    let feed = async |stores: Vec<Arc<dyn Store>>| {
        let theirs = servers.iter().map(processor_time).sum::<f64>();
        let (took, own, ()) = timed(follow_to_the_end(log, stores)).await;
        let theirs = servers.iter().map(processor_time).sum::<f64>() - theirs;
        (points as f64 / took, format!("{own:.1} + {theirs:.1} s"))
    };
    let mut alone = Vec::new();
    for store in stores(&format!("alone{round}")).await {
        alone.push(feed(vec![store]).await);
    }
    let (together, time) = feed(stores(&format!("both{round}")).await).await;
    let slower = alone.iter().map(|(rate, _)| *rate).fold(f64::INFINITY, f64::min);
    let list: Vec<_> = alone.iter().map(|(rate, time)| format!("{rate:.0} ({time})")).collect();
    println!("| {round} | {} | {together:.0} ({time}) | {:.2} |", list.join(" | "), together / slower);
}

async fn follow_to_the_end(log: &Arc<Log>, stores: Vec<Arc<dyn Store>>) {
    let followers: Vec<_> = stores.into_iter().map(|store| Follower::start(log, store)).collect();
    for follower in &followers {
        follower.reach(&log.end()).await;
    }
    for follower in followers {
        follower.end().await;
    }
}

/// Seconds of the processor's time a server has taken since it began.
fn processor_time(server: &Component) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", server.detail("pid"))).expect("a process");
    // Behind the name in brackets: of its own is the 12th number, of the system on its behalf the 13th; a hundredth each.
    let numbers = text.rsplit_once(')').expect("a name").1.split_whitespace().skip(11).take(2);
    numbers.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

const ALONE: &str = "| round | first alone, points/s (own + servers' processor time) | second alone | both, until the last has all | both / slower alone |\n|---|---|---|---|---|";

/// Stores that take their time over each write: what two of them cost when the machine is not the bound.
async fn slow() {
    const POINTS: u64 = 800_000;
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    append(&log, POINTS, 0).await;
    let servers =
        [Stub::start(None, Duration::from_millis(20)), Stub::start(None, Duration::from_millis(30))];
    println!("\nStubs that answer after 20 and 30 ms:\n\n{ALONE}");
    for round in 1..=3 {
        let stores = async |kind: &str| {
            let names = ["a", "b"].map(|server| format!("{server}-{kind}"));
            vec![stub_store(&names[0], &servers[0]).await, stub_store(&names[1], &servers[1]).await]
        };
        alone_and_together(&log, POINTS, stores, &[], round).await;
    }
}

/// The same with two InfluxDB 2.7.
async fn influxdb() {
    const POINTS: u64 = 1_600_000;
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    append(&log, POINTS, 0).await;
    let servers = [Component::start("influxdb2"), Component::start("influxdb2")];
    println!("\nTwo InfluxDB 2.7:\n\n{ALONE}");
    for round in 1..=3 {
        let stores = async |kind: &str| {
            let mut stores = Vec::new();
            for (server, name) in servers.iter().zip(["a", "b"]) {
                let url = format!("http://{}", server.address());
                stores.push(
                    store(&format!("{name}-{kind}"), &url, server.detail("org"), server.detail("token"))
                        .await,
                );
            }
            stores
        };
        alone_and_together(&log, POINTS, stores, &servers, round).await;
    }
}

/// Memory while one of two stubs is down, and how fast it catches up.
async fn down() {
    const POINTS: u64 = 1_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    let up = Stub::start(None, Duration::ZERO);
    let port = stub::free_port();
    let lame = store("lame", &format!("http://127.0.0.1:{port}"), "bench", "bench").await;
    let followers = [Follower::start(&log, stub_store("up", &up).await), Follower::start(&log, lame)];
    println!(
        "\n| points appended | the store that is down lacks, MB of the log | own memory, MB | the highest yet, MB |\n|---|---|---|---|"
    );
    for part in 0..=6 {
        if part > 0 {
            append(&log, POINTS, part - 1).await;
            followers[0].reach(&log.end()).await;
        }
        let behind: u64 =
            log.end().0.iter().map(|(name, end)| end - followers[1].progress.visible().next(name)).sum();
        let (now, highest) = memory_mb();
        println!("| {} | {:.0} | {now:.0} | {highest:.0} |", part * POINTS, behind as f64 / 1e6);
    }
    let back = Stub::start(Some(port), Duration::ZERO);
    while back.lines() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = back.lines();
    let (took, own, ()) = timed(followers[1].reach(&log.end())).await;
    let (now, highest) = memory_mb();
    let rate = (6 * POINTS - begun) as f64 / took;
    println!(
        "\nBack: {rate:.0} points/s until it has all ({took:.1} s, own processor time {own:.1} s); own memory {now:.0} MB, the highest {highest:.0} MB"
    );
    for follower in followers {
        follower.end().await;
    }
    assert_eq!(back.lines(), 6 * POINTS);
}

/// Anonymous memory of this process (what is not backed by files), and the highest resident size yet.
fn memory_mb() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    };
    (kib("RssAnon:"), kib("VmHWM:"))
}
