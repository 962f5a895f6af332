//! What PostgreSQL says is wrong, in words that name the database and lead to the place.

use std::error::Error as _;
use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use super::PostgresConfig;
use crate::sources::certificate;
use crate::sources::sql::{Rendered, TlsMode};
use crate::text::shown;
use crate::{Persistence, SourceError};

/// A database as messages call it: `host:port/database`.
#[derive(Clone, Debug)]
pub(super) struct Place {
    name: String,
    tls: TlsMode,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Place {
    pub(super) fn new(config: &PostgresConfig) -> Self {
        let name = format!("{}:{}/{}", config.host, config.port, config.database);
        Self { name: shown(&name, 200), tls: config.tls.mode(&config.host) }
    }

    /// The error of a connection that could not be made.
    pub(super) fn connecting(&self, error: &Error) -> SourceError {
        if let Some(refusal) = error.as_db_error() {
            return self.database(refusal, None);
        }
        if let Some(message) = certificate::disbelief(error) {
            return self.hopeless(message);
        }
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        match cause.as_str() {
            "server does not support TLS" => self.hopeless(format!(
                "the server offers no TLS, which `tls.mode: {}` wants: turn it on there, or write another mode",
                mode_name(self.tls)
            )),
            "password missing" => {
                self.hopeless("the server wants a password: write `password` or `password_file`".to_owned())
            }
            _ => SourceError::unreachable(format!("{self}: cannot connect: {}", chain(error))),
        }
    }

    /// Not reached, and trying again soon does not help.
    fn hopeless(&self, message: String) -> SourceError {
        let error = SourceError::unreachable(format!("{self}: {message}"));
        SourceError { persistence: Persistence::Permanent, ..error }
    }

    /// The error of a query, or of what the session does around it.
    pub(super) fn asking(&self, error: &Error, query: Option<&Rendered>) -> SourceError {
        match error.as_db_error() {
            Some(refusal) => self.database(refusal, query),
            None if is_connection(error) => {
                SourceError::transient(format!("{self}: the connection was cut before the answer was whole"))
            }
            None => SourceError::permanent(format!("{self}: {}", chain(error))),
        }
    }

    fn database(&self, error: &DbError, query: Option<&Rendered>) -> SourceError {
        let message = format!("{self}: {}", words(error, query));
        match error.code() {
            code if *code == SqlState::QUERY_CANCELED && error.message().contains("timeout") => {
                SourceError::timeout(message)
            }
            code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                SourceError::permanent(format!("{message}: only reading is allowed"))
            }
            code if *code == SqlState::LOCK_NOT_AVAILABLE => {
                SourceError::transient(format!("{message}: another session holds it"))
            }
            code if *code == SqlState::CANNOT_CONNECT_NOW => SourceError::unreachable(message),
            code if may_pass(code) => SourceError::transient(message),
            _ => SourceError::permanent(message),
        }
    }
}

/// What the configuration calls a mode.
fn mode_name(mode: TlsMode) -> String {
    serde_json::to_value(mode).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether the connection is no more: nothing else may be asked on it.
pub(super) fn is_connection(error: &Error) -> bool {
    let io = || error.source().is_some_and(|cause| cause.is::<std::io::Error>());
    match error.code() {
        Some(code) => ends_session(code),
        None => error.is_closed() || io(),
    }
}

/// The server ended the session itself.
fn ends_session(code: &SqlState) -> bool {
    let code = code.code();
    code.starts_with("57P") || code.starts_with("08") || code == "25P03"
}

/// Connection trouble (08), rollbacks for others' sake (40), too few resources (53), operators (57), system (58).
fn may_pass(code: &SqlState) -> bool {
    ["08", "40", "53", "57", "58"].iter().any(|class| code.code().starts_with(class)) || ends_session(code)
}

/// The server's message with its code, the place in the query, and its hint.
fn words(error: &DbError, query: Option<&Rendered>) -> String {
    let mut words = shown(error.message(), 300);
    if let (Some(ErrorPosition::Original(at)), Some(query)) = (error.position(), query) {
        let (line, column) = query.place(usize::try_from(*at).unwrap_or(usize::MAX));
        words.push_str(&format!(" at line {line}, column {column} of the query"));
    }
    words.push_str(&format!(" ({})", error.code().code()));
    if let Some(hint) = error.hint() {
        words.push_str(&format!("; {}", shown(hint, 200)));
    }
    words
}

/// An error's causes, or itself where it has none: it says no more than that there is one.
fn chain(error: &Error) -> String {
    let whole = error.source().map_or_else(|| error.to_string(), model::causes);
    shown(&whole, 400)
}
