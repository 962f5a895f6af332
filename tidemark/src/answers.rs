//! Answers to the questions of `api`: read from the store and the notifier's database, by the running process for its
//! API and by commands themselves when no process runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use detector::settings::Settings;
use model::{
    AlertId, FieldValue, Labels, Matcher, Measurement, ReadSeries, SeriesData, SeriesQuery, StoreError,
    TimeRange, Timestamp, Transition, VerdictState,
};
use notifier::view::{Acknowledgement, AlertFilter, AlertView, DeliveryView, Sentences, TransitionView};
use notifier::{Language, NotifierError, Reader};

use crate::api::{
    AckRow, AlertDetail, AlertList, AlertRow, DeliveryRow, MetricList, MetricRow, SeriesAnswer, SeriesOf,
    SeriesPoints, ShortAnswer, TransitionRow,
};

/// How far back the last verdict of a series is looked for.
const LOOK_BACK: Duration = Duration::from_secs(8 * 86_400);

/// How every series of every configured metric stands; a metric without a verdict has one row without numbers.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn metric_list(
    store: &dyn ReadSeries,
    metrics: &[Arc<Settings>],
    now: Timestamp,
) -> Result<MetricList, StoreError> {
    let query = SeriesQuery {
        measurement: Measurement::Verdict,
        matchers: Vec::new(),
        fields: Vec::new(),
        range: TimeRange { start: now - LOOK_BACK, end: now + Duration::from_secs(86_400) },
        last: 1,
    };
    let (read, reach) = store.read_with_reach(&query).await?;
    let mut rows = Vec::new();
    for settings in metrics {
        let of_metric = series_of(&read, &settings.metric);
        if of_metric.is_empty() {
            rows.push(metric_row(settings, &SeriesData::default()));
        }
        rows.extend(of_metric.into_iter().map(|data| metric_row(settings, data)));
    }
    Ok(MetricList { metrics: rows, short: ShortAnswer::of(reach, now) })
}

/// The series of a metric, without the bare one that stood for them until the first of them came: the last that was
/// said of it is that it is missing, and it is older than what was said of another.
pub(crate) fn series_of<'d>(read: &'d [SeriesData], metric: &str) -> Vec<&'d SeriesData> {
    let of_metric = || read.iter().filter(|data| data.tags.get("metric") == Some(metric));
    let newest = of_metric().filter_map(|data| data.times.last()).max();
    let has_labels = |data: &SeriesData| !without_metric(&data.tags).is_empty();
    let missing = VerdictState::Missing as i64 as f64;
    let stood_in = |data: &SeriesData| {
        !has_labels(data) && data.times.last() < newest && last_number(data, "state") == Some(missing)
    };
    of_metric().filter(|data| !stood_in(data)).collect()
}

fn metric_row(settings: &Settings, data: &SeriesData) -> MetricRow {
    let field = |name: &str| last_number(data, name);
    let state = field("state").and_then(|code| VerdictState::from_code(code as i64));
    MetricRow {
        metric: settings.metric.to_string(),
        labels: without_metric(&data.tags),
        title: settings.info.title.clone(),
        unit: settings.info.unit.clone(),
        state: state.map(|state| state.as_str().to_owned()),
        at: data.times.last().copied(),
        value: field("value"),
        expected: field("expected"),
        lower: field("lower"),
        upper: field("upper"),
        deviation_pct: field("deviation_pct"),
        score: field("score"),
    }
}

fn last_number(data: &SeriesData, field: &str) -> Option<f64> {
    data.columns.get(field)?.last()?.as_ref().and_then(FieldValue::as_f64)
}

/// The series' own labels: all tags but `metric`.
pub(crate) fn without_metric(tags: &Labels) -> Labels {
    tags.with([("metric", "")])
}

/// Alerts, the last changed first, in the wanted language.
///
/// # Errors
/// [`NotifierError`].
pub(crate) fn alert_list(
    reader: &Reader,
    filter: &AlertFilter,
    language: Language,
) -> Result<AlertList, NotifierError> {
    let alerts = reader.alerts(filter)?;
    Ok(AlertList { alerts: alerts.iter().map(|alert| alert_row(alert, language)).collect() })
}

/// One alert; `None` when there is none of this id.
///
/// # Errors
/// [`NotifierError`].
pub(crate) fn alert_detail(
    reader: &Reader,
    id: AlertId,
    language: Language,
) -> Result<Option<AlertDetail>, NotifierError> {
    let Some(detail) = reader.alert(id)? else { return Ok(None) };
    let told = detail.alert.fired.as_ref().unwrap_or(&detail.alert.last);
    let numbers = [
        ("value", told.value),
        ("expected", told.expected),
        ("lower", told.lower),
        ("upper", told.upper),
        ("deviation_pct", told.deviation_pct),
        ("score", Some(told.score)),
    ];
    Ok(Some(AlertDetail {
        row: alert_row(&detail.alert, language),
        numbers: numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        transitions: detail.transitions.iter().map(transition_row).collect(),
        reason: serde_json::to_value(&*told.reason).unwrap_or_default(),
        deliveries: detail.deliveries.iter().map(delivery_row).collect(),
        acknowledgements: detail.acknowledgements.iter().map(ack_row).collect(),
    }))
}

/// An alert whose id begins with `prefix`, when exactly one does.
///
/// # Errors
/// A sentence naming what fits, or that nothing does.
pub(crate) fn find_alert(reader: &Reader, prefix: &str) -> Result<AlertId, String> {
    // Letters of an id may read as a whole one.
    if let Ok(id) = prefix.parse()
        && reader.alert(id).map_err(|error| error.to_string())?.is_some()
    {
        return Ok(id);
    }
    let alerts = reader.alerts(&AlertFilter::default()).map_err(|error| error.to_string())?;
    let fitting: Vec<_> =
        alerts.iter().map(|alert| alert.id).filter(|id| id.to_string().starts_with(prefix)).collect();
    match fitting.as_slice() {
        [id] => Ok(*id),
        [] => Err(format!("no alert begins with `{prefix}`: `tidemark alerts ls` lists them")),
        several => Err(format!("{} alerts begin with `{prefix}`: write more of it", several.len())),
    }
}

fn alert_row(alert: &AlertView, language: Language) -> AlertRow {
    AlertRow {
        id: alert.id.to_string(),
        state: alert.state.as_str().to_owned(),
        severity: alert.severity.as_str().to_owned(),
        metric: alert.metric.clone(),
        labels: alert.last.series.labels.clone(),
        starts_at: alert.starts_at,
        ends_at: alert.resolved_at,
        sentence: in_language(&alert.sentence, language),
        suppressed: alert.suppressed_by.clone(),
        acknowledged: alert.acknowledged.as_ref().map(ack_row),
    }
}

fn ack_row(ack: &Acknowledgement) -> AckRow {
    AckRow {
        at: ack.at,
        by: ack.by.clone(),
        via: ack.via.clone(),
        severity: ack.severity.as_str().to_owned(),
    }
}

fn in_language(sentences: &Sentences, language: Language) -> String {
    match language {
        Language::En => sentences.en.clone(),
        Language::Zh => sentences.zh.clone(),
    }
}

fn transition_row(view: &TransitionView) -> TransitionRow {
    let name = match view.transition.transition {
        Transition::Pending => "pending",
        Transition::Firing => "firing",
        Transition::SeverityChanged => "severity_changed",
        Transition::Resolved => "resolved",
    };
    TransitionRow {
        at: view.at,
        transition: name.to_owned(),
        severity: view.transition.severity.as_str().to_owned(),
    }
}

fn delivery_row(view: &DeliveryView) -> DeliveryRow {
    DeliveryRow {
        at: view.finished_at.unwrap_or(view.created_at),
        receiver: view.receiver.clone(),
        channel: view.channel.clone(),
        state: view.state.as_str().to_owned(),
        detail: view.detail.clone(),
    }
}

/// Stored samples or verdicts of a metric; of verdicts the value and the state. `last` as in [`SeriesQuery`], `now` in
/// domain time.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn series(
    store: &dyn ReadSeries,
    metric: &str,
    of: SeriesOf,
    range: TimeRange,
    last: usize,
    now: Timestamp,
) -> Result<SeriesAnswer, StoreError> {
    let (measurement, fields) = match of {
        SeriesOf::Sample => (Measurement::Sample, Vec::new()),
        SeriesOf::Verdict => (Measurement::Verdict, vec!["value".into(), "state".into()]),
    };
    let matchers = vec![Matcher { tag: "metric".into(), value: metric.into() }];
    let query = SeriesQuery { measurement, matchers, fields, range, last };
    let (read, reach) = store.read_with_reach(&query).await?;
    let series = read.into_iter().map(SeriesPoints::from).collect();
    Ok(SeriesAnswer { series, now: None, short: ShortAnswer::of(reach, now) })
}

/// Groups by metric name, for lookups of titles and units.
pub(crate) fn by_metric(metrics: &[Arc<Settings>]) -> BTreeMap<&str, &Settings> {
    metrics.iter().map(|settings| (&*settings.metric, &**settings)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_that_stood_for_the_first_ones_is_left_out_once_they_came() {
        let series = |labels: &[(&str, &str)], at: i64, state: VerdictState| {
            let tags = Labels::new([("metric", "orders")].iter().chain(labels).copied());
            let state = Some(FieldValue::Integer(state as i64));
            let columns = [("state".into(), vec![state])].into_iter().collect();
            SeriesData { tags, times: vec![Timestamp::from_secs(at)], columns }
        };
        let app = || series(&[("channel", "app")], 60, VerdictState::Normal);
        for (at, state, shown) in [
            (0, VerdictState::Missing, 1),
            // A bare series that is judged still, or that had a value, is one like others.
            (60, VerdictState::Missing, 2),
            (0, VerdictState::Normal, 2),
        ] {
            assert_eq!(series_of(&[series(&[], at, state), app()], "orders").len(), shown, "{at} {state:?}");
        }
        assert_eq!(series_of(&[series(&[], 0, VerdictState::Missing)], "orders").len(), 1);
        assert_eq!(series_of(&[app()], "other").len(), 0);
    }
}
