//! Judging one series: the one fold behind live judging, restart, backtest, preview and `detect`.
//!
//! [`SeriesJudge::observe`] takes windows in order. It promises that expected value and band rest on what was learned
//! before and on nothing of the window itself, that the same observations give the same verdicts and transitions
//! whenever and wherever they are judged, and that `save` at any point followed by `load` changes nothing.
//!
//! Values beyond +-3.4e38 are taken as that. A window not newer than the newest one judged is late: it is judged by the algorithms that can (`baseline`,
//! `threshold`), laid into the history where it may be learned, and leaves alert and running sums alone. When windows
//! have come in order behind the newest one for [`NEW_ORDER_AFTER`] times, the clock that wrote the newest one was
//! wrong, and they become the present.
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

use model::{
    AlertId, AlertTransition, Labels, Origin, Reason, ReasonCode, SeriesKey, Severity, Timestamp, Verdict,
    VerdictState, Window,
};
use serde::{Deserialize, Serialize};

use crate::alert_state::{AlertState, CLEARS_BELOW, Change, FIRES_AT_ONCE, Signal};
use crate::algorithm::{Algorithm, Context, Observation, Observed};
use crate::algorithms;
use crate::calendar::{Calendar, Mark};
use crate::civil::{self, Grid, Place};
use crate::evaluator::{self, Evaluation, Found};
use crate::history::{History, to_cell};
use crate::interval::IntervalFinder;
use crate::same_phase::{DayPlan, SamePhase};
use crate::settings::{NoDataSetting, Settings};
use crate::state;

/// The severity of missing data where none is fixed.
const NO_DATA_SEVERITY: Severity = Severity::P1;

/// So many windows in order behind the newest one become the present.
pub const NEW_ORDER_AFTER: u32 = 60;

const VERSION: u8 = 1;

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

/// Where a window stands and what is expected there.
#[derive(Debug)]
struct Scene {
    interval: Duration,
    grid: Grid,
    place: Place,
    mark: Mark,
    same_phase: Option<SamePhase>,
    plan: DayPlan,
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
        let observation = &tamed(observation);
        let late = self.is_late(observation.window.start);
        self.find_interval(observation, late);
        let scene = self.scene(observation);
        let frozen = self.frozen(observation.window);
        let do_not_learn = frozen || scene.mark.promotion.is_some() || scene.mark.excluded.is_some();
        let found = self.judge(&scene, observation, do_not_learn, late, self.explain);
        let evaluation =
            evaluator::evaluate(&found, observation.number(), &self.settings, self.memory.alert.severity());
        let change = if late { None } else { self.step(observation, &evaluation) };
        let judged = self.verdict(&scene, observation, &evaluation, found, change, (do_not_learn, late));
        self.learn(&scene, observation, &judged.verdict, late);
        self.plan = Some(scene.plan);
        judged
    }

    /// The alert as it stands, told as the transition that would bring a newcomer up to date; `None` when nothing is
    /// pending or fires.
    pub fn standing(&self) -> Option<AlertTransition> {
        let change = self.memory.alert.standing()?;
        let start = self.memory.newest.unwrap_or(change.starts_at);
        let window = Window::new(start, self.interval().unwrap_or_default());
        let observation = Observation { window, origin: Origin::Live, revision: 0, value: Observed::Absent };
        let reason = Reason { version: 1, code: ReasonCode::NoData, ..Reason::default() };
        Some(self.transition(&self.blank(&observation, reason), change))
    }

    /// Ends whatever is pending or fires, because the series is judged no more; `None` when nothing is.
    pub fn retire(&mut self, window: Window, origin: Origin) -> Option<Judged> {
        let change = self.memory.alert.end()?;
        let observation = Observation { window, origin, revision: 0, value: Observed::Absent };
        let notes = vec!["series_gone".to_owned()];
        let reason = Reason { version: 1, code: ReasonCode::NoData, notes, ..Reason::default() };
        let verdict = self.blank(&observation, reason);
        let transitions = vec![self.transition(&verdict, change)];
        Some(Judged { verdict, transitions })
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
        let grid = Grid::new(interval);
        let zone = self.settings.timezone;
        let place = civil::locate(window.start, zone, grid);
        let plan = self.plan.take().filter(|plan| plan.day == place.day);
        let plan =
            plan.unwrap_or_else(|| DayPlan::new(place.day, &self.settings, &self.calendar, zone, grid));
        let mark = self.calendar.mark(&self.settings, place.day, place.second);
        let memory = &self.memory;
        let same_phase =
            SamePhase::find(&memory.history, &plan, place.phase, &self.settings, grid, memory.resolution);
        Scene { interval, grid, place, mark, same_phase, plan }
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
                name: algorithm.name(),
                finding: evaluator::finite(algorithm.judge(&context, observation)),
            })
            .collect()
    }

    /// The severity of a score.
    fn severity(&self, score: f64) -> Severity {
        let layers = self.settings.layers;
        self.settings.severity.unwrap_or(match score {
            s if s >= layers.p0 => Severity::P0,
            s if s >= layers.p1 => Severity::P1,
            _ => Severity::P2,
        })
    }

    fn step(&mut self, observation: &Observation, evaluation: &Evaluation) -> Option<Change> {
        let score = evaluation.paging_score;
        let bad = |severity, tempered, at_once| Signal::Bad { severity, tempered, at_once };
        let no_data = self.settings.severity.unwrap_or(NO_DATA_SEVERITY);
        let signal = match observation.number() {
            None if self.settings.no_data == NoDataSetting::Alert => bad(no_data, no_data, false),
            None => Signal::Unknown,
            Some(_) if score >= 1.0 => {
                bad(self.severity(score), self.severity(score * 1.1), score >= FIRES_AT_ONCE)
            }
            Some(_) if evaluation.score < CLEARS_BELOW => Signal::Calm,
            Some(_) => Signal::Uneasy,
        };
        self.memory.alert.step(observation.window, signal, self.settings.for_)
    }

    fn verdict(
        &self,
        scene: &Scene,
        observation: &Observation,
        evaluation: &Evaluation,
        found: Vec<Found>,
        change: Option<Change>,
        (do_not_learn, late): (bool, bool),
    ) -> Judged {
        let has_value = observation.number().is_some();
        let firing = !late && self.memory.alert.firing_windows().is_some();
        let told = self.explain || change.is_some() || firing || evaluation.score >= 0.8;
        let mut reason = if told {
            let found =
                if self.explain { found } else { self.judge(scene, observation, do_not_learn, late, true) };
            evaluation.reason(found, has_value)
        } else {
            evaluation.brief(&found, has_value)
        };
        self.annotate(&mut reason, scene, observation.window, firing, late);
        let verdict = Verdict {
            state: state_of(has_value, firing, evaluation),
            value: evaluation.value,
            expected: evaluation.expected,
            lower: evaluation.lower,
            upper: evaluation.upper,
            forecast: evaluation.forecast,
            prev_week: self.memory.history.seen(scene.place.day - 7, scene.place.phase).map(f64::from),
            deviation_pct: evaluation.deviation_pct,
            score: evaluation.score,
            severity: change.map_or_else(|| self.severity_now(has_value, evaluation.score), |c| c.severity),
            ..self.blank(observation, reason)
        };
        let mut transitions = Vec::new();
        if let Some(change) = change {
            transitions.push(self.transition(&verdict, change));
        }
        Judged { verdict, transitions }
    }

    fn severity_now(&self, has_value: bool, score: f64) -> Severity {
        if has_value { self.severity(score) } else { self.settings.severity.unwrap_or(NO_DATA_SEVERITY) }
    }

    fn annotate(&self, reason: &mut Reason, scene: &Scene, window: Window, firing: bool, late: bool) {
        let mark = &scene.mark;
        reason.notes.extend(mark.promotion.as_ref().map(|p| format!("promotion:{}", p.name)));
        reason.notes.extend(mark.excluded.as_ref().map(|name| format!("excluded:{name}")));
        if firing && !self.frozen(window) {
            reason.notes.push("new_level?".into());
        }
        if late {
            reason.notes.push("late".into());
        }
    }

    /// A verdict of a window of which nothing is known.
    fn blank(&self, observation: &Observation, reason: Reason) -> Verdict {
        Verdict {
            series: self.series.clone(),
            window: observation.window,
            revision: observation.revision,
            origin: observation.origin,
            state: VerdictState::Missing,
            value: None,
            expected: None,
            lower: None,
            upper: None,
            forecast: None,
            prev_week: None,
            deviation_pct: None,
            score: 0.0,
            severity: self.severity(0.0),
            reason,
            config_revision: self.settings.config_revision,
        }
    }

    fn transition(&self, verdict: &Verdict, change: Change) -> AlertTransition {
        let mut reason = verdict.reason.clone();
        if change.never_fired {
            reason.notes.push("never_fired".into());
        }
        let fingerprint = SeriesKey::new(self.series.metric.clone(), self.labels.clone()).fingerprint();
        AlertTransition {
            id: AlertId { fingerprint, starts_at: change.starts_at },
            series: self.series.clone(),
            labels: self.labels.clone(),
            transition: change.transition,
            severity: change.severity,
            window: verdict.window,
            origin: verdict.origin,
            value: verdict.value,
            expected: verdict.expected,
            lower: verdict.lower,
            upper: verdict.upper,
            deviation_pct: verdict.deviation_pct,
            score: verdict.score,
            info: self.settings.info.clone(),
            reason: Arc::new(reason),
            config_revision: verdict.config_revision,
        }
    }

    fn learn(&mut self, scene: &Scene, observation: &Observation, verdict: &Verdict, late: bool) {
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

impl Scene {
    fn context<'a>(
        &'a self,
        settings: &Arc<Settings>,
        history: &'a History,
        firing_windows: Option<u32>,
        do_not_learn: bool,
    ) -> Context<'a> {
        let promotion = self.mark.promotion.as_ref();
        let (factor, widen): (f64, f64) = promotion.map_or((1.0, 1.0), |p| (p.factor, p.widen));
        let same_phase = self.same_phase.as_ref();
        Context {
            settings: settings.clone(),
            zone: settings.timezone,
            interval: self.interval,
            day: self.place.day,
            phase: self.place.phase,
            day_class: self.plan.class,
            promotion: promotion.cloned(),
            firing_windows,
            do_not_learn,
            baseline: same_phase.map(|same| same.expected * factor),
            scale: same_phase.map(|same| same.scale * (1.0 + same.v).sqrt() * widen),
            same_phase,
            grid: self.grid,
            history,
            explain: false,
        }
    }
}

/// A value no larger than a cell can hold, so that its square is a number too.
fn tamed(observation: &Observation) -> Observation {
    let mut tamed = observation.clone();
    if let Observed::Value { value, .. } = &mut tamed.value {
        let largest = f64::from(f32::MAX);
        *value = if value.is_nan() { 0.0 } else { value.clamp(-largest, largest) };
    }
    tamed
}

fn state_of(has_value: bool, firing: bool, evaluation: &Evaluation) -> VerdictState {
    match (has_value, firing) {
        (false, _) => VerdictState::Missing,
        (true, true) => VerdictState::Firing,
        (true, false) if !evaluation.can_judge => VerdictState::Learning,
        (true, false) if evaluation.score >= 1.0 => VerdictState::Outside,
        (true, false) => VerdictState::Normal,
    }
}

/// The label set matchers see: `alertname` (the metric's name), `metric`, the series' labels, `owner` when set.
fn alert_labels(series: &SeriesKey, settings: &Settings) -> Labels {
    let metric = series.metric.clone();
    let own =
        [("alertname", metric.clone()), ("metric", metric), ("owner", settings.info.owner.as_str().into())];
    series.labels.with(own)
}
