//! Durable appends a second, backfill and replay; prints a table. How: `cargo bench -p queue [-- FOLDER]`.
//!
//! Beside each figure stands what a plain loop of write + fdatasync of the same bytes reaches in the same run on the same
//! disk: the ratio is the log's own cost, the rest is the disk's.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{
    Body, Clock, Labels, ManualClock, NewEntry, Origin, Positions, ReadLimit, Sample, SampleLog, SeriesKey,
    Tick, TickOutcome, Timestamp, Topic, Topics, Verdict, VerdictState, Window,
};
use queue::{Log, LogOptions};

/// Start of the first window.
const START: i64 = 1_800_000_000;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let root = folder.map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    println!(
        "| what | batch | appenders | entries/s | MB/s | batches/s | plain write+fdatasync batches/s | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (batch, batches, appenders) in
        [(1, 1000, 1), (1, 8000, 64), (100, 500, 1), (5000, 100, 1), (5000, 100, 4)]
    {
        durable_appends(&runtime, root.path(), batch, batches, appenders);
    }
    println!();
    backfill(&runtime, root.path());
}

/// Times something by the machine's own counter of uptime: the bench measures the machine, not the domain.
fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = uptime();
    let out = work();
    (uptime() - begin, out)
}

fn uptime() -> f64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
    Duration::from(now).as_secs_f64()
}

fn open(dir: &Path) -> Arc<Log> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(START + 30 * 86_400)));
    Log::open(LogOptions::new(dir), "collector", clock).expect("a log").0
}

fn tick(sampler: usize, sequence: u64) -> NewEntry {
    let name: Arc<str> = format!("sampler{sampler}").into();
    let series = SeriesKey::new(Arc::clone(&name), Labels::new([("channel", "app"), ("region", "north")]));
    let value = (sequence % 977) as f64;
    let start = Timestamp::from_secs(START + 60 * sequence as i64);
    let body = Body::Tick(Tick {
        sampler: Arc::clone(&name),
        metrics: vec![Arc::clone(&name)],
        window: Window::new(start, Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Backfill,
        outcome: TickOutcome::Rows(vec![Sample { series, value, ratio: None, revision: 0 }]),
        duration_ms: 12,
    });
    NewEntry { key: Arc::clone(&name), producer: name, sequence, source_position: Vec::new(), body }
}

fn verdicts(sampler: usize, sequence: u64) -> NewEntry {
    let mut entry = tick(sampler, sequence);
    let Body::Tick(tick) = &entry.body else { return entry };
    let verdict = Verdict {
        series: tick.samples()[0].series.clone(),
        window: tick.window,
        revision: 0,
        origin: tick.origin,
        state: VerdictState::Normal,
        value: Some(tick.samples()[0].value),
        expected: Some(100.5),
        lower: Some(80.25),
        upper: Some(120.75),
        forecast: Some(99.0),
        prev_week: Some(101.0),
        deviation_pct: Some(-1.5),
        score: 0.3,
        severity: Default::default(),
        reason: Default::default(),
        config_revision: 42,
    };
    entry.producer = "detector".into();
    entry.sequence = (sampler as u64) << 32 | sequence;
    entry.body = Body::Verdicts(vec![verdict]);
    entry
}

fn durable_appends(
    runtime: &tokio::runtime::Runtime,
    root: &Path,
    batch: usize,
    batches: usize,
    appenders: usize,
) {
    let dir = root.join(format!("append-{batch}-{appenders}"));
    let log = open(&dir);
    let each = batches / appenders;
    let mut work: Vec<Vec<Vec<NewEntry>>> = Vec::new();
    for appender in 0..appenders {
        let of = |i: usize| (0..batch).map(|k| tick(appender, (i * batch + k) as u64 + 1)).collect();
        work.push((0..each).map(of).collect());
    }
    let (took, ()) = seconds(|| {
        runtime.block_on(async {
            let tasks: Vec<_> = work
                .into_iter()
                .map(|batches| {
                    let log = Arc::clone(&log);
                    tokio::spawn(async move {
                        for batch in batches {
                            log.append(batch).await.expect("appended");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a task");
            }
        });
    });
    let (bytes, done) = (log.stats().bytes, each * appenders);
    let rate = done as f64 / took;
    let plain = plain_rate(&dir, bytes as usize / done, done.min(500));
    println!(
        "| append | {batch} | {appenders} | {:.0} | {:.1} | {rate:.0} | {plain:.0} | {:.2} |",
        rate * batch as f64,
        bytes as f64 / took / 1e6,
        rate / plain
    );
}

/// Batches a second of a loop that writes so many bytes and waits until they are durable.
fn plain_rate(dir: &Path, bytes: usize, times: usize) -> f64 {
    let mut file = File::create(dir.join("plain")).expect("a file");
    let block = vec![7; bytes];
    let (took, ()) = seconds(|| {
        for _ in 0..times {
            file.write_all(&block).and_then(|()| file.sync_data()).expect("written");
        }
    });
    times as f64 / took
}

/// 600 batches of 1440 ticks (20 samplers of 30 days of minutes), then as many verdicts; then all of it is read, and the
/// log is opened again, once as it was left and once with its derived files gone.
fn backfill(runtime: &tokio::runtime::Runtime, root: &Path) {
    let dir = root.join("backfill");
    let log = open(&dir);
    println!("| what | entries | s | entries/s | MB/s |");
    println!("|---|---|---|---|---|");
    let mut frames = Vec::new();
    for (name, make) in [("samples", tick as fn(usize, u64) -> NewEntry), ("verdicts", verdicts)] {
        let begin_bytes = log.stats().bytes;
        let mut took = 0.0;
        for sampler in 0..20 {
            for day in 0..30 {
                let batch: Vec<_> = (0..1440).map(|minute| make(sampler, day * 1440 + minute + 1)).collect();
                took += seconds(|| runtime.block_on(log.append(batch)).expect("appended")).0;
            }
        }
        let bytes = log.stats().bytes - begin_bytes;
        frames.push(bytes);
        row(&format!("append {name}, 1440 a batch, one appender"), 864_000, took, bytes);
    }
    let (entries, took) = replay(&log, Topics::of(&Topic::ALL));
    row("replay (read and decode) of both", entries, took, frames.iter().sum());
    let (only, took_only) = replay(&log, Topics::of(&[Topic::Samples]));
    row("replay of the samples alone", only, took_only, frames[0]);
    drop(log);
    let (took, log) = seconds(|| open(&dir));
    row("open again", 0, took, log.stats().bytes);
    drop(log);
    std::fs::remove_file(dir.join("collector/checkpoint")).expect("removed");
    let (took, log) = seconds(|| open(&dir));
    row("open, index and producers made anew", entries, took, log.stats().bytes);
}

fn replay(log: &Log, topics: Topics) -> (usize, f64) {
    let (mut at, mut entries) = (Positions::default(), 0);
    let (took, ()) = seconds(|| {
        loop {
            let batch = log.read(&at, topics, ReadLimit::default()).expect("read");
            if batch.next == at {
                break;
            }
            entries += batch.entries.len();
            at = batch.next;
        }
    });
    (entries, took)
}

fn row(what: &str, entries: usize, took: f64, bytes: u64) {
    println!(
        "| {what} | {entries} | {took:.2} | {:.0} | {:.0} |",
        entries as f64 / took,
        bytes as f64 / took / 1e6
    );
}
