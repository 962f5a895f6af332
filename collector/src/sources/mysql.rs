//! MySQL and MariaDB.
//!
//! Each query runs as a prepared statement in a session that refuses to write, out of a few that are kept. The server
//! itself ends it at the sampler's timeout; dropping the future ends it at once, by `KILL` over a connection of its own,
//! and the query's place is free again when the server has been told.
//!
//! A session reads civil time in the source's zone. Where the server does not know that zone by name, and in the hour
//! that comes twice, it is set to the offset that holds in the window instead.

mod cell;
mod config;
mod error;
mod pool;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod zone;

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;

pub use config::MysqlConfig;
use pool::Pool;
use server::Server;
use session::Job;

use super::sql::{Dialect, Lexer, Statement, Token, validate_query};
use super::{SourceType, wrong_query};
use crate::params::zone;
use crate::validate::Problem;
use crate::{ProbeReport, Query, Rows, SampleRequest, Source, SourceError};

/// How MySQL and MariaDB write statements.
const DIALECT: Dialect = Dialect {
    reading: &["SELECT", "WITH", "VALUES", "TABLE"],
    backslashes: true,
    dollar_texts: false,
    hash_comments: true,
    spaced_dashes: true,
    numbered: &[],
    bare: &['?'],
    ..Dialect::COMMON
};

/// A MySQL or MariaDB database as a source.
pub struct MysqlSource {
    zone: Tz,
    pool: Pool,
}

impl MysqlSource {
    /// Makes the source ready; the server is connected to when it is first asked.
    ///
    /// # Errors
    /// When the zone is unknown or a file of the section `tls` cannot be used.
    pub fn new(config: &MysqlConfig) -> Result<Self, String> {
        let server = Arc::new(Server::new(config)?);
        Ok(Self {
            zone: zone(config.timezone.as_deref())?,
            pool: Pool::new(server, config.max_concurrent.clamp(1, 64)),
        })
    }
}

#[async_trait]
impl Source for MysqlSource {
    fn kind(&self) -> &'static str {
        "mysql"
    }

    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let Query::Sql(sql) = request.query else {
            return Err(wrong_query(self.kind(), request.query));
        };
        let statement = Statement::parse(sql, &DIALECT).map_err(SourceError::permanent)?.positional();
        check(sql).map_err(SourceError::permanent)?;
        let job = Job {
            statement: &statement,
            window: request.window,
            zone: self.zone,
            max_rows: request.max_rows,
            timeout: request.timeout,
        };
        let mut lease = self.pool.lease().await?;
        let answer = lease.run(&job).await;
        lease.give_back();
        answer
    }

    async fn probe(&self) -> Result<ProbeReport, SourceError> {
        let mut lease = self.pool.lease().await?;
        let detail = lease.describe().await;
        lease.give_back();
        Ok(ProbeReport { detail: detail? })
    }
}

/// Refuses what reads and yet leaves something behind, which a read-only session does not prevent: `INTO OUTFILE`, and
/// comments that the server runs, since they can hold it.
fn check(sql: &str) -> Result<(), String> {
    for part in Lexer::new(sql, &DIALECT) {
        let (token, at) = part?;
        let text = &sql[at];
        if token == Token::Word && text.eq_ignore_ascii_case("into") {
            return Err("INTO writes: only reading is allowed".to_owned());
        }
        if token == Token::Comment && (text.starts_with("/*!") || text.starts_with("/*M!")) {
            return Err("a comment that begins with /*! is run by the server: write it without".to_owned());
        }
    }
    Ok(())
}

impl SourceType for MysqlConfig {
    fn kind(&self) -> &'static str {
        "mysql"
    }

    fn language(&self) -> &'static str {
        "sql"
    }

    fn validate(&self) -> Vec<Problem> {
        self.server().validate()
    }

    fn validate_query(&self, query: &Query) -> Vec<Problem> {
        let mut problems = validate_query(query, &DIALECT);
        if let (Query::Sql(sql), true) = (query, problems.is_empty()) {
            problems.extend(check(sql).err().map(|message| Problem::new(["query", "sql"], message)));
        }
        problems
    }

    fn build(&self) -> Result<Box<dyn Source>, String> {
        Ok(Box::new(MysqlSource::new(self)?))
    }
}
