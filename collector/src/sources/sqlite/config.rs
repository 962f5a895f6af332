//! Configuration of SQLite sources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sources::sql;

/// A SQLite file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteConfig {
    /// Path of the file, relative to the configuration file; opened read-only.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// Zone in which its text columns are written, and so of `:start_text`; default UTC.
    #[serde(default)]
    pub timezone: Option<String>,
    /// How many queries may run at once; further ones wait within their timeout.
    #[serde(default = "sql::default_max_concurrent")]
    #[schemars(range(min = 1, max = 64))]
    pub max_concurrent: usize,
}
