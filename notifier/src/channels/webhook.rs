//! Signed webhooks (Standard Webhooks, <https://www.standardwebhooks.com>).

use std::collections::BTreeMap;

use model::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signed webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to POST. Never shown, since some providers put their key into it.
    pub url: Secret,
    /// Key of the signature: `whsec_` and the base64 of 24 to 64 random bytes. This or `secret_file` is required.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// A file that holds the key.
    #[serde(default)]
    pub secret_file: Option<String>,
    /// Further headers, such as `Authorization`; values are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Whether redirects are followed.
    #[serde(default)]
    pub follow_redirects: bool,
    /// Deadline of one attempt, connecting included.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// How many alerts the body lists at most; 0 = all. What is left out is counted in `truncatedAlerts`.
    #[serde(default = "default_max_alerts")]
    pub max_alerts: usize,
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(10)
}

fn default_max_alerts() -> usize {
    100
}
