//! Reading the data folder while no process runs on it.

use std::sync::Arc;

use notifier::Reader;
use tsdb::{EmbeddedOptions, EmbeddedStore, StoreConfig};

use super::CommandError;
use crate::config::Config;

/// The first embedded store, for reading.
///
/// # Errors
/// When there is none yet, or another process has it.
pub(crate) fn store(config: &Config) -> Result<Arc<EmbeddedStore>, CommandError> {
    let Some(StoreConfig::Embedded(embedded)) = config.file().storage.replicas.first() else {
        return Err(CommandError::new("`storage.replicas` names no embedded store to read"));
    };
    let folder = config.data_dir().join("store").join(&embedded.name);
    if !folder.exists() {
        return Err(nothing_yet(config));
    }
    let options = EmbeddedOptions { name: embedded.name.clone(), ..EmbeddedOptions::default() };
    EmbeddedStore::open_read_only(&folder, options)
        .map_err(|error| CommandError::because("cannot read the store", error))
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
