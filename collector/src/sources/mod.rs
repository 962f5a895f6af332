//! The source types: one file each, and the one list of them. A new one is a file, a variant of [`SourceConfig`] and of
//! [`Query`] if it brings a language of its own, and a line in each function here; what is forgotten does not compile.

pub mod http;
pub mod sql;

use crate::validate::Problem;
use crate::{Query, Source, SourceConfig, SourceError};

/// Makes a source ready. Nothing is connected yet.
pub(crate) fn build(config: &SourceConfig) -> Result<Box<dyn Source>, String> {
    Ok(match config {
        SourceConfig::Sqlite(config) => Box::new(sql::SqliteSource::new(config)?),
        SourceConfig::Http(config) => Box::new(http::HttpSource::new(config)?),
    })
}

/// Checks a source's section.
pub(crate) fn validate_source(source: &SourceConfig) -> Vec<Problem> {
    match source {
        SourceConfig::Sqlite(config) => sql::validate(config),
        SourceConfig::Http(config) => http::validate(config),
    }
}

/// Checks a query by itself.
pub(crate) fn validate_query(query: &Query) -> Vec<Problem> {
    match query {
        Query::Sql(statement) => sql::validate_statement(statement),
        Query::Http(query) => http::validate_query(query),
    }
}

/// Checks that the source takes the query.
pub(crate) fn validate_fit(query: &Query, source: &SourceConfig) -> Option<Problem> {
    match (source, query) {
        (SourceConfig::Sqlite(_), Query::Sql(_)) | (SourceConfig::Http(_), Query::Http(_)) => None,
        (SourceConfig::Sqlite(_), Query::Http(_)) | (SourceConfig::Http(_), Query::Sql(_)) => {
            let (takes, has) = (language(source), query.language());
            let message = format!("source of type {} takes a `{takes}` query, not `{has}`", source.kind());
            Some(Problem::new(["query", has], message))
        }
    }
}

fn language(source: &SourceConfig) -> &'static str {
    match source {
        SourceConfig::Sqlite(_) => "sql",
        SourceConfig::Http(_) => "http",
    }
}

/// The error of a source that was handed another's query; `check` finds it first.
pub(crate) fn wrong_query(kind: &str, query: &Query) -> SourceError {
    SourceError::permanent(format!("source of type {kind} takes no `{}` query", query.language()))
}
