//! PostgreSQL.
//!
//! Each query runs in a READ ONLY transaction of its own on a connection out of a few that are kept, under the server's
//! own `statement_timeout` and `lock_timeout`. The transaction is always rolled back, so that nothing a statement set
//! outlives it. Dropping the future cancels the query on the server; its place is free again when that has ended.
//!
//! `:start` and `:end` are bound as `timestamptz`, `:start_ms` and its like as `bigint`, `:start_text` as a literal
//! whose type the server infers; the session's zone is the source's. So an instant means the same beside a `timestamptz`,
//! a `timestamp` and a `date`, and the server says so where it fits none.

mod cells;
mod config;
mod connect;
mod error;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;

pub use config::PostgresConfig;
use connect::Connector;
use session::{Query as SessionQuery, Session};

use super::sql::{Dialect, Statement, validate_query};
use super::{SourceType, wrong_query};
use crate::params::zone;
use crate::validate::Problem;
use crate::{ProbeReport, Query, Rows, SampleRequest, Source, SourceError};

/// How PostgreSQL writes statements.
const DIALECT: Dialect =
    Dialect { escape_texts: true, backticks: false, nested_comments: true, ..Dialect::COMMON };

/// A PostgreSQL database as a source.
pub struct PostgresSource {
    zone: Tz,
    connector: Arc<Connector>,
}

impl PostgresSource {
    /// Makes the source ready: reads the certificate files, connects to nothing.
    ///
    /// # Errors
    /// When zone or certificate files are wrong.
    pub fn new(config: &PostgresConfig) -> Result<Self, String> {
        Ok(Self { zone: zone(config.timezone.as_deref())?, connector: Arc::new(Connector::new(config)?) })
    }
}

#[async_trait]
impl Source for PostgresSource {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let Query::Sql(sql) = request.query else {
            return Err(wrong_query(self.kind(), request.query));
        };
        let statement = Statement::parse(sql, &DIALECT).map_err(SourceError::permanent)?.numbered();
        let query = SessionQuery {
            statement: &statement,
            window: request.window,
            zone: self.zone,
            max_rows: request.max_rows,
        };
        let mut session = Session::open(&self.connector, self.zone, request.timeout).await?;
        let rows = session.run(&query).await;
        session.close().await;
        rows
    }

    async fn probe(&self) -> Result<ProbeReport, SourceError> {
        let mut session = Session::open(&self.connector, self.zone, self.connector.connect_timeout()).await?;
        let detail = session.describe().await;
        session.close().await;
        Ok(ProbeReport { detail: detail? })
    }
}

impl SourceType for PostgresConfig {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn language(&self) -> &'static str {
        "sql"
    }

    fn validate(&self) -> Vec<Problem> {
        self.server().validate()
    }

    fn validate_query(&self, query: &Query) -> Vec<Problem> {
        validate_query(query, &DIALECT)
    }

    fn build(&self) -> Result<Box<dyn Source>, String> {
        Ok(Box::new(PostgresSource::new(self)?))
    }
}
