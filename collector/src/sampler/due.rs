//! Which tick is run next, and which are not run any more.
//!
//! A sampler that comes late to its ticks (a starved machine, a slow disk, a laptop that slept, a clock set forward) runs
//! them all the same, oldest first: their windows can still be asked for. Not run are
//! - ticks later than [`MAX_LATE`]: no process that had the machine is that late, so they are missed (`down`);
//! - all but the newest of a query that does not ask for its window: it would give the number of now for each of them;
//! - all but the newest [`MAX_CATCH_UP`], so that a source is not flooded. Both are missed (`overrun`), like the ticks
//!   that come due while the source is asked.

use std::time::Duration;

use model::{MissedReason, Timestamp, Window};

use super::{MAX_DOWN, Task};

/// A tick this late (or its timeout, when longer) is not begun but missed.
const MAX_LATE: Duration = Duration::from_secs(15 * 60);
/// So many late ticks are run one after the other.
const MAX_CATCH_UP: usize = 60;

impl Task {
    /// The tick to run now, if one is due; those that are not run any more are missed.
    pub(super) fn take_due(&mut self) -> Option<Window> {
        let now = self.now();
        if !self.is_catching_up() {
            self.held_up_until = now;
        }
        let mut due: Vec<Window> = self.due(self.held_up_until.min(now)).collect();
        let max_late = MAX_LATE.max(self.spec().timeout);
        let too_late = due.partition_point(|window| now.since(window.end + self.spec().delay) > max_late);
        let too_late: Vec<_> = due.drain(..too_late).collect();
        self.miss(&too_late, MissedReason::Down, "the clock jumped over this tick, or the machine slept");
        let (newest, why) = if self.spec().query.asks_for_window() {
            (MAX_CATCH_UP, "the sampler was held up, and too many ticks were due")
        } else {
            (1, "the sampler was held up, and what was then cannot be asked for")
        };
        let skipped: Vec<_> = due.drain(..due.len().saturating_sub(newest)).collect();
        self.miss(&skipped, MissedReason::Overrun, why);
        let current = *due.first()?;
        self.accounted = current.end;
        if due.len() > 1 {
            tracing::debug!(sampler = %self.spec().name, ticks = due.len(), "held up: running ticks late");
        }
        Some(current)
    }

    /// The ticks that came due while the source was asked; none as long as late ones are still to be run.
    pub(super) fn overrun(&self) -> Vec<Window> {
        if self.is_catching_up() { Vec::new() } else { self.due(self.now()).collect() }
    }

    fn is_catching_up(&self) -> bool {
        self.due(self.held_up_until.min(self.now())).next().is_some()
    }

    /// The windows due and not accounted for, at most 28 days of them.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = Window> + use<'_> {
        let until = now - self.spec().delay;
        let from = self.accounted.max(until - MAX_DOWN);
        self.sampler.timetable.windows_between(from, until)
    }
}
