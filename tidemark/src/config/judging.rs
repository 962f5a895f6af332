//! How a metric is judged, as it stands in the configuration: every key may be left out, at the metric or at one of
//! its values; what a value leaves out its metric decides, and what both leave out is as shipped.

use detector::settings::{
    DirectionSetting, ForSetting, Kind, MissingSetting, NoDataSetting, SameDay, Settings, SeverityLayers,
    Threshold,
};
use model::{HumanDuration, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a metric is judged and what its messages say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Judging {
    /// What kind of number it is: `count` (things that happened), `gauge` (any number) or `rate` (numerator over
    /// denominator). Default `gauge`; `rate` where `numerator` and `denominator` are given.
    pub(crate) kind: Option<Kind>,
    /// Which deviations count: `above`, `below` or `both`.
    pub(crate) direction: Option<DirectionSetting>,
    /// Deviations smaller than this many per cent of the expected value do not count.
    #[schemars(range(min = 0.0))]
    pub(crate) min_deviation_pct: Option<f64>,
    /// Windows in which value and expected value are both below this do not count.
    pub(crate) min_value: Option<f64>,
    /// What a series that is absent from an answer means: `null` (nothing is known) or `zero`.
    pub(crate) missing: Option<MissingSetting>,
    /// What missing data does: `alert` (counts by the same `for`) or `ignore`.
    pub(crate) no_data: Option<NoDataSetting>,
    /// m of the last n windows must be outside to fire.
    #[serde(rename = "for")]
    pub(crate) for_: Option<ForSetting>,
    /// Fixed limits beside the learned ones.
    pub(crate) threshold: Option<Threshold>,
    /// A fixed severity; without it the size of the deviation decides.
    pub(crate) severity: Option<Severity>,
    /// From which score on a deviation is P0 and P1 (1 is the limit).
    pub(crate) severity_layers: Option<SeverityLayers>,
    /// Which days are alike: `class` (workday, weekend, holiday), `weekday` or `any`.
    pub(crate) same_day: Option<SameDay>,
    /// How many extreme samples the baseline drops at each end.
    #[schemars(range(min = 0, max = 3))]
    pub(crate) trim: Option<usize>,
    /// How many false alarms a week are acceptable: the knob to turn.
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub(crate) false_alarms_per_week: Option<f64>,
    /// How long the windows of a firing alert are kept out of the baseline.
    pub(crate) freeze_max: Option<HumanDuration>,
    /// Names of the algorithms that take part; default: the shipped ones.
    pub(crate) algorithms: Option<Vec<String>>,
    /// Name for people, such as `Orders per minute`.
    pub(crate) title: Option<String>,
    /// Unit of the values, such as `CNY` or `%`.
    pub(crate) unit: Option<String>,
    /// Who owns the metric; a label of its alerts.
    pub(crate) owner: Option<String>,
    /// Where to read what to do.
    pub(crate) runbook_url: Option<String>,
    /// Names of the promotions that apply; default: all.
    pub(crate) calendars: Option<Vec<String>>,
}

impl Judging {
    /// This over `base`: what this leaves out `base` decides.
    pub(crate) fn over(&self, base: &Self) -> Self {
        let (a, b) = (self.clone(), base.clone());
        Self {
            kind: a.kind.or(b.kind),
            direction: a.direction.or(b.direction),
            min_deviation_pct: a.min_deviation_pct.or(b.min_deviation_pct),
            min_value: a.min_value.or(b.min_value),
            missing: a.missing.or(b.missing),
            no_data: a.no_data.or(b.no_data),
            for_: a.for_.or(b.for_),
            threshold: a.threshold.or(b.threshold),
            severity: a.severity.or(b.severity),
            severity_layers: a.severity_layers.or(b.severity_layers),
            same_day: a.same_day.or(b.same_day),
            trim: a.trim.or(b.trim),
            false_alarms_per_week: a.false_alarms_per_week.or(b.false_alarms_per_week),
            freeze_max: a.freeze_max.or(b.freeze_max),
            algorithms: a.algorithms.or(b.algorithms),
            title: a.title.or(b.title),
            unit: a.unit.or(b.unit),
            owner: a.owner.or(b.owner),
            runbook_url: a.runbook_url.or(b.runbook_url),
            calendars: a.calendars.or(b.calendars),
        }
    }

    /// Lays what is given here over shipped settings.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        let give = self.clone();
        set(&mut settings.kind, give.kind);
        set(&mut settings.direction, give.direction);
        set(&mut settings.min_deviation_pct, give.min_deviation_pct);
        settings.min_value = give.min_value.or(settings.min_value);
        set(&mut settings.missing, give.missing);
        set(&mut settings.no_data, give.no_data);
        set(&mut settings.for_, give.for_);
        set(&mut settings.threshold, give.threshold);
        settings.severity = give.severity.or(settings.severity);
        set(&mut settings.layers, give.severity_layers);
        set(&mut settings.same_day, give.same_day);
        set(&mut settings.trim, give.trim);
        set(&mut settings.false_alarms_per_week, give.false_alarms_per_week);
        set(&mut settings.freeze_max, give.freeze_max.map(Into::into));
        set(&mut settings.algorithms, give.algorithms);
        set(&mut settings.info.title, give.title);
        set(&mut settings.info.unit, give.unit);
        set(&mut settings.info.owner, give.owner);
        set(&mut settings.info.runbook_url, give.runbook_url);
        set(&mut settings.calendars, give.calendars);
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}
