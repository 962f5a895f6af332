//! What became of deliveries since the process began, channel by channel.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::Finished;
use crate::view::DeliveryState;

/// One channel's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Deliveries the provider has taken.
    pub(crate) delivered: u64,
    /// Deliveries given up.
    pub(crate) failed: u64,
    /// Attempts that left without an answer.
    pub(crate) unknown: u64,
    /// Why the last attempt did not reach it; empty when it did.
    pub(crate) error: String,
}

/// The counts of all channels; as many as channels were used. Cheap to clone, all clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies(Arc<Mutex<BTreeMap<String, Tally>>>);

impl Tallies {
    /// Counts an attempt of a channel that is recorded.
    pub(crate) fn count(&self, channel: &str, finished: &Finished) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = all.entry(channel.to_owned()).or_default();
        tally.unknown += u64::from(finished.outcome == "unknown");
        match finished.state {
            DeliveryState::Accepted | DeliveryState::Delivered => {
                tally.delivered += 1;
                tally.error.clear();
                return;
            }
            DeliveryState::Failed | DeliveryState::Expired => tally.failed += 1,
            _ => {}
        }
        tally.error.clone_from(&finished.detail);
    }

    /// A channel's counts.
    pub(crate) fn of(&self, channel: &str) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(channel).cloned().unwrap_or_default()
    }
}
