//! Finding the sampling interval of a series whose metric does not declare one.
//!
//! The median of the steps seen so far, settled after 60 steps. Until then the rows are kept, so that a
//! changed estimate can sort them anew into phases.

use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// After this many steps the interval stands.
const SETTLED: usize = 60;

/// The steps and rows seen so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IntervalFinder {
    steps: Vec<u64>,
    last: Option<Timestamp>,
    found: Option<Duration>,
    /// Rows kept until the interval stands: start, value, whether it may be learned.
    rows: Vec<(Timestamp, f32, bool)>,
}

impl IntervalFinder {
    /// The interval as far as it is known.
    pub fn found(&self) -> Option<Duration> {
        self.found
    }

    /// Takes the start of a window in; tells whether the interval changed by it.
    pub fn see(&mut self, start: Timestamp) -> bool {
        let step = self.last.map(|last| start.since(last)).filter(|step| !step.is_zero());
        self.last = self.last.max(Some(start));
        let Some(step) = step.filter(|_| self.steps.len() < SETTLED) else { return false };
        let nanos = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        let at = self.steps.partition_point(|have| *have <= nanos);
        self.steps.insert(at, nanos);
        let median = Some(Duration::from_nanos(self.steps[(self.steps.len() - 1) / 2]));
        let changed = self.found != median;
        self.found = median;
        changed
    }

    /// Keeps a row while the interval does not stand yet.
    pub fn keep(&mut self, start: Timestamp, value: f32, learn: bool) {
        if self.steps.len() < SETTLED {
            self.rows.push((start, value, learn));
        } else if !self.rows.is_empty() {
            self.rows = Vec::new();
        }
        if self.rows.len() > 4 * SETTLED {
            self.rows.remove(0);
        }
    }

    /// The rows kept, in order of arrival.
    pub fn rows(&self) -> &[(Timestamp, f32, bool)] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_step_is_the_interval() {
        let mut finder = IntervalFinder::default();
        assert!(!finder.see(Timestamp::from_secs(0)));
        assert_eq!(finder.found(), None);
        assert!(finder.see(Timestamp::from_secs(3_600))); // a gap first
        for start in [3_900, 4_200, 4_200, 4_100, 4_500] {
            finder.see(Timestamp::from_secs(start));
        }
        assert_eq!(finder.found(), Some(Duration::from_secs(300)));
    }

    #[test]
    fn it_stands_after_sixty_steps() {
        let mut finder = IntervalFinder::default();
        for i in 0..=60 {
            finder.see(Timestamp::from_secs(60 * i));
            finder.keep(Timestamp::from_secs(60 * i), 1.0, true);
        }
        for i in 0..1_000 {
            assert!(!finder.see(Timestamp::from_secs(3_600 + 300 * i)));
            finder.keep(Timestamp::from_secs(3_600 + 300 * i), 1.0, true);
        }
        assert_eq!(finder.found(), Some(Duration::from_secs(60)));
        assert!(finder.rows().is_empty());
    }
}
