//! The streaming detector itself: three lanes of residuals, each calibrated to a tail probability.
//!
//! *One step*: what the next row should be, from the last rows, the same time of earlier days and of earlier weeks,
//! weighted by how well each did. *Level*: a smoothed difference from the usual level. *Raw*: the difference from
//! the last rows alone, counted only where there is no season to explain it.

use serde::{Deserialize, Serialize};

use super::history::DayHistory;
use super::mean::Mean;
use super::scale::HourScale;
use super::tail::{LEARN_AT_MOST, Tail};

const DAY_SECS: i64 = 86_400;
/// Rate of the level every expert adds to what it knows.
const LEVEL_RATE: f64 = 0.2;
/// Rate of the level lane's smoothing.
const LANE_RATE: f64 = 0.25;
/// Experts are weighted by 1 / error^this, in the one-step lane and in the level lane.
const SHARPNESS: (i32, i32) = (8, 2);
/// The level lane's advantage.
const LEVEL_BONUS: f64 = 0.2;
/// Floors of the tails' slopes.
const FLOOR: f64 = 0.03;
const LEVEL_FLOOR: f64 = 0.15;
/// Fewer rows a day than this have no daily season.
const LEAST_ROWS_A_DAY: f64 = 8.0;

/// What was expected of a row and how improbable it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Assessment {
    /// The one-step prediction.
    pub(crate) expected: f64,
    /// Evidence of the three lanes: one step, level, raw; -log10 of a tail probability.
    pub(crate) lanes: [f64; 3],
    /// The largest of them, with the level lane's bonus.
    pub(crate) evidence: f64,
    /// Signed residual of the lane that supplied it.
    pub(crate) residual: f64,
    predictions: [Option<f64>; 3],
    bases: [Option<f64>; 3],
    z_step: f64,
    z_raw: f64,
    level: f64,
}

/// State of one series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Core {
    interval_secs: i64,
    per_day: f64,
    rows: u64,
    history: DayHistory,
    /// Levels over: nothing, the day baseline, the week baseline.
    levels: [Option<f64>; 3],
    slow: Mean,
    /// Errors of the experts with and without their levels.
    step_errors: [Mean; 3],
    base_errors: [Mean; 3],
    lane: f64,
    step_scale: HourScale,
    raw_scale: HourScale,
    tails: [Tail; 3],
}

impl Core {
    /// For a series sampled every `interval_secs`.
    pub(crate) fn new(interval_secs: i64) -> Self {
        let interval_secs = interval_secs.max(1);
        let per_day = (DAY_SECS as f64 / interval_secs as f64).max(1.0);
        let memory = (28.0 * per_day).max(2000.0);
        let scale_memory = (14.0 * per_day).max(200.0);
        Self {
            interval_secs,
            per_day,
            rows: 0,
            history: DayHistory::new(interval_secs),
            levels: [None; 3],
            slow: Mean::default(),
            step_errors: [Mean::default(); 3],
            base_errors: [Mean::default(); 3],
            lane: 0.0,
            step_scale: HourScale::new(scale_memory),
            raw_scale: HourScale::new(scale_memory),
            tails: [Tail::new(memory, FLOOR), Tail::new(memory, LEVEL_FLOOR), Tail::new(memory, FLOOR)],
        }
    }

    /// Rows learned.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    fn hour(local_secs: i64) -> usize {
        (local_secs.rem_euclid(DAY_SECS) / 3600) as usize
    }

    /// Baselines of the three experts: the slow level, the day's, the week's.
    fn bases(&self, local_secs: i64) -> [Option<f64>; 3] {
        let day = if self.per_day >= LEAST_ROWS_A_DAY { self.history.day_baseline(local_secs) } else { None };
        [self.slow.get(), day, self.history.week_baseline(local_secs)]
    }

    /// Judges a row from the rows learned before.
    pub(crate) fn assess(&self, local_secs: i64, value: f64) -> Assessment {
        let bases = self.bases(local_secs);
        let predictions = self.predictions(&bases);
        let expected = self.mix(&predictions, &self.step_errors, SHARPNESS.0).unwrap_or(value);
        let usual = self.mix(&bases, &self.base_errors, SHARPNESS.1).unwrap_or(value);
        let raw = value - self.levels[0].unwrap_or(value);
        let hour = Self::hour(local_secs);
        let z_step = (value - expected) / self.step_scale.factor(hour);
        let z_raw = raw / self.raw_scale.factor(hour);
        let level = self.lane + LANE_RATE * (value - usual - self.lane);
        let lanes = [
            self.tails[0].evidence(z_step),
            self.tails[1].evidence(level),
            (self.tails[2].evidence(z_raw) - self.raw_penalty()).max(0.0),
        ];
        let best = [(lanes[0], z_step), (lanes[1] + LEVEL_BONUS, level), (lanes[2], z_raw)]
            .into_iter()
            .fold((0.0, 0.0), |best, lane| if lane.0 > best.0 { lane } else { best });
        Assessment {
            expected,
            lanes,
            evidence: best.0,
            residual: best.1,
            predictions,
            bases,
            z_step,
            z_raw,
            level,
        }
    }

    /// The one-step prediction of a row.
    pub(crate) fn expected(&self, local_secs: i64) -> Option<f64> {
        self.mix(&self.predictions(&self.bases(local_secs)), &self.step_errors, SHARPNESS.0)
    }

    fn predictions(&self, bases: &[Option<f64>; 3]) -> [Option<f64>; 3] {
        let over = |k: usize| bases[k].map(|b| b + self.levels[k].unwrap_or(0.0));
        [self.levels[0], over(1), over(2)]
    }

    /// Weighted mean of what the experts say, by 1 / error^sharpness; one without a record does not count.
    fn mix(&self, said: &[Option<f64>; 3], errors: &[Mean; 3], sharpness: i32) -> Option<f64> {
        let least = (self.per_day / 2.0).min(100.0);
        let admitted = |k: usize| k == 0 || errors[k].seen() >= least;
        let error = |k: usize| errors[k].get().unwrap_or(0.0);
        let best =
            (0..3).filter(|k| said[*k].is_some() && admitted(*k)).map(error).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for k in (0..3).filter(|k| admitted(*k)) {
            let Some(value) = said[k] else { continue };
            let ratio = if error(k) > 0.0 { best / error(k) } else { 1.0 };
            let weight = ratio.powi(sharpness);
            sum += weight * value;
            weights += weight;
        }
        (weights > 0.0).then(|| sum / weights)
    }

    /// The raw lane steps back by how much worse than the one-step lane it predicts.
    fn raw_penalty(&self) -> f64 {
        let (Some(raw), Some(step)) = (self.raw_scale.whole(), self.step_scale.whole()) else { return 0.0 };
        if step <= 0.0 { 0.0 } else { 2.0 * (raw / step / 1.2).max(1.0).log2() }
    }

    /// Learns a row. With `keep` false the levels follow it, but neither history nor calibration remember it.
    pub(crate) fn learn(&mut self, local_secs: i64, value: f64, keep: bool) {
        let seen = self.assess(local_secs, value);
        let scale_memory = (14.0 * self.per_day).max(200.0);
        if keep {
            for k in 0..3 {
                if let Some(said) = seen.predictions[k] {
                    self.step_errors[k].add((value - said).abs(), scale_memory);
                }
                if let Some(base) = seen.bases[k] {
                    self.base_errors[k].add((value - base).abs(), scale_memory);
                }
            }
            let hour = Self::hour(local_secs);
            if self.rows > 0 {
                self.step_scale.learn(hour, value - seen.expected);
                self.raw_scale.learn(hour, value - self.levels[0].unwrap_or(value));
                self.tails[0].learn(seen.z_step);
                self.tails[1].learn(seen.level);
                self.tails[2].learn(seen.z_raw);
            }
            self.history.put(local_secs, value);
        }
        self.lane = seen.level;
        self.slow.add(value, self.per_day.max(200.0));
        for k in 0..3 {
            let over = if k == 0 { Some(value) } else { seen.bases[k].map(|b| value - b) };
            if let Some(over) = over {
                let level = self.levels[k].unwrap_or(over);
                self.levels[k] = Some(level + LEVEL_RATE * (over - level));
            }
        }
        self.rows += 1;
    }

    /// The values between which evidence stays below `limit`, around `expected`.
    pub(crate) fn band(&self, local_secs: i64, limit: f64) -> Option<(f64, f64)> {
        let bases = self.bases(local_secs);
        let expected = self.expected(local_secs)?;
        let hour = Self::hour(local_secs);
        let (mut lower, mut upper) = (f64::NEG_INFINITY, f64::INFINITY);
        let mut cut = |tail: &Tail, centre: f64, factor: f64, limit: f64| {
            if let (Some(up), Some(down)) = (tail.size_at(limit, false), tail.size_at(limit, true)) {
                upper = upper.min(centre + up * factor);
                lower = lower.max(centre - down * factor);
            }
        };
        cut(&self.tails[0], expected, self.step_scale.factor(hour), limit);
        if let Some(level) = self.levels[0] {
            cut(&self.tails[2], level, self.raw_scale.factor(hour), limit + self.raw_penalty());
        }
        if let Some(usual) = self.mix(&bases, &self.base_errors, SHARPNESS.1) {
            let centre = usual - self.lane * (1.0 - LANE_RATE) / LANE_RATE;
            cut(&self.tails[1], centre, 1.0 / LANE_RATE, limit - LEVEL_BONUS);
        }
        let finite = lower.is_finite() && upper.is_finite();
        finite.then(|| (lower.min(expected), upper.max(expected)))
    }

    /// Evidence at which a row is abnormal, for a wished number of false alarms a week.
    pub(crate) fn limit(&self, false_alarms_per_week: f64) -> f64 {
        let step = (self.interval_secs as f64).max(300.0) / 300.0;
        (2.85 - 0.35 * step.log10() - false_alarms_per_week.max(1e-3).log10()).clamp(1.0, LEARN_AT_MOST)
    }
}
