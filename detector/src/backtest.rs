//! Replaying stored history through the engine that judges live.

use std::sync::Arc;

use model::{AlertTransition, SeriesKey};

use crate::algorithm::Observation;
use crate::calendar::Calendar;
use crate::series::{Judged, SeriesJudge};
use crate::settings::Settings;

/// What a replay would have sent.
#[derive(Clone, Debug, Default)]
pub struct BacktestReport {
    /// Every verdict, in window order.
    pub judged: Vec<Judged>,
    /// Every transition, in order.
    pub transitions: Vec<AlertTransition>,
}

/// Replays observations of one series, in window order, through a fresh judge.
pub fn backtest(
    series: SeriesKey,
    settings: Arc<Settings>,
    calendar: Arc<Calendar>,
    observations: impl IntoIterator<Item = Observation>,
) -> BacktestReport {
    let mut judge = SeriesJudge::new(series, settings, calendar);
    let mut report = BacktestReport::default();
    for observation in observations {
        let judged = judge.observe(&observation);
        report.transitions.extend(judged.transitions.iter().cloned());
        report.judged.push(judged);
    }
    report
}
