//! What the outside reads of the notifier's state.

use model::{AlertId, AlertTransition, Labels, Severity, Timestamp};
use serde::{Deserialize, Serialize};

/// State of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Outside, not yet often enough.
    Pending,
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

impl AlertState {
    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Firing, Self::Resolved];

    /// From its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// Which alerts to list: all fields must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertFilter {
    /// One of these states; empty = any.
    pub states: Vec<AlertState>,
    /// The metric of this name.
    pub metric: Option<String>,
    /// Matchers, as in routes; an invalid one is refused.
    pub matchers: Vec<String>,
    /// Changed at or after this domain time.
    pub since: Option<Timestamp>,
    /// Also those that ended while pending: they never fired, nobody was to be told.
    pub never_fired: bool,
    /// At most so many, the newest first; 0 = 1000.
    pub limit: usize,
}

/// A sentence in every language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentences {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

/// Somebody has an alert in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who: a name, or the number or address that was told.
    pub by: String,
    /// How: the channel's name, `api` or `cli`.
    pub via: String,
    /// Civil time.
    pub at: Timestamp,
    /// How bad it was: it holds until it gets worse.
    pub severity: Severity,
}

/// What came of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// It is recorded.
    Done,
    /// It was recorded before; nothing changed.
    Already,
    /// It got worse since that was told: nothing is recorded.
    Worse,
    /// It does not fire yet.
    NotFiring,
    /// It is over: nothing is recorded.
    Resolved,
}

/// An alert as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertView {
    /// Which.
    pub id: AlertId,
    /// Its state.
    pub state: AlertState,
    /// Its severity.
    pub severity: Severity,
    /// The metric's name.
    pub metric: String,
    /// The labels matchers see (without severity).
    pub labels: Labels,
    /// When it began (start of its first window).
    pub starts_at: Timestamp,
    /// When it turned to firing; `None` when it never did.
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Domain time of the last transition.
    pub updated_at: Timestamp,
    /// Why people are not told now: `backfill`, `muted:NAME`, `inhibited:ID`, ...
    pub suppressed_by: Option<String>,
    /// Who has it in hand.
    pub acknowledged: Option<Acknowledgement>,
    /// The last transition, with its numbers.
    pub last: AlertTransition,
    /// The transition that made it fire (or changed its severity last), with its numbers.
    pub fired: Option<AlertTransition>,
    /// What happened, in a sentence.
    pub sentence: Sentences,
    /// Why it was judged so.
    pub why: Sentences,
}

/// An alert with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertDetail {
    /// As it is now.
    pub alert: AlertView,
    /// Its transitions, in order, each with its whole reason.
    pub transitions: Vec<TransitionView>,
    /// What was sent of it, the oldest first.
    pub deliveries: Vec<DeliveryView>,
    /// Why people were not told.
    pub suppressions: Vec<SuppressionView>,
    /// Who acknowledged it, the oldest first.
    pub acknowledgements: Vec<Acknowledgement>,
}

/// A transition as it was consumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitionView {
    /// Domain time of the transition.
    pub at: Timestamp,
    /// Civil time it was consumed.
    pub consumed_at: Timestamp,
    /// The whole of it.
    pub transition: AlertTransition,
}

/// Why an alert was not told, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionView {
    /// Domain time.
    pub at: Timestamp,
    /// The reason.
    pub reason: String,
}

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its attempt.
    Queued,
    /// An attempt is under way.
    Leased,
    /// A relay has it.
    Accepted,
    /// The recipient has it.
    Delivered,
    /// The provider will never take it.
    Failed,
    /// It was tried for too long.
    Expired,
    /// A summary tells it.
    Merged,
    /// It is not sent, with a reason.
    Suppressed,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Leased,
        Self::Accepted,
        Self::Delivered,
        Self::Failed,
        Self::Expired,
        Self::Merged,
        Self::Suppressed,
    ];

    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Merged => "merged",
            Self::Suppressed => "suppressed",
        }
    }

    /// From its name in the database.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// One message to one recipient by one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Number of the delivery.
    pub id: i64,
    /// Idempotency key.
    pub key: String,
    /// Which incident.
    pub incident: String,
    /// The receiver's name.
    pub receiver: String,
    /// The channel's name: receiver, type and number, `ops/email/0`.
    pub channel: String,
    /// The recipient.
    pub recipient: String,
    /// Why it is sent: `firing`, `repeat`, `resolved`, `digest`, `summary`.
    pub kind: String,
    /// How far it is.
    pub state: DeliveryState,
    /// The last error, the reason of a suppression, or the provider's answer.
    pub detail: String,
    /// The provider's id.
    pub provider_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Its one line.
    pub subject: String,
    /// Its plain text.
    pub text: String,
    /// Domain time it speaks of.
    pub at: Timestamp,
    /// Civil time it was written.
    pub created_at: Timestamp,
    /// Civil time it ended.
    pub finished_at: Option<Timestamp>,
    /// The delivery that tells it instead.
    pub merged_into: Option<i64>,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Civil time it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub millis: u64,
    /// `delivered`, `accepted`, `transient`, `permanent` or `unknown`.
    pub outcome: String,
    /// The provider's answer or what went wrong.
    pub detail: String,
}

/// How one channel of the configuration fares; counted since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHealth {
    /// The channel's name, `ops/email/0`.
    pub channel: String,
    /// Deliveries its provider has taken.
    pub delivered: u64,
    /// Deliveries given up.
    pub failed: u64,
    /// Attempts that left without an answer; they are tried again.
    pub unknown: u64,
    /// Deliveries that wait or are under way now.
    pub queued: u64,
    /// Why the last attempt did not reach it; empty when it did.
    pub error: String,
}

/// What a try of one channel gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelTest {
    /// The channel's name, `ops/email/0`.
    pub channel: String,
    /// The recipient.
    pub recipient: String,
    /// `delivered`, `accepted`, `transient`, `permanent`, `unknown`; of a probe `reachable`,
    /// `wrong` or `unreachable`.
    pub outcome: String,
    /// Whether that is good.
    pub ok: bool,
    /// The provider's answer or what went wrong.
    pub detail: String,
    /// How long it took.
    pub millis: u64,
}

/// An alert nobody was told of and that is neither suppressed nor under way: must not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unaccounted {
    /// Which.
    pub id: AlertId,
    /// `untold` (nothing was ever tried), or `failed` (every delivery failed or expired).
    pub why: String,
}
