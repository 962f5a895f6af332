//! The sections `receivers`, `route`, `inhibit_rules` and `time_intervals`.
//!
//! Route, matchers, inhibition and intervals have Alertmanager's names and meaning
//! (<https://prometheus.io/docs/alerting/latest/configuration/>); receivers are ours. [`crate::validate`] finds what a
//! schema cannot see.

use std::time::Duration;

use model::{HumanDuration, Language};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::channels::ChannelConfig;

/// Who gets messages, by which channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiverConfig {
    /// Its name; unique.
    pub name: String,
    /// Its channels; every one is used. A receiver without channels is where alerts go that nobody wants to hear of.
    #[serde(default)]
    pub channels: Vec<ChannelConfig>,
    /// Language of its messages; default the top-level `language`.
    #[serde(default)]
    pub language: Option<Language>,
    /// Whether resolved alerts are told too.
    #[serde(default = "yes")]
    pub send_resolved: bool,
    /// How many messages it gets at most; what is more is merged into one summary.
    #[serde(default)]
    pub rate_limit: RateLimitConfig,
}

fn yes() -> bool {
    true
}

/// How many messages a receiver gets at most. What is more waits and is merged into one summary that counts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// So many messages (a fifth is kept back for P0) ...
    pub messages: u32,
    /// ... in this time.
    pub per: HumanDuration,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { messages: 30, per: HumanDuration::from_secs(600) }
    }
}

/// A node of the route tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// Its receiver; inherited when absent. The root must name one.
    pub receiver: Option<String>,
    /// All must match: `severity="P0"`, `team!="risk"`, `channel=~"app|web"`, `metric!~"test_.*"`; the root has none.
    pub matchers: Vec<String>,
    /// Labels that make a group; `[...]` = every label. Inherited when absent; the root's default is one group.
    pub group_by: Option<Vec<String>>,
    /// How long a new group waits for more; default 30s. Inherited.
    pub group_wait: Option<HumanDuration>,
    /// How long a group that has told waits before it tells of changes; default 5m. Inherited.
    pub group_interval: Option<HumanDuration>,
    /// How long until what still fires is told again; default 4h. Inherited.
    pub repeat_interval: Option<HumanDuration>,
    /// Whether siblings after this node are tried too.
    #[serde(rename = "continue")]
    pub continue_: bool,
    /// Names of intervals in which this route is silent.
    pub mute_time_intervals: Vec<String>,
    /// Names of intervals in which alone this route speaks.
    pub active_time_intervals: Vec<String>,
    /// Children, tried in order; the first that matches takes the alert.
    pub routes: Vec<RouteConfig>,
}

/// While an alert that matches the source fires, alerts that match the target and agree in `equal` are not told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InhibitRuleConfig {
    /// Its name, for people.
    pub name: Option<String>,
    /// All must match the alert that fires.
    pub source_matchers: Vec<String>,
    /// All must match the alert that is not told.
    pub target_matchers: Vec<String>,
    /// Labels that must be equal in both; absent in both is equal.
    pub equal: Vec<String>,
}

/// Named stretches of time, for `mute_time_intervals` and `active_time_intervals`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeIntervalConfig {
    /// Its name; unique.
    pub name: String,
    /// It holds while one of these holds.
    #[serde(default)]
    pub time_intervals: Vec<TimeSpecConfig>,
}

/// A stretch of time: every field that is given must hold; in a field one entry must.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeSpecConfig {
    /// Times of the day.
    pub times: Vec<DayTimeConfig>,
    /// Days of the week: `monday`, `monday:friday`, `saturday`.
    pub weekdays: Vec<String>,
    /// Days of the month: `1`, `1:5`, `-3:-1` (the last three).
    pub days_of_month: Vec<String>,
    /// Months: `january`, `1`, `november:december`.
    pub months: Vec<String>,
    /// Years: `2026`, `2026:2028`.
    pub years: Vec<String>,
    /// IANA zone in which this is read; default UTC, as in Alertmanager.
    pub location: Option<String>,
}

/// A stretch of the day, `[start_time, end_time)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayTimeConfig {
    /// First minute, `HH:MM`.
    pub start_time: String,
    /// First minute after, `HH:MM`; `24:00` is the end of the day.
    pub end_time: String,
}

/// All the notifier is told by configuration: one immutable snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifierConfig {
    /// The route tree.
    pub route: RouteConfig,
    /// The receivers.
    pub receivers: Vec<ReceiverConfig>,
    /// Inhibition.
    pub inhibit_rules: Vec<InhibitRuleConfig>,
    /// Named intervals.
    pub time_intervals: Vec<TimeIntervalConfig>,
    /// Language of receivers that name none.
    pub language: Language,
    /// Zone of the times in messages.
    pub timezone: chrono_tz::Tz,
    /// Address under which people reach this Tidemark, for links: `https://tidemark.example.com`.
    pub external_url: Option<String>,
    /// After downtime an older transition notifies only if its alert still fires (default 1 h).
    pub alert_max_age: Duration,
    /// How long an undelivered message is tried (default 24 h); then it is `expired`.
    pub delivery_max_age: Duration,
    /// How long deliveries in flight may take at shutdown (default 30 s).
    pub shutdown_timeout: Duration,
    /// How long resolved alerts and their deliveries are kept (default 90 d).
    pub keep: Duration,
}

impl Default for NotifierConfig {
    fn default() -> Self {
        Self {
            route: RouteConfig::default(),
            receivers: Vec::new(),
            inhibit_rules: Vec::new(),
            time_intervals: Vec::new(),
            language: Language::default(),
            timezone: chrono_tz::Tz::UTC,
            external_url: None,
            alert_max_age: Duration::from_secs(3_600),
            delivery_max_age: Duration::from_secs(86_400),
            shutdown_timeout: Duration::from_secs(30),
            keep: Duration::from_secs(90 * 86_400),
        }
    }
}
