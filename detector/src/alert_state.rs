//! The life of a series' alert: m of n to fire, severity, recovery.
//!
//! * Outside windows count; so do missing ones when `no_data: alert`. The first makes the alert pending, m of the last
//!   n make it fire; a score of 2 or more fires at once.
//! * While it fires, a worse severity is told at once; a milder one only after four times n windows that all
//!   stayed a tenth below the layer, so that it does not flap.
//! * It is resolved after n windows in a row with a value and a score below 0.5. A missing window starts the count
//!   anew when missing data counts, and is passed over when it does not.
//! * A pending alert whose n windows went by without firing is resolved too, so that nobody shows it for ever; its
//!   reason carries the note `never_fired` and no message is due.

use std::collections::VecDeque;

use model::{Severity, Timestamp, Transition, Window};
use serde::{Deserialize, Serialize};

use crate::settings::ForSetting;

/// From this score on an alert fires at once.
pub const FIRES_AT_ONCE: f64 = 2.0;

/// Below this score a window is calm.
pub const CLEARS_BELOW: f64 = 0.5;

/// A fall of severity waits this many times n windows.
const CALM_FACTOR: u32 = 4;

/// What a window means for the alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// It counts: outside, or missing where that counts.
    Bad {
        /// The severity it has by itself.
        severity: Severity,
        /// The severity it would have at a score a tenth higher: a fall waits until this one is milder.
        tempered: Severity,
        /// Whether it fires without waiting for others.
        at_once: bool,
    },
    /// There is a value and it is well inside.
    Calm,
    /// There is a value, neither well inside nor outside.
    Uneasy,
    /// There is no value and that does not count.
    Unknown,
}

/// A transition and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// What happened.
    pub transition: Transition,
    /// When this life of the alert began.
    pub starts_at: Timestamp,
    /// The severity from now on.
    pub severity: Severity,
    /// Whether it resolves an alert that never fired.
    pub never_fired: bool,
}

/// The state of one series' alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    last: VecDeque<Option<Severity>>,
    life: Life,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Life {
    #[default]
    Quiet,
    Pending {
        starts_at: Timestamp,
    },
    Firing(Firing),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Firing {
    starts_at: Timestamp,
    fired_at: Timestamp,
    windows: u32,
    severity: Severity,
    calm: u32,
    milder: u32,
    worst_of_milder: Severity,
}

impl AlertState {
    /// How many windows the alert has fired; `None` while it does not.
    pub fn firing_windows(&self) -> Option<u32> {
        match &self.life {
            Life::Firing(firing) => Some(firing.windows),
            Life::Quiet | Life::Pending { .. } => None,
        }
    }

    /// The severity it fires with; `None` while it does not.
    pub fn severity(&self) -> Option<Severity> {
        match &self.life {
            Life::Firing(firing) => Some(firing.severity),
            Life::Quiet | Life::Pending { .. } => None,
        }
    }

    /// Start of the window at which it began to fire.
    pub fn fired_at(&self) -> Option<Timestamp> {
        match &self.life {
            Life::Firing(firing) => Some(firing.fired_at),
            Life::Quiet | Life::Pending { .. } => None,
        }
    }

    /// Whether an alert is pending or fires.
    pub fn is_active(&self) -> bool {
        self.life != Life::Quiet
    }

    /// What would bring someone who knows nothing of the alert up to date.
    pub fn standing(&self) -> Option<Change> {
        let (transition, starts_at, severity) = match &self.life {
            Life::Quiet => return None,
            Life::Pending { starts_at } => (Transition::Pending, *starts_at, self.worst()?),
            Life::Firing(firing) => (Transition::Firing, firing.starts_at, firing.severity),
        };
        Some(Change { transition, starts_at, severity, never_fired: false })
    }

    /// Takes one window in; gives what changed.
    pub fn step(&mut self, window: Window, signal: Signal, rule: ForSetting) -> Option<Change> {
        let bad = match signal {
            Signal::Bad { severity, .. } => Some(severity),
            Signal::Calm | Signal::Uneasy | Signal::Unknown => None,
        };
        self.last.push_back(bad);
        while self.last.len() > rule.n.max(1) as usize {
            self.last.pop_front();
        }
        match &mut self.life {
            Life::Firing(firing) => {
                firing.windows = firing.windows.saturating_add(1);
                let change = firing.step(signal, rule);
                if change.is_some_and(|change| change.transition == Transition::Resolved) {
                    *self = Self::default();
                }
                change
            }
            Life::Quiet => self.wait(window.start, window.start, signal, rule),
            Life::Pending { starts_at } => {
                let starts_at = *starts_at;
                self.wait(starts_at, window.start, signal, rule)
            }
        }
    }

    /// Ends whatever is pending or fires, because the series is judged no more.
    pub fn end(&mut self) -> Option<Change> {
        let (starts_at, severity, never_fired) = match &self.life {
            Life::Quiet => return None,
            Life::Pending { starts_at } => (*starts_at, self.worst()?, true),
            Life::Firing(firing) => (firing.starts_at, firing.severity, false),
        };
        *self = Self::default();
        Some(Change { transition: Transition::Resolved, starts_at, severity, never_fired })
    }

    fn worst(&self) -> Option<Severity> {
        self.last.iter().flatten().min().copied()
    }

    fn wait(
        &mut self,
        starts_at: Timestamp,
        now: Timestamp,
        signal: Signal,
        rule: ForSetting,
    ) -> Option<Change> {
        let was_pending = self.is_active();
        let Some(severity) = self.worst() else {
            self.life = Life::Quiet;
            let transition = Transition::Resolved;
            return was_pending.then_some(Change {
                transition,
                starts_at,
                severity: Severity::P2,
                never_fired: true,
            });
        };
        let counted = self.last.iter().flatten().count();
        let at_once = matches!(signal, Signal::Bad { at_once: true, .. });
        let change = |transition| Some(Change { transition, starts_at, severity, never_fired: false });
        if at_once || counted >= rule.m.max(1) as usize && matches!(signal, Signal::Bad { .. }) {
            self.life = Life::Firing(Firing::new(starts_at, now, severity));
            return change(Transition::Firing);
        }
        self.life = Life::Pending { starts_at };
        if was_pending { None } else { change(Transition::Pending) }
    }
}

impl Firing {
    fn new(starts_at: Timestamp, fired_at: Timestamp, severity: Severity) -> Self {
        Self { starts_at, fired_at, windows: 1, severity, calm: 0, milder: 0, worst_of_milder: Severity::P2 }
    }

    fn step(&mut self, signal: Signal, rule: ForSetting) -> Option<Change> {
        match signal {
            Signal::Calm => self.calm += 1,
            Signal::Bad { .. } | Signal::Uneasy => self.calm = 0,
            Signal::Unknown => {}
        }
        if self.calm >= rule.n.max(1) {
            return Some(self.change(Transition::Resolved));
        }
        match signal {
            Signal::Bad { severity, .. } if severity < self.severity => {
                (self.severity, self.milder, self.worst_of_milder) = (severity, 0, Severity::P2);
                Some(self.change(Transition::SeverityChanged))
            }
            Signal::Bad { tempered, .. } if tempered > self.severity => self.ease(tempered, rule),
            Signal::Bad { .. } => {
                (self.milder, self.worst_of_milder) = (0, Severity::P2);
                None
            }
            Signal::Calm | Signal::Uneasy | Signal::Unknown => None,
        }
    }

    /// Counts a milder window; falls when there were enough in a row. Windows inside neither count nor interrupt: they
    /// lead to the end of the alert, not to a milder one.
    fn ease(&mut self, tempered: Severity, rule: ForSetting) -> Option<Change> {
        self.milder += 1;
        self.worst_of_milder = self.worst_of_milder.min(tempered);
        if self.milder < CALM_FACTOR * rule.n.max(1) {
            return None;
        }
        (self.severity, self.milder, self.worst_of_milder) = (self.worst_of_milder, 0, Severity::P2);
        Some(self.change(Transition::SeverityChanged))
    }

    fn change(&self, transition: Transition) -> Change {
        Change { transition, starts_at: self.starts_at, severity: self.severity, never_fired: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Each letter is one window: `.` calm, `o` uneasy, `x` outside P2, `1` P1, `0` P0 (at once), `?` unknown.
    fn run(windows: &str, m: u32, n: u32) -> String {
        let mut state = AlertState::default();
        let signal = |letter| match letter {
            '.' => Signal::Calm,
            'o' => Signal::Uneasy,
            '?' => Signal::Unknown,
            'x' => Signal::Bad { severity: Severity::P2, tempered: Severity::P2, at_once: false },
            '1' => Signal::Bad { severity: Severity::P1, tempered: Severity::P1, at_once: false },
            't' => Signal::Bad { severity: Severity::P2, tempered: Severity::P1, at_once: false },
            _ => Signal::Bad { severity: Severity::P0, tempered: Severity::P0, at_once: true },
        };
        let mut out = String::new();
        for (i, letter) in windows.chars().enumerate() {
            let window = Window::new(Timestamp::from_secs(60 * i as i64), Duration::from_secs(60));
            match state.step(window, signal(letter), ForSetting { m, n }) {
                None => out.push(if state.firing_windows().is_some() {
                    'f'
                } else if state.is_active() {
                    'p'
                } else {
                    '.'
                }),
                Some(change) => out.push(match (change.transition, change.never_fired) {
                    (Transition::Pending, _) => 'P',
                    (Transition::Firing, _) => 'F',
                    (Transition::SeverityChanged, _) => 'S',
                    (Transition::Resolved, true) => 'r',
                    (Transition::Resolved, false) => 'R',
                }),
            }
        }
        out
    }

    #[test]
    fn m_of_n() {
        for (m, n, windows, expected) in [
            (3, 5, "..x.x.x....", "..PpppFffff"),
            (3, 5, "..x..x.x...", "..Ppppppppp"),
            (3, 5, "xxx.....x", "PpFffffRP"),
            (3, 5, "x.....", "Pppppr"),
            (3, 5, "x.x.....", "Pppppppr"),
            (3, 5, "0......", "FffffR."),
            (1, 1, "x.x.", "FRFR"),
            (3, 3, "xx.xxx", "PppppF"),
            (3, 5, "xx....x", "Ppppppp"),
        ] {
            assert_eq!(run(windows, m, n), expected, "{m} of {n}: {windows}");
        }
    }

    #[test]
    fn recovery_takes_as_long_as_the_trigger_and_uneasy_windows_start_it_anew() {
        for (windows, expected) in [
            ("0....o.....", "FfffffffffR"),
            ("0..??...", "FffffffR"), // unknown windows are passed over
            ("0....x.....", "FfffffffffR"),
        ] {
            assert_eq!(run(windows, 3, 5), expected, "{windows}");
        }
    }

    #[test]
    fn severity_rises_at_once_and_falls_slowly() {
        assert_eq!(run("xxx1x0", 3, 5), "PpFSfS");
        let slow = format!("111{}", "x".repeat(20));
        assert_eq!(run(&slow, 3, 5), format!("PpF{}S", "f".repeat(19)));
        let tempered = format!("111{}", "t".repeat(40));
        assert_eq!(run(&tempered, 3, 5), format!("PpF{}", "f".repeat(40)));
    }

    #[test]
    fn an_alert_that_fired_at_once_began_in_that_window() {
        let mut state = AlertState::default();
        let bad = Signal::Bad { severity: Severity::P0, tempered: Severity::P0, at_once: true };
        let window = Window::new(Timestamp::from_secs(600), Duration::from_secs(60));
        let change = state.step(window, bad, ForSetting::default()).unwrap();
        assert_eq!((change.transition, change.starts_at), (Transition::Firing, window.start));
        assert_eq!(state.end().map(|c| (c.transition, c.never_fired)), Some((Transition::Resolved, false)));
        assert_eq!(state.end(), None);
    }
}
