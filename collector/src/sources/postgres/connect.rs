//! Connections to one database: a pool of at most `max_concurrent`, each read-only from its first moment on.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresConfig;
use super::error::Place;
use crate::SourceError;
use crate::sources::secret;
use crate::sources::sql::TlsMode;

/// An idle connection is asked after this time whether its other end is there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A connection whose other end acknowledges nothing for so long is dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Whatever a statement does, a transaction that says nothing else only reads.
const OPTIONS: &str = "-c default_transaction_read_only=on";

/// Makes connections, and keeps those that are free.
pub(super) struct Connector {
    config: PostgresConfig,
    place: Place,
    pool: Pool,
    tls: MakeRustlsConnect,
    password: Password,
}

/// The password of the next connection, read before it is made.
type Password = Arc<Mutex<Option<String>>>;

impl Connector {
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, String> {
        let tls = MakeRustlsConnect::new(config.tls.client_config(&config.host)?);
        let password = Password::default();
        let login = Login { tls: tls.clone(), password: Arc::clone(&password) };
        let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(settings(config), login, how);
        let pool = Pool::builder(manager)
            .max_size(config.max_concurrent.clamp(1, 64))
            .build()
            .map_err(|e| format!("cannot make a pool of connections: {e}"))?;
        Ok(Self { place: Place::new(config), config: config.clone(), pool, tls, password })
    }

    /// What messages call the database.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn tls(&self) -> &MakeRustlsConnect {
        &self.tls
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.config.connect_timeout.0
    }

    /// A connection; waits for one to be free while there are as many as may be.
    pub(super) async fn get(&self) -> Result<Object, SourceError> {
        let config = &self.config;
        let password = secret::read(config.password.as_ref(), config.password_file.as_deref()).await?;
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = password;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => self.place.connecting(&error),
            other => SourceError::permanent(format!("{}: {other}", self.place)),
        })
    }

    /// How many connections are free.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.pool.status().available
    }

    /// How many connections there are, in use or free.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.pool.status().size
    }
}

fn settings(config: &PostgresConfig) -> Config {
    let mut settings = Config::new();
    settings
        .host(&config.host)
        .port(config.port)
        .dbname(&config.database)
        .user(&config.user)
        .application_name(&config.application_name)
        .options(OPTIONS)
        .ssl_mode(match config.tls.mode(&config.host) {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        })
        .connect_timeout(config.connect_timeout.0)
        .keepalives_idle(KEEPALIVE)
        .tcp_user_timeout(UNACKNOWLEDGED);
    settings
}

/// Connects with the password of the moment.
struct Login {
    tls: MakeRustlsConnect,
    password: Password,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Connect for Login {
    fn connect(&self, settings: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let mut settings = settings.clone();
        if let Some(password) = &*self.password.lock().unwrap_or_else(PoisonError::into_inner) {
            settings.password(password);
        }
        Box::pin(async move {
            let (client, connection) = settings.connect(self.tls.clone()).await?;
            // How it ends is told to whoever uses the client.
            let driver = tokio::spawn(async { drop(connection.await) });
            Ok((client, driver))
        })
    }
}
