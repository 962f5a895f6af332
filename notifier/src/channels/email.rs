//! E-mail by SMTP.

use model::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// E-mail by SMTP. Every recipient gets a message of its own, so that one bad address costs nobody else anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// Recipients: `ops@example.com` or `Ops <ops@example.com>`.
    pub to: Vec<String>,
    /// Sender.
    #[serde(default = "default_from")]
    pub from: String,
    /// Host of the SMTP server.
    #[serde(default = "default_host")]
    pub host: String,
    /// Port; default 465 with `tls: tls`, 587 with `starttls`, 25 with `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Encryption; default `starttls`, but `none` to a loopback host.
    #[serde(default)]
    pub tls: Option<TlsMode>,
    /// A PEM file with the certificate authority of the server, when it is a private one.
    #[serde(default)]
    pub tls_ca_file: Option<String>,
    /// Name to log in with; without it there is no login.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Deadline of one attempt, connecting included.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
}

/// How the connection to the SMTP server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Not at all.
    None,
    /// By STARTTLS; a server that does not offer it is refused.
    Starttls,
    /// From the first byte.
    Tls,
}

fn default_from() -> String {
    "Tidemark <tidemark@localhost>".to_owned()
}

fn default_host() -> String {
    "localhost".to_owned()
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(30)
}
