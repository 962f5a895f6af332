//! One sampler: a task of its own that asks its source at every tick and appends what came of it.
//!
//! Every due tick leaves exactly one entry, in order. While the source is asked, further ticks that come due are missed
//! (`overrun`); ticks that found the sampler held up run late, as `sampler/due.rs` says; a tick the log refused is kept as
//! a missed range (`full`) in memory and goes in before the next one, or earlier: the log is offered it again within a
//! minute, unless the source is being asked. What is in memory only is lost by a crash and found again at the
//! start, as ticks due since the last entry (`down`). A clock set back repeats no tick: the sampler waits.

mod due;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use model::{
    AppendError, Clock, MissedReason, NewEntry, Origin, PipelinePoint, SampleLog, Tick, TickOutcome,
    Timestamp, Window,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ask::{Asked, ask};
use crate::backlog::{Backlog, MissedRange};
use crate::entry::{last_window_end, producer, tick_entry};
use crate::health::HealthCell;
use crate::report::Report;
use crate::retry::Retry;
use crate::text::shown;
use crate::{SamplerSpec, Source, Timetable};

/// Ticks missed longer ago than this leave no entry: nothing learns from them any more.
const MAX_DOWN: Duration = Duration::from_secs(28 * 86_400);
/// So many entries go into one frame of the log.
const FRAME_ENTRIES: usize = 1_000;
/// Longer messages are cut before they are kept with the tick.
const MAX_MESSAGE: usize = 500;
/// The message of an overrun tick.
const OVERRUN: &str = "the previous tick was still running";

/// What a sampler needs.
pub(crate) struct Sampler {
    pub(crate) spec: SamplerSpec,
    pub(crate) timetable: Timetable,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) log: Arc<dyn SampleLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: HealthCell,
    pub(crate) report: Report,
}

/// What a starting sampler takes as its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// The process starts: ticks due since the last entry were missed, the process was down.
    AfterDown,
    /// The sampler was changed while running: it goes on after its last entry.
    Handover,
    /// The sampler is new to the running process: nothing was due before.
    Fresh,
}

impl Sampler {
    /// Runs until `stop`. A tick in flight is then brought to its end and appended.
    pub(crate) async fn run(self, resume: Resume, stop: CancellationToken) {
        let mut task = Task {
            metrics: self.spec.values.iter().map(|value| Arc::clone(&value.metric)).collect(),
            backlog: Backlog::default(),
            retry: Retry::default(),
            accounted: Timestamp::MIN,
            held_up_until: Timestamp::MIN,
            sampler: self,
        };
        task.resume(resume).await;
        task.live(&stop).await;
        // What is refused now is found again at the next start, as ticks due since the last entry.
        let _ = task.append(None, Vec::new()).await;
    }
}

struct Task {
    sampler: Sampler,
    metrics: Vec<Arc<str>>,
    /// Missed ticks the log has not taken yet.
    backlog: Backlog,
    /// When the log is offered the backlog again.
    retry: Retry,
    /// End of the last window that has its entry or stands in the backlog.
    accounted: Timestamp,
    /// Ticks due up to here are run late, whatever else comes due meanwhile.
    held_up_until: Timestamp,
}

impl Task {
    fn spec(&self) -> &SamplerSpec {
        &self.sampler.spec
    }

    fn now(&self) -> Timestamp {
        self.sampler.clock.domain_now()
    }

    async fn resume(&mut self, resume: Resume) {
        let now = self.now();
        let last = self.sampler.log.last(&producer(&self.spec().name));
        let last = last.and_then(|state| last_window_end(&state.source_position));
        let due_until = now - self.spec().delay;
        self.accounted = match resume {
            Resume::Fresh => last.unwrap_or(due_until).max(due_until),
            Resume::AfterDown | Resume::Handover => last.unwrap_or(due_until),
        };
        if self.accounted > now {
            warn!(sampler = %self.spec().name, last_window_end = %self.accounted, %now,
                "the last window of this sampler ends in the future: it waits, no tick is repeated");
        }
        if resume == Resume::AfterDown {
            let missed: Vec<Window> = self.due(now).collect();
            self.miss(&missed, MissedReason::Down, "Tidemark was not running");
            // What is refused stays in the backlog.
            let _ = self.append(None, Vec::new()).await;
        }
    }

    async fn live(&mut self, stop: &CancellationToken) {
        loop {
            let Some(next) = self.sampler.timetable.next_tick_after(self.accounted) else {
                warn!(sampler = %self.spec().name, "the schedule never comes again");
                return self.after_the_last(stop).await;
            };
            let due_at = next.end + self.spec().delay;
            self.sampler.health.update(|health| health.next_tick_at = Some(due_at));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sampler.clock.sleep_until(due_at) => {
                    if let Some(window) = self.take_due() {
                        self.tick(window).await;
                    }
                }
                () = self.retry.due(&*self.sampler.clock) => self.offer_again().await,
            }
        }
    }

    /// No tick comes any more; what was refused still waits.
    async fn after_the_last(&mut self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.retry.due(&*self.sampler.clock) => self.offer_again().await,
            }
        }
    }

    async fn offer_again(&mut self) {
        // What is refused stays in the backlog, and the next offer comes later.
        let _ = self.append(None, Vec::new()).await;
    }

    fn miss(&mut self, windows: &[Window], reason: MissedReason, message: &str) {
        for window in windows {
            self.backlog.push(MissedRange::one(*window, reason, message));
        }
        self.count_missed(windows, reason);
    }

    fn count_missed(&mut self, windows: &[Window], reason: MissedReason) {
        let Some(last) = windows.last() else { return };
        info!(sampler = %self.spec().name, ticks = windows.len(), reason = reason.as_str(), until = %last.end, "ticks missed");
        self.accounted = last.end;
        self.sampler.report.missed(reason, windows.len() as u64);
    }

    /// Runs one tick and appends it, with those that came due meanwhile.
    async fn tick(&mut self, window: Window) {
        self.sampler.health.update(|health| health.running = true);
        let asked = ask(&*self.sampler.source, self.spec(), window, &self.sampler.clock).await;
        self.note(window, &asked);
        let tick = Tick {
            sampler: Arc::clone(&self.spec().name),
            metrics: self.metrics.clone(),
            window,
            ticks: 1,
            origin: Origin::Live,
            duration_ms: u64::try_from(asked.duration.as_millis()).unwrap_or(u64::MAX),
            outcome: outcome(asked),
        };
        let overrun = self.overrun();
        if let Err(AppendError::TooLarge { .. }) = self.append(Some(tick), overrun).await {
            // Without its samples it is small enough.
            let _ = self.append(None, Vec::new()).await;
        }
    }

    fn note(&mut self, window: Window, asked: &Asked) {
        let now = self.now();
        let before = self.sampler.health.read().consecutive_failures;
        let name = &self.spec().name;
        match &asked.result {
            Ok((rows, mapped)) => {
                debug!(sampler = %name, %window, rows = rows.rows.len(), samples = mapped.samples.len(), "sampled");
                if before > 0 {
                    info!(sampler = %name, failures = before, "source answers again");
                }
            }
            Err(error) if before == 0 => {
                warn!(sampler = %name, source = %self.spec().source, reason = error.reason.as_str(), %error, "tick missed");
            }
            Err(error) => {
                debug!(sampler = %name, reason = error.reason.as_str(), %error, "tick missed again")
            }
        }
        self.sampler.health.update(|health| health.note(window, now, asked));
        self.sampler.report.asked(asked);
    }

    /// Appends what the log has not taken: the backlog, the tick, the ticks overrun by it, a reading of health. What is
    /// refused stays in the backlog.
    async fn append(&mut self, tick: Option<Tick>, overrun: Vec<Window>) -> Result<(), AppendError> {
        let mut later = Backlog::default();
        for window in &overrun {
            later.push(MissedRange::one(*window, MissedReason::Overrun, OVERRUN));
        }
        self.count_missed(&overrun, MissedReason::Overrun);
        let result = self.append_in_frames(tick.as_ref(), &later).await;
        match (&result, tick) {
            (Ok(()), tick) => self.taken(tick.as_ref()),
            (Err(error), tick) => {
                self.refused(tick, error);
                later.ranges().cloned().for_each(|range| self.backlog.push(range));
            }
        }
        let waiting = self.backlog.ticks();
        self.sampler.report.refused(waiting, self.backlog.take_dropped());
        let missed = self.sampler.report.missed_since_start();
        self.sampler.health.update(|health| (health.refused_ticks, health.missed_ticks) = (waiting, missed));
        result
    }

    /// Appends in order, the tick in the last frame. The backlog is shorter by what was taken.
    async fn append_in_frames(&mut self, tick: Option<&Tick>, later: &Backlog) -> Result<(), AppendError> {
        while self.backlog.len() > FRAME_ENTRIES {
            let entries = self.missed_entries(&self.backlog, FRAME_ENTRIES);
            self.sampler.log.append(entries).await?;
            self.backlog.taken(FRAME_ENTRIES);
        }
        let mut entries = self.missed_entries(&self.backlog, FRAME_ENTRIES);
        entries.extend(tick.cloned().map(tick_entry));
        entries.extend(self.missed_entries(later, usize::MAX));
        if entries.is_empty() {
            return Ok(());
        }
        let point = self.sampler.report.point(self.now());
        entries.extend(point.map(PipelinePoint::into_entry));
        self.sampler.log.append(entries).await?;
        self.backlog.taken(FRAME_ENTRIES);
        self.sampler.report.point_taken();
        Ok(())
    }

    fn missed_entries(&self, backlog: &Backlog, limit: usize) -> Vec<NewEntry> {
        let name = &self.spec().name;
        backlog.ranges().take(limit).map(|range| tick_entry(range.tick(name, &self.metrics))).collect()
    }

    fn taken(&mut self, tick: Option<&Tick>) {
        if self.retry.taken() {
            info!(sampler = %self.spec().name, "the log has what it refused before");
        }
        if let Some(tick) = tick {
            self.sampler.report.appended(tick);
        }
    }

    /// Keeps a refused tick as a missed one.
    fn refused(&mut self, tick: Option<Tick>, error: &AppendError) {
        if self.retry.waits() {
            debug!(sampler = %self.spec().name, %error, "the log refused this sampler's entries again");
        } else {
            warn!(sampler = %self.spec().name, %error, "the log refused this sampler's entries");
        }
        self.retry.refused(self.sampler.clock.monotonic_now());
        let Some(tick) = tick else { return };
        let (reason, message) = match (tick.outcome, error) {
            (TickOutcome::Missed { reason, message }, _) => (reason, message),
            (_, AppendError::TooLarge { bytes, limit }) => {
                let message =
                    format!("too many rows for one entry of the log: {bytes} bytes, at most {limit}");
                (MissedReason::Invalid, message)
            }
            _ => (MissedReason::Full, error.to_string()),
        };
        self.sampler.report.missed(reason, 1);
        self.backlog.push(MissedRange::one(tick.window, reason, message));
    }
}

fn outcome(asked: Asked) -> TickOutcome {
    match asked.result {
        Ok((_, mapped)) if mapped.samples.is_empty() => TickOutcome::Empty,
        Ok((_, mapped)) => TickOutcome::Rows(mapped.samples),
        Err(error) => {
            TickOutcome::Missed { reason: error.reason, message: shown(&error.message, MAX_MESSAGE) }
        }
    }
}
