//! What the detector appends, and how far it covers its input.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertTransition, Body, Entry, NewEntry, Position, Positions, Verdict};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::series::Judged;

/// The name the detector produces and consumes under.
pub const PRODUCER: &str = "detector";

/// The input an append covers: every frame before `before`, and of the frame at `within` the entries up to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Covered {
    pub(super) before: Positions,
    pub(super) within: Option<Position>,
}

impl Covered {
    /// Whether an entry was judged and written.
    pub(super) fn has(&self, at: &Position) -> bool {
        let inside = |within: &Position| {
            within.partition == at.partition && within.offset == at.offset && at.index <= within.index
        };
        at.offset < self.before.next(&at.partition) || self.within.as_ref().is_some_and(inside)
    }

    /// Moves on to an entry, in order of a read.
    fn advance(&mut self, at: &Position) {
        self.before.0.insert(at.partition.clone(), at.offset);
        self.within = Some(at.clone());
    }

    /// This, or the positions where they are further: a snapshot may have passed frames that led to no output.
    pub(super) fn at_least(mut self, positions: &Positions) -> Self {
        for (partition, offset) in &positions.0 {
            let before = self.before.0.entry(partition.clone()).or_default();
            *before = (*before).max(*offset);
        }
        let before = &self.before;
        self.within = self.within.filter(|within| within.offset >= before.next(&within.partition));
        self
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes)
            .map_err(|error| format!("source position of `{PRODUCER}` is damaged: {error}"))
    }
}

/// One append: its bodies and what it covers.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) bodies: Vec<(Arc<str>, Body)>,
    pub(super) covered: Covered,
    pub(super) verdicts: usize,
    pub(super) transitions: usize,
}

impl Output {
    pub(super) fn new(covered: Covered) -> Self {
        Self { bodies: Vec::new(), covered, verdicts: 0, transitions: 0 }
    }

    /// Adds the judgements of one tick: an entry of verdicts for each metric, then the transitions.
    fn add(&mut self, judged: Vec<Judged>) {
        let mut by_metric: BTreeMap<Arc<str>, Vec<Verdict>> = BTreeMap::new();
        let mut transitions = Vec::new();
        for Judged { verdict, transitions: some } in judged {
            by_metric.entry(verdict.series.metric.clone()).or_default().push(verdict);
            transitions.extend(some);
        }
        for (metric, verdicts) in by_metric {
            self.verdicts += verdicts.len();
            self.bodies.push((metric, Body::Verdicts(verdicts)));
        }
        self.tell(transitions);
    }

    /// Adds transitions.
    pub(super) fn tell(&mut self, transitions: Vec<AlertTransition>) {
        self.transitions += transitions.len();
        for transition in transitions {
            self.bodies.push((transition.series.metric.clone(), Body::Alert(Box::new(transition))));
        }
    }

    /// The entries to append, numbered from `sequence` on.
    pub(super) fn entries(&self, sequence: u64) -> Vec<NewEntry> {
        let (producer, source_position): (Arc<str>, _) = (PRODUCER.into(), self.covered.encode());
        let entry = |(i, (key, body)): (usize, &(Arc<str>, Body))| NewEntry {
            key: key.clone(),
            producer: producer.clone(),
            sequence: sequence + i as u64,
            source_position: source_position.clone(),
            body: body.clone(),
        };
        self.bodies.iter().enumerate().map(entry).collect()
    }
}

/// Judges the entries of a read and cuts what comes of them into appends of about `most` verdicts, between two ticks.
pub(super) fn judge(
    engine: &mut Engine,
    entries: Vec<Entry>,
    from: &Covered,
    next: &Positions,
    most: usize,
) -> Vec<Output> {
    let mut covered = from.clone();
    let mut outputs = Vec::new();
    let mut output = Output::new(covered.clone());
    for entry in entries {
        let Body::Tick(tick) = &entry.body else { continue };
        if from.has(&entry.position) {
            continue;
        }
        output.add(engine.tick(tick));
        covered.advance(&entry.position);
        if output.verdicts >= most {
            output.covered = covered.clone();
            outputs.push(std::mem::replace(&mut output, Output::new(covered.clone())));
        }
    }
    output.covered = Covered { before: next.clone(), within: None };
    outputs.push(output);
    outputs
}
