//! The source types: one file each, and this one visible list.
//!
//! A new type is a file beside this one, a variant of [`SourceConfig`] and an arm of `SourceConfig::as_type`; one that
//! brings a query language of its own adds the same two lines for [`Query`]. What a type can do stands in its own file,
//! as its `SourceType` and `QueryType`; nothing else matches on the two enums.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::Problem;
use crate::{Source, SourceError};

mod certificate;
pub mod elasticsearch;
pub mod http;
pub mod mysql;
pub mod postgres;
mod provider;
mod secret;
pub mod sql;
pub mod sqlite;
mod web;

/// A source of the section `sources`, keyed by its type: `shop: {sqlite: {path: shop.db}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceConfig {
    /// A SQLite file, opened read-only.
    Sqlite(sqlite::SqliteConfig),
    /// A MySQL or MariaDB database.
    Mysql(Box<mysql::MysqlConfig>),
    /// A PostgreSQL database, in read-only transactions.
    Postgres(Box<postgres::PostgresConfig>),
    /// An HTTP API.
    Http(Box<http::HttpConfig>),
    /// An Elasticsearch or OpenSearch cluster.
    Elasticsearch(Box<elasticsearch::ElasticsearchConfig>),
}

impl SourceConfig {
    /// The type behind the variant.
    pub(crate) fn as_type(&self) -> &dyn SourceType {
        match self {
            Self::Sqlite(config) => config,
            Self::Mysql(config) => &**config,
            Self::Postgres(config) => &**config,
            Self::Http(config) => &**config,
            Self::Elasticsearch(config) => &**config,
        }
    }

    /// The type's name in the configuration.
    pub fn kind(&self) -> &'static str {
        self.as_type().kind()
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
    /// Documents to count and what to compute of them.
    Elasticsearch(Box<elasticsearch::ElasticsearchQuery>),
}

impl Query {
    /// The language behind the variant.
    pub(crate) fn as_type(&self) -> &dyn QueryType {
        match self {
            Self::Sql(statement) => statement,
            Self::Http(query) => &**query,
            Self::Elasticsearch(query) => &**query,
        }
    }

    /// The language's name in the configuration.
    pub fn language(&self) -> &'static str {
        self.as_type().language()
    }

    /// Whether it speaks of its window; a snapshot does not.
    pub fn asks_for_window(&self) -> bool {
        self.as_type().asks_for_window()
    }
}

/// What a source type's configuration can do. Implemented in the type's own file.
pub(crate) trait SourceType {
    /// The type's name in the configuration: the variant in snake case.
    fn kind(&self) -> &'static str;

    /// The language of the queries it takes, as [`QueryType::language`] calls it.
    fn language(&self) -> &'static str;

    /// Finds what a schema cannot see. Paths begin with the type's name.
    fn validate(&self) -> Vec<Problem>;

    /// Finds what is wrong with a query of its language: where that differs from type to type, more than the language
    /// knows of itself.
    fn validate_query(&self, query: &Query) -> Vec<Problem> {
        query.as_type().validate()
    }

    /// Makes the source ready. Nothing is connected yet; certificates and such may be read.
    ///
    /// # Errors
    /// What is wrong, for people, without secrets.
    fn build(&self) -> Result<Box<dyn Source>, String>;
}

/// What a query language can do. Implemented in the file of the source type that brings it, `sql` in `sql.rs`.
pub(crate) trait QueryType {
    /// The language's name in the configuration: the variant in snake case.
    fn language(&self) -> &'static str;

    /// Finds what a schema cannot see. Paths begin with `query` and the language's name.
    fn validate(&self) -> Vec<Problem>;

    /// Whether it speaks of its window; a snapshot does not.
    fn asks_for_window(&self) -> bool;
}

/// Keys of sources that name files or folders, as type and key (`sqlite`, `path`); those that end in `_file` are left
/// out, they are known by their names. A key says so itself, in its type: `#[schemars(extend("format" = "path"))]`.
pub fn path_keys() -> Vec<(String, String)> {
    let schema = schemars::schema_for!(SourceConfig).to_value();
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    let types = variants.filter_map(|variant| variant["properties"].as_object()).flatten();
    let paths = types.flat_map(|(kind, section)| {
        let pointer = section["$ref"].as_str().unwrap_or_default().trim_start_matches('#');
        let keys = schema.pointer(pointer).and_then(|section| section["properties"].as_object());
        let paths = keys.into_iter().flatten().filter(|(_, key)| key["format"] == "path");
        paths.map(|(key, _)| (kind.clone(), key.clone())).collect::<Vec<_>>()
    });
    paths.collect()
}

/// Checks that the source takes the query.
pub(crate) fn validate_fit(query: &Query, source: &SourceConfig) -> Option<Problem> {
    let (takes, has) = (source.as_type().language(), query.language());
    let message =
        || format!("source of type {} takes its query under `{takes}`, not under `{has}`", source.kind());
    (takes != has).then(|| Problem::new(["query", has], message()))
}

/// The error of a source that was handed another's query; `check` finds it first.
pub(crate) fn wrong_query(kind: &str, query: &Query) -> SourceError {
    SourceError::permanent(format!("source of type {kind} takes no `{}` query", query.language()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_type_calls_itself_what_the_configuration_calls_it() {
        for (source, kind, takes) in [
            (json!({"sqlite": {"path": "shop.db"}}), "sqlite", "sql"),
            (json!({"postgres": {"host": "127.0.0.1", "database": "d", "user": "u"}}), "postgres", "sql"),
            (json!({"http": {"url": "http://x"}}), "http", "http"),
            (
                json!({"mysql": {"host": "db", "database": "shop", "user": "reader", "tls": {"mode": "disable"}}}),
                "mysql",
                "sql",
            ),
            (json!({"elasticsearch": {"url": "http://x"}}), "elasticsearch", "elasticsearch"),
        ] {
            let source: SourceConfig = serde_json::from_value(source).unwrap();
            assert_eq!((source.kind(), source.as_type().language()), (kind, takes));
            assert_eq!(source.as_type().build().unwrap().kind(), kind);
        }
        for (query, language) in [(json!({"sql": "SELECT 1"}), "sql"), (json!({"http": {}}), "http")] {
            assert_eq!(serde_json::from_value::<Query>(query).unwrap().language(), language);
        }
    }

    #[test]
    fn keys_that_are_paths_say_so() {
        assert_eq!(path_keys(), [("sqlite".to_owned(), "path".to_owned())]);
    }

    #[test]
    fn a_snapshot_does_not_ask_for_its_window() {
        let asks = |query: Value| serde_json::from_value::<Query>(query).unwrap().asks_for_window();
        for snapshot in [json!({"sql": "SELECT count(*) FROM carts"}), json!({"http": {"path": "/v1/carts"}})]
        {
            assert!(!asks(snapshot.clone()), "{snapshot}");
        }
        for windowed in [
            json!({"sql": "SELECT count(*) FROM orders WHERE at >= :start_ms"}),
            json!({"http": {"params": {"until": "{{ end }}"}}}),
            json!({"http": {"body": "{{ start_ms }}"}}),
        ] {
            assert!(asks(windowed.clone()), "{windowed}");
        }
    }
}
