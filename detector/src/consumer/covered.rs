//! How far an append covers the detector's input: to an entry, to a window of a range of missed ticks, to a verdict.

use model::{Position, Positions};
use serde::{Deserialize, Serialize};

use super::output::PRODUCER;

/// The input an append covers: every frame before `before`, and of the frame at `within` the entries up to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Covered {
    pub(super) before: Positions,
    pub(super) within: Option<Position>,
    /// What is written of the entry at `within`; `None`: all of it.
    pub(super) part: Option<Part>,
}

/// What is written of an entry that is not wholly written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// So many of its steps (see [`super::steps::Steps`]).
    pub(super) steps: u32,
    /// Of the next step, so many verdicts and transitions.
    pub(super) units: u64,
}

impl Covered {
    /// Every frame before these positions and nothing more.
    pub(super) fn up_to(before: Positions) -> Self {
        Self { before, within: None, part: None }
    }

    /// Whether an entry was judged and wholly written.
    pub(super) fn has(&self, at: &Position) -> bool {
        let inside = |within: &Position| {
            let same_frame = within.partition == at.partition && within.offset == at.offset;
            same_frame && (at.index < within.index || at.index == within.index && self.part.is_none())
        };
        at.offset < self.before.next(&at.partition) || self.within.as_ref().is_some_and(inside)
    }

    /// What is written of this entry, where it is the one written in part.
    pub(super) fn part_of(&self, at: &Position) -> Option<Part> {
        self.part.filter(|_| self.within.as_ref() == Some(at))
    }

    /// This, gone on to an entry, or to a part of it, in order of a read.
    pub(super) fn at(&self, at: &Position, part: Option<Part>) -> Self {
        let mut covered = self.clone();
        covered.before.0.insert(at.partition.clone(), at.offset);
        Self { within: Some(at.clone()), part, ..covered }
    }

    /// This, or the positions where they are further: a snapshot may have passed frames that led to no output.
    pub(super) fn at_least(mut self, positions: &Positions) -> Self {
        for (partition, offset) in &positions.0 {
            let before = self.before.0.entry(partition.clone()).or_default();
            *before = (*before).max(*offset);
        }
        let before = &self.before;
        self.within = self.within.filter(|within| within.offset >= before.next(&within.partition));
        self.part = self.part.filter(|_| self.within.is_some());
        self
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads what [`Covered::encode`] wrote, and what was written before entries were written in part.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let whole = |(before, within)| Self { before, within, part: None };
        postcard::from_bytes(bytes)
            .or_else(|error| postcard::from_bytes(bytes).map(whole).map_err(|_| error))
            .map_err(|error| format!("source position of `{PRODUCER}` is damaged: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(index: u32) -> Position {
        Position { partition: "collector".into(), offset: 70, index }
    }

    #[test]
    fn it_reads_what_it_wrote_and_what_older_ones_wrote() {
        let whole = Covered::default().at(&position(4), None);
        let part = Covered::default().at(&position(4), Some(Part { steps: 900, units: 3 }));
        for covered in [Covered::default(), whole.clone(), part] {
            assert_eq!(Covered::decode(&covered.encode()), Ok(covered));
        }
        let older = postcard::to_allocvec(&(&whole.before, &whole.within)).unwrap();
        assert_eq!(Covered::decode(&older), Ok(whole));
        assert!(Covered::decode(&older[..older.len() - 1]).is_err());
    }

    #[test]
    fn an_entry_written_in_part_is_not_had() {
        let part = Some(Part { steps: 2, units: 0 });
        let covered = Covered::default().at(&position(4), part);
        assert_eq!([3, 4, 5].map(|index| covered.has(&position(index))), [true, false, false]);
        assert_eq!([3, 4, 5].map(|index| covered.part_of(&position(index))), [None, part, None]);
        let passed = covered.at_least(&Positions([("collector".into(), 71)].into()));
        assert_eq!((passed.within.clone(), passed.part), (None, None));
        assert!(passed.has(&position(4)));
    }
}
