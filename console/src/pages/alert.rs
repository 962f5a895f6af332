//! The page of one alert: what happened, why it was judged so, and who was told.

use chrono_tz::Tz;
use model::{Language, Timestamp, Transition};
use serde::Serialize;

use super::layout::{Fact, chips};
use crate::dto::{AckRow, AlertDetail, AlertStatus, DeliveryRow, MessageKind, MessageStatus, TransitionRow};
use crate::format;
use crate::i18n::Speaks;
use crate::reason::{self, ReasonView};

/// An alert, ready for the page.
#[derive(Serialize)]
pub(super) struct AlertView {
    id: String,
    series: String,
    title: String,
    metric: String,
    labels: Vec<String>,
    severity: &'static str,
    status: &'static str,
    status_text: String,
    sentence: String,
    suppressed_by: Option<String>,
    acknowledged: Option<String>,
    facts: Vec<Fact>,
    transitions: Vec<TransitionView>,
    deliveries: Vec<DeliveryView>,
    #[serde(flatten)]
    reason: ReasonView,
}

#[derive(Serialize)]
struct TransitionView {
    at: String,
    what: String,
    severity: &'static str,
    value: String,
    expected: String,
    score: String,
}

#[derive(Serialize)]
struct DeliveryView {
    at: String,
    receiver: String,
    channel: String,
    kind: String,
    status: &'static str,
    status_text: String,
    detail: String,
}

/// Where and in what language times are shown.
#[derive(Clone, Copy)]
struct Place {
    zone: Tz,
    language: Language,
}

impl Place {
    fn time(self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| format::NONE.into(), |at| format::instant(at, self.zone, self.language))
    }

    fn text(self, key: &str) -> String {
        self.language.text(key).to_owned()
    }
}

pub(super) fn view(detail: &AlertDetail, language: Language) -> AlertView {
    let row = &detail.row;
    let place = Place { zone: format::zone(&detail.moment.timezone), language };
    let status = status_name(row.status);
    AlertView {
        id: row.id.clone(),
        series: row.series.clone(),
        title: row.title.clone(),
        metric: row.metric.clone(),
        labels: chips(&row.labels),
        severity: row.severity.as_str(),
        status,
        status_text: place.text(&format!("state_{status}")),
        sentence: row.sentence.get(language).to_owned(),
        suppressed_by: row.suppressed_by.as_deref().map(|why| reason::suppression_words(why, language)),
        acknowledged: row.acknowledged.as_ref().map(|ack| acknowledged(ack, place)),
        facts: facts(detail, place),
        transitions: detail.transitions.iter().map(|one| transition(one, &row.unit, place)).collect(),
        deliveries: detail.deliveries.iter().map(|one| delivery(one, place)).collect(),
        reason: reason::view(&detail.reason, &row.unit, language),
    }
}

/// Who has it in hand, how and since when.
fn acknowledged(ack: &AckRow, place: Place) -> String {
    format!("{} ({}), {}", ack.by, ack.via, place.time(Some(ack.at)))
}

const fn status_name(status: AlertStatus) -> &'static str {
    match status {
        AlertStatus::Pending => "pending",
        AlertStatus::Firing => "firing",
        AlertStatus::Resolved => "resolved",
    }
}

fn facts(detail: &AlertDetail, place: Place) -> Vec<Fact> {
    let (row, language) = (&detail.row, place.language);
    let unit = &row.unit;
    let end = row.ended_at.unwrap_or(detail.moment.now);
    let mut facts = vec![
        Fact::new(language, "value", format::with_unit(row.value, unit)),
        Fact::new(language, "expected", format::with_unit(row.expected, unit)),
    ];
    if detail.lower.is_some() || detail.upper.is_some() {
        let band = format!("{} … {}", format::number(detail.lower, unit), format::number(detail.upper, unit));
        facts.push(Fact::new(language, "band", band));
    }
    facts.extend([
        Fact::new(language, "deviation", format::deviation(row.deviation_pct)),
        Fact::new(language, "score_of_limit", format::plain(detail.score)),
        Fact::new(language, "began", place.time(Some(row.starts_at))),
        Fact::new(language, "fired", place.time(row.fired_at)),
        Fact::new(language, "ended", place.time(row.ended_at)),
        Fact::new(language, "lasted", format::span(end.since(row.starts_at), language)),
    ]);
    if !detail.owner.is_empty() {
        facts.push(Fact::new(language, "owner", &detail.owner));
    }
    if !detail.runbook_url.is_empty() {
        facts.push(Fact::link(language, "runbook", &detail.runbook_url));
    }
    facts.push(Fact::new(language, "revision_label", format!("{:08x}", detail.config_revision >> 32)));
    facts
}

fn transition(row: &TransitionRow, unit: &str, place: Place) -> TransitionView {
    let what = match row.transition {
        Transition::Pending => "transition_pending",
        Transition::Firing => "transition_firing",
        Transition::SeverityChanged => "transition_severity_changed",
        Transition::Resolved => "transition_resolved",
    };
    TransitionView {
        at: place.time(Some(row.at)),
        what: place.text(what),
        severity: row.severity.as_str(),
        value: format::number(row.value, unit),
        expected: format::number(row.expected, unit),
        score: format::plain((row.score * 100.0).round() / 100.0),
    }
}

fn delivery(row: &DeliveryRow, place: Place) -> DeliveryView {
    let kind = match row.kind {
        MessageKind::Firing => "kind_firing",
        MessageKind::Resolved => "kind_resolved",
        MessageKind::Other => "kind_other",
    };
    let status = match row.status {
        MessageStatus::Queued => "queued",
        MessageStatus::Sent => "sent",
        MessageStatus::Received => "received",
        MessageStatus::Failed => "failed",
        MessageStatus::Suppressed => "suppressed",
    };
    DeliveryView {
        at: place.time(row.at),
        receiver: row.receiver.clone(),
        channel: channel_name(&row.channel, place.language),
        kind: place.text(kind),
        status,
        status_text: place.text(&format!("message_{status}")),
        detail: row.detail.clone(),
    }
}

/// The channel's name for people; a kind without one is shown as it is.
fn channel_name(kind: &str, language: Language) -> String {
    let key = format!("channel_{kind}");
    match language.text(&key) {
        text if text == key => kind.to_owned(),
        text => text.to_owned(),
    }
}
