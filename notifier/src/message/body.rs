//! The JSON body of webhooks: Alertmanager's (version 4), with our numbers in `tidemark` beside.

use model::{Labels, Timestamp};
use serde_json::{Map, Value, json};

use super::AlertNote;
use crate::channel::Notification;
use crate::matcher::SEVERITY_LABEL;

/// What Alertmanager says for a time that is not known.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Writes the body. The same notification gives the same bytes. `max_alerts` = 0 lists every alert the message carries.
pub fn render(notification: &Notification, max_alerts: usize) -> Vec<u8> {
    let message = &notification.message;
    let limit = if max_alerts == 0 { usize::MAX } else { max_alerts };
    let listed: Vec<&AlertNote> = message.alerts.iter().take(limit).collect();
    let total = message.firing + message.resolved;
    let common = common_labels(&listed);
    let body = json!({
        "version": "4",
        "type": format!("alert.{}", message.kind.as_str()),
        "timestamp": message.created_at.to_rfc3339(),
        "groupKey": message.group_key,
        "truncatedAlerts": total.saturating_sub(listed.len()),
        "status": if message.firing > 0 { "firing" } else { "resolved" },
        "receiver": message.receiver,
        "groupLabels": labels_json(&message.group_labels),
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": message.external_url,
        "alerts": listed.iter().map(|note| alert_json(note)).collect::<Vec<_>>(),
        "tidemark": frame_json(notification),
    });
    body.to_string().into_bytes()
}

fn frame_json(notification: &Notification) -> Value {
    let message = &notification.message;
    json!({
        "id": notification.key,
        "incident": message.incident,
        "kind": message.kind.as_str(),
        "language": message.language.as_str(),
        "at": message.at.to_rfc3339(),
        "subject": message.subject,
        "text": message.text,
        "firing": message.firing,
        "resolved": message.resolved,
    })
}

fn alert_json(note: &AlertNote) -> Value {
    json!({
        "status": note.status,
        "labels": with_severity(note),
        "annotations": { "summary": note.sentence, "description": note.why, "runbook_url": note.runbook_url },
        "startsAt": note.starts_at.to_rfc3339(),
        "endsAt": note.ends_at.map_or_else(|| NO_TIME.to_owned(), Timestamp::to_rfc3339),
        "generatorURL": note.url,
        "fingerprint": format!("{:016x}", note.id.fingerprint),
        "tidemark": {
            "id": note.id,
            "severity": note.severity,
            "title": note.title,
            "unit": note.unit,
            "owner": note.owner,
            "value": note.value,
            "expected": note.expected,
            "lower": note.lower,
            "upper": note.upper,
            "deviationPct": note.deviation_pct,
            "score": note.score,
            "reason": note.code,
        },
    })
}

fn with_severity(note: &AlertNote) -> Value {
    let mut labels = labels_json(&note.labels);
    labels.entry(SEVERITY_LABEL).or_insert_with(|| note.severity.as_str().into());
    Value::Object(labels)
}

fn labels_json(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// The labels every listed alert has with the same value.
fn common_labels(listed: &[&AlertNote]) -> Value {
    let Some((first, rest)) = listed.split_first() else { return json!({}) };
    let Value::Object(mut common) = with_severity(first) else { return json!({}) };
    for note in rest {
        let other = with_severity(note);
        common.retain(|name, value| other.get(name.as_str()) == Some(value));
    }
    Value::Object(common)
}
