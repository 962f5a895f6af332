//! What the server and the library say, as errors of a source.

use mysql_async::{DriverError, Error, IoError, ServerError};

use crate::SourceError;
use crate::sources::certificate;
use crate::text::shown;

/// The zone is not known to the server.
pub(super) const UNKNOWN_TIME_ZONE: u16 = 1298;
/// The server has no such setting.
pub(super) const UNKNOWN_VARIABLE: u16 = 1193;

/// Why there is no connection.
pub(super) fn connecting(place: &str, error: &Error) -> SourceError {
    match error {
        Error::Io(io) => {
            if let Some(why) = certificate::disbelief(error) {
                return SourceError {
                    persistence: crate::Persistence::Permanent,
                    ..SourceError::unreachable(format!("{place}: {why}"))
                };
            }
            SourceError::unreachable(format!("{place}: cannot connect: {}", io_text(io)))
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let message = "the server offers no encryption, which tls.mode asks for";
            SourceError::permanent(format!("{place}: {message}"))
        }
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => unknown_plugin(place, name),
        Error::Driver(DriverError::UnexpectedPacket { .. }) => SourceError::permanent(format!(
            "{place}: the server answered the login with something that is no MySQL, or an authentication that is not known here"
        )),
        other => asking(place, other),
    }
}

/// The server wants an authentication that is not known here.
pub(super) fn unknown_plugin(place: &str, name: &str) -> SourceError {
    SourceError::permanent(format!(
        "{place}: the server wants the authentication {}: give the user mysql_native_password or caching_sha2_password",
        shown(name, 60)
    ))
}

/// Why a query brought no rows.
pub(super) fn asking(place: &str, error: &Error) -> SourceError {
    match error {
        Error::Server(error) => server(place, error),
        Error::Io(io) => {
            let text = io_text(io);
            if text.contains("too large") || text.contains("too big") {
                return SourceError::invalid(format!("{place}: a row is too large"));
            }
            SourceError::unreachable(format!("{place}: the connection was cut: {text}"))
        }
        Error::Driver(DriverError::ConnectionClosed) => {
            SourceError::unreachable(format!("{place}: the connection was cut"))
        }
        Error::Driver(DriverError::LocalInfile(_)) => SourceError::permanent(format!(
            "{place}: the server asked for a file of this machine, which it does not get"
        )),
        other => SourceError::permanent(format!("{place}: {}", shown(&other.to_string(), 300))),
    }
}

fn server(place: &str, error: &ServerError) -> SourceError {
    let ServerError { code, message, .. } = error;
    let said = format!("{place}: {} (error {code})", shown(message.trim_end_matches('.'), 400));
    match code {
        // Too many connections, of all or of this user; the server goes down.
        1040 | 1203 | 1226 | 1053 | 1077 => SourceError::unreachable(said),
        // Lock wait, deadlock, a table changed under the statement.
        1205 | 1213 | 1412 | 1615 => SourceError::transient(said),
        1969 | 3024 => SourceError::timeout(format!(
            "{place}: the server ended the query at the metric's timeout (error {code})"
        )),
        // Not asked again: somebody there does not want it.
        1317 | 1927 => SourceError::permanent(format!("{said}: somebody ended it on the server")),
        1792 => SourceError::permanent(format!("{said}: only reading is allowed")),
        3159 => SourceError::permanent(format!("{said}: write tls.mode require or verify_full")),
        1251 | 1524 => SourceError::permanent(format!(
            "{said}: give the user mysql_native_password or caching_sha2_password"
        )),
        _ => SourceError::permanent(said),
    }
}

fn io_text(error: &IoError) -> String {
    let text = match error {
        IoError::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    shown(&text, 300)
}
