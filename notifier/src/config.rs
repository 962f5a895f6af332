//! The sections `receivers`, `route`, `inhibit_rules` and `time_intervals`.
//!
//! Route, matchers, inhibition and intervals have Alertmanager's names and meaning
//! (<https://prometheus.io/docs/alerting/latest/configuration/>); receivers are ours.

use model::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::{email, webhook};

/// A channel of a receiver, keyed by its type: `email: {to: [..]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelConfig {
    /// E-mail by SMTP.
    Email(email::EmailConfig),
    /// A signed webhook.
    Webhook(webhook::WebhookConfig),
}

/// Who gets messages, by which channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiverConfig {
    /// Its name; unique.
    pub name: String,
    /// Its channels; every one is used.
    #[serde(default)]
    pub channels: Vec<ChannelConfig>,
    /// Language of its messages; default the top-level `language`.
    #[serde(default)]
    pub language: Option<Language>,
    /// Whether resolved alerts are told too.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

fn yes() -> bool {
    true
}

/// Language of what people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

/// A node of the route tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// Its receiver; inherited when absent. The root must name one.
    pub receiver: Option<String>,
    /// All must match; the root has none.
    pub matchers: Vec<String>,
    /// Labels that make a group; `[...]` = every label. Inherited when absent.
    pub group_by: Option<Vec<String>>,
    /// How long a new group waits for more.
    pub group_wait: Option<HumanDuration>,
    /// How long a group that has told waits before it tells of changes.
    pub group_interval: Option<HumanDuration>,
    /// How long until what still fires is told again.
    pub repeat_interval: Option<HumanDuration>,
    /// Whether siblings after this node are tried too.
    #[serde(rename = "continue")]
    pub continue_: bool,
    /// Intervals in which this route is silent.
    pub mute_time_intervals: Vec<String>,
    /// Intervals in which alone this route speaks.
    pub active_time_intervals: Vec<String>,
    /// Children, tried in order.
    pub routes: Vec<RouteConfig>,
}
