//! The life of a series' alert: m of n to fire, severity, recovery.
//!
//! * Outside windows count; so do missing ones when `no_data: alert`. The first makes the alert pending, m of the last
//!   n make it fire; a score of 2 or more fires at once.
//! * While it fires, a worse severity is told at once; a milder one only after four times n windows that all
//!   stayed a tenth below the layer, so that it does not flap.
//! * It is resolved after n windows in a row with a value and a score below 0.5. A missing window starts the count
//!   anew when missing data counts, and is passed over when it does not.
//! * A value that comes late, or is corrected, for one of the last n windows takes that window's place, and the alert is
//!   judged anew where it stands now: it may become pending, fire, rise in severity or be resolved, all told of the
//!   newest window. What comes for an older window, or by a backfill, is judged and changes no alert. While the alert
//!   fires, the count of calm windows is taken anew from the last n; what began it being corrected away resolves it
//!   once all of them are calm. A late value nobody can judge stands for a calm one where there was none, and changes
//!   nothing where there was one. A fall of severity waits for windows in their time.
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// It counts: outside.
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
    /// There is no value and that counts, with this severity.
    NoData(Severity),
    /// There is no value and that does not count.
    Unknown,
}

impl Signal {
    fn severity(self) -> Option<Severity> {
        match self {
            Self::Bad { severity, .. } | Self::NoData(severity) => Some(severity),
            Self::Calm | Self::Uneasy | Self::Unknown => None,
        }
    }

    fn is_at_once(self) -> bool {
        matches!(self, Self::Bad { at_once: true, .. })
    }

    fn is_missing(self) -> bool {
        matches!(self, Self::NoData(_) | Self::Unknown)
    }
}

/// A window taken in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Taken {
    start: Timestamp,
    signal: Signal,
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
    last: VecDeque<Taken>,
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
        self.last.push_back(Taken { start: window.start, signal });
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

    /// Takes a late or corrected value of the window starting at `start` in, where it is one of the last n; `now` is the
    /// start of the newest window, `None` a value nobody can judge.
    pub fn revise(
        &mut self,
        start: Timestamp,
        signal: Option<Signal>,
        now: Timestamp,
        rule: ForSetting,
    ) -> Option<Change> {
        let at = self.last.iter().position(|taken| taken.start == start)?;
        let before = self.last[at].signal;
        let signal = signal.or(before.is_missing().then_some(Signal::Calm)).filter(|new| *new != before)?;
        self.last[at].signal = signal;
        match &mut self.life {
            Life::Firing(firing) => {
                firing.calm = calm_at_end(&self.last, firing.calm);
                let change = firing.recover(rule).or_else(|| firing.worsen(signal.severity()?));
                if change.is_some_and(|change| change.transition == Transition::Resolved) {
                    *self = Self::default();
                }
                change
            }
            Life::Quiet => self.wait(start, now, signal, rule),
            Life::Pending { starts_at } => {
                let starts_at = *starts_at;
                self.wait(starts_at, now, signal, rule)
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
        self.last.iter().filter_map(|taken| taken.signal.severity()).min()
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
        let counted = self.last.iter().filter(|taken| taken.signal.severity().is_some()).count();
        let change = |transition| Some(Change { transition, starts_at, severity, never_fired: false });
        let enough = counted >= rule.m.max(1) as usize && signal.severity().is_some();
        if signal.is_at_once() || enough {
            self.life = Life::Firing(Firing::new(starts_at, now, severity));
            return change(Transition::Firing);
        }
        self.life = Life::Pending { starts_at };
        if was_pending { None } else { change(Transition::Pending) }
    }
}

/// How many windows in a row are calm at the end of the last n; `counted` where all of these are, for it may be more.
/// Missing windows that do not count are passed over.
fn calm_at_end(last: &VecDeque<Taken>, counted: u32) -> u32 {
    let calm_or_unknown = |taken: &&Taken| matches!(taken.signal, Signal::Calm | Signal::Unknown);
    let at_end = last.iter().rev().take_while(calm_or_unknown);
    let calm = at_end.clone().filter(|taken| taken.signal == Signal::Calm).count();
    let calm = u32::try_from(calm).unwrap_or(u32::MAX);
    if at_end.count() == last.len() { calm.max(counted) } else { calm }
}

impl Firing {
    fn new(starts_at: Timestamp, fired_at: Timestamp, severity: Severity) -> Self {
        Self { starts_at, fired_at, windows: 1, severity, calm: 0, milder: 0, worst_of_milder: Severity::P2 }
    }

    fn step(&mut self, signal: Signal, rule: ForSetting) -> Option<Change> {
        match signal {
            Signal::Calm => self.calm += 1,
            Signal::Bad { .. } | Signal::NoData(_) | Signal::Uneasy => self.calm = 0,
            Signal::Unknown => {}
        }
        let told = self.recover(rule).or_else(|| self.worsen(signal.severity()?));
        if told.is_some() {
            return told;
        }
        match signal {
            Signal::Bad { tempered, .. } | Signal::NoData(tempered) if tempered > self.severity => {
                self.ease(tempered, rule)
            }
            Signal::Bad { .. } | Signal::NoData(_) => {
                (self.milder, self.worst_of_milder) = (0, Severity::P2);
                None
            }
            Signal::Calm | Signal::Uneasy | Signal::Unknown => None,
        }
    }

    fn recover(&self, rule: ForSetting) -> Option<Change> {
        (self.calm >= rule.n.max(1)).then(|| self.change(Transition::Resolved))
    }

    fn worsen(&mut self, severity: Severity) -> Option<Change> {
        if severity >= self.severity {
            return None;
        }
        (self.severity, self.milder, self.worst_of_milder) = (severity, 0, Severity::P2);
        Some(self.change(Transition::SeverityChanged))
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

    fn signal(letter: char) -> Option<Signal> {
        let bad = |severity, tempered, at_once| Signal::Bad { severity, tempered, at_once };
        Some(match letter {
            '.' => Signal::Calm,
            'o' => Signal::Uneasy,
            '?' => Signal::Unknown,
            'm' => Signal::NoData(Severity::P1),
            'x' => bad(Severity::P2, Severity::P2, false),
            '1' => bad(Severity::P1, Severity::P1, false),
            't' => bad(Severity::P2, Severity::P1, false),
            '0' => bad(Severity::P0, Severity::P0, true),
            _ => return None,
        })
    }

    fn letter(state: &AlertState, change: Option<Change>) -> char {
        match change.map(|change| (change.transition, change.never_fired)) {
            None if state.firing_windows().is_some() => 'f',
            None if state.is_active() => 'p',
            None => '.',
            Some((Transition::Pending, _)) => 'P',
            Some((Transition::Firing, _)) => 'F',
            Some((Transition::SeverityChanged, _)) => 'S',
            Some((Transition::Resolved, true)) => 'r',
            Some((Transition::Resolved, false)) => 'R',
        }
    }

    /// Each letter is one window: `.` calm, `o` uneasy, `x` outside P2, `1` P1, `0` P0 (at once), `?` unknown, `m` missing
    /// where that counts; `<3x>` says that window 3 turned out to be `x`, `<3u>` that it had a value nobody can judge.
    fn run(windows: &str, m: u32, n: u32) -> String {
        let (mut state, rule) = (AlertState::default(), ForSetting { m, n });
        let start = |i: i64| Timestamp::from_secs(60 * i);
        let (mut out, mut next, mut letters) = (String::new(), 0, windows.chars());
        while let Some(one) = letters.next() {
            let change = if one == '<' {
                let of = letters.next().and_then(|digit| digit.to_digit(10)).unwrap();
                let revised = signal(letters.next().unwrap());
                assert_eq!(letters.next(), Some('>'));
                state.revise(start(i64::from(of)), revised, start(next - 1), rule)
            } else {
                next += 1;
                let window = Window::new(start(next - 1), Duration::from_secs(60));
                state.step(window, signal(one).unwrap(), rule)
            };
            out.push(letter(&state, change));
        }
        out
    }

    #[test]
    fn a_late_value_takes_its_windows_place() {
        for (windows, expected) in [
            ("xx..<2x>", "PpppF"),
            ("...<1x><1x>", "...Pp"),
            ("xx...<1.><0.>", "Ppppppr"),
            ("xx......<1.>", "Ppppppr.."), // no longer one of the last five
            ("xx......<1x>", "Ppppppr.."),
            (".....0<5.>", ".....FR"),         // what fired was wrong: over
            ("0<0.>....", "FffffR"),           // too few windows to tell yet
            ("xxx....<6x>.", "PpFffffff"),     // recovery starts anew
            ("xxx....<3x>...", "PpFffffffR."), // recovery is counted from there
            ("xxx<2.>....", "PpFffffR"),
            ("xxx<2x><20>", "PpFfS"),
            ("mm<0u><1u>", "Pppr"),
            ("xx<0u>", "Ppp"),
            ("..mmm<2.><3u><4.>", "..PpFffR"),
        ] {
            assert_eq!(run(windows, 3, 5), expected, "{windows}");
        }
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
