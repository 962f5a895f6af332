//! The anomalies the demo plants: which, when, how strong. Pure; the business asks it for every minute.
//!
//! A cycle lasts about three domain hours and begins with the demo; every cycle plants the four of [`Plant::ALL`]. The first
//! one comes eight domain minutes after the start, so that the first alert is on the page within a minute of real time.

use std::time::Duration;

use model::{Timestamp, Window};

/// Length of a cycle in domain minutes. No divisor of a day, nor near one: what happens every day at the same time is
/// what a same-time baseline takes for normal.
const CYCLE_MINUTES: i64 = 193;
/// Minutes of a cycle in which orders are left alone: the place of promotions.
const QUIET_FOR_ORDERS: (i64, i64) = (45, 165);

/// A kind of planted anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Plant {
    /// Orders fall to a fifth in every channel.
    OrdersDrop,
    /// Logins come four times as often.
    LoginsSpike,
    /// The risk API does not answer.
    ApiSilence,
    /// The credit pass rate sinks slowly.
    PassRateDrift,
}

impl Plant {
    /// All four, in their order within a cycle.
    pub(crate) const ALL: [Self; 4] =
        [Self::OrdersDrop, Self::LoginsSpike, Self::ApiSilence, Self::PassRateDrift];

    /// What it does, for the terminal.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::OrdersDrop => "orders fall to a fifth",
            Self::LoginsSpike => "logins come four times as often",
            Self::ApiSilence => "the risk API falls silent",
            Self::PassRateDrift => "the pass rate begins to sink",
        }
    }

    /// Minute of the cycle at which it begins, and how many minutes it lasts.
    const fn minutes(self) -> (i64, i64) {
        match self {
            Self::OrdersDrop => (8, 12),
            Self::LoginsSpike => (35, 10),
            Self::ApiSilence => (60, 10),
            Self::PassRateDrift => (85, 45),
        }
    }

    /// Metrics on which it must be found (full names).
    pub(crate) const fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::OrdersDrop => &["orders"],
            Self::LoginsSpike => &["logins"],
            Self::ApiSilence => &["pass_rate", "repayments.count", "repayments.amount", "risk_api_latency"],
            Self::PassRateDrift => &["pass_rate"],
        }
    }
}

/// One planted anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Planted {
    /// When.
    pub(crate) window: Window,
    /// What.
    pub(crate) plant: Plant,
}

/// The whole plan, from the demo's first live minute on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    live_from: Timestamp,
}

impl Script {
    /// The plan of a demo whose live time began at `live_from`.
    pub(crate) const fn new(live_from: Timestamp) -> Self {
        Self { live_from }
    }

    /// What is planted, from the cycle `back` cycles before `now` to the one `ahead` cycles after, in order of time.
    pub(crate) fn around(&self, now: Timestamp, back: i64, ahead: i64) -> Vec<Planted> {
        let current = self.cycle(now);
        (current - back..=current + ahead)
            .filter(|cycle| *cycle >= 0)
            .flat_map(|cycle| Plant::ALL.map(|plant| self.planted(cycle, plant)))
            .collect()
    }

    /// How far an anomaly of this kind is at `at`: from 0 (just begun) to 1 (about to end); `None` when none is on.
    pub(crate) fn progress(&self, plant: Plant, at: Timestamp) -> Option<f64> {
        if at < self.live_from {
            return None;
        }
        let window = self.planted(self.cycle(at), plant).window;
        let share = at.since(window.start).as_secs_f64() / window.length().as_secs_f64();
        window.contains(at).then_some(share)
    }

    /// Length of a cycle.
    pub(crate) const fn cycle_length() -> Duration {
        Duration::from_secs(CYCLE_MINUTES.unsigned_abs() * 60)
    }

    /// The stretch without a planted anomaly of orders in the cycle that is on at `at`.
    pub(crate) fn quiet_for_orders(&self, at: Timestamp) -> Window {
        let minute = |minute| self.minute(self.cycle(at), minute);
        Window { start: minute(QUIET_FOR_ORDERS.0), end: minute(QUIET_FOR_ORDERS.1) }
    }

    fn minute(&self, cycle: i64, minute: i64) -> Timestamp {
        Timestamp::from_secs(self.live_from.as_secs() + (cycle * CYCLE_MINUTES + minute) * 60)
    }

    fn cycle(&self, at: Timestamp) -> i64 {
        (at.as_secs() - self.live_from.as_secs()).div_euclid(CYCLE_MINUTES * 60)
    }

    fn planted(&self, cycle: i64, plant: Plant) -> Planted {
        let (begins, lasts) = plant.minutes();
        let window = Window { start: self.minute(cycle, begins), end: self.minute(cycle, begins + lasts) };
        Planted { window, plant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_020);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(START.as_secs() + minute * 60)
    }

    #[test]
    fn anomalies_begin_and_end_by_the_minute_in_every_cycle() {
        let script = Script::new(START);
        let table = [
            (Plant::OrdersDrop, -185, None),
            (Plant::OrdersDrop, 7, None),
            (Plant::OrdersDrop, 8, Some(0.0)),
            (Plant::OrdersDrop, 14, Some(0.5)),
            (Plant::OrdersDrop, 20, None),
            (Plant::OrdersDrop, 188, None),
            (Plant::OrdersDrop, 201, Some(0.0)),
            (Plant::ApiSilence, 65, Some(0.5)),
            (Plant::PassRateDrift, 85, Some(0.0)),
            (Plant::PassRateDrift, 130, None),
        ];
        for (plant, minute, expected) in table {
            assert_eq!(script.progress(plant, at(minute)), expected, "{plant:?} {minute}");
        }
    }

    #[test]
    fn no_two_anomalies_overlap_and_each_rests_before_the_next() {
        let plan = Script::new(START).around(at(210), 1, 1);
        assert_eq!(plan.len(), 12);
        for pair in plan.windows(2) {
            assert!(
                pair[1].window.start.since(pair[0].window.end) >= Duration::from_secs(15 * 60),
                "{pair:?}"
            );
        }
    }
}
