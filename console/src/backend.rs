//! The console's one port: where everything it shows comes from.

use async_trait::async_trait;
use model::{AlertId, TimeRange};

use crate::dto::{AlertDetail, Overview, SeriesDetail};

/// Why the backend cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It did not answer within the deadline.
    #[error("no answer within {0:?}")]
    Deadline(std::time::Duration),
    /// It answered with an error.
    #[error("cannot read {what}: {message}")]
    Failed {
        /// What was asked for.
        what: &'static str,
        /// Why not, without secrets: people read it on the page.
        message: String,
    },
}

/// Where everything the console shows comes from. Implemented by the binary over store, detector, notifier and
/// collector; by a fake in tests.
///
/// Calls must not block the executor. They may be slow or fail: the console waits [`crate::Options::deadline`], then
/// tells the page. `overview` is called at most about twice a second however many pages are open.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The state of everything: every series' card with about the last two hours, alerts that fire and the latest that
    /// ended (newest first, about 50), the latest messages (newest first, about 50), and the health of the collection.
    ///
    /// # Errors
    /// [`BackendError::Failed`] naming what could not be read.
    async fn overview(&self) -> Result<Overview, BackendError>;

    /// One series over a range (windows whose start lies in it), found by [`model::SeriesKey::fingerprint`]; `None`
    /// when there is no such series.
    ///
    /// # Errors
    /// [`BackendError::Failed`] naming what could not be read.
    async fn series(&self, fingerprint: u64, range: TimeRange) -> Result<Option<SeriesDetail>, BackendError>;

    /// One alert with its whole reason; `None` when there is no such alert.
    ///
    /// # Errors
    /// [`BackendError::Failed`] naming what could not be read.
    async fn alert(&self, id: AlertId) -> Result<Option<AlertDetail>, BackendError>;
}
