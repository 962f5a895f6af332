//! The embedded store: one file of compressed chunks and a bounded head in memory.
//!
//! * **Visible** when [`WriteSamples::write`] returns.
//! * **Durable** when the head is flushed: by [`WriteSamples::flush`], or by a write that finds the head full. Chunks
//!   and the log positions they cover go to the file in one transaction with fsync.
//! * **Lost** at a crash: the head, which the consumer of the log replays from [`WriteSamples::position`].
//! * **Waits**: a write while the head is full and the disk is slow. Reads wait for nobody, and nobody for them, but
//!   for the instant in which rows of the head are copied.
//! * **Refuses**: a point whose field has another type than before or is not finite; a write while the head is full
//!   and the disk fails; a read that would bring more than `max_read_values`.
//!
//! The file's layout is drawn in `tsdb/FORMAT.md`.

pub(crate) mod block;
mod catalog;
mod chunk;
mod config;
mod file;
mod flush;
mod head;
mod read;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use model::{
    Labels, Matcher, Measurement, Point, Positions, ReadSeries, SeriesData, SeriesQuery, StoreError,
    Timestamp, WriteError, WriteSamples, Written,
};
use redb::Builder;

pub use self::config::EmbeddedConfig;
use self::file::{File, FileError};
use self::head::Head;
use self::read::Revisions;
pub(crate) use self::read::{REVISION, revisions_of, to_series};

/// The store's file in its folder.
const FILE_NAME: &str = "series.redb";

/// How an embedded store behaves.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The replica's name in configuration, metrics and errors.
    pub name: String,
    /// Points older than this are dropped, whole UTC days at a time; `None` keeps everything.
    pub retention: Option<Duration>,
    /// Size of the head in memory at which a write flushes it to the file first.
    pub head_bytes: usize,
    /// Size of the file's page cache.
    pub cache_bytes: usize,
    /// A read that would bring more values than this is refused.
    pub max_read_values: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            name: "embedded".into(),
            retention: Some(Duration::from_secs(400 * 86_400)),
            head_bytes: 10 << 20,
            cache_bytes: 8 << 20,
            max_read_values: 20_000_000,
        }
    }
}

/// The embedded time-series store.
#[derive(Debug)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: EmbeddedOptions,
    head: RwLock<Head>,
    file: File,
    /// One flush or expiry at a time.
    flushing: Mutex<()>,
}

impl EmbeddedStore {
    /// Opens the store in the folder `dir`, creating both when absent. One process at a time.
    ///
    /// # Errors
    /// [`StoreError`] naming the file: when another process has it open, it is damaged, or of another format.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, StoreError> {
        let cache_bytes = options.cache_bytes;
        Self::open_with(
            dir,
            options,
            Box::new(move |path| Builder::new().set_cache_size(cache_bytes).create(path)),
        )
    }

    fn open_with(
        dir: &Path,
        options: EmbeddedOptions,
        opener: file::Opener,
    ) -> Result<Arc<Self>, StoreError> {
        let created = std::fs::create_dir_all(dir);
        created.map_err(|error| open_error(&options, &FileError(format!("{}: {error}", dir.display()))))?;
        let opened = File::open(path_in(dir), opener);
        Self::from_file(opened.map_err(|error| open_error(&options, &error))?, options)
    }

    /// Opens the store for reading while no process has it open for writing. It shows what was flushed; it cannot be
    /// written.
    ///
    /// # Errors
    /// [`StoreError`] naming the file: when there is none, a process has it open, or it is damaged.
    pub fn open_read_only(dir: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, StoreError> {
        let opened = File::open_read_only(path_in(dir), options.cache_bytes);
        Self::from_file(opened.map_err(|error| open_error(&options, &error))?, options)
    }

    fn from_file(file: File, options: EmbeddedOptions) -> Result<Arc<Self>, StoreError> {
        let (catalog, positions) = flush::load(&file).map_err(|error| open_error(&options, &error))?;
        let head = RwLock::new(Head::new(catalog, positions));
        Ok(Arc::new(Self { inner: Arc::new(Inner { options, head, file, flushing: Mutex::new(()) }) }))
    }

    /// Bytes the head holds in memory, roughly.
    pub fn head_bytes(&self) -> usize {
        self.inner.head().bytes()
    }

    /// Runs something that may touch the disk where blocking is allowed. A panic of the file's library over damaged
    /// pages becomes an error.
    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<R, FileError> + Send + 'static,
    ) -> Result<R, FileError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(done) => done,
            Err(stopped) if stopped.is_panic() => {
                Err(self.inner.file.failed("its pages contradict one another: it is damaged"))
            }
            Err(_) => Err(self.inner.file.failed("the process is stopping")),
        }
    }

    async fn read_as(
        &self,
        query: &SeriesQuery,
        revisions: Revisions,
    ) -> Result<Vec<SeriesData>, StoreError> {
        let query = query.clone();
        let read = move |inner: &Inner| {
            read::read(&inner.head, &inner.file, &query, revisions, inner.options.max_read_values)
        };
        self.blocking(read).await.map_err(|error| StoreError {
            replica: self.inner.options.name.clone(),
            operation: "read series",
            message: error.0,
        })
    }

    /// Takes points into the head, which a full one flushes first.
    async fn put(&self, points: &[Point], covered: Option<&Positions>) -> Result<Written, WriteError> {
        self.read_only()?;
        if self.inner.head().bytes() >= self.inner.options.head_bytes {
            self.flush().await?;
        }
        Ok(self.inner.head_mut().put(points, covered))
    }

    fn transient(&self, error: FileError) -> WriteError {
        WriteError::Transient {
            replica: self.inner.options.name.clone(),
            message: error.0,
            retry_after: None,
        }
    }

    fn read_only(&self) -> Result<(), WriteError> {
        let replica = || self.inner.options.name.clone();
        if self.inner.file.is_read_only() {
            return Err(WriteError::Permanent {
                replica: replica(),
                message: "it is open for reading only".into(),
            });
        }
        Ok(())
    }
}

impl Inner {
    fn head(&self) -> RwLockReadGuard<'_, Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn head_mut(&self) -> RwLockWriteGuard<'_, Head> {
        self.head.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes everything written so far durable.
    fn flush(&self) -> Result<(), FileError> {
        let _one_at_a_time = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        // Twice when an earlier flush failed: first its half, then what came since.
        for _ in 0..2 {
            let Some(frozen) = self.head_mut().freeze() else { return Ok(()) };
            flush::write(&self.file, &frozen)?;
            self.head_mut().thaw(&frozen);
        }
        Ok(())
    }

    fn expire(&self, now: Timestamp) -> Result<usize, FileError> {
        let Some(retention) = self.options.retention else { return Ok(0) };
        let _one_at_a_time = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: Vec<_> = self.head().catalog.series_ids().collect();
        let before = (now - retention).as_nanos();
        let (dropped, gone) = flush::expire(&self.file, before, &ids, |id| self.head().holds(id))?;
        let mut head = self.head_mut();
        for id in gone {
            let held = head.holds(id);
            head.catalog.forget(id, !held);
        }
        Ok(dropped)
    }
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

fn open_error(options: &EmbeddedOptions, error: &FileError) -> StoreError {
    StoreError { replica: options.name.clone(), operation: "open its file", message: error.0.clone() }
}

#[async_trait]
impl WriteSamples for EmbeddedStore {
    fn name(&self) -> &str {
        &self.inner.options.name
    }

    async fn write(&self, points: &[Point], covered: &Positions) -> Result<Written, WriteError> {
        self.put(points, Some(covered)).await
    }

    async fn fill(&self, points: &[Point]) -> Result<Written, WriteError> {
        self.put(points, None).await
    }

    async fn position(&self) -> Result<Option<Positions>, WriteError> {
        Ok(Some(self.inner.head().durable().clone()))
    }

    async fn flush(&self) -> Result<(), WriteError> {
        self.read_only()?;
        self.blocking(Inner::flush).await.map_err(|error| self.transient(error))
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, WriteError> {
        self.read_only()?;
        self.blocking(move |inner| inner.expire(now)).await.map_err(|error| self.transient(error))
    }
}

#[async_trait]
impl ReadSeries for EmbeddedStore {
    async fn read(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.read_as(query, Revisions::Overlaid).await
    }

    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        self.read_as(query, Revisions::Apart).await
    }

    async fn series(
        &self,
        measurement: Measurement,
        matchers: &[Matcher],
    ) -> Result<Vec<Labels>, StoreError> {
        Ok(read::series(&self.inner.head, measurement, matchers))
    }
}

#[cfg(test)]
mod tests;
