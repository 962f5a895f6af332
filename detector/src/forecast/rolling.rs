//! What is forecast of each row from rows at least some age older.
//!
//! At every row the value one age later is forecast from the same time of earlier days and of earlier weeks, each with
//! and without what the last hours lay above it, weighted by how well each did. The interval covers 95 % of this
//! series' own past errors.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::algorithms::onestep::history::DayHistory;
use crate::algorithms::onestep::mean::Mean;
use crate::algorithms::onestep::scale::HourScale;
use crate::algorithms::onestep::tail::Tail;
use crate::forecast::members::cholesky;

const DAY_SECS: i64 = 86_400;
/// The interval is the median of this many steps.
const STEPS: usize = 60;
/// -log10 of the share of errors beyond each end of the interval.
const EACH_END: f64 = 1.602;
const EXPERTS: usize = 8;
/// Until their errors' covariance is known, experts are weighted by 1 / error^this.
const SHARPNESS: i32 = 8;
/// Days that the covariance of errors remembers, and days it takes to be believed.
const COVARIANCE_DAYS: f64 = 21.0;
const COVARIANCE_FROM_DAYS: f64 = 2.0;
/// Added to the variances, as a share: experts that say the same thing are to share the weight.
const RIDGE: f64 = 0.1;
/// Rows count in the covariance as if their smallest error were at most so many times the best expert's mean error.
const FENCE: f64 = 4.0;
/// Rows that errors are remembered for at least.
const LEAST_MEMORY: f64 = 500.0;

/// A forecast with the interval that 95 % of past errors stayed in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollingForecast {
    /// The value.
    pub expected: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// A forecast made for a row that is still to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ahead {
    for_secs: i64,
    said: [Option<f64>; EXPERTS],
    forecast: RollingForecast,
    residual_factor: f64,
}

/// Forecasts every row from rows at least `age` older. State grows with the rows of one age and four weeks of history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rolling {
    age_secs: i64,
    waiting: Vec<(i64, Option<f64>)>,
    state: Option<State>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    interval_secs: i64,
    per_day: f64,
    history: DayHistory,
    ahead: VecDeque<Ahead>,
    /// What the last hours lay above the day's and the week's baseline, and the slow level.
    over: [Mean; 2],
    level: Mean,
    errors: [Mean; EXPERTS],
    /// Second moments of the experts' errors, by rows, over so many rows at which all of them spoke.
    moments: Vec<f64>,
    moment_rows: f64,
    /// The weights of least error; empty until known.
    weights: Vec<f64>,
    scale: HourScale,
    tail: Tail,
}

impl Rolling {
    /// Forecasts from rows at least `age_secs` older.
    pub fn new(age_secs: i64) -> Self {
        Self { age_secs: age_secs.max(1), waiting: Vec::new(), state: None }
    }

    /// The forecast of a row, made before; then takes the row in. Times are civil seconds and grow.
    pub fn step(&mut self, local_secs: i64, value: Option<f64>) -> Option<RollingForecast> {
        if let Some(state) = &mut self.state {
            let said = state.arrive(local_secs, value);
            state.send(local_secs, self.age_secs);
            return said;
        }
        self.waiting.push((local_secs, value));
        if self.waiting.len() > STEPS {
            let mut state = State::new(median_step(&self.waiting));
            for (at, value) in std::mem::take(&mut self.waiting) {
                state.arrive(at, value);
                state.send(at, self.age_secs);
            }
            self.state = Some(state);
        }
        None
    }
}

fn median_step(rows: &[(i64, Option<f64>)]) -> i64 {
    let mut steps: Vec<i64> = rows.windows(2).map(|two| two[1].0 - two[0].0).filter(|s| *s > 0).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(60)
}

fn hour(local_secs: i64) -> usize {
    (local_secs.rem_euclid(DAY_SECS) / 3600) as usize
}

fn both(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(0.5 * (a? + b?))
}

impl State {
    fn new(interval_secs: i64) -> Self {
        let per_day = (DAY_SECS as f64 / interval_secs as f64).max(1.0);
        let memory = (14.0 * per_day).max(LEAST_MEMORY);
        Self {
            interval_secs,
            per_day,
            history: DayHistory::new(interval_secs),
            ahead: VecDeque::new(),
            over: [Mean::default(); 2],
            level: Mean::default(),
            errors: [Mean::default(); EXPERTS],
            moments: vec![0.0; EXPERTS * EXPERTS],
            moment_rows: 0.0,
            weights: Vec::new(),
            scale: HourScale::new(memory),
            tail: Tail::new(2.0 * memory, 0.03),
        }
    }

    /// Takes a row in and gives what was forecast of it.
    fn arrive(&mut self, at: i64, value: Option<f64>) -> Option<RollingForecast> {
        let mut due = None;
        while self.ahead.front().is_some_and(|ahead| ahead.for_secs <= at) {
            due = self.ahead.pop_front();
        }
        let due = due.filter(|ahead| at - ahead.for_secs < 2 * self.interval_secs);
        let Some(value) = value else { return due.map(|ahead| ahead.forecast) };
        if let Some(ahead) = &due {
            let memory = (7.0 * self.per_day).max(LEAST_MEMORY);
            for (error, said) in self.errors.iter_mut().zip(ahead.said) {
                if let Some(said) = said {
                    error.add((value - said).abs(), memory);
                }
            }
            self.compare(&ahead.said, value);
            let error = value - ahead.forecast.expected;
            self.scale.learn(hour(at), error);
            self.tail.learn(error / ahead.residual_factor);
        }
        let bases = self.bases(at);
        for (over, base) in self.over.iter_mut().zip(bases) {
            if let Some(base) = base {
                over.add(value - base, (self.per_day / 2.0).max(4.0));
            }
        }
        self.level.add(value, self.per_day.max(4.0));
        self.history.put(at, value);
        due.map(|ahead| ahead.forecast)
    }

    /// Forecasts the row one age later from what is known now.
    fn send(&mut self, at: i64, age_secs: i64) {
        let target = at + age_secs;
        let [day, week] = self.bases(target);
        let lift = |base: Option<f64>, over: &Mean| base.map(|b| b + over.get().unwrap_or(0.0));
        let said = [
            day,
            lift(day, &self.over[0]),
            week,
            lift(week, &self.over[1]),
            self.history.newest(target),
            self.level.get(),
            both(day, week),
            both(lift(day, &self.over[0]), lift(week, &self.over[1])),
        ];
        let Some(expected) = self.mix(&said) else { return };
        let factor = self.scale.factor(hour(target));
        let end = |below| self.tail.size_at(EACH_END, below).unwrap_or(0.0) * factor;
        let forecast =
            RollingForecast { expected, lower: expected - end(true), upper: expected + end(false) };
        self.ahead.push_back(Ahead { for_secs: target, said, forecast, residual_factor: factor });
    }

    /// The day's and the week's baseline.
    fn bases(&self, at: i64) -> [Option<f64>; 2] {
        [self.history.day_baseline(at), self.history.week_baseline(at)]
    }

    /// Learns how the experts' errors go together, and now and then the weights that follow (Bates and Granger 1969).
    fn compare(&mut self, said: &[Option<f64>; EXPERTS], value: f64) {
        if said.iter().any(Option::is_none) {
            return;
        }
        // A row that surprises even the closest expert is drawn in for all of them alike.
        let closest = said.iter().flatten().map(|said| (value - said).abs()).fold(f64::INFINITY, f64::min);
        let usual = self.errors.iter().filter_map(|error| error.get()).fold(f64::INFINITY, f64::min);
        let share = if closest > FENCE * usual { FENCE * usual / closest } else { 1.0 };
        let errors = said.map(|said| share * (value - said.unwrap_or(value)));
        self.moment_rows += 1.0;
        let memory = self.moment_rows.min(COVARIANCE_DAYS * self.per_day);
        for (cell, k) in self.moments.iter_mut().zip(0..) {
            *cell += (errors[k / EXPERTS] * errors[k % EXPERTS] - *cell) / memory;
        }
        let every = (self.per_day / 24.0).floor() + 1.0;
        if self.moment_rows >= COVARIANCE_FROM_DAYS * self.per_day && self.moment_rows % every == 0.0 {
            self.weigh();
        }
    }

    /// Weights proportional to the row sums of the inverse covariance, none below zero.
    fn weigh(&mut self) {
        let variance = |k: usize| self.moments[k * EXPERTS + k];
        let size = (0..EXPERTS).map(variance).sum::<f64>() / EXPERTS as f64;
        if !(size > 0.0 && size.is_finite()) {
            return;
        }
        let mut scaled: Vec<f64> = self.moments.iter().map(|cell| cell / size).collect();
        (0..EXPERTS).for_each(|k| scaled[k * EXPERTS + k] = scaled[k * EXPERTS + k] * (1.0 + RIDGE) + 1e-9);
        let Some(mut weights) = cholesky(scaled, vec![1.0; EXPERTS], EXPERTS) else { return };
        weights.iter_mut().for_each(|w| *w = w.max(0.0));
        let sum: f64 = weights.iter().sum();
        if sum > 0.0 && sum.is_finite() {
            self.weights = weights.iter().map(|w| w / sum).collect();
        }
    }

    /// Weighted by the covariance of errors where it is known and all experts speak, else by 1 / error^[`SHARPNESS`];
    /// before there are errors the first that says anything.
    fn mix(&self, said: &[Option<f64>; EXPERTS]) -> Option<f64> {
        if !self.weights.is_empty() && said.iter().all(Option::is_some) {
            return Some(said.iter().flatten().zip(&self.weights).map(|(said, w)| said * w).sum());
        }
        let known = |k: usize| self.errors[k].seen() >= (self.per_day / 4.0).min(100.0);
        let error = |k: usize| self.errors[k].get().unwrap_or(0.0);
        let best =
            (0..EXPERTS).filter(|k| said[*k].is_some() && known(*k)).map(error).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for k in (0..EXPERTS).filter(|k| known(*k)) {
            let Some(value) = said[k] else { continue };
            let weight = if error(k) > 0.0 { (best / error(k)).powi(SHARPNESS) } else { 1.0 };
            sum += weight * value;
            weights += weight;
        }
        if weights > 0.0 { Some(sum / weights) } else { said.iter().flatten().next().copied() }
    }
}
