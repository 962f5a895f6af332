//! Metrics and their points.

use std::collections::BTreeMap;

use model::{Severity, Timestamp, VerdictState};
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};

use super::{AlertRow, Moment, ShortReach, millis_opt};

/// One window of one series, as judged.
///
/// In JSON an array of eight: time in milliseconds (start of the window), value, expected, lower, upper, state (0
/// normal, 1 learning, 2 missing, 3 outside, 4 firing), grey forecast, value one week before. Numbers keep six
/// significant digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Start of the window.
    pub at: Timestamp,
    /// The sample; `None` when missing.
    pub value: Option<f64>,
    /// What was expected.
    pub expected: Option<f64>,
    /// Lower end of the band.
    pub lower: Option<f64>,
    /// Upper end of the band.
    pub upper: Option<f64>,
    /// The state.
    pub state: VerdictState,
    /// The grey forecast.
    pub forecast: Option<f64>,
    /// The value one week before.
    pub prev_week: Option<f64>,
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(8)?;
        tuple.serialize_element(&self.at.as_millis())?;
        for number in [self.value, self.expected, self.lower, self.upper] {
            tuple.serialize_element(&number.and_then(short))?;
        }
        tuple.serialize_element(&(self.state as i64))?;
        for number in [self.forecast, self.prev_week] {
            tuple.serialize_element(&number.and_then(short))?;
        }
        tuple.end()
    }
}

/// Six significant digits; `None` for what is not finite.
fn short(number: f64) -> Option<f64> {
    if number == 0.0 {
        return Some(0.0);
    }
    format!("{number:.5e}").parse::<f64>().ok().filter(|short| short.is_finite())
}

/// One series on the overview.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricCard {
    /// [`model::SeriesKey::fingerprint`], 16 hex digits: the address of its page.
    pub id: String,
    /// The metric's full name.
    pub metric: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Title for people; the metric's name when it has none.
    pub title: String,
    /// Unit of its values; may be empty.
    pub unit: String,
    /// Who owns it; may be empty.
    pub owner: String,
    /// State of the newest window.
    pub state: VerdictState,
    /// Severity of the alert that fires.
    pub severity: Option<Severity>,
    /// The newest value; `None` when missing.
    pub value: Option<f64>,
    /// What was expected of it.
    pub expected: Option<f64>,
    /// Lower end of the band.
    pub lower: Option<f64>,
    /// Upper end of the band.
    pub upper: Option<f64>,
    /// Deviation in per cent.
    pub deviation_pct: Option<f64>,
    /// Score; 1 is the limit.
    pub score: f64,
    /// Since when it has been in this state, where known.
    #[serde(serialize_with = "millis_opt")]
    pub since: Option<Timestamp>,
    /// The alert that fires, for a link.
    pub alert: Option<String>,
    /// Length of a window in milliseconds.
    pub interval_ms: u64,
    /// About the last two hours, oldest first.
    pub points: Vec<Point>,
}

/// One series on its own page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesDetail {
    /// The card; its points are those of the range asked for, oldest first.
    pub card: MetricCard,
    /// When.
    #[serde(flatten)]
    pub moment: Moment,
    /// Who answered, when no store that could be read has taken in all of the range.
    pub short: Option<ShortReach>,
    /// Where to read what to do; may be empty.
    pub runbook_url: String,
    /// Source and sampler, for people; may be empty.
    pub origin: String,
    /// Alerts of this series that touch the range, newest first.
    pub alerts: Vec<AlertRow>,
}
