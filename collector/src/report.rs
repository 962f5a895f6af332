//! What a sampler tells of itself: counters for `/metrics`, and a reading for the log once a minute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{MissedReason, PipelineKind, PipelinePoint, Tick, TickOutcome, Timestamp};
use tracing::warn;

use crate::CollectorMetrics;
use crate::ask::Asked;
use crate::metrics::{MissedLabel, OutcomeLabel, SamplerLabel};

/// At most one reading in this span of domain time.
const EVERY: Duration = Duration::from_secs(60);

/// One sampler's counters and its readings since the last one appended.
pub(crate) struct Report {
    sampler: Arc<str>,
    metrics: CollectorMetrics,
    last_point_at: Option<Timestamp>,
    pending_point_at: Option<Timestamp>,
    missed_since_start: u64,
    duration_ms: f64,
    rows: f64,
    missed: f64,
    errors: f64,
}

impl Report {
    pub(crate) fn new(sampler: Arc<str>, metrics: CollectorMetrics) -> Self {
        Self {
            sampler,
            metrics,
            last_point_at: None,
            pending_point_at: None,
            missed_since_start: 0,
            duration_ms: 0.0,
            rows: 0.0,
            missed: 0.0,
            errors: 0.0,
        }
    }

    /// The source was asked.
    pub(crate) fn asked(&mut self, asked: &Asked) {
        self.duration_ms = asked.duration.as_secs_f64() * 1_000.0;
        self.metrics.duration_secs.get_or_create(&self.label()).observe(asked.duration.as_secs_f64());
        match &asked.result {
            Ok((rows, _)) => {
                self.rows += rows.rows.len() as f64;
                self.metrics.rows.get_or_create(&self.label()).inc_by(rows.rows.len() as u64);
            }
            Err(_) => self.errors += 1.0,
        }
    }

    /// Ticks were missed, for now only in memory.
    pub(crate) fn missed(&mut self, reason: MissedReason, ticks: u64) {
        self.missed += ticks as f64;
        self.missed_since_start += ticks;
        let label = MissedLabel { sampler: self.sampler.to_string(), reason: reason.as_str() };
        self.metrics.missed.get_or_create(&label).inc_by(ticks);
        self.count("missed", ticks);
    }

    /// Ticks missed since the process began, those of the time before it included.
    pub(crate) fn missed_since_start(&self) -> u64 {
        self.missed_since_start
    }

    /// The log has the tick that was asked for.
    pub(crate) fn appended(&mut self, tick: &Tick) {
        match &tick.outcome {
            TickOutcome::Missed { reason, .. } => return self.missed(*reason, 1),
            TickOutcome::Rows(_) => self.count("rows", 1),
            TickOutcome::Empty => self.count("empty", 1),
        }
        let at = tick.window.end.as_millis() as f64 / 1_000.0;
        self.metrics.last_success_secs.get_or_create(&self.label()).set(at);
    }

    /// So many ticks wait for the log, and so many were dropped since there were too many ranges.
    pub(crate) fn refused(&self, waiting: u64, dropped: u64) {
        self.metrics.refused.get_or_create(&self.label()).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if dropped > 0 {
            warn!(sampler = %self.sampler, ticks = dropped, "too many missed ranges wait for the log: the oldest are lost");
        }
    }

    /// The reading to append now, if it is time for one.
    pub(crate) fn point(&mut self, now: Timestamp) -> Option<PipelinePoint> {
        if self.last_point_at.is_some_and(|last| now < last + EVERY) {
            return None;
        }
        self.pending_point_at = Some(now);
        let fields = BTreeMap::from([
            ("duration_ms".into(), self.duration_ms),
            ("rows".into(), self.rows),
            ("missed".into(), self.missed),
            ("errors".into(), self.errors),
        ]);
        Some(PipelinePoint {
            kind: PipelineKind::Sampler,
            component: Arc::clone(&self.sampler),
            at: now,
            fields,
        })
    }

    /// The log has the reading: count anew.
    pub(crate) fn point_taken(&mut self) {
        let Some(at) = self.pending_point_at.take() else { return };
        self.last_point_at = Some(at);
        (self.rows, self.missed, self.errors) = (0.0, 0.0, 0.0);
    }

    fn count(&self, outcome: &'static str, ticks: u64) {
        let label = OutcomeLabel { sampler: self.sampler.to_string(), outcome };
        self.metrics.ticks.get_or_create(&label).inc_by(ticks);
    }

    fn label(&self) -> SamplerLabel {
        SamplerLabel { sampler: self.sampler.to_string() }
    }
}
