//! Missed ticks that the log has not taken yet, as ranges.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{MissedReason, Origin, Tick, TickOutcome, Window};

/// More ranges than this are not kept. Ticks of one interval and one reason make one range however many they are; only
/// cron windows and changing reasons can reach it.
const MAX_RANGES: usize = 50_000;

/// Missed ticks in order, oldest first. Bounded: when full the oldest range is dropped and counted.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    ranges: VecDeque<MissedRange>,
    dropped_ticks: u64,
}

/// Ticks missed one after the other for one reason.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MissedRange {
    pub(crate) window: Window,
    pub(crate) ticks: u32,
    pub(crate) reason: MissedReason,
    pub(crate) message: String,
}

impl MissedRange {
    /// A range of one tick.
    pub(crate) fn one(window: Window, reason: MissedReason, message: impl Into<String>) -> Self {
        Self { window, ticks: 1, reason, message: message.into() }
    }

    /// Takes the next tick in when both make one range: the same reason, the windows without gap and of one length, so
    /// that splitting the range gives the windows back. The newer message stays.
    fn absorb(&mut self, next: &Self) -> bool {
        let length = self.window.length() / self.ticks;
        let fits = self.reason == next.reason
            && self.window.end == next.window.start
            && next.window.length() == length * next.ticks
            && self.ticks.checked_add(next.ticks).is_some();
        if fits {
            self.window.end = next.window.end;
            self.ticks += next.ticks;
            self.message.clone_from(&next.message);
        }
        fits
    }

    /// The range as a tick of a sampler.
    pub(crate) fn tick(&self, sampler: &Arc<str>, metrics: &[Arc<str>]) -> Tick {
        Tick {
            sampler: Arc::clone(sampler),
            metrics: metrics.to_vec(),
            window: self.window,
            ticks: self.ticks,
            origin: Origin::Live,
            outcome: TickOutcome::Missed { reason: self.reason, message: self.message.clone() },
            duration_ms: 0,
        }
    }
}

impl Backlog {
    /// Adds what came after everything in it.
    pub(crate) fn push(&mut self, next: MissedRange) {
        if self.ranges.back_mut().is_some_and(|last| last.absorb(&next)) {
            return;
        }
        self.ranges.push_back(next);
        if self.ranges.len() > MAX_RANGES {
            let oldest = self.ranges.pop_front();
            self.dropped_ticks += oldest.map_or(0, |range| u64::from(range.ticks));
        }
    }

    /// The ranges, oldest first.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = &MissedRange> {
        self.ranges.iter()
    }

    /// Forgets the oldest `count` ranges: the log has them.
    pub(crate) fn taken(&mut self, count: usize) {
        self.ranges.drain(..count.min(self.ranges.len()));
    }

    /// How many ranges wait.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// How many ticks wait.
    pub(crate) fn ticks(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.ticks)).sum()
    }

    /// How many ticks were dropped since this was asked last.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// Whatever comes, the windows of the ranges are the windows that were missed, in order.
        #[test]
        fn ranges_give_back_every_window(steps in prop::collection::vec((0i64..3, 1u64..3, 0usize..2), 0..60)) {
            let (mut backlog, mut at, mut expected) = (Backlog::default(), Timestamp::from_secs(0), Vec::new());
            for (gap, minutes, reason) in steps {
                let start = at + Duration::from_secs(gap.max(1) as u64 - 1);
                let window = Window::new(start, Duration::from_secs(60 * minutes));
                backlog.push(MissedRange::one(window, [MissedReason::Full, MissedReason::Down][reason], ""));
                expected.push(window);
                at = window.end;
            }
            let metrics = [];
            let found: Vec<Window> =
                backlog.ranges().flat_map(|range| range.tick(&"x".into(), &metrics).windows().collect::<Vec<_>>()).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_year_of_minutes_is_one_range() {
        let mut backlog = Backlog::default();
        for minute in 0..525_600 {
            let window = Window::new(Timestamp::from_secs(minute * 60), Duration::from_secs(60));
            backlog.push(MissedRange::one(window, MissedReason::Full, "full"));
        }
        assert_eq!((backlog.len(), backlog.ticks()), (1, 525_600));
    }
}
