//! The algorithms, all of them, in one list.
//!
//! A new algorithm is one file beside this one and one line in [`ALGORITHMS`]. Its name is what reasons
//! (`evidence[].algorithm`) and the setting `algorithms` call it.

use model::Direction;

use crate::algorithm::{Algorithm, Context};
use crate::settings::{DirectionSetting, Kind, Settings};

pub mod baseline;
pub mod count;
pub mod cusum;
pub mod grey;
pub mod onestep;
pub mod threshold;

/// An algorithm's entry in the list, and all that the evaluator knows of it.
#[derive(Debug)]
pub struct Registered {
    /// The name.
    pub name: &'static str,
    /// Makes one for a series of a metric with these settings.
    pub make: fn(&Settings) -> Box<dyn Algorithm>,
    /// Whether a metric that names no algorithms gets it.
    pub shipped: bool,
    /// What kind of limit it holds values against.
    pub limit: Limit,
    /// What it compares a value with.
    pub compares: Compares,
    /// Whether what it expects is the verdict's `forecast` too.
    pub forecasts: bool,
}

/// What kind of limit an algorithm holds values against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A band around what it expects.
    Band,
    /// The sum of small deviations. It gives its name to a reason only where no single value is outside.
    Drift,
    /// A limit someone wrote down: the metric's `direction`, `min_deviation_pct` and `min_value` do not touch it.
    Written,
}

/// What an algorithm compares a value with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compares {
    /// A usual day. While one of the last rows judges too, it makes no row abnormal by itself before its limit is
    /// earned, and none that the alert which fires tells already.
    UsualDay,
    /// The last rows.
    LastRows,
    /// Neither; it stands for itself.
    Other,
}

impl Registered {
    /// One with a band that nothing special is to be known of, for metrics that ask for it by name.
    pub const fn new(name: &'static str, make: fn(&Settings) -> Box<dyn Algorithm>) -> Self {
        Self { name, make, shipped: false, limit: Limit::Band, compares: Compares::Other, forecasts: false }
    }
}

/// Every algorithm there is. The first admitted one that expects a value gives the verdict its expectation and band.
pub static ALGORITHMS: &[&Registered] = &[
    &count::REGISTERED,
    &baseline::REGISTERED,
    &onestep::REGISTERED,
    &grey::REGISTERED,
    &cusum::REGISTERED,
    &threshold::REGISTERED,
];

/// The algorithms a series of a metric with these settings is judged by, in the order of [`ALGORITHMS`].
pub fn for_settings(settings: &Settings) -> Vec<Box<dyn Algorithm>> {
    let chosen = |entry: &&&Registered| match settings.algorithms.as_slice() {
        [] => entry.shipped,
        names => names.iter().any(|name| name == entry.name),
    };
    ALGORITHMS.iter().filter(chosen).map(|entry| (entry.make)(settings)).collect()
}

/// Scores are finite and no larger than this.
pub const MAX_SCORE: f64 = 1e6;

/// Counts expected below this are judged by `count`.
pub const SMALL_COUNT: f64 = 30.0;

/// Whether the window is a small count, which `count` judges and `baseline` leaves alone.
pub(crate) fn count_judges(context: &Context<'_>) -> bool {
    let chosen = &context.settings.algorithms;
    let there = chosen.is_empty() || chosen.iter().any(|name| name == count::NAME);
    there && context.settings.kind == Kind::Count && context.baseline.is_some_and(|b| b < SMALL_COUNT)
}

/// A score as it may be told: finite, 0..=[`MAX_SCORE`].
pub(crate) fn bounded(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score.clamp(0.0, MAX_SCORE) }
}

/// Which way a deviation points; `None` for none.
pub(crate) fn side(deviation: f64) -> Option<Direction> {
    match deviation {
        d if d > 0.0 => Some(Direction::Above),
        d if d < 0.0 => Some(Direction::Below),
        _ => None,
    }
}

/// Whether a metric's `direction` lets a deviation to this side count.
pub(crate) fn counts(setting: DirectionSetting, side: Option<Direction>) -> bool {
    !matches!(
        (setting, side),
        (DirectionSetting::Above, Some(Direction::Below)) | (DirectionSetting::Below, Some(Direction::Above))
    )
}

/// An f32 as people wrote it: 12.3, not 12.300000190734863.
pub(crate) fn short(value: f32) -> serde_json::Value {
    let number = value.to_string().parse().unwrap_or(f64::from(value));
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_makes_the_algorithm_it_names_and_one_of_a_kind_forecasts() {
        let settings = Settings::shipped("orders");
        for entry in ALGORITHMS {
            assert!(std::ptr::eq((entry.make)(&settings).registered(), *entry), "{}", entry.name);
            assert_eq!(ALGORITHMS.iter().filter(|other| other.name == entry.name).count(), 1);
        }
        assert_eq!(ALGORITHMS.iter().filter(|entry| entry.forecasts).count(), 1);
        let names: Vec<_> = for_settings(&settings).iter().map(|one| one.name()).collect();
        assert_eq!(names, ["count", "baseline", "onestep", "grey", "cusum", "threshold"]);
    }
}
