//! Judging one series: the one fold behind live judging, restart, backtest, preview and `detect`.
//!
//! [`SeriesJudge::observe`] takes windows in order. It promises that expected value and band rest on what was learned
//! before and on nothing of the window itself, that the same observations give the same verdicts and transitions
//! whenever and wherever they are judged, and that `save` at any point followed by `load` changes nothing.
//!
//! Values beyond +-3.4e38 are taken as that. A rate over nothing (denominator 0) is no value; one over little is judged as
//! it stands, by the spread it had at this time of day.
//!
//! A window not newer than the newest one judged is late. It is judged by the algorithms that can (`baseline`,
//! `threshold`), laid into the history where it may be learned, and leaves running sums alone. Where it is still one of
//! the last n of `for: {m, n}` it takes its place there and the alert is judged anew (see [`crate::alert_state`]); what
//! that leads to is told of the newest window, with the late window's numbers and the note `late`. Backfill and older
//! windows change no alert.
//!
//! When windows have come in order behind the newest one for [`NEW_ORDER_AFTER`] times, the clock that wrote the newest
//! one was wrong, and they become the present.
//!
//! Notes a reason may carry, beside those of the algorithms:
//!
//! | note | meaning |
//! |---|---|
//! | `promotion:NAME` | a promotion of the calendar holds: scaled, widened, not learned |
//! | `excluded:NAME` | the calendar excludes the window from learning |
//! | `other_direction` | outside, but not on the side the metric's `direction` watches |
//! | `below_min_deviation` | outside, but by less than `min_deviation_pct` |
//! | `below_min_value` | outside, but value and expectation are below `min_value` |
//! | `limit_not_earned` | outside by a limit rarer than its own past could show; another algorithm judges and disagrees |
//! | `alert_holds` | outside as before: keeps the alert firing and says nothing new |
//! | `few_days` | the baseline rests on three days and does not page alone |
//! | `fallback:holiday->weekend` | too few holidays were seen: weekends stand for them |
//! | `extrapolated_limit` | the limit is rarer than what was seen |
//! | `new_level?` | the alert fires longer than `freeze_max`: values are learned again |
//! | `late` | the window is older than the newest one judged |
//! | `never_fired` | a pending alert ended without firing |
//! | `series_gone` | the alert ended because the series was not seen for seven days |
//! | `reconfigured` | the alert ended (or began) because a changed configuration judges otherwise |

use std::sync::Arc;
use std::time::Duration;

use model::{AlertTransition, Labels, Origin, SeriesKey, Severity, Timestamp, Verdict, VerdictState, Window};
use serde::{Deserialize, Serialize};

use crate::alert_state::{AlertState, CLEARS_BELOW, Change, FIRES_AT_ONCE, Signal};
use crate::algorithm::{Algorithm, Observation, Observed};
use crate::algorithms;
use crate::calendar::Calendar;
use crate::civil::{self, Grid};
use crate::evaluator::{self, Evaluation, Found};
use crate::history::{History, to_cell};
use crate::interval::IntervalFinder;
use crate::same_phase::DayPlan;
use crate::settings::{Kind, NoDataSetting, Settings};
use crate::state;

mod scene;
mod telling;

use scene::Scene;
use telling::alert_labels;

/// The severity of missing data where none is fixed.
const NO_DATA_SEVERITY: Severity = Severity::P1;

/// So many windows in order behind the newest one become the present.
pub const NEW_ORDER_AFTER: u32 = 60;

const VERSION: u8 = 2;

/// What an observation led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// What its alert did; mostly nothing.
    pub transitions: Vec<AlertTransition>,
}

/// The judge of one series with everything it learned.
#[derive(Debug)]
pub struct SeriesJudge {
    series: SeriesKey,
    labels: Labels,
    settings: Arc<Settings>,
    calendar: Arc<Calendar>,
    algorithms: Vec<Box<dyn Algorithm>>,
    memory: Memory,
    plan: Option<DayPlan>,
    explain: bool,
}

/// What is saved, beside the algorithms' own states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    interval: IntervalFinder,
    history: History,
    alert: AlertState,
    newest: Option<Timestamp>,
    behind: Behind,
    previous: Option<f32>,
    resolution: f64,
    learning: bool,
}

/// Windows that came in order, but behind the newest one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Behind {
    count: u32,
    last: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    memory: Memory,
    algorithms: Vec<(String, Vec<u8>)>,
}

impl SeriesJudge {
    /// A judge that knows nothing yet.
    pub fn new(series: SeriesKey, settings: Arc<Settings>, calendar: Arc<Calendar>) -> Self {
        let algorithms = algorithms::for_settings(&settings);
        let labels = alert_labels(&series, &settings);
        let memory = Memory { learning: true, ..Memory::default() };
        Self { series, labels, settings, calendar, algorithms, memory, plan: None, explain: false }
    }

    /// Makes every verdict carry its whole reason, whatever its score.
    pub fn explain(&mut self, always: bool) {
        self.explain = always;
    }

    /// Whose judge it is.
    pub fn series(&self) -> &SeriesKey {
        &self.series
    }

    /// Whether the last window with a value could not be judged.
    pub fn is_learning(&self) -> bool {
        self.memory.learning
    }

    /// Start of the newest window judged.
    pub fn newest(&self) -> Option<Timestamp> {
        self.memory.newest
    }

    /// How many windows its alert has fired; `None` while it does not.
    pub fn firing_windows(&self) -> Option<u32> {
        self.memory.alert.firing_windows()
    }

    /// The sampling interval, declared or found.
    pub fn interval(&self) -> Option<Duration> {
        self.settings.interval.or(self.memory.interval.found())
    }

    /// Takes changed settings in and keeps what was learned; algorithms no longer named are dropped, new ones start.
    pub fn reconfigure(&mut self, settings: Arc<Settings>, calendar: Arc<Calendar>) {
        let mut fresh = algorithms::for_settings(&settings);
        for slot in &mut fresh {
            if let Some(at) = self.algorithms.iter().position(|have| have.name() == slot.name()) {
                *slot = self.algorithms.swap_remove(at);
            }
        }
        self.algorithms = fresh;
        self.labels = alert_labels(&self.series, &settings);
        (self.settings, self.calendar, self.plan) = (settings, calendar, None);
    }

    /// Judges an observation from what was learned before, then learns it. See the module for late windows.
    pub fn observe(&mut self, observation: &Observation) -> Judged {
        let observation = &tamed(observation, self.settings.kind);
        let late = self.is_late(observation.window.start);
        self.find_interval(observation, late);
        let mut scene = self.scene(observation);
        let frozen = self.frozen(observation.window);
        let do_not_learn = frozen || scene.mark.promotion.is_some() || scene.mark.excluded.is_some();
        let found = self.judge(&scene, observation, do_not_learn, late, self.explain);
        let evaluation =
            evaluator::evaluate(&found, observation.number(), &self.settings, self.memory.alert.severity());
        let change =
            if late { self.revise(observation, &evaluation) } else { self.step(observation, &evaluation) };
        let judged = self.verdict(&scene, observation, &evaluation, found, change, (do_not_learn, late));
        self.learn(&mut scene, observation, &judged.verdict, late);
        self.plan = Some(scene.plan);
        judged
    }

    /// Whether a window is behind the newest one; notices when such windows have become the present.
    fn is_late(&mut self, start: Timestamp) -> bool {
        let behind = self.memory.newest.is_some_and(|newest| start <= newest);
        let memory = &mut self.memory;
        if !behind {
            memory.behind = Behind::default();
            memory.newest = Some(start);
            return false;
        }
        let in_order = memory.behind.last.is_none_or(|last| last < start);
        memory.behind.count = if in_order { memory.behind.count + 1 } else { 1 };
        memory.behind.last = Some(start);
        if memory.behind.count < NEW_ORDER_AFTER {
            return true;
        }
        (memory.newest, memory.behind) = (Some(start), Behind::default());
        false
    }

    /// Looks for the interval where none is declared; a new estimate sorts the rows seen so far anew into phases.
    fn find_interval(&mut self, observation: &Observation, late: bool) {
        if self.settings.interval.is_some() || late || !self.memory.interval.see(observation.window.start) {
            return;
        }
        let Some(interval) = self.memory.interval.found() else { return };
        let grid = Grid::new(interval);
        self.memory.history = History::default();
        for (start, value, learn) in self.memory.interval.rows() {
            let place = civil::locate(*start, self.settings.timezone, grid);
            self.memory.history.write(place.day, place.phase, place.nth, *value, *learn);
        }
        self.plan = None;
    }

    fn scene(&mut self, observation: &Observation) -> Scene {
        let window = observation.window;
        let interval = self.interval().unwrap_or_else(|| window.length()).max(Duration::from_millis(1));
        let plan = self.plan.take();
        let memory = &self.memory;
        Scene::new(
            window.start,
            interval,
            &self.settings,
            &self.calendar,
            plan,
            &memory.history,
            memory.resolution,
        )
    }

    /// Whether the window lies in the first `freeze_max` of a firing run.
    fn frozen(&self, window: Window) -> bool {
        let fired_at = self.memory.alert.fired_at();
        fired_at.is_some_and(|fired_at| window.start.since(fired_at) < self.settings.freeze_max)
    }

    fn judge(
        &self,
        scene: &Scene,
        observation: &Observation,
        do_not_learn: bool,
        late: bool,
        explain: bool,
    ) -> Vec<Found> {
        let firing = self.memory.alert.firing_windows();
        let mut context = scene.context(&self.settings, &self.memory.history, firing, do_not_learn);
        context.explain = explain;
        self.algorithms
            .iter()
            .filter(|algorithm| !late || algorithm.judges_late())
            .map(|algorithm| Found {
                by: algorithm.registered(),
                finding: evaluator::finite(algorithm.judge(&context, observation)),
            })
            .collect()
    }

    /// What a window means for the alert.
    fn signal(&self, observation: &Observation, evaluation: &Evaluation) -> Signal {
        let score = evaluation.paging_score;
        let no_data = self.settings.severity.unwrap_or(NO_DATA_SEVERITY);
        match observation.number() {
            None if self.settings.no_data == NoDataSetting::Alert => Signal::NoData(no_data),
            None => Signal::Unknown,
            Some(_) if score >= 1.0 => Signal::Bad {
                severity: self.severity(score),
                tempered: self.severity(score * 1.1),
                at_once: score >= FIRES_AT_ONCE,
            },
            Some(_) if evaluation.score < CLEARS_BELOW => Signal::Calm,
            Some(_) => Signal::Uneasy,
        }
    }

    fn step(&mut self, observation: &Observation, evaluation: &Evaluation) -> Option<Change> {
        let signal = self.signal(observation, evaluation);
        self.memory.alert.step(observation.window, signal, self.settings.for_)
    }

    /// Lets a late value take its window's place in the alert's last n.
    fn revise(&mut self, observation: &Observation, evaluation: &Evaluation) -> Option<Change> {
        let now = self.memory.newest.filter(|_| observation.origin != Origin::Backfill)?;
        observation.number()?;
        let signal = evaluation.can_judge.then(|| self.signal(observation, evaluation));
        self.memory.alert.revise(observation.window.start, signal, now, self.settings.for_)
    }

    fn learn(&mut self, scene: &mut Scene, observation: &Observation, verdict: &Verdict, late: bool) {
        let marked = scene.mark.promotion.is_some() || scene.mark.excluded.is_some();
        let do_not_learn = marked || self.frozen(observation.window);
        let firing = self.memory.alert.firing_windows();
        if !late {
            let context = scene.context(&self.settings, &self.memory.history, firing, do_not_learn);
            for algorithm in &mut self.algorithms {
                algorithm.learn(&context, observation, verdict);
            }
        }
        let Some(value) = observation.number().map(to_cell) else { return };
        if !late {
            self.see(value);
            self.memory.learning = verdict.state == VerdictState::Learning;
            if self.settings.interval.is_none() {
                self.memory.interval.keep(observation.window.start, value, !do_not_learn);
            }
        }
        let place = scene.place;
        self.memory.history.write(place.day, place.phase, place.nth, value, !do_not_learn);
        scene.plan.forget(place.phase);
    }

    /// Keeps the smallest step between neighbours: what the numbers resolve.
    fn see(&mut self, value: f32) {
        if let Some(previous) = self.memory.previous.replace(value) {
            let step = (f64::from(value) - f64::from(previous)).abs();
            if step > 0.0 && (self.memory.resolution == 0.0 || step < self.memory.resolution) {
                self.memory.resolution = step;
            }
        }
    }

    /// The judge's whole state as bytes, with a version in front.
    pub fn save(&self) -> Vec<u8> {
        let algorithms = self.algorithms.iter().map(|a| (a.name().to_owned(), a.save())).collect();
        state::save(VERSION, &Saved { memory: self.memory.clone(), algorithms })
    }

    /// Takes a saved state in.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged; the judge is then as new.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = Self::new(self.series.clone(), self.settings.clone(), self.calendar.clone());
        let saved: Saved = state::load(VERSION, bytes)?;
        if !saved.memory.history.is_sound() || !saved.memory.resolution.is_finite() {
            return Err(format!("history of {} is damaged", self.series));
        }
        for (name, bytes) in &saved.algorithms {
            if let Some(algorithm) = self.algorithms.iter_mut().find(|a| a.name() == name) {
                algorithm.load(bytes).map_err(|error| format!("{name} of {}: {error}", self.series))?;
            }
        }
        self.memory = saved.memory;
        Ok(())
    }
}

/// A value no larger than a cell can hold, so that its square is a number too; a share of nothing is no value.
fn tamed(observation: &Observation, kind: Kind) -> Observation {
    let mut tamed = observation.clone();
    if let Observed::Value { value, ratio } = &mut tamed.value {
        let largest = f64::from(f32::MAX);
        *value = if value.is_nan() { 0.0 } else { value.clamp(-largest, largest) };
        if kind == Kind::Rate && ratio.is_some_and(|ratio| ratio.denominator == 0.0) {
            tamed.value = Observed::Absent;
        }
    }
    tamed
}
