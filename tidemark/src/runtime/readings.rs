//! What this process tells of its own health in the log: a reading of every part of it once a minute.
//!
//! | role | readings |
//! |---|---|
//! | collector | the log itself; each sampler tells of itself (`collector`) |
//! | detector | the detector as a consumer of the log |
//! | store | every replica as one |
//! | notifier | the notifier as one, and every channel |
//!
//! Each role appends to its own partition, all its readings in one frame. Nobody waits for them: what the log refuses or
//! does not take in time is left out, and what was counted is in the next one.

mod behind;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{NewEntry, PipelineKind, PipelinePoint, Positions, SampleLog, Timestamp, Topic, Topics};
use notifier::view::ChannelHealth;
use queue::Log;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::cli::Role;

/// Monotonic time between two readings; civil time but for jumps of the machine's clock.
const EVERY: Duration = Duration::from_secs(60);
/// How long the log may take to take them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads and appends for every role of this process that has a partition, until `shutdown`.
pub(super) async fn keep(parts: Arc<Parts>, logs: Vec<(Role, Arc<Log>)>, shutdown: CancellationToken) {
    let mut told = BTreeMap::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = parts.clock.sleep(EVERY) => {}
        }
        for (role, log) in &logs {
            let (read, role) = (Arc::clone(&parts), *role);
            let taken = tokio::task::spawn_blocking(move || take(&read, role)).await;
            let Ok(taken) = taken else { continue };
            let entries = taken.entries(parts.clock.domain_now(), &told);
            if !entries.is_empty() && append(&parts, log, entries).await {
                told.extend(taken.channels.into_iter().map(|channel| (channel.channel.clone(), channel)));
            }
        }
    }
}

/// Whether the log has them.
async fn append(parts: &Parts, log: &Log, entries: Vec<NewEntry>) -> bool {
    let appended = tokio::select! {
        appended = log.append(entries) => appended.map_err(|error| model::causes(&error)),
        () = parts.clock.sleep(PATIENCE) => Err(format!("not taken within {PATIENCE:?}")),
    };
    if let Err(error) = &appended {
        tracing::warn!(%error, "readings of this process' own health are left out");
    }
    appended.is_ok()
}

/// What was read of one role.
#[derive(Default)]
struct Taken {
    readings: Vec<(PipelineKind, String, BTreeMap<Arc<str>, f64>)>,
    channels: Vec<ChannelHealth>,
}

impl Taken {
    /// As entries; of channels what was counted since the reading before.
    fn entries(&self, at: Timestamp, told: &BTreeMap<String, ChannelHealth>) -> Vec<NewEntry> {
        let channels = self.channels.iter().map(|channel| {
            let fields = since(channel, told.get(&channel.channel));
            (PipelineKind::Channel, channel.channel.clone(), fields)
        });
        let point = |(kind, component, fields): (PipelineKind, String, _)| {
            PipelinePoint { kind, component: component.into(), at, fields }.into_entry()
        };
        self.readings.iter().cloned().chain(channels).map(point).collect()
    }
}

fn since(now: &ChannelHealth, before: Option<&ChannelHealth>) -> BTreeMap<Arc<str>, f64> {
    let none = ChannelHealth::default();
    let before = before.unwrap_or(&none);
    fields([
        ("delivered", now.delivered.saturating_sub(before.delivered) as f64),
        ("failed", now.failed.saturating_sub(before.failed) as f64),
        ("unknown", now.unknown.saturating_sub(before.unknown) as f64),
        ("queued", now.queued as f64),
    ])
}

fn fields<const N: usize>(pairs: [(&str, f64); N]) -> BTreeMap<Arc<str>, f64> {
    pairs.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// Reads the parts of a role. Touches the disk.
fn take(parts: &Parts, role: Role) -> Taken {
    let mut taken = Taken::default();
    match role {
        Role::Collector => taken.readings.push(of_log(parts)),
        Role::Detector => {
            let positions = parts.detector.as_ref().map(|progress| progress.borrow().positions.clone());
            taken.consumer(parts, "detector".to_owned(), positions, Topics::of(&[Topic::Samples]));
        }
        Role::Store => {
            for (name, progress) in &parts.replicas {
                taken.consumer(
                    parts,
                    format!("replica/{name}"),
                    Some(progress.visible()),
                    tsdb::replica::TOPICS,
                );
            }
        }
        Role::Notifier => {
            let Some(notifier) = &parts.notifier else { return taken };
            let positions = Some(notifier.positions());
            taken.consumer(parts, "notifier".to_owned(), positions, Topics::of(&[Topic::Alerts]));
            match notifier.channels() {
                Ok(channels) => taken.channels = channels,
                Err(error) => {
                    tracing::warn!(error = %model::causes(&error), "cannot read how the channels fare")
                }
            }
        }
        Role::Console => {}
    }
    taken
}

impl Taken {
    fn consumer(&mut self, parts: &Parts, name: String, positions: Option<Positions>, topics: Topics) {
        // One that has not begun yet is where its cursor says.
        let begun = positions.filter(|positions| !positions.0.is_empty());
        let Some(positions) = begun.or_else(|| parts.log.committed(&name)) else { return };
        match behind::behind(&*parts.log, &positions, topics, parts.clock.civil_now()) {
            Ok(behind) => {
                let lag = [("lag_entries", behind.entries), ("lag_secs", behind.age.as_secs_f64())];
                self.readings.push((PipelineKind::Consumer, name, fields(lag)));
            }
            Err(error) => {
                tracing::warn!(consumer = name, error = %model::causes(&error), "cannot tell its lag");
            }
        }
    }
}

fn of_log(parts: &Parts) -> (PipelineKind, String, BTreeMap<Arc<str>, f64>) {
    let stats = parts.log.stats();
    let (bytes, max_bytes) = (stats.bytes as f64, stats.max_bytes as f64);
    let depth_pct = if stats.max_bytes == 0 { 0.0 } else { 100.0 * bytes / max_bytes };
    let read = fields([("bytes", bytes), ("max_bytes", max_bytes), ("depth_pct", depth_pct)]);
    (PipelineKind::Log, "log".to_owned(), read)
}
