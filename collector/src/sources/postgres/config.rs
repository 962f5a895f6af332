//! Configuration of PostgreSQL sources.

use model::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sources::sql::{self, DatabaseTls, Section, Server};

/// A PostgreSQL database: `{host: db.example.com, database: shop, user: tidemark, password_file: pg.password}`.
///
/// Its user needs to read and nothing else: `GRANT pg_read_all_data`, or SELECT on what is asked. A query's `:start` and
/// `:end` are instants (`timestamptz`); beside a column of type `timestamp` or `date` they are read in `timezone`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// Name or address of the server, or the folder of its socket (`/var/run/postgresql`).
    pub host: String,
    /// Port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// Password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; read again for each connection, so that it may be changed.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Encryption and certificates.
    #[serde(default)]
    pub tls: DatabaseTls,
    /// Zone of the session: of `:start_text` and of columns of type `timestamp` and `date`; default UTC.
    #[serde(default)]
    pub timezone: Option<String>,
    /// What the server shows as `application_name`.
    #[serde(default = "default_application_name")]
    pub application_name: String,
    /// How long connecting may take; the metric's `timeout` covers the whole.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// How many queries may run at once, each on a connection of its own; further ones wait within their timeout.
    #[serde(default = "sql::default_max_concurrent")]
    #[schemars(range(min = 1, max = 64))]
    pub max_concurrent: usize,
}

impl PostgresConfig {
    /// What it shares with other servers.
    pub(super) fn server(&self) -> Server<'_> {
        Server {
            section: Section {
                kind: "postgres",
                timezone: self.timezone.as_deref(),
                max_concurrent: self.max_concurrent,
            },
            host: &self.host,
            sockets: true,
            port: self.port,
            database: &self.database,
            user: &self.user,
            password: self.password.as_ref(),
            password_file: self.password_file.as_deref(),
            tls: &self.tls,
        }
    }
}

fn default_port() -> u16 {
    5432
}

fn default_application_name() -> String {
    "tidemark".to_owned()
}

fn default_connect_timeout() -> HumanDuration {
    HumanDuration::from_secs(5)
}
