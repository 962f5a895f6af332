//! What was judged of a series' windows, and which revision a verdict has.
//!
//! A window's verdicts are numbered upwards from 0. Mostly that is the sample's own revision. Where a miss or a zero was
//! judged first, the numbers are shifted by what came before (miss 0, zero 1, first sample 2: shifted by 2 at the most);
//! the shifts of the newest [`SHIFTS`] such windows are kept, and of windows older than those every revision is taken as
//! shifted by 2. So a number is never used twice, however late a value comes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{Timestamp, Window};
use serde::{Deserialize, Serialize};

/// Of so many newest windows it is remembered what they were judged from.
pub const REMEMBERED: usize = 64;

/// Of so many windows the shift is kept.
const SHIFTS: usize = 256;

/// The largest shift there is: a miss, then a zero, came before the first sample.
const LARGEST_SHIFT: u32 = 2;

/// What was judged of a series' newest windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    judged: VecDeque<(Timestamp, Known)>,
    /// End of the newest window with a sample; a zero for an absent series is none.
    seen: Option<Timestamp>,
    /// Kept beside the series in a snapshot.
    #[serde(skip)]
    shifts: Shifts,
}

/// By how much verdicts are numbered higher than their samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shifts {
    of: BTreeMap<Timestamp, u32>,
    /// Windows from here on that are not in `of` are not shifted.
    exact_from: Option<Timestamp>,
}

impl Shifts {
    fn get(&self, start: Timestamp) -> u32 {
        let forgotten = self.exact_from.is_some_and(|exact_from| start < exact_from);
        self.of.get(&start).copied().unwrap_or(if forgotten { LARGEST_SHIFT } else { 0 })
    }

    fn set(&mut self, start: Timestamp, shift: u32) {
        self.of.insert(start, shift);
        if self.of.len() > SHIFTS
            && let Some((oldest, _)) = self.of.pop_first()
        {
            self.exact_from = self.exact_from.max(Some(oldest + Duration::from_millis(1)));
        }
    }
}

/// What a window was judged from; later ones replace earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Known {
    /// Nothing.
    Miss,
    /// A zero for an absent series.
    Filled,
    /// A sample of this revision.
    Sampled(u32),
}

impl Known {
    fn revision(self) -> u32 {
        match self {
            Self::Miss | Self::Filled => 0,
            Self::Sampled(revision) => revision,
        }
    }
}

impl Ledger {
    /// End of the newest window with a sample.
    pub(crate) fn seen(&self) -> Option<Timestamp> {
        self.seen
    }

    /// One in which nothing was judged yet, of a series seen as late as this one; `None` where it never was.
    pub(crate) fn anew(&self) -> Option<Self> {
        self.seen.map(|seen| Self { seen: Some(seen), ..Self::default() })
    }

    /// The shifts, where there are any.
    pub(crate) fn shifts(&self) -> Option<&Shifts> {
        (self.shifts != Shifts::default()).then_some(&self.shifts)
    }

    pub(crate) fn set_shifts(&mut self, shifts: Shifts) {
        self.shifts = shifts;
    }

    /// Remembers a window known like this and gives its verdict's revision; `None` when it is no news.
    pub(crate) fn accept(&mut self, window: Window, known: Known) -> Option<u32> {
        if matches!(known, Known::Sampled(_)) {
            self.seen = self.seen.max(Some(window.end));
        }
        match self.judged.binary_search_by_key(&window.start, |(start, _)| *start) {
            Ok(at) => {
                let before = self.judged[at].1;
                (known > before).then(|| {
                    self.judged[at].1 = known;
                    self.follow(window.start, before, known)
                })
            }
            Err(0) if self.judged.len() >= REMEMBERED => {
                let revised = known > Known::Sampled(0);
                revised.then(|| known.revision() + self.shifts.get(window.start))
            }
            Err(at) => {
                self.judged.insert(at, (window.start, known));
                if self.judged.len() > REMEMBERED {
                    self.judged.pop_front();
                }
                Some(known.revision())
            }
        }
    }

    /// The revision of a verdict that follows another of the same window.
    fn follow(&mut self, start: Timestamp, before: Known, known: Known) -> u32 {
        let shift = self.shifts.get(start);
        let revision = (known.revision() + shift).max(before.revision() + shift + 1);
        if revision - known.revision() != shift {
            self.shifts.set(start, revision - known.revision());
        }
        revision
    }

    /// The revision of one more verdict of a window, of nothing new.
    pub(crate) fn next_revision(&self, window: Window) -> u32 {
        let found = self.judged.binary_search_by_key(&window.start, |(start, _)| *start);
        found.map_or(0, |at| self.judged[at].1.revision() + self.shifts.get(window.start) + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use Known::{Filled, Miss, Sampled};

    fn minute(at: i64) -> Window {
        Window::new(Timestamp::from_secs(60 * at), Duration::from_secs(60))
    }

    #[test]
    fn a_verdict_has_its_samples_revision_unless_that_number_is_taken() {
        for (known, expected) in [
            (vec![Sampled(0), Sampled(1), Sampled(1), Miss, Sampled(3)], vec![0, 1, 3]),
            (vec![Miss, Miss, Sampled(0), Sampled(1)], vec![0, 1, 2]),
            (vec![Miss, Filled, Sampled(0), Sampled(1)], vec![0, 1, 2, 3]),
            (vec![Filled, Sampled(0), Miss, Sampled(2), Sampled(3)], vec![0, 1, 3, 4]),
            (vec![Miss, Sampled(1), Sampled(2)], vec![0, 1, 2]),
        ] {
            let mut ledger = Ledger::default();
            let given: Vec<_> = known.iter().filter_map(|known| ledger.accept(minute(0), *known)).collect();
            assert_eq!(given, expected, "{known:?}");
        }
    }

    proptest! {
        /// However windows and what is known of them come, a window's verdicts rise: the log gives a revision once.
        #[test]
        fn no_revision_of_a_window_is_given_twice(
            seen in prop::collection::vec((0..900_i64, 0..4_u32), 1..4_000),
            ordered in any::<bool>(),
        ) {
            let mut ledger = Ledger::default();
            let mut given = BTreeSet::new();
            let mut appended: BTreeMap<i64, u32> = BTreeMap::new();
            for (at, (place, what)) in seen.into_iter().enumerate() {
                let place = if ordered { at as i64 / 4 - place / 2 } else { place };
                let known = match what {
                    0 => Miss,
                    1 => Filled,
                    _ => {
                        let next = appended.entry(place).or_default();
                        *next += 1;
                        Sampled(*next - 1)
                    }
                };
                if let Some(revision) = ledger.accept(minute(place), known) {
                    let newest = given.range((place, 0)..=(place, u32::MAX)).next_back().copied();
                    prop_assert!(newest.is_none_or(|newest| newest < (place, revision)), "{place} {revision}");
                    given.insert((place, revision));
                }
                prop_assert!(ledger.shifts.of.len() <= SHIFTS);
            }
        }
    }
}
