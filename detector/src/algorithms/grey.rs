//! `grey`: the grey forecast GM(1,1) of the deseasonalised value, with all its checks.
//!
//! Fitted is value / baseline of the last [`POINTS`] windows after a Hampel filter, never raw numbers; the forecast of
//! the next ratio times the next baseline is what is expected. It runs for every metric and is always shown (the
//! verdict's `forecast`), but takes part in the score only while it lowers the recent rolling loss: the mean absolute
//! one-step error over the last [`ROLLING`] windows of the combination (weights 1 / MAE^2) of baseline and baseline
//! times recent ratio must be smaller with the grey forecast in it than without. In-sample grades never admit it.
//!
//! Numbers: `a`, `b`, `grade` (1..3, 4 = worse), `c` (posterior ratio), `p` (small-error probability), `ratios_ok`
//! (1: every level ratio within its bounds), `shift`, `horizon` (0 refused .. 4 medium term), `forecast`,
//! `interval_lower`, `interval_upper` (95 % split conformal over the last 60 errors), `mae`, `mae_with`, `mae_without`,
//! `weight`, `limit`, `z`. Notes: `grey_in` (it takes part).

use std::borrow::Cow;
use std::collections::VecDeque;

use model::Verdict;
use serde::{Deserialize, Serialize};

use super::{Compares, Registered, count_judges};
use crate::algorithm::{Algorithm, Context, Finding, Observation, numbers};
use crate::history::to_cell;
use crate::limit::{Calibrated, LearnedLimit, Rule};
use crate::same_phase::FEWEST;
use crate::settings::Settings;
use crate::{state, stats};

pub mod gm11;

use gm11::{Gm11, Refusal};

/// Its name.
pub const NAME: &str = "grey";

/// Its place in the list.
pub static REGISTERED: Registered = Registered {
    shipped: true,
    compares: Compares::UsualDay,
    forecasts: true,
    ..Registered::new(NAME, make)
};
const VERSION: u8 = 1;

/// How many windows are fitted.
pub const POINTS: usize = 8;

/// How many one-step errors are remembered.
pub const ROLLING: usize = 60;

/// It needs so many errors before it may take part.
const PROBATION: usize = 30;

/// A Hampel filter replaces what lies further than this many scaled MADs from the median.
const HAMPEL: f64 = 3.0;

/// Smoothing of the recent ratio that stands beside the baseline.
const RATIO_RATE: f64 = 0.2;

/// The combination with the grey forecast must be better by this factor.
const BETTER: f64 = 0.99;

/// The algorithm with its recent ratios and errors.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Grey {
    ratios: VecDeque<f32>,
    recent_ratio: Option<f64>,
    /// Absolute one-step errors, in units of the scale, of baseline, baseline x ratio and grey.
    errors: [VecDeque<f32>; 3],
    /// The same of the combinations without and with grey.
    combined: [VecDeque<f32>; 2],
    limit: LearnedLimit,
    /// Start and interval of the newest window, in nanoseconds: a gap empties the ratios.
    newest_end: Option<i64>,
    #[serde(skip)]
    fitted: Option<Result<Gm11, Refusal>>,
    #[serde(skip)]
    standing: Standing,
}

/// What follows from the errors remembered: made anew whenever these change.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// 1 / MAE^2 of each expert.
    weights: [f64; 3],
    takes_part: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { weights: [1.0; 3], takes_part: false }
    }
}

impl Standing {
    fn of(errors: &[VecDeque<f32>; 3], combined: &[VecDeque<f32>; 2]) -> Self {
        let mut standing = Self::default();
        for (weight, errors) in standing.weights.iter_mut().zip(errors) {
            let mae = mean(errors).max(1e-6);
            *weight = if errors.is_empty() { 1.0 } else { 1.0 / (mae * mae) };
        }
        let [without, with] = combined;
        standing.takes_part = with.len() >= PROBATION && mean(with) < BETTER * mean(without);
        standing
    }
}

/// Makes one.
fn make(_: &Settings) -> Box<dyn Algorithm> {
    Box::new(Grey::default())
}

/// Replaces what lies far from the median of its neighbours by that median.
pub fn hampel(values: &mut [f32]) {
    let mut sorted = [0.0_f32; POINTS];
    let count = values.len().min(POINTS);
    let sorted = &mut sorted[..count];
    sorted.copy_from_slice(&values[..count]);
    let middle = stats::median(sorted);
    sorted.iter_mut().zip(values.iter()).for_each(|(d, v)| *d = to_cell((f64::from(*v) - middle).abs()));
    let reach = HAMPEL * 1.4826 * stats::median(sorted);
    for value in values {
        if (f64::from(*value) - middle).abs() > reach {
            *value = to_cell(middle);
        }
    }
}

fn fit(ratios: &VecDeque<f32>) -> Result<Gm11, Refusal> {
    let mut values = [0.0_f32; POINTS];
    let count = ratios.len().min(POINTS);
    let newest = ratios.iter().skip(ratios.len() - count);
    values.iter_mut().zip(newest).for_each(|(to, from)| *to = *from);
    hampel(&mut values[..count]);
    let mut wide = [0.0_f64; POINTS];
    wide.iter_mut().zip(&values).for_each(|(to, from)| *to = f64::from(*from));
    Gm11::fit(&wide[..count])
}

fn mean(values: &VecDeque<f32>) -> f64 {
    let (older, newer) = values.as_slices();
    let sum = |part: &[f32], from: f64| part.iter().fold(from, |sum, v| sum + f64::from(*v));
    sum(newer, sum(older, 0.0)) / values.len().max(1) as f64
}

/// The forecasts of one window by baseline, baseline x ratio and grey.
struct Experts {
    forecasts: [f64; 3],
    scale: f64,
}

impl Grey {
    /// What each expert says; `None` where there is no baseline to deseasonalise by or no fit.
    fn experts(&self, context: &Context<'_>) -> Option<Experts> {
        let (baseline, scale) = (context.baseline?, context.scale?);
        let ratio = self.model().ok().filter(|gm| gm.forecasts()).map(|gm| gm.next(1))?;
        let usable = baseline.abs() > 0.0 && ratio.is_finite();
        let forecasts = [baseline, baseline * self.recent_ratio.unwrap_or(1.0), baseline * ratio];
        let finite = forecasts.iter().all(|f| f.is_finite());
        (usable && finite).then_some(Experts { forecasts, scale })
    }

    fn model(&self) -> Result<&Gm11, &Refusal> {
        self.fitted.as_ref().map_or(Err(&Refusal::TooFew(0)), Result::as_ref)
    }

    /// The combinations without and with grey.
    fn combine(&self, forecasts: &[f64; 3]) -> [f64; 2] {
        let weights = self.standing.weights;
        let over = |count: usize| {
            let total: f64 = weights[..count].iter().sum();
            forecasts[..count].iter().zip(&weights).map(|(f, w)| f * w).sum::<f64>() / total
        };
        [over(2), over(3)]
    }

    fn takes_part(&self) -> bool {
        self.standing.takes_part
    }

    /// Half-width that covers 95 % of the last errors, in units of the scale.
    fn conformal(&self) -> Option<f64> {
        let errors = &self.errors[2];
        let rank = ((errors.len() + 1) as f64 * 0.95).ceil() as usize;
        let mut sorted: Vec<f32> = errors.iter().copied().collect();
        stats::sort(&mut sorted);
        sorted.get(rank.checked_sub(1)?).map(|error| f64::from(*error))
    }

    fn explain(&self, context: &Context<'_>, experts: &Experts, z: f64, limit: f64, finding: &mut Finding) {
        let Ok(gm) = self.model() else { return };
        let forecast = experts.forecasts[2];
        let half = self.conformal().map_or(f64::NAN, |half| half * experts.scale);
        let weights = self.standing.weights;
        let quality = gm.quality();
        finding.numbers = numbers([
            ("a", gm.a),
            ("b", gm.b),
            ("grade", f64::from(quality.grade)),
            ("c", quality.c),
            ("p", quality.p),
            ("ratios_ok", f64::from(u8::from(quality.ratios_ok))),
            ("shift", gm.shift),
            ("horizon", f64::from(gm.horizon())),
            ("forecast", forecast),
            ("interval_lower", forecast - half),
            ("interval_upper", forecast + half),
            ("mae", mean(&self.errors[2]) * experts.scale),
            ("mae_without", mean(&self.combined[0]) * experts.scale),
            ("mae_with", mean(&self.combined[1]) * experts.scale),
            ("weight", if self.takes_part() { weights[2] / weights.iter().sum::<f64>() } else { 0.0 }),
            ("limit", limit),
            ("z", if context.baseline.is_some() { z } else { f64::NAN }),
        ]);
    }

    /// A gap of more than a window and a half starts the ratios anew.
    fn notice_gap(&mut self, context: &Context<'_>, observation: &Observation) {
        let start = observation.window.start.as_nanos();
        let slack = i64::try_from(context.interval.as_nanos() / 2).unwrap_or(i64::MAX);
        if self.newest_end.is_some_and(|end| start.saturating_sub(end) > slack) {
            self.ratios.clear();
        }
        let length = i64::try_from(context.interval.as_nanos()).unwrap_or(i64::MAX);
        self.newest_end = Some(start.saturating_add(length));
    }
}

fn remember(errors: &mut VecDeque<f32>, error: f64) {
    errors.push_back(to_cell(error));
    while errors.len() > ROLLING {
        errors.pop_front();
    }
}

impl Algorithm for Grey {
    fn registered(&self) -> &'static Registered {
        &REGISTERED
    }

    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding {
        let Some(experts) = self.experts(context) else {
            return Finding::abstains(match self.model() {
                _ if context.baseline.is_none() => Cow::Borrowed("no baseline to deseasonalise by"),
                Err(refusal) => refusal.to_string().into(),
                Ok(gm) if !gm.forecasts() => {
                    format!("growth of {:.2} a window: no forecast holds", -gm.a).into()
                }
                Ok(_) => "the baseline is zero".into(),
            });
        };
        let [without, with] = self.combine(&experts.forecasts);
        let centre = if self.takes_part() { with } else { without };
        let Calibrated { limit, extrapolated } =
            self.limit.now(&context.settings, context.interval, Rule::gaussian);
        let z = observation.number().map_or(0.0, |y| (f64::from(to_cell(y)) - centre) / experts.scale);
        let half = limit * experts.scale;
        let mut finding = Finding {
            score: super::bounded(z.abs() / limit),
            direction: super::side(z),
            extrapolated,
            expected: Some(experts.forecasts[2]),
            lower: Some(centre - half),
            upper: Some(centre + half),
            silent: context.same_phase.is_none_or(|same| same.samples.n <= FEWEST),
            ..Finding::default()
        };
        if !self.takes_part() {
            finding.abstained = Some("it does not lower the recent loss".into());
        } else if count_judges(context) {
            finding.abstained = Some("small counts are judged by `count`".into());
        } else if context.tells(finding.score) {
            finding.notes.push("grey_in".to_owned());
        }
        if context.explain {
            self.explain(context, &experts, z, limit, &mut finding);
        }
        finding
    }

    fn learn(&mut self, context: &Context<'_>, observation: &Observation, _: &Verdict) {
        let firing = context.do_not_learn && context.firing_windows.is_some();
        if context.do_not_learn && !firing {
            return;
        }
        self.notice_gap(context, observation);
        let Some(y) = observation.number().map(|y| f64::from(to_cell(y))) else {
            self.ratios.clear();
            self.fitted = None;
            return;
        };
        if let Some(experts) = self.experts(context) {
            let combined = self.combine(&experts.forecasts);
            let centre = if self.takes_part() { combined[1] } else { combined[0] };
            let error = |forecast: f64| (y - forecast).abs() / experts.scale;
            if !firing {
                self.errors.iter_mut().zip(&experts.forecasts).for_each(|(e, f)| remember(e, error(*f)));
                self.combined.iter_mut().zip(&combined).for_each(|(e, f)| remember(e, error(*f)));
                self.standing = Standing::of(&self.errors, &self.combined);
            }
            let z = (y - centre) / experts.scale;
            let size = if super::counts(context.settings.direction, super::side(z)) { z.abs() } else { 0.0 };
            if context.same_phase.is_some_and(|same| same.samples.n > FEWEST) {
                self.limit.push(size, firing, &context.settings, context.interval, Rule::gaussian);
            }
        }
        let ratio = context.baseline.filter(|baseline| *baseline != 0.0).map(|baseline| y / baseline);
        match ratio.filter(|ratio| ratio.is_finite()) {
            Some(ratio) => self.take(ratio),
            None => self.ratios.clear(),
        }
        self.fitted = Some(fit(&self.ratios));
    }

    fn save(&self) -> Vec<u8> {
        state::save(VERSION, self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = Self::default();
        let loaded: Self = state::load(VERSION, bytes)?;
        let all = loaded.errors.iter().chain(&loaded.combined).chain(std::iter::once(&loaded.ratios));
        let finite = all.flatten().all(|v| v.is_finite()) && loaded.recent_ratio.is_none_or(f64::is_finite);
        if !finite || !loaded.limit.is_sound() {
            return Err("ratios are damaged".into());
        }
        *self = loaded;
        self.fitted = Some(fit(&self.ratios));
        self.standing = Standing::of(&self.errors, &self.combined);
        Ok(())
    }
}

impl Grey {
    fn take(&mut self, ratio: f64) {
        let ratio = f64::from(to_cell(ratio));
        self.ratios.push_back(to_cell(ratio));
        while self.ratios.len() > POINTS {
            self.ratios.pop_front();
        }
        let smoothed = self.recent_ratio.map_or(ratio, |have| have + RATIO_RATE * (ratio - have));
        self.recent_ratio = smoothed.is_finite().then_some(smoothed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hampel_filter_takes_spikes_out_and_leaves_the_rest() {
        let mut values = [1.0, 1.1, 0.9, 1.0, 9.0, 1.1, 1.0, 0.9];
        hampel(&mut values);
        assert_eq!(values, [1.0, 1.1, 0.9, 1.0, 1.0, 1.1, 1.0, 0.9]);
        let mut constant = [2.0; 5];
        hampel(&mut constant);
        assert_eq!(constant, [2.0; 5]);
    }
}
