//! SQLite files.
//!
//! Each query runs on a thread that may block, on a connection of its own out of a few that are kept. Dropping the
//! future cancels the query, and its place is free again when the thread has really ended.

mod config;
mod session;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono_tz::Tz;
use rusqlite::Connection;
use tokio::sync::Semaphore;

pub use config::SqliteConfig;
use session::{Cancel, Job};

use super::sql::{Dialect, Section, Statement, validate_query};
use super::{SourceType, wrong_query};
use crate::params::zone;
use crate::validate::Problem;
use crate::{ProbeReport, Query, Rows, SampleRequest, Source, SourceError};

/// How SQLite writes statements.
const DIALECT: Dialect = Dialect {
    reading: &["SELECT", "WITH", "VALUES"],
    dollar_texts: false,
    brackets: true,
    numbered: &['?', '@', '$'],
    named: &['@', '$'],
    bare: &['?'],
    ..Dialect::COMMON
};

/// A SQLite file as a source.
pub struct SqliteSource {
    zone: Tz,
    pool: Arc<Pool>,
    places: Arc<Semaphore>,
}

impl SqliteSource {
    /// Makes the source ready; the file is opened when it is first asked.
    ///
    /// # Errors
    /// When the zone is unknown.
    pub fn new(config: &SqliteConfig) -> Result<Self, String> {
        let pool = Pool { path: PathBuf::from(&config.path), idle: Mutex::default() };
        Ok(Self {
            zone: zone(config.timezone.as_deref())?,
            pool: Arc::new(pool),
            places: Arc::new(Semaphore::new(config.max_concurrent.clamp(1, 64))),
        })
    }

    /// Runs blocking work on a thread of its own, in one of the source's places, cancelled when the future is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pool, &Cancel) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| SourceError::permanent("source is closed"))?;
        let cancel = Cancel::default();
        let on_drop = CancelOnDrop(cancel.clone());
        let pool = Arc::clone(&self.pool);
        let thread = tokio::task::spawn_blocking(move || {
            let result = work(&pool, &cancel);
            drop(place);
            result
        });
        let result = thread.await;
        drop(on_drop);
        result.map_err(|e| SourceError::permanent(format!("query failed inside Tidemark: {e}")))?
    }
}

#[async_trait]
impl Source for SqliteSource {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let Query::Sql(sql) = request.query else {
            return Err(wrong_query(self.kind(), request.query));
        };
        Statement::parse(sql, &DIALECT).map_err(SourceError::permanent)?;
        let job = Job {
            sql: sql.clone(),
            window: request.window,
            zone: self.zone,
            max_rows: request.max_rows,
            timeout: request.timeout,
        };
        self.blocking(move |pool, cancel| pool.run(&job, cancel)).await
    }

    async fn probe(&self) -> Result<ProbeReport, SourceError> {
        let detail = self.blocking(|pool, _| session::describe(&pool.path)).await?;
        Ok(ProbeReport { detail })
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Open connections that nobody uses; never more than there are places.
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Pooled>>,
}

/// A connection and the file it was opened on: device and inode, since a file may be replaced under its name.
struct Pooled {
    connection: Connection,
    file: Option<(u64, u64)>,
}

impl Pool {
    fn run(&self, job: &Job, cancel: &Cancel) -> Result<Rows, SourceError> {
        let mut pooled = self.take()?;
        let result = session::run(&mut pooled.connection, &self.path, job, cancel);
        let keep = result
            .as_ref()
            .is_ok_and(|_| pooled.connection.progress_handler(0, None::<fn() -> bool>).is_ok());
        if keep {
            self.idle().push(pooled);
        }
        result
    }

    fn take(&self) -> Result<Pooled, SourceError> {
        let file = file_identity(&self.path);
        let mut idle = std::mem::take(&mut *self.idle());
        idle.retain(|pooled| pooled.file == file && file.is_some());
        let found = idle.pop();
        self.idle().append(&mut idle);
        match found {
            Some(pooled) => Ok(pooled),
            None => Ok(Pooled { connection: session::open(&self.path)?, file }),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Pooled>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl SourceType for SqliteConfig {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn language(&self) -> &'static str {
        "sql"
    }

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.path.trim().is_empty() {
            problems.push(Problem::new(["sqlite", "path"], "path is empty"));
        }
        let section = Section {
            kind: "sqlite",
            timezone: self.timezone.as_deref(),
            max_concurrent: self.max_concurrent,
        };
        problems.extend(section.validate());
        problems
    }

    fn validate_query(&self, query: &Query) -> Vec<Problem> {
        validate_query(query, &DIALECT)
    }

    fn build(&self) -> Result<Box<dyn Source>, String> {
        Ok(Box::new(SqliteSource::new(self)?))
    }
}
