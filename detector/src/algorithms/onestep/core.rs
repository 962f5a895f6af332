//! The streaming detector itself: three lanes of residuals, each calibrated to a tail probability.
//!
//! *One step*: what the next row should be, from the last rows, the same time of earlier days and of earlier weeks,
//! weighted by how well each did. *Level*: a smoothed difference from the usual level, which only adds to what the
//! one-step lane sees. *Raw*: the difference from the last rows alone, counted only where there is no season to
//! explain it.
//!
//! For some rows after an abnormal one the levels of before are kept beside those that followed it, and a value
//! between the two is normal: coming back is no news.

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
const STEP_SHARPNESS: i32 = 8;
const BASE_SHARPNESS: i32 = 2;
/// What the one-step lane and the level lane count together, the latter up to a most.
const JOINT: (f64, f64) = (0.65, 0.5);
const JOINT_LEVEL_MOST: f64 = 4.0;
/// Floors of the tails' slopes.
const FLOOR: f64 = 0.03;
const LEVEL_FLOOR: f64 = 0.15;
/// Fewer rows a day than this have no daily season.
const LEAST_ROWS_A_DAY: f64 = 8.0;
/// So many rows after an abnormal one the levels of before it are remembered, once there were so many rows.
const HOLD_ROWS: u32 = 10;
const HOLD_FROM: u64 = 60;
/// Halvings of the interval in which an end of the band is looked for.
const BAND_STEPS: u32 = 8;

/// What is known of a row before its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    /// The one-step prediction.
    pub(crate) expected: f64,
    /// Between these the one-step lane, and the raw lane, see no deviation.
    step: (f64, f64),
    raw: (f64, f64),
    /// The usual level.
    usual: f64,
    step_factor: f64,
    raw_factor: f64,
    raw_penalty: f64,
    bases: [Option<f64>; 3],
    predictions: [Option<f64>; 3],
}

/// How improbable a row is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Assessment {
    /// Evidence of the three lanes: one step, level, raw; -log10 of a tail probability.
    pub(crate) lanes: [f64; 3],
    /// All of it.
    pub(crate) evidence: f64,
    /// Which way it points.
    pub(crate) residual: f64,
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
    /// The levels before the last abnormal row, and for how many rows they still count.
    calm: [Option<f64>; 3],
    hold: u32,
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
        let scale_memory = scale_memory(per_day);
        Self {
            interval_secs,
            per_day,
            rows: 0,
            history: DayHistory::new(interval_secs),
            levels: [None; 3],
            calm: [None; 3],
            hold: 0,
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

    /// What is known of the row at this time, from the rows learned before; `None` before the first.
    pub(crate) fn outlook(&self, local_secs: i64) -> Option<Outlook> {
        let level = self.levels[0]?;
        let bases = self.bases(local_secs);
        let predictions = over(&bases, &self.levels);
        let expected = self.mix(&predictions, &self.step_errors, STEP_SHARPNESS).unwrap_or(level);
        let (mut step, mut raw) = ((expected, expected), (level, level));
        if self.hold > 0 {
            let before = self.mix(&over(&bases, &self.calm), &self.step_errors, STEP_SHARPNESS);
            step = widened(step, before);
            raw = widened(raw, self.calm[0]);
        }
        let hour = hour(local_secs);
        Some(Outlook {
            expected,
            step,
            raw,
            usual: self.mix(&bases, &self.base_errors, BASE_SHARPNESS).unwrap_or(level),
            step_factor: self.step_scale.factor(hour),
            raw_factor: self.raw_scale.factor(hour),
            raw_penalty: self.raw_penalty(),
            bases,
            predictions,
        })
    }

    /// Judges a value.
    pub(crate) fn assess(&self, outlook: &Outlook, value: f64) -> Assessment {
        let z_step = outside(value, outlook.step) / outlook.step_factor;
        let z_raw = outside(value, outlook.raw) / outlook.raw_factor;
        let level = self.lane + LANE_RATE * (value - outlook.usual - self.lane);
        let lanes = [
            self.tails[0].evidence(z_step),
            self.tails[1].evidence(level),
            (self.tails[2].evidence(z_raw) - outlook.raw_penalty).max(0.0),
        ];
        let joint = JOINT.0 * lanes[0] + JOINT.1 * lanes[1].min(JOINT_LEVEL_MOST);
        let evidence = lanes[0].max(joint).max(lanes[2]);
        let residual = match () {
            () if evidence == lanes[2] => z_raw,
            () if evidence == lanes[0] || JOINT.0 * lanes[0] > JOINT.1 * lanes[1] => z_step,
            () => level,
        };
        Assessment { lanes, evidence, residual, level }
    }

    /// The values between which evidence stays below `limit`; the expected one is always among them.
    pub(crate) fn band(&self, outlook: &Outlook, limit: f64) -> Option<(f64, f64)> {
        let end = |below: bool| {
            let far = self.tails[0].size_at(limit, below)? * outlook.step_factor;
            let sign = if below { -1.0 } else { 1.0 };
            let (mut inside, mut beyond) = (0.0, far + (outlook.step.1 - outlook.step.0));
            for _ in 0..BAND_STEPS {
                let middle = 0.5 * (inside + beyond);
                let calm = self.assess(outlook, outlook.expected + sign * middle).evidence < limit;
                *(if calm { &mut inside } else { &mut beyond }) = middle;
            }
            Some(outlook.expected + sign * 0.5 * (inside + beyond))
        };
        let (lower, upper) = (end(true)?, end(false)?);
        (lower.is_finite() && upper.is_finite()).then_some((lower, upper))
    }

    /// Baselines of the three experts: the slow level, the day's, the week's.
    fn bases(&self, local_secs: i64) -> [Option<f64>; 3] {
        let day = if self.per_day >= LEAST_ROWS_A_DAY { self.history.day_baseline(local_secs) } else { None };
        [self.slow.get(), day, self.history.week_baseline(local_secs)]
    }

    /// Weighted mean of what the experts say, by 1 / error^sharpness; one without a record does not count.
    fn mix(&self, said: &[Option<f64>; 3], errors: &[Mean; 3], sharpness: i32) -> Option<f64> {
        let least = (self.per_day / 2.0).min(100.0);
        let counts = |k: usize| said[k].is_some() && (k == 0 || errors[k].seen() >= least);
        let error = |k: usize| errors[k].get().unwrap_or(0.0);
        let best = (0..3).filter(|k| counts(*k)).map(error).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for k in (0..3).filter(|k| counts(*k)) {
            let weight = if error(k) > 0.0 { (best / error(k)).powi(sharpness) } else { 1.0 };
            sum += weight * said[k].unwrap_or(0.0);
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
        let Some(outlook) = self.outlook(local_secs) else {
            self.levels[0] = Some(value);
            return self.follow(local_secs, value, keep, [None; 3]);
        };
        let seen = self.assess(&outlook, value);
        if keep {
            self.calibrate(local_secs, value, &outlook, &seen);
        }
        self.lane = seen.level;
        if seen.evidence >= self.limit(1.0) && self.rows >= HOLD_FROM {
            self.calm = if self.hold == 0 { self.levels } else { self.calm };
            self.hold = HOLD_ROWS;
        } else {
            self.hold = self.hold.saturating_sub(1);
        }
        self.follow(local_secs, value, keep, outlook.bases);
    }

    /// Learns how well each expert did and how large residuals are.
    fn calibrate(&mut self, local_secs: i64, value: f64, outlook: &Outlook, seen: &Assessment) {
        let memory = scale_memory(self.per_day);
        let errors = self.step_errors.iter_mut().zip(outlook.predictions);
        for (errors, said) in errors.chain(self.base_errors.iter_mut().zip(outlook.bases)) {
            if let Some(said) = said {
                errors.add((value - said).abs(), memory);
            }
        }
        // Calibrated on the whole residual, not on what lies outside of both levels: coming back is rare, too.
        let (step, raw) = (value - outlook.expected, value - self.levels[0].unwrap_or(value));
        self.tails[0].learn(step / outlook.step_factor);
        self.tails[1].learn(seen.level);
        self.tails[2].learn(raw / outlook.raw_factor);
        self.step_scale.learn(hour(local_secs), step);
        self.raw_scale.learn(hour(local_secs), raw);
    }

    /// Moves the levels.
    fn follow(&mut self, local_secs: i64, value: f64, keep: bool, bases: [Option<f64>; 3]) {
        for (k, level) in self.levels.iter_mut().enumerate() {
            let over = if k == 0 { Some(value) } else { bases[k].map(|base| value - base) };
            if let Some(over) = over {
                let before = level.unwrap_or(over);
                *level = Some(before + LEVEL_RATE * (over - before));
            }
        }
        self.slow.add(value, self.per_day.max(200.0));
        if keep {
            self.history.put(local_secs, value);
        }
        self.rows += 1;
    }

    /// Evidence at which a row is abnormal, for a wished number of false alarms a week.
    pub(crate) fn limit(&self, false_alarms_per_week: f64) -> f64 {
        let step = (self.interval_secs as f64).max(300.0) / 300.0;
        (2.85 - 0.35 * step.log10() - false_alarms_per_week.max(1e-3).log10()).clamp(1.0, LEARN_AT_MOST)
    }
}

fn scale_memory(per_day: f64) -> f64 {
    (14.0 * per_day).max(200.0)
}

fn hour(local_secs: i64) -> usize {
    (local_secs.rem_euclid(DAY_SECS) / 3600) as usize
}

/// What the experts say: the last level, and the day's and the week's baseline with their levels.
fn over(bases: &[Option<f64>; 3], levels: &[Option<f64>; 3]) -> [Option<f64>; 3] {
    let lifted = |k: usize| bases[k].map(|base| base + levels[k].unwrap_or(0.0));
    [levels[0], lifted(1), lifted(2)]
}

fn widened(span: (f64, f64), by: Option<f64>) -> (f64, f64) {
    by.map_or(span, |by| (span.0.min(by), span.1.max(by)))
}

/// How far a value lies outside of a span, with its sign.
fn outside(value: f64, span: (f64, f64)) -> f64 {
    value - value.clamp(span.0, span.1)
}
