//! `onestep`: is this value what the last ones, the same time of earlier days and of earlier weeks led to expect?
//!
//! Three lanes (one step, level, raw), each calibrated to the tail probability of its own past residuals, so that one
//! limit serves every metric (see `docs/quality.md` for where the constants come from and what they reach). The score
//! is 1 where evidence reaches the limit of an abnormal row and 2 where one row alone is worth a message.
//!
//! It declares nothing and needs nothing declared: interval, season and kind show in the rows. Until the interval is
//! known and 150 rows were seen it abstains. Windows that must not be learned move its levels, which have
//! to follow the present, but neither its history nor its calibration.
//!
//! Numbers: `evidence` (-log10 of the tail probability), `limit`, and the three lanes `step`, `level`, `raw`.

mod core;
pub(crate) mod history;
pub(crate) mod mean;
pub(crate) mod scale;
pub(crate) mod tail;

use model::Verdict;
use serde::{Deserialize, Serialize};

use self::core::{Assessment, Core};
use super::{Compares, Registered};
use crate::algorithm::{Algorithm, Context, Finding, Observation, numbers};
use crate::settings::Settings;
use crate::state;

/// Its name.
pub const NAME: &str = "onestep";

/// Its place in the list.
pub static REGISTERED: Registered =
    Registered { shipped: true, compares: Compares::LastRows, ..Registered::new(NAME, make) };
/// It abstains before so many rows.
const LEAST_ROWS: u64 = 150;
/// The interval is the median of this many steps where it is not declared.
const STEPS: usize = 60;
/// Evidence this far above the limit is worth a message on its own: the score is 2 there.
const AT_ONCE: f64 = 0.45;
const VERSION: u8 = 1;

/// The algorithm and its state for one series.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct OneStep {
    /// Rows kept until the interval stands: local seconds, value, whether it may be remembered.
    waiting: Vec<(i64, f64, bool)>,
    core: Option<Core>,
}

/// Makes one.
fn make(_: &Settings) -> Box<dyn Algorithm> {
    Box::new(OneStep::default())
}

/// Civil seconds of a window's start, so that days are the zone's days.
fn local_secs(context: &Context<'_>, observation: &Observation) -> i64 {
    let start = observation.window.start;
    match context.zone {
        chrono_tz::Tz::UTC => start.as_secs(),
        zone => start.in_zone(zone).naive_local().and_utc().timestamp(),
    }
}

impl OneStep {
    /// Starts once the interval is known, with the rows that waited for it.
    fn start(&mut self, declared: Option<std::time::Duration>) {
        let interval = match declared {
            Some(declared) => i64::try_from(declared.as_secs()).unwrap_or(i64::MAX),
            None if self.waiting.len() > STEPS => self.median_step(),
            None => return,
        };
        let mut core = Core::new(interval);
        for (at, value, keep) in std::mem::take(&mut self.waiting) {
            core.learn(at, value, keep);
        }
        self.core = Some(core);
    }

    fn median_step(&self) -> i64 {
        let mut steps: Vec<i64> =
            self.waiting.windows(2).map(|two| two[1].0.saturating_sub(two[0].0)).filter(|s| *s > 0).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(60)
    }
}

impl Algorithm for OneStep {
    fn registered(&self) -> &'static Registered {
        &REGISTERED
    }

    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding {
        let Some(core) = self.core.as_ref().filter(|core| core.rows() >= LEAST_ROWS) else {
            return Finding::abstains(format!("fewer than {LEAST_ROWS} values were seen"));
        };
        let Some(outlook) = core.outlook(local_secs(context, observation)) else {
            return Finding::abstains("no value was seen");
        };
        let limit = core.limit(context.settings.false_alarms_per_week);
        let band = core.band(&outlook, limit);
        let expects = Finding {
            expected: Some(outlook.expected),
            lower: band.map(|(lower, _)| lower),
            upper: band.map(|(_, upper)| upper),
            ..Finding::default()
        };
        let Some(value) = observation.number() else { return expects };
        let seen = core.assess(&outlook, value);
        let score = super::bounded(score(seen.evidence, limit));
        let numbers = if context.tells(score) { told(&seen, limit) } else { Default::default() };
        Finding { score, direction: super::side(seen.residual), numbers, ..expects }
    }

    fn learn(&mut self, context: &Context<'_>, observation: &Observation, _: &Verdict) {
        let Some(value) = observation.number() else { return };
        let at = local_secs(context, observation);
        // An incident is learned: the levels follow it and its residuals count at most as one in a million. A
        // calibration that stopped at every alert would never see the tail it judges (docs/quality.md).
        let incident = context.firing_windows.is_some() && context.promotion.is_none();
        let keep = !context.do_not_learn || incident;
        match &mut self.core {
            Some(core) => core.learn(at, value, keep),
            None => {
                self.waiting.push((at, value, keep));
                self.start(context.settings.interval);
            }
        }
    }

    fn save(&self) -> Vec<u8> {
        state::save(VERSION, self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = Self::default();
        *self = state::load(VERSION, bytes)?;
        Ok(())
    }
}

/// 1 at the limit, 2 at [`AT_ONCE`] above it, then one more for every tenfold rarer.
fn score(evidence: f64, limit: f64) -> f64 {
    match evidence - limit {
        beyond if beyond < 0.0 => evidence / limit,
        beyond if beyond < AT_ONCE => 1.0 + beyond / AT_ONCE,
        beyond => 2.0 + beyond - AT_ONCE,
    }
}

fn told(seen: &Assessment, limit: f64) -> std::collections::BTreeMap<std::sync::Arc<str>, serde_json::Value> {
    let [step, level, raw] = seen.lanes;
    numbers([("evidence", seen.evidence), ("limit", limit), ("step", step), ("level", level), ("raw", raw)])
}

#[cfg(test)]
mod tests;
