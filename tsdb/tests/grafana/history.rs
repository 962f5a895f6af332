//! Two hours of a small shop, as entries of the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AlertId, AlertInfo, AlertTransition, Body, Entry, Labels, Origin, PipelineKind, PipelinePoint, Point,
    Position, Reason, ReasonCode, Sample, SeriesKey, Severity, Tick, TickOutcome, Timestamp, Transition,
    Verdict, VerdictState, Window,
};

/// A full hour.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_002_800);

/// How many windows of a minute there are.
pub(crate) const MINUTES: u64 = 50;

/// A label's value that says much in a pattern.
pub(crate) const ODD_SHOP: &str = "a/b (c)|d.*'e\"";

/// Everything the replica's consumer would write.
pub(crate) fn points() -> Vec<Point> {
    bodies().into_iter().flat_map(|body| tsdb::entry_points(&entry(body))).collect()
}

fn entry(body: Body) -> Entry {
    Entry {
        position: Position { partition: "test".into(), offset: 0, index: 0 },
        key: "k".into(),
        producer: "p".into(),
        sequence: 1,
        source_position: Vec::new(),
        appended_at: START,
        body,
    }
}

fn bodies() -> Vec<Body> {
    let mut bodies: Vec<Body> = (0..MINUTES).flat_map(minute).collect();
    let revenue = |hour: u64| {
        let window = Window::new(START + Duration::from_secs(3_600 * hour), Duration::from_secs(3_600));
        let learning = verdict("revenue.daily", &[], window, VerdictState::Learning, Some(5.5 + hour as f64));
        Body::Verdicts(vec![Verdict {
            expected: None,
            lower: None,
            upper: None,
            deviation_pct: None,
            ..learning
        }])
    };
    bodies.extend((0..2).map(revenue));
    let app = [("channel", "app")];
    bodies.extend([
        alert("orders", &app, 20, Transition::Pending, 21),
        alert("orders", &app, 20, Transition::Firing, 22),
        alert("orders", &app, 20, Transition::Resolved, 30),
        alert("sales.amount", &[("shop", ODD_SHOP)], 40, Transition::Firing, 43),
    ]);
    bodies.push(reading(PipelineKind::Sampler, "orders", &[("missed", 3.0), ("errors", 1.0), ("rows", 2.0)]));
    bodies.push(reading(
        PipelineKind::Consumer,
        "replica/second",
        &[("lag_secs", 42.0), ("lag_entries", 7.0)],
    ));
    bodies.push(reading(PipelineKind::Channel, "email", &[("failed", 2.0), ("delivered", 5.0)]));
    bodies.push(reading(
        PipelineKind::Log,
        "log",
        &[("bytes", 5e8), ("max_bytes", 1e9), ("depth_pct", 50.0)],
    ));
    bodies
}

/// Samples and verdicts of one minute: `app` is missing for five minutes, and fires for ten.
fn minute(minute: u64) -> Vec<Body> {
    let window = minute_window(minute);
    let app = match minute {
        10..15 => verdict("orders", &[("channel", "app")], window, VerdictState::Missing, None),
        20..22 => verdict("orders", &[("channel", "app")], window, VerdictState::Outside, Some(40.0)),
        22..30 => verdict("orders", &[("channel", "app")], window, VerdictState::Firing, Some(40.0)),
        _ => verdict("orders", &[("channel", "app")], window, VerdictState::Normal, Some(100.0)),
    };
    let sales = if minute < 40 { VerdictState::Normal } else { VerdictState::Firing };
    let verdicts = vec![
        app,
        verdict("orders", &[("channel", "web")], window, VerdictState::Normal, Some(99.0)),
        verdict("logins", &[], window, VerdictState::Normal, Some(101.0)),
        verdict("sales.amount", &[("shop", ODD_SHOP)], window, sales, Some(130.0)),
        verdict("sales.amount", &[("shop", "b")], window, VerdictState::Outside, Some(121.0)),
    ];
    vec![tick(window, &verdicts), Body::Verdicts(verdicts)]
}

fn minute_window(minute: u64) -> Window {
    Window::new(START + Duration::from_secs(60 * minute), Duration::from_secs(60))
}

fn tick(window: Window, verdicts: &[Verdict]) -> Body {
    let sample = |verdict: &Verdict| {
        Some(Sample { series: verdict.series.clone(), value: verdict.value?, ratio: None, revision: 0 })
    };
    Body::Tick(Tick {
        sampler: "shop".into(),
        metrics: vec!["orders".into()],
        window,
        ticks: 1,
        origin: Origin::Live,
        outcome: TickOutcome::Rows(verdicts.iter().filter_map(sample).collect()),
        duration_ms: 3,
    })
}

fn series(metric: &str, labels: &[(&str, &str)]) -> SeriesKey {
    SeriesKey::new(metric, Labels::new(labels.iter().copied()))
}

fn verdict(
    metric: &str,
    labels: &[(&str, &str)],
    window: Window,
    state: VerdictState,
    value: Option<f64>,
) -> Verdict {
    Verdict {
        series: series(metric, labels),
        window,
        revision: 0,
        origin: Origin::Live,
        state,
        value,
        expected: Some(100.0),
        lower: Some(80.0),
        upper: Some(120.0),
        forecast: Some(98.0),
        prev_week: Some(97.0),
        deviation_pct: value.map(|value| value - 100.0),
        score: value.map_or(0.0, |value| (value - 100.0).abs() / 20.0),
        severity: Severity::P1,
        reason: Reason::default(),
        config_revision: 7,
    }
}

fn alert(metric: &str, labels: &[(&str, &str)], began: u64, transition: Transition, at: u64) -> Body {
    let series = series(metric, labels);
    let own = [("alertname", metric), ("metric", metric)];
    let code = if transition == Transition::Resolved { ReasonCode::Normal } else { ReasonCode::BelowBand };
    Body::Alert(Box::new(AlertTransition {
        id: AlertId { fingerprint: series.fingerprint(), starts_at: minute_window(began).start },
        labels: Labels::new(labels.iter().copied().chain(own)),
        series,
        transition,
        severity: Severity::P1,
        window: minute_window(at),
        origin: Origin::Live,
        value: Some(40.0),
        expected: Some(100.0),
        lower: Some(80.0),
        upper: Some(120.0),
        deviation_pct: Some(-60.0),
        score: 3.0,
        info: AlertInfo::default(),
        reason: Arc::new(Reason { code, ..Reason::default() }),
        config_revision: 7,
    }))
}

fn reading(kind: PipelineKind, component: &str, fields: &[(&str, f64)]) -> Body {
    let fields: BTreeMap<Arc<str>, f64> =
        fields.iter().map(|(name, value)| ((*name).into(), *value)).collect();
    Body::Pipeline(PipelinePoint {
        kind,
        component: component.into(),
        at: START + Duration::from_secs(90),
        fields,
    })
}
