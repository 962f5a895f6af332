//! What the backend hands over and the pages read, as plain values.
//!
//! In JSON an instant is a whole number of milliseconds since 1970 (nanoseconds do not fit a browser's numbers), an
//! undefined number is `null`, and a point is an array (see [`Point`]).

mod alert;
mod health;
mod metric;

use model::Timestamp;
use serde::{Serialize, Serializer};

pub use alert::{
    AckRow, AlertDetail, AlertRow, AlertStatus, DeliveryRow, MessageKind, MessageRow, MessageStatus,
    TransitionRow,
};
pub use health::{ChannelRow, ConsumerRow, Health, SamplerRow, StoreTrouble};
pub use metric::{MetricCard, Point, SeriesDetail};

use crate::i18n::Bilingual;

/// The moment an answer speaks of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Domain time.
    #[serde(serialize_with = "millis")]
    pub now: Timestamp,
    /// How many domain seconds pass in a second; 1 in production.
    pub speed: f64,
    /// IANA zone in which times are shown.
    pub timezone: String,
}

/// Who answered, when no store that could be read has taken in all that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShortReach {
    /// The replica.
    pub replica: String,
    /// Up to where it has everything; `None` when that is now, or not known.
    #[serde(serialize_with = "millis_opt")]
    pub until: Option<Timestamp>,
    /// Whether it lacks a part of what is older.
    pub incomplete: bool,
}

/// The state of everything, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// When.
    #[serde(flatten)]
    pub moment: Moment,
    /// Who answered, when no store that could be read has taken in everything.
    pub short: Option<ShortReach>,
    /// Where this Tidemark is, if it has a name of its own to show beside ours; may be empty.
    pub title: Bilingual,
    /// A card for every series, in order of configuration.
    pub metrics: Vec<MetricCard>,
    /// Alerts, newest first.
    pub alerts: Vec<AlertRow>,
    /// Messages, newest first.
    pub messages: Vec<MessageRow>,
    /// Whether the numbers arrive at all.
    pub health: Health,
}

/// Serialises an instant as milliseconds.
pub(crate) fn millis<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.as_millis())
}

/// Serialises an instant, if there is one, as milliseconds.
pub(crate) fn millis_opt<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}
