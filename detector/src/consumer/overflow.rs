//! Metrics with more series than are judged: told in the log, seldom, with what was left out since it was told last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::Monotonic;

use crate::engine::Overflow;

/// Each metric is told of at most this often.
const EVERY: Duration = Duration::from_secs(600);

/// What was left out and is not told yet, and when each metric was told of. One entry a metric that was ever configured.
#[derive(Debug, Default)]
pub(super) struct Overflows(BTreeMap<Arc<str>, Told>);

#[derive(Debug)]
struct Told {
    untold: Overflow,
    at: Option<Monotonic>,
}

impl Overflows {
    /// Takes in what was left out; gives what is to be told now.
    pub(super) fn take(&mut self, new: Vec<Overflow>, now: Monotonic) -> Vec<Overflow> {
        for overflow in new {
            let Overflow { metric, samples, .. } = &overflow;
            match self.0.get_mut(metric) {
                Some(told) => told.untold.samples += samples,
                None => drop(self.0.insert(metric.clone(), Told { untold: overflow, at: None })),
            }
        }
        let due = |told: &&mut Told| {
            told.untold.samples > 0 && told.at.is_none_or(|at| now.saturating_sub(at) >= EVERY)
        };
        let tell = |told: &mut Told| {
            told.at = Some(now);
            let rest = Overflow { samples: 0, ..told.untold.clone() };
            std::mem::replace(&mut told.untold, rest)
        };
        self.0.values_mut().filter(due).map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_told_of_at_once_and_then_seldom_with_all_that_was_left_out() {
        let mut overflows = Overflows::default();
        let left_out = |metric: &str, samples| Overflow {
            sampler: "shop".into(),
            metric: metric.into(),
            samples,
            limit: 10_000,
        };
        let mut told = |at: u64, new: Vec<Overflow>| {
            let told = overflows.take(new, Duration::from_secs(at)).into_iter();
            told.map(|one| format!("{} {}", one.metric, one.samples)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told(0, vec![left_out("orders", 3)]), "orders 3");
        assert_eq!(told(60, vec![left_out("orders", 4), left_out("logins", 1)]), "logins 1");
        assert_eq!(told(599, vec![left_out("orders", 5)]), "");
        assert_eq!(told(600, vec![]), "orders 9");
        assert_eq!(told(9_000, vec![]), "");
    }
}
