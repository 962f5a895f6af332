//! What the judge says of planted anomalies, silence, promotions and holidays.

mod support;

use std::time::Duration;

use detector::settings::{CalendarConfig, DirectionSetting, Kind, NoDataSetting, PromotionConfig, Settings};
use detector::{Calendar, Judged, SeriesJudge};
use model::{HumanDuration, ReasonCode, Severity, VerdictState};
use support::{Random, judge, judge_by, level, missed, settings, told, value};

const DAY: i64 = 1_440;
const SCALE: f64 = 1_000.0;

/// Feeds minutes, changed by `plant`; gives what was judged from `from` on.
fn feed(
    judge: &mut SeriesJudge,
    minutes: std::ops::Range<i64>,
    from: i64,
    plant: impl Fn(i64, f64) -> Option<f64>,
) -> Vec<Judged> {
    let mut random = Random::new(11);
    let mut judged = Vec::new();
    for minute in minutes {
        let normal = SCALE * level(minute) + 30.0 * random.gaussian();
        let observation = plant(minute, normal).map_or_else(|| missed(minute), |v| value(minute, v));
        let one = judge.observe(&observation);
        if minute >= from {
            judged.push(one);
        }
    }
    judged
}

fn learned(settings: Settings) -> SeriesJudge {
    let mut judge = judge(settings);
    feed(&mut judge, 0..28 * DAY, 0, |_, v| Some(v));
    judge
}

/// Monday of the fifth week, 10:00.
const NOW: i64 = 28 * DAY + 600;

#[test]
fn a_spike_fires_at_once_and_is_resolved() {
    let mut judge = learned(settings(Kind::Gauge));
    let judged = feed(&mut judge, 28 * DAY..NOW + 60, NOW, |minute, v| {
        Some(if (NOW..NOW + 5).contains(&minute) { v * 2.0 } else { v })
    });
    let told = told(&judged);
    assert_eq!(told[0], (NOW, 'F'), "{told:?}");
    assert!(told.iter().any(|(minute, letter)| *letter == 'R' && *minute < NOW + 30), "{told:?}");
    let fired = &judged[0].transitions[0];
    assert_eq!((fired.severity, fired.reason.code), (Severity::P0, ReasonCode::AboveBand));
    assert_eq!(fired.labels.to_string(), r#"{alertname="orders",metric="orders"}"#);
    let baseline = fired.reason.evidence.iter().find(|e| &*e.algorithm == "baseline").unwrap();
    for name in ["n", "trimmed", "scale", "z", "limit", "samples", "scale_from"] {
        assert!(baseline.numbers.contains_key(name), "{name} is missing: {:?}", baseline.numbers);
    }
    assert_eq!(judged[2].verdict.state, VerdictState::Firing);
    assert_eq!(judged[59].verdict.state, VerdictState::Normal);
}

#[test]
fn a_moderate_drop_fires_by_m_of_n() {
    let mut judge = learned(settings(Kind::Gauge));
    let judged = feed(&mut judge, 28 * DAY..NOW + 30, NOW, |minute, v| {
        Some(if minute >= NOW { v - 130.0 } else { v })
    });
    let told = told(&judged);
    assert_eq!(told[0].1, 'P', "{told:?}");
    assert!(told.iter().any(|(minute, letter)| *letter == 'F' && *minute <= NOW + 6), "{told:?}");
    let fired =
        judged.iter().flat_map(|j| &j.transitions).find(|t| t.transition == model::Transition::Firing);
    assert_eq!(fired.unwrap().reason.code, ReasonCode::BelowBand);
}

#[test]
fn a_slow_drift_is_found_by_its_sum() {
    let mut judge = learned(settings(Kind::Gauge));
    let slope = 45.0 / 60.0; // a sigma and a half in an hour
    let judged = feed(&mut judge, 28 * DAY..NOW + 120, NOW, |minute, v| {
        Some(v - slope * (minute - NOW).clamp(0, 60) as f64)
    });
    let fired =
        judged.iter().flat_map(|j| &j.transitions).find(|t| t.transition == model::Transition::Firing);
    assert_eq!(fired.unwrap().reason.code, ReasonCode::DriftDown);
}

#[test]
fn a_silent_source_fires_as_no_data_and_resolves_when_it_speaks() {
    let mut judge = learned(settings(Kind::Gauge));
    let judged = feed(&mut judge, 28 * DAY..NOW + 20, NOW, |minute, v| {
        (!(0..=6).contains(&(minute - NOW))).then_some(v)
    });
    assert_eq!(told(&judged), [(NOW, 'P'), (NOW + 2, 'F'), (NOW + 11, 'R')]);
    let fired = &judged[2].transitions[0];
    assert_eq!((fired.reason.code, fired.severity, fired.value), (ReasonCode::NoData, Severity::P1, None));
    assert!(judged[..7].iter().all(|j| j.verdict.state == VerdictState::Missing && j.verdict.score == 0.0));
    assert!(judged[0].verdict.expected.is_some(), "the band is known although the value is not");
}

#[test]
fn ignored_silence_tells_nobody() {
    let mut settings = settings(Kind::Gauge);
    settings.no_data = NoDataSetting::Ignore;
    let mut judge = learned(settings);
    let judged = feed(&mut judge, 28 * DAY..NOW + 20, NOW, |_, _| None);
    assert_eq!(told(&judged), []);
}

#[test]
fn expectation_and_band_do_not_depend_on_the_value() {
    let mut settings = settings(Kind::Gauge);
    settings.algorithms.push("onestep".into());
    let bytes = learned(settings.clone()).save();
    let shown = |v: f64| {
        let mut judge = judge(settings.clone());
        judge.load(&bytes).unwrap();
        let verdict = judge.observe(&value(28 * DAY, v)).verdict;
        (verdict.expected, verdict.lower, verdict.upper, verdict.forecast, verdict.prev_week)
    };
    assert_eq!(shown(-1e9), shown(400.0));
    assert_eq!(shown(1e300), shown(400.0));
}

#[test]
fn conditions_of_the_metric_hold_findings_back() {
    type Change = fn(&mut Settings);
    let cases: [(&str, Change); 3] = [
        ("other_direction", |s| s.direction = DirectionSetting::Below),
        ("below_min_deviation", |s| s.min_deviation_pct = 150.0),
        ("below_min_value", |s| s.min_value = Some(1e6)),
    ];
    for (note, change) in cases {
        let mut settings = settings(Kind::Gauge);
        change(&mut settings);
        let mut judge = learned(settings);
        let judged = feed(&mut judge, 28 * DAY..NOW + 3, NOW, |minute, v| {
            Some(if minute >= NOW { v * 2.0 } else { v })
        });
        let verdict = &judged[0].verdict;
        assert!(verdict.score < 1.0 && verdict.score > 0.5, "{note}: {}", verdict.score);
        assert!(verdict.reason.notes.iter().any(|n| n == note), "{:?}", verdict.reason.notes);
    }
}

#[test]
fn a_threshold_is_meant_whatever_the_other_conditions() {
    let mut settings = settings(Kind::Gauge);
    settings.direction = DirectionSetting::Below;
    settings.threshold.above = Some(10.0);
    let mut judge = judge(settings);
    let judged: Vec<_> = [5.0, 11.0, 12.0, 11.0, 5.0, 5.0, 5.0, 5.0, 5.0]
        .into_iter()
        .enumerate()
        .map(|(minute, v)| judge.observe(&value(minute as i64, v)))
        .collect();
    assert_eq!(told(&judged), [(1, 'P'), (3, 'F'), (8, 'R')]);
    assert_eq!(judged[1].verdict.reason.code, ReasonCode::AboveThreshold);
    assert!((judged[1].verdict.score - 1.1).abs() < 1e-9);
}

#[test]
fn few_days_learn_then_judge_without_paging() {
    let mut settings = settings(Kind::Gauge);
    settings.no_data = NoDataSetting::Ignore;
    let mut judge = judge(settings);
    let plant = |minute: i64, v: f64| {
        Some(if (3 * DAY + 600..3 * DAY + 660).contains(&minute) { v * 3.0 } else { v })
    };
    let judged = feed(&mut judge, 0..4 * DAY, 0, plant);
    assert!(judged[..3 * DAY as usize].iter().all(|j| j.verdict.state == VerdictState::Learning));
    let odd = &judged[3 * DAY as usize + 610].verdict;
    assert_eq!(odd.state, VerdictState::Outside);
    assert!(odd.reason.notes.iter().any(|n| n == "few_days"), "{:?}", odd.reason.notes);
    assert_eq!(told(&judged), []);
}

fn promotion(factor: f64) -> Calendar {
    let entry = PromotionConfig {
        name: "double11".into(),
        from: "2025-06-30T09:00".into(),
        to: "2025-06-30T21:00".into(),
        factor,
        widen: 2.0,
        metrics: Vec::new(),
        cool_down: HumanDuration::default(),
    };
    Calendar::from_config(&CalendarConfig { promotions: vec![entry], ..CalendarConfig::default() })
        .expect("a sound calendar")
}

#[test]
fn a_promotion_scales_and_widens_and_is_not_learned() {
    let mut with = judge_by(settings(Kind::Gauge), promotion(3.0));
    let mut without = judge(settings(Kind::Gauge));
    feed(&mut with, 0..28 * DAY, 0, |_, v| Some(v));
    feed(&mut without, 0..28 * DAY, 0, |_, v| Some(v));
    let tripled = |minute: i64, v: f64| {
        let of_day = minute - 28 * DAY;
        Some(if (540..1260).contains(&of_day) { v * 3.0 } else { v })
    };
    let with_it = feed(&mut with, 28 * DAY..36 * DAY, 28 * DAY, tripled);
    let without_it = feed(&mut without, 28 * DAY..28 * DAY + 601, 28 * DAY, |_, v| Some(v));
    let (promoted, usual) = (&with_it[600].verdict, &without_it[600].verdict);
    let width = |v: &model::Verdict| v.upper.unwrap() - v.lower.unwrap();
    assert!((promoted.expected.unwrap() / usual.expected.unwrap() - 3.0).abs() < 1e-9);
    assert!((width(promoted) / width(usual) - 2.0).abs() < 0.05, "{} {}", width(promoted), width(usual));
    assert!(promoted.reason.notes.iter().any(|n| n == "promotion:double11"));
    // A week later the promotion's values are no baseline, but last week's value is still shown.
    let later = &with_it[(7 * DAY + 600) as usize].verdict;
    assert!((later.expected.unwrap() / usual.expected.unwrap() - 1.0).abs() < 0.1);
    assert!(later.prev_week.unwrap() > 2.0 * later.expected.unwrap());
}

#[test]
fn an_incident_does_not_become_its_own_baseline_until_it_lasts() {
    let mut judge = learned(settings(Kind::Gauge));
    let judged = feed(&mut judge, 28 * DAY..38 * DAY, 28 * DAY, |minute, v| {
        Some(if minute >= NOW { v * 0.2 } else { v })
    });
    let expected = |day: i64| judged[(day * DAY + 600) as usize].verdict.expected.unwrap();
    assert!((expected(1) / expected(0) - 1.0).abs() < 0.1, "learned too early");
    let note =
        |day: i64| judged[(day * DAY + 601) as usize].verdict.reason.notes.iter().any(|n| n == "new_level?");
    assert!(!note(1) && note(3), "the message asks once the level lasts");
    // From the third day on the new level is learned, and wins once it is the majority of seven workdays.
    assert!(expected(9) < expected(0), "{} {}", expected(9), expected(0));
}

#[test]
fn holidays_borrow_from_weekends() {
    let config = CalendarConfig { holidays: vec!["2025-06-30".into()], ..CalendarConfig::default() };
    let mut judge = judge_by(settings(Kind::Gauge), Calendar::from_config(&config).unwrap());
    judge.explain(true);
    feed(&mut judge, 0..28 * DAY, 28 * DAY, |_, v| Some(v));
    let judged = feed(&mut judge, 28 * DAY..NOW + 1, NOW, |_, v| Some(v));
    let verdict = &judged[0].verdict;
    assert!(verdict.reason.notes.iter().any(|n| n == "fallback:holiday->weekend"));
    let weekend = SCALE * level(27 * DAY + 600);
    assert!((verdict.expected.unwrap() / weekend - 1.0).abs() < 0.1);
}

#[test]
fn small_counts_widen_and_a_silence_of_zeros_is_found() {
    let mut judge = judge(settings(Kind::Count));
    judge.explain(true);
    let mut random = Random::new(3);
    let mut draw = |minute: i64| random.poisson(0.5 * level(minute));
    for minute in 0..28 * DAY {
        judge.observe(&value(minute, draw(minute)));
    }
    let mut judged = Vec::new();
    for minute in 28 * DAY..NOW + 240 {
        let v = if minute >= NOW { 0.0 } else { draw(minute) };
        judged.push(judge.observe(&value(minute, v)));
    }
    let verdict = &judged[599].verdict;
    assert_eq!(verdict.reason.expected_by.as_deref(), Some("count"));
    assert!(verdict.reason.notes.iter().any(|n| n == "widened"));
    assert!((0.2..1.2).contains(&verdict.expected.unwrap()), "{:?}", verdict.expected);
    let told = told(&judged);
    assert!(
        told.iter().any(|(minute, letter)| *letter == 'F' && (NOW..NOW + 60).contains(minute)),
        "{told:?}"
    );
}

#[test]
fn late_windows_are_judged_and_change_no_alert() {
    let mut judge = learned(settings(Kind::Gauge));
    let mut judged = feed(&mut judge, 28 * DAY..NOW, NOW, |_, v| Some(v));
    judged.push(judge.observe(&value(NOW - 100, 9_999.0)));
    let verdict = &judged[0].verdict;
    assert_eq!((verdict.state, judged[0].transitions.len()), (VerdictState::Outside, 0));
    assert!(verdict.reason.notes.iter().any(|n| n == "late"));
    assert_eq!(judge.firing_windows(), None);
}

#[test]
fn the_interval_is_found_from_the_rows() {
    let mut settings = settings(Kind::Gauge);
    settings.interval = None;
    let mut judge = learned(settings);
    assert_eq!(judge.interval(), Some(Duration::from_secs(60)));
    let judged =
        feed(&mut judge, 28 * DAY..NOW + 5, NOW, |minute, v| Some(if minute >= NOW { v * 2.0 } else { v }));
    assert_eq!(told(&judged)[0], (NOW, 'F'));
}
