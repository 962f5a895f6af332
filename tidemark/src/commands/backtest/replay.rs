//! The replay itself: samples to observations to verdicts to what would have been sent.

use std::sync::Arc;

use chrono::Timelike;
use collector::Timetable;
use detector::algorithm::{Observation, Observed};
use detector::settings::{MissingSetting, Settings};
use detector::{Calendar, Judged, backtest};
use model::{
    AlertTransition, FieldValue, Labels, Origin, Ratio, SeriesData, SeriesKey, TimeRange, Timestamp,
    Transition, Verdict, VerdictState, Window,
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
    /// How many of them between 22:00 and 08:00.
    pub(super) at_night: usize,
    /// How many a week.
    pub(super) alerts_a_week: f64,
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
    /// Whether it fired between 22:00 and 08:00.
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
        let timetable = timetable(config, &settings.metric)?;
        let (mut alerts, mut bands) = (Vec::new(), Vec::new());
        for data in data.into_iter().filter(|data| !data.times.is_empty()) {
            let series = SeriesKey::new(Arc::clone(&settings.metric), without_metric(&data.tags));
            let seen = observations(&data, settings, &timetable);
            let report = backtest(series.clone(), Arc::clone(settings), Arc::clone(&calendar), seen);
            alerts.extend(found(&report.transitions, range, settings, config.language()));
            bands.push(band(&series, &report.judged, range));
        }
        alerts.sort_by(|a, b| a.at.cmp(&b.at));
        let first = bands.iter().filter_map(|band: &SeriesBand| band.points.first()).map(|p| &p.time).min();
        let from = first.cloned().unwrap_or_else(|| range.start.to_rfc3339());
        let covered = Timestamp::parse_rfc3339(&from).map_or(range.start, |at| at.max(range.start));
        let weeks = range.end.since(covered).as_secs_f64() / (7.0 * 86_400.0);
        Ok(Self {
            metric: settings.metric.to_string(),
            from,
            to: range.end.to_rfc3339(),
            timezone: settings.timezone.to_string(),
            at_night: alerts.iter().filter(|alert| alert.at_night).count(),
            alerts_a_week: if weeks > 0.0 { alerts.len() as f64 / weeks } else { 0.0 },
            alerts,
            series: bands,
        })
    }
}

/// The schedule of the sampler that feeds a metric.
fn timetable(config: &Config, metric: &str) -> Result<Timetable, CommandError> {
    let feeds = |spec: &&collector::SamplerSpec| spec.values.iter().any(|value| &*value.metric == metric);
    let samplers = config.samplers();
    let spec = samplers.iter().find(feeds);
    let spec = spec.ok_or_else(|| CommandError::new(format!("no sampler feeds `{metric}`")))?;
    Timetable::new(&spec.schedule, spec.timezone)
        .map_err(|error| CommandError::because(format!("metric `{metric}` has no schedule"), error))
}

/// One observation for each window from the first sample to the last. A window without a sample is absent, or zero
/// where the metric says so: the store does not tell an empty answer from a missed tick.
fn observations(data: &SeriesData, settings: &Settings, timetable: &Timetable) -> Vec<Observation> {
    let column = |name: &str| data.columns.get(name);
    let at = |name: &str, i: usize| column(name)?.get(i)?.as_ref().and_then(FieldValue::as_f64);
    let step = settings.interval.unwrap_or_default();
    let mut all: Vec<Observation> = Vec::with_capacity(data.times.len());
    for (i, start) in data.times.iter().enumerate() {
        let Some(value) = at("value", i) else { continue };
        if let Some(before) = all.last().map(|observation| observation.window) {
            let gap = timetable.windows_between(before.end, *start);
            all.extend(gap.map(|window| absent(window, settings)));
        }
        let parts = at("numerator", i).zip(at("denominator", i));
        let ratio = parts.map(|(numerator, denominator)| Ratio { numerator, denominator });
        let window = Window::new(*start, step);
        all.push(observation(window, Observed::Value { value, ratio }));
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

/// The alerts that fired in the range.
fn found(
    transitions: &[AlertTransition],
    range: TimeRange,
    settings: &Settings,
    language: Language,
) -> Vec<AlertFound> {
    let mut all: Vec<AlertFound> = Vec::new();
    for step in transitions {
        let id = step.id.to_string();
        let at = step.window.end;
        match step.transition {
            Transition::Firing if at >= range.start => {
                let hour = at.in_zone(settings.timezone).hour();
                all.push(AlertFound {
                    id,
                    at: at.to_rfc3339(),
                    until: None,
                    severity: step.severity.to_string(),
                    at_night: !(8..22).contains(&hour),
                    labels: step.series.labels.clone(),
                    sentence: sentence(step, settings, language),
                });
            }
            Transition::SeverityChanged | Transition::Resolved => {
                let Some(alert) = all.iter_mut().find(|alert| alert.id == id) else { continue };
                if step.transition == Transition::Resolved {
                    alert.until = Some(at.to_rfc3339());
                } else if step.severity.as_str() < alert.severity.as_str() {
                    alert.severity = step.severity.to_string();
                }
            }
            Transition::Pending | Transition::Firing => {}
        }
    }
    all
}

fn band(series: &SeriesKey, judged: &[Judged], range: TimeRange) -> SeriesBand {
    let inside = |verdict: &&Verdict| verdict.window.start >= range.start;
    let verdicts: Vec<&Verdict> = judged.iter().map(|judged| &judged.verdict).filter(inside).collect();
    let count = |state: VerdictState| verdicts.iter().filter(|verdict| verdict.state == state).count();
    let median_of =
        |field: fn(&Verdict) -> Option<f64>| median(verdicts.iter().filter_map(|v| field(v)).collect());
    SeriesBand {
        labels: series.labels.clone(),
        counts: Counts {
            windows: verdicts.len(),
            learning: count(VerdictState::Learning),
            missing: count(VerdictState::Missing),
            outside: count(VerdictState::Outside) + count(VerdictState::Firing),
        },
        median_value: median_of(|verdict| verdict.value),
        median_lower: median_of(|verdict| verdict.lower),
        median_upper: median_of(|verdict| verdict.upper),
        points: verdicts.iter().map(|verdict| point(verdict)).collect(),
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

fn sentence(step: &AlertTransition, settings: &Settings, language: Language) -> String {
    let told = Told {
        fired: step,
        last: step,
        status: NoteStatus::Firing,
        seen_from: step.window.end,
        zone: settings.timezone,
    };
    told.sentence(language)
}
