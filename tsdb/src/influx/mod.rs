//! InfluxDB as a store: 1.x (`influxdb`) and 2.x (`influxdb_v2`).
//!
//! * **Durable** when [`model::WriteSamples::write`] returns: the server has answered 204. No positions are kept there;
//!   the log's cursor says how far it is, and what is written twice is the same point.
//! * **Made when missing**: database and retention policy, or bucket and DBRP mapping; before the first write, and
//!   again when the server says that they are gone. What is there is never changed.
//! * **Refused**: a point the server will never take (wrong field type, older than the retention, unreadable) is found
//!   out, named and left behind; the others of its batch are stored.
//! * **Waits**: everything else, however long: no connection, no answer within `timeout`, 429 and 5xx for as long as
//!   `Retry-After` asks, a refused password or token for a minute at a time, since a person must act.
//!
//! Read is by InfluxQL from both. Answers are read in chunks and bounded; secrets are in no message.

mod config;
mod http;
mod influxql;
mod line;
mod read;
mod rows;
mod trouble;
mod v1;
mod v2;
mod write;

#[cfg(test)]
mod fake_influx;
#[cfg(test)]
mod faults;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use model::{Clock, StoreError};
use reqwest::Response;

pub use self::config::ContentEncoding;
use self::trouble::Trouble;
pub use self::v1::InfluxdbConfig;
pub use self::v2::InfluxdbV2Config;
use crate::stores::{ProbeError, Store};

/// What the two versions do each in its own way.
#[async_trait]
trait Server: Send + Sync {
    /// Makes what is missing of database or bucket; changes nothing that is there. Whether it made the one that holds
    /// the points, so that it is empty.
    async fn prepare(&self) -> Result<bool, Trouble>;

    /// Writes lines; they are durable when it returns.
    async fn write(&self, lines: String) -> Result<(), Trouble>;

    /// Asks InfluxQL; the answer is read in chunks by [`rows`].
    async fn query(&self, statements: &str) -> Result<Response, Trouble>;

    /// Its address.
    fn place(&self) -> String;

    /// Where it is, its version, and whether our database is there. Changes nothing: whether it may be written is told
    /// by an empty write.
    async fn probe(&self) -> Result<String, Trouble>;
}

/// An InfluxDB.
pub(crate) struct InfluxStore {
    name: String,
    /// Its address, for messages.
    place: String,
    clock: Arc<dyn Clock>,
    server: Box<dyn Server>,
    /// How long one answer may take.
    timeout: std::time::Duration,
    /// Whether database or bucket were found or made.
    ready: AtomicBool,
    /// Whether they were made and the consumer was not told yet that nothing is in them.
    emptied: AtomicBool,
}

impl InfluxStore {
    fn new(name: &str, clock: Arc<dyn Clock>, timeout: std::time::Duration, server: Box<dyn Server>) -> Self {
        let place = server.place();
        Self {
            name: name.to_owned(),
            place,
            clock,
            server,
            timeout,
            ready: AtomicBool::new(false),
            emptied: AtomicBool::new(false),
        }
    }

    /// Makes database or bucket when nobody has looked yet. Who may write but not look still writes: a server that
    /// denies it is asked again only when it says that they are missing.
    async fn ensure_ready(&self) -> Result<(), Trouble> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.prepare().await {
            // A token may write a bucket and not see it, nor its organisation.
            Err(Trouble::Denied(_) | Trouble::Missing(_)) => self.ready.store(true, Ordering::Release),
            done => return done,
        }
        Ok(())
    }

    /// Makes what is missing.
    async fn prepare(&self) -> Result<(), Trouble> {
        if self.server.prepare().await? {
            self.emptied.store(true, Ordering::Release);
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    fn error(&self, operation: &'static str, message: String) -> StoreError {
        StoreError { replica: self.name.clone(), operation, message: self.at_its_place(&message) }
    }

    fn at_its_place(&self, message: &str) -> String {
        format!("{}: {message}", self.place)
    }
}

#[async_trait]
impl Store for InfluxStore {
    async fn probe(&self) -> Result<String, ProbeError> {
        self.server.probe().await.map_err(|trouble| match trouble {
            Trouble::Transient { message, .. } => ProbeError::Unreachable(self.error("be reached", message)),
            wrong => ProbeError::Wrong(self.error("be used", wrong.into_message())),
        })
    }
}
