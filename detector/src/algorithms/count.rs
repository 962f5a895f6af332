//! `count`: small counts, judged by the negative binomial predictive of earlier days.
//!
//! For `kind: count` where fewer than [`super::SMALL_COUNT`] are expected. The sum S over n same-phase days predicts
//! NB(r = S + 1/2, p = n / (n + 1)); a dispersion above 1.5 learned from the past widens it. Where fewer than
//! [`ENOUGH`] are expected the window is widened 1 -> 5 -> 15 -> 60 minutes until it is enough; windows missing today
//! are left out of the past too. A run of zeros is judged over its whole length. Evidence is -log10 of the tail's
//! probability over a limit learned by [`crate::limit`]; value, expected and band are per interval.
//!
//! Numbers: `sum`, `expected_sum`, `windows` (the width used), `past_sum`, `past_windows`, `dispersion`, `surprise`
//! (-log10 p), `limit`, `zero_run` (windows of a run of zeros, this one included), `zero_run_surprise`.
//! Notes: `widened` (more than one window), `zero_run` (the run decided), `few_days`.

use model::{Direction, Verdict};
use serde::{Deserialize, Serialize};

use super::{Registered, count_judges};
use crate::algorithm::{Algorithm, Context, Finding, Observation, numbers};
use crate::history::to_cell;
use crate::limit::{LearnedLimit, Rule};
use crate::same_phase::{FEWEST, SamePhase};
use crate::settings::{DirectionSetting, Settings};
use crate::state;

pub mod nb;

use nb::NegativeBinomial;

/// Its name.
pub const NAME: &str = "count";

/// Its place in the list.
pub static REGISTERED: Registered = Registered { shipped: true, ..Registered::new(NAME, make) };
const VERSION: u8 = 1;

/// A window is widened until so many are expected.
pub const ENOUGH: f64 = 10.0;

/// The widths, in minutes.
const WIDTHS: [u32; 4] = [1, 5, 15, 60];

/// Dispersion is averaged over so many windows, and used once a tenth of them were seen.
const DISPERSION_OVER: f64 = 5_000.0;

/// A dispersion up to this is taken for Poisson's.
const POISSON_UP_TO: f64 = 1.5;

/// No single window moves the dispersion by more.
const MOST_DISPERSED: f64 = 25.0;

/// The algorithm with its limit, dispersions and run of zeros.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Count {
    limit: LearnedLimit,
    dispersion: [Dispersion; 4],
    zeros: Exposure,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Dispersion {
    mean: f64,
    seen: u32,
}

/// Counts of the past and of today over the same phases.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Exposure {
    past_sum: f64,
    past_windows: f64,
    sum: f64,
    windows: f64,
}

/// What a width predicts.
struct Predicted {
    width: usize,
    seen: Exposure,
    mean: f64,
    /// Variance over mean.
    dispersion: f64,
}

/// Makes one.
fn make(_: &Settings) -> Box<dyn Algorithm> {
    Box::new(Count::default())
}

/// Widened windows overlap, so that neighbouring rows are one piece of evidence: an hour of them counts as one.
fn prior(rule: &Rule) -> f64 {
    (rule.windows_between / 60.0).max(20.0).log10()
}

fn whole(value: f64) -> u64 {
    value.round().clamp(0.0, 1e9) as u64
}

impl Exposure {
    /// The last `windows` windows up to this one, today and on the days of the baseline.
    fn over(context: &Context<'_>, same: &SamePhase, value: f64, windows: u32) -> Self {
        let mut found = Self::default();
        let days = &same.samples.days[..same.samples.n];
        for back in 0..windows {
            let (shift, phase) = back_from(context, back);
            let today = match back {
                0 => Some(to_cell(value)),
                _ => context.history.seen(context.day - shift, phase),
            };
            let Some(today) = today else { continue };
            found.sum += f64::from(today).max(0.0);
            found.windows += 1.0;
            for day in days {
                if let Some(past) = context.history.learned(day - shift, phase) {
                    found.past_sum += f64::from(past).max(0.0);
                    found.past_windows += 1.0;
                }
            }
        }
        found
    }

    /// Mean of today's sum as the past predicts it.
    fn mean(&self, factor: f64) -> f64 {
        (self.past_sum + 0.5) * self.windows / self.past_windows.max(1.0) * factor
    }

    /// Variance over mean of that prediction when single counts are Poisson's.
    fn spread(&self) -> f64 {
        self.windows / self.past_windows.max(1.0)
    }
}

/// Days and phase so many windows back.
fn back_from(context: &Context<'_>, back: u32) -> (i32, u32) {
    if back <= context.phase {
        return (0, context.phase - back);
    }
    let over = back - context.phase - 1;
    let phases = context.grid.phases;
    ((over / phases + 1) as i32, phases - 1 - over % phases)
}

impl Count {
    /// The narrowest width that expects enough, or the widest.
    fn predict(&self, context: &Context<'_>, same: &SamePhase, value: f64) -> Predicted {
        let factor = context.promotion.as_ref().map_or(1.0, |p| p.factor);
        let widen = context.promotion.as_ref().map_or(1.0, |p| p.widen);
        let mut found: Option<Predicted> = None;
        for (width, minutes) in WIDTHS.into_iter().enumerate() {
            let windows = (minutes * 60 / context.grid.step_secs).max(1);
            let wider = found.as_ref().is_none_or(|have| f64::from(windows) > have.seen.windows);
            if !wider || found.as_ref().is_some_and(|have| have.mean >= ENOUGH) {
                continue;
            }
            let seen = Exposure::over(context, same, value, windows);
            let dispersion = (self.dispersion[width].used() + seen.spread()) * widen * widen;
            found = Some(Predicted { width, seen, mean: seen.mean(factor), dispersion });
        }
        found.unwrap_or_else(|| {
            let seen = Exposure::over(context, same, value, 1);
            Predicted { width: 0, seen, mean: seen.mean(factor), dispersion: 1.0 + seen.spread() }
        })
    }

    /// The run of zeros with this window in it, when the window is a zero.
    fn run(&self, same: &SamePhase, value: f64) -> Option<Exposure> {
        (whole(value) == 0).then(|| {
            let past: f64 = same.samples.get().iter().map(|v| f64::from(*v).max(0.0)).sum();
            Exposure {
                past_sum: self.zeros.past_sum + past,
                past_windows: self.zeros.past_windows + same.samples.n as f64,
                sum: 0.0,
                windows: self.zeros.windows + 1.0,
            }
        })
    }

    /// -log10 of the probability of a run of zeros so long.
    fn run_surprise(&self, context: &Context<'_>, run: &Exposure) -> f64 {
        let promotion = context.promotion.as_ref();
        let (factor, widen) = promotion.map_or((1.0, 1.0), |p| (p.factor, p.widen));
        let dispersion = (self.dispersion[3].used() + run.spread()) * widen * widen;
        NegativeBinomial::with_mean(run.mean(factor), dispersion).surprise(0, false)
    }

    fn limit(&self, context: &Context<'_>) -> f64 {
        self.limit.now(&context.settings, context.interval, prior).limit
    }

    /// Surprise of a window and of the run of zeros it belongs to, and which side it points to.
    fn surprise(
        &self,
        context: &Context<'_>,
        same: &SamePhase,
        predicted: &Predicted,
        value: f64,
    ) -> (f64, f64, Direction) {
        let above = predicted.seen.sum > predicted.mean;
        let nb = NegativeBinomial::with_mean(predicted.mean, predicted.dispersion);
        let direction = if above { Direction::Above } else { Direction::Below };
        let run = self.run(same, value).map_or(0.0, |run| self.run_surprise(context, &run));
        (nb.surprise(whole(predicted.seen.sum), above), run, direction)
    }
}

impl Dispersion {
    fn used(self) -> f64 {
        let known = f64::from(self.seen) >= DISPERSION_OVER / 10.0;
        if known && self.mean > POISSON_UP_TO { self.mean } else { 1.0 }
    }

    fn learn(&mut self, seen: &Exposure) {
        let mean = seen.mean(1.0);
        if mean < 0.5 || seen.past_windows < 1.0 {
            return;
        }
        let term = (seen.sum - mean).powi(2) / (mean * (1.0 + seen.spread()));
        self.seen = self.seen.saturating_add(1);
        let rate = (1.0 / f64::from(self.seen)).max(1.0 / DISPERSION_OVER);
        self.mean += rate * (term.min(MOST_DISPERSED) - self.mean);
    }
}

impl Algorithm for Count {
    fn registered(&self) -> &'static Registered {
        &REGISTERED
    }

    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding {
        let Some(same) = context.same_phase.filter(|_| count_judges(context)) else {
            return Finding::abstains("not a small count, or too few earlier days");
        };
        let value = observation.number();
        let predicted = self.predict(context, same, value.unwrap_or(0.0));
        let limit = self.limit(context);
        let nb = NegativeBinomial::with_mean(predicted.mean, predicted.dispersion);
        let (lower, upper) = nb.bounds(10.0_f64.powf(-limit));
        let windows = predicted.seen.windows.max(1.0);
        let mut finding = Finding {
            expected: Some(predicted.mean / windows),
            lower: Some(lower as f64 / windows),
            upper: Some(upper as f64 / windows),
            silent: same.samples.n <= FEWEST,
            ..Finding::default()
        };
        let Some(value) = value else { return finding };
        let (surprise, run, direction) = self.surprise(context, same, &predicted, value);
        if windows > 1.0 {
            finding.value = Some(predicted.seen.sum / windows);
        }
        finding.score = super::bounded(surprise.max(run) / limit);
        finding.direction = Some(if run > surprise { Direction::Below } else { direction });
        if context.tells(finding.score) {
            finding.numbers = numbers([
                ("sum", predicted.seen.sum),
                ("expected_sum", predicted.mean),
                ("windows", windows),
                ("past_sum", predicted.seen.past_sum),
                ("past_windows", predicted.seen.past_windows),
                ("dispersion", predicted.dispersion),
                ("surprise", surprise),
                ("limit", limit),
                ("zero_run", self.run(same, value).map_or(0.0, |run| run.windows)),
                ("zero_run_surprise", run),
            ]);
            let notes = [
                (windows > 1.0, "widened"),
                (run > surprise && finding.score >= 1.0, "zero_run"),
                (finding.silent, "few_days"),
            ];
            finding.notes =
                notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note.to_owned()).collect();
        }
        finding
    }

    fn learn(&mut self, context: &Context<'_>, observation: &Observation, _: &Verdict) {
        let firing = context.do_not_learn && context.firing_windows.is_some();
        let marked = context.do_not_learn && !firing;
        let judged = context.same_phase.filter(|_| count_judges(context));
        let (Some(same), Some(value)) = (judged, observation.number()) else { return };
        let predicted = self.predict(context, same, value);
        if !marked {
            let (surprise, run, direction) = self.surprise(context, same, &predicted, value);
            let watched = super::counts(context.settings.direction, Some(direction));
            let surprise = if watched { surprise } else { 0.0 };
            let run = if context.settings.direction == DirectionSetting::Above { 0.0 } else { run };
            let statistic = surprise.max(run);
            self.limit.push(statistic, firing, &context.settings, context.interval, prior);
        }
        if !context.do_not_learn {
            self.dispersion[predicted.width].learn(&predicted.seen);
        }
        self.zeros = self.run(same, value).unwrap_or_default();
    }

    fn save(&self) -> Vec<u8> {
        state::save(VERSION, self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = Self::default();
        let loaded: Self = state::load(VERSION, bytes)?;
        let dispersed = loaded.dispersion.iter().all(|d| d.mean.is_finite());
        let zeros = loaded.zeros;
        let counted = [zeros.past_sum, zeros.past_windows, zeros.windows].into_iter().all(f64::is_finite);
        if !(dispersed && counted && loaded.limit.is_sound()) {
            return Err("counts are damaged".into());
        }
        *self = loaded;
        Ok(())
    }
}
