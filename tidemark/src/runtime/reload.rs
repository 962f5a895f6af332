//! The configuration in force, and taking another in its place.
//!
//! A new configuration is checked as a whole first; a bad one changes nothing. A good one is applied by difference:
//! what did not change keeps its tasks, state and pending alerts. What is fixed at start (`data_dir`, `http`,
//! `storage`) is named in a warning and waits for the next start.

use std::sync::Arc;
use std::time::Duration;

use collector::{CollectorConfig, SamplerSpec, Schedule};
use detector::calendar::Calendar;
use detector::engine::JudgingConfig;
use tokio::sync::{Mutex, watch};

use super::Parts;
use crate::config::Config;

/// The configuration in force.
pub(super) struct Reloader {
    started: Arc<Config>,
    current: watch::Sender<Arc<Config>>,
    judging: watch::Sender<Arc<JudgingConfig>>,
    one_at_a_time: Mutex<()>,
}

/// What a reload did.
pub(super) struct Reloaded {
    /// Revision in force.
    pub(super) revision: u64,
    /// Whether anything is different.
    pub(super) changed: bool,
    /// What waits for the next start.
    pub(super) warnings: Vec<String>,
}

impl Reloader {
    pub(super) fn new(config: Arc<Config>) -> Self {
        let judging = watch::Sender::new(Arc::new(judging(&config)));
        Self {
            started: Arc::clone(&config),
            current: watch::Sender::new(config),
            judging,
            one_at_a_time: Mutex::default(),
        }
    }

    /// The configuration in force.
    pub(super) fn current(&self) -> Arc<Config> {
        self.current.borrow().clone()
    }

    /// The detector's share, as it changes.
    pub(super) fn judging(&self) -> watch::Receiver<Arc<JudgingConfig>> {
        self.judging.subscribe()
    }

    /// Reads the file again and puts it in force.
    ///
    /// # Errors
    /// Every error of the file as `check` prints it, or what a part refused; the old configuration goes on.
    pub(super) async fn reload(&self, parts: &Parts) -> Result<Reloaded, Vec<String>> {
        let _alone = self.one_at_a_time.lock().await;
        let old = self.current();
        let path = old.path().to_owned();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&path)).await;
        let new = match loaded {
            Ok(loaded) => Arc::new(loaded.map_err(|findings| findings.lines())?),
            Err(panicked) => return Err(vec![format!("the configuration could not be read: {panicked}")]),
        };
        if new.revision() == old.revision() {
            return Ok(Reloaded { revision: old.revision(), changed: false, warnings: Vec::new() });
        }
        apply(parts, &old, &new).await.map_err(|message| vec![message])?;
        self.judging.send_replace(Arc::new(judging(&new)));
        let warnings = fixed_at_start(&self.started, &new);
        let revision = new.revision();
        self.current.send_replace(new);
        Ok(Reloaded { revision, changed: true, warnings })
    }

    /// The same for a signal: the result goes to the log.
    pub(super) async fn reload_and_log(&self, parts: &Parts) {
        match self.reload(parts).await {
            Ok(Reloaded { changed: false, .. }) => tracing::info!("reloaded: nothing is different"),
            Ok(Reloaded { revision, warnings, .. }) => {
                tracing::info!(revision = format!("{revision:016x}"), "reloaded");
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            }
            Err(errors) => log_refused(&errors),
        }
    }
}

/// Most errors of a refused configuration that are logged; `check` shows all.
const LOGGED: usize = 10;

/// Tells the log why a configuration was refused.
pub(super) fn log_refused(errors: &[String]) {
    errors.iter().take(LOGGED).for_each(|error| tracing::error!("{error}"));
    tracing::error!(errors = errors.len(), "configuration refused; the old one goes on");
}

/// All parts or none: a part that refuses leaves those before it as they were.
async fn apply(parts: &Parts, old: &Config, new: &Config) -> Result<(), String> {
    if let Some(collector) = &parts.collector {
        collector.apply(collecting(new)).map_err(|error| model::causes(&error))?;
    }
    if let Some(notifier) = &parts.notifier
        && let Err(error) = notifier.apply(new.notifier()).await
    {
        if let Some(collector) = &parts.collector {
            collector.apply(collecting(old)).map_err(|error| model::causes(&error))?;
        }
        return Err(model::causes(&error));
    }
    Ok(())
}

fn fixed_at_start(started: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (started.file(), new.file());
    let fixed = [
        ("data_dir", old.data_dir != new.data_dir),
        ("http", old.http != new.http),
        ("storage", old.storage != new.storage),
    ];
    let warning = |name| format!("`{name}` changed: it is read at start only, so restart to put it in force");
    fixed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| warning(name)).collect()
}

/// The collector's share.
pub(super) fn collecting(config: &Config) -> CollectorConfig {
    CollectorConfig { sources: config.sources(), samplers: config.samplers() }
}

/// The detector's share. The calendar was checked with the file; if it cannot be made all the same, there is none.
fn judging(config: &Config) -> JudgingConfig {
    let calendar = Calendar::from_config(config.calendar()).unwrap_or_else(|errors| {
        tracing::error!(errors = errors.len(), "calendar is invalid and left out");
        Calendar::default()
    });
    let (metrics, calendar) = (config.judging(), Arc::new(calendar));
    let quiet_after = quiet_after(&config.samplers());
    JudgingConfig { metrics, calendar, quiet_after, ..JudgingConfig::default() }
}

/// What a collector may need beyond the schedule before nothing coming means that it is dead.
const QUIET_GRACE: Duration = Duration::from_secs(60);

/// How long no tick may come: the longest wait for the next one of the sampler that has the shortest. One that runs by
/// `cron` may rest for days and says nothing of it.
fn quiet_after(samplers: &[SamplerSpec]) -> Option<Duration> {
    let longest = |sampler: &SamplerSpec| match sampler.schedule {
        Schedule::Interval(interval) => Some(interval + sampler.delay + sampler.timeout + QUIET_GRACE),
        Schedule::Cron { .. } => None,
    };
    samplers.iter().filter_map(longest).min()
}
