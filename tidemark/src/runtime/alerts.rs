//! The notifier's database as this process reads it: its own, or that of the process that notifies, which may make it
//! only after this one has started.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use notifier::Reader;

/// Reads alerts and messages.
pub(super) struct Alerts {
    reader: OnceLock<Reader>,
    /// Where the database is or will be.
    path: PathBuf,
    /// Whether the log says that it cannot be read.
    told: AtomicBool,
}

impl Alerts {
    /// Of the notifier of this process.
    pub(super) fn own(reader: Reader, path: PathBuf) -> Self {
        Self { reader: OnceLock::from(reader), path, told: AtomicBool::new(false) }
    }

    /// Of another process; opened when it is first asked for and there.
    pub(super) fn of_another(path: PathBuf) -> Self {
        Self { reader: OnceLock::new(), path, told: AtomicBool::new(false) }
    }

    /// The database; `None` as long as it cannot be opened, and why is in the log once.
    pub(super) async fn reader(&self) -> Option<Reader> {
        if let Some(reader) = self.reader.get() {
            return Some(reader.clone());
        }
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || notifier::open_read_only(&path)).await.ok()?;
        match opened {
            Ok(reader) => {
                if self.told.swap(false, Ordering::Relaxed) {
                    tracing::info!("alerts can be read now");
                }
                Some(self.reader.get_or_init(|| reader).clone())
            }
            Err(error) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    let error = model::causes(&error);
                    tracing::warn!(%error, "no alerts can be read until a notifier has made its database");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_that_is_made_later_is_read_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notifier.db");
        let alerts = Alerts::of_another(path.clone());
        assert!(alerts.reader().await.is_none() && alerts.told.load(Ordering::Relaxed));
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE any (n INTEGER)").unwrap();
        assert!(alerts.reader().await.is_some() && !alerts.told.load(Ordering::Relaxed));
        assert!(alerts.reader.get().is_some(), "it stays open");
    }
}
