//! Alerts and messages.

use console::Bilingual;
use console::dto::{
    AckRow, AlertDetail, AlertRow, AlertStatus, DeliveryRow, MessageKind, MessageRow, MessageStatus, Moment,
    Point, TransitionRow,
};
use notifier::view::{self, AlertState, AlertView, DeliveryState, DeliveryView, Sentences};

/// States the page shows: what is merely pending would flicker.
pub(super) const SHOWN: [AlertState; 2] = [AlertState::Firing, AlertState::Resolved];

/// One alert in a list.
pub(super) fn row(view: &AlertView) -> AlertRow {
    let told = view.fired.as_ref().unwrap_or(&view.last);
    let title = if told.info.title.is_empty() { &view.metric } else { &told.info.title };
    AlertRow {
        id: view.id.to_string(),
        series: format!("{:016x}", view.last.series.fingerprint()),
        metric: view.metric.clone(),
        title: title.clone(),
        unit: told.info.unit.clone(),
        labels: view.last.series.labels.clone().into(),
        severity: view.severity,
        status: match view.state {
            AlertState::Pending => AlertStatus::Pending,
            AlertState::Firing => AlertStatus::Firing,
            AlertState::Resolved => AlertStatus::Resolved,
        },
        starts_at: view.starts_at,
        fired_at: view.fired_at,
        ended_at: view.resolved_at,
        code: told.reason.code,
        sentence: bilingual(&view.sentence),
        value: told.value,
        expected: told.expected,
        deviation_pct: told.deviation_pct,
        suppressed_by: view.suppressed_by.clone(),
        acknowledged: view.acknowledged.as_ref().map(|ack| AckRow {
            by: ack.by.clone(),
            via: ack.via.clone(),
            at: ack.at,
        }),
    }
}

fn bilingual(sentences: &Sentences) -> Bilingual {
    Bilingual { en: sentences.en.clone(), zh: sentences.zh.clone() }
}

/// One alert on its own page.
pub(super) fn detail(
    detail: &view::AlertDetail,
    points: Vec<Point>,
    moment: Moment,
    interval_ms: u64,
) -> AlertDetail {
    let told = detail.alert.fired.as_ref().unwrap_or(&detail.alert.last);
    let transition = |view: &view::TransitionView| TransitionRow {
        at: view.at,
        transition: view.transition.transition,
        severity: view.transition.severity,
        value: view.transition.value,
        expected: view.transition.expected,
        score: view.transition.score,
    };
    AlertDetail {
        row: row(&detail.alert),
        moment,
        short: None,
        owner: told.info.owner.clone(),
        runbook_url: told.info.runbook_url.clone(),
        lower: told.lower,
        upper: told.upper,
        score: told.score,
        reason: told.reason.clone(),
        config_revision: told.config_revision,
        transitions: detail.transitions.iter().map(transition).collect(),
        deliveries: detail.deliveries.iter().rev().map(delivery).collect(),
        points,
        interval_ms,
    }
}

fn delivery(view: &DeliveryView) -> DeliveryRow {
    DeliveryRow {
        at: Some(view.finished_at.unwrap_or(view.created_at)),
        receiver: view.receiver.clone(),
        channel: kind_of_channel(&view.channel),
        kind: kind(&view.kind),
        status: status(view.state),
        attempts: view.attempts,
        detail: view.detail.clone(),
    }
}

/// One message in the list.
pub(super) fn message(view: &DeliveryView) -> MessageRow {
    MessageRow {
        at: view.at,
        channel: kind_of_channel(&view.channel),
        receiver: if view.recipient.is_empty() { view.receiver.clone() } else { view.recipient.clone() },
        subject: view.subject.clone(),
        body: view.text.clone(),
        kind: kind(&view.kind),
        status: status(view.state),
        detail: view.detail.clone(),
        alert: None,
    }
}

/// `ops/email/0` is an `email`.
fn kind_of_channel(name: &str) -> String {
    name.rsplit('/').nth(1).unwrap_or(name).to_owned()
}

fn kind(name: &str) -> MessageKind {
    match name {
        "firing" | "repeat" => MessageKind::Firing,
        "resolved" => MessageKind::Resolved,
        _ => MessageKind::Other,
    }
}

const fn status(state: DeliveryState) -> MessageStatus {
    match state {
        DeliveryState::Queued | DeliveryState::Leased => MessageStatus::Queued,
        DeliveryState::Accepted | DeliveryState::Delivered => MessageStatus::Sent,
        DeliveryState::Failed | DeliveryState::Expired => MessageStatus::Failed,
        DeliveryState::Merged | DeliveryState::Suppressed => MessageStatus::Suppressed,
    }
}
