//! The sessions of a source: at most as many as queries may run at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use mysql_async::prelude::Queryable;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::server::Server;
use super::session::{Job, Session};
use crate::{Rows, SourceError};

/// How long a kept connection may take to say that it lives; a firewall may have forgotten it.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Idle sessions and places for queries.
pub(super) struct Pool {
    server: Arc<Server>,
    idle: Arc<Mutex<Vec<Session>>>,
    pub(super) places: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(server: Arc<Server>, max_concurrent: usize) -> Self {
        Self { server, idle: Arc::default(), places: Arc::new(Semaphore::new(max_concurrent)) }
    }

    /// A session in a place of its own, waiting for a free one. A kept connection that does not live any more is
    /// replaced.
    pub(super) async fn lease(&self) -> Result<Lease, SourceError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| SourceError::permanent("source is closed"))?;
        let session = match self.take_living().await {
            Some(session) => session,
            None => Session::open(self.server.connect().await?, self.server.place()).await?,
        };
        let (server, idle) = (Arc::clone(&self.server), Arc::clone(&self.idle));
        Ok(Lease { session: Some(session), running: false, place: Some(place), server, idle })
    }

    async fn take_living(&self) -> Option<Session> {
        while let Some(mut session) = self.take() {
            let ping = tokio::time::timeout(PING_TIMEOUT, session.connection.ping()).await;
            if matches!(ping, Ok(Ok(()))) {
                return Some(session);
            }
        }
        None
    }

    fn take(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// A session in use. When it is dropped without being given back, as with the future it is in, whatever runs in it is
/// ended on the server; its place is free when that is done.
pub(super) struct Lease {
    session: Option<Session>,
    running: bool,
    place: Option<OwnedSemaphorePermit>,
    server: Arc<Server>,
    idle: Arc<Mutex<Vec<Session>>>,
}

impl Lease {
    /// Runs a query.
    pub(super) async fn run(&mut self, job: &Job<'_>) -> Result<Rows, SourceError> {
        let Some(session) = &mut self.session else {
            return Err(SourceError::permanent("session is closed"));
        };
        self.running = true;
        let answer = session.run(job).await;
        // What was refused on the way, such as too many rows, goes on at the server.
        self.running = matches!(&answer, Err(error) if error.reason == model::MissedReason::Invalid);
        answer
    }

    /// What the server is.
    pub(super) async fn describe(&mut self) -> Result<String, SourceError> {
        match &mut self.session {
            Some(session) => session.describe().await,
            None => Err(SourceError::permanent("session is closed")),
        }
    }

    /// Keeps the session for the next query, if it is good for one.
    pub(super) fn give_back(mut self) {
        if !self.running
            && let Some(session) = self.session.take_if(|session| !session.connection.is_disconnected())
        {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if !self.running {
            return;
        }
        let id = session.connection.id();
        // A command that is given up leaves the connection closed: dropped as it is, the library would read the rest of
        // the answer first.
        let _ = session.connection.ping().now_or_never();
        drop(session);
        let (place, server) = (self.place.take(), Arc::clone(&self.server));
        // Without a runtime the process ends, and the server's own timeout ends the query.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = kill(&server, id).await {
                debug!(server = %server.place(), %error, "query could not be ended: the server's own timeout will");
            }
            drop(place);
        });
    }
}

/// Ends a connection and its query on the server.
async fn kill(server: &Server, id: u32) -> Result<(), SourceError> {
    let mut connection = server.connect().await?;
    let killed = tokio::time::timeout(PING_TIMEOUT, connection.query_drop(format!("KILL {id}"))).await;
    match killed {
        // 1094: it has ended by itself.
        Ok(Err(mysql_async::Error::Server(error))) if error.code == 1094 => {}
        Ok(other) => other.map_err(|e| super::error::asking(&server.place(), &e))?,
        Err(_) => return Err(SourceError::timeout("no answer to KILL")),
    }
    let _ = tokio::time::timeout(PING_TIMEOUT, connection.disconnect()).await;
    Ok(())
}
