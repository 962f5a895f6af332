//! The knob: false alarms a week, on seeded series without anomalies.

mod support;

use detector::settings::Kind;
use support::{Random, fired, judge, level, settings, value};

const WEEK: i64 = 10_080;
const WEEKS: i64 = 10;

/// Alerts in [`WEEKS`] weeks after three weeks of learning.
fn alarms(kind: Kind, seed: u64, knob: f64, draw: impl Fn(&mut Random, f64) -> f64) -> usize {
    let mut settings = settings(kind);
    settings.false_alarms_per_week = knob;
    let (mut judge, mut random) = (judge(settings), Random::new(seed));
    let mut judged = Vec::new();
    for minute in 0..(WEEKS + 3) * WEEK {
        let one = judge.observe(&value(minute, draw(&mut random, level(minute))));
        if minute >= 3 * WEEK && !one.transitions.is_empty() {
            judged.push(one);
        }
    }
    fired(&judged)
}

/// At one a week ten are wanted; Poisson's 99.9 % interval about ten is 2..=22, and the limits err on the quiet side.
#[test]
fn about_as_many_alarms_as_the_knob_says() {
    let noise = |random: &mut Random, level: f64| 1_000.0 * level + 50.0 * random.gaussian();
    let found = alarms(Kind::Gauge, 5, 1.0, noise);
    assert!((1..=22).contains(&found), "{found} alarms in {WEEKS} weeks");
}

#[test]
fn small_counts_are_as_quiet() {
    for (mean, seed) in [(20.0, 5), (4.0, 82), (0.3, 7)] {
        let found = alarms(Kind::Count, seed, 1.0, |random, level| random.poisson(mean * level));
        assert!(found <= 22, "{found} alarms in {WEEKS} weeks at {mean} a minute");
    }
}

#[test]
fn the_knob_turns() {
    let noise = |random: &mut Random, level: f64| 1_000.0 * level + 50.0 * random.gaussian();
    let (few, many) = (alarms(Kind::Gauge, 9, 0.2, noise), alarms(Kind::Gauge, 9, 14.0, noise));
    assert!(few <= 10 && many > 3 * few.max(5), "{few} and {many} alarms");
}
