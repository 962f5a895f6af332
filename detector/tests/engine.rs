//! Ticks to verdicts: missing series, misses, repeats, revisions, changed configuration, snapshots.

mod support;

use std::sync::Arc;
use std::time::Duration;

use detector::Judged;
use detector::engine::{Engine, JudgingConfig};
use detector::settings::{Kind, MissingSetting, Settings};
use model::{
    Labels, MissedReason, Origin, Sample, SeriesKey, Tick, TickOutcome, Transition, Verdict, VerdictState,
    Window,
};
use support::{Random, level, start};

fn sample(channel: &str, value: f64, revision: u32) -> Sample {
    let labels = Labels::new([("channel", channel)]);
    Sample { series: SeriesKey::new("orders", labels), value, ratio: None, revision }
}

fn tick(minute: i64, outcome: TickOutcome) -> Tick {
    Tick {
        sampler: "orders".into(),
        metrics: vec!["orders".into()],
        window: Window::new(start(minute), Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Live,
        outcome,
        duration_ms: 3,
    }
}

fn rows(minute: i64, samples: &[(&str, f64)]) -> Tick {
    tick(
        minute,
        TickOutcome::Rows(samples.iter().map(|(channel, value)| sample(channel, *value, 0)).collect()),
    )
}

fn miss(minute: i64, ticks: u32) -> Tick {
    let outcome = TickOutcome::Missed { reason: MissedReason::Down, message: "down".into() };
    let window = Window::new(start(minute), Duration::from_secs(60 * u64::from(ticks)));
    Tick { window, ticks, ..tick(minute, outcome) }
}

fn config(change: impl Fn(&mut Settings)) -> JudgingConfig {
    let mut settings = support::settings(Kind::Gauge);
    change(&mut settings);
    JudgingConfig { metrics: vec![Arc::new(settings)], ..JudgingConfig::default() }
}

/// Channel, minute, value and state of each verdict.
fn said(judged: &[Judged]) -> Vec<(String, i64, Option<f64>, VerdictState)> {
    let one = |v: &Verdict| {
        let minute = (v.window.start.as_secs() - support::MONDAY) / 60;
        (v.series.labels.get("channel").unwrap_or("-").to_owned(), minute, v.value, v.state)
    };
    judged.iter().map(|j| one(&j.verdict)).collect()
}

use VerdictState::{Learning, Missing};

#[test]
fn a_series_absent_from_an_answer_is_zero_or_missing() {
    for (setting, value, state) in
        [(MissingSetting::Zero, Some(0.0), Learning), (MissingSetting::Null, None, Missing)]
    {
        let mut engine = Engine::new(config(|s| s.missing = setting));
        engine.tick(&rows(0, &[("app", 5.0), ("web", 7.0)]));
        let judged = engine.tick(&rows(1, &[("app", 5.0)]));
        assert_eq!(said(&judged), [("app".into(), 1, Some(5.0), Learning), ("web".into(), 1, value, state)]);
        let judged = engine.tick(&tick(2, TickOutcome::Empty));
        assert_eq!(said(&judged)[0], ("app".into(), 2, value, state));
    }
}

#[test]
fn a_range_of_missed_ticks_is_a_miss_of_every_series_in_every_window_and_never_zero() {
    let mut engine = Engine::new(config(|s| s.missing = MissingSetting::Zero));
    engine.tick(&rows(0, &[("app", 5.0), ("web", 7.0)]));
    let judged = engine.tick(&miss(1, 3));
    let expected: Vec<_> = (1..4)
        .flat_map(|minute| ["app", "web"].map(|channel| (channel.to_owned(), minute, None, Missing)))
        .collect();
    assert_eq!(said(&judged), expected);
}

#[test]
fn a_source_that_never_answered_is_told_of() {
    let mut engine = Engine::new(config(|_| {}));
    let judged = engine.tick(&miss(0, 3));
    let told: Vec<_> = judged.iter().flat_map(|j| &j.transitions).map(|t| t.transition).collect();
    assert_eq!(told, [Transition::Pending, Transition::Firing]);
    assert!(judged.iter().all(|j| j.verdict.series.labels.is_empty()));
    // Once it answers with real series the stand-in leaves, and its alert ends.
    let judged = engine.tick(&rows(3, &[("app", 5.0)]));
    let ended: Vec<_> = judged.iter().flat_map(|j| &j.transitions).collect();
    assert_eq!(ended.len(), 1);
    // It ends as one whose data came back, in the last window without: the first with data is told of by others alone.
    let notes: &[String] = &[];
    assert_eq!((ended[0].transition, &*ended[0].reason.notes), (Transition::Resolved, notes));
    assert_eq!(said(&judged), [("-".into(), 2, None, Missing), ("app".into(), 3, Some(5.0), Learning)]);
    assert_eq!(judged[0].verdict.revision, 1);
    assert_eq!(engine.stats().series, 1);
}

/// An answer without rows, as `Empty` and as it reads back when the log held every row already.
#[test]
fn the_stand_in_is_never_a_zero_and_leaves_before_the_first_series_is_judged() {
    use MissingSetting::{Null, Zero};
    use Transition::{Firing, Pending, Resolved};
    let empty = |minute| tick(minute, TickOutcome::Empty);
    let app = |minute| rows(minute, &[("app", 5.0)]);
    for (setting, ticks, expected, verdicts) in [
        (Zero, vec![empty(0), empty(1), empty(2), app(3)], vec![], 1),
        (Zero, vec![miss(0, 3), empty(3), empty(4), app(5)], vec![Pending, Firing, Resolved], 5),
        (Zero, vec![miss(0, 1), app(1), empty(2)], vec![Pending, Resolved], 4),
        (Null, vec![empty(0), empty(1), empty(2), app(3)], vec![Pending, Firing, Resolved], 5),
        (Null, vec![empty(0), rows(1, &[])], vec![Pending], 1),
    ] {
        let mut engine =
            Engine::new(JudgingConfig { max_series_per_metric: 1, ..config(|s| s.missing = setting) });
        let judged: Vec<_> = ticks.iter().flat_map(|tick| engine.tick(tick)).collect();
        let told: Vec<_> = judged.iter().flat_map(|j| &j.transitions).map(|t| t.transition).collect();
        assert_eq!((told, judged.len()), (expected, verdicts), "{setting:?} {ticks:?}");
        let zero_of_nobody = |j: &Judged| j.verdict.series.labels.is_empty() && j.verdict.value.is_some();
        assert!(!judged.iter().any(zero_of_nobody));
    }
}

#[test]
fn a_bare_series_with_samples_stays_beside_labelled_ones() {
    let mut engine = Engine::new(config(|_| {}));
    let bare =
        |value| Sample { series: SeriesKey::new("orders", Labels::default()), ..sample("-", value, 0) };
    engine.tick(&miss(0, 1));
    for minute in 1..4 {
        let both = vec![bare(1.0), sample("app", 5.0, 0)];
        assert_eq!(engine.tick(&tick(minute, TickOutcome::Rows(both))).len(), 2, "{minute}");
    }
}

/// What the log leaves of a second answer names only what differs.
#[test]
fn what_a_second_answer_does_not_name_is_not_absent() {
    for setting in [MissingSetting::Zero, MissingSetting::Null] {
        let mut engine = Engine::new(config(|s| s.missing = setting));
        engine.tick(&rows(0, &[("app", 5.0), ("web", 7.0)]));
        engine.tick(&miss(1, 1));
        assert_eq!(engine.tick(&rows(0, &[])), []);
        assert_eq!(engine.tick(&rows(1, &[])), []);
        let revised = tick(1, TickOutcome::Rows(vec![sample("app", 6.0, 1)]));
        assert_eq!(said(&engine.tick(&revised)), [("app".into(), 1, Some(6.0), Learning)]);
        assert_eq!(engine.stats().repeated, 0);
    }
}

#[test]
fn a_late_row_replaces_the_zero_that_stood_for_it_and_zeros_are_not_seen() {
    let mut engine = Engine::new(config(|s| s.missing = MissingSetting::Zero));
    engine.tick(&rows(0, &[("app", 5.0), ("web", 7.0)]));
    engine.tick(&rows(1, &[("app", 5.0)]));
    assert_eq!(
        said(&engine.tick(&rows(1, &[("app", 5.0), ("web", 3.0)]))),
        [("web".into(), 1, Some(3.0), Learning)]
    );
    let week = 7 * 1_440;
    for minute in [2, week / 2, week + 3] {
        engine.tick(&rows(minute, &[("app", 5.0)]));
    }
    assert_eq!(engine.stats().series, 1);
}

/// What came late takes the place of the miss that stood for it, and is told of the newest window.
#[test]
fn late_values_end_the_alert_their_absence_made() {
    let late = |minute, origin| Tick { origin, ..rows(minute, &[("app", 5.0)]) };
    for (misses, origin, expected) in [
        (2, Origin::Live, vec![(1, 'P'), (4, 'r')]),
        (3, Origin::Live, vec![(1, 'P'), (3, 'F'), (5, 'R')]),
        (3, Origin::Backfill, vec![(1, 'P'), (3, 'F')]),
    ] {
        let mut engine = Engine::new(config(|_| {}));
        let mut judged = engine.tick(&rows(0, &[("app", 5.0)]));
        judged.extend(engine.tick(&miss(1, misses)));
        for minute in 1 + i64::from(misses)..3 + i64::from(misses) {
            judged.extend(engine.tick(&rows(minute, &[("app", 5.0)])));
        }
        for minute in 1..=i64::from(misses) {
            judged.extend(engine.tick(&late(minute, origin)));
        }
        assert_eq!(support::told(&judged), expected, "{misses} {origin:?}");
    }
}

#[test]
fn what_was_judged_is_not_judged_again_but_a_revision_is() {
    let mut engine = Engine::new(config(|_| {}));
    for minute in 0..5 {
        engine.tick(&rows(minute, &[("app", 5.0)]));
    }
    assert!(engine.tick(&rows(3, &[("app", 5.0)])).is_empty());
    assert!(engine.tick(&miss(3, 1)).is_empty());
    let revised = tick(3, TickOutcome::Rows(vec![sample("app", 6.0, 1)]));
    let judged = engine.tick(&revised);
    assert_eq!(judged.len(), 1);
    assert_eq!((judged[0].verdict.revision, judged[0].verdict.value), (1, Some(6.0)));
    assert!(judged[0].verdict.reason.notes.iter().any(|n| n == "late"));
    assert!(engine.tick(&revised).is_empty());
    // The first value of a window that was missing.
    engine.tick(&miss(5, 1));
    engine.tick(&rows(6, &[("app", 5.0)]));
    assert_eq!(said(&engine.tick(&rows(5, &[("app", 4.0)])))[0].2, Some(4.0));
    assert_eq!(engine.stats().repeated, 3);
}

/// A miss, the zero of a series that was absent, its value and a correction of that: four verdicts of one window.
#[test]
fn every_verdict_of_a_window_has_a_revision_of_its_own() {
    let mut engine = Engine::new(config(|s| s.missing = MissingSetting::Zero));
    engine.tick(&rows(0, &[("app", 5.0)]));
    let revised = |value, revision| tick(1, TickOutcome::Rows(vec![sample("app", value, revision)]));
    let ticks = [miss(1, 1), tick(1, TickOutcome::Empty), rows(1, &[("app", 4.0)]), revised(6.0, 1)];
    let of = |judged: &Judged| (judged.verdict.revision, judged.verdict.value);
    let given: Vec<_> = ticks.iter().flat_map(|tick| engine.tick(tick)).map(|judged| of(&judged)).collect();
    assert_eq!(given, [(0, None), (1, Some(0.0)), (2, Some(4.0)), (3, Some(6.0))]);
    // So it is after a restart, and when the window is older than what is remembered of every window.
    let mut loaded = Engine::new(config(|s| s.missing = MissingSetting::Zero));
    assert_eq!(loaded.load(&engine.save()), Ok(Vec::new()));
    for minute in 2..200 {
        assert_eq!(of(&loaded.tick(&rows(minute, &[("app", 5.0)]))[0]).0, 0);
    }
    assert_eq!(of(&loaded.tick(&revised(7.0, 2))[0]), (4, Some(7.0)));
}

#[test]
fn a_series_not_seen_for_a_week_is_judged_no_more() {
    let mut engine = Engine::new(config(|_| {}));
    engine.tick(&rows(0, &[("app", 5.0), ("web", 7.0)]));
    let week = 7 * 1_440;
    engine.tick(&rows(week - 1, &[("app", 5.0)]));
    assert_eq!(engine.stats().series, 2);
    engine.tick(&rows(week + 1, &[("app", 5.0)]));
    engine.tick(&rows(week + 2, &[("app", 5.0)]));
    assert_eq!(engine.stats().series, 1);
}

#[test]
fn more_series_than_allowed_are_dropped_and_counted() {
    let mut engine = Engine::new(JudgingConfig { max_series_per_metric: 2, ..config(|_| {}) });
    let judged = engine.tick(&rows(0, &[("a", 1.0), ("b", 1.0), ("c", 1.0)]));
    assert_eq!((judged.len(), engine.stats().dropped_series), (2, 1));
    engine.tick(&rows(1, &[("b", 1.0), ("c", 1.0), ("d", 1.0)]));
    let left_out = engine.take_overflows();
    assert_eq!(left_out.len(), 1);
    let one = &left_out[0];
    assert_eq!((&*one.sampler, &*one.metric, one.samples, one.limit), ("orders", "orders", 3, 2));
    assert_eq!(engine.take_overflows(), []);
}

#[test]
fn samples_nobody_configured_are_counted() {
    let mut engine = Engine::new(config(|_| {}));
    let mut stray = rows(0, &[("app", 1.0)]);
    if let TickOutcome::Rows(samples) = &mut stray.outcome {
        samples[0].series.metric = "other".into();
    }
    engine.tick(&stray);
    assert_eq!(engine.stats().unknown_metric, 1);
}

/// Three weeks of two channels, then silence for three minutes: learned, and firing.
fn taught(config: JudgingConfig) -> Engine {
    let mut engine = Engine::new(config);
    let mut random = Random::new(2);
    for minute in 0..21 * 1_440 {
        let mut value = || 100.0 * level(minute) + random.gaussian();
        let (a, b) = (value(), value());
        engine.tick(&rows(minute, &[("app", a), ("web", b)]));
    }
    engine.tick(&miss(21 * 1_440, 3));
    engine
}

#[test]
fn changed_judging_keeps_everything_and_changed_sampling_starts_anew() {
    let mut engine = taught(config(|_| {}));
    assert_eq!(engine.stats().firing, 2);
    assert_eq!(engine.apply(config(|s| s.false_alarms_per_week = 5.0)), []);
    assert_eq!((engine.stats().firing, engine.stats().learning), (2, 0));
    let ended = engine.apply(config(|s| s.interval = Some(Duration::from_secs(300))));
    let ends: Vec<_> = ended.iter().map(|t| (t.transition, t.reason.notes.clone())).collect();
    assert_eq!(ends, vec![(Transition::Resolved, vec!["reconfigured".to_owned()]); 2]);
    let stats = engine.stats();
    assert_eq!((stats.series, stats.learning, stats.firing), (2, 2, 0));
}

/// A channel that is dead when the sampling changes is a zero afterwards too, by a reload and by a restart.
#[test]
fn changed_sampling_does_not_forget_which_series_there_are() {
    let zero = |s: &mut Settings| s.missing = MissingSetting::Zero;
    let changed = [
        config(|s| (zero(s), s.interval = Some(Duration::from_secs(240))).0),
        config(|s| (zero(s), s.timezone = chrono_tz::Tz::Asia__Tokyo).0),
    ];
    for changed in changed {
        let mut before = Engine::new(config(zero));
        before.tick(&rows(0, &[("app", 5.0), ("web", 7.0)]));
        before.tick(&rows(1, &[("app", 5.0)]));
        let mut restarted = Engine::new(changed.clone());
        assert_eq!(restarted.load(&before.save()), Ok(Vec::new()));
        before.apply(changed);
        for mut engine in [before, restarted] {
            let judged = engine.tick(&rows(2, &[("app", 5.0)]));
            let expected = [("app".into(), 2, Some(5.0), Learning), ("web".into(), 2, Some(0.0), Learning)];
            assert_eq!(said(&judged), expected);
            // It is still not seen, so it leaves a week after its last row.
            engine.tick(&rows(7 * 1_440 + 2, &[("app", 5.0)]));
            assert_eq!(engine.stats().series, 1);
        }
    }
}

#[test]
fn changed_sampling_forgets_the_stand_in() {
    let mut engine = Engine::new(config(|_| {}));
    engine.tick(&miss(0, 1));
    engine.apply(config(|s| s.interval = Some(Duration::from_secs(240))));
    assert_eq!(engine.stats().series, 0);
}

#[test]
fn a_metric_that_is_configured_no_more_ends_its_alerts() {
    let mut engine = taught(config(|_| {}));
    let ended = engine.apply(JudgingConfig::default());
    assert_eq!(ended.len(), 2);
    let bytes = taught(config(|_| {})).save();
    let mut other = Engine::new(JudgingConfig::default());
    assert_eq!(other.load(&bytes).map(|left_out| left_out.len()), Ok(2));
}

#[test]
fn a_snapshot_goes_on_as_if_nothing_had_been_and_a_damaged_one_is_refused() {
    let mut whole = taught(config(|_| {}));
    let bytes = whole.save();
    let mut loaded = Engine::new(config(|_| {}));
    assert_eq!(loaded.load(&bytes), Ok(Vec::new()));
    for minute in 21 * 1_440 + 3..21 * 1_440 + 60 {
        let next = rows(minute, &[("app", 100.0 * level(minute)), ("web", 5.0)]);
        assert_eq!(whole.tick(&next), loaded.tick(&next));
    }
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&flipped[..], &bytes[..20], &[], b"something else entirely"] {
        let mut engine = Engine::new(config(|_| {}));
        assert!(engine.load(damaged).is_err());
        assert_eq!(engine.stats().series, 0);
    }
}
