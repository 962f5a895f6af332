//! Every body reads back as it was written, but for the parts that are not stored.

use std::sync::Arc;
use std::time::Duration;

use model::{
    AlertId, AlertInfo, AlertTransition, Body, Direction, Evidence, LabelMark, Labels, MissedReason,
    NewEntry, Origin, PipelineKind, PipelinePoint, Ratio, Reason, ReasonCode, Sample, SampleLog, SeriesKey,
    Severity, Tick, TickOutcome, Timestamp, Transition, Verdict, VerdictState, Window,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,6}", "\\PC{0,8}"]
}

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), -1e6..1e6, any::<f64>().prop_filter("finite", |x| x.is_finite())]
}

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::vec((text(), text()), 0..3).prop_map(Labels::new)
}

fn any_series() -> impl Strategy<Value = SeriesKey> {
    (text(), labels()).prop_map(|(metric, labels)| SeriesKey::new(metric, labels))
}

fn window() -> impl Strategy<Value = Window> {
    (any::<i32>(), 1u64..100_000).prop_map(|(start, secs)| {
        Window::new(Timestamp::from_secs(i64::from(start)), Duration::from_secs(secs))
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    select(vec![Origin::Live, Origin::Backfill, Origin::Push])
}

fn severity() -> impl Strategy<Value = Severity> {
    select(vec![Severity::P0, Severity::P1, Severity::P2])
}

fn a_sample() -> impl Strategy<Value = Sample> {
    let ratio = option::of(
        (finite(), finite()).prop_map(|(numerator, denominator)| Ratio { numerator, denominator }),
    );
    let parts = (any_series(), finite(), ratio);
    parts.prop_map(|(series, value, ratio)| Sample { series, value, ratio, revision: 0 })
}

fn outcome() -> impl Strategy<Value = TickOutcome> {
    prop_oneof![
        // Two samples of one series would be revisions of each other.
        prop::collection::vec(a_sample(), 0..4).prop_map(|mut samples| {
            samples.sort_by(|a, b| a.series.cmp(&b.series));
            samples.dedup_by(|a, b| a.series == b.series);
            TickOutcome::Rows(samples)
        }),
        Just(TickOutcome::Empty),
        (select(MissedReason::ALL.to_vec()), text())
            .prop_map(|(reason, message)| TickOutcome::Missed { reason, message }),
    ]
}

fn a_tick() -> impl Strategy<Value = Body> {
    let metrics = prop::collection::vec(text().prop_map(Arc::from), 0..3);
    (text(), metrics, window(), any::<u32>(), origin(), outcome(), any::<u64>()).prop_map(
        |(sampler, metrics, window, ticks, origin, outcome, duration_ms)| {
            Body::Tick(Tick { sampler: sampler.into(), metrics, window, ticks, origin, outcome, duration_ms })
        },
    )
}

fn code() -> impl Strategy<Value = ReasonCode> {
    use ReasonCode::*;
    select(vec![
        Normal,
        Learning,
        NoData,
        AboveBand,
        BelowBand,
        AboveThreshold,
        BelowThreshold,
        DriftUp,
        DriftDown,
    ])
}

fn state() -> impl Strategy<Value = VerdictState> {
    (0i64..5).prop_map(|code| VerdictState::from_code(code).unwrap())
}

fn a_verdict() -> impl Strategy<Value = Verdict> {
    let number = || option::of(finite());
    let what = (any_series(), window(), any::<u32>(), origin(), state(), severity(), code(), any::<u64>());
    let numbers = (number(), number(), number(), number(), number(), number(), number(), finite());
    (what, numbers).prop_map(|(what, numbers)| {
        let (series, window, revision, origin, state, severity, code, config_revision) = what;
        let (value, expected, lower, upper, forecast, prev_week, deviation_pct, score) = numbers;
        let reason = Reason { version: 1, code, ..Reason::default() };
        Verdict {
            series,
            window,
            revision,
            origin,
            state,
            value,
            expected,
            lower,
            upper,
            forecast,
            prev_week,
            deviation_pct,
            score,
            severity,
            reason,
            config_revision,
        }
    })
}

fn reason() -> impl Strategy<Value = Reason> {
    let evidence =
        (text(), any::<bool>(), finite(), finite()).prop_map(|(algorithm, admitted, score, number)| {
            let numbers = [(Arc::from("z"), serde_json::json!(number))].into();
            let direction = admitted.then_some(Direction::Below);
            Evidence { algorithm: algorithm.into(), admitted, abstained: None, score, direction, numbers }
        });
    (code(), prop::collection::vec(evidence, 0..3), prop::collection::vec(text(), 0..2))
        .prop_map(|(code, evidence, notes)| Reason { version: 1, code, evidence, notes, ..Reason::default() })
}

fn an_alert() -> impl Strategy<Value = Body> {
    let transition = select(vec![
        Transition::Pending,
        Transition::Firing,
        Transition::SeverityChanged,
        Transition::Resolved,
    ]);
    let what =
        (any::<u64>(), any::<i64>(), any_series(), labels(), transition, severity(), window(), origin());
    let numbers = (option::of(finite()), option::of(finite()), option::of(finite()), finite());
    (what, numbers, (text(), text()), reason(), any::<u64>()).prop_map(
        |(what, numbers, info, reason, revision)| {
            let (fingerprint, starts_at, series, labels, transition, severity, window, origin) = what;
            let (value, expected, lower, score) = numbers;
            let info = AlertInfo { title: info.0, runbook_url: info.1, ..AlertInfo::default() };
            let id = AlertId { fingerprint, starts_at: Timestamp::from_nanos(starts_at) };
            Body::Alert(Box::new(AlertTransition {
                id,
                series,
                labels,
                transition,
                severity,
                window,
                origin,
                value,
                expected,
                lower,
                score,
                info,
                upper: expected,
                deviation_pct: value,
                reason: Arc::new(reason),
                config_revision: revision,
            }))
        },
    )
}

fn a_point() -> impl Strategy<Value = Body> {
    let kind =
        select(vec![PipelineKind::Sampler, PipelineKind::Consumer, PipelineKind::Channel, PipelineKind::Log]);
    let fields = prop::collection::btree_map(text().prop_map(Arc::from), finite(), 0..4);
    (kind, text(), any::<i64>(), fields).prop_map(|(kind, component, at, fields)| {
        Body::Pipeline(PipelinePoint {
            kind,
            component: component.into(),
            at: Timestamp::from_nanos(at),
            fields,
        })
    })
}

fn a_body() -> impl Strategy<Value = Body> {
    prop_oneof![
        a_tick(),
        prop::collection::vec(a_verdict(), 0..4).prop_map(Body::Verdicts),
        an_alert(),
        a_point(),
        (any_series(), window(), text(), text()).prop_map(|(series, window, label, author)| {
            Body::Label(LabelMark { series, window, label, author })
        }),
        (text(), prop::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(database, lines)| Body::Foreign { database, lines }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_is_appended_reads_back(
        bodies in prop::collection::vec((text(), text(), prop::collection::vec(any::<u8>(), 0..5), a_body()), 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        let entry = |(i, (key, producer, source_position, body)): (usize, _)| -> NewEntry {
            let (key, producer): (String, String) = (key, producer);
            NewEntry { key: key.into(), producer: producer.into(), sequence: i as u64 + 1, source_position, body }
        };
        let entries: Vec<NewEntry> = bodies.into_iter().enumerate().map(entry).collect();
        let done = block(log.append(entries.clone())).unwrap();
        prop_assert_eq!(done.written, entries.len());
        let read = read_all(&log);
        prop_assume!(done.duplicate_samples == 0);
        for (have, want) in read.iter().zip(&entries) {
            prop_assert_eq!((&have.key, &have.producer), (&want.key, &want.producer));
            prop_assert_eq!((have.sequence, &have.source_position), (want.sequence, &want.source_position));
            prop_assert_eq!(without_revisions(&have.body), want.body.clone());
        }
        prop_assert_eq!(read.len(), entries.len());
    }
}

/// Two ticks of one window may revise each other; that is another test's matter.
fn without_revisions(body: &Body) -> Body {
    let mut body = body.clone();
    if let Body::Tick(Tick { outcome: TickOutcome::Rows(samples), .. }) = &mut body {
        samples.iter_mut().for_each(|sample| sample.revision = 0);
    }
    body
}

#[test]
fn numbers_that_json_does_not_know_do_not_spoil_an_alert() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let evidence = Evidence {
        algorithm: "cusum".into(),
        admitted: true,
        abstained: None,
        score: f64::INFINITY,
        direction: None,
        numbers: Default::default(),
    };
    let reason = Reason { version: 1, evidence: vec![evidence], ..Reason::default() };
    let alert = AlertTransition {
        id: AlertId { fingerprint: 1, starts_at: Timestamp::from_secs(1) },
        series: series("app"),
        labels: Labels::default(),
        transition: Transition::Firing,
        severity: Severity::P0,
        window: Window::new(Timestamp::from_secs(1), Duration::from_secs(1)),
        origin: Origin::Live,
        value: None,
        expected: None,
        lower: None,
        upper: None,
        deviation_pct: None,
        score: 2.0,
        info: AlertInfo::default(),
        reason: Arc::new(reason),
        config_revision: 0,
    };
    block(log.append(vec![entry("detector", 1, Body::Alert(Box::new(alert)))])).unwrap();
    let Body::Alert(read) = read_all(&log).remove(0).body else { panic!("an alert") };
    assert_eq!(read.reason.evidence[0].score, f64::MAX);
}
