//! The replay itself: stored ticks to verdicts to what would have been sent.

use std::sync::Arc;

use chrono_tz::Tz;
use detector::Calendar;
use detector::backtest::{Backtest, BacktestAlert, BacktestReport};
use detector::settings::Settings;
use model::{Labels, SeriesKey, Timestamp, Verdict};
use notifier::Language;
use notifier::message::NoteStatus;
use notifier::message::sentence::Told;
use serde::Serialize;

use super::CommandError;
use super::history::{History, Plan};
use crate::api::ShortAnswer;
use crate::config::Config;

/// What a replay gave.
#[derive(Debug, Serialize)]
pub(super) struct Replay {
    /// The metric.
    pub(super) metric: String,
    /// From when it is reported.
    pub(super) from: String,
    /// Until when.
    pub(super) to: String,
    /// What that is: the time of the running process, or the end of what is stored.
    pub(super) to_is: &'static str,
    /// Why what is stored may not all have been replayed, when it may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) short: Option<ShortAnswer>,
    /// How many days before `from` it learned from.
    pub(super) warm_up_days: f64,
    /// Zone of the nights.
    pub(super) timezone: String,
    /// What would have been sent, oldest first.
    pub(super) alerts: Vec<AlertFound>,
    /// How many of them at night.
    pub(super) at_night: usize,
    /// How many weeks were judged, learning left out.
    pub(super) weeks_judged: f64,
    /// How many alerts a week judged; `None` when nothing was judged.
    pub(super) alerts_a_week: Option<f64>,
    /// Each series and its band.
    pub(super) series: Vec<SeriesBand>,
}

/// An alert that would have been sent.
#[derive(Debug, Serialize)]
pub(super) struct AlertFound {
    /// Its id.
    pub(super) id: String,
    /// When it fired.
    pub(super) at: String,
    /// When it was over.
    pub(super) until: Option<String>,
    /// The worst severity it had.
    pub(super) severity: String,
    /// Whether it fired at night.
    pub(super) at_night: bool,
    /// The series' labels.
    pub(super) labels: Labels,
    /// What the message says.
    pub(super) sentence: String,
}

/// A series, its band and how it went.
#[derive(Debug, Serialize)]
pub(super) struct SeriesBand {
    /// Its labels.
    pub(super) labels: Labels,
    /// How its windows were judged.
    pub(super) counts: Counts,
    /// Median of its values.
    pub(super) median_value: Option<f64>,
    /// Median of its band's lower end.
    pub(super) median_lower: Option<f64>,
    /// Median of its band's upper end.
    pub(super) median_upper: Option<f64>,
    /// Every window.
    pub(super) points: Vec<BandPoint>,
}

/// How windows were judged.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    /// All of them.
    pub(super) windows: usize,
    /// Not enough was learned.
    pub(super) learning: usize,
    /// No value.
    pub(super) missing: usize,
    /// Outside the band, or firing.
    pub(super) outside: usize,
}

/// A window and its band.
#[derive(Debug, Serialize)]
pub(super) struct BandPoint {
    time: String,
    value: Option<f64>,
    expected: Option<f64>,
    /// Lower end of the band.
    pub(super) lower: Option<f64>,
    /// Upper end of the band.
    pub(super) upper: Option<f64>,
    score: f64,
    state: &'static str,
}

impl Replay {
    /// Replays what is stored and reports what lies in the stretch asked for.
    pub(super) async fn of(
        config: &Config,
        settings: &Arc<Settings>,
        history: &History,
        plan: &Plan,
    ) -> Result<Self, CommandError> {
        let (reports, begin) = judge(config, settings, history, plan).await?;
        let zone = settings.timezone;
        let one = |alert: &BacktestAlert| found(alert, config.language(), zone);
        let mut alerts: Vec<_> =
            reports.iter().flat_map(|(_, report)| report.alerts.iter().map(one)).collect();
        alerts.sort_by(|a, b| a.at.cmp(&b.at));
        let weeks = reports.iter().map(|(_, report)| report.weeks).fold(0.0, f64::max);
        let warm_up = plan.asked.start.since(begin).as_secs_f64() / 86_400.0;
        Ok(Self {
            metric: settings.metric.to_string(),
            from: plan.asked.start.to_rfc3339(),
            to: plan.asked.end.to_rfc3339(),
            to_is: plan.end_is,
            short: history.short(),
            warm_up_days: (warm_up * 10.0).round() / 10.0,
            timezone: zone.to_string(),
            at_night: alerts.iter().filter(|alert| alert.at_night).count(),
            weeks_judged: weeks,
            alerts_a_week: (weeks > 0.0).then(|| alerts.len() as f64 / weeks),
            alerts,
            series: reports.iter().map(|(series, report)| band(series, report)).collect(),
        })
    }
}

/// Judges everything the plan names; gives what each series would have sent, and where the replay began.
pub(super) async fn judge(
    config: &Config,
    settings: &Arc<Settings>,
    history: &History,
    plan: &Plan,
) -> Result<(Vec<(SeriesKey, BacktestReport)>, Timestamp), CommandError> {
    let broken = |_| CommandError::new("the calendar of the configuration cannot be read");
    let calendar = Arc::new(Calendar::from_config(config.calendar()).map_err(broken)?);
    let mut replay = Backtest::new(Arc::clone(settings), calendar, plan.asked.start);
    let mut begin = plan.asked.start;
    for slice in &plan.slices {
        for tick in history.ticks(*slice).await? {
            begin = begin.min(tick.window.start);
            replay.tick(&tick);
        }
    }
    Ok((replay.finish(), begin))
}

fn found(alert: &BacktestAlert, language: Language, zone: Tz) -> AlertFound {
    AlertFound {
        id: alert.id.to_string(),
        at: alert.fired_at.to_rfc3339(),
        until: alert.resolved_at.map(Timestamp::to_rfc3339),
        severity: alert.severity.to_string(),
        at_night: alert.at_night,
        labels: alert.fired.series.labels.clone(),
        sentence: sentence(alert, language, zone),
    }
}

fn sentence(alert: &BacktestAlert, language: Language, zone: Tz) -> String {
    let told = Told {
        fired: &alert.fired,
        last: &alert.fired,
        status: NoteStatus::Firing,
        seen_from: alert.fired_at,
        zone,
    };
    told.sentence(language)
}

fn band(series: &SeriesKey, report: &BacktestReport) -> SeriesBand {
    let verdicts = || report.judged.iter().map(|judged| &judged.verdict);
    let median_of = |field: fn(&Verdict) -> Option<f64>| median(verdicts().filter_map(field).collect());
    SeriesBand {
        labels: series.labels.clone(),
        counts: Counts {
            windows: report.judged.len(),
            learning: report.learning,
            missing: report.missing,
            outside: report.outside,
        },
        median_value: median_of(|verdict| verdict.value),
        median_lower: median_of(|verdict| verdict.lower),
        median_upper: median_of(|verdict| verdict.upper),
        points: verdicts().map(point).collect(),
    }
}

fn point(verdict: &Verdict) -> BandPoint {
    BandPoint {
        time: verdict.window.start.to_rfc3339(),
        value: verdict.value,
        expected: verdict.expected,
        lower: verdict.lower,
        upper: verdict.upper,
        score: verdict.score,
        state: verdict.state.as_str(),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
