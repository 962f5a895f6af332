//! Opening several stores side by side. One that cannot be opened holds nobody up: it is tried again by whoever feeds it,
//! while the others work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::{
    Clock, Labels, Matcher, Measurement, Point, Positions, ReadSeries, SeriesData, SeriesQuery, StoreError,
    Timestamp, WriteError, WriteSamples, Written,
};
use tokio::task::JoinHandle;

use crate::stores::{ProbeError, Store, StoreConfig};

/// How long the others are waited for once a store is open.
const PATIENCE: Duration = Duration::from_secs(10);

type Opened = Result<Arc<dyn Store>, StoreError>;

/// Opens stores side by side, in the order of the list. Returns once all are open, or one is and the others failed or
/// took ten seconds; those are tried again whenever their consumer asks for their position, and until then fail every
/// read at once with the reason.
///
/// # Errors
/// Why each failed, when none could be opened.
pub async fn open_side_by_side(
    configs: &[StoreConfig],
    data_dir: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Store>>, Vec<StoreError>> {
    let opening = |config: &StoreConfig| Arc::new(OpeningStore::new(config.clone(), data_dir, clock));
    let stores: Vec<_> = configs.iter().map(opening).collect();
    let mut pending: FuturesUnordered<_> = stores.iter().map(|store| store.open()).collect();
    let mut errors = Vec::new();
    loop {
        match pending.next().await {
            Some(Ok(_)) => break,
            Some(Err(error)) => errors.push(error),
            None => return Err(errors),
        }
    }
    let others = async { while pending.next().await.is_some() {} };
    tokio::select! {
        () = others => {}
        () = clock.sleep(PATIENCE) => {}
    }
    drop(pending);
    for error in stores.iter().filter_map(|store| store.get().err()) {
        tracing::error!(%error, "store is not open: starting without it; it is tried again");
    }
    Ok(stores.into_iter().map(|store| store as _).collect())
}

/// A store that is open or will be.
struct OpeningStore {
    config: StoreConfig,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
    opened: OnceLock<Arc<dyn Store>>,
    /// The try under way; it goes on when nobody waits for it.
    attempt: tokio::sync::Mutex<Option<JoinHandle<Opened>>>,
    /// Why the last try failed.
    why: Mutex<Option<String>>,
}

impl OpeningStore {
    fn new(config: StoreConfig, data_dir: &Path, clock: &Arc<dyn Clock>) -> Self {
        Self {
            config,
            data_dir: data_dir.to_owned(),
            clock: Arc::clone(clock),
            opened: OnceLock::new(),
            attempt: tokio::sync::Mutex::default(),
            why: Mutex::default(),
        }
    }

    /// The store, if it is open.
    fn get(&self) -> Result<&dyn Store, StoreError> {
        let why = || self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let error = || self.error(why().unwrap_or_else(|| "it is being opened".into()));
        self.opened.get().map(|store| &**store).ok_or_else(error)
    }

    /// The store; tries to open it when it is not.
    async fn open(&self) -> Result<&dyn Store, StoreError> {
        if self.opened.get().is_none() {
            let mut attempt = self.attempt.lock().await;
            if self.opened.get().is_none() {
                let under_way = attempt.get_or_insert_with(|| self.begin());
                let ended = under_way.await;
                *attempt = None;
                let opened = ended.unwrap_or_else(|stopped| Err(self.error(stopped.to_string())));
                self.note(opened)?;
            }
        }
        self.get()
    }

    fn begin(&self) -> JoinHandle<Opened> {
        let (config, data_dir, clock) = (self.config.clone(), self.data_dir.clone(), self.clock.clone());
        tokio::spawn(async move { config.open(&data_dir, clock).await })
    }

    fn note(&self, opened: Opened) -> Result<(), StoreError> {
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Ok(store) => {
                if why.take().is_some() {
                    tracing::info!(replica = self.config.name(), "store is open now");
                }
                let _ = self.opened.set(store);
                Ok(())
            }
            Err(error) => {
                *why = Some(error.message.clone());
                Err(error)
            }
        }
    }

    fn error(&self, message: String) -> StoreError {
        StoreError { replica: self.config.name().to_owned(), operation: "be opened", message }
    }

    /// For writing: that it is not open may pass.
    async fn to_write(&self) -> Result<&dyn Store, WriteError> {
        self.open().await.map_err(|error| WriteError::Transient {
            replica: error.replica,
            message: format!("it cannot {}: {}", error.operation, error.message),
            retry_after: None,
        })
    }
}

#[async_trait]
impl WriteSamples for OpeningStore {
    fn name(&self) -> &str {
        self.config.name()
    }

    async fn write(&self, points: &[Point], covered: &Positions) -> Result<Written, WriteError> {
        self.to_write().await?.write(points, covered).await
    }

    async fn fill(&self, points: &[Point]) -> Result<Written, WriteError> {
        self.to_write().await?.fill(points).await
    }

    async fn position(&self) -> Result<Option<Positions>, WriteError> {
        self.to_write().await?.position().await
    }

    async fn flush(&self) -> Result<(), WriteError> {
        self.to_write().await?.flush().await
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, WriteError> {
        self.to_write().await?.expire(now).await
    }
}

#[async_trait]
impl ReadSeries for OpeningStore {
    async fn read(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.get()?.read(query).await
    }

    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.get()?.read_stored(query).await
    }

    async fn series(
        &self,
        measurement: Measurement,
        matchers: &[Matcher],
    ) -> Result<Vec<Labels>, StoreError> {
        self.get()?.series(measurement, matchers).await
    }
}

#[async_trait]
impl Store for OpeningStore {
    async fn probe(&self) -> Result<String, ProbeError> {
        self.get().map_err(ProbeError::Unreachable)?.probe().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EmbeddedConfig, EmbeddedOptions, EmbeddedStore};
    use model::{ManualClock, TimeRange};

    fn embedded(name: &str) -> StoreConfig {
        StoreConfig::Embedded(EmbeddedConfig { name: name.into(), ..EmbeddedConfig::default() })
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::new(Timestamp::from_secs(0)))
    }

    async fn everything(store: &dyn Store) -> Result<Vec<SeriesData>, StoreError> {
        let (measurement, range) = (Measurement::Sample, TimeRange::ALL);
        let query = SeriesQuery { measurement, matchers: Vec::new(), fields: Vec::new(), range, last: 0 };
        store.read(&query).await
    }

    #[tokio::test]
    async fn one_that_is_locked_or_damaged_holds_nobody_up_and_is_opened_later() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| dir.path().join("store").join(name);
        let holder = EmbeddedStore::open(&folder("locked"), EmbeddedOptions::default()).unwrap();
        std::fs::create_dir_all(folder("damaged")).unwrap();
        let file = folder("damaged").join("series.redb");
        std::fs::write(&file, b"no database").unwrap();
        let configs = ["locked", "damaged", "well"].map(embedded);
        let stores = open_side_by_side(&configs, dir.path(), &clock()).await.expect("one opens");
        let mut said = Vec::new();
        for store in &stores {
            let read = everything(&**store).await;
            said.push(read.map_or_else(|e| e.to_string(), |_| format!("store {} reads", store.name())));
        }
        let said = said.join("\n").replace(&*dir.path().to_string_lossy(), "DIR");
        insta::assert_snapshot!(said, @r"
        store locked cannot be opened: DIR/store/locked/series.redb is open in another process
        store damaged cannot be opened: DIR/store/damaged/series.redb is damaged (Not a redb database: magic number mismatch): move it away and start again; what the log still holds is taken in anew
        store well reads
        ");
        drop(holder);
        std::fs::remove_file(file).unwrap();
        for store in &stores {
            assert!(store.position().await.is_ok_and(|at| at.is_some()), "{}", store.name());
            assert!(everything(&**store).await.is_ok(), "{}", store.name());
        }
    }

    #[tokio::test]
    async fn when_none_can_be_opened_each_says_why() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("store"), b"no folder").unwrap();
        let failed = open_side_by_side(&["a", "b"].map(embedded), dir.path(), &clock()).await;
        let mut names: Vec<_> = failed.err().expect("none opens").into_iter().map(|e| e.replica).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}
