//! HTTP APIs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Base address.
    pub url: String,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpQuery {
    /// Path, appended to the source's address.
    #[serde(default)]
    pub path: String,
}
