//! Cards: one series with its last numbers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use collector::Schedule;
use console::dto::{AlertRow, AlertStatus, MetricCard, Point};
use detector::settings::Settings;
use model::{FieldValue, Labels, SeriesData, VerdictState};

use super::key_of;
use crate::answers::series_of;
use crate::config::Config;

/// Which sampler feeds a metric, and how often.
pub(super) struct Timing {
    by_metric: HashMap<Arc<str>, (u64, String)>,
    by_sampler: HashMap<Arc<str>, u64>,
}

impl Timing {
    pub(super) fn of(config: &Config) -> Self {
        let (mut by_metric, mut by_sampler) = (HashMap::new(), HashMap::new());
        for sampler in config.samplers() {
            let interval = match &sampler.schedule {
                Schedule::Interval(interval) => *interval,
                Schedule::Cron { window, .. } => *window,
            };
            let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
            if matches!(sampler.schedule, Schedule::Interval(_)) {
                by_sampler.insert(Arc::clone(&sampler.name), interval_ms);
            }
            for value in &sampler.values {
                by_metric.insert(Arc::clone(&value.metric), (interval_ms, sampler.source.clone()));
            }
        }
        Self { by_metric, by_sampler }
    }

    /// Length of the metric's windows in milliseconds; 0 when it is no longer configured.
    pub(super) fn interval_ms(&self, metric: &str) -> u64 {
        self.by_metric.get(metric).map_or(0, |(interval_ms, _)| *interval_ms)
    }

    /// The sampler's interval in milliseconds; 0 when it follows a cron expression.
    pub(super) fn sampler_interval_ms(&self, sampler: &str) -> u64 {
        self.by_sampler.get(sampler).copied().unwrap_or(0)
    }

    /// Metrics of which `span` would show fewer than two dozen windows.
    pub(super) fn slow(&self, span: Duration) -> impl Iterator<Item = &str> {
        let longest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX) / 24;
        let slow = self.by_metric.iter().filter(move |(_, (interval_ms, _))| *interval_ms > longest);
        slow.map(|(metric, _)| &**metric)
    }

    /// Where the metric comes from.
    pub(super) fn origin(&self, metric: &str) -> String {
        self.by_metric.get(metric).map_or_else(String::new, |(_, source)| source.clone())
    }
}

/// Every series of every configured metric that was judged lately, in order of configuration; a metric without any has
/// one card without numbers.
pub(super) fn all(
    settings: &[Arc<Settings>],
    read: &[SeriesData],
    alerts: &[AlertRow],
    timing: &Timing,
) -> Vec<MetricCard> {
    let of = |settings: &Arc<Settings>| {
        let mine = series_of(read, &settings.metric).into_iter();
        let mut cards: Vec<_> = mine.map(|data| card(Some(settings), data, alerts, timing)).collect();
        if cards.is_empty() {
            let tags = Labels::new([("metric", &*settings.metric)]);
            cards.push(card(Some(settings), &SeriesData { tags, ..SeriesData::default() }, alerts, timing));
        }
        cards
    };
    settings.iter().flat_map(of).collect()
}

/// The card of one series.
pub(super) fn card(
    settings: Option<&Settings>,
    data: &SeriesData,
    alerts: &[AlertRow],
    timing: &Timing,
) -> MetricCard {
    let key = key_of(&data.tags);
    let id = format!("{:016x}", key.fingerprint());
    let points = points(data);
    let last = points.last().copied();
    let firing = alerts.iter().find(|alert| alert.series == id && alert.status == AlertStatus::Firing);
    let state = last.map_or(VerdictState::Learning, |point| point.state);
    let title = settings.map(|settings| settings.info.title.as_str()).filter(|title| !title.is_empty());
    MetricCard {
        id,
        title: title.unwrap_or(&key.metric).to_owned(),
        unit: settings.map_or_else(String::new, |settings| settings.info.unit.clone()),
        owner: settings.map_or_else(String::new, |settings| settings.info.owner.clone()),
        state,
        severity: firing.map(|alert| alert.severity),
        value: last.and_then(|point| point.value),
        expected: last.and_then(|point| point.expected),
        lower: last.and_then(|point| point.lower),
        upper: last.and_then(|point| point.upper),
        deviation_pct: number(data, "deviation_pct", data.times.len().wrapping_sub(1)),
        score: number(data, "score", data.times.len().wrapping_sub(1)).unwrap_or(0.0),
        since: points.iter().rev().take_while(|point| point.state == state).last().map(|point| point.at),
        alert: firing.map(|alert| alert.id.clone()),
        interval_ms: timing.interval_ms(&key.metric),
        labels: key.labels.into(),
        metric: key.metric.to_string(),
        points,
    }
}

/// The verdicts of a series as points.
pub(super) fn points(data: &SeriesData) -> Vec<Point> {
    let state = |at| number(data, "state", at).and_then(|code| VerdictState::from_code(code as i64));
    let point = |(at, time): (usize, &model::Timestamp)| Point {
        at: *time,
        value: number(data, "value", at),
        expected: number(data, "expected", at),
        lower: number(data, "lower", at),
        upper: number(data, "upper", at),
        state: state(at).unwrap_or(VerdictState::Learning),
        forecast: number(data, "forecast", at),
        prev_week: number(data, "prev_week", at),
    };
    data.times.iter().enumerate().map(point).collect()
}

fn number(data: &SeriesData, field: &str, at: usize) -> Option<f64> {
    data.columns.get(field)?.get(at)?.as_ref().and_then(FieldValue::as_f64)
}
