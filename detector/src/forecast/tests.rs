use proptest::prelude::*;

use super::{Rolling, forecast_horizon};

const DAY: i64 = 86_400;

fn wave(k: usize, season: usize) -> f64 {
    50.0 + 20.0 * (k as f64 * std::f64::consts::TAU / season as f64).sin()
}

#[test]
fn what_repeats_is_forecast_exactly() {
    let history: Vec<f64> = (0..24 * 20).map(|k| wave(k, 24)).collect();
    for season in [Some(24), None] {
        let said = forecast_horizon(&history, 48, season);
        for (h, value) in said.iter().enumerate() {
            let want = wave(history.len() + h, 24);
            assert!((value - want).abs() < 0.5, "season {season:?}, step {h}: {value}, not {want}");
        }
    }
}

#[test]
fn a_year_of_days_moves_the_forecast() {
    let day = |k: usize| wave(k, 7) * (1.0 + 0.4 * (k as f64 * std::f64::consts::TAU / 364.0).sin());
    let history: Vec<f64> = (0..735).map(day).collect();
    let error = |path: &[f64]| path.iter().enumerate().map(|(h, v)| (v - day(735 + h)).abs()).sum::<f64>();
    let naive: Vec<f64> = (0..56).map(|h| history[735 - 7 + h % 7]).collect();
    let ours = forecast_horizon(&history, 56, Some(7));
    assert!(error(&ours) < 0.8 * error(&naive), "{} against {}", error(&ours), error(&naive));
}

#[test]
fn short_and_odd_histories() {
    let table: [(&[f64], f64); 6] = [
        (&[], 0.0),
        (&[5.0], 5.0),
        (&[f64::NAN], 0.0),
        (&[f64::NAN, 3.0, f64::NAN], 3.0),
        (&[7.0; 100], 7.0),
        (&[0.0; 100], 0.0),
    ];
    for (history, want) in table {
        for season in [None, Some(1), Some(7), Some(24), Some(100_000)] {
            assert_eq!(forecast_horizon(history, 3, season), [want; 3], "{history:?} {season:?}");
        }
    }
    assert!(forecast_horizon(&[1.0, 2.0], 0, None).is_empty());
}

/// Rows of a 5-minute metric with noise that is the same on every machine.
fn row(k: i64) -> f64 {
    wave(k as usize, 288) + ((k * 7_919 + 13) % 1_009) as f64 / 1_009.0
}

#[test]
fn a_day_ahead_is_made_from_rows_a_day_old() {
    let run = |spoil_from: i64| -> Vec<_> {
        let mut rolling = Rolling::new(DAY);
        (0..288 * 9)
            .map(|k| rolling.step(300 * k, Some(if k >= spoil_from { 1e6 } else { row(k) })))
            .collect()
    };
    let (honest, spoilt) = (run(i64::MAX), run(288 * 7));
    let (known, later) = (288 * 8, 288 * 8 + 1);
    assert_eq!(honest[..known as usize], spoilt[..known as usize], "rows of the last day are not used");
    assert_ne!(honest[later as usize..], spoilt[later as usize..], "older ones are");
}

#[test]
fn a_rhythm_is_forecast_and_its_interval_holds() {
    let mut rolling = Rolling::new(DAY);
    let (mut error, mut held, mut n) = (0.0, 0, 0);
    for k in 0..288 * 21 {
        let said = rolling.step(300 * k, Some(row(k)));
        if let Some(said) = said.filter(|_| k > 288 * 10) {
            assert!(said.lower <= said.expected && said.expected <= said.upper);
            error += (said.expected - row(k)).abs();
            held += i32::from(said.lower <= row(k) && row(k) <= said.upper);
            n += 1;
        }
    }
    assert!(n > 288 * 10, "{n}");
    assert!(error / f64::from(n) < 0.5, "{}", error / f64::from(n));
    assert!((0.9..=1.0).contains(&(f64::from(held) / f64::from(n))), "{held} of {n}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn forecasts_are_finite(
        history in prop::collection::vec(prop_oneof![
            6 => -1e3..1e3f64, 2 => Just(0.0), 1 => Just(f64::NAN), 1 => Just(1e300), 1 => Just(-1e300)
        ], 0..200),
        season in prop::option::of(0usize..60),
    ) {
        let said = forecast_horizon(&history, 20, season);
        prop_assert_eq!(said.len(), 20);
        prop_assert!(said.iter().all(|v| v.is_finite()), "{:?}", said);
    }

    #[test]
    fn rolling_forecasts_are_finite(
        rows in prop::collection::vec((1i64..50_000, prop::option::of(prop_oneof![-1e3..1e3f64, Just(1e300)])), 100..400),
    ) {
        let (mut rolling, mut at) = (Rolling::new(DAY), 0);
        for (step, value) in rows {
            at += step;
            if let Some(said) = rolling.step(at, value) {
                prop_assert!([said.expected, said.lower, said.upper].iter().all(|v| v.is_finite()), "{:?}", said);
            }
        }
    }
}
