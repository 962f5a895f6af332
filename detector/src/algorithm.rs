//! The trait every algorithm implements, and what it is shown.
//!
//! An algorithm is pure and incremental: no clock, no I/O, no randomness. Live judging, restart, backtest, `detect`
//! and preview are the same fold over the same observations: `judge` first, from what was learned before, then
//! `learn`. Expected value and band are fixed before the value is looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use model::{Direction, MissedReason, Origin, Ratio, Verdict, Window};

use crate::algorithms::Registered;
use crate::civil::Grid;
use crate::history::History;
use crate::same_phase::SamePhase;
use crate::settings::Settings;

/// One thing that happened to a series: a sample or a miss.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The window it speaks of.
    pub window: Window,
    /// How its tick came to be.
    pub origin: Origin,
    /// The revision of its verdict: 0 of the first of the window, then higher.
    pub revision: u32,
    /// The value, or why there is none.
    pub value: Observed,
}

/// A value, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// A finite number; for a rate with its parts.
    Value {
        /// The number.
        value: f64,
        /// Its parts, of a rate.
        ratio: Option<Ratio>,
    },
    /// The source answered, the series was absent and the metric does not declare `missing: zero`.
    Absent,
    /// The source did not answer.
    Missed(MissedReason),
}

impl Observation {
    /// The number, if there is one.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Observed::Value { value, .. } => Some(value),
            Observed::Absent | Observed::Missed(_) => None,
        }
    }
}

/// Which days are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayClass {
    /// A day of work.
    Workday,
    /// Saturday and Sunday, unless moved.
    Weekend,
    /// A public holiday of the calendar.
    Holiday,
}

/// What surrounds an observation; the same whoever asks.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The metric's settings.
    pub settings: Arc<Settings>,
    /// The zone its days are cut in.
    pub zone: Tz,
    /// The sampling interval; found from the rows seen so far where not declared.
    pub interval: Duration,
    /// Local civil day, days since 1970-01-01.
    pub day: i32,
    /// Local time of day in units of the interval.
    pub phase: u32,
    /// The class of the day.
    pub day_class: DayClass,
    /// The promotion in force in this window, if any.
    pub promotion: Option<Promotion>,
    /// Whether the alert of this series fires, and for how many windows it has.
    pub firing_windows: Option<u32>,
    /// Whether this window must not be learned (promotion, excluded by the calendar, labelled anomalous, first
    /// `freeze_max` of a firing run).
    pub do_not_learn: bool,
    /// What the same-phase baseline expects of this window, when it does: algorithms on deseasonalised values use it.
    pub baseline: Option<f64>,
    /// One standard deviation of a single value about `baseline`, the baseline's own error and the promotion's
    /// widening included.
    pub scale: Option<f64>,
    /// The same-phase baseline itself.
    pub same_phase: Option<&'a SamePhase>,
    /// How days are cut into phases.
    pub grid: Grid,
    /// What was learned of the series' last 28 days, by phase. The window under judgement is never in it.
    pub history: &'a History,
    /// Whether every number is wanted, whatever the score.
    pub explain: bool,
}

impl Context<'_> {
    /// Whether a finding of this score must carry its numbers: someone asked, an alert is near or fires.
    pub fn tells(&self, score: f64) -> bool {
        self.explain || score >= 0.8 || self.firing_windows.is_some()
    }
}

/// A promotion: widens, and is never learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    /// Its name.
    pub name: Arc<str>,
    /// Multiplies the expected value.
    pub factor: f64,
    /// Multiplies the band's half-width.
    pub widen: f64,
}

/// What an algorithm says of an observation.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// Why it does not take part, when it does not; its score then does not count.
    pub abstained: Option<Cow<'static, str>>,
    /// Evidence over its own calibrated limit: 1 is the limit. Finite, >= 0.
    pub score: f64,
    /// Which side it points to.
    pub direction: Option<Direction>,
    /// The value it judged, where that is not the sample's own: a sum over a widened window, per interval.
    pub value: Option<f64>,
    /// What it expected, when it expects a value.
    pub expected: Option<f64>,
    /// Its band, lower end.
    pub lower: Option<f64>,
    /// Its band, upper end.
    pub upper: Option<f64>,
    /// Every number that made it, by documented names; filled only when `explain` is asked for or the score is
    /// high enough to be told to someone.
    pub numbers: BTreeMap<Arc<str>, serde_json::Value>,
    /// Circumstances as codes (see [`model::Reason::notes`]).
    pub notes: Vec<String>,
    /// Whether an alert must not rest on this finding alone (too few samples): it makes a window outside, and counts
    /// for nothing more.
    pub silent: bool,
    /// Whether its limit is rarer than its own past could show yet, and so an estimate.
    pub extrapolated: bool,
}

impl Finding {
    /// The finding of an algorithm that does not take part.
    pub fn abstains(why: impl Into<Cow<'static, str>>) -> Self {
        Self { abstained: Some(why.into()), ..Self::default() }
    }
}

/// Numbers for [`Finding::numbers`]; what is not finite is left out.
pub fn numbers<const N: usize>(pairs: [(&str, f64); N]) -> BTreeMap<Arc<str>, serde_json::Value> {
    let finite = |(name, number): (&str, f64)| {
        serde_json::Number::from_f64(number).map(|number| (name.into(), serde_json::Value::Number(number)))
    };
    pairs.into_iter().filter_map(finite).collect()
}

/// An algorithm together with its state for one series.
pub trait Algorithm: Send + Sync + std::fmt::Debug {
    /// Its entry in the list of algorithms.
    fn registered(&self) -> &'static Registered;

    /// Its registered name: what reasons and configuration call it.
    fn name(&self) -> &'static str {
        self.registered().name
    }

    /// Judges from what was learned before. A miss is shown too; most abstain on it.
    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding;

    /// Whether it can judge a window older than the newest one: it needs nothing but the context for it.
    fn judges_late(&self) -> bool {
        false
    }

    /// Learns, after the verdict of the whole series is known (not called for late windows). Must leave out what `context.do_not_learn` forbids.
    fn learn(&mut self, context: &Context<'_>, observation: &Observation, verdict: &Verdict);

    /// The state as bytes, with a version of its own in front; `load` of them gives the same algorithm back.
    fn save(&self) -> Vec<u8>;

    /// Takes a saved state in.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged; the state is then as new.
    fn load(&mut self, bytes: &[u8]) -> Result<(), String>;
}
