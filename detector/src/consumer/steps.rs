//! Judging in steps, so that neither an append nor memory grows with the length of an outage.
//!
//! A range of missed ticks is judged window by window: a step is one window of it. Every other entry is one step. The
//! state after all steps is the state after the whole entry, because a range names no series.

use model::{Body, Entry, Position, Positions, Tick, Window};

use super::covered::{Covered, Part};
use super::output::Output;
use crate::engine::Engine;
use crate::series::Judged;

/// An entry on its way through the engine.
pub(super) struct Steps {
    position: Position,
    tick: Tick,
    windows: Box<dyn Iterator<Item = Window> + Send>,
    done: u32,
    total: u32,
}

impl Steps {
    pub(super) fn new(position: Position, mut tick: Tick) -> Self {
        let range = tick.ticks > 1 && tick.samples().is_empty();
        let total = if range { std::mem::replace(&mut tick.ticks, 1) } else { 1 };
        let windows = Box::new(tick.window.split(total));
        Self { position, tick, windows, done: 0, total }
    }

    /// Judges the next step; `None` when there is none left.
    fn judge(&mut self, engine: &mut Engine) -> Option<Vec<Judged>> {
        self.tick.window = self.windows.next()?;
        self.done += 1;
        Some(engine.tick(&self.tick))
    }

    /// Judges so many steps silently.
    pub(super) fn replay(&mut self, engine: &mut Engine, steps: u32) {
        while self.done < steps && self.judge(engine).is_some() {}
    }

    /// Judges every step silently.
    pub(super) fn replay_all(mut self, engine: &mut Engine) {
        self.replay(engine, u32::MAX);
    }

    /// Judges silently what is written of this entry; gives what of a step begun is still to be written.
    pub(super) fn replay_part(
        mut self,
        engine: &mut Engine,
        part: Part,
        covered: &Covered,
    ) -> Option<Output> {
        self.replay(engine, part.steps);
        if part.units == 0 {
            return None;
        }
        let mut output = Output::new(covered.clone());
        output.begin(covered.at(&self.position, Some(Part { units: 0, ..part })));
        output.add(self.judge(engine)?, false);
        output.covered = covered.at(&self.position, self.part());
        Some(output.split(usize::try_from(part.units).unwrap_or(usize::MAX)).1)
    }

    /// Passes over steps that were judged before.
    fn skip(&mut self, steps: u32) {
        while self.done < steps && self.windows.next().is_some() {
            self.done += 1;
        }
    }

    fn part(&self) -> Option<Part> {
        (self.done < self.total).then_some(Part { steps: self.done, units: 0 })
    }
}

/// What is left to be judged of a read; gives it as appends of about `most` verdicts and transitions, one at a time.
pub(super) struct Work {
    entries: std::vec::IntoIter<Entry>,
    current: Option<Steps>,
    from: Covered,
    covered: Covered,
    next: Option<Positions>,
}

impl Work {
    pub(super) fn new(entries: Vec<Entry>, from: &Covered, next: Positions) -> Self {
        let (from, covered) = (from.clone(), from.clone());
        Self { entries: entries.into_iter(), current: None, from, covered, next: Some(next) }
    }

    /// Judges on until there is enough for an append; `None` when everything is judged and given.
    pub(super) fn judge(&mut self, engine: &mut Engine, most: usize) -> Option<Output> {
        self.next.as_ref()?;
        let mut output = Output::new(self.covered.clone());
        while output.units() < most.max(1) {
            if !self.step(engine, &mut output) {
                output.covered = Covered::up_to(self.next.take()?);
                return Some(output);
            }
        }
        output.covered = self.covered.clone();
        Some(output)
    }

    /// Judges one step; false when there is none left.
    fn step(&mut self, engine: &mut Engine, output: &mut Output) -> bool {
        let Some(mut steps) = self.current.take().or_else(|| self.open()) else { return false };
        let begun = steps.part().unwrap_or_default();
        let Some(judged) = steps.judge(engine) else { return true };
        output.begin(self.covered.at(&steps.position, Some(begun)));
        output.add(judged, begun.steps > 0);
        let part = steps.part();
        self.covered = self.covered.at(&steps.position, part);
        self.current = part.map(|_| steps);
        true
    }

    /// The next entry that is not wholly written.
    fn open(&mut self) -> Option<Steps> {
        loop {
            let entry = self.entries.next()?;
            let Body::Tick(tick) = entry.body else { continue };
            if self.from.has(&entry.position) {
                continue;
            }
            let part = self.from.part_of(&entry.position).unwrap_or_default();
            let mut steps = Steps::new(entry.position, tick);
            steps.skip(part.steps);
            return Some(steps);
        }
    }
}
