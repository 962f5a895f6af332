//! Seeded series for tests.
#![expect(dead_code, reason = "each test file uses its part")]

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use detector::algorithm::{Observation, Observed};
use detector::settings::{Kind, Settings};
use detector::{Calendar, Judged, SeriesJudge};
use model::{Labels, MissedReason, Origin, SeriesKey, Timestamp, Transition, Window};

/// Monday 2025-06-02T00:00:00Z.
pub(crate) const MONDAY: i64 = 1_748_822_400;

/// A small generator of random numbers: the same for a seed, everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn gaussian(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        let (mut product, mut count) = (self.uniform(), 0.0);
        let limit = (-mean).exp();
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

/// The level of a business number at a minute since [`MONDAY`]: a day's wave and quieter weekends.
pub(crate) fn level(minute: i64) -> f64 {
    let day = minute.div_euclid(1440);
    let of_day = minute.rem_euclid(1440) as f64 / 1440.0;
    let wave = 1.0 - 0.6 * (TAU * (of_day + 0.15)).cos();
    if day.rem_euclid(7) >= 5 { 0.6 * wave } else { wave }
}

pub(crate) fn start(minute: i64) -> Timestamp {
    Timestamp::from_secs(MONDAY + 60 * minute)
}

pub(crate) fn value(minute: i64, value: f64) -> Observation {
    let window = Window::new(start(minute), Duration::from_secs(60));
    Observation { window, origin: Origin::Live, revision: 0, value: Observed::Value { value, ratio: None } }
}

pub(crate) fn missed(minute: i64) -> Observation {
    Observation { value: Observed::Missed(MissedReason::Timeout), ..value(minute, 0.0) }
}

pub(crate) fn settings(kind: Kind) -> Settings {
    let mut settings = Settings::shipped("orders");
    settings.kind = kind;
    settings.interval = Some(Duration::from_secs(60));
    // The other families have files of their own.
    settings.algorithms = ["count", "baseline", "grey", "cusum", "threshold"].map(String::from).to_vec();
    settings
}

pub(crate) fn judge(settings: Settings) -> SeriesJudge {
    judge_by(settings, Calendar::default())
}

pub(crate) fn judge_by(settings: Settings, calendar: Calendar) -> SeriesJudge {
    let series = SeriesKey::new(settings.metric.clone(), Labels::default());
    SeriesJudge::new(series, Arc::new(settings), Arc::new(calendar))
}

/// Transitions in short: minute and letter (Pending, Firing, Severity, Resolved, never fired).
pub(crate) fn told(judged: &[Judged]) -> Vec<(i64, char)> {
    let letter = |t: &model::AlertTransition| match t.transition {
        Transition::Pending => 'P',
        Transition::Firing => 'F',
        Transition::SeverityChanged => 'S',
        Transition::Resolved if t.reason.notes.iter().any(|n| n == "never_fired") => 'r',
        Transition::Resolved => 'R',
    };
    let all = judged.iter().flat_map(|j| &j.transitions);
    all.map(|t| ((t.window.start.as_secs() - MONDAY) / 60, letter(t))).collect()
}

pub(crate) fn fired(judged: &[Judged]) -> usize {
    told(judged).iter().filter(|(_, letter)| *letter == 'F').count()
}
