//! Configuration of MySQL and MariaDB sources.

use model::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sources::sql::{self, DatabaseTls, Section, Server};

/// A MySQL or MariaDB database. Give it a user who may only read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlConfig {
    /// Name or address of the server.
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
    /// File that holds the password; read again for each connection, so that it may be rotated.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Encryption and certificates.
    #[serde(default)]
    pub tls: DatabaseTls,
    /// Zone in which its DATETIME columns are written, and in which TIMESTAMP columns are read; default UTC.
    #[serde(default)]
    pub timezone: Option<String>,
    /// How many queries may run at once, each on a connection of its own; further ones wait within their timeout.
    #[serde(default = "sql::default_max_concurrent")]
    #[schemars(range(min = 1, max = 64))]
    pub max_concurrent: usize,
}

impl MysqlConfig {
    /// What every database server has.
    pub(super) fn server(&self) -> Server<'_> {
        Server {
            section: Section {
                kind: "mysql",
                timezone: self.timezone.as_deref(),
                max_concurrent: self.max_concurrent,
            },
            host: &self.host,
            sockets: false,
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
    3306
}
