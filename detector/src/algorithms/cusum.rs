//! `cusum`: slow drift, as the two-sided cumulative sum of winsorised z.
//!
//! k = 0.5; z of the same-phase baseline is winsorised to +-[`WINSOR`], so that one spike is no drift. z of
//! neighbouring minutes is not independent, so the limit h is calibrated on the sum's own past by [`crate::limit`];
//! where nothing is known it is the h that gives the wanted run length for independent z (Siegmund's approximation:
//! 465 windows at h = 5). A sum is kept below twice the limit, and is halved at every window of a firing alert at which
//! z has been small on the average, so that a drift that ended is seen to end.
//!
//! Numbers: `up`, `down` (the sums with this window in), `k`, `limit`, `z`. Notes: none.

use model::{Direction, Verdict};
use serde::{Deserialize, Serialize};

use super::baseline::z;
use super::{Compares, Limit, Registered, count_judges};
use crate::algorithm::{Algorithm, Context, Finding, Observation, numbers};
use crate::limit::{Calibrated, LearnedLimit, Rule};
use crate::same_phase::FEWEST;
use crate::settings::{DirectionSetting, Settings};
use crate::state;

/// Its name.
pub const NAME: &str = "cusum";

/// Its place in the list.
pub static REGISTERED: Registered = Registered {
    shipped: true,
    compares: Compares::UsualDay,
    limit: Limit::Drift,
    ..Registered::new(NAME, make)
};
const VERSION: u8 = 1;

/// The reference value.
pub const K: f64 = 0.5;

/// z is cut to this size.
pub const WINSOR: f64 = 3.0;

/// A sum never exceeds this many limits.
const CAP: f64 = 2.0;

/// Smoothing of the z by which the end of a drift is seen.
const CALM_RATE: f64 = 0.2;

/// The algorithm with its sums.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Cusum {
    up: f64,
    down: f64,
    recent_z: f64,
    limit: LearnedLimit,
}

/// Makes one.
fn make(_: &Settings) -> Box<dyn Algorithm> {
    Box::new(Cusum::default())
}

/// Mean number of windows between alarms of a two-sided CUSUM with k = 0.5 on independent standard normal z
/// (Siegmund 1985).
pub fn run_length(h: f64) -> f64 {
    let b = 2.0 * K * (h + 1.166);
    (b.exp() - b - 1.0) / (2.0 * K * K) / 2.0
}

/// The h whose run length this is.
pub fn limit_for(run_length_wanted: f64) -> f64 {
    let (mut low, mut high) = (0.0, 60.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if run_length(middle) < run_length_wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

fn prior(rule: &Rule) -> f64 {
    limit_for(rule.windows_between)
}

impl Cusum {
    /// The sums after one more z.
    fn after(&self, z: f64, cap: f64) -> (f64, f64) {
        let z = z.clamp(-WINSOR, WINSOR);
        ((self.up + z - K).clamp(0.0, cap), (self.down - z - K).clamp(0.0, cap))
    }

    fn watched(&self, settings: &Settings, up: f64, down: f64) -> (f64, Direction) {
        let (up, down) = match settings.direction {
            DirectionSetting::Above => (up, 0.0),
            DirectionSetting::Below => (0.0, down),
            DirectionSetting::Both => (up, down),
        };
        if down > up { (down, Direction::Below) } else { (up, Direction::Above) }
    }
}

impl Algorithm for Cusum {
    fn registered(&self) -> &'static Registered {
        &REGISTERED
    }

    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding {
        let few = context.same_phase.is_none_or(|same| same.samples.n <= FEWEST);
        let Some(z) = z(context, observation).filter(|_| !few) else {
            return Finding::abstains("no value or too few earlier days for a z");
        };
        if count_judges(context) {
            return Finding::abstains("small counts have no z");
        }
        let Calibrated { limit, extrapolated } = self.limit.now(&context.settings, context.interval, prior);
        let (up, down) = self.after(z, CAP * limit);
        let (sum, direction) = self.watched(&context.settings, up, down);
        let mut finding = Finding {
            score: super::bounded(sum / limit),
            direction: Some(direction),
            extrapolated,
            ..Finding::default()
        };
        if context.tells(finding.score) {
            finding.numbers = numbers([("up", up), ("down", down), ("k", K), ("limit", limit), ("z", z)]);
        }
        finding
    }

    fn learn(&mut self, context: &Context<'_>, observation: &Observation, _: &Verdict) {
        let firing = context.do_not_learn && context.firing_windows.is_some();
        if context.do_not_learn && !firing || count_judges(context) {
            return;
        }
        let few = context.same_phase.is_none_or(|same| same.samples.n <= FEWEST);
        let Some(z) = z(context, observation).filter(|_| !few) else { return };
        let limit = self.limit.now(&context.settings, context.interval, prior).limit;
        (self.up, self.down) = self.after(z, CAP * limit);
        let (sum, _) = self.watched(&context.settings, self.up, self.down);
        self.recent_z += CALM_RATE * (z.clamp(-WINSOR, WINSOR) - self.recent_z);
        if context.firing_windows.is_some() && self.recent_z.abs() < K {
            (self.up, self.down) = (self.up / 2.0, self.down / 2.0);
        }
        self.limit.push(sum, firing, &context.settings, context.interval, prior);
    }

    fn save(&self) -> Vec<u8> {
        state::save(VERSION, self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = Self::default();
        let loaded: Self = state::load(VERSION, bytes)?;
        let sums = [loaded.up, loaded.down, loaded.recent_z];
        if !(sums.into_iter().all(f64::is_finite) && loaded.limit.is_sound()) {
            return Err("sums are damaged".into());
        }
        *self = loaded;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// detector.md, "Slow drift": ARL0 465 at h = 5; one alarm in 30 days of minutes needs h = 9.5.
    #[test]
    fn run_lengths_as_published() {
        assert!((run_length(5.0) / 465.0 - 1.0).abs() < 0.02, "{}", run_length(5.0));
        assert!((limit_for(30.0 * 1440.0) - 9.5).abs() < 0.05, "{}", limit_for(30.0 * 1440.0));
    }

    #[test]
    fn one_spike_is_no_drift_and_small_steps_are() {
        let mut cusum = Cusum::default();
        (cusum.up, cusum.down) = cusum.after(1e9, 100.0);
        assert_eq!((cusum.up, cusum.down), (2.5, 0.0));
        for _ in 0..20 {
            (cusum.up, cusum.down) = cusum.after(-1.0, 100.0);
        }
        assert_eq!((cusum.up, cusum.down), (0.0, 10.0));
    }
}
