//! Reading the data folder while no process runs on it.

use std::sync::Arc;

use model::{Clock, ReadSeries, ReplicaLedger};
use notifier::Reader;
use queue::{LogDir, LogOptions};
use tsdb::{ReadOptions, ReplicaMetrics, Replicas, Status};

use super::CommandError;
use crate::config::Config;
use crate::runtime::clock::SystemClock;

/// The stores, for reading as one. Those that cannot be opened are left out with a warning.
///
/// # Errors
/// When none can be opened: nothing is stored yet, or another process has it.
pub(crate) async fn store(config: &Config) -> Result<Arc<dyn ReadSeries>, CommandError> {
    let (clock, folder) = (Arc::new(SystemClock::new()) as Arc<dyn Clock>, config.data_dir());
    let log = LogDir::open_read_only(LogOptions::new(folder.join("log")), Arc::clone(&clock)).ok();
    let mut replicas = Replicas::new(Arc::clone(&clock), ReadOptions::default(), ReplicaMetrics::default());
    let mut errors = Vec::new();
    for replica in &config.file().storage.replicas {
        let consumer = format!("replica/{}", replica.name());
        let missed = log.as_ref().and_then(|log| log.missed(&consumer).ok().flatten());
        match replica.open_read_only(&folder, Arc::clone(&clock)).await {
            Ok(store) => replicas.push(replica.name(), store as _, Arc::new(Status::at_rest(missed))),
            Err(error) => errors.push(error),
        }
    }
    if replicas.is_empty() && log.is_none() {
        return Err(nothing_yet(config));
    }
    if replicas.is_empty() {
        let first = errors.into_iter().next();
        let error = || CommandError::new("`storage.replicas` names no store to read");
        return Err(first.map_or_else(error, |first| CommandError::because("cannot read the store", first)));
    }
    errors.iter().for_each(|error| tracing::warn!(%error, "store is passed over"));
    Ok(Arc::new(replicas))
}

/// The notifier's database, for reading.
///
/// # Errors
/// When there is none yet, or it cannot be read.
pub(crate) fn alerts(config: &Config) -> Result<Reader, CommandError> {
    let path = config.data_dir().join("notifier.db");
    if !path.exists() {
        return Err(nothing_yet(config));
    }
    notifier::open_read_only(&path).map_err(|error| CommandError::because("cannot read the alerts", error))
}

fn nothing_yet(config: &Config) -> CommandError {
    let folder = config.data_dir();
    CommandError::new(format!("nothing was stored in {} yet: start with `tidemark run`", folder.display()))
}
