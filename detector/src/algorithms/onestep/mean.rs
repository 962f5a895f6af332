//! A mean that starts as the plain mean and ends as an exponential one.

use serde::{Deserialize, Serialize};

/// Forgets over a number of rows; before that many were seen it is the plain mean.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mean {
    value: f64,
    seen: f64,
}

impl Mean {
    /// Takes a value in, forgetting over `memory` values.
    pub(crate) fn add(&mut self, value: f64, memory: f64) {
        self.seen += 1.0;
        self.value += (value - self.value) / self.seen.min(memory.max(1.0));
    }

    /// The mean, once there is one.
    pub(crate) fn get(&self) -> Option<f64> {
        (self.seen > 0.0).then_some(self.value)
    }

    /// How many values were seen.
    pub(crate) fn seen(&self) -> f64 {
        self.seen
    }
}
