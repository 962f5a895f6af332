//! The notifier as the process sees it.

use std::path::Path;
use std::sync::Arc;

use model::{AlertId, Clock, Labels, SampleLog};
use tokio_util::sync::CancellationToken;

use crate::view::{AlertDetail, AlertFilter, AlertView, ChannelTest, DeliveryView, Unaccounted};
use crate::{NotifierConfig, NotifierMetrics, Problem};

/// Why the notifier could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// The configuration is wrong; the one before stands.
    #[error("configuration of the notifier is invalid: {}", .0.first().map_or("", |p| &p.message))]
    Config(Vec<Problem>),
    /// There is no such receiver.
    #[error("unknown receiver `{name}`, valid are: {}", .valid.join(", "))]
    UnknownReceiver {
        /// The name asked for.
        name: String,
        /// The names there are.
        valid: Vec<String>,
    },
    /// The database failed.
    #[error("cannot {what} in the notifier's database {path}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: String,
        /// The database's word.
        #[source]
        source: rusqlite::Error,
    },
}

/// The notifier.
#[derive(Debug)]
pub struct Notifier {}

impl Notifier {
    /// Opens the database (made when absent) and takes up what was left there.
    ///
    /// # Errors
    /// [`NotifierError::Config`], or [`NotifierError::Database`].
    pub fn open(
        path: &Path,
        config: NotifierConfig,
        log: Arc<dyn SampleLog>,
        clock: Arc<dyn Clock>,
        metrics: NotifierMetrics,
    ) -> Result<Self, NotifierError> {
        let _ = (path, config, log, clock, metrics);
        Ok(Self {})
    }

    /// Consumes `alerts`, keeps the timers and delivers, until `shutdown`; deliveries in flight then end within
    /// `shutdown_timeout`, the rest stays queued for the next start.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        shutdown.cancelled().await;
    }

    /// Puts another configuration in place of the one before. Open alerts are routed anew; who was told of one is told
    /// of its end.
    ///
    /// # Errors
    /// [`NotifierError::Config`]; the one before stands then.
    pub async fn apply(&self, config: NotifierConfig) -> Result<(), NotifierError> {
        let problems = crate::validate(&config);
        if problems.is_empty() { Ok(()) } else { Err(NotifierError::Config(problems)) }
    }

    /// Sends a test message by every channel of a receiver, at once and past the outbox.
    ///
    /// # Errors
    /// [`NotifierError::UnknownReceiver`].
    pub async fn test_receiver(&self, name: &str) -> Result<Vec<ChannelTest>, NotifierError> {
        Err(NotifierError::UnknownReceiver { name: name.to_owned(), valid: Vec::new() })
    }

    /// Tries to reach the provider of every channel without sending anything.
    pub async fn probe(&self) -> Vec<ChannelTest> {
        Vec::new()
    }

    /// Names of the receivers an alert with these labels (severity included, as label `severity`) goes to.
    pub fn route_for(&self, labels: &Labels) -> Vec<String> {
        let _ = labels;
        Vec::new()
    }

    /// Reads the state beside what runs.
    pub fn reader(&self) -> Reader {
        Reader {}
    }
}

/// Opens the database for reading alone, for commands without a process.
///
/// # Errors
/// [`NotifierError::Database`], also when there is none.
pub fn open_read_only(path: &Path) -> Result<Reader, NotifierError> {
    let _ = path;
    Ok(Reader {})
}

/// Tries to reach the provider of every channel of a configuration, for `check --online`.
///
/// # Errors
/// [`NotifierError::Config`].
pub async fn probe(
    config: &NotifierConfig,
    clock: Arc<dyn Clock>,
) -> Result<Vec<ChannelTest>, NotifierError> {
    let _ = (config, clock);
    Ok(Vec::new())
}

/// Reads the notifier's state. Its calls touch the disk: call them where blocking is allowed.
#[derive(Clone, Debug)]
pub struct Reader {}

impl Reader {
    /// Alerts, the last changed first.
    ///
    /// # Errors
    /// [`NotifierError::Database`], or [`NotifierError::Config`] for an invalid matcher.
    pub fn alerts(&self, filter: &AlertFilter) -> Result<Vec<AlertView>, NotifierError> {
        let _ = filter;
        Ok(Vec::new())
    }

    /// One alert with all that is known of it.
    ///
    /// # Errors
    /// [`NotifierError::Database`].
    pub fn alert(&self, id: AlertId) -> Result<Option<AlertDetail>, NotifierError> {
        let _ = id;
        Ok(None)
    }

    /// Deliveries, the newest first.
    ///
    /// # Errors
    /// [`NotifierError::Database`].
    pub fn deliveries(&self, limit: usize) -> Result<Vec<DeliveryView>, NotifierError> {
        let _ = limit;
        Ok(Vec::new())
    }

    /// Alerts that fired and of which nobody was told, that are not suppressed and for which nothing is under way.
    ///
    /// # Errors
    /// [`NotifierError::Database`].
    pub fn unaccounted(&self) -> Result<Vec<Unaccounted>, NotifierError> {
        Ok(Vec::new())
    }
}
