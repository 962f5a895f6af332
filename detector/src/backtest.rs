//! Replaying stored history through the engine that judges live.
//!
//! What a replay shows is what production would have sent: the same fold, [`SeriesJudge::observe`], over the same
//! numbers in window order. [`observations`] rebuilds them from stored samples; the store keeps no tick entries, so a
//! window without a sample is a zero where the metric declares `missing: zero`, else absent.

use std::sync::Arc;
use std::time::Duration;

use chrono::Timelike;
use model::{
    AlertId, AlertTransition, FieldValue, Origin, Ratio, SeriesData, SeriesKey, Severity, TimeRange,
    Timestamp, Transition, VerdictState, Window,
};
use serde::Serialize;

use crate::algorithm::{Observation, Observed};
use crate::calendar::Calendar;
use crate::series::{Judged, SeriesJudge};
use crate::settings::{MissingSetting, Settings};

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
    backtest_from(series, settings, calendar, observations, Timestamp::MIN)
}

/// The same, with the windows before `report_from` only learned from: what was there before the stretch asked for.
pub fn backtest_from(
    series: SeriesKey,
    settings: Arc<Settings>,
    calendar: Arc<Calendar>,
    observations: impl IntoIterator<Item = Observation>,
    report_from: Timestamp,
) -> BacktestReport {
    let mut report = BacktestReport::default();
    let mut judge = SeriesJudge::new(series, settings.clone(), calendar);
    for observation in observations {
        let judged = judge.observe(&observation);
        if observation.window.start >= report_from {
            report.take(judged, &settings);
        }
    }
    let judged = report.judged.len() - report.learning;
    let interval = judge.interval().unwrap_or_default();
    report.weeks = judged as f64 * interval.as_secs_f64() / 604_800.0;
    report.alerts_per_week = (report.weeks > 0.0).then(|| report.alerts.len() as f64 / report.weeks);
    report
}

impl BacktestReport {
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

/// Rebuilds the observations of a series from its stored samples in a range: one for each window of `interval` from the
/// first sample on, gaps included. Samples off the grid are windows of their own.
pub fn observations<'a>(
    data: &'a SeriesData,
    range: TimeRange,
    settings: &'a Settings,
    interval: Duration,
) -> impl Iterator<Item = Observation> + 'a {
    let column = |name: &str| data.columns.get(name).map_or(&[][..], Vec::as_slice);
    let (values, numerators, denominators) = (column("value"), column("numerator"), column("denominator"));
    let number = |column: &[Option<FieldValue>], i: usize| column.get(i)?.as_ref()?.as_f64();
    let length = interval.max(Duration::from_secs(1));
    let mut expected: Option<Timestamp> = None;
    let mut next = 0;
    let observation = move |start, value| Observation {
        window: Window::new(start, length),
        origin: Origin::Backfill,
        revision: 0,
        value,
    };
    std::iter::from_fn(move || {
        while data.times.get(next).is_some_and(|at| *at < range.start) {
            next += 1;
        }
        let sample = data.times.get(next).copied().filter(|at| *at < range.end);
        let slack = length / 2;
        if let Some(start) =
            expected.filter(|start| sample.map_or(*start + length <= range.end, |at| *start + slack < at))
        {
            expected = Some(start + length);
            let value = match settings.missing {
                MissingSetting::Zero => Observed::Value { value: 0.0, ratio: None },
                MissingSetting::Null => Observed::Absent,
            };
            return Some(observation(start, value));
        }
        let at = sample?;
        let i = next;
        next += 1;
        expected = Some(at + length);
        let ratio = number(numerators, i).zip(number(denominators, i));
        let ratio = ratio.map(|(numerator, denominator)| Ratio { numerator, denominator });
        let value = number(values, i).filter(|value| value.is_finite());
        let value = value.map_or(Observed::Absent, |value| Observed::Value { value, ratio });
        Some(observation(at, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn gaps_in_the_store_become_absent_windows_or_zeros() {
        let times: Vec<_> = [60, 120, 300].map(Timestamp::from_secs).to_vec();
        let values = vec![Some(FieldValue::Float(1.0)), None, Some(FieldValue::Float(3.0))];
        let data = SeriesData { tags: Labels::default(), times, columns: [("value".into(), values)].into() };
        let range = TimeRange { start: Timestamp::from_secs(0), end: Timestamp::from_secs(420) };
        let mut settings = Settings::shipped("m");
        let minute = Duration::from_secs(60);
        let shown = |settings: &Settings| -> Vec<(i64, Option<f64>)> {
            observations(&data, range, settings, minute)
                .map(|o| (o.window.start.as_secs(), o.number()))
                .collect()
        };
        let expected =
            [(60, Some(1.0)), (120, None), (180, None), (240, None), (300, Some(3.0)), (360, None)];
        assert_eq!(shown(&settings), expected);
        settings.missing = MissingSetting::Zero;
        assert_eq!(shown(&settings)[2], (180, Some(0.0)));
    }
}
