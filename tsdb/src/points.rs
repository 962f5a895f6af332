//! From entries of the log to points: the one place that knows the measurement layout.
//!
//! Pure: the same entry gives the same points for ever, so that a replay is byte-identical and repair is a set union.
//!
//! | measurement | from | tags | fields | time |
//! |---|---|---|---|---|
//! | `sample` | each sample of a tick | `metric`, labels | `value`; of a rate also `numerator denominator` | window start |
//! | `verdict` | each verdict | `metric`, labels | `value expected lower upper forecast prev_week deviation_pct score state` | window start |
//! | `alert` | firing and resolved transitions | as `verdict`, or `alertname` and labels; `state` | `text severity id`; resolved also `end_ms` | start of the alert |
//! | `pipeline` | health readings | `kind component` | as read | time of the reading |
//! | `*_revision` | revision 1 and later | the same and `revision` | the same | the same |
//!
//! A field that is undefined is left out, never NaN. Pending alerts and changes of severity leave no point, nor does the
//! end of an alert that was only pending (note `never_fired`): an alert that fired has exactly one point `firing` and one
//! `resolved`, any other none.

mod sentence;

use std::sync::{Arc, LazyLock};

use model::{
    AlertTransition, Body, Entry, FieldValue, Labels, Measurement, PipelinePoint, Point, Sample, SeriesKey,
    Tick, Timestamp, Transition, Verdict,
};

type Field = (Arc<str>, FieldValue);

/// The points an entry becomes; none for entries that leave no trace in a store (missed ticks, pending alerts,
/// labels, foreign lines).
pub fn entry_points(entry: &Entry) -> Vec<Point> {
    match &entry.body {
        Body::Tick(tick) => tick.samples().iter().filter_map(|sample| sample_point(tick, sample)).collect(),
        Body::Verdicts(verdicts) => verdicts.iter().map(verdict_point).collect(),
        Body::Alert(alert) => alert_point(alert).into_iter().collect(),
        Body::Pipeline(reading) => pipeline_point(reading).into_iter().collect(),
        Body::Label(_) | Body::Foreign { .. } => Vec::new(),
    }
}

fn sample_point(tick: &Tick, sample: &Sample) -> Option<Point> {
    let mut fields = Vec::with_capacity(if sample.ratio.is_some() { 3 } else { 1 });
    push(&mut fields, &NAMES.value, Some(sample.value));
    push(&mut fields, &NAMES.numerator, sample.ratio.map(|ratio| ratio.numerator));
    push(&mut fields, &NAMES.denominator, sample.ratio.map(|ratio| ratio.denominator));
    let measurement = if sample.revision == 0 { Measurement::Sample } else { Measurement::SampleRevision };
    let tags = series_tags(&sample.series, sample.revision);
    (!fields.is_empty()).then_some(Point { measurement, tags, time: tick.window.start, fields })
}

fn verdict_point(verdict: &Verdict) -> Point {
    let mut fields = Vec::with_capacity(9);
    push(&mut fields, &NAMES.value, verdict.value);
    push(&mut fields, &NAMES.expected, verdict.expected);
    push(&mut fields, &NAMES.lower, verdict.lower);
    push(&mut fields, &NAMES.upper, verdict.upper);
    push(&mut fields, &NAMES.forecast, verdict.forecast);
    push(&mut fields, &NAMES.prev_week, verdict.prev_week);
    push(&mut fields, &NAMES.deviation_pct, verdict.deviation_pct);
    push(&mut fields, &NAMES.score, Some(verdict.score));
    fields.push((NAMES.state.clone(), FieldValue::Integer(verdict.state as i64)));
    let first = verdict.revision == 0;
    let measurement = if first { Measurement::Verdict } else { Measurement::VerdictRevision };
    let tags = series_tags(&verdict.series, verdict.revision);
    Point { measurement, tags, time: verdict.window.start, fields }
}

fn alert_point(alert: &AlertTransition) -> Option<Point> {
    let state = match alert.transition {
        Transition::Firing => &NAMES.firing,
        Transition::Resolved if alert.reason.notes.iter().any(|note| note == NEVER_FIRED) => return None,
        Transition::Resolved => &NAMES.resolved,
        Transition::Pending | Transition::SeverityChanged => return None,
    };
    let own = NAMES.state.clone();
    // An alert of the detector names its metric among the labels; one of a rule or from outside has only its labels.
    let tags = match alert.labels.get("metric") {
        Some(_) => series_tags(&alert.series, 0).with([(own, state.clone())]),
        None => {
            alert.labels.with([(own, state.clone()), (NAMES.alertname.clone(), alert.series.metric.clone())])
        }
    };
    let text = |value: String| FieldValue::Text(value.into());
    let mut fields = vec![
        (NAMES.text.clone(), text(sentence::of(alert))),
        (NAMES.severity.clone(), text(alert.severity.as_str().to_owned())),
        (NAMES.id.clone(), text(alert.id.to_string())),
    ];
    if alert.transition == Transition::Resolved {
        fields.push((NAMES.end_ms.clone(), FieldValue::Integer(alert.window.end.as_millis())));
    }
    Some(Point { measurement: Measurement::Alert, tags, time: alert.id.starts_at, fields })
}

/// What the detector notes of an alert that ended without having fired.
const NEVER_FIRED: &str = "never_fired";

fn pipeline_point(reading: &PipelinePoint) -> Option<Point> {
    let mut fields = Vec::with_capacity(reading.fields.len());
    for (name, value) in &reading.fields {
        push(&mut fields, name, Some(*value));
    }
    let kind: Arc<str> = reading.kind.as_str().into();
    let tags =
        Labels::new([(NAMES.kind.clone(), kind), (NAMES.component.clone(), reading.component.clone())]);
    let time: Timestamp = reading.at;
    (!fields.is_empty()).then_some(Point { measurement: Measurement::Pipeline, tags, time, fields })
}

fn series_tags(series: &SeriesKey, revision: u32) -> Labels {
    let metric = (NAMES.metric.clone(), series.metric.clone());
    let tags = series.labels.with([metric]);
    if revision == 0 { tags } else { tags.with([(NAMES.revision.clone(), Arc::from(revision.to_string()))]) }
}

fn push(fields: &mut Vec<Field>, name: &Arc<str>, value: Option<f64>) {
    if let Some(value) = value.filter(|value| value.is_finite()) {
        fields.push((name.clone(), FieldValue::Float(value)));
    }
}

static NAMES: LazyLock<Names> = LazyLock::new(Names::new);

macro_rules! names {
    ($($name:ident)*) => {
        /// Names of the layout, allocated once: a point only counts references to them.
        struct Names { $($name: Arc<str>),* }

        impl Names {
            fn new() -> Self {
                Self { $($name: stringify!($name).into()),* }
            }
        }
    };
}

names!(metric revision state alertname kind component firing resolved
    value numerator denominator expected lower upper forecast prev_week deviation_pct score
    text severity id end_ms);

#[cfg(test)]
mod tests;
