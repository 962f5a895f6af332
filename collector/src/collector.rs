//! The collector: one task per sampler, started, kept and stopped by the difference of configurations.
//!
//! A source is built once and shared by its samplers; it bounds how many queries run at once, so that a hung one costs
//! its own samplers their ticks and nobody else anything.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Clock, SampleLog};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::health::HealthCell;
use crate::report::Report;
use crate::sampler::{Resume, Sampler};
use crate::{CollectorMetrics, SamplerHealth, SamplerSpec, Source, SourceConfig, Timetable};

/// What to collect: the sources and samplers of one configuration, validated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectorConfig {
    /// Sources by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Samplers; names are unique.
    pub samplers: Vec<SamplerSpec>,
}

/// Why a configuration could not be applied. The old one goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Two samplers have one name.
    #[error("sampler `{sampler}` is configured twice")]
    Duplicate {
        /// The name.
        sampler: String,
    },
    /// A sampler names a source that is not there.
    #[error("sampler `{sampler}` names the source `{source_name}`, which is not configured")]
    UnknownSource {
        /// The sampler.
        sampler: String,
        /// The name.
        source_name: String,
    },
    /// A source could not be made ready.
    #[error("source `{source_name}`: {message}")]
    Source {
        /// The source.
        source_name: String,
        /// Why.
        message: String,
    },
    /// A sampler's schedule cannot be kept.
    #[error("sampler `{sampler}`: {message}")]
    Schedule {
        /// The sampler.
        sampler: String,
        /// Why.
        message: String,
    },
    /// The collector was shut down.
    #[error("collector is shut down")]
    Closed,
}

/// Runs samplers and appends what they bring to the log. Dropping it stops them without waiting.
pub struct Collector {
    log: Arc<dyn SampleLog>,
    clock: Arc<dyn Clock>,
    metrics: CollectorMetrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sources: BTreeMap<String, BuiltSource>,
    running: BTreeMap<Arc<str>, Running>,
    /// Tasks that were told to stop and may still have a tick in flight, by sampler.
    ending: BTreeMap<Arc<str>, JoinHandle<()>>,
    applied_before: bool,
    closed: bool,
}

#[derive(Clone)]
struct BuiltSource {
    config: SourceConfig,
    source: Arc<dyn Source>,
}

struct Running {
    spec: SamplerSpec,
    source_config: SourceConfig,
    stop: CancellationToken,
    task: JoinHandle<()>,
    health: HealthCell,
}

/// A sampler of a new configuration, checked.
struct Planned {
    spec: SamplerSpec,
    timetable: Timetable,
    source: BuiltSource,
}

impl Collector {
    /// A collector without samplers; [`Collector::apply`] brings them.
    pub fn start(log: Arc<dyn SampleLog>, clock: Arc<dyn Clock>, metrics: CollectorMetrics) -> Self {
        Self { log, clock, metrics, state: Mutex::default() }
    }

    /// Makes the running samplers those of `config`: unchanged ones keep running untouched, a changed one follows its
    /// predecessor once the tick in flight is done. Does not wait for ticks in flight. The first configuration applied
    /// resumes from the log: ticks due since a sampler's last entry are missed (`down`). Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was changed then.
    pub fn apply(&self, config: CollectorConfig) -> Result<(), ApplyError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ApplyError::Closed);
        }
        let sources = build_sources(&config.sources, &state.sources)?;
        let planned = plan(config.samplers, &sources)?;
        self.stop_missing(&mut state, &planned);
        for sampler in planned {
            self.start_changed(&mut state, sampler);
        }
        state.sources = sources;
        state.applied_before = true;
        state.ending.retain(|_, task| !task.is_finished());
        Ok(())
    }

    /// How each sampler fares, in order of name.
    pub fn health(&self) -> Vec<SamplerHealth> {
        self.lock().running.values().map(|running| running.health.read()).collect()
    }

    /// Stops: no new tick begins; those in flight end or reach their deadline, and are appended. Returns when all
    /// samplers have ended; [`Collector::apply`] refuses from now on.
    pub async fn shutdown(&self) {
        let tasks: Vec<JoinHandle<()>> = {
            let mut state = self.lock();
            state.closed = true;
            let running = std::mem::take(&mut state.running).into_values().map(Running::end);
            running.chain(std::mem::take(&mut state.ending).into_values()).collect()
        };
        for task in tasks {
            log_panic(task.await);
        }
    }

    fn stop_missing(&self, state: &mut State, planned: &[Planned]) {
        let wanted: BTreeSet<&str> = planned.iter().map(|sampler| &*sampler.spec.name).collect();
        let gone: Vec<Arc<str>> =
            state.running.keys().filter(|name| !wanted.contains(&***name)).cloned().collect();
        for name in gone {
            let Some(running) = state.running.remove(&name) else { continue };
            self.metrics.forget(&name);
            state.ending.insert(name, running.end());
        }
    }

    fn start_changed(&self, state: &mut State, planned: Planned) {
        let name = Arc::clone(&planned.spec.name);
        let same = |running: &Running| {
            running.spec == planned.spec
                && running.source_config == planned.source.config
                && !running.task.is_finished()
        };
        if state.running.get(&name).is_some_and(same) {
            return;
        }
        let (before, resume) = match state.running.remove(&name) {
            Some(running) => (Some(running.end()), Resume::Handover),
            None if state.applied_before => (state.ending.remove(&name), Resume::Fresh),
            None => (None, Resume::AfterDown),
        };
        state.running.insert(name, self.spawn(planned, resume, before));
    }

    fn spawn(&self, planned: Planned, resume: Resume, before: Option<JoinHandle<()>>) -> Running {
        let Planned { spec, timetable, source } = planned;
        let health = HealthCell::new(Arc::clone(&spec.name), spec.source.clone());
        let sampler = Sampler {
            spec: spec.clone(),
            timetable,
            source: source.source,
            log: Arc::clone(&self.log),
            clock: Arc::clone(&self.clock),
            health: health.clone(),
            report: Report::new(Arc::clone(&spec.name), self.metrics.clone()),
        };
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                log_panic(before.await);
            }
            sampler.run(resume, token).await;
        });
        Running { spec, source_config: source.config, stop, task, health }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.lock().running.values().for_each(|running| running.stop.cancel());
    }
}

impl Running {
    fn end(self) -> JoinHandle<()> {
        self.stop.cancel();
        self.task
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a sampler's task panicked");
    }
}

fn build_sources(
    wanted: &BTreeMap<String, SourceConfig>,
    have: &BTreeMap<String, BuiltSource>,
) -> Result<BTreeMap<String, BuiltSource>, ApplyError> {
    let build = |(name, config): (&String, &SourceConfig)| {
        let built = match have.get(name).filter(|built| built.config == *config) {
            Some(built) => built.clone(),
            None => {
                let source = config
                    .as_type()
                    .build()
                    .map_err(|message| ApplyError::Source { source_name: name.clone(), message })?;
                BuiltSource { config: config.clone(), source: Arc::from(source) }
            }
        };
        Ok((name.clone(), built))
    };
    wanted.iter().map(build).collect()
}

fn plan(
    samplers: Vec<SamplerSpec>,
    sources: &BTreeMap<String, BuiltSource>,
) -> Result<Vec<Planned>, ApplyError> {
    let mut names = BTreeSet::new();
    let one = |spec: SamplerSpec| {
        let sampler = spec.name.to_string();
        if !names.insert(Arc::clone(&spec.name)) {
            return Err(ApplyError::Duplicate { sampler });
        }
        let timetable = Timetable::new(&spec.schedule, spec.timezone)
            .map_err(|e| ApplyError::Schedule { sampler: sampler.clone(), message: e.to_string() })?;
        let source = sources
            .get(&spec.source)
            .cloned()
            .ok_or_else(|| ApplyError::UnknownSource { sampler, source_name: spec.source.clone() })?;
        Ok(Planned { spec, timetable, source })
    };
    samplers.into_iter().map(one).collect()
}
