//! Alerts, messages, deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Reason, ReasonCode, Severity, Timestamp, Transition};
use serde::Serialize;

use super::{Moment, Point, ShortReach, millis, millis_opt};
use crate::i18n::Bilingual;

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// Outside, not yet often enough.
    Pending,
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

/// One alert in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertRow {
    /// [`model::AlertId`] as text: the address of its page.
    pub id: String,
    /// The series' fingerprint, 16 hex digits.
    pub series: String,
    /// The metric's full name.
    pub metric: String,
    /// Title for people; the metric's name when it has none.
    pub title: String,
    /// Unit of the values; may be empty.
    pub unit: String,
    /// The series' labels.
    pub labels: BTreeMap<String, String>,
    /// How bad, now or at the worst when it is over.
    pub severity: Severity,
    /// Where it is in its life.
    pub status: AlertStatus,
    /// Domain time at which it began.
    #[serde(serialize_with = "millis")]
    pub starts_at: Timestamp,
    /// Domain time at which it turned to firing.
    #[serde(serialize_with = "millis_opt")]
    pub fired_at: Option<Timestamp>,
    /// Domain time at which it was resolved.
    #[serde(serialize_with = "millis_opt")]
    pub ended_at: Option<Timestamp>,
    /// What it says, in a code.
    pub code: ReasonCode,
    /// What it says, in a sentence: the notifier's own words.
    pub sentence: Bilingual,
    /// The value at the last transition.
    pub value: Option<f64>,
    /// What was expected of it.
    pub expected: Option<f64>,
    /// Deviation in per cent.
    pub deviation_pct: Option<f64>,
    /// Why nobody is told, when nobody is.
    pub suppressed_by: Option<String>,
    /// Who has it in hand.
    pub acknowledged: Option<AckRow>,
}

/// Somebody has an alert in hand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AckRow {
    /// Who: a name, or the number or address that was told.
    pub by: String,
    /// How: the channel, `api` or `cli`.
    pub via: String,
    /// Civil time.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
}

impl AlertRow {
    /// Whether people want to read of it: what was merely pending and passed is no news.
    pub(crate) fn is_news(&self) -> bool {
        self.fired_at.is_some() || self.status != AlertStatus::Resolved
    }
}

/// One alert on its own page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertDetail {
    /// The row.
    pub row: AlertRow,
    /// When.
    #[serde(flatten)]
    pub moment: Moment,
    /// Who answered with its points, when no store that could be read has taken in all of them.
    pub short: Option<ShortReach>,
    /// Who owns the metric; may be empty.
    pub owner: String,
    /// Where to read what to do; may be empty.
    pub runbook_url: String,
    /// Lower end of the band at the transition shown.
    pub lower: Option<f64>,
    /// Upper end of the band at the transition shown.
    pub upper: Option<f64>,
    /// Score at the transition shown; 1 is the limit.
    pub score: f64,
    /// The whole reason, as it was when the alert fired.
    pub reason: Arc<Reason>,
    /// Revision hash of the configuration that judged.
    pub config_revision: u64,
    /// Its transitions, oldest first.
    pub transitions: Vec<TransitionRow>,
    /// Who was told and how that went, newest first.
    pub deliveries: Vec<DeliveryRow>,
    /// The series around the alert, oldest first; may be empty when the store does not answer.
    pub points: Vec<Point>,
    /// Length of a window in milliseconds.
    pub interval_ms: u64,
}

/// A transition of an alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransitionRow {
    /// Domain time: end of the window at which it happened.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// What happened.
    pub transition: Transition,
    /// The severity from then on.
    pub severity: Severity,
    /// The value of that window.
    pub value: Option<f64>,
    /// What was expected of it.
    pub expected: Option<f64>,
    /// Score.
    pub score: f64,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Waits or is being tried.
    Queued,
    /// The channel took it.
    Sent,
    /// A catcher holds it: received and, where signed, verified.
    Received,
    /// Given up.
    Failed,
    /// Not sent, for a reason.
    Suppressed,
}

/// One delivery of one alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryRow {
    /// Civil time of the last attempt, or of the decision.
    #[serde(serialize_with = "millis_opt")]
    pub at: Option<Timestamp>,
    /// Receiver's name.
    pub receiver: String,
    /// Channel's kind.
    pub channel: String,
    /// Firing, resolved, digest.
    pub kind: MessageKind,
    /// How it stands.
    pub status: MessageStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// Receipt, error or reason of suppression, in words.
    pub detail: String,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Something fires.
    Firing,
    /// It is over.
    Resolved,
    /// A digest or a test.
    Other,
}

/// One message in the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageRow {
    /// Domain time at which it was sent or received.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// Channel's kind.
    pub channel: String,
    /// Receiver's name or address.
    pub receiver: String,
    /// Subject in one line.
    pub subject: String,
    /// Text; may be empty.
    pub body: String,
    /// What it is about.
    pub kind: MessageKind,
    /// How it stands.
    pub status: MessageStatus,
    /// Receipt, error or what the catcher verified, in words; may be empty.
    pub detail: String,
    /// The alert it is about, for a link.
    pub alert: Option<String>,
}
