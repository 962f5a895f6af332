//! What the detector says of a sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Origin, SeriesKey, Severity, Window};

/// The state of a series in a window; the integer is what the store keeps in the field `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictState {
    /// 0: inside its band.
    Normal = 0,
    /// 1: no admitted algorithm can judge yet.
    Learning = 1,
    /// 2: there is no value.
    Missing = 2,
    /// 3: outside (score >= 1) while no alert fires.
    Outside = 3,
    /// 4: an alert fires, whatever this value.
    Firing = 4,
}

impl VerdictState {
    /// From the stored integer.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Normal, Self::Learning, Self::Missing, Self::Outside, Self::Firing]
            .into_iter()
            .find(|s| *s as i64 == code)
    }

    /// The state's name in JSON, console and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Learning => "learning",
            Self::Missing => "missing",
            Self::Outside => "outside",
            Self::Firing => "firing",
        }
    }
}

/// Which side of the band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Higher than expected.
    Above,
    /// Lower than expected.
    Below,
}

/// The judgement of one series in one window.
///
/// `expected`, `lower`, `upper`, `forecast` and `prev_week` were fixed before the value was looked at. An undefined
/// number is `None`, never NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whose.
    pub series: SeriesKey,
    /// When.
    pub window: Window,
    /// 0 of the first verdict of the window, then higher: the revision of the sample it judges, unless a verdict of a
    /// miss or of a zero that stood for it took that number.
    pub revision: u32,
    /// The tick's origin.
    pub origin: Origin,
    /// The state.
    pub state: VerdictState,
    /// The sample's value; `None` when missing.
    pub value: Option<f64>,
    /// What the algorithm that supplies the expectation expected.
    pub expected: Option<f64>,
    /// Lower end of its band.
    pub lower: Option<f64>,
    /// Upper end of its band.
    pub upper: Option<f64>,
    /// The grey forecast of this window.
    pub forecast: Option<f64>,
    /// The value at the same time one week before.
    pub prev_week: Option<f64>,
    /// `100 (value - expected) / |expected|`; `None` at expected = 0.
    pub deviation_pct: Option<f64>,
    /// Largest admitted evidence over its own limit: 1 is the limit; 0 while learning or missing. Finite, >= 0.
    pub score: f64,
    /// The severity an alert of this verdict would have.
    pub severity: Severity,
    /// Why, with every number that made it. Kept with alert transitions; not stored with each verdict.
    pub reason: Reason,
    /// Revision hash of the configuration that judged.
    pub config_revision: u64,
}

/// What a reason says, for messages in any language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Inside its band.
    #[default]
    Normal,
    /// No admitted algorithm can judge yet.
    Learning,
    /// The source did not answer, or has no value.
    NoData,
    /// Above the band.
    AboveBand,
    /// Below the band.
    BelowBand,
    /// Above the configured threshold.
    AboveThreshold,
    /// Below the configured threshold.
    BelowThreshold,
    /// Creeping up: the sum of small deviations is too large.
    DriftUp,
    /// Creeping down.
    DriftDown,
}

/// Why a verdict is what it is: versioned, kept as JSON with the alert, computed once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Version of this layout; 1.
    pub version: u32,
    /// What it says.
    pub code: ReasonCode,
    /// Name of the algorithm that decided (the largest admitted score).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Arc<str>>,
    /// Name of the algorithm whose expectation and band the verdict carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_by: Option<Arc<str>>,
    /// What each algorithm found, admitted or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Circumstances, as codes documented in `detector/`: `promotion:double11`, `fallback:holiday->weekend`,
    /// `below_min_deviation`, `new_level?`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The error of the source when there is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What one algorithm found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The algorithm's registered name.
    pub algorithm: Arc<str>,
    /// Whether it took part in the score.
    pub admitted: bool,
    /// Why not, when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstained: Option<String>,
    /// Evidence over its own calibrated limit.
    pub score: f64,
    /// Which side it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Every number that made it, by the algorithm's documented names (`samples`, `trimmed`, `scale`, `limit`, `z`,
    /// `grade`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<Arc<str>, serde_json::Value>,
}
