//! The source types: one file each, and the one list of them.

pub mod http;
pub mod sql;

use crate::validate::Problem;
use crate::{Query, SourceConfig};

/// Checks a source's section.
pub(crate) fn validate_source(source: &SourceConfig) -> Vec<Problem> {
    match source {
        SourceConfig::Sqlite(_) | SourceConfig::Http(_) => Vec::new(),
    }
}

/// Checks a query and that the source takes it.
pub(crate) fn validate_query(query: &Query, source: &SourceConfig) -> Vec<Problem> {
    match (source, query) {
        (SourceConfig::Sqlite(_), Query::Sql(_)) | (SourceConfig::Http(_), Query::Http(_)) => Vec::new(),
        (SourceConfig::Sqlite(_), Query::Http(_)) => {
            vec![Problem::new(["query", "http"], "a sqlite source takes `sql` queries")]
        }
        (SourceConfig::Http(_), Query::Sql(_)) => {
            vec![Problem::new(["query", "sql"], "an http source takes `http` queries")]
        }
    }
}
