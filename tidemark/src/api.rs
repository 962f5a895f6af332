//! What commands and the running process say to each other over HTTP, as JSON.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/metrics` | [`MetricList`] |
//! | `GET /api/v1/alerts?state=&since=&limit=` | [`AlertList`] |
//! | `GET /api/v1/alerts/{id}` | [`AlertDetail`], 404 |
//! | `POST /api/v1/alerts/{id}/ack` with [`AckRequest`] | [`AckAnswer`], 404, 409 when it does not fire |
//! | `GET /api/v1/series?metric=&of=&from=&to=&last=` (RFC 3339) | [`SeriesAnswer`] |
//! | `GET /api/v1/replicas` | [`ReplicaList`] |
//! | `POST /api/v1/replicas/{name}/accept` | [`AcceptAnswer`], 404, 409 |
//! | `POST /api/v1/reload` | [`ReloadAnswer`]; 422 with [`ReloadRefused`] |
//! | `POST /api/v1/notify/test` with [`NotifyTestRequest`] | [`NotifyTestAnswer`], 404 |
//!
//! Any other answer than 2xx carries an [`ErrorAnswer`].

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{FieldValue, Labels, Reach, SeriesData, Timestamp};
use serde::{Deserialize, Serialize};

/// Path of the metric list.
pub(crate) const METRICS: &str = "/api/v1/metrics";
/// Path of the alert list; `/{id}` after it gives one.
pub(crate) const ALERTS: &str = "/api/v1/alerts";
/// Path of stored samples.
pub(crate) const SERIES: &str = "/api/v1/series";
/// Path of the replicas; `/{name}/accept` after it accepts what one lacks.
pub(crate) const REPLICAS: &str = "/api/v1/replicas";
/// Path of readiness.
pub(crate) const READYZ: &str = "/readyz";
/// Path of reload.
pub(crate) const RELOAD: &str = "/api/v1/reload";
/// Path of a receiver's test.
pub(crate) const NOTIFY_TEST: &str = "/api/v1/notify/test";

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorAnswer {
    /// In words; lower case, no full stop.
    pub(crate) error: String,
}

/// Every series of every metric, and each metric that has none yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MetricList {
    /// In order of metric and labels.
    pub(crate) metrics: Vec<MetricRow>,
    /// Why the answer may not be the newest, when it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) short: Option<ShortAnswer>,
}

/// Who answered, when no replica that could be read has taken in all that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShortAnswer {
    /// The replica.
    pub(crate) replica: String,
    /// Up to where it has everything; `None` when that is now, or not known.
    #[serde(default, with = "optional_time")]
    pub(crate) until: Option<Timestamp>,
    /// How long before now that is, in seconds.
    #[serde(default)]
    pub(crate) behind_secs: Option<u64>,
    /// Whether it lacks a part of what is older.
    #[serde(default)]
    pub(crate) incomplete: bool,
}

impl ShortAnswer {
    /// What there is to say of a reach; `now` in domain time.
    pub(crate) fn of(reach: Reach, now: Timestamp) -> Option<Self> {
        let Reach::Short(short) = reach else { return None };
        let until = short.until.filter(|until| *until < now);
        let behind_secs = until.map(|until| now.since(until).as_secs());
        Some(Self { replica: short.replica, until, behind_secs, incomplete: short.incomplete })
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let lacks = if self.incomplete { "lacks a part of what is older" } else { "" };
        let what = match (self.until, self.behind_secs) {
            (Some(until), Some(secs)) => {
                let behind = if secs < 60 { format!("{secs} s") } else { format!("{} min", secs / 60) };
                let lacks = if self.incomplete { format!(", and {lacks}") } else { String::new() };
                format!("reaches {until}; {behind} behind{lacks}")
            }
            _ if self.incomplete => lacks.to_owned(),
            _ => "is catching up".to_owned(),
        };
        format!("answered by replica `{}`, which {what}", self.replica)
    }
}

/// How a series stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MetricRow {
    /// Full name of the metric.
    pub(crate) metric: String,
    /// The series' labels.
    pub(crate) labels: Labels,
    /// Name for people; empty when none is configured.
    #[serde(default)]
    pub(crate) title: String,
    /// Unit of the values.
    #[serde(default)]
    pub(crate) unit: String,
    /// `normal`, `learning`, `missing`, `outside` or `firing`; `None` while nothing was sampled.
    pub(crate) state: Option<String>,
    /// Start of the last window that was judged.
    #[serde(with = "optional_time")]
    pub(crate) at: Option<Timestamp>,
    /// Its value.
    pub(crate) value: Option<f64>,
    /// What was expected.
    pub(crate) expected: Option<f64>,
    /// Lower end of the band.
    pub(crate) lower: Option<f64>,
    /// Upper end of the band.
    pub(crate) upper: Option<f64>,
    /// Deviation in per cent.
    pub(crate) deviation_pct: Option<f64>,
    /// Score; 1 is the limit.
    pub(crate) score: Option<f64>,
}

/// Alerts, current and recent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertList {
    /// Newest first.
    pub(crate) alerts: Vec<AlertRow>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertRow {
    /// Its id.
    pub(crate) id: String,
    /// `pending`, `firing` or `resolved`.
    pub(crate) state: String,
    /// `P0`, `P1` or `P2`.
    pub(crate) severity: String,
    /// Full name of the metric.
    pub(crate) metric: String,
    /// The series' labels.
    pub(crate) labels: Labels,
    /// When it began.
    #[serde(with = "time")]
    pub(crate) starts_at: Timestamp,
    /// When it ended.
    #[serde(with = "optional_time")]
    pub(crate) ends_at: Option<Timestamp>,
    /// What happened, in one sentence.
    pub(crate) sentence: String,
    /// Why nobody was told, when nobody was.
    #[serde(default)]
    pub(crate) suppressed: Option<String>,
    /// Who has it in hand.
    #[serde(default)]
    pub(crate) acknowledged: Option<AckRow>,
}

/// Somebody has an alert in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckRow {
    /// When.
    #[serde(with = "time")]
    pub(crate) at: Timestamp,
    /// Who: a name, or the number or address that was told.
    pub(crate) by: String,
    /// How: the channel, `api` or `cli`.
    pub(crate) via: String,
    /// How bad it was; it holds until it gets worse.
    pub(crate) severity: String,
}

/// Take an alert in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckRequest {
    /// Who takes it.
    #[serde(default)]
    pub(crate) by: String,
    /// How; `api` when it is not said.
    #[serde(default)]
    pub(crate) via: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckAnswer {
    /// The alert.
    pub(crate) id: String,
    /// `acknowledged`, or `already_acknowledged` when it was before.
    pub(crate) result: String,
}

/// An alert with everything known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertDetail {
    /// The alert.
    #[serde(rename = "alert")]
    pub(crate) row: AlertRow,
    /// The numbers of its last transition: `value expected lower upper deviation_pct score`.
    pub(crate) numbers: BTreeMap<String, f64>,
    /// What happened to it, oldest first.
    pub(crate) transitions: Vec<TransitionRow>,
    /// The whole reason as the detector gave it, with every number that made it.
    pub(crate) reason: serde_json::Value,
    /// Messages about it, oldest first.
    pub(crate) deliveries: Vec<DeliveryRow>,
    /// Who took it in hand, oldest first.
    #[serde(default)]
    pub(crate) acknowledgements: Vec<AckRow>,
}

/// A step of an alert's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TransitionRow {
    /// When.
    #[serde(with = "time")]
    pub(crate) at: Timestamp,
    /// `pending`, `firing`, `severity_changed` or `resolved`.
    pub(crate) transition: String,
    /// The severity from then on.
    pub(crate) severity: String,
}

/// A message about an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeliveryRow {
    /// When its state last changed.
    #[serde(with = "time")]
    pub(crate) at: Timestamp,
    /// The receiver.
    pub(crate) receiver: String,
    /// The channel.
    pub(crate) channel: String,
    /// `queued`, `leased`, `accepted`, `delivered`, `failed`, `expired`, `merged` or `suppressed`.
    pub(crate) state: String,
    /// Receipt or reason.
    #[serde(default)]
    pub(crate) detail: String,
}

/// What is asked of a metric's series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SeriesOf {
    /// Its samples, every field.
    #[default]
    Sample,
    /// Its verdicts: value and state.
    Verdict,
}

impl SeriesOf {
    /// As it stands in the query.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Verdict => "verdict",
        }
    }
}

/// Stored samples or verdicts of one metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesAnswer {
    /// Domain time of the process that answers.
    #[serde(default, with = "optional_time")]
    pub(crate) now: Option<Timestamp>,
    /// Its series, in order of labels.
    pub(crate) series: Vec<SeriesPoints>,
    /// Why the answer may not be the newest, when it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) short: Option<ShortAnswer>,
}

/// One series' points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesPoints {
    /// All tags, `metric` among them.
    pub(crate) tags: Labels,
    /// Starts of windows in nanoseconds since the epoch, ascending.
    pub(crate) times_ns: Vec<i64>,
    /// For each field a column as long as `times_ns`.
    pub(crate) columns: BTreeMap<String, Vec<Option<FieldValue>>>,
}

impl From<SeriesData> for SeriesPoints {
    fn from(data: SeriesData) -> Self {
        let column = |(name, values): (Arc<str>, Vec<_>)| (name.to_string(), values);
        Self {
            tags: data.tags,
            times_ns: data.times.iter().map(|time| time.as_nanos()).collect(),
            columns: data.columns.into_iter().map(column).collect(),
        }
    }
}

impl From<SeriesPoints> for SeriesData {
    fn from(points: SeriesPoints) -> Self {
        let column = |(name, values): (String, Vec<_>)| (name.into(), values);
        Self {
            tags: points.tags,
            times: points.times_ns.into_iter().map(Timestamp::from_nanos).collect(),
            columns: points.columns.into_iter().map(column).collect(),
        }
    }
}

/// The replicas of the time-series database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplicaList {
    /// In order of the configuration.
    pub(crate) replicas: Vec<ReplicaRow>,
}

/// How a replica stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplicaRow {
    /// Its name.
    pub(crate) replica: String,
    /// `whole`, `incomplete`, `down` or `starting`.
    pub(crate) state: String,
    /// Age of the oldest entry of the log it does not have, in seconds; `None` before it was reached.
    pub(crate) lag_secs: Option<u64>,
    /// Up to where everything is written; `None` when nothing was since the start.
    #[serde(with = "optional_time")]
    pub(crate) reach: Option<Timestamp>,
    /// From when it lacks numbers; `None` when it lacks none, or nobody knows.
    #[serde(with = "optional_time")]
    pub(crate) lacks_from: Option<Timestamp>,
    /// Until when.
    #[serde(with = "optional_time")]
    pub(crate) lacks_to: Option<Timestamp>,
    /// What is wrong with it; empty when nothing is.
    #[serde(default)]
    pub(crate) detail: String,
}

/// What a replica lacks was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AcceptAnswer {
    /// The replica.
    pub(crate) replica: String,
}

/// What `/readyz` answers: 200 when every part works, else 503.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Readiness {
    /// Whether every part works.
    pub(crate) ready: bool,
    /// The parts.
    pub(crate) parts: Vec<PartReadiness>,
}

/// Whether a part works.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartReadiness {
    /// Which.
    pub(crate) part: String,
    /// Whether it works.
    pub(crate) ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// The configuration was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReloadAnswer {
    /// Revision of what runs now, 16 hex digits.
    pub(crate) revision: String,
    /// Whether anything is different from before.
    pub(crate) changed: bool,
    /// Warnings, as `check` prints them.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

/// The configuration was refused; the old one goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReloadRefused {
    /// Every error, as `check` prints them.
    pub(crate) errors: Vec<String>,
}

/// Send a test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotifyTestRequest {
    /// To this receiver.
    pub(crate) receiver: String,
}

/// How a receiver's channels did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotifyTestAnswer {
    /// One row a channel.
    pub(crate) channels: Vec<ChannelTestRow>,
}

/// How a channel did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelTestRow {
    /// The channel.
    pub(crate) channel: String,
    /// Whether the provider took the message.
    pub(crate) ok: bool,
    /// Receipt or reason.
    pub(crate) detail: String,
    /// How long it took.
    pub(crate) duration_ms: u64,
}

/// Times as RFC 3339.
mod time {
    use model::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::parse_rfc3339(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Times that may be absent, as RFC 3339 or null.
mod optional_time {
    use model::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::to_rfc3339).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Timestamp::parse_rfc3339(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Shortfall;

    #[test]
    fn a_short_answer_says_who_answered_and_how_far_it_reaches() {
        let now = Timestamp::from_secs(10_000);
        let words = |until: Option<i64>, incomplete| {
            let until = until.map(Timestamp::from_secs);
            let short = Shortfall { replica: "b".into(), until, incomplete };
            ShortAnswer::of(Reach::Short(short), now).map(|short| short.words()).unwrap_or_default()
        };
        let all = [
            words(Some(9_800), false),
            words(Some(9_990), true),
            words(Some(20_000), true),
            words(None, false),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        answered by replica `b`, which reaches 1970-01-01T02:43:20Z; 3 min behind
        answered by replica `b`, which reaches 1970-01-01T02:46:30Z; 10 s behind, and lacks a part of what is older
        answered by replica `b`, which lacks a part of what is older
        answered by replica `b`, which is catching up
        ");
        assert_eq!(ShortAnswer::of(Reach::Whole, now), None);
    }
}
