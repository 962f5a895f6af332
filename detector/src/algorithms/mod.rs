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

/// One entry of the list.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// The name.
    pub name: &'static str,
    /// Whether a metric that names no algorithms gets it.
    pub shipped: bool,
    /// Makes one for a series of a metric with these settings.
    pub make: fn(&Settings) -> Box<dyn Algorithm>,
}

/// Every algorithm there is. The first admitted one that expects a value gives the verdict its expectation and band.
pub const ALGORITHMS: &[Registered] = &[
    Registered { name: count::NAME, shipped: true, make: count::make },
    Registered { name: baseline::NAME, shipped: true, make: baseline::make },
    Registered { name: onestep::NAME, shipped: true, make: onestep::make },
    Registered { name: grey::NAME, shipped: true, make: grey::make },
    Registered { name: cusum::NAME, shipped: true, make: cusum::make },
    Registered { name: threshold::NAME, shipped: true, make: threshold::make },
];

/// The algorithms a series of a metric with these settings is judged by, in the order of [`ALGORITHMS`].
pub fn for_settings(settings: &Settings) -> Vec<Box<dyn Algorithm>> {
    let chosen = |entry: &&Registered| match settings.algorithms.as_slice() {
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
