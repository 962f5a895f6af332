//! Starting: every part made, joined to the others and set going.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use collector::{Collector, CollectorMetrics};
use detector::consumer::{DetectorMetrics, DetectorOptions, Progress};
use model::{Clock, ReadSeries, ReplicaLedger, SampleLog};
use notifier::{Notifier, NotifierMetrics};
use prometheus_client::registry::Registry;
use queue::{ConsumerKind, Log, LogCollector, LogDir, LogOptions};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tsdb::{
    FollowOptions, ReadOptions, Repair, RepairOptions, Replica, ReplicaMetrics, Replicas, Status, Store,
};

use super::alerts::Alerts;
use super::listener::{Limits, ListenerMetrics, Server};
use super::older::StoredSamples;
use super::process::{DataFolder, FolderError, fresh_token};
use super::reload::Reloader;
use super::roles::{PARTITIONS, input_of_detector, partition_of};
use super::supervise::Tasks;
use super::{Parts, Running, RuntimeOptions, readings, server, telemetry};
use crate::cli::Role;
use crate::config::Config;

/// The notifier's database in the data folder.
const NOTIFIER_DB: &str = "notifier.db";

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
    move |error| StartError::Part { part: name, message: model::causes(error) }
}

/// Starts Tidemark. Returns once everything runs and the listener answers; must be called within a tokio runtime.
///
/// # Errors
/// [`StartError`].
pub(crate) async fn start(config: Config, options: RuntimeOptions) -> Result<Running, StartError> {
    let data_dir = config.data_dir();
    let folder = DataFolder::lock(&data_dir, &options.roles.names()).map_err(StartError::Folder)?;
    let stores = open_stores(&config, &options, &data_dir).await?;
    let mut registry = telemetry::registry();
    let stores = Stores::join(stores, &options.clock, &mut registry);
    let mut starting = Starting::new(config, options, &data_dir, registry, stores.read())?;
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
    members: Option<Arc<Replicas>>,
    detector: Option<watch::Receiver<Progress>>,
    notifier: Option<Arc<Notifier>>,
    alerts: Alerts,
    collector: Option<Arc<Collector>>,
}

impl Starting {
    fn new(
        config: Config,
        options: RuntimeOptions,
        data_dir: &Path,
        mut registry: Registry,
        store: Option<Arc<dyn ReadSeries>>,
    ) -> Result<Self, StartError> {
        let executor = Handle::current();
        let older = store.clone().map(|store| Arc::new(StoredSamples { store, executor }) as _);
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
            store,
            replicas: Vec::new(),
            members: None,
            detector: None,
            notifier: None,
            alerts: Alerts::of_another(data_dir.join(NOTIFIER_DB)),
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

    fn start_stores(&mut self, stores: Stores) -> Result<(), StartError> {
        if !stores.all.is_empty() {
            self.forget_unlisted(&stores)?;
        }
        for (store, status) in &stores.all {
            let missed = self.log_dir.missed(&format!("replica/{}", store.name()));
            status.remember(missed.map_err(|e| part("log")(&e))?);
        }
        for (store, status) in &stores.all {
            self.follow(store, status, &stores.metrics)?;
            self.repair(store, &stores);
        }
        self.members = (!stores.all.is_empty()).then_some(stores.replicas);
        Ok(())
    }

    /// A replica that is not listed any more holds nothing of the log; listed again it is copied to from another one.
    fn forget_unlisted(&self, stores: &Stores) -> Result<(), StartError> {
        let listed: Vec<_> =
            stores.all.iter().map(|(store, _)| format!("replica/{}", store.name())).collect();
        for (consumer, kind) in self.log_dir.consumers() {
            if kind == ConsumerKind::Replica && !listed.contains(&consumer) {
                self.log_dir.unregister(&consumer).map_err(|e| part("log")(&e))?;
                tracing::info!(consumer, "a replica that is not listed any more is forgotten");
            }
        }
        Ok(())
    }

    fn follow(
        &mut self,
        store: &Arc<dyn Store>,
        status: &Arc<Status>,
        metrics: &ReplicaMetrics,
    ) -> Result<(), StartError> {
        let name = store.name().to_owned();
        let consumer = format!("replica/{name}");
        self.log_dir.register(&consumer, ConsumerKind::Replica).map_err(|e| part("log")(&e))?;
        let (log, clock, shutdown) = (Arc::clone(&self.log), self.clock(), self.consumers.clone());
        let ledger = Arc::new(self.log_dir.clone());
        let (store, status, metrics) = (Arc::clone(store), Arc::clone(status), metrics.clone());
        let replica = move || {
            let (log, store, clock) = (Arc::clone(&log), Arc::clone(&store) as _, Arc::clone(&clock));
            let replica = Replica::new(log, store, FollowOptions::default(), clock, metrics.clone());
            replica.with_status(Arc::clone(&status)).with_ledger(Arc::clone(&ledger) as _)
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

    /// Beside the consumer, so that neither waits for the other.
    fn repair(&mut self, store: &Arc<dyn Store>, stores: &Stores) {
        let (store, replicas) = (Arc::clone(store), Arc::clone(&stores.replicas));
        let (ledger, metrics) = (Arc::new(self.log_dir.clone()), stores.metrics.clone());
        let (clock, shutdown) = (self.clock(), self.consumers.clone());
        let name = format!("repair/{}", store.name());
        self.tasks.supervise(&name, self.clock(), shutdown.clone(), move || {
            let (store, ledger) = (Arc::clone(&store) as _, Arc::clone(&ledger) as _);
            let (replicas, clock, options) =
                (Arc::clone(&replicas), Arc::clone(&clock), RepairOptions::default());
            let repair = Repair::new(replicas, store, ledger, options, clock, &metrics);
            let shutdown = shutdown.clone();
            async move {
                repair.run(shutdown).await;
                Ok::<_, std::convert::Infallible>(())
            }
        });
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
        if !self.options.roles.has(Role::Notifier) {
            return Ok(());
        }
        let path = data_dir.join(NOTIFIER_DB);
        let metrics = NotifierMetrics::register(&mut self.registry);
        let (log, clock) = (Arc::clone(&self.log), self.clock());
        let notifier = Notifier::open(&path, self.config.notifier(), log, clock, metrics);
        let notifier = Arc::new(notifier.map_err(|e| part("notifier")(&e))?);
        self.alerts = Alerts::own(notifier.reader(), path);
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
            members: self.members,
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
            tracing::warn!(error = %model::causes(&error), "commands will not find this process");
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

/// The stores of this process and what reads them as one.
struct Stores {
    all: Vec<(Arc<dyn Store>, Arc<Status>)>,
    replicas: Arc<Replicas>,
    metrics: ReplicaMetrics,
}

impl Stores {
    fn join(stores: Vec<Arc<dyn Store>>, clock: &Arc<dyn Clock>, registry: &mut Registry) -> Self {
        let metrics = ReplicaMetrics::register(registry);
        let mut replicas = Replicas::new(Arc::clone(clock), ReadOptions::default(), metrics.clone());
        let mut all = Vec::new();
        for store in stores {
            let status = Arc::<Status>::default();
            replicas.push(store.name(), Arc::clone(&store) as _, Arc::clone(&status));
            all.push((store, status));
        }
        Self { all, replicas: Arc::new(replicas), metrics }
    }

    /// What is read; nothing in a process without stores.
    fn read(&self) -> Option<Arc<dyn ReadSeries>> {
        (!self.all.is_empty()).then(|| Arc::clone(&self.replicas) as _)
    }
}

/// Opened before the log, which asks them for what its own index has let go.
async fn open_stores(
    config: &Config,
    options: &RuntimeOptions,
    data_dir: &Path,
) -> Result<Vec<Arc<dyn Store>>, StartError> {
    if !options.roles.has(Role::Store) {
        return Ok(Vec::new());
    }
    let replicas = &config.file().storage.replicas;
    tsdb::open_side_by_side(replicas, data_dir, &options.clock).await.map_err(|errors| {
        let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        StartError::Part { part: if errors.len() > 1 { "any store" } else { "store" }, message }
    })
}
