//! How each sampler fares, for console and `/metrics`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{MissedReason, Timestamp, Window};
use serde::Serialize;

use crate::ask::Asked;

/// How one sampler fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SamplerHealth {
    /// The sampler.
    pub sampler: Arc<str>,
    /// Its source.
    pub source: String,
    /// The window it asked for last.
    pub last_window: Option<Window>,
    /// Domain time at which it was last done.
    pub last_tick_at: Option<Timestamp>,
    /// Domain time of the last answer.
    pub last_success_at: Option<Timestamp>,
    /// How long the source took, in milliseconds.
    pub last_duration_ms: u64,
    /// How many rows it gave.
    pub last_rows: usize,
    /// How many numbers were taken from them.
    pub last_samples: usize,
    /// Why the last tick failed; `None` when it did not.
    pub last_error: Option<String>,
    /// The same as a kind.
    pub last_missed: Option<MissedReason>,
    /// Ticks missed since the process began, those due while it was down included.
    pub missed_ticks: u64,
    /// Ticks failed in a row.
    pub consecutive_failures: u64,
    /// Domain time of the next tick.
    pub next_tick_at: Option<Timestamp>,
    /// Whether the source is being asked right now.
    pub running: bool,
    /// Ticks that wait for the log to take them again.
    pub refused_ticks: u64,
}

impl SamplerHealth {
    /// Notes what asking for a window brought.
    pub(crate) fn note(&mut self, window: Window, now: Timestamp, asked: &Asked) {
        self.running = false;
        self.last_window = Some(window);
        self.last_tick_at = Some(now);
        self.last_duration_ms = u64::try_from(asked.duration.as_millis()).unwrap_or(u64::MAX);
        match &asked.result {
            Ok((rows, mapped)) => {
                self.last_success_at = Some(now);
                self.last_rows = rows.rows.len();
                self.last_samples = mapped.samples.len();
                (self.last_error, self.last_missed, self.consecutive_failures) = (None, None, 0);
            }
            Err(error) => {
                (self.last_rows, self.last_samples) = (0, 0);
                self.last_error = Some(error.message.clone());
                self.last_missed = Some(error.reason);
                self.consecutive_failures += 1;
            }
        }
    }
}

/// A sampler's health, written by its task and read by anyone. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct HealthCell(Arc<Mutex<SamplerHealth>>);

impl HealthCell {
    pub(crate) fn new(sampler: Arc<str>, source: String) -> Self {
        Self(Arc::new(Mutex::new(SamplerHealth { sampler, source, ..SamplerHealth::default() })))
    }

    pub(crate) fn read(&self) -> SamplerHealth {
        self.lock().clone()
    }

    pub(crate) fn update(&self, edit: impl FnOnce(&mut SamplerHealth)) {
        edit(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, SamplerHealth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
