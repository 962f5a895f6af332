//! A replay against what was judged live, through the real engine and the real store.

use std::sync::Arc;
use std::time::Duration;

use detector::Calendar;
use detector::engine::{Engine, JudgingConfig};
use model::{
    AlertTransition, Body, Entry, Labels, MissedReason, Origin, Position, Positions, Sample, SeriesKey, Tick,
    TickOutcome, Timestamp, Transition, Window, WriteSamples,
};
use tsdb::points::entry_points;
use tsdb::{EmbeddedOptions, EmbeddedStore};

use super::history::{History, Plan};
use super::replay::judge;
use crate::cli::Since;
use crate::config::Config;

const DAYS: i64 = 50;
const A_DAY: i64 = 96;
const TEXT: &str = "
version: 1
timezone: Asia/Shanghai
sources: {shop: {sqlite: {path: shop.db}}}
metrics:
  - {name: zeros, source: shop, query: {sql: 'SELECT 1 AS value'}, labels: [channel], interval: 15m, missing: zero}
  - {name: gaps, source: shop, query: {sql: 'SELECT 1 AS value'}, labels: [channel], interval: 15m}
receivers: [{name: ops, channels: [{email: {to: [ops@example.com], host: smtp.example.com}}]}]
route: {receiver: ops}
";

fn start(window: i64) -> Timestamp {
    // Monday 2025-06-02.
    Timestamp::from_secs(1_748_822_400 + 900 * window)
}

/// A day's wave with noise, spikes, a slow drift, silences, a series that leaves for ten days and comes back.
fn outcome(metric: &str, window: i64, random: &mut impl FnMut() -> f64) -> TickOutcome {
    let (day, of_day) = (window / A_DAY, (window % A_DAY) as f64 / A_DAY as f64);
    let luck = random();
    if window < 4 || luck < 0.003 || (window > 31 * A_DAY && window < 31 * A_DAY + 9) {
        return TickOutcome::Missed { reason: MissedReason::Timeout, message: "slow".into() };
    }
    if luck < 0.006 {
        return TickOutcome::Empty;
    }
    let sample = |channel: &str, value: f64| Sample {
        series: SeriesKey::new(metric, Labels::new([("channel", channel)])),
        value,
        ratio: None,
        revision: 0,
    };
    let mut level = || {
        let spike = if random() < 0.004 { 3.0 } else { 1.0 };
        let drift = if day >= 44 { 1.0 + 0.04 * (window - 44 * A_DAY) as f64 / A_DAY as f64 } else { 1.0 };
        drift * spike * (100.0 - 40.0 * (std::f64::consts::TAU * of_day).cos()) + 8.0 * (random() - 0.5)
    };
    let mut rows = vec![sample("app", level()), sample("web", level() / 2.0)];
    if !(20..30).contains(&day) {
        rows.push(sample("shop", level() / 5.0));
    }
    rows.retain(|_| random() > 0.004);
    if rows.is_empty() { TickOutcome::Empty } else { TickOutcome::Rows(rows) }
}

fn tick(metric: &str, window: i64, outcome: TickOutcome) -> Tick {
    Tick {
        sampler: metric.into(),
        metrics: vec![metric.into()],
        window: Window::new(start(window), Duration::from_secs(900)),
        ticks: 1,
        origin: Origin::Live,
        outcome,
        duration_ms: 1,
    }
}

fn entry(body: Body) -> Entry {
    let position = Position { partition: "p".into(), offset: 0, index: 0 };
    let (key, producer) = ("k".into(), "p".into());
    let appended_at = Timestamp::from_secs(0);
    Entry { position, key, producer, sequence: 1, source_position: Vec::new(), appended_at, body }
}

/// Judges and stores as a running process does; gives what was told.
async fn live(config: &Config, store: &EmbeddedStore) -> Vec<AlertTransition> {
    let calendar = Arc::new(Calendar::from_config(config.calendar()).unwrap());
    let judging = JudgingConfig { metrics: config.judging(), calendar, ..JudgingConfig::default() };
    let mut engine = Engine::new(judging);
    let mut seed = 7_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut told = Vec::new();
    for window in 0..DAYS * A_DAY {
        for metric in ["zeros", "gaps"] {
            let tick = tick(metric, window, outcome(metric, window, &mut random));
            let judged = engine.tick(&tick);
            told.extend(judged.iter().flat_map(|judged| judged.transitions.clone()));
            let verdicts = judged.into_iter().map(|judged| judged.verdict).collect();
            let mut points = entry_points(&entry(Body::Tick(tick)));
            points.extend(entry_points(&entry(Body::Verdicts(verdicts))));
            store.write(&points, &Positions::default()).await.unwrap();
        }
    }
    told
}

async fn replayed(config: &Config, metric: &str, store: &Arc<EmbeddedStore>) -> (Plan, Vec<AlertTransition>) {
    let all = config.judging();
    let settings = all.iter().find(|settings| &*settings.metric == metric).unwrap();
    let history = History::in_store(config, settings, Arc::clone(store) as _).unwrap();
    let plan = history.plan("10d".parse::<Since>().unwrap(), None).await.unwrap();
    let (reports, _) = judge(config, settings, &history, &plan).await.unwrap();
    (plan, reports.into_iter().flat_map(|(_, report)| report.transitions).collect())
}

fn in_order(mut transitions: Vec<AlertTransition>) -> Vec<AlertTransition> {
    transitions.sort_by(|a, b| (a.window.start, &a.series, a.id).cmp(&(b.window.start, &b.series, b.id)));
    transitions
}

#[tokio::test]
async fn promise_5_a_replay_is_what_production_would_have_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidemark.yaml");
    std::fs::write(&path, TEXT).unwrap();
    rusqlite::Connection::open(dir.path().join("shop.db")).unwrap();
    let config = Config::load(&path).unwrap_or_else(|found| panic!("{}", found.shown(false)));
    let store = EmbeddedStore::open(&dir.path().join("store"), EmbeddedOptions::default()).unwrap();
    let told = live(&config, &store).await;
    for metric in ["zeros", "gaps"] {
        let (plan, replayed) = replayed(&config, metric, &store).await;
        assert_eq!(plan.asked.start, start((DAYS - 10) * A_DAY), "counted from the newest stored window");
        assert_eq!(plan.asked.end, start(DAYS * A_DAY));
        let asked = |t: &&AlertTransition| &*t.series.metric == metric && t.window.start >= plan.asked.start;
        let lived: Vec<_> = told.iter().filter(asked).cloned().collect();
        let fired = lived.iter().filter(|t| t.transition == Transition::Firing).count();
        assert!(fired >= 3, "{metric}: {fired}");
        // Of a silence live knows why; a replay that there was one.
        assert_eq!(in_order(replayed), in_order(lived), "{metric}");
    }
}
