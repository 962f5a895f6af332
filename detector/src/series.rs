//! Judging one series: the one fold behind live judging, restart, backtest, preview and `detect`.

use std::sync::Arc;

use model::{AlertTransition, Reason, SeriesKey, Severity, Verdict, VerdictState};

use crate::algorithm::{Algorithm, Observation};
use crate::algorithms;
use crate::calendar::Calendar;
use crate::settings::Settings;

/// What an observation led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// What its alert did, in order; mostly nothing.
    pub transitions: Vec<AlertTransition>,
}

/// The judge of one series with everything it learned.
#[derive(Debug)]
pub struct SeriesJudge {
    series: SeriesKey,
    settings: Arc<Settings>,
    #[expect(dead_code, reason = "read once judging stands")]
    calendar: Arc<Calendar>,
    #[expect(dead_code, reason = "read once judging stands")]
    algorithms: Vec<Box<dyn Algorithm>>,
}

impl SeriesJudge {
    /// A judge that knows nothing yet.
    pub fn new(series: SeriesKey, settings: Arc<Settings>, calendar: Arc<Calendar>) -> Self {
        let algorithms = algorithms::for_settings(&settings);
        Self { series, settings, calendar, algorithms }
    }

    /// Judges an observation from what was learned before, then learns it. Observations come in window order.
    pub fn observe(&mut self, observation: &Observation) -> Judged {
        let verdict = Verdict {
            series: self.series.clone(),
            window: observation.window,
            revision: observation.revision,
            origin: observation.origin,
            state: VerdictState::Learning,
            value: observation.number(),
            expected: None,
            lower: None,
            upper: None,
            forecast: None,
            prev_week: None,
            deviation_pct: None,
            score: 0.0,
            severity: Severity::P2,
            reason: Reason::default(),
            config_revision: self.settings.config_revision,
        };
        Judged { verdict, transitions: Vec::new() }
    }

    /// The judge's whole state as bytes, with a version in front.
    pub fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes a saved state in.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged; the judge is then as new.
    pub fn load(&mut self, _bytes: &[u8]) -> Result<(), String> {
        Ok(())
    }

    /// Makes every verdict carry its whole reason, whatever its score.
    pub fn explain(&mut self, _always: bool) {}
}
