//! What the detector appends, and how it is cut where a frame cannot hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertTransition, Body, NewEntry, Verdict};

use super::covered::Covered;
use crate::series::Judged;

/// The name the detector produces and consumes under.
pub const PRODUCER: &str = "detector";

/// One append: its bodies and what it covers. A unit is a verdict or a transition; it can be cut between any two.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) bodies: Vec<(Arc<str>, Body)>,
    pub(super) covered: Covered,
    pub(super) verdicts: usize,
    pub(super) transitions: usize,
    /// Where the steps begin that led to it; none where no input did.
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    /// Units before it.
    begins: usize,
    /// What is covered before it; its part counts the units of this very step.
    before: Covered,
}

impl Step {
    /// This, with so many more units of it written.
    fn after(&self, units: usize) -> Covered {
        let mut covered = self.before.clone();
        if let Some(part) = &mut covered.part {
            part.units += units as u64;
        }
        covered
    }
}

impl Output {
    pub(super) fn new(covered: Covered) -> Self {
        Self { bodies: Vec::new(), covered, verdicts: 0, transitions: 0, steps: Vec::new() }
    }

    pub(super) fn units(&self) -> usize {
        self.verdicts + self.transitions
    }

    /// What is added from here on comes of the step after `before`.
    pub(super) fn begin(&mut self, before: Covered) {
        self.steps.push(Step { begins: self.units(), before });
    }

    /// Adds the judgements of one step: an entry of verdicts for each metric, then the transitions. Where the step goes
    /// on with an entry (`same_entry`) its first verdicts join the last ones.
    pub(super) fn add(&mut self, judged: Vec<Judged>, same_entry: bool) {
        let mut by_metric: BTreeMap<Arc<str>, Vec<Verdict>> = BTreeMap::new();
        let mut transitions = Vec::new();
        for Judged { verdict, transitions: some } in judged {
            by_metric.entry(verdict.series.metric.clone()).or_default().push(verdict);
            transitions.extend(some);
        }
        let mut join = same_entry;
        for (metric, mut verdicts) in by_metric {
            match self.bodies.last_mut() {
                Some((last, Body::Verdicts(before))) if join && *last == metric => {
                    self.verdicts += verdicts.len();
                    before.append(&mut verdicts);
                }
                _ => self.push(metric, Body::Verdicts(verdicts)),
            }
            join = false;
        }
        self.tell(transitions);
    }

    /// Adds transitions.
    pub(super) fn tell(&mut self, transitions: Vec<AlertTransition>) {
        for transition in transitions {
            self.push(transition.series.metric.clone(), Body::Alert(Box::new(transition)));
        }
    }

    fn push(&mut self, key: Arc<str>, body: Body) {
        match &body {
            Body::Verdicts(verdicts) => self.verdicts += verdicts.len(),
            _ => self.transitions += 1,
        }
        self.bodies.push((key, body));
    }

    /// Cuts after so many units. The first part covers its steps and a part of the one it is cut in; written alone, it
    /// lets a restart go on with the second.
    pub(super) fn split(self, at: usize) -> (Self, Self) {
        let begun = self.steps.partition_point(|step| step.begins <= at);
        let cut_in = begun.checked_sub(1).and_then(|last| self.steps.get(last));
        let between = cut_in.map_or_else(|| self.covered.clone(), |step| step.after(at - step.begins));
        let (mut first, mut rest) = (Self::new(between.clone()), Self::new(self.covered));
        if begun > 0 {
            rest.steps.push(Step { begins: 0, before: between });
        }
        let mut steps = self.steps;
        let later = steps.split_off(begun);
        rest.steps.extend(later.into_iter().map(|step| Step { begins: step.begins - at, ..step }));
        first.steps = steps;
        let mut before = 0;
        for (key, body) in self.bodies {
            let units = if let Body::Verdicts(verdicts) = &body { verdicts.len() } else { 1 };
            let (head, tail) = cut(body, at.saturating_sub(before));
            head.into_iter().for_each(|body| first.push(key.clone(), body));
            tail.into_iter().for_each(|body| rest.push(key.clone(), body));
            before += units;
        }
        (first, rest)
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

/// Cuts a body after so many of its units.
fn cut(body: Body, units: usize) -> (Option<Body>, Option<Body>) {
    match body {
        body if units == 0 => (None, Some(body)),
        Body::Verdicts(mut verdicts) if units < verdicts.len() => {
            let tail = verdicts.split_off(units);
            (Some(Body::Verdicts(verdicts)), Some(Body::Verdicts(tail)))
        }
        body => (Some(body), None),
    }
}
