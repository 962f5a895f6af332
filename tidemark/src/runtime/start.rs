//! Starting: every part made, joined to the others and set going.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use collector::{Collector, CollectorMetrics};
use detector::consumer::{DetectorMetrics, DetectorOptions, Progress};
use model::{Clock, ReadSeries, SampleLog, WriteSamples};
use notifier::{Notifier, NotifierMetrics};
use prometheus_client::registry::Registry;
use queue::{ConsumerKind, Log, LogCollector, LogDir, LogOptions};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tsdb::{FollowOptions, ReadOptions, Replica, ReplicaMetrics, Replicas, Status, Store};

use super::listener::{Limits, ListenerMetrics, Server};
use super::older::StoredSamples;
use super::process::{DataFolder, FolderError, fresh_token};
use super::reload::Reloader;
use super::roles::{PARTITIONS, input_of_detector, partition_of};
use super::supervise::{Tasks, in_full};
use super::{Parts, Running, RuntimeOptions, readings, server, telemetry};
use crate::cli::Role;
use crate::config::Config;

/// Why Tidemark could not start. Nothing was changed on disk but what opening repairs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The data folder is not ours.
    #[error(transparent)]
    Folder(FolderError),
    /// The listener.
    #[error("cannot listen on {address}: {message}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        message: String,
    },
    /// A part did not open.
    #[error("cannot open {part}: {message}")]
    Part {
        /// Which.
        part: &'static str,
        /// Why not.
        message: String,
    },
}

fn part(name: &'static str) -> impl Fn(&dyn std::error::Error) -> StartError {
    move |error| StartError::Part { part: name, message: in_full(error) }
}

/// Starts Tidemark. Returns once everything runs and the listener answers; must be called within a tokio runtime.
///
/// # Errors
/// [`StartError`].
pub(crate) async fn start(config: Config, options: RuntimeOptions) -> Result<Running, StartError> {
    let data_dir = config.data_dir();
    let folder = DataFolder::lock(&data_dir, &options.roles.names()).map_err(StartError::Folder)?;
    let stores = open_stores(&config, &options, &data_dir).await?;
    let mut starting = Starting::new(config, options, &data_dir, &stores)?;
    let (listener, address) = starting.listen().await?;
    starting.start_stores(stores)?;
    starting.start_detector(&data_dir);
    starting.start_notifier(&data_dir)?;
    starting.start_collector()?;
    let running = starting.finish(listener, address, folder);
    Ok(running)
}

/// What has been made so far.
struct Starting {
    options: RuntimeOptions,
    config: Arc<Config>,
    reloader: Reloader,
    registry: Registry,
    log_dir: LogDir,
    logs: Vec<(Role, Arc<Log>)>,
    log: Arc<dyn SampleLog>,
    consumers: CancellationToken,
    tasks: Tasks,
    store: Option<Arc<dyn ReadSeries>>,
    replicas: Vec<(String, tsdb::Progress)>,
    detector: Option<watch::Receiver<Progress>>,
    notifier: Option<Arc<Notifier>>,
    alerts: Option<notifier::Reader>,
    collector: Option<Arc<Collector>>,
}

impl Starting {
    fn new(
        config: Config,
        options: RuntimeOptions,
        data_dir: &Path,
        stores: &[Arc<dyn Store>],
    ) -> Result<Self, StartError> {
        let executor = Handle::current();
        let older = stores
            .first()
            .map(|store| Arc::new(StoredSamples { store: Arc::clone(store) as _, executor }) as _);
        let max_bytes = config.file().storage.log.max_bytes.0;
        let log_options = LogOptions { max_bytes, older, ..LogOptions::new(data_dir.join("log")) };
        let log_dir = LogDir::open(log_options, Arc::clone(&options.clock)).map_err(|e| part("log")(&e))?;
        for consumer in ["detector", "notifier"] {
            log_dir.register(consumer, ConsumerKind::Keeper).map_err(|e| part("log")(&e))?;
        }
        let mut logs = Vec::new();
        for (role, partition) in PARTITIONS {
            if options.roles.has(role) {
                logs.push((role, open_partition(&log_dir, partition)?));
            }
        }
        let log: Arc<dyn SampleLog> = log_dir.reader();
        let mut registry = telemetry::registry();
        registry.register_collector(Box::new(LogCollector::new(log_dir.clone())));
        let config = Arc::new(config);
        Ok(Self {
            reloader: Reloader::new(Arc::clone(&config)),
            config,
            registry,
            log_dir,
            logs,
            log,
            consumers: CancellationToken::new(),
            tasks: Tasks::default(),
            store: None,
            replicas: Vec::new(),
            detector: None,
            notifier: None,
            alerts: None,
            collector: None,
            options,
        })
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.options.clock)
    }

    /// Bound before anything runs, so that a taken port is said at once.
    async fn listen(&self) -> Result<(TcpListener, SocketAddr), StartError> {
        let mut http = self.config.file().http.clone();
        if !self.options.roles.has(Role::Console) {
            http.listen = self.options.listen.clone().unwrap_or_else(|| "127.0.0.1:0".into());
        }
        let failed = |message: String| StartError::Listen { address: http.listen.clone(), message };
        let addresses = http.addresses().map_err(&failed)?;
        if !http.is_loopback() && http.token.is_none() {
            return Err(failed(
                "beyond loopback a token is needed: set `http.token` or `http.token_file`".into(),
            ));
        }
        let listener = TcpListener::bind(&*addresses).await.map_err(|error| failed(error.to_string()))?;
        let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        Ok((listener, address))
    }

    fn start_stores(&mut self, stores: Vec<Arc<dyn Store>>) -> Result<(), StartError> {
        let metrics = ReplicaMetrics::register(&mut self.registry);
        let (log, options) = (Arc::clone(&self.log), ReadOptions::default());
        let mut replicas = Replicas::new(log, self.clock(), options, metrics.clone());
        // One store alone is read as it is.
        let (several, only) = (stores.len() > 1, stores.first().cloned());
        for store in stores {
            let status = Arc::<Status>::default();
            replicas.push(store.name(), Arc::clone(&store) as _, Arc::clone(&status));
            self.follow(store, status, metrics.clone())?;
        }
        self.store = if several { Some(Arc::new(replicas)) } else { only.map(|store| store as _) };
        Ok(())
    }

    fn follow(
        &mut self,
        store: Arc<dyn WriteSamples>,
        status: Arc<Status>,
        metrics: ReplicaMetrics,
    ) -> Result<(), StartError> {
        let name = store.name().to_owned();
        let consumer = format!("replica/{name}");
        self.log_dir.register(&consumer, ConsumerKind::Replica).map_err(|e| part("log")(&e))?;
        let (log, clock, shutdown) = (Arc::clone(&self.log), self.clock(), self.consumers.clone());
        let replica = move || {
            let (log, store, clock) = (Arc::clone(&log), Arc::clone(&store), Arc::clone(&clock));
            let replica = Replica::new(log, store, FollowOptions::default(), clock, metrics.clone());
            replica.with_status(Arc::clone(&status))
        };
        let first = replica();
        self.replicas.push((name, first.progress()));
        // The first is the one whose progress is watched; another is made only after a panic.
        let mut first = Some(first);
        self.tasks.supervise(&consumer, self.clock(), shutdown.clone(), move || {
            first.take().unwrap_or_else(&replica).follow(shutdown.clone())
        });
        Ok(())
    }

    fn start_detector(&mut self, data_dir: &Path) {
        let Some(log) = partition_of(&self.logs, Role::Detector) else { return };
        let metrics = DetectorMetrics::register(&mut self.registry);
        let (progress, reader) = watch::channel(Progress::default());
        self.detector = Some(reader);
        let (log, clock, shutdown) = (Arc::clone(log), self.clock(), self.consumers.clone());
        let judging = self.reloader.judging();
        let options = DetectorOptions::new(data_dir.join("detector"));
        self.tasks.supervise("detector", self.clock(), shutdown.clone(), move || {
            detector::consumer::run(
                Arc::clone(&log) as _,
                Arc::clone(&clock),
                judging.clone(),
                options.clone(),
                metrics.clone(),
                progress.clone(),
                shutdown.clone(),
            )
        });
    }

    fn start_notifier(&mut self, data_dir: &Path) -> Result<(), StartError> {
        let path = data_dir.join("notifier.db");
        if !self.options.roles.has(Role::Notifier) {
            self.alerts = notifier::open_read_only(&path).ok();
            return Ok(());
        }
        let metrics = NotifierMetrics::register(&mut self.registry);
        let (log, clock) = (Arc::clone(&self.log), self.clock());
        let notifier = Notifier::open(&path, self.config.notifier(), log, clock, metrics);
        let notifier = Arc::new(notifier.map_err(|e| part("notifier")(&e))?);
        self.alerts = Some(notifier.reader());
        if let Some(progress) = &self.detector {
            notifier.set_upstream(self.caught_up(progress.clone()));
        }
        let (running, shutdown) = (Arc::clone(&notifier), self.consumers.clone());
        self.tasks.supervise("notifier", self.clock(), shutdown.clone(), move || {
            let (running, shutdown) = (Arc::clone(&running), shutdown.clone());
            async move {
                running.run(shutdown).await;
                Ok::<_, std::convert::Infallible>(())
            }
        });
        self.notifier = Some(notifier);
        Ok(())
    }

    /// Whether the detector has judged all the log holds: until then the end of an old alert may still come.
    fn caught_up(&self, mut progress: watch::Receiver<Progress>) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        let log = Arc::clone(&self.log);
        let shutdown = self.consumers.clone();
        self.tasks.spawn(async move {
            loop {
                let now = progress.borrow_and_update().clone();
                let caught_up = now.caught_up && now.positions.covers(&input_of_detector(&log.end()));
                sender.send_if_modified(|before| std::mem::replace(before, caught_up) != caught_up);
                tokio::select! {
                    changed = progress.changed() => if changed.is_err() { return },
                    () = shutdown.cancelled() => return,
                }
            }
        });
        receiver
    }

    fn start_collector(&mut self) -> Result<(), StartError> {
        let Some(log) = partition_of(&self.logs, Role::Collector) else { return Ok(()) };
        let metrics = CollectorMetrics::register(&mut self.registry);
        let collector = Collector::start(Arc::clone(log) as _, self.clock(), metrics);
        collector.apply(super::reload::collecting(&self.config)).map_err(|e| part("collector")(&e))?;
        self.collector = Some(Arc::new(collector));
        Ok(())
    }

    fn finish(mut self, listener: TcpListener, address: SocketAddr, folder: DataFolder) -> Running {
        let parts = Arc::new(Parts {
            started: self.options.clock.monotonic_now(),
            clock: self.clock(),
            speed: self.options.speed,
            log: self.log,
            log_dir: self.log_dir,
            store: self.store,
            replicas: self.replicas,
            collector: self.collector,
            detector: self.detector,
            notifier: self.notifier,
            alerts: self.alerts,
            config: Arc::new(self.reloader),
            tasks: self.tasks,
        });
        let readings = readings::keep(Arc::clone(&parts), self.logs.clone(), self.consumers.clone());
        parts.tasks.spawn(readings);
        let closing = CancellationToken::new();
        let token = fresh_token();
        if let Err(error) = folder.leave_note(&address.to_string(), &token) {
            tracing::warn!(error = %in_full(&error), "commands will not find this process");
        }
        let metrics = ListenerMetrics::register(&mut self.registry);
        let server = Server { clock: Arc::clone(&parts.clock), limits: Limits::default(), metrics };
        let served =
            server::Served { pages: self.options.roles.has(Role::Console), showcase: self.options.showcase };
        let app = server::app(Arc::clone(&parts), token, Arc::new(self.registry), served);
        tokio::spawn(server.serve(listener, app, closing.clone()));
        Running {
            parts,
            address,
            logs: self.logs,
            consumers: self.consumers,
            listener: closing,
            _folder: folder,
        }
    }
}

fn open_partition(log_dir: &LogDir, name: &str) -> Result<Arc<Log>, StartError> {
    let (log, recovery) = log_dir.partition(name).map_err(|e| part("log")(&e))?;
    if let Some(cut) = &recovery.cut {
        tracing::warn!(
            partition = name,
            bytes = cut.bytes,
            offset = cut.offset,
            "cut a half-written tail off the log"
        );
    }
    tracing::debug!(partition = name, end = recovery.end, replayed = recovery.replayed_frames, "log opened");
    Ok(log)
}

/// Opened before the log, which asks them for what its own index has let go.
async fn open_stores(
    config: &Config,
    options: &RuntimeOptions,
    data_dir: &Path,
) -> Result<Vec<Arc<dyn Store>>, StartError> {
    let mut stores = Vec::new();
    if options.roles.has(Role::Store) {
        for replica in &config.file().storage.replicas {
            let opened = replica.open(data_dir, Arc::clone(&options.clock)).await;
            stores.push(opened.map_err(|e| part("store")(&e))?);
        }
    }
    Ok(stores)
}
