use std::collections::BTreeMap;

use model::{
    AlertId, AlertInfo, MissedReason, Origin, PipelineKind, Position, Ratio, Reason, ReasonCode, Severity,
    TickOutcome, VerdictState, Window,
};

use super::*;

fn window() -> Window {
    Window::new(Timestamp::from_secs(1_700_000_040), std::time::Duration::from_secs(60))
}

fn orders() -> SeriesKey {
    SeriesKey::new("orders", Labels::new([("channel", "app")]))
}

fn show(body: Body) -> String {
    let position = Position { partition: "test".into(), offset: 0, index: 0 };
    let entry = Entry {
        position,
        key: "k".into(),
        producer: "p".into(),
        sequence: 1,
        source_position: Vec::new(),
        appended_at: Timestamp::from_secs(0),
        body,
    };
    let line = |point: &Point| {
        let fields: Vec<_> = point.fields.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}{} {} {}", point.measurement.as_str(), point.tags, fields.join(" "), point.time)
    };
    entry_points(&entry).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn tick(outcome: TickOutcome) -> Body {
    let metrics = vec!["orders".into()];
    let origin = Origin::Live;
    Body::Tick(Tick {
        sampler: "orders".into(),
        metrics,
        window: window(),
        ticks: 1,
        origin,
        outcome,
        duration_ms: 3,
    })
}

fn verdict() -> Verdict {
    Verdict {
        series: orders(),
        window: window(),
        revision: 0,
        origin: Origin::Live,
        state: VerdictState::Outside,
        value: Some(12.0),
        expected: Some(40.5),
        lower: Some(30.0),
        upper: Some(51.0),
        forecast: None,
        prev_week: Some(41.0),
        deviation_pct: Some(-70.4),
        score: 2.5,
        severity: Severity::P1,
        reason: Reason::default(),
        config_revision: 7,
    }
}

fn alert(transition: Transition, code: ReasonCode) -> AlertTransition {
    AlertTransition {
        id: AlertId { fingerprint: 0xabc, starts_at: Timestamp::from_secs(1_699_999_980) },
        series: orders(),
        labels: Labels::new([("alertname", "orders"), ("metric", "orders"), ("channel", "app")]),
        transition,
        severity: Severity::P1,
        window: window(),
        origin: Origin::Live,
        value: Some(12.0),
        expected: Some(40.5),
        lower: Some(30.0),
        upper: Some(51.0),
        deviation_pct: Some(-70.37),
        score: 2.5,
        info: AlertInfo { title: "Orders per minute".into(), ..AlertInfo::default() },
        reason: Arc::new(Reason { code, message: Some("timed out\nat line 3".into()), ..Reason::default() }),
        config_revision: 7,
    }
}

#[test]
fn a_sample_becomes_one_point_and_a_later_value_goes_to_the_revisions() {
    let plain = Sample { series: orders(), value: 12.0, ratio: None, revision: 0 };
    let ratio = Some(Ratio { numerator: 3.0, denominator: 4.0 });
    let rate =
        Sample { series: SeriesKey::new("pass_rate", Labels::default()), value: 0.75, ratio, revision: 2 };
    let got = show(tick(TickOutcome::Rows(vec![plain, rate])));
    insta::assert_snapshot!(got, @r#"
    sample{channel="app",metric="orders"} value=Float(12.0) 2023-11-14T22:14:00Z
    sample_revision{metric="pass_rate",revision="2"} value=Float(0.75) numerator=Float(3.0) denominator=Float(4.0) 2023-11-14T22:14:00Z
    "#);
}

#[test]
fn a_tick_without_rows_leaves_no_point() {
    assert_eq!(show(tick(TickOutcome::Empty)), "");
    assert_eq!(show(tick(TickOutcome::Missed { reason: MissedReason::Error, message: "no".into() })), "");
}

#[test]
fn undefined_numbers_of_a_verdict_are_left_out() {
    let missing = Verdict {
        state: VerdictState::Missing,
        revision: 1,
        value: None,
        expected: Some(f64::NAN),
        deviation_pct: None,
        score: 0.0,
        ..verdict()
    };
    let got = show(Body::Verdicts(vec![verdict(), missing]));
    insta::assert_snapshot!(got, @r#"
    verdict{channel="app",metric="orders"} value=Float(12.0) expected=Float(40.5) lower=Float(30.0) upper=Float(51.0) prev_week=Float(41.0) deviation_pct=Float(-70.4) score=Float(2.5) state=Integer(3) 2023-11-14T22:14:00Z
    verdict_revision{channel="app",metric="orders",revision="1"} lower=Float(30.0) upper=Float(51.0) prev_week=Float(41.0) score=Float(0.0) state=Integer(2) 2023-11-14T22:14:00Z
    "#);
}

#[test]
fn an_alert_has_one_point_firing_and_one_resolved_both_at_its_start() {
    let all = [Transition::Pending, Transition::Firing, Transition::SeverityChanged, Transition::Resolved];
    let got: Vec<_> =
        all.into_iter().map(|t| show(Body::Alert(Box::new(alert(t, ReasonCode::BelowBand))))).collect();
    insta::assert_snapshot!(got.join("\n"), @r#"

    alert{channel="app",metric="orders",state="firing"} text=Text("Orders per minute (channel=app) is lower than expected: 12 (expected 40.5, band 30 to 51, -70 %)") severity=Text("P1") id=Text("0000000000000abc-loyw3fmo") 2023-11-14T22:13:00Z

    alert{channel="app",metric="orders",state="resolved"} text=Text("Orders per minute (channel=app) is back to normal: 12") severity=Text("P1") id=Text("0000000000000abc-loyw3fmo") end_ms=Integer(1700000100000) 2023-11-14T22:13:00Z
    "#);
}

#[test]
fn an_alert_that_only_was_pending_leaves_no_point() {
    let mut ended = alert(Transition::Resolved, ReasonCode::Normal);
    ended.reason = Arc::new(Reason { notes: vec!["never_fired".into()], ..Reason::default() });
    assert_eq!(show(Body::Alert(Box::new(ended))), "");
}

#[test]
fn an_alert_of_a_rule_keeps_its_own_labels() {
    let mut rule = alert(Transition::Firing, ReasonCode::NoData);
    rule.series = SeriesKey::new("DiskFull", Labels::default());
    rule.labels = Labels::new([("alertname", "DiskFull"), ("host", "a1")]);
    rule.info = AlertInfo::default();
    let got = show(Body::Alert(Box::new(rule)));
    insta::assert_snapshot!(got, @r#"alert{alertname="DiskFull",host="a1",state="firing"} text=Text("DiskFull has no data: timed out") severity=Text("P1") id=Text("0000000000000abc-loyw3fmo") 2023-11-14T22:13:00Z"#);
}

#[test]
fn each_reason_has_its_sentence() {
    use ReasonCode as R;
    let codes = [
        R::Normal,
        R::Learning,
        R::NoData,
        R::AboveBand,
        R::BelowBand,
        R::AboveThreshold,
        R::BelowThreshold,
        R::DriftUp,
        R::DriftDown,
    ];
    let of = |code| sentence::of(&alert(Transition::Firing, code));
    insta::assert_snapshot!(codes.map(of).join("\n"), @r"
    Orders per minute (channel=app) is firing: 12
    Orders per minute (channel=app) is firing: 12
    Orders per minute (channel=app) has no data: timed out
    Orders per minute (channel=app) is higher than expected: 12 (expected 40.5, band 30 to 51, -70 %)
    Orders per minute (channel=app) is lower than expected: 12 (expected 40.5, band 30 to 51, -70 %)
    Orders per minute (channel=app) is above its limit: 12 (expected 40.5, band 30 to 51, -70 %)
    Orders per minute (channel=app) is below its limit: 12 (expected 40.5, band 30 to 51, -70 %)
    Orders per minute (channel=app) is drifting up: 12 (expected 40.5, band 30 to 51, -70 %)
    Orders per minute (channel=app) is drifting down: 12 (expected 40.5, band 30 to 51, -70 %)
    ");
}

#[test]
fn a_health_reading_keeps_its_fields() {
    let reading = PipelinePoint {
        kind: PipelineKind::Sampler,
        component: "orders".into(),
        at: Timestamp::from_secs(0),
        fields: BTreeMap::from([("duration_ms".into(), 3.0), ("rows".into(), 1.0)]),
    };
    let got = show(Body::Pipeline(reading));
    insta::assert_snapshot!(got, @r#"pipeline{component="orders",kind="sampler"} duration_ms=Float(3.0) rows=Float(1.0) 1970-01-01T00:00:00Z"#);
}
