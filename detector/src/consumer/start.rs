//! Coming back after a stop: newest snapshot, silent replay, reconciliation.

use std::collections::BTreeMap;

use model::{AlertTransition, Body, Positions, ReadLimit, SampleLog, SeriesKey, Topic, Topics, Transition};

use super::covered::Covered;
use super::output::{Output, PRODUCER};
use super::steps::Steps;
use super::{DetectorError, DetectorOptions, collection, store};
use crate::engine::{Engine, JudgingConfig, close};

/// Where judging goes on.
pub(super) struct Restored {
    pub(super) engine: Engine,
    pub(super) covered: Covered,
    pub(super) sequence: u64,
    pub(super) replayed: u64,
    pub(super) lost_bytes: u64,
    /// What is still to be written of the step the last append was cut in.
    pub(super) unfinished: Option<Output>,
    /// The alert of the collection itself, when it fires.
    pub(super) collection: Option<AlertTransition>,
    /// Transitions that bring the log in line with a configuration that changed while the detector was down.
    pub(super) corrections: Vec<AlertTransition>,
}

/// Loads, replays and reconciles. Touches the disk.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn restore(
    log: &dyn SampleLog,
    config: JudgingConfig,
    options: &DetectorOptions,
) -> Result<Restored, DetectorError> {
    let last = log.last(PRODUCER);
    let target = match last.as_ref().map(|last| Covered::decode(&last.source_position)) {
        Some(Ok(covered)) => covered,
        Some(Err(message)) => return Err(DetectorError::SourcePosition { message }),
        None => Covered::default(),
    };
    let sequence = last.map_or(1, |last| last.sequence + 1);
    let (mut engine, from, left_out) = load(config, options, &log.end());
    let target = target.at_least(&from);
    let mut standing: BTreeMap<SeriesKey, AlertTransition> =
        engine.standing().into_iter().chain(left_out).map(|t| (t.series.clone(), t)).collect();
    let Replayed { replayed, lost_bytes, unfinished } = replay(log, &mut engine, &from, &target, options)?;
    follow_alerts(log, &from, &mut standing, options)?;
    for (_, body) in unfinished.iter().flat_map(|output| &output.bodies) {
        if let Body::Alert(transition) = body {
            follow(&mut standing, (**transition).clone());
        }
    }
    let collection = standing.remove(&collection::series());
    let corrections = reconcile(&engine, standing);
    Ok(Restored {
        engine,
        covered: target,
        sequence,
        replayed,
        lost_bytes,
        unfinished,
        collection,
        corrections,
    })
}

/// What a replay came to.
#[derive(Default)]
struct Replayed {
    replayed: u64,
    lost_bytes: u64,
    unfinished: Option<Output>,
}

/// The newest snapshot that fits the log; a new engine when there is none.
fn load(
    config: JudgingConfig,
    options: &DetectorOptions,
    end: &Positions,
) -> (Engine, Positions, Vec<AlertTransition>) {
    let mut engine = Engine::new(config);
    for snapshot in store::read_all(&options.snapshot_dir) {
        if !end.covers(&snapshot.positions) {
            tracing::warn!(
                "passing over a detector snapshot that is ahead of the log: the log is another one"
            );
            continue;
        }
        match engine.load(&snapshot.engine) {
            Ok(left_out) => return (engine, snapshot.positions, left_out),
            Err(error) => tracing::warn!(error, "passing over a detector snapshot"),
        }
    }
    let config = engine.config().clone();
    (Engine::new(config), Positions::default(), Vec::new())
}

/// Judges again, silently, what was judged and written before.
fn replay(
    log: &dyn SampleLog,
    engine: &mut Engine,
    from: &Positions,
    target: &Covered,
    options: &DetectorOptions,
) -> Result<Replayed, DetectorError> {
    let mut at = from.clone();
    let mut done = Replayed::default();
    let within = target.within.is_some();
    while !at.covers(&target.before) || within {
        let batch =
            log.read(&at, Topics::of(&[Topic::Samples]), options.limit()).map_err(DetectorError::Read)?;
        done.lost_bytes += batch.lost_bytes;
        let mut beyond = false;
        for entry in batch.entries {
            let (had, part) = (target.has(&entry.position), target.part_of(&entry.position));
            match (entry.body, part) {
                (Body::Tick(tick), _) if had => {
                    Steps::new(entry.position, tick).replay_all(engine);
                    done.replayed += 1;
                }
                (Body::Tick(tick), Some(part)) => {
                    done.unfinished = Steps::new(entry.position, tick).replay_part(engine, part, target);
                }
                _ => beyond = true,
            }
        }
        if beyond && at.covers(&target.before) || batch.next == at {
            break;
        }
        at = batch.next;
    }
    Ok(done)
}

/// Takes a transition into what stands.
fn follow(standing: &mut BTreeMap<SeriesKey, AlertTransition>, transition: AlertTransition) {
    match transition.transition {
        Transition::Resolved => standing.remove(&transition.series),
        _ => standing.insert(transition.series.clone(), transition),
    };
}

/// What the log itself says of the detector's alerts since the snapshot.
fn follow_alerts(
    log: &dyn SampleLog,
    from: &Positions,
    standing: &mut BTreeMap<SeriesKey, AlertTransition>,
    options: &DetectorOptions,
) -> Result<(), DetectorError> {
    let end = log.end();
    let mut at = from.clone();
    while !at.covers(&end) {
        let batch =
            log.read(&at, Topics::of(&[Topic::Alerts]), options.limit()).map_err(DetectorError::Read)?;
        for entry in batch.entries {
            let Body::Alert(transition) = entry.body else { continue };
            if *entry.producer == *PRODUCER {
                follow(standing, *transition);
            }
        }
        if batch.next == at {
            break;
        }
        at = batch.next;
    }
    Ok(())
}

/// What has to be said so that the log's alerts are the engine's: a configuration that changed while the detector was
/// down judges the same past otherwise.
fn reconcile(engine: &Engine, mut told: BTreeMap<SeriesKey, AlertTransition>) -> Vec<AlertTransition> {
    let mut corrections = Vec::new();
    for standing in engine.standing() {
        let same_life = |told: &AlertTransition| told.id == standing.id;
        let fires = |told: &AlertTransition| told.transition != Transition::Pending;
        let told = told.remove(&standing.series);
        match told {
            Some(told) if same_life(&told) && fires(&told) == fires(&standing) => {}
            Some(told) if same_life(&told) => corrections.push(standing),
            Some(told) => corrections.extend([close(told), standing]),
            None => corrections.push(standing),
        }
    }
    corrections.extend(told.into_values().map(close));
    corrections
}

impl DetectorOptions {
    pub(super) fn limit(&self) -> ReadLimit {
        ReadLimit { entries: self.max_batch, ..ReadLimit::default() }
    }
}
