//! The embedded store's speed: taking in 30 days of minutes (as the demo does), and reading them back.
//!
//! `cargo bench -p tsdb`. Ingest is fsync-durable at the end and counts turning log entries into points.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::{
    Body, Entry, Labels, Matcher, Measurement, Origin, Position, Positions, ReadSeries, Reason, Sample,
    SeriesKey, SeriesQuery, Severity, Tick, TickOutcome, TimeRange, Timestamp, Verdict, VerdictState, Window,
    WriteSamples,
};
use tokio::runtime::Runtime;
use tsdb::{EmbeddedOptions, EmbeddedStore, entry_points};

const SERIES: u64 = 20;
const MINUTES: u64 = 30 * 1440;
const POINTS_PER_WRITE: usize = 5_000;

/// A daily rhythm with a little noise, rounded as money is.
fn value(series: u64, minute: u64) -> f64 {
    let phase = (minute % 1440) as f64 / 1440.0 * std::f64::consts::TAU;
    let noise = (minute.wrapping_mul(2_654_435_761).wrapping_add(series * 97) >> 7) % 1000;
    ((1000.0 + 600.0 * phase.sin() + noise as f64 / 10.0) * 100.0).round() / 100.0
}

fn series(number: u64) -> SeriesKey {
    SeriesKey::new("orders", Labels::new([("channel", format!("channel-{number}")), ("zone", "east".into())]))
}

fn entry(body: Body) -> Entry {
    Entry {
        position: Position { partition: "bench".into(), offset: 0, index: 0 },
        key: "orders".into(),
        producer: "bench".into(),
        sequence: 1,
        source_position: Vec::new(),
        appended_at: Timestamp::from_secs(0),
        body,
    }
}

fn window(minute: u64) -> Window {
    let start = Timestamp::from_secs(1_700_000_040 + 60 * minute as i64);
    Window::new(start, Duration::from_secs(60))
}

fn tick(all: &[SeriesKey], minute: u64) -> Entry {
    let sample = |(number, series): (usize, &SeriesKey)| Sample {
        series: series.clone(),
        value: value(number as u64, minute),
        ratio: None,
        revision: 0,
    };
    entry(Body::Tick(Tick {
        sampler: "orders".into(),
        metrics: vec!["orders".into()],
        window: window(minute),
        ticks: 1,
        origin: Origin::Backfill,
        outcome: TickOutcome::Rows(all.iter().enumerate().map(sample).collect()),
        duration_ms: 0,
    }))
}

fn verdicts(all: &[SeriesKey], minute: u64) -> Entry {
    let verdict = |(number, series): (usize, &SeriesKey)| {
        let value = value(number as u64, minute);
        let expected = value * 0.97 + 11.3;
        Verdict {
            series: series.clone(),
            window: window(minute),
            revision: 0,
            origin: Origin::Backfill,
            state: VerdictState::Normal,
            value: Some(value),
            expected: Some(expected),
            lower: Some(expected - 101.7),
            upper: Some(expected + 101.7),
            forecast: Some(expected * 1.001),
            prev_week: Some(value),
            deviation_pct: Some(100.0 * (value - expected) / expected),
            score: (value - expected).abs() / 101.7,
            severity: Severity::P2,
            reason: Reason::default(),
            config_revision: 1,
        }
    };
    entry(Body::Verdicts(all.iter().enumerate().map(verdict).collect()))
}

async fn ingest(dir: &Path, entry_of: fn(&[SeriesKey], u64) -> Entry) -> Arc<EmbeddedStore> {
    let store = EmbeddedStore::open(dir, EmbeddedOptions::default()).expect("open");
    let all: Vec<_> = (0..SERIES).map(series).collect();
    let mut points = Vec::new();
    for minute in 0..MINUTES {
        points.extend(entry_points(&entry_of(&all, minute)));
        if points.len() >= POINTS_PER_WRITE {
            store.write(&points, &Positions::default()).await.expect("write");
            points.clear();
        }
    }
    store.write(&points, &Positions::default()).await.expect("write");
    store.flush().await.expect("flush");
    store
}

fn bench_ingest(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime");
    let mut group = criterion.benchmark_group("ingest_30_days_of_minutes_20_series");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20))
        .throughput(Throughput::Elements(SERIES * MINUTES));
    for (name, entry_of) in [("samples", tick as fn(&[SeriesKey], u64) -> Entry), ("verdicts", verdicts)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || tempfile::TempDir::new().expect("folder"),
                |dir| runtime.block_on(ingest(dir.path(), entry_of)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn bench_read(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime");
    let dir = tempfile::TempDir::new().expect("folder");
    let store = runtime.block_on(ingest(dir.path(), verdicts));
    let bytes = std::fs::metadata(dir.path().join("series.redb")).expect("file").len();
    let points = SERIES * MINUTES;
    println!(
        "verdicts on disk: {bytes} bytes for {points} points of 9 fields = {:.2} a point",
        bytes as f64 / points as f64
    );
    let mut group = criterion.benchmark_group("read");
    let matcher = |tag: &str, value: &str| Matcher { tag: tag.into(), value: value.into() };
    let range = TimeRange { start: Timestamp::MIN, end: Timestamp::MAX };
    let query = SeriesQuery {
        measurement: Measurement::Verdict,
        matchers: vec![matcher("metric", "orders"), matcher("channel", "channel-7")],
        fields: Vec::new(),
        range,
        last: 0,
    };
    let cases = [
        ("last_120_rows_of_one_series", SeriesQuery { last: 120, ..query.clone() }),
        (
            "last_120_rows_of_20_series",
            SeriesQuery { last: 120, matchers: vec![matcher("metric", "orders")], ..query.clone() },
        ),
        ("30_days_of_one_field_of_one_series", SeriesQuery { fields: vec!["value".into()], ..query.clone() }),
        ("30_days_of_one_series", query),
    ];
    for (name, query) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(store.read(&query)).expect("read"));
        });
    }
    group.finish();
}

criterion_group!(benches, bench_ingest, bench_read);
criterion_main!(benches);
