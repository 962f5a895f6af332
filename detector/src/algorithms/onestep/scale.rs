//! How large residuals are by time of day.

use serde::{Deserialize, Serialize};

use super::mean::Mean;

const BUCKETS: usize = 24;
/// A bucket counts half once it has seen this many rows.
const SHRINK: f64 = 20.0;
/// Residuals are taken in at most at this many times their scale.
const CAP: f64 = 6.0;
/// How much of the difference between buckets is divided out.
const POWER: f64 = 0.7;
const LEAST_RATIO: f64 = 0.1;

/// Mean absolute residual, whole and by hour of the local day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HourScale {
    whole: Mean,
    hours: [Mean; BUCKETS],
    memory: f64,
}

impl HourScale {
    /// Forgets over `memory` rows.
    pub(crate) fn new(memory: f64) -> Self {
        Self { whole: Mean::default(), hours: [Mean::default(); BUCKETS], memory }
    }

    /// Mean absolute residual of the whole day.
    pub(crate) fn whole(&self) -> Option<f64> {
        self.whole.get()
    }

    fn hour(&self, bucket: usize, whole: f64) -> f64 {
        let hour = &self.hours[bucket % BUCKETS];
        let trust = hour.seen() / (hour.seen() + SHRINK);
        whole + trust * (hour.get().unwrap_or(whole) - whole)
    }

    fn smooth(&self, bucket: usize, whole: f64) -> f64 {
        0.25 * self.hour(bucket + BUCKETS - 1, whole)
            + 0.5 * self.hour(bucket, whole)
            + 0.25 * self.hour(bucket + 1, whole)
    }

    /// What a residual of this hour is divided by: 1 in an hour as lively as the whole day.
    pub(crate) fn factor(&self, hour: usize) -> f64 {
        match self.whole.get() {
            Some(whole) if whole > 0.0 => (self.smooth(hour, whole) / whole).max(LEAST_RATIO).powf(POWER),
            _ => 1.0,
        }
    }

    /// Takes a residual in.
    pub(crate) fn learn(&mut self, hour: usize, residual: f64) {
        let mut size = residual.abs();
        if let Some(whole) = self.whole.get().filter(|w| *w > 0.0) {
            size = size.min(CAP * self.smooth(hour, whole).max(LEAST_RATIO * whole));
        }
        self.whole.add(size, self.memory);
        self.hours[hour % BUCKETS].add(size, (self.memory / BUCKETS as f64).max(SHRINK));
    }
}
