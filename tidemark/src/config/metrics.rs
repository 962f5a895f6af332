//! The section `metrics`: what to sample, when, and how to judge it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use collector::{Query, SamplerSpec, Schedule, ValueSpec};
use detector::settings::{Kind, Settings};
use model::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judging::Judging;
use super::zone::Zone;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_MAX_ROWS: usize = 10_000;

/// A metric: a query, its schedule, and how its numbers are judged.
///
/// `judging` is flattened, so that all keys of an entry stand on one level. Unknown keys are found by the schema
/// before serde sees the tree, and keep their place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct MetricConfig {
    /// Its name; unique.
    pub(crate) name: String,
    /// Name of its source in `sources`.
    pub(crate) source: String,
    /// What to ask: `{sql: "SELECT .."}` or `{http: {..}}`, as its source takes.
    pub(crate) query: Query,
    /// How often it is sampled; must divide a day. Each sample speaks of the interval before it. Write this or `cron`.
    #[serde(default)]
    pub(crate) interval: Option<HumanDuration>,
    /// When it is sampled, as a cron expression of six fields, seconds first: `0 */5 * * * MON-FRI`. Needs `window`.
    #[serde(default)]
    pub(crate) cron: Option<String>,
    /// With `cron`: how long a stretch each sample speaks of.
    #[serde(default)]
    pub(crate) window: Option<HumanDuration>,
    /// How long after the end of a window it is asked, so that late rows are there.
    #[serde(default)]
    pub(crate) delay: HumanDuration,
    /// How long the source may take. Default: 10s, or half the interval when that is less.
    #[serde(default)]
    pub(crate) timeout: Option<HumanDuration>,
    /// Zone of its schedule and its days; default the top-level `timezone`.
    #[serde(default)]
    pub(crate) timezone: Option<Zone>,
    /// Columns of the answer that become labels: one series for each combination.
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    /// Labels every series of this metric gets.
    #[serde(default)]
    pub(crate) static_labels: BTreeMap<String, String>,
    /// Columns of the answer that hold numbers. One gives the metric its own name; several give `name.value` each.
    /// Default: the one column that is no label.
    #[serde(default)]
    pub(crate) values: Vec<ValueEntry>,
    /// Column of the numerator, for a rate.
    #[serde(default)]
    pub(crate) numerator: Option<String>,
    /// Column of the denominator, for a rate.
    #[serde(default)]
    pub(crate) denominator: Option<String>,
    /// Most rows an answer may have; more is an error.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_rows: Option<usize>,
    /// How it is judged.
    #[serde(flatten)]
    pub(crate) judging: Judging,
}

/// A value: the name of its column, or a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ValueEntry {
    /// A column; the value has its name.
    Column(String),
    /// A value with settings of its own.
    Value(Box<ValueConfig>),
}

impl ValueEntry {
    /// The value's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Column(name) => name,
            Self::Value(value) => &value.name,
        }
    }
}

/// A value with settings of its own; what it leaves out the metric decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ValueConfig {
    /// Its name; unique in the metric.
    pub(crate) name: String,
    /// Its column; default its name.
    #[serde(default)]
    pub(crate) column: Option<String>,
    /// Column of the numerator, for a rate.
    #[serde(default)]
    pub(crate) numerator: Option<String>,
    /// Column of the denominator, for a rate.
    #[serde(default)]
    pub(crate) denominator: Option<String>,
    /// How it is judged.
    #[serde(flatten)]
    pub(crate) judging: Judging,
}

/// One of the numbers a metric entry yields.
#[derive(Clone, Debug)]
struct Part {
    spec: ValueSpec,
    judging: Judging,
}

impl MetricConfig {
    /// Full names of the metrics this entry yields, in order.
    pub(crate) fn metric_names(&self) -> Vec<String> {
        match self.values.as_slice() {
            [] | [_] => vec![self.name.clone()],
            several => several.iter().map(|value| format!("{}.{}", self.name, value.name())).collect(),
        }
    }

    /// The collector's share.
    pub(crate) fn sampler(&self, zone: Tz) -> SamplerSpec {
        SamplerSpec {
            name: self.name.as_str().into(),
            source: self.source.clone(),
            query: self.query.clone(),
            schedule: self.schedule(),
            delay: self.delay.into(),
            timeout: self.timeout(),
            timezone: self.timezone.map_or(zone, |zone| zone.0),
            labels: self.labels.clone(),
            static_labels: self.static_labels.clone().into_iter().collect(),
            values: self.parts().into_iter().map(|part| part.spec).collect(),
            max_rows: self.max_rows.unwrap_or(DEFAULT_MAX_ROWS),
        }
    }

    /// The detector's share: one for each metric.
    pub(crate) fn settings(&self, zone: Tz, revision: u64) -> Vec<Arc<Settings>> {
        let of = |part: Part| {
            let mut settings = Settings::shipped(part.spec.metric);
            settings.interval = Some(self.step());
            settings.timezone = self.timezone.map_or(zone, |zone| zone.0);
            settings.config_revision = revision;
            if part.spec.numerator.is_some() {
                settings.kind = Kind::Rate;
            }
            part.judging.apply(&mut settings);
            Arc::new(settings)
        };
        self.parts().into_iter().map(of).collect()
    }

    /// How long the stretch is that one sample speaks of.
    pub(crate) fn step(&self) -> Duration {
        self.interval.or(self.window).map_or(Duration::from_secs(60), Into::into)
    }

    /// How long the source may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.map_or_else(|| DEFAULT_TIMEOUT.min(self.step() / 2), Into::into)
    }

    fn schedule(&self) -> Schedule {
        match &self.cron {
            Some(expression) => Schedule::Cron { expression: expression.clone(), window: self.step() },
            None => Schedule::Interval(self.step()),
        }
    }

    fn parts(&self) -> Vec<Part> {
        if self.values.is_empty() {
            return vec![self.part(self.name.as_str().into(), None, &ValueConfig::default())];
        }
        let with_name = |(name, value): (String, &ValueEntry)| match value {
            ValueEntry::Column(column) => self.part(name.into(), Some(column), &ValueConfig::default()),
            ValueEntry::Value(value) => {
                let rate = value.numerator.is_some() || self.numerator.is_some();
                let column = value.column.as_deref().or((!rate).then_some(value.name.as_str()));
                self.part(name.into(), column, value)
            }
        };
        self.metric_names().into_iter().zip(&self.values).map(with_name).collect()
    }

    fn part(&self, metric: Arc<str>, column: Option<&str>, value: &ValueConfig) -> Part {
        let spec = ValueSpec {
            metric,
            column: column.map(str::to_owned),
            numerator: value.numerator.clone().or_else(|| self.numerator.clone()),
            denominator: value.denominator.clone().or_else(|| self.denominator.clone()),
        };
        Part { spec, judging: value.judging.over(&self.judging) }
    }
}
