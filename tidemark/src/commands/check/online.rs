//! `check --online`: tries everything the configuration names, side by side, each under its own deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use collector::{Persistence, SamplerSpec, SourceConfig, SourceError};
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::{Clock, MissedReason};
use serde::Serialize;
use tsdb::{ProbeError, StoreConfig};

use super::super::{CommandError, Context, run, sample};
use crate::config::Config;
use crate::output::counted;
use crate::runtime::clock::SystemClock;

/// How long a source or a store may take to show that it is there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long all receivers may take together.
const RECEIVERS_TIMEOUT: Duration = Duration::from_secs(60);
/// How many trials run side by side.
const SIDE_BY_SIDE: usize = 16;

/// How a trial went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Well.
    Ok,
    /// It answered, and something is wrong.
    Wrong,
    /// It could not be reached.
    Unreachable,
}

impl Outcome {
    /// For people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "WRONG",
            Self::Unreachable => "UNREACHABLE",
        }
    }
}

/// A trial.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trial {
    /// `folder`, `store`, `source`, `metric` or `receiver`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// How it went.
    pub(super) outcome: Outcome,
    /// What it said.
    pub(super) detail: String,
    /// How long it took.
    pub(super) duration_ms: u64,
}

impl Trial {
    /// Whether it went well.
    pub(super) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Whether it could not be reached.
    pub(super) fn is_unreachable(&self) -> bool {
        self.outcome == Outcome::Unreachable
    }
}

type Pending<'a> = Pin<Box<dyn Future<Output = Vec<Trial>> + 'a>>;

/// Tries everything; the answers in the order of the file.
pub(super) fn try_all(context: &Context, config: &Config) -> Result<Vec<Trial>, CommandError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (sources, samplers) = (config.sources(), config.samplers());
    let mut pending: Vec<Pending<'_>> = vec![Box::pin(try_folder(config, &clock))];
    for replica in &config.file().storage.replicas {
        pending.push(Box::pin(try_store(replica, config, &clock)));
    }
    for (name, source) in &sources {
        let mine: Vec<_> = samplers.iter().filter(|spec| spec.source == *name).collect();
        pending.push(Box::pin(try_source(name, source, mine, &clock)));
    }
    pending.push(Box::pin(try_receivers(config, &clock)));
    let bar = progress(context, pending.len());
    let done = run::executor()?.block_on(async {
        let all = pending.into_iter().enumerate().map(|(i, trial)| async move { (i, trial.await) });
        let watched = stream::iter(all).buffer_unordered(SIDE_BY_SIDE).inspect(|_| bar.inc(1));
        watched.collect::<BTreeMap<_, _>>().await
    });
    bar.finish_and_clear();
    Ok(done.into_values().flatten().collect())
}

fn progress(context: &Context, count: usize) -> ProgressBar {
    let target = if context.progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    let style = ProgressStyle::with_template("trying {wide_bar} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn millis(clock: &Arc<dyn Clock>, since: Duration) -> u64 {
    u64::try_from((clock.monotonic_now() - since).as_millis()).unwrap_or(u64::MAX)
}

/// A source, and if it is there each of its metrics.
async fn try_source(
    name: &str,
    source: &SourceConfig,
    samplers: Vec<&SamplerSpec>,
    clock: &Arc<dyn Clock>,
) -> Vec<Trial> {
    let since = clock.monotonic_now();
    let probed = collector::probe(source, PROBE_TIMEOUT, Arc::clone(clock)).await;
    let (outcome, detail) = match probed {
        Ok(report) => (Outcome::Ok, report.detail),
        Err(error) => failed(&error),
    };
    let name = name.to_owned();
    let mut trials = vec![Trial { kind: "source", name, outcome, detail, duration_ms: millis(clock, since) }];
    if outcome != Outcome::Unreachable {
        let each = samplers.into_iter().map(|spec| try_sampler(source, spec, clock));
        trials.extend(stream::iter(each).buffered(SIDE_BY_SIDE).collect::<Vec<_>>().await);
    }
    trials
}

async fn try_sampler(source: &SourceConfig, spec: &SamplerSpec, clock: &Arc<dyn Clock>) -> Trial {
    let since = clock.monotonic_now();
    let (outcome, detail) = match sample::window(spec, None, clock.domain_now()) {
        Err(error) => (Outcome::Wrong, error.to_string()),
        Ok(window) => match collector::sample_once(source, spec, window, Arc::clone(clock)).await {
            Ok(report) => {
                let (rows, numbers) = (report.rows.rows.len(), report.samples.len());
                (Outcome::Ok, format!("{}, {}", counted(rows, "row"), counted(numbers, "number")))
            }
            Err(error) => failed(&error),
        },
    };
    Trial { kind: "metric", name: spec.name.to_string(), outcome, detail, duration_ms: millis(clock, since) }
}

/// A source that is there and lets nobody in, for want of a password, of TLS or of a certificate to believe, is wrong.
fn failed(error: &SourceError) -> (Outcome, String) {
    let outcome = match error.reason {
        MissedReason::Timeout => Outcome::Unreachable,
        MissedReason::Unreachable if error.persistence == Persistence::Transient => Outcome::Unreachable,
        _ => Outcome::Wrong,
    };
    (outcome, error.message.clone())
}

/// A replica; nothing is written to it.
async fn try_store(replica: &StoreConfig, config: &Config, clock: &Arc<dyn Clock>) -> Vec<Trial> {
    let (since, folder) = (clock.monotonic_now(), config.data_dir());
    let probed = tokio::select! {
        probed = replica.probe(&folder, Arc::clone(clock)) => probed.map_err(|error| match error {
            ProbeError::Unreachable(error) => (Outcome::Unreachable, error.to_string()),
            ProbeError::Wrong(error) => (Outcome::Wrong, error.to_string()),
        }),
        () = clock.sleep(PROBE_TIMEOUT) => {
            let detail = format!("store {} does not answer within {} s", replica.name(), PROBE_TIMEOUT.as_secs());
            Err((Outcome::Unreachable, detail))
        }
    };
    let (outcome, detail) = probed.map_or_else(|failed| failed, |detail| (Outcome::Ok, detail));
    let name = replica.name().to_owned();
    vec![Trial { kind: "store", name, outcome, detail, duration_ms: millis(clock, since) }]
}

/// Whether the data folder takes files.
async fn try_folder(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Trial> {
    let (since, folder) = (clock.monotonic_now(), config.data_dir());
    let name = folder.display().to_string();
    let tried = tokio::task::spawn_blocking(move || takes_files(&folder)).await;
    let (outcome, detail) = match tried {
        Ok(Ok(())) => (Outcome::Ok, "takes files".to_owned()),
        Ok(Err(error)) => (Outcome::Unreachable, error.to_string()),
        Err(stopped) => (Outcome::Unreachable, stopped.to_string()),
    };
    vec![Trial { kind: "folder", name, outcome, detail, duration_ms: millis(clock, since) }]
}

/// Writes a file into the folder, or into the nearest folder above that exists, and takes it away again.
fn takes_files(folder: &Path) -> std::io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(there).map(|_| ())
}

/// Every channel of every receiver; nothing is sent.
async fn try_receivers(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Trial> {
    if config.file().receivers.is_empty() {
        return Vec::new();
    }
    let notifier = config.notifier();
    let unreachable = |detail: String| {
        let name = "all".to_owned();
        vec![Trial { kind: "receiver", name, outcome: Outcome::Unreachable, detail, duration_ms: 0 }]
    };
    let probed = tokio::select! {
        probed = notifier::probe(&notifier, Arc::clone(clock)) => probed,
        () = clock.sleep(RECEIVERS_TIMEOUT) => {
            return unreachable(format!("no answer within {} s", RECEIVERS_TIMEOUT.as_secs()));
        }
    };
    let tests = match probed {
        Ok(tests) => tests,
        Err(error) => return unreachable(error.to_string()),
    };
    let trial = |test: notifier::view::ChannelTest| Trial {
        kind: "receiver",
        name: test.channel,
        outcome: match (test.ok, test.outcome.as_str()) {
            (true, _) => Outcome::Ok,
            (false, "unreachable" | "transient" | "unknown") => Outcome::Unreachable,
            (false, _) => Outcome::Wrong,
        },
        detail: test.detail,
        duration_ms: test.millis,
    };
    tests.into_iter().map(trial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_and_lets_nobody_in_is_wrong_and_not_unreachable() {
        let refused = SourceError {
            persistence: Persistence::Permanent,
            ..SourceError::unreachable("the server wants a password")
        };
        for (error, outcome) in [
            (refused, Outcome::Wrong),
            (SourceError::permanent("no such table"), Outcome::Wrong),
            (SourceError::unreachable("connection refused"), Outcome::Unreachable),
            (SourceError::timeout("slow"), Outcome::Unreachable),
        ] {
            assert_eq!(failed(&error), (outcome, error.message.clone()));
        }
    }
}
