//! The running process: everything wired together, started in order, watched, and stopped in order.
//!
//! Start: data folder locked, log opened, listener bound, stores opened, then consumers, samplers last. Stop: samplers
//! first; then deliveries in flight end within `shutdown_timeout`, consumers and stores finish what they hold, the log
//! is closed. What was not delivered is in the outbox, what was not judged or stored is in the log.

mod alerts;
pub(crate) mod clock;
mod console_backend;
mod control;
mod forward;
mod guard;
mod hooks;
mod listener;
mod older;
pub(crate) mod process;
mod readings;
mod reload;
mod replicas;
mod roles;
mod server;
mod start;
mod supervise;
mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use collector::Collector;
use model::{Clock, Monotonic, ReadSeries, SampleLog};
use notifier::Notifier;
use queue::{Log, LogDir};
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::config::Config;

pub(crate) use roles::Roles;
pub(crate) use start::start;

use alerts::Alerts;
use reload::Reloader;
use supervise::Tasks;

/// What a start needs to know beside the configuration.
#[derive(Clone)]
pub(crate) struct RuntimeOptions {
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// How many domain seconds pass in a second, for the page.
    pub(crate) speed: f64,
    /// What this process does.
    pub(crate) roles: Roles,
    /// Where a process without the role `console` listens.
    pub(crate) listen: Option<String>,
    /// The demo's story and inbox.
    pub(crate) showcase: Option<Arc<dyn console::Showcase>>,
}

impl RuntimeOptions {
    /// All roles in real time.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, speed: 1.0, roles: Roles::all(), listen: None, showcase: None }
    }
}

/// The parts that answer questions; shared by console, API and `/metrics`.
pub(crate) struct Parts {
    clock: Arc<dyn Clock>,
    speed: f64,
    started: Monotonic,
    log: Arc<dyn SampleLog>,
    log_dir: LogDir,
    store: Option<Arc<dyn ReadSeries>>,
    replicas: Vec<(String, tsdb::Progress)>,
    /// The stores as they are read; their statuses say how each stands.
    members: Option<Arc<tsdb::Replicas>>,
    collector: Option<Arc<Collector>>,
    detector: Option<detector::consumer::ProgressReader>,
    notifier: Option<Arc<Notifier>>,
    alerts: Alerts,
    config: Arc<Reloader>,
    tasks: Tasks,
}

impl Parts {
    /// The configuration in force.
    fn config(&self) -> Arc<Config> {
        self.config.current()
    }
}

/// A running Tidemark.
pub(crate) struct Running {
    parts: Arc<Parts>,
    address: SocketAddr,
    /// The partition of each role that writes one.
    logs: Vec<(Role, Arc<Log>)>,
    consumers: CancellationToken,
    listener: CancellationToken,
    _folder: process::DataFolder,
}

/// How long after `shutdown_timeout` tasks are left behind, and then how long the log may take to close.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);
/// The part of `shutdown_timeout` that sources may take; the rest is for deliveries, the detector and the stores.
const FOR_SOURCES: f64 = 0.25;

impl Running {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The collector's partition of the log, for whoever brings history in; in a process without a collector a handle
    /// that refuses appends.
    pub(crate) fn log(&self) -> Arc<dyn SampleLog> {
        let own = roles::partition_of(&self.logs, Role::Collector);
        own.map_or_else(|| Arc::clone(&self.parts.log), |log| Arc::clone(log) as _)
    }

    /// Completes once the detector has judged and every store shows all that the log held when this was called.
    pub(crate) async fn catch_up(&self) {
        let end = self.parts.log.end();
        if let Some(progress) = &self.parts.detector {
            // The detector's own partition is not among its input.
            let wanted = roles::input_of_detector(&end);
            let mut progress = progress.clone();
            let _ = progress.wait_for(|now| now.positions.covers(&wanted)).await;
        }
        let end = self.parts.log.end();
        for (_, progress) in &self.parts.replicas {
            let _ = progress.wait_until(&end).await;
        }
    }

    /// Begins to read the configuration file again; the result goes to the log.
    pub(crate) fn reload(&self) {
        let parts = Arc::clone(&self.parts);
        self.parts.tasks.spawn(async move { parts.config.reload_and_log(&parts).await });
    }

    /// Completes when the process cannot go on, with the reason: a sync of the log failed, and only opening it again
    /// tells what is on disk.
    pub(crate) async fn failed(&self) -> String {
        self.parts.log_dir.failed().await
    }

    /// Stops everything in order, within `shutdown_timeout` and twice [`SHUTDOWN_MARGIN`].
    pub(crate) async fn stop(self) {
        let (clock, limit) = (Arc::clone(&self.parts.clock), self.parts.config().shutdown_timeout());
        let begun = clock.monotonic_now();
        tracing::info!("stopping: no new samples; deliveries in flight may end");
        if let Some(collector) = &self.parts.collector {
            tokio::select! {
                () = collector.shutdown() => {}
                () = clock.sleep(limit.mul_f64(FOR_SOURCES)) => {
                    tracing::warn!("a source did not answer in time; its tick is missed");
                }
            }
        }
        self.consumers.cancel();
        let left = (limit + SHUTDOWN_MARGIN).saturating_sub(clock.monotonic_now() - begun);
        if !self.parts.tasks.ended_within(&*clock, left).await {
            let health = self.parts.tasks.health();
            let running: Vec<_> =
                health.iter().filter(|(_, task)| task.running).map(|(name, _)| name).collect();
            tracing::warn!(
                ?running,
                "left behind after {limit:?}; what they held is in the log and the outbox, and the next start goes on"
            );
        }
        self.listener.cancel();
        let logs = self.logs.clone();
        let closing = tokio::task::spawn_blocking(move || logs.iter().for_each(|(_, log)| log.close()));
        tokio::select! {
            closed = closing => if closed.is_err() {
                tracing::error!("the log could not be closed in order; the next start recovers it");
            },
            () = clock.sleep(SHUTDOWN_MARGIN) => {
                tracing::error!("the disk does not let the log close; the next start recovers it");
            }
        }
        tracing::info!("stopped");
    }
}
