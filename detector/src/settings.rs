//! How one metric is judged.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use model::{AlertInfo, HumanDuration, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any number: a duration, an amount.
    #[default]
    Gauge,
    /// How many things happened in the window: whole numbers, zero or more.
    Count,
    /// A share: numerator over denominator, sampled together.
    Rate,
}

/// Which deviations count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectionSetting {
    /// Only higher than expected.
    Above,
    /// Only lower than expected.
    Below,
    /// Both.
    #[default]
    Both,
}

/// What an absent series in an answered window means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingSetting {
    /// Nothing is known.
    #[default]
    Null,
    /// It is a zero.
    Zero,
}

/// What missing data does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoDataSetting {
    /// Missing windows count towards an alert by the same `for: {m, n}`.
    #[default]
    Alert,
    /// They do not.
    Ignore,
}

/// Which days the baseline takes as alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameDay {
    /// Days of the same class: workday, weekend, holiday.
    #[default]
    Class,
    /// The same day of the week.
    Weekday,
    /// Any day.
    Any,
}

/// `for: {m, n}`: m of the last n windows must be outside to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForSetting {
    /// How many must be outside; at least 1.
    #[schemars(range(min = 1, max = 1000))]
    pub m: u32,
    /// Of how many; at least m.
    #[schemars(range(min = 1, max = 1000))]
    pub n: u32,
}

impl Default for ForSetting {
    fn default() -> Self {
        Self { m: 3, n: 5 }
    }
}

/// Fixed limits beside the learned ones. Someone wrote them down, so they are meant: `direction`, `min_deviation_pct` and
/// `min_value` do not touch them, and a value above `above` is outside where `direction` is `below`, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// A value above it is outside.
    pub above: Option<f64>,
    /// A value below it is outside.
    pub below: Option<f64>,
}

/// How large a deviation makes which severity, by score (1 is the limit). A fixed `severity` replaces them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SeverityLayers {
    /// P0 from this score on.
    pub p0: f64,
    /// P1 from this score on; P2 below.
    pub p1: f64,
}

impl Default for SeverityLayers {
    fn default() -> Self {
        Self { p0: 3.0, p1: 1.8 }
    }
}

/// How one metric is judged: everything of its configuration that the detector uses. Built by the binary from the
/// metric's section of the configuration; immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The metric's full name.
    pub metric: Arc<str>,
    /// Kind.
    pub kind: Kind,
    /// The sampling interval; `None` = found from the rows seen so far (`detect`).
    pub interval: Option<Duration>,
    /// Zone of its days.
    pub timezone: Tz,
    /// Which deviations count.
    pub direction: DirectionSetting,
    /// Deviations smaller than this many per cent of the expected value do not count.
    pub min_deviation_pct: f64,
    /// Windows in which value and expected are both below this do not count.
    pub min_value: Option<f64>,
    /// What an absent series means.
    pub missing: MissingSetting,
    /// What missing data does.
    pub no_data: NoDataSetting,
    /// m of n.
    pub for_: ForSetting,
    /// Fixed limits.
    pub threshold: Threshold,
    /// A fixed severity; `None` = by `layers`.
    pub severity: Option<Severity>,
    /// Severity by score.
    pub layers: SeverityLayers,
    /// Which days are alike.
    pub same_day: SameDay,
    /// How many extreme samples the baseline drops at each end (1 of 7).
    pub trim: usize,
    /// False alarms a week the limits are calibrated to: the analyst's knob.
    pub false_alarms_per_week: f64,
    /// How long the windows of a firing alert are kept out of the baseline.
    pub freeze_max: Duration,
    /// Names of algorithms that take part; empty = the shipped ones.
    pub algorithms: Vec<String>,
    /// What messages say beside the numbers.
    pub info: AlertInfo,
    /// Names of the promotion and holiday calendars that apply; empty = all.
    pub calendars: Vec<String>,
    /// Revision hash of the configuration.
    pub config_revision: u64,
}

impl Settings {
    /// The shipped settings of a metric of this name.
    pub fn shipped(metric: impl Into<Arc<str>>) -> Self {
        Self {
            metric: metric.into(),
            kind: Kind::Gauge,
            interval: None,
            timezone: Tz::UTC,
            direction: DirectionSetting::Both,
            min_deviation_pct: 0.0,
            min_value: None,
            missing: MissingSetting::Null,
            no_data: NoDataSetting::Alert,
            for_: ForSetting::default(),
            threshold: Threshold::default(),
            severity: None,
            layers: SeverityLayers::default(),
            same_day: SameDay::Class,
            trim: 1,
            false_alarms_per_week: 1.0,
            freeze_max: Duration::from_secs(2 * 86_400),
            algorithms: Vec::new(),
            info: AlertInfo::default(),
            calendars: Vec::new(),
            config_revision: 0,
        }
    }
}

/// The `calendar` section: what days and stretches are special.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarConfig {
    /// Public holidays, as `YYYY-MM-DD`.
    pub holidays: Vec<String>,
    /// Saturdays and Sundays that are worked, as `YYYY-MM-DD`.
    pub workdays: Vec<String>,
    /// Promotions.
    pub promotions: Vec<PromotionConfig>,
    /// Stretches that are judged as usual and never learned: a migration, a known outage.
    pub excluded: Vec<ExclusionConfig>,
}

/// A stretch whose windows are never learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExclusionConfig {
    /// Its name.
    pub name: String,
    /// Local start, `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM`.
    pub from: String,
    /// Local end, exclusive, in the same form; a plain date means the end of that day.
    pub to: String,
    /// Metrics it touches, by full name or as `sampler.*`; empty = all.
    #[serde(default)]
    pub metrics: Vec<String>,
}

/// A promotion: its band is wider, its expectation scaled, and its windows are never learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionConfig {
    /// Its name.
    pub name: String,
    /// Local start, `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM`.
    pub from: String,
    /// Local end, exclusive, in the same form; a plain date means the end of that day.
    pub to: String,
    /// Multiplies the expected value.
    #[serde(default = "one")]
    pub factor: f64,
    /// Multiplies the band's half-width.
    #[serde(default = "two")]
    pub widen: f64,
    /// Metrics it touches, by full name or as `sampler.*`; empty = all.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Length of a margin after the end in which the band stays wide.
    #[serde(default)]
    pub cool_down: HumanDuration,
}

fn one() -> f64 {
    1.0
}

fn two() -> f64 {
    2.0
}
