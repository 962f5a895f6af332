//! A session that only reads, and one query in it.

use std::time::Duration;

use chrono::{Datelike, Timelike};
use chrono_tz::Tz;
use futures_util::TryStreamExt;
use model::{Timestamp, Window};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};

use super::cell::cell;
use super::error::{self, UNKNOWN_TIME_ZONE, UNKNOWN_VARIABLE};
use super::zone::{self, SessionZone};
use crate::params::{Form, Param, civil_text};
use crate::sources::sql::{Answer, Rendered, timeouts};
use crate::{Rows, SourceError};

/// One query.
pub(super) struct Job<'a> {
    pub(super) statement: &'a Rendered,
    pub(super) window: Window,
    pub(super) zone: Tz,
    pub(super) max_rows: usize,
    pub(super) timeout: Duration,
}

impl Job<'_> {
    /// Whether the session's zone matters to what is bound.
    fn binds_instants(&self) -> bool {
        self.statement.params.iter().any(|param| param.form == Form::Instant)
    }
}

/// A connection and what its session is set to.
pub(super) struct Session {
    pub(super) connection: Conn,
    place: String,
    version: String,
    zone: Option<SessionZone>,
    /// The server does not know the source's zone by its name.
    nameless: bool,
    timeout: Option<Duration>,
}

impl Session {
    /// Makes the session of a new connection read-only.
    pub(super) async fn open(mut connection: Conn, place: String) -> Result<Self, SourceError> {
        // A scanner of statements has to know what a backslash is; a server that commits nothing by itself would show
        // the same snapshot for ever.
        let settings =
            "SET SESSION autocommit = 1, sql_mode = REPLACE(@@sql_mode, 'NO_BACKSLASH_ESCAPES', '')";
        for statement in [settings, "SET SESSION TRANSACTION READ ONLY"] {
            connection.query_drop(statement).await.map_err(|e| error::asking(&place, &e))?;
        }
        let version = connection.query_first::<String, _>("SELECT VERSION()").await;
        let version = version.map_err(|e| error::asking(&place, &e))?.unwrap_or_default();
        Ok(Self { connection, place, version, zone: None, nameless: false, timeout: None })
    }

    /// What the server is, for a probe.
    pub(super) async fn describe(&mut self) -> Result<String, SourceError> {
        let count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
        let tables = self.connection.query_first::<u64, _>(count).await;
        let tables = tables.map_err(|e| error::asking(&self.place, &e))?.unwrap_or_default();
        let name = if self.is_mariadb() { "MariaDB" } else { "MySQL" };
        let number = self.version.split('-').next().unwrap_or_default();
        Ok(format!("{name} {number}, {tables} tables and views"))
    }

    fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// Runs a query. When this future is dropped the query goes on: the caller has to end it.
    pub(super) async fn run(&mut self, job: &Job<'_>) -> Result<Rows, SourceError> {
        self.limit(job.timeout).await?;
        let zone = self.set_zone(job).await?;
        let params: Vec<Value> = job.statement.params.iter().map(|param| bind(*param, job, zone)).collect();
        let place = self.place.clone();
        let describe = |e: Error| error::asking(&place, &e);
        let mut result =
            self.connection.exec_iter(job.statement.text.as_str(), params).await.map_err(describe)?;
        let columns = result.columns().unwrap_or_default();
        let names = columns.iter().map(|column| column.name_str().into_owned()).collect();
        let mut answer = Answer::new(names, job.max_rows)?;
        if let Some(mut rows) = result.stream::<Row>().await.map_err(describe)? {
            while let Some(row) = rows.try_next().await.map_err(describe)? {
                let mut values = row.unwrap();
                answer.push(|at| cell(&columns[at], std::mem::replace(&mut values[at], Value::NULL)))?;
            }
        }
        Ok(answer.finish())
    }

    /// Has the server end what takes longer.
    async fn limit(&mut self, timeout: Duration) -> Result<(), SourceError> {
        if self.timeout == Some(timeout) {
            return Ok(());
        }
        let limits = timeouts(timeout);
        let lock = limits.lock.as_secs().max(1);
        let idle = limits.idle.as_secs().max(1);
        let statement = if self.is_mariadb() {
            format!("SET SESSION max_statement_time = {}", limits.statement.as_secs_f64())
        } else {
            format!("SET SESSION max_execution_time = {}", limits.statement.as_millis())
        };
        let others = format!(
            "SET SESSION lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}, net_write_timeout = {idle}"
        );
        for set in [statement, others] {
            match self.connection.query_drop(set).await {
                // An old server; the caller's deadline still holds.
                Err(Error::Server(e)) if e.code == UNKNOWN_VARIABLE => {}
                other => other.map_err(|e| error::asking(&self.place, &e))?,
            }
        }
        self.timeout = Some(timeout);
        Ok(())
    }

    async fn set_zone(&mut self, job: &Job<'_>) -> Result<SessionZone, SourceError> {
        let mut zones = zone::candidates(job.window, job.zone);
        if !job.binds_instants() {
            zones.push(zone::at_start(job.window, job.zone));
        }
        for zone in zones {
            if self.zone == Some(zone) {
                return Ok(zone);
            }
            if self.nameless && matches!(zone, SessionZone::Named(_)) {
                continue;
            }
            match self.connection.query_drop(format!("SET SESSION time_zone = '{}'", zone.name())).await {
                Ok(()) => {
                    self.zone = Some(zone);
                    return Ok(zone);
                }
                Err(Error::Server(e)) if e.code == UNKNOWN_TIME_ZONE => self.nameless = true,
                Err(e) => return Err(error::asking(&self.place, &e)),
            }
        }
        Err(SourceError::permanent(format!(
            "{}: clocks change in this window, and the server does not know the zone {} or the window begins or ends in \
             the hour that comes twice: write :start_text for DATETIME columns and FROM_UNIXTIME(:start_s) for TIMESTAMP \
             columns, or load the server's time zones",
            self.place,
            job.zone.name()
        )))
    }
}

fn bind(param: Param, job: &Job<'_>, zone: SessionZone) -> Value {
    let at: Timestamp = param.at(job.window);
    match param.form {
        Form::Millis => Value::Int(at.as_millis()),
        Form::Secs => Value::Int(at.as_secs()),
        Form::Text => Value::from(civil_text(at, job.zone)),
        Form::Instant => {
            let civil = zone.civil(at);
            let small = |part: u32| u8::try_from(part).unwrap_or(0);
            Value::Date(
                u16::try_from(civil.year()).unwrap_or(0),
                small(civil.month()),
                small(civil.day()),
                small(civil.hour()),
                small(civil.minute()),
                small(civil.second()),
                civil.nanosecond() / 1_000,
            )
        }
    }
}
