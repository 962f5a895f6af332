//! Observations judged a second on one core, and what a series keeps in memory.
//!
//! `cargo bench -p detector --bench judge [-- SERIES [NAME]]`; with the name of one row (`shipped gauge`), only that one
//! is measured, in a fresh process, which is the only way to read its resident memory. Each series is a business number of one-minute windows with a
//! wave of the day, quieter weekends and noise (drawn beforehand). Every series first learns three weeks of minutes; measured is the day after them, minute by minute over all series, as
//! live judging meets it. Time is the processor time of this one thread (`/proc/thread-self/schedstat`), so that other
//! work on the machine does not count; memory is the growth of the resident set.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use detector::algorithm::{Observation, Observed};
use detector::settings::{Kind, Settings};
use detector::{Calendar, SeriesJudge};
use model::{Labels, Origin, SeriesKey, Window};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Random, level, start};

const LEARNED_DAYS: i64 = 21;
const DAY: i64 = 1_440;

/// Processor time this thread has used, in seconds.
fn processor_secs() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = stat.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(f64::NAN);
    nanos / 1e9
}

/// Resident memory, in bytes.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * 4_096
}

fn settings(kind: Kind, algorithms: &[&str]) -> Arc<Settings> {
    let mut settings = Settings::shipped("orders");
    settings.kind = kind;
    settings.interval = Some(Duration::from_secs(60));
    settings.algorithms = algorithms.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(settings)
}

fn observation(minute: i64, value: f64) -> Observation {
    let window = Window::new(start(minute), Duration::from_secs(60));
    Observation { window, origin: Origin::Live, revision: 0, value: Observed::Value { value, ratio: None } }
}

struct Fleet {
    judges: Vec<SeriesJudge>,
    /// Numbers drawn beforehand, so that drawing them is not measured.
    noise: Vec<f64>,
    kind: Kind,
}

impl Fleet {
    fn new(series: usize, kind: Kind, algorithms: &[&str], noise: Vec<f64>) -> Self {
        let settings = settings(kind, algorithms);
        let judge = |i: usize| {
            let key = SeriesKey::new("orders", Labels::new([("channel", i.to_string().as_str())]));
            SeriesJudge::new(key, settings.clone(), Arc::new(Calendar::default()))
        };
        Self { judges: (0..series).map(judge).collect(), noise, kind }
    }

    fn minute(&mut self, minute: i64) {
        let usual = if self.kind == Kind::Count { 0.0 } else { 100.0 * level(minute) };
        let days = self.noise.len() / 1_440;
        for (i, judge) in self.judges.iter_mut().enumerate() {
            let day = (minute as usize / 1_440 * 31 + i * 7) % days;
            let value = usual + self.noise[day * 1_440 + minute as usize % 1_440];
            std::hint::black_box(judge.observe(&observation(minute, value)));
        }
    }
}

/// 67 days of noise, one number a minute.
fn noise(kind: Kind) -> Vec<f64> {
    let mut random = Random::new(7);
    let draw = |i: usize| match kind {
        Kind::Count => random.poisson(4.0 * level((i % 1_440) as i64)),
        Kind::Gauge | Kind::Rate => 3.0 * random.gaussian(),
    };
    (0..1_440 * 67).map(draw).collect()
}

fn measure(name: &str, kind: Kind, algorithms: &[&str], series: usize) {
    let noise = noise(kind);
    let before = resident();
    let mut fleet = Fleet::new(series, kind, algorithms, noise);
    for minute in 0..LEARNED_DAYS * DAY {
        fleet.minute(minute);
    }
    let memory = resident().saturating_sub(before) / series;
    let begun = processor_secs();
    for minute in LEARNED_DAYS * DAY..(LEARNED_DAYS + 1) * DAY {
        fleet.minute(minute);
    }
    let secs = processor_secs() - begun;
    let judged = series as f64 * DAY as f64;
    let saved = fleet.judges.first().map_or(0, |judge| judge.save().len());
    println!(
        "{name:<28} {:>9.0} observations/s  {:>6.2} us each  {:>8} B resident/series  {saved:>8} B saved/series",
        judged / secs,
        1e6 * secs / judged,
        memory
    );
}

const ROWS: &[(&str, Kind, &[&str])] = &[
    ("baseline + grey", Kind::Gauge, &["baseline", "grey"]),
    ("baseline", Kind::Gauge, &["baseline"]),
    ("grey", Kind::Gauge, &["grey"]),
    ("cusum", Kind::Gauge, &["cusum"]),
    ("onestep", Kind::Gauge, &["onestep"]),
    ("shipped gauge", Kind::Gauge, &[]),
    ("shipped counts", Kind::Count, &[]),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let series = arguments.first().and_then(|argument| argument.parse().ok()).unwrap_or(20);
    let only = arguments.get(1);
    for (name, kind, algorithms) in ROWS.iter().filter(|(name, ..)| only.is_none_or(|only| only == name)) {
        measure(name, *kind, algorithms, series);
    }
}
