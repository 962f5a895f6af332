//! What `tidemark demo` adds to the page: its story and what its catchers received.

use model::Timestamp;
use serde::Serialize;

use crate::dto::{AlertRow, MessageRow, millis, millis_opt};
use crate::i18n::Bilingual;

/// A demo that explains itself on the page. Called once for every fresh overview; must not block.
pub trait Showcase: Send + Sync {
    /// What the demo does, did and will do, given the domain time and the alerts the page shows.
    fn story(&self, now: Timestamp, alerts: &[AlertRow]) -> Story;

    /// What the catchers received, newest first.
    fn inbox(&self) -> Vec<InboxMessage>;
}

/// A message as a catcher received it. Shown instead of the notifier's own list of deliveries.
pub type InboxMessage = MessageRow;

/// The strip "what the demo does".
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Story {
    /// One sentence on the whole.
    pub summary: Bilingual,
    /// Planted anomalies, in order of time: the last few past ones, the present one, the next ones.
    pub anomalies: Vec<Anomaly>,
}

/// How far a planted anomaly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyPhase {
    /// Still to come.
    Planned,
    /// Going on.
    Now,
    /// Over.
    Past,
}

/// One planted anomaly and what Tidemark made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anomaly {
    /// Its name, such as `Orders fall to a fifth`.
    pub title: Bilingual,
    /// How far it is.
    pub phase: AnomalyPhase,
    /// Domain time at which it begins.
    #[serde(serialize_with = "millis")]
    pub starts_at: Timestamp,
    /// Domain time at which it ends.
    #[serde(serialize_with = "millis")]
    pub ends_at: Timestamp,
    /// Domain time at which the first alert on it turned to firing.
    #[serde(serialize_with = "millis_opt")]
    pub detected_at: Option<Timestamp>,
    /// Whether a message on it has arrived.
    pub notified: bool,
    /// Domain time at which that alert was resolved.
    #[serde(serialize_with = "millis_opt")]
    pub resolved_at: Option<Timestamp>,
    /// The alert, for a link.
    pub alert: Option<String>,
}
