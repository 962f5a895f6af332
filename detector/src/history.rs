//! The last 28 days of a series by phase.
//!
//! Phase-major slabs of f32: the days of one phase lie together, so that a baseline and its neighbours are one short
//! run of memory. A cell carries its day (as the number of the 28-day round it was written in), so that writing a
//! sample twice changes nothing and a cell that a gap of weeks left behind is never mistaken for a recent one. Slabs
//! of an hour are allocated when first written: 28 days of minutes take 200 kB, hours 3 kB.
//!
//! A cell that must not be learned (promotion, excluded, a firing alert) is kept with a mark: the baseline leaves it
//! out, "the same time last week" still shows it.

use serde::{Deserialize, Serialize};

/// How many days back a cell is kept.
pub const DAYS: i32 = 28;

const ROW: usize = DAYS as usize;
const SLAB: usize = 60;
const ROUNDS: i32 = 120;
const UNLEARNED: u8 = 0x80;

/// One value for each of the last 28 days and each phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    slabs: Vec<Option<Slab>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slab {
    values: Vec<f32>,
    tags: Vec<u8>,
}

impl Slab {
    fn new() -> Self {
        Self { values: vec![0.0; SLAB * ROW], tags: vec![0; SLAB * ROW] }
    }
}

/// A number as a cell holds it: f32, saturating, so that it is finite.
pub fn to_cell(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

fn tag(day: i32) -> u8 {
    (day.div_euclid(DAYS).rem_euclid(ROUNDS) + 1) as u8
}

fn place(day: i32, phase: u32) -> (usize, usize) {
    let phase = phase as usize;
    (phase / SLAB, phase % SLAB * ROW + day.rem_euclid(DAYS) as usize)
}

impl History {
    /// The learned value of a day and phase.
    pub fn learned(&self, day: i32, phase: u32) -> Option<f32> {
        let (slab, cell) = place(day, phase);
        let slab = self.slabs.get(slab)?.as_ref()?;
        (slab.tags[cell] == tag(day)).then(|| slab.values[cell])
    }

    /// The value of a day and phase, learned or not.
    pub fn seen(&self, day: i32, phase: u32) -> Option<f32> {
        let (slab, cell) = place(day, phase);
        let slab = self.slabs.get(slab)?.as_ref()?;
        (slab.tags[cell] & !UNLEARNED == tag(day)).then(|| slab.values[cell])
    }

    /// Writes the `nth` value (from 0) of a day and phase. Several values of one phase are merged to their mean; what
    /// must not be learned gives way to what may.
    pub fn write(&mut self, day: i32, phase: u32, nth: u32, value: f32, learn: bool) {
        let (at, cell) = place(day, phase);
        if self.slabs.len() <= at {
            self.slabs.resize(at + 1, None);
        }
        let slab = self.slabs[at].get_or_insert_with(Slab::new);
        let wanted = if learn { tag(day) } else { tag(day) | UNLEARNED };
        let same = slab.tags[cell] == wanted;
        if !same && !learn && nth > 0 && slab.tags[cell] == tag(day) {
            return;
        }
        slab.values[cell] = if same && nth > 0 { mean(slab.values[cell], value, nth) } else { value };
        slab.tags[cell] = wanted;
    }

    /// Bytes of memory it holds.
    pub fn bytes(&self) -> usize {
        self.slabs.iter().flatten().count() * SLAB * ROW * 5 + self.slabs.len() * size_of::<Option<Slab>>()
    }

    /// Whether a saved state has the shape this version writes.
    pub fn is_sound(&self) -> bool {
        self.slabs.iter().flatten().all(|slab| {
            slab.values.len() == SLAB * ROW
                && slab.tags.len() == SLAB * ROW
                && slab.values.iter().all(|v| v.is_finite())
        })
    }
}

fn mean(have: f32, value: f32, nth: u32) -> f32 {
    let (have, value) = (f64::from(have), f64::from(value));
    to_cell(have + (value - have) / f64::from(nth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_of_its_day_only() {
        let mut history = History::default();
        history.write(20_000, 100, 0, 5.0, true);
        for (day, expected) in [(20_000, Some(5.0)), (20_028, None), (19_972, None), (20_001, None)] {
            assert_eq!(history.learned(day, 100), expected, "{day}");
        }
        history.write(20_028, 100, 0, 7.0, true);
        assert_eq!((history.learned(20_000, 100), history.learned(20_028, 100)), (None, Some(7.0)));
    }

    #[test]
    fn what_is_not_learned_is_still_seen() {
        let mut history = History::default();
        history.write(-3, 0, 0, 5.0, false);
        assert_eq!((history.learned(-3, 0), history.seen(-3, 0)), (None, Some(5.0)));
        history.write(-3, 0, 0, 5.0, true);
        assert_eq!(history.learned(-3, 0), Some(5.0));
    }

    #[test]
    fn a_repeated_hour_is_merged_and_writing_twice_changes_nothing() {
        let mut history = History::default();
        history.write(1, 7, 0, 4.0, true);
        history.write(1, 7, 0, 4.0, true);
        assert_eq!(history.learned(1, 7), Some(4.0));
        history.write(1, 7, 1, 8.0, true);
        assert_eq!(history.learned(1, 7), Some(6.0));
    }

    #[test]
    fn numbers_beyond_f32_saturate() {
        assert_eq!(to_cell(1e300), f32::MAX);
        assert_eq!(to_cell(-1e300), f32::MIN);
        assert_eq!(to_cell(1e-300), 0.0);
    }

    #[test]
    fn a_month_of_minutes_takes_little() {
        let mut history = History::default();
        for day in 0..30 {
            for phase in 0..1440 {
                history.write(day, phase, 0, 1.0, true);
            }
        }
        assert!(history.bytes() < 205_000, "{}", history.bytes());
    }
}
