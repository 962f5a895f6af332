//! The server, and connecting to it.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use mysql_async::{ClientIdentity, Conn, DriverError, Error, Opts, OptsBuilder, SslOpts};

use super::config::MysqlConfig;
use super::error;
use crate::SourceError;
use crate::sources::provider::install_ring;
use crate::sources::sql::TlsMode;
use crate::sources::{certificate, secret};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life this often.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A longer row is an error.
const MAX_ROW_BYTES: usize = 20 << 20;
/// Prepared statements kept with a connection.
const STATEMENTS: usize = 16;

/// Where the server is and how it is spoken to.
pub(super) struct Server {
    config: MysqlConfig,
    tls: Option<SslOpts>,
    mode: TlsMode,
}

impl Server {
    /// Reads the certificates.
    pub(super) fn new(config: &MysqlConfig) -> Result<Self, String> {
        install_ring();
        let mode = config.tls.mode(&config.host);
        let tls = if mode == TlsMode::Disable { None } else { Some(ssl_opts(config, mode)?) };
        Ok(Self { config: config.clone(), tls, mode })
    }

    /// `host:port/database`, for messages.
    pub(super) fn place(&self) -> String {
        let MysqlConfig { host, port, database, .. } = &self.config;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("{host}:{port}/{database}")
    }

    /// A new connection, encrypted as the mode says.
    pub(super) async fn connect(&self) -> Result<Conn, SourceError> {
        let config = &self.config;
        let password = secret::read(config.password.as_ref(), config.password_file.as_deref()).await?;
        let connecting = self.connect_with(password.as_deref());
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(result) => result,
            Err(_) => {
                let waited = model::HumanDuration(CONNECT_TIMEOUT);
                Err(SourceError::unreachable(format!("{}: no answer within {waited}", self.place())))
            }
        }
    }

    async fn connect_with(&self, password: Option<&str>) -> Result<Conn, SourceError> {
        let mut result = attempt(self.opts(password, self.tls.clone())).await;
        if self.mode == TlsMode::Prefer
            && matches!(result, Some(Err(Error::Driver(DriverError::NoClientSslFlagFromServer))))
        {
            result = attempt(self.opts(password, None)).await;
        }
        // The library cannot leave out the name alone; it is looked at last, so that the rest was right.
        if let (TlsMode::VerifyCa, Some(Err(error)), Some(tls)) = (self.mode, &result, &self.tls)
            && let Some(name) = certificate::other_name(error)
        {
            let tls = tls.clone().with_danger_tls_hostname_override(Some(name));
            result = attempt(self.opts(password, Some(tls))).await;
        }
        match result {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(error)) => Err(error::connecting(&self.place(), &error)),
            None => Err(error::unknown_plugin(&self.place(), "ed25519 or parsec")),
        }
    }

    fn opts(&self, password: Option<&str>, tls: Option<SslOpts>) -> Opts {
        OptsBuilder::default()
            .ip_or_hostname(self.config.host.clone())
            .tcp_port(self.config.port)
            .user(Some(self.config.user.clone()))
            .pass(password)
            .db_name(Some(self.config.database.clone()))
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE))
            .max_allowed_packet(Some(MAX_ROW_BYTES))
            // What the library would ask the server for; only its own pool, which is not used, needs it.
            .wait_timeout(Some(28_800))
            .stmt_cache_size(Some(STATEMENTS))
            .ssl_opts(tls)
            .into()
    }
}

/// Connects; `None` when the library panicked, which it does where the server wants ed25519 or parsec.
async fn attempt(opts: Opts) -> Option<Result<Conn, Error>> {
    AssertUnwindSafe(Conn::new(opts)).catch_unwind().await.ok()
}

fn ssl_opts(config: &MysqlConfig, mode: TlsMode) -> Result<SslOpts, String> {
    let tls = &config.tls;
    // Says what is wrong with the files; the library makes a configuration of its own of them.
    tls.client_config(&config.host)?;
    let mut opts = SslOpts::default().with_disable_built_in_roots(true);
    if matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyFull) {
        let roots = tls.authorities()?.into_iter().map(|der| der.to_vec().into()).collect();
        opts = opts.with_root_certs(roots);
    } else {
        // The library wants some authority even where it asks none.
        opts = opts.with_disable_built_in_roots(false).with_danger_accept_invalid_certs(true);
    }
    if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
        let identity = ClientIdentity::new(PathBuf::from(cert).into(), PathBuf::from(key).into());
        opts = opts.with_client_identity(Some(identity));
    }
    Ok(opts)
}
