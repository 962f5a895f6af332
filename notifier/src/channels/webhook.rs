//! Signed webhooks (Standard Webhooks).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signed webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to POST.
    pub url: String,
}
