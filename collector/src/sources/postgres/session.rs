//! One query in a transaction that only reads, and its end: in order, or cancelled on the server.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use model::Window;
use tokio_postgres::CancelToken;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::cells::{Bytes, Decoder};
use super::connect::Connector;
use super::error::{Place, is_connection};
use crate::params::{Form, Param, civil_text};
use crate::sources::sql::{Answer, Rendered, timeouts};
use crate::{Rows, SourceError};

/// How long the end of a cancelled query is waited for; the connection is closed then, and the server's own
/// `statement_timeout` ends what still runs.
const MAX_END: Duration = Duration::from_secs(10);
/// A session where nothing runs any more answers within this; it is kept.
const HEAD_START: Duration = Duration::from_millis(20);
/// The wait before a query that goes on is cancelled again: a request that comes before it began is lost.
const CANCEL_AGAIN: Duration = Duration::from_millis(200);

/// One query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) statement: &'a Rendered,
    pub(super) window: Window,
    pub(super) zone: Tz,
    pub(super) max_rows: usize,
}

/// A connection in a transaction that only reads. Dropped before it is closed, it cancels what runs and is not used again.
pub(super) struct Session<'c> {
    connector: &'c Connector,
    client: Option<Object>,
    /// Nothing runs on it: it may be closed in order.
    quiet: bool,
}

impl<'c> Session<'c> {
    /// Begins a transaction on a free connection. One that broke while it was idle is replaced.
    pub(super) async fn open(
        connector: &'c Connector,
        zone: Tz,
        timeout: Duration,
    ) -> Result<Self, SourceError> {
        let begin = begin(zone, timeout);
        loop {
            let client = connector.get().await?;
            let idle_before = Object::metrics(&client).recycle_count > 0;
            let mut session = Self { connector, client: Some(client), quiet: false };
            let Err(error) = session.client()?.batch_execute(&begin).await else {
                session.quiet = true;
                return Ok(session);
            };
            if !(idle_before && is_connection(&error)) {
                return Err(connector.place().asking(&error, None));
            }
        }
    }

    fn client(&self) -> Result<&Object, SourceError> {
        self.client.as_ref().ok_or_else(|| SourceError::permanent("the session is closed"))
    }

    fn place(&self) -> &'c Place {
        self.connector.place()
    }

    /// Runs a query.
    pub(super) async fn run(&mut self, query: &Query<'_>) -> Result<Rows, SourceError> {
        self.quiet = false;
        let answer = self.answer(query).await;
        self.quiet = answer.is_ok();
        answer
    }

    async fn answer(&self, query: &Query<'_>) -> Result<Rows, SourceError> {
        let statement = query.statement;
        let describe = |e: tokio_postgres::Error| self.place().asking(&e, Some(statement));
        let client = self.client()?;
        let types: Vec<Type> = statement.params.iter().map(|param| declared(*param)).collect();
        let prepared = client.prepare_typed(&statement.text, &types).await.map_err(describe)?;
        let mut decoder = Decoder::new(prepared.columns(), query.zone).map_err(SourceError::invalid)?;
        if decoder.has_money() {
            let one = client.query_one("SELECT 1::pg_catalog.money", &[]).await.map_err(describe)?;
            decoder.money_unit(one.try_get::<_, Bytes<'_>>(0).map_err(describe)?);
        }
        let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut answer = Answer::new(columns, query.max_rows)?;
        let values = statement.params.iter().map(|param| Bound::new(*param, query));
        let mut rows = pin!(client.query_raw(&prepared, values.collect::<Vec<_>>()).await.map_err(describe)?);
        while let Some(row) = rows.try_next().await.map_err(describe)? {
            answer.push(|at| decoder.cell(at, row.try_get(at).map_err(|e| e.to_string())?))?;
        }
        Ok(answer.finish())
    }

    /// What the server is, for a probe.
    pub(super) async fn describe(&mut self) -> Result<String, SourceError> {
        self.quiet = false;
        let sql = "SELECT pg_catalog.current_setting('server_version'), current_user::text, \
                   coalesce((SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), \
                   'no TLS')";
        let row = self.client()?.query_one(sql, &[]).await;
        let row = row.map_err(|e| self.place().asking(&e, None))?;
        let text = |at: usize| row.try_get::<_, String>(at).map_err(|e| self.place().asking(&e, None));
        let detail = format!("PostgreSQL {}, user {}, {}", text(0)?, text(1)?, text(2)?);
        self.quiet = true;
        Ok(detail)
    }

    /// Ends the transaction. Without an answer, or with one that was left in the middle, as if dropped.
    pub(super) async fn close(mut self) {
        if !self.quiet {
            return;
        }
        if let Some(client) = &self.client
            && client.batch_execute("ROLLBACK").await.is_ok()
        {
            // Back to the pool.
            self.client = None;
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(end(client, self.connector.tls().clone()))),
            Err(_) => drop(Object::take(client)),
        }
    }
}

/// Ends the transaction of a connection. What still runs there is cancelled until it has ended, and the connection closed
/// then, since a late cancellation could meet the next query. Its place in the pool is taken until the end.
async fn end(client: Object, tls: MakeRustlsConnect) {
    if client.is_closed() {
        return drop(Object::take(client));
    }
    let kept = {
        let mut rollback = pin!(client.batch_execute("ROLLBACK"));
        tokio::select! {
            biased;
            ended = &mut rollback => ended.is_ok(),
            () = tokio::time::sleep(HEAD_START) => {
                let cancelled = cancel_until(rollback, client.cancel_token(), tls);
                let _ = tokio::time::timeout(MAX_END, cancelled).await;
                false
            }
        }
    };
    if !kept {
        drop(Object::take(client));
    }
}

async fn cancel_until(ended: impl Future, token: CancelToken, tls: MakeRustlsConnect) {
    let cancel = async {
        loop {
            // The server says nothing of it, and a failure is seen by the query going on.
            let _ = token.cancel_query(tls.clone()).await;
            tokio::time::sleep(CANCEL_AGAIN).await;
        }
    };
    tokio::select! {
        _ = ended => {}
        () = cancel => {}
    }
}

/// Everything is `LOCAL`: a pooler between us and the server may give the session to others.
fn begin(zone: Tz, timeout: Duration) -> String {
    let limits = timeouts(timeout);
    format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL TimeZone = '{}'; SET LOCAL statement_timeout = {}; \
         SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}",
        zone.name(),
        limits.statement.as_millis(),
        limits.lock.as_millis(),
        limits.idle.as_millis()
    )
}

/// The type the server is told for a parameter.
fn declared(param: Param) -> Type {
    match param.form {
        Form::Instant => Type::TIMESTAMPTZ,
        Form::Millis | Form::Secs => Type::INT8,
        Form::Text => Type::UNKNOWN,
    }
}

/// A parameter's value.
#[derive(Debug)]
enum Bound {
    Instant(DateTime<Utc>),
    Number(i64),
    /// Written as a literal would be, whatever type the server found for it.
    Text(String),
}

impl Bound {
    fn new(param: Param, query: &Query<'_>) -> Self {
        let at = param.at(query.window);
        match param.form {
            Form::Instant => Self::Instant(at.to_utc()),
            Form::Millis => Self::Number(at.as_millis()),
            Form::Secs => Self::Number(at.as_secs()),
            Form::Text => Self::Text(civil_text(at, query.zone)),
        }
    }
}

impl ToSql for Bound {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Instant(at) => at.to_sql(ty, out),
            Self::Number(number) => number.to_sql(ty, out),
            Self::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self {
            Self::Text(_) => Format::Text,
            Self::Instant(_) | Self::Number(_) => Format::Binary,
        }
    }

    to_sql_checked!();
}
