//! Replaying stored history through the engine that judges live.
//!
//! What a replay shows is what production would have sent: [`crate::engine::Engine`] over the ticks of one metric, in
//! window order, from the first one that is stored, because limits and sums remember more than any warm-up shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Timelike;
use model::{
    AlertId, AlertTransition, Labels, SeriesKey, Severity, Tick, Timestamp, Transition, VerdictState,
};
use serde::Serialize;

use crate::algorithm::Observation;
use crate::calendar::Calendar;
use crate::engine::{Engine, JudgingConfig};
use crate::series::{Judged, SeriesJudge};
use crate::settings::Settings;

/// Local hours that are night: nobody wants to be called.
const NIGHT: (u32, u32) = (22, 7);

/// One alert of a replay, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BacktestAlert {
    /// Its id.
    pub id: AlertId,
    /// Start of the window in which it became pending.
    pub starts_at: Timestamp,
    /// End of the window at which it fired.
    pub fired_at: Timestamp,
    /// End of the window at which it was resolved; `None`: it still fires at the end of the replay.
    pub resolved_at: Option<Timestamp>,
    /// The worst severity it had.
    pub severity: Severity,
    /// Whether it fired at night (22:00 to 7:00 in the metric's zone).
    pub at_night: bool,
    /// The transition at which it fired, with its whole reason.
    pub fired: AlertTransition,
}

/// What a replay would have sent.
#[derive(Clone, Debug, Default)]
pub struct BacktestReport {
    /// Every alert that fired from `report_from` on, in order.
    pub alerts: Vec<BacktestAlert>,
    /// How many of them fired at night.
    pub at_night: usize,
    /// Every judgement from `report_from` on, in window order: value and band.
    pub judged: Vec<Judged>,
    /// Every transition from `report_from` on, in order.
    pub transitions: Vec<AlertTransition>,
    /// Windows that could not be judged.
    pub learning: usize,
    /// Windows without a value.
    pub missing: usize,
    /// Windows outside or firing.
    pub outside: usize,
    /// How many weeks were judged (learning windows left out).
    pub weeks: f64,
    /// Fired alerts a week judged; `None` when nothing was judged.
    pub alerts_per_week: Option<f64>,
}

/// Replays observations of one series, in window order, through a fresh judge, and reports all of it.
pub fn backtest(
    series: SeriesKey,
    settings: Arc<Settings>,
    calendar: Arc<Calendar>,
    observations: impl IntoIterator<Item = Observation>,
) -> BacktestReport {
    let mut report = BacktestReport::default();
    let mut judge = SeriesJudge::new(series, settings.clone(), calendar);
    for observation in observations {
        report.take(judge.observe(&observation), &settings);
    }
    report.close(judge.interval().unwrap_or_default().as_secs_f64());
    report
}

/// A replay of one metric, tick by tick.
#[derive(Debug)]
pub struct Backtest {
    engine: Engine,
    settings: Arc<Settings>,
    report_from: Timestamp,
    reports: BTreeMap<Labels, BacktestReport>,
}

impl Backtest {
    /// A replay that only learns from windows before `report_from`.
    pub fn new(settings: Arc<Settings>, calendar: Arc<Calendar>, report_from: Timestamp) -> Self {
        let metrics = vec![settings.clone()];
        let engine = Engine::new(JudgingConfig { metrics, calendar, ..JudgingConfig::default() });
        Self { engine, settings, report_from, reports: BTreeMap::new() }
    }

    /// Takes the next tick in; they come in window order.
    pub fn tick(&mut self, tick: &Tick) {
        for judged in self.engine.tick(tick) {
            if judged.verdict.window.start >= self.report_from {
                let report = self.reports.entry(judged.verdict.series.labels.clone()).or_default();
                report.take(judged, &self.settings);
            }
        }
    }

    /// What each series would have sent, in order of labels.
    pub fn finish(mut self) -> Vec<(SeriesKey, BacktestReport)> {
        let interval = self.settings.interval.unwrap_or_default().as_secs_f64();
        self.reports.values_mut().for_each(|report| report.close(interval));
        let metric = self.settings.metric.clone();
        let keyed = |(labels, report)| (SeriesKey::new(metric.clone(), labels), report);
        self.reports.into_iter().map(keyed).collect()
    }
}

impl BacktestReport {
    /// Counts what was judged, window by window of this many seconds.
    fn close(&mut self, interval_secs: f64) {
        let judged = self.judged.len() - self.learning;
        self.weeks = judged as f64 * interval_secs / 604_800.0;
        self.alerts_per_week = (self.weeks > 0.0).then(|| self.alerts.len() as f64 / self.weeks);
    }

    fn take(&mut self, judged: Judged, settings: &Settings) {
        match judged.verdict.state {
            VerdictState::Learning => self.learning += 1,
            VerdictState::Missing => self.missing += 1,
            VerdictState::Outside | VerdictState::Firing => self.outside += 1,
            VerdictState::Normal => {}
        }
        for transition in &judged.transitions {
            self.follow(transition, settings);
        }
        self.transitions.extend_from_slice(&judged.transitions);
        self.judged.push(judged);
    }

    fn follow(&mut self, transition: &AlertTransition, settings: &Settings) {
        let at = transition.window.end;
        let open = self.alerts.last_mut().filter(|alert| alert.id == transition.id);
        match (transition.transition, open) {
            (Transition::Firing, _) => {
                let hour = at.in_zone(settings.timezone).hour();
                let at_night = hour >= NIGHT.0 || hour < NIGHT.1;
                self.at_night += usize::from(at_night);
                self.alerts.push(BacktestAlert {
                    id: transition.id,
                    starts_at: transition.id.starts_at,
                    fired_at: at,
                    resolved_at: None,
                    severity: transition.severity,
                    at_night,
                    fired: transition.clone(),
                });
            }
            (Transition::SeverityChanged, Some(alert)) => {
                alert.severity = alert.severity.min(transition.severity);
            }
            (Transition::Resolved, Some(alert)) => alert.resolved_at = Some(at),
            (Transition::Pending | Transition::SeverityChanged | Transition::Resolved, _) => {}
        }
    }
}
