//! Settings that SQL sources share, and their checks.

use std::net::IpAddr;
use std::time::Duration;

use model::Secret;

use super::tls::DatabaseTls;
use crate::params::zone;
use crate::text::shown;
use crate::validate::Problem;

/// How many queries may run at once where nothing is said.
pub(crate) fn default_max_concurrent() -> usize {
    4
}

/// What the section of every SQL source has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    /// The type's name.
    pub(crate) kind: &'a str,
    /// Zone of `:start_text` and of timestamps without zone.
    pub(crate) timezone: Option<&'a str>,
    /// How many queries may run at once.
    pub(crate) max_concurrent: usize,
}

impl Section<'_> {
    /// Finds what is wrong.
    pub(crate) fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(message) = zone(self.timezone) {
            problems.push(Problem::new([self.kind, "timezone"], message));
        }
        if !(1..=64).contains(&self.max_concurrent) {
            let message = "max_concurrent is not between 1 and 64";
            problems.push(Problem::new([self.kind, "max_concurrent"], message));
        }
        problems
    }
}

/// What the section of every database server has beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server<'a> {
    /// What every SQL source has.
    pub(crate) section: Section<'a>,
    /// Name or address.
    pub(crate) host: &'a str,
    /// Whether the host may be the folder of a socket.
    pub(crate) sockets: bool,
    /// Port; 0 cannot be.
    pub(crate) port: u16,
    /// Database and user; neither may be empty.
    pub(crate) database: &'a str,
    /// User.
    pub(crate) user: &'a str,
    /// Password as it stands.
    pub(crate) password: Option<&'a Secret>,
    /// File of the password.
    pub(crate) password_file: Option<&'a str>,
    /// Certificates.
    pub(crate) tls: &'a DatabaseTls,
}

impl Server<'_> {
    /// Finds what is wrong.
    pub(crate) fn validate(&self) -> Vec<Problem> {
        let kind = self.section.kind;
        let mut problems = Vec::new();
        let mut wrong = |key: &str, message: String| problems.push(Problem::at(&[kind, key], message));
        let socket = self.sockets && self.host.starts_with('/');
        if let Err(message) = check_host(self.host)
            && !socket
        {
            wrong("host", message);
        }
        if self.port == 0 {
            wrong("port", "port is 0".to_owned());
        }
        for (key, text) in [("database", self.database), ("user", self.user)] {
            if text.trim().is_empty() || text.contains('\0') {
                wrong(key, format!("{key} is empty"));
            }
        }
        if self.password.is_some() && self.password_file.is_some() {
            wrong("password_file", "there is a password too: keep one".to_owned());
        }
        problems.extend(self.tls.validate(kind));
        problems.extend(self.section.validate());
        problems
    }
}

/// A name or an address and nothing else.
fn check_host(host: &str) -> Result<(), String> {
    if host.trim().is_empty() {
        return Err("host is empty".to_owned());
    }
    if host.contains("://") || host.contains('@') {
        return Err("host is an address with more in it: write the name alone, the rest has keys of its own"
            .to_owned());
    }
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if host.contains(':') {
        return Err(format!("`{}` is not a host: the port goes under `port`", shown(host, 80)));
    }
    match host.chars().find(|c| c.is_whitespace() || c.is_control() || ",/".contains(*c)) {
        Some(_) => Err(format!("`{}` is not a host", shown(host, 80))),
        None => Ok(()),
    }
}

/// Limits the server itself keeps for a query that its caller waits for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// For the query as a whole; in whole milliseconds, at least 1.
    pub(crate) statement: Duration,
    /// For each lock: half of it, so that the wait is told for what it is before the caller gives up.
    pub(crate) lock: Duration,
    /// For a session that is left in the middle of a query, as when this machine went away.
    pub(crate) idle: Duration,
}

/// The server's limits for a query.
pub(crate) fn timeouts(timeout: Duration) -> Timeouts {
    let whole = |duration: Duration| {
        Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 86_400_000))
    };
    let statement = whole(timeout);
    Timeouts { statement, lock: whole(timeout / 2), idle: statement + Duration::from_secs(10) }
}
