//! What people read: one message made of the alerts of a group, in Chinese or English.

use model::{AlertId, Labels, ReasonCode, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Language;

pub mod body;
pub mod compose;
pub mod numbers;
pub mod sentence;

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Something new fires, or fires at another severity.
    Firing,
    /// What was told before still fires.
    Repeat,
    /// All that was told is over.
    Resolved,
    /// What happened while nobody could be told.
    Digest,
    /// Messages that were merged because there were too many.
    Summary,
    /// Somebody tries the receiver.
    Test,
}

impl MessageKind {
    /// Its name in the database, in JSON and in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
            Self::Digest => "digest",
            Self::Summary => "summary",
            Self::Test => "test",
        }
    }
}

/// Whether an alert in a message fires or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteStatus {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

/// One alert in a message, with the numbers as they were when it was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertNote {
    /// Which.
    pub id: AlertId,
    /// Whether it fires.
    pub status: NoteStatus,
    /// Its severity.
    pub severity: Severity,
    /// The labels matchers see.
    pub labels: Labels,
    /// The metric's title, or its name.
    pub title: String,
    /// Unit of the numbers.
    pub unit: String,
    /// Who owns the metric; empty when nobody is named.
    pub owner: String,
    /// Where to read what to do; empty when nowhere.
    pub runbook_url: String,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it was over.
    pub ends_at: Option<Timestamp>,
    /// The value (of a resolved alert: the value it came back to).
    pub value: Option<f64>,
    /// What was expected.
    pub expected: Option<f64>,
    /// Lower end of the band.
    pub lower: Option<f64>,
    /// Upper end of the band.
    pub upper: Option<f64>,
    /// Deviation in per cent.
    pub deviation_pct: Option<f64>,
    /// 1 is the limit.
    pub score: f64,
    /// What the reason says.
    pub code: ReasonCode,
    /// The shortest that says it, for subjects.
    pub headline: String,
    /// The whole in one line.
    pub sentence: String,
    /// Why it was judged so, in a sentence.
    pub why: String,
    /// Its page; empty without `external_url`.
    pub url: String,
}

/// A rendered message, as it is kept with its deliveries: sent again it is the same to the last byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Version of this layout; 1.
    pub version: u32,
    /// Why it is sent.
    pub kind: MessageKind,
    /// Which incident (one life of one group), or the digest's or summary's own name.
    pub incident: String,
    /// The group's key, for machines.
    pub group_key: String,
    /// The receiver's name.
    pub receiver: String,
    /// Its language.
    pub language: Language,
    /// The labels all its alerts were grouped by.
    pub group_labels: Labels,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// How many alerts fire.
    pub firing: usize,
    /// How many are over.
    pub resolved: usize,
    /// The alerts, worst first; at most [`MAX_NOTES`].
    pub alerts: Vec<AlertNote>,
    /// Domain time it speaks of.
    pub at: Timestamp,
    /// Civil time it was written.
    pub created_at: Timestamp,
    /// Where this Tidemark is; empty when not configured.
    pub external_url: String,
}

/// How many alerts a message carries with their numbers. The database knows all a message stands for.
pub const MAX_NOTES: usize = 100;
