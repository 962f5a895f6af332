//! E-mail by SMTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// E-mail by SMTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// Recipients.
    pub to: Vec<String>,
}
