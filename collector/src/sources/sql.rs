//! SQL on SQLite.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A SQLite file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteConfig {
    /// Path of the file; opened read-only.
    pub path: String,
    /// Zone in which its text columns are written; default UTC.
    #[serde(default)]
    pub timezone: Option<String>,
}
