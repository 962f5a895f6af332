//! The demo's stage: set up before Tidemark starts, let go when the history is in, taken down after it stopped.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{AppendError, Clock, SampleLog, Timestamp};
use tokio::net::TcpListener;

use super::business::Business;
use super::clock::{self, DemoClock};
use super::folder::{Folder, FolderError, Memory};
use super::helpers::Helpers;
use super::history;
use super::settings::{self, Places};
use super::shop::Shop;
use super::showcase::DemoShowcase;

/// How long another demo's lock is waited for, and how often it is tried.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// What the demo is asked for.
#[derive(Clone, Debug)]
pub(crate) struct StageOptions {
    /// Domain seconds in a second.
    pub(crate) speed: f64,
    /// Seed of the business.
    pub(crate) seed: u64,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Address of its page; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
}

/// Why the demo cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// Its folder.
    #[error(transparent)]
    Folder(FolderError),
    /// The business' database.
    #[error("cannot write the demo's database {path}: {source}")]
    Shop {
        /// The file.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// No port.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// Where.
        address: String,
        /// The system's word.
        source: io::Error,
    },
}

/// Everything around Tidemark.
pub(crate) struct Stage {
    folder: Folder,
    memory: Memory,
    clock: DemoClock,
    business: Arc<Business>,
    shop: Option<Shop>,
    helpers: Helpers,
    showcase: Arc<DemoShowcase>,
    resumed: bool,
    speed: f64,
    config: PathBuf,
}

impl Stage {
    /// Sets everything up; domain time is held.
    ///
    /// # Errors
    /// [`StageError`].
    pub(crate) async fn set(options: &StageOptions, machine: Arc<dyn Clock>) -> Result<Self, StageError> {
        let folder = open_folder(&options.folder, &*machine).await?;
        let (memory, shop, at) = past(&folder, options, machine.civil_now())?;
        let business = Arc::new(Business::new(options.seed, memory.live_from()));
        let clock = DemoClock::held(machine, at, options.speed);
        let helpers = Helpers::start(Arc::clone(&business), Arc::new(clock.clone()))
            .await
            .map_err(|source| StageError::Listen { address: "127.0.0.1".into(), source })?;
        let config = write_config(&folder, options, &helpers, &business).await?;
        let showcase = DemoShowcase::new(*business.script(), options.speed, helpers.inbox.clone());
        let resumed = memory.history_complete;
        let (speed, shop) = (options.speed, Some(shop));
        Ok(Self { folder, memory, clock, business, shop, helpers, showcase, resumed, speed, config })
    }

    /// The configuration it wrote.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Its clock.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// Its strip and inbox for the page.
    pub(crate) fn showcase(&self) -> Arc<dyn console::Showcase> {
        Arc::clone(&self.showcase) as _
    }

    /// Whether an earlier demo goes on; its history is in.
    pub(crate) fn resumed(&self) -> bool {
        self.resumed
    }

    /// Appends the history; returns how many samples it held. Domain time is still held.
    ///
    /// # Errors
    /// What the log refuses for good.
    pub(crate) async fn take_in_history(
        &self,
        log: &dyn SampleLog,
        bar: &indicatif::ProgressBar,
    ) -> Result<u64, AppendError> {
        history::append(log, &self.business, &self.clock, bar).await
    }

    /// What is planted next, and how long until then in real time.
    pub(crate) fn next_mishap(&self) -> Option<(&'static str, Duration)> {
        let now = self.clock.domain_now();
        let plan = self.business.script().around(now, 0, 1);
        let next = plan.into_iter().find(|planted| planted.window.start > now)?;
        let wait = next.window.start.since(now).as_secs_f64() / self.speed;
        Some((next.plant.in_words(), Duration::from_secs_f64(wait)))
    }

    /// Lets time go: from now on the business lives. Call it once the history is in and judged.
    ///
    /// # Errors
    /// When the folder cannot remember it.
    pub(crate) fn go_live(&mut self) -> Result<(), StageError> {
        self.memory = self.memory.running();
        self.folder.remember(self.memory).map_err(StageError::Folder)?;
        if let Some(shop) = self.shop.take() {
            let clock = self.clock.clone();
            self.helpers.spawn(async move { shop.keep_writing(&clock).await });
        }
        self.clock.release();
        Ok(())
    }

    /// Holds time, so that what is stopped next stops at one moment; the next start goes on from there.
    pub(crate) fn hold(&self) -> Timestamp {
        self.clock.hold()
    }

    /// Takes the stage down after Tidemark has stopped; `held_at` is where time was held.
    ///
    /// # Errors
    /// When the folder cannot remember it.
    pub(crate) fn take_down(self, held_at: Timestamp) -> Result<(), StageError> {
        let memory = self.memory;
        if memory.history_complete {
            self.folder.remember(memory.stopped(held_at)).map_err(StageError::Folder)?;
        }
        Ok(())
    }
}

/// Opens the folder. A demo that was just killed may hold its lock for a moment more.
async fn open_folder(path: &Path, machine: &dyn Clock) -> Result<Folder, StageError> {
    let until = machine.monotonic_now() + LOCK_PATIENCE;
    loop {
        match Folder::open(path) {
            Err(FolderError::InUse(_)) if machine.monotonic_now() < until => machine.sleep(LOCK_RETRY).await,
            done => return done.map_err(StageError::Folder),
        }
    }
}

/// What to go on with: an earlier demo's memory, or a new one; its database; and where domain time stands.
fn past(
    folder: &Folder,
    options: &StageOptions,
    civil_now: Timestamp,
) -> Result<(Memory, Shop, Timestamp), StageError> {
    if let Some(memory) = folder.remembered(options.seed) {
        let shop = open_shop(folder, memory, options.speed)?;
        let at = memory.stopped_at().unwrap_or_else(|| shop.after_kill());
        if Folder::worth_continuing(at, civil_now, options.speed) {
            return Ok((memory, shop, at));
        }
    }
    let memory = Memory::fresh(options.seed, clock::origin(civil_now, options.speed));
    folder.begin_anew(memory).map_err(StageError::Folder)?;
    Ok((memory, open_shop(folder, memory, options.speed)?, memory.live_from()))
}

fn open_shop(folder: &Folder, memory: Memory, speed: f64) -> Result<Shop, StageError> {
    let path = folder.file("shop.db");
    let business = Business::new(memory.seed, memory.live_from());
    Shop::open(&path, business, speed).map_err(|source| StageError::Shop { path, source })
}

async fn write_config(
    folder: &Folder,
    options: &StageOptions,
    helpers: &Helpers,
    business: &Business,
) -> Result<PathBuf, StageError> {
    let listen = free_port(options.listen).await?;
    let places = Places {
        data_dir: &folder.file("data"),
        shop: &folder.file("shop.db"),
        listen,
        risk_api: helpers.risk_api,
        smtp: helpers.smtp,
        webhook: helpers.webhook,
        webhook_secret: &helpers.webhook_secret,
    };
    let text = settings::yaml(&places, options.speed, &business.promotions());
    folder.write("tidemark.yaml", &text).map_err(StageError::Folder)?;
    Ok(folder.file("tidemark.yaml"))
}

/// Port 0 means a free one, found now, since links in messages must name it.
async fn free_port(listen: SocketAddr) -> Result<SocketAddr, StageError> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let bound = TcpListener::bind(listen).await.and_then(|listener| listener.local_addr());
    bound.map_err(|source| StageError::Listen { address: listen.to_string(), source })
}
