//! The embedded store as a type of the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use model::{Clock, HumanDuration, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EmbeddedOptions, EmbeddedStore};
use crate::stores::{ProbeError, Problem, Store, StoreType, check_name};

/// The store inside this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Its name in metrics and messages, and its folder under `data_dir/store`.
    pub name: String,
    /// How long numbers are kept.
    pub retention: HumanDuration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { name: "embedded".into(), retention: HumanDuration::from_secs(400 * 86_400) }
    }
}

impl EmbeddedConfig {
    fn folder(&self, data_dir: &Path) -> PathBuf {
        data_dir.join("store").join(&self.name)
    }

    fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions {
            name: self.name.clone(),
            retention: Some(self.retention.into()),
            ..EmbeddedOptions::default()
        }
    }

    async fn opened(
        &self,
        work: impl FnOnce() -> Result<Arc<EmbeddedStore>, StoreError> + Send + 'static,
    ) -> Result<Arc<dyn Store>, StoreError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(store) => store.map(|store| store as _),
            Err(panicked) => Err(self.cannot_open(panicked.to_string())),
        }
    }

    fn cannot_open(&self, message: String) -> StoreError {
        StoreError { replica: self.name.clone(), operation: "open its file", message }
    }
}

#[async_trait]
impl StoreType for EmbeddedConfig {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn validate(&self) -> Vec<Problem> {
        check_name(self.kind(), &self.name).into_iter().collect()
    }

    async fn open(&self, data_dir: &Path, _clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
        let (dir, options) = (self.folder(data_dir), self.options());
        self.opened(move || EmbeddedStore::open(&dir, options)).await
    }

    async fn open_read_only(
        &self,
        data_dir: &Path,
        _clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let (dir, options) = (self.folder(data_dir), self.options());
        if !dir.exists() {
            let message =
                format!("nothing was stored in {} yet: start with `tidemark run`", data_dir.display());
            return Err(self.cannot_open(message));
        }
        self.opened(move || EmbeddedStore::open_read_only(&dir, options)).await
    }

    async fn probe(&self, data_dir: &Path, clock: Arc<dyn Clock>) -> Result<String, ProbeError> {
        let folder = self.folder(data_dir);
        if !folder.exists() {
            return Ok(format!("{} will be made", folder.display()));
        }
        match self.open_read_only(data_dir, clock).await {
            Ok(store) => store.probe().await,
            Err(error) if error.message.ends_with(super::file::IN_USE) => Ok(error.message),
            Err(error) => Err(ProbeError::Wrong(error)),
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn probe(&self) -> Result<String, ProbeError> {
        Ok(format!("{}: its file is open", self.inner.file.path().display()))
    }
}
