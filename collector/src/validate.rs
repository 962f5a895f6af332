//! Checks of what serde cannot see: addresses, expressions, statements, names.

use crate::{SamplerSpec, SourceConfig};

/// Something wrong with a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from the checked section down: keys and list indices, `["http", "url"]`, `["labels", "0"]`.
    pub path: Vec<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    pub(crate) fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self { path: path.map(str::to_owned).to_vec(), message: message.into() }
    }
}

/// Checks one entry of `sources`. Paths begin with the source's type (`http`, `sqlite`).
pub fn validate_source(source: &SourceConfig) -> Vec<Problem> {
    crate::sources::validate_source(source)
}

/// Checks one sampler. Paths begin with the key of the metric's entry: `query`, `interval`, `cron`, `window`, `delay`,
/// `timeout`, `labels`, `static_labels`, `values`, `max_rows`. Without its source the fit of source and query is not
/// checked.
pub fn validate_sampler(spec: &SamplerSpec, source: Option<&SourceConfig>) -> Vec<Problem> {
    source.map_or_else(Vec::new, |source| crate::sources::validate_query(&spec.query, source))
}
