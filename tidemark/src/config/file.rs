//! The whole file, as serde reads it once its tree is known to be good.

use std::collections::BTreeMap;

use collector::SourceConfig;
use detector::settings::CalendarConfig;
use model::{HumanDuration, Language};
use notifier::config::{InhibitRuleConfig, ReceiverConfig, RouteConfig, TimeIntervalConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::HttpSection;
use super::metrics::MetricConfig;
use super::storage::StorageSection;
use super::zone::Zone;

/// The configuration of Tidemark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// Version of this layout: 1.
    #[schemars(range(min = 1, max = 1))]
    pub(crate) version: u32,
    /// Folder of everything Tidemark keeps: log, store, alerts. Relative to this file.
    #[serde(default = "default_data_dir")]
    pub(crate) data_dir: String,
    /// Zone of schedules, days and message times where nothing else is said.
    #[serde(default)]
    pub(crate) timezone: Zone,
    /// Language of messages and pages where nothing else is said: `en` or `zh`.
    #[serde(default)]
    pub(crate) language: Language,
    /// The one HTTP listener.
    #[serde(default)]
    pub(crate) http: HttpSection,
    /// Where numbers are kept.
    #[serde(default)]
    pub(crate) storage: StorageSection,
    /// Databases and APIs to ask, by name.
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, SourceConfig>,
    /// What to sample and how to judge it.
    #[serde(default)]
    pub(crate) metrics: Vec<MetricConfig>,
    /// Who gets messages, by which channels.
    #[serde(default)]
    pub(crate) receivers: Vec<ReceiverConfig>,
    /// Which alerts go to whom; needed when there are receivers.
    #[serde(default)]
    pub(crate) route: Option<RouteConfig>,
    /// Alerts that keep others quiet.
    #[serde(default)]
    pub(crate) inhibit_rules: Vec<InhibitRuleConfig>,
    /// Named stretches of time, for routes.
    #[serde(default)]
    pub(crate) time_intervals: Vec<TimeIntervalConfig>,
    /// Promotions and holidays.
    #[serde(default)]
    pub(crate) calendar: CalendarConfig,
    /// How long a stop waits for deliveries in flight.
    #[serde(default = "default_shutdown_timeout")]
    pub(crate) shutdown_timeout: HumanDuration,
    /// After a downtime, alerts older than this notify only if they still fire; the others come in one digest.
    #[serde(default = "default_alert_max_age")]
    pub(crate) alert_max_age: HumanDuration,
}

/// Where data goes when the file says nothing.
pub(crate) fn default_data_dir() -> String {
    "tidemark-data".into()
}

const fn default_shutdown_timeout() -> HumanDuration {
    HumanDuration::from_secs(30)
}

const fn default_alert_max_age() -> HumanDuration {
    HumanDuration::from_secs(3_600)
}
