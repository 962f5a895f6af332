//! The fold over the rows of one file.

use std::time::Duration;

use detector::SeriesJudge;
use detector::algorithm::{Observation, Observed};
use model::{AlertTransition, MissedReason, Origin, Severity, Timestamp, Transition, VerdictState, Window};

/// The interval is the median of this many first steps.
const STEPS: usize = 60;
/// What one row is taken to cover before there was a second.
const FIRST_INTERVAL: Duration = Duration::from_secs(60);
/// Of a gap longer than this many windows only the last ones are told to the judge.
const MAX_MISSES: i64 = 10_000;

/// What is written of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RowOut {
    /// 1 is the limit.
    pub(crate) score: f64,
    /// The row is abnormal.
    pub(crate) abnormal: bool,
    /// A message goes out.
    pub(crate) alert: bool,
    /// What was expected; none while learning.
    pub(crate) expected: Option<f64>,
    /// Lower end of the band.
    pub(crate) lower: Option<f64>,
    /// Upper end of the band.
    pub(crate) upper: Option<f64>,
}

/// The sampling interval as far as the rows seen tell: the median of the first steps, then fixed.
#[derive(Debug)]
struct Interval {
    steps: Vec<i64>,
    current: Duration,
    fixed: bool,
}

impl Interval {
    fn new(declared: Option<Duration>) -> Self {
        Self { steps: Vec::new(), current: declared.unwrap_or(FIRST_INTERVAL), fixed: declared.is_some() }
    }

    fn step(&mut self, nanos: i64) {
        if self.fixed || nanos <= 0 {
            return;
        }
        self.steps.insert(self.steps.partition_point(|s| *s < nanos), nanos);
        self.fixed = self.steps.len() >= STEPS;
        self.current = Duration::from_nanos(self.steps[self.steps.len() / 2].unsigned_abs());
    }
}

/// Judges rows in the order of the file.
#[derive(Debug)]
pub(crate) struct Fold {
    judge: SeriesJudge,
    interval: Interval,
    last: Option<(Timestamp, RowOut)>,
    severity: Option<Severity>,
    judged: u64,
    unread: u64,
}

impl Fold {
    /// With a judge that knows nothing yet.
    pub(crate) fn new(judge: SeriesJudge, interval: Option<Duration>) -> Self {
        Self { judge, interval: Interval::new(interval), last: None, severity: None, judged: 0, unread: 0 }
    }

    /// How many rows with a number were judged.
    pub(crate) fn judged(&self) -> u64 {
        self.judged
    }

    /// How many rows had no time or went back in time, and were not judged.
    pub(crate) fn unread(&self) -> u64 {
        self.unread
    }

    /// Judges the next row.
    pub(crate) fn row(&mut self, at: Option<Timestamp>, value: Option<f64>) -> RowOut {
        let Some(at) = at else {
            self.unread += 1;
            return RowOut::default();
        };
        if let Some((last, out)) = &self.last {
            if *last == at {
                return RowOut { alert: false, ..out.clone() };
            }
            if *last > at {
                self.unread += 1;
                return RowOut::default();
            }
            let last = *last;
            self.interval.step(at.as_nanos().saturating_sub(last.as_nanos()));
            self.skip(last, at);
        }
        self.judged += u64::from(value.is_some());
        let observed = value.map_or(Observed::Absent, |value| Observed::Value { value, ratio: None });
        let out = self.observe(at, observed);
        self.last = Some((at, out.clone()));
        out
    }

    /// Tells the judge of the windows between two rows.
    fn skip(&mut self, last: Timestamp, at: Timestamp) {
        let step = i64::try_from(self.interval.current.as_nanos()).unwrap_or(i64::MAX).max(1);
        let gap = at.as_nanos().saturating_sub(last.as_nanos());
        let missed = (gap.saturating_add(step / 2) / step - 1).max(0);
        for back in (1..=missed.min(MAX_MISSES)).rev() {
            let start = Timestamp::from_nanos(at.as_nanos() - back * step);
            if start > last {
                self.observe(start, Observed::Missed(MissedReason::Down));
            }
        }
    }

    fn observe(&mut self, start: Timestamp, value: Observed) -> RowOut {
        let window = Window::new(start, self.interval.current);
        let judged = self.judge.observe(&Observation { window, origin: Origin::Live, revision: 0, value });
        // Every transition is looked at: telling remembers the severity that was told.
        let mut alert = false;
        for transition in &judged.transitions {
            alert |= self.tells(transition);
        }
        let verdict = judged.verdict;
        if verdict.state == VerdictState::Learning {
            return RowOut::default();
        }
        RowOut {
            score: verdict.score,
            abnormal: verdict.value.is_some() && verdict.score >= 1.0,
            alert,
            expected: verdict.expected,
            lower: verdict.lower,
            upper: verdict.upper,
        }
    }

    /// Whether a transition is a message: firing, or a rise of severity.
    fn tells(&mut self, transition: &AlertTransition) -> bool {
        let before = self.severity;
        match transition.transition {
            Transition::Firing => {
                self.severity = Some(transition.severity);
                true
            }
            Transition::SeverityChanged => {
                self.severity = Some(transition.severity);
                before.is_none_or(|before| transition.severity < before)
            }
            Transition::Resolved => {
                self.severity = None;
                false
            }
            Transition::Pending => false,
        }
    }
}
