use std::sync::Arc;
use std::time::Duration;

use model::{Labels, MissedReason, Origin, SeriesKey, Timestamp, Verdict, VerdictState, Window};
use proptest::prelude::*;

use super::NAME;
use crate::algorithm::{Observation, Observed};
use crate::calendar::Calendar;
use crate::series::SeriesJudge;
use crate::settings::Settings;

fn judge() -> SeriesJudge {
    let settings = Settings { algorithms: vec![NAME.to_owned()], ..Settings::shipped("m") };
    SeriesJudge::new(
        SeriesKey::new("m", Labels::default()),
        Arc::new(settings),
        Arc::new(Calendar::default()),
    )
}

fn row(k: i64, value: Observed) -> Observation {
    let window = Window::new(Timestamp::from_secs(300 * k), Duration::from_secs(300));
    Observation { window, origin: Origin::Live, revision: 0, value }
}

fn value(value: f64) -> Observed {
    Observed::Value { value, ratio: None }
}

/// A day's wave with noise that is the same on every machine.
fn wave(k: i64) -> f64 {
    let noise = ((k * 7_919 + 13) % 1_009) as f64 / 1_009.0 - 0.5;
    100.0 + 40.0 * (k as f64 * std::f64::consts::TAU / 288.0).sin() + 4.0 * noise
}

fn judged(judge: &mut SeriesJudge, rows: impl Iterator<Item = (i64, f64)>) -> Vec<Verdict> {
    rows.map(|(k, v)| judge.observe(&row(k, value(v))).verdict).collect()
}

#[test]
fn it_learns_then_sees_a_spike_a_drop_and_a_level() {
    let mut judge = judge();
    let calm = judged(&mut judge, (0..4_000).map(|k| (k, wave(k))));
    assert!(calm[..150].iter().all(|v| v.state == VerdictState::Learning && v.score == 0.0));
    let wrong = calm.iter().filter(|v| v.score >= 1.0).count();
    assert!(wrong < 12, "{wrong} of 4000 calm rows");
    let next = |k: i64| judge_at(&judge, k);
    assert!(next(4_000)(wave(4_000)) < 1.0);
    assert!(next(4_000)(wave(4_000) + 60.0) >= 2.0, "a spike fires at once");
    assert!(next(4_000)(wave(4_000) - 60.0) >= 2.0, "so does a drop");
}

/// The score a value would get as row `k`.
fn judge_at(judge: &SeriesJudge, k: i64) -> impl Fn(f64) -> f64 + use<> {
    let saved = judge.save();
    move |v| {
        let mut copy = self::judge();
        assert_eq!(copy.load(&saved), Ok(()));
        copy.observe(&row(k, value(v))).verdict.score
    }
}

#[test]
fn a_row_is_abnormal_where_it_lies_outside_of_its_band() {
    let mut judge = judge();
    for k in 0..4_000 {
        let spike = if k % 613 == 0 { 25.0 } else { 0.0 };
        let verdict = judge.observe(&row(k, value(wave(k) + spike))).verdict;
        let (Some(lower), Some(upper), Some(v)) = (verdict.lower, verdict.upper, verdict.value) else {
            continue;
        };
        let slack = 0.02 * (upper - lower);
        if v > upper + slack || v < lower - slack {
            assert!(verdict.score >= 1.0, "row {k}: {v} outside {lower} .. {upper}");
        } else if lower + slack < v && v < upper - slack {
            assert!(verdict.score < 1.0, "row {k}: {v} inside {lower} .. {upper}");
        }
    }
}

#[test]
fn coming_back_after_a_spike_is_no_news() {
    let mut judge = judge();
    let verdicts = judged(&mut judge, (0..3_000).map(|k| (k, if k == 2_900 { 400.0 } else { wave(k) })));
    assert!(verdicts[2_900].score >= 2.0);
    let after: Vec<f64> = verdicts[2_901..2_911].iter().map(|v| v.score).collect();
    assert!(after.iter().all(|score| *score < 1.0), "{after:?}");
}

#[test]
fn gaps_are_nothing() {
    let mut judge = judge();
    judged(&mut judge, (0..1_000).map(|k| (k, wave(k))));
    let verdict = judge.observe(&row(1_000, Observed::Missed(MissedReason::Timeout))).verdict;
    assert_eq!((verdict.state, verdict.score), (VerdictState::Missing, 0.0));
    assert!(judge.observe(&row(1_288, value(wave(1_288)))).verdict.score < 1.0);
}

fn strange() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => Just(0.0),
        4 => -5.0..5.0f64,
        1 => Just(1e300),
        1 => Just(-1e300),
        1 => Just(1e-300),
        1 => any::<f64>().prop_filter("finite", |v| v.is_finite()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_number_is_finite(
        values in prop::collection::vec(strange(), 160..400),
        jumps in prop::collection::vec(1i64..4, 400),
    ) {
        let (mut judge, mut at) = (judge(), 0);
        for (v, jump) in values.into_iter().zip(jumps) {
            at += jump;
            let verdict = judge.observe(&row(at, value(v))).verdict;
            prop_assert!(verdict.score.is_finite() && verdict.score >= 0.0);
            for number in [verdict.expected, verdict.lower, verdict.upper].into_iter().flatten() {
                prop_assert!(number.is_finite());
            }
        }
    }

    #[test]
    fn saved_and_loaded_it_goes_on_as_if_nothing_had_happened(
        values in prop::collection::vec(-5.0..5.0f64, 200..320),
        cut in 0usize..200,
    ) {
        let mut whole = judge();
        let mut parts = judge();
        for (k, v) in values.iter().enumerate() {
            if k == cut {
                let saved = parts.save();
                parts = judge();
                prop_assert_eq!(parts.load(&saved), Ok(()));
            }
            let observation = row(k as i64, value(*v));
            prop_assert_eq!(whole.observe(&observation), parts.observe(&observation));
        }
    }

    /// Powers of two scale floats exactly.
    #[test]
    fn units_do_not_matter(values in prop::collection::vec(-5.0..5.0f64, 200..300), power in -8i32..8) {
        let factor = f64::from(power).exp2();
        let (mut plain, mut scaled) = (judge(), judge());
        for (k, v) in values.iter().enumerate() {
            let a = plain.observe(&row(k as i64, value(*v))).verdict;
            let b = scaled.observe(&row(k as i64, value(v * factor))).verdict;
            prop_assert!((a.score - b.score).abs() < 1e-3 * (1.0 + a.score), "row {}: {} {}", k, a.score, b.score);
        }
    }
}
