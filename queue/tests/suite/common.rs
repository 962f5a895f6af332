//! What the tests of the log share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{
    Body, Entry, Labels, ManualClock, NewEntry, Origin, Positions, ReadLimit, Sample, SampleLog, SeriesKey,
    Tick, TickOutcome, Timestamp, Topic, Topics, Window,
};
use queue::{Log, LogDir, LogOptions};

pub(crate) const ALL: Topics = Topics::of(&Topic::ALL);
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_secs(NOW)))
}

pub(crate) fn options(dir: &Path) -> LogOptions {
    LogOptions { poll: Duration::from_millis(5), ..LogOptions::new(dir) }
}

pub(crate) fn dir(path: &Path) -> LogDir {
    LogDir::open(options(path), clock()).unwrap()
}

pub(crate) fn open(path: &Path) -> Arc<Log> {
    dir(path).partition("collector").unwrap().0
}

pub(crate) fn series(name: &str) -> SeriesKey {
    SeriesKey::new("orders", Labels::new([("channel", name)]))
}

pub(crate) fn sample(channel: &str, value: f64) -> Sample {
    Sample { series: series(channel), value, ratio: None, revision: 0 }
}

/// A tick of sampler `orders` of the minute `minute` before [`NOW`].
pub(crate) fn tick(minute: i64, samples: Vec<Sample>) -> Body {
    let start = Timestamp::from_secs(NOW - 60 * minute);
    Body::Tick(Tick {
        sampler: "orders".into(),
        metrics: vec!["orders".into()],
        window: Window::new(start, Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Live,
        outcome: TickOutcome::Rows(samples),
        duration_ms: 5,
    })
}

pub(crate) fn entry(producer: &str, sequence: u64, body: Body) -> NewEntry {
    let source_position = format!("at {sequence}").into_bytes();
    NewEntry { key: "orders".into(), producer: producer.into(), sequence, source_position, body }
}

pub(crate) fn one(sequence: u64) -> Vec<NewEntry> {
    vec![entry("sampler/orders", sequence, tick(sequence as i64, vec![sample("app", sequence as f64)]))]
}

pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits for a future with a deadline of ten seconds.
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> T {
    block(async { tokio::time::timeout(Duration::from_secs(10), future).await.expect("in ten seconds") })
}

/// Everything in the log, in small reads.
pub(crate) fn read_all(log: &Log) -> Vec<Entry> {
    read_from(log, &Positions::default()).0
}

pub(crate) fn read_from(log: &Log, from: &Positions) -> (Vec<Entry>, Positions) {
    let (mut at, mut all) = (from.clone(), Vec::new());
    loop {
        let batch = log.read(&at, ALL, ReadLimit { entries: 3, bytes: 1000 }).unwrap();
        if batch.next == at {
            return (all, at);
        }
        all.extend(batch.entries);
        at = batch.next;
    }
}

pub(crate) fn sequences(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

/// The segment files of the partition `collector`, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let listing = std::fs::read_dir(dir.join("collector")).unwrap();
    let mut found: Vec<_> = listing.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    found.sort();
    found
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            // A derived file may be renamed over or deleted meanwhile, as at a real crash.
            let copied = std::fs::copy(entry.path(), target);
            assert!(copied.is_ok() || !entry.path().exists(), "{}", entry.path().display());
        }
    }
}
