//! `baseline`: the same-phase trimmed mean, against a limit learned from the series' own past.
//!
//! Evidence is |z| of [`crate::same_phase`] over the limit of [`crate::limit`]. Abstains with fewer than three samples
//! and where [`super::count`] judges (small counts). With three samples it never pages alone.
//!
//! Numbers: `samples` (newest first), `n`, `trimmed`, `factor`, `scale`, `scale_from` (mad, iqr or floor), `widen`, `v`,
//! `z`, `limit`, `limit_blocks`. Notes: `few_days`, `fallback:holiday->weekend`, `extrapolated_limit`.

use std::sync::Arc;

use model::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Compares, Registered, count_judges};
use crate::algorithm::{Algorithm, Context, Finding, Observation, numbers};
use crate::history::to_cell;
use crate::limit::{Calibrated, LearnedLimit, Rule};
use crate::same_phase::{FEWEST, SamePhase};
use crate::settings::{Kind, Settings};
use crate::state;

/// Its name.
pub const NAME: &str = "baseline";

/// Its place in the list.
pub static REGISTERED: Registered =
    Registered { shipped: true, compares: Compares::UsualDay, ..Registered::new(NAME, make) };
const VERSION: u8 = 1;

/// The algorithm with its learned limit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Baseline {
    limit: LearnedLimit,
}

/// Makes one.
fn make(_: &Settings) -> Box<dyn Algorithm> {
    Box::new(Baseline::default())
}

/// Distance from the baseline in standard deviations; the value is taken as a cell would hold it, so that a constant
/// is exactly its own baseline.
pub(crate) fn z(context: &Context<'_>, observation: &Observation) -> Option<f64> {
    let (baseline, scale) = (context.baseline?, context.scale?);
    let distance = f64::from(to_cell(observation.number()?)) - baseline;
    let slack = baseline.abs() * 1e-7;
    Some(if distance.abs() <= slack { 0.0 } else { distance / scale })
}

impl Baseline {
    fn limit(&self, context: &Context<'_>) -> Calibrated {
        self.limit.now(&context.settings, context.interval, Rule::gaussian)
    }
}

fn explain(
    context: &Context<'_>,
    same: &SamePhase,
    z: f64,
    limit: f64,
    blocks: usize,
    finding: &mut Finding,
) {
    let promotion = context.promotion.as_ref();
    finding.numbers = numbers([
        ("n", same.samples.n as f64),
        ("trimmed", same.expected),
        ("factor", promotion.map_or(1.0, |p| p.factor)),
        ("scale", same.scale),
        ("widen", promotion.map_or(1.0, |p| p.widen)),
        ("v", same.v),
        ("z", z),
        ("limit", limit),
        ("limit_blocks", blocks as f64),
    ]);
    let samples = same.samples.get().iter().map(|v| super::short(*v)).collect();
    finding.numbers.insert("samples".into(), Value::Array(samples));
    let scale_from: Arc<str> = same.scale_source.as_str().into();
    finding.numbers.insert("scale_from".into(), Value::String(scale_from.to_string()));
}

impl Algorithm for Baseline {
    fn registered(&self) -> &'static Registered {
        &REGISTERED
    }

    fn judge(&self, context: &Context<'_>, observation: &Observation) -> Finding {
        let Some((same, (expected, scale))) = context.same_phase.zip(context.baseline.zip(context.scale))
        else {
            return Finding::abstains("fewer than 3 earlier days at this time of day");
        };
        if count_judges(context) {
            return Finding::abstains("counts below 30 are judged by `count`");
        }
        let Calibrated { limit, extrapolated } = self.limit(context);
        let half = limit * scale;
        let lowest = if context.settings.kind == Kind::Count { 0.0 } else { f64::MIN };
        let z = z(context, observation).unwrap_or(0.0);
        let mut finding = Finding {
            score: super::bounded(z.abs() / limit),
            extrapolated,
            direction: super::side(z),
            expected: Some(expected),
            lower: Some((expected - half).max(lowest)),
            upper: Some((expected + half).min(f64::MAX)),
            silent: same.samples.n <= FEWEST,
            ..Finding::default()
        };
        if context.tells(finding.score) {
            explain(context, same, z, limit, self.limit.blocks(), &mut finding);
            let notes = [
                (finding.silent, "few_days"),
                (same.fell_back, "fallback:holiday->weekend"),
                (extrapolated, "extrapolated_limit"),
            ];
            finding.notes =
                notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note.to_owned()).collect();
        }
        finding
    }

    fn judges_late(&self) -> bool {
        true
    }

    fn learn(&mut self, context: &Context<'_>, observation: &Observation, _: &Verdict) {
        let firing = context.do_not_learn && context.firing_windows.is_some();
        // The scale of three days is so uncertain that its z would teach a limit too wide for all others.
        let few = context.same_phase.is_none_or(|same| same.samples.n <= FEWEST);
        if context.do_not_learn && !firing || few || count_judges(context) {
            return;
        }
        let Some(z) = z(context, observation) else { return };
        let counted = super::counts(context.settings.direction, super::side(z));
        let size = if counted { z.abs() } else { 0.0 };
        self.limit.push(size, firing, &context.settings, context.interval, Rule::gaussian);
    }

    fn save(&self) -> Vec<u8> {
        state::save(VERSION, self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = Self::default();
        let loaded: Self = state::load(VERSION, bytes)?;
        if !loaded.limit.is_sound() {
            return Err("limit is damaged".into());
        }
        *self = loaded;
        Ok(())
    }
}
