//! What to sample: sources, queries, schedules.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sources::{http, sql};

/// A source of the section `sources`, keyed by its type: `shop: {sqlite: {path: shop.db}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceConfig {
    /// A SQLite file, opened read-only.
    Sqlite(sql::SqliteConfig),
    /// An HTTP API.
    Http(Box<http::HttpConfig>),
}

impl SourceConfig {
    /// The type's name in the configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Http(_) => "http",
        }
    }

    /// Every path of a file in it with its place, so that the binary can make them absolute and see that secrets are
    /// there. A `sqlite` file may be missing now and come later; the others may not.
    pub fn files_mut(&mut self) -> Vec<(Vec<String>, &mut String)> {
        let place = |path: &[&str]| path.iter().map(|part| (*part).to_owned()).collect();
        match self {
            Self::Sqlite(config) => vec![(place(&["sqlite", "path"]), &mut config.path)],
            Self::Http(config) => {
                let password = config.basic_auth.as_mut().and_then(|auth| auth.password_file.as_mut());
                let files = [
                    (place(&["http", "basic_auth", "password_file"]), password),
                    (place(&["http", "bearer_token_file"]), config.bearer_token_file.as_mut()),
                    (place(&["http", "tls", "ca_file"]), config.tls.ca_file.as_mut()),
                ];
                files.into_iter().filter_map(|(at, file)| Some((at, file?))).collect()
            }
        }
    }
}

/// A metric's `query`, keyed by its language: `{sql: "SELECT .."}` or `{http: {path: /v1/x, ..}}`. Every source type
/// says which it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// A SELECT statement; parameters `:start :end :start_ms :end_ms :start_s :end_s :start_text :end_text`.
    Sql(String),
    /// A request and what to take from its answer.
    Http(Box<http::HttpQuery>),
}

impl Query {
    /// The language's name in the configuration.
    pub const fn language(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::Http(_) => "http",
        }
    }
}

/// When a sampler runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Every interval; intervals divide 24 h, under 1 h they align to UTC, from 1 h on to local midnight.
    Interval(Duration),
    /// At the instants of a cron expression (seconds first, day names only), in the sampler's zone; each tick's
    /// window is the `window` before it.
    Cron {
        /// The expression.
        expression: String,
        /// Length of each window.
        window: Duration,
    },
}

/// A value column and the metric it feeds.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueSpec {
    /// Full metric name: the sampler's own when it has one value, else `sampler.value`.
    pub metric: Arc<str>,
    /// Column of the rows; `None` = the one column that is no label.
    pub column: Option<String>,
    /// Column of the numerator, of a rate.
    pub numerator: Option<String>,
    /// Column of the denominator, of a rate.
    pub denominator: Option<String>,
}

/// The unit of scheduling: one query, one schedule, one or more metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerSpec {
    /// Its name: the `name` of the entry under `metrics`.
    pub name: Arc<str>,
    /// Name of its source.
    pub source: String,
    /// What to ask.
    pub query: Query,
    /// When.
    pub schedule: Schedule,
    /// How long after a window's end it is asked, so that late rows are there.
    pub delay: Duration,
    /// How long the source may take.
    pub timeout: Duration,
    /// Zone of schedule and local midnights.
    pub timezone: Tz,
    /// Columns that become labels.
    pub labels: Vec<String>,
    /// Labels every series gets.
    pub static_labels: Vec<(String, String)>,
    /// Value columns.
    pub values: Vec<ValueSpec>,
    /// At most this many rows are taken; more is an error.
    pub max_rows: usize,
}
