//! The replay itself: samples to observations to verdicts to what would have been sent.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use collector::{SamplerSpec, Timetable};
use detector::Calendar;
use detector::algorithm::{Observation, Observed};
use detector::backtest::{BacktestAlert, BacktestReport, backtest_from};
use detector::settings::{MissingSetting, Settings};
use model::{
    FieldValue, Labels, Origin, Ratio, SeriesData, SeriesKey, TimeRange, Timestamp, Verdict, Window,
};
use notifier::Language;
use notifier::message::NoteStatus;
use notifier::message::sentence::Told;
use serde::Serialize;

use super::CommandError;
use crate::answers::without_metric;
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
    /// Replays every series and reports what lies in `range`.
    pub(super) fn of(
        config: &Config,
        settings: &Arc<Settings>,
        data: Vec<SeriesData>,
        range: TimeRange,
    ) -> Result<Self, CommandError> {
        let broken = |_| CommandError::new("the calendar of the configuration cannot be read");
        let calendar = Arc::new(Calendar::from_config(config.calendar()).map_err(broken)?);
        let zone = settings.timezone;
        let schedule = Schedule::of(config, &settings.metric, range.end)?;
        let (mut alerts, mut bands, mut weeks) = (Vec::new(), Vec::new(), 0.0_f64);
        for data in data.into_iter().filter(|data| !data.times.is_empty()) {
            let series = SeriesKey::new(Arc::clone(&settings.metric), without_metric(&data.tags));
            let seen = observations(&data, settings, &schedule);
            let (settings, calendar) = (Arc::clone(settings), Arc::clone(&calendar));
            let report = backtest_from(series.clone(), settings, calendar, seen, range.start);
            weeks = weeks.max(report.weeks);
            alerts.extend(report.alerts.iter().map(|alert| found(alert, config.language(), zone)));
            bands.push(band(&series, &report));
        }
        alerts.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(Self {
            metric: settings.metric.to_string(),
            from: range.start.to_rfc3339(),
            to: range.end.to_rfc3339(),
            timezone: settings.timezone.to_string(),
            at_night: alerts.iter().filter(|alert| alert.at_night).count(),
            weeks_judged: weeks,
            alerts_a_week: (weeks > 0.0).then(|| alerts.len() as f64 / weeks),
            alerts,
            series: bands,
        })
    }
}

/// When the sampler of a metric was due.
struct Schedule {
    timetable: Timetable,
    /// The last window that can have been asked.
    until: Timestamp,
}

impl Schedule {
    fn of(config: &Config, metric: &str, now: Timestamp) -> Result<Self, CommandError> {
        let feeds = |spec: &&SamplerSpec| spec.values.iter().any(|value| &*value.metric == metric);
        let samplers = config.samplers();
        let spec = samplers.iter().find(feeds);
        let spec = spec.ok_or_else(|| CommandError::new(format!("no sampler feeds `{metric}`")))?;
        let timetable = Timetable::new(&spec.schedule, spec.timezone)
            .map_err(|error| CommandError::because(format!("metric `{metric}` has no schedule"), error))?;
        Ok(Self { timetable, until: now - spec.delay - spec.timeout })
    }

    /// The windows due after one and before another, as long as the series counts as seen.
    fn gap(&self, after: Timestamp, before: Timestamp) -> impl Iterator<Item = Window> + '_ {
        self.timetable.windows_between(after, before.min(after + SEEN))
    }
}

/// A series that was not there for this long is no more expected.
const SEEN: Duration = Duration::from_secs(7 * 86_400);

/// One observation for each window that was due from the first sample on. A window without a sample is absent, or zero
/// where the metric says so: the store does not tell an empty answer from a missed tick.
fn observations(data: &SeriesData, settings: &Settings, schedule: &Schedule) -> Vec<Observation> {
    let column = |name: &str| data.columns.get(name);
    let at = |name: &str, i: usize| column(name)?.get(i)?.as_ref().and_then(FieldValue::as_f64);
    let step = settings.interval.unwrap_or_default();
    let mut all: Vec<Observation> = Vec::with_capacity(data.times.len());
    for (i, start) in data.times.iter().enumerate() {
        let Some(value) = at("value", i) else { continue };
        if let Some(before) = all.last().map(|observation| observation.window) {
            all.extend(schedule.gap(before.end, *start).map(|window| absent(window, settings)));
        }
        let parts = at("numerator", i).zip(at("denominator", i));
        let ratio = parts.map(|(numerator, denominator)| Ratio { numerator, denominator });
        all.push(observation(Window::new(*start, step), Observed::Value { value, ratio }));
    }
    if let Some(last) = all.last().map(|observation| observation.window) {
        all.extend(schedule.gap(last.end, schedule.until).map(|window| absent(window, settings)));
    }
    all
}

fn absent(window: Window, settings: &Settings) -> Observation {
    match settings.missing {
        MissingSetting::Zero => observation(window, Observed::Value { value: 0.0, ratio: None }),
        MissingSetting::Null => observation(window, Observed::Absent),
    }
}

fn observation(window: Window, value: Observed) -> Observation {
    Observation { window, origin: Origin::Live, revision: 0, value }
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
