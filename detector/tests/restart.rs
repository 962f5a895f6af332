//! Saved and loaded at any point, a judge goes on as if nothing had been; whatever it is fed, it stays finite.

mod support;

use std::sync::Arc;
use std::time::Duration;

use detector::algorithm::{Observation, Observed};
use detector::settings::{Kind, MissingSetting, Settings};
use detector::{Calendar, SeriesJudge, backtest};
use model::{Labels, MissedReason, Origin, Ratio, SeriesKey, Timestamp, Verdict, VerdictState, Window};
use proptest::prelude::*;
use support::{MONDAY, Random, judge, level, missed, value};

/// Every algorithm there is.
fn everything(kind: Kind, interval: Option<Duration>) -> Settings {
    let mut settings = Settings::shipped("orders");
    (settings.kind, settings.interval) = (kind, interval);
    settings.algorithms = detector::algorithms::ALGORITHMS.iter().map(|a| a.name.to_owned()).collect();
    settings.threshold.above = Some(1e7);
    settings
}

fn series(kind: Kind, days: i64, step: i64, seed: u64) -> Vec<Observation> {
    let mut random = Random::new(seed);
    let minutes = (0..days * 1440).step_by(usize::try_from(step).expect("a step"));
    minutes
        .map(|minute| {
            let spike = if random.uniform() < 0.002 { 5.0 } else { 1.0 };
            let v = match kind {
                Kind::Count => random.poisson(3.0 * level(minute)) * spike,
                _ => 100.0 * level(minute) * spike + random.gaussian(),
            };
            let length = Duration::from_secs(60 * step.unsigned_abs());
            let mut observation = if random.uniform() < 0.01 { missed(minute) } else { value(minute, v) };
            observation.window = Window::new(observation.window.start, length);
            observation
        })
        .collect()
}

#[test]
fn loading_at_any_point_changes_nothing() {
    for (kind, step, interval) in
        [(Kind::Gauge, 15, Some(900)), (Kind::Count, 15, Some(900)), (Kind::Gauge, 5, None)]
    {
        let settings = everything(kind, interval.map(Duration::from_secs));
        let observations = series(kind, 12, step, 4);
        let mut whole = judge(settings.clone());
        let mut broken = judge(settings.clone());
        let mut random = Random::new(9);
        for (i, observation) in observations.iter().enumerate() {
            if i < 70 || random.uniform() < 0.02 {
                let bytes = broken.save();
                broken = judge(settings.clone());
                broken.load(&bytes).unwrap();
            }
            let (a, b) = (whole.observe(observation), broken.observe(observation));
            assert_eq!(a, b, "{kind:?} at {i}");
        }
    }
}

/// Late and corrected windows among the others, some of them wild.
#[test]
fn loading_changes_nothing_for_late_windows_either() {
    let settings = everything(Kind::Gauge, Some(Duration::from_secs(900)));
    let observations = series(Kind::Gauge, 12, 15, 11);
    let (mut whole, mut broken) = (judge(settings.clone()), judge(settings.clone()));
    let mut random = Random::new(3);
    let mut by_late = 0;
    for (i, observation) in observations.iter().enumerate() {
        let mut feed = vec![observation.clone()];
        while i > 8 && random.uniform() < 0.15 {
            let mut late = observations[i - (random.uniform() * 7.0) as usize].clone();
            let corrected = 200.0 * random.uniform() * if random.uniform() < 0.2 { 20.0 } else { 1.0 };
            (late.revision, late.value) = (1, Observed::Value { value: corrected, ratio: None });
            feed.push(late);
        }
        for (j, observation) in feed.iter().enumerate() {
            if random.uniform() < 0.05 {
                let bytes = broken.save();
                broken = judge(settings.clone());
                broken.load(&bytes).unwrap();
            }
            let (a, b) = (whole.observe(observation), broken.observe(observation));
            assert_eq!(a, b, "{i}");
            by_late += if j > 0 { a.transitions.len() } else { 0 };
            assert!(a.transitions.iter().all(|t| Some(t.window.start) == whole.newest()));
        }
    }
    assert!(by_late > 3, "{by_late}");
}

#[test]
fn a_share_of_nothing_is_no_value() {
    for (kind, denominator, state) in [
        (Kind::Rate, 0.0, VerdictState::Missing),
        (Kind::Rate, 1.0, VerdictState::Learning),
        (Kind::Gauge, 0.0, VerdictState::Learning),
    ] {
        let ratio = Some(Ratio { numerator: 0.0, denominator });
        let observation = Observation { value: Observed::Value { value: 0.0, ratio }, ..value(0, 0.0) };
        let judged = judge(support::settings(kind)).observe(&observation);
        assert_eq!(judged.verdict.state, state, "{kind:?} {denominator}");
    }
}

#[test]
fn a_backtest_is_what_live_judging_said() {
    let settings = everything(Kind::Gauge, Some(Duration::from_secs(900)));
    let observations = series(Kind::Gauge, 12, 15, 5);
    let mut live = judge(settings.clone());
    let said: Vec<_> = observations.iter().map(|o| live.observe(o)).collect();
    let key = SeriesKey::new("orders", Labels::default());
    let report = backtest(key, Arc::new(settings), Arc::new(Calendar::default()), observations);
    assert_eq!(report.judged, said);
    assert!(!report.alerts.is_empty() && report.alerts_per_week.is_some());
}

#[test]
fn damaged_states_are_refused_and_the_judge_is_as_new() {
    let settings = everything(Kind::Gauge, Some(Duration::from_secs(900)));
    let observations = series(Kind::Gauge, 5, 15, 6);
    let mut taught = judge(settings.clone());
    observations.iter().for_each(|o| drop(taught.observe(o)));
    let bytes = taught.save();
    for damage in [&bytes[..bytes.len() / 2], &bytes[1..], &[][..]] {
        let mut loaded = judge(settings.clone());
        assert!(loaded.load(damage).is_err());
        assert_eq!(loaded.observe(&observations[0]), judge(settings.clone()).observe(&observations[0]));
    }
}

fn is_sane(verdict: &Verdict) -> Result<(), TestCaseError> {
    let numbers = [
        verdict.value,
        verdict.expected,
        verdict.lower,
        verdict.upper,
        verdict.forecast,
        verdict.prev_week,
        verdict.deviation_pct,
        Some(verdict.score),
    ];
    prop_assert!(numbers.into_iter().flatten().all(f64::is_finite), "{verdict:?}");
    prop_assert!(verdict.score >= 0.0);
    let missing = verdict.value.is_none();
    prop_assert_eq!(missing, verdict.state == VerdictState::Missing);
    if verdict.state == VerdictState::Outside {
        prop_assert!(verdict.score >= 1.0);
    }
    if matches!(verdict.state, VerdictState::Normal | VerdictState::Learning) {
        prop_assert!(verdict.score < 1.0);
    }
    if let (Some(lower), Some(upper)) = (verdict.lower, verdict.upper) {
        prop_assert!(lower <= upper, "{lower} {upper}");
    }
    Ok(())
}

/// What a window may hold; the shapes that break detectors.
fn nasty() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        4 => Just(Some(0.0)),
        2 => Just(Some(1.0)),
        1 => Just(Some(1e300)),
        1 => Just(Some(-1e300)),
        1 => Just(Some(f64::MAX)),
        1 => Just(Some(1e-300)),
        1 => Just(Some(-5.0)),
        3 => (-1e6f64..1e6).prop_map(Some),
        1 => Just(None),
    ]
}

/// How the next window lies to the one before: in order, repeated, back, far ahead, far back.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => Just(1_i64),
        1 => Just(0_i64),
        1 => Just(-1_i64),
        1 => -200_i64..200,
        1 => Just(1440 * 3),
        1 => Just(1440 * 400),
        1 => Just(-1440 * 400),
    ]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Gauge), Just(Kind::Count), Just(Kind::Rate)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic_or_lose_its_finiteness(
        kind in kinds(),
        interval in prop_oneof![Just(None), Just(Some(1_u64)), Just(Some(3_600)), Just(Some(86_400)), Just(Some(604_800))],
        shapes in prop::collection::vec((nasty(), 1_usize..60, steps()), 1..60),
        zero in any::<bool>(),
    ) {
        let mut settings = everything(kind, interval.map(Duration::from_secs));
        settings.missing = if zero { MissingSetting::Zero } else { MissingSetting::Null };
        let unit = i64::try_from(interval.unwrap_or(3_600)).unwrap();
        let mut judge = judge(settings);
        let mut at = MONDAY;
        for (number, times, step) in shapes {
            for _ in 0..times {
                at = at.saturating_add(step.saturating_mul(unit)).clamp(-4_000_000_000, 8_000_000_000);
                let window = Window::new(Timestamp::from_secs(at), Duration::from_secs(unit.unsigned_abs()));
                let ratio = number.map(|n| Ratio { numerator: n, denominator: n.abs() + 1.0 });
                let observed = number.map_or(Observed::Missed(MissedReason::Error), |value| Observed::Value { value, ratio });
                let judged = judge.observe(&Observation { window, origin: Origin::Live, revision: 0, value: observed });
                is_sane(&judged.verdict)?;
                for transition in &judged.transitions {
                    prop_assert!(transition.score.is_finite());
                }
            }
        }
        let bytes = judge.save();
        prop_assert!(!bytes.is_empty());
        prop_assert_eq!(judge.load(&bytes), Ok(()));
    }

    #[test]
    fn a_constant_is_never_outside(constant in prop_oneof![Just(0.0), Just(1e300), Just(1e-300), -1e9f64..1e9]) {
        let mut settings = support::settings(Kind::Gauge);
        settings.interval = Some(Duration::from_secs(3_600));
        let mut judge: SeriesJudge = judge(settings);
        for hour in 0..24 * 30 {
            let judged = judge.observe(&value(60 * hour, constant));
            is_sane(&judged.verdict)?;
            prop_assert!(judged.verdict.score < 1.0, "{:?}", judged.verdict);
        }
    }
}
