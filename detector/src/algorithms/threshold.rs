//! `threshold`: fixed limits.
//!
//! A value beyond the limit has the score 1 + its distance from the limit in units of the limit's size; a value inside
//! has the score 0, so that an alert is over as soon as the values are back inside. `direction` and the minimum
//! deviation do not touch it: a limit someone wrote down is meant.
//!
//! Numbers: `above` or `below` (the limit passed).

use model::{Direction, Verdict};

use super::{Limit, Registered};
use crate::algorithm::{Algorithm, Context, Finding, Observation, numbers};
use crate::settings::Settings;

/// Its name.
pub const NAME: &str = "threshold";

/// Its place in the list.
pub static REGISTERED: Registered =
    Registered { shipped: true, limit: Limit::Written, ..Registered::new(NAME, make) };

/// The algorithm; it keeps nothing.
#[derive(Debug)]
pub struct FixedLimits;

/// Makes one.
fn make(_: &Settings) -> Box<dyn Algorithm> {
    Box::new(FixedLimits)
}

impl Algorithm for FixedLimits {
    fn registered(&self) -> &'static Registered {
        &REGISTERED
    }

    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding {
        let limits = context.settings.threshold;
        if limits.above.is_none() && limits.below.is_none() {
            return Finding::abstains("no threshold is set");
        }
        let Some(value) = observation.number() else { return Finding::default() };
        let beyond = |distance: f64, limit: f64| {
            let size = limit.abs().max(context.scale.unwrap_or(0.0)).max(f64::MIN_POSITIVE);
            super::bounded(1.0 + distance / size)
        };
        let above = limits.above.filter(|limit| value > *limit);
        let below = limits.below.filter(|limit| value < *limit);
        match (above, below) {
            (Some(limit), _) => Finding {
                score: beyond(value - limit, limit),
                direction: Some(Direction::Above),
                numbers: numbers([("above", limit)]),
                ..Finding::default()
            },
            (None, Some(limit)) => Finding {
                score: beyond(limit - value, limit),
                direction: Some(Direction::Below),
                numbers: numbers([("below", limit)]),
                ..Finding::default()
            },
            (None, None) => Finding::default(),
        }
    }

    fn judges_late(&self) -> bool {
        true
    }

    fn learn(&mut self, _: &Context<'_>, _: &Observation, _: &Verdict) {}

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    fn load(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}
