//! Thirty days of history: what every sampler would have brought, appended as ticks of origin `backfill`.
//!
//! One batch is one day of one sampler, appended by the sampler's own producer with its own sequences; days go in in
//! order, so that all samplers' series grow together. Interrupted history is begun anew by the next start.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::{AppendError, Clock, NewEntry, SampleLog, Timestamp};

use super::business::{Business, MINUTE};
use super::samplers::Sampler;

/// How much history there is.
pub(crate) const DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// Minutes of one batch.
const BATCH_MINUTES: u32 = 1_440;
/// A pause before a full log is tried again, in real time.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Appends the whole history. Returns how many samples it held.
///
/// # Errors
/// What the log refuses for good. A full log is waited for.
pub(crate) async fn append(
    log: &dyn SampleLog,
    business: &Arc<Business>,
    clock: &dyn Clock,
    bar: &ProgressBar,
) -> Result<u64, AppendError> {
    let mut samples = 0;
    for day in (1..=DAYS).rev() {
        let first = business.live_from() - DAY * day;
        let business = Arc::clone(business);
        // Drawing random numbers keeps a thread busy.
        let batches =
            tokio::task::spawn_blocking(move || one_day(&business, first)).await.unwrap_or_default();
        for batch in batches {
            samples += batch.iter().map(sample_count).sum::<u64>();
            append_patiently(log, batch, clock).await?;
        }
        bar.inc(1);
    }
    Ok(samples)
}

fn one_day(business: &Business, first: Timestamp) -> Vec<Vec<NewEntry>> {
    let minutes = || (0..BATCH_MINUTES).map(|minute| first + MINUTE * minute);
    let entry = |sampler: Sampler, minute| collector::tick_entry(sampler.history(business, minute));
    Sampler::ALL.map(|sampler| minutes().map(|minute| entry(sampler, minute)).collect()).into()
}

fn sample_count(entry: &NewEntry) -> u64 {
    match &entry.body {
        model::Body::Tick(tick) => tick.samples().len() as u64,
        _ => 0,
    }
}

async fn append_patiently(
    log: &dyn SampleLog,
    batch: Vec<NewEntry>,
    clock: &dyn Clock,
) -> Result<(), AppendError> {
    loop {
        match log.append(batch.clone()).await {
            Err(AppendError::Full { .. } | AppendError::Older { .. }) => clock.sleep(RETRY_AFTER).await,
            done => return done.map(|_| ()),
        }
    }
}

/// The bar on stderr, a day a step; hidden where nobody looks.
pub(crate) fn bar(visible: bool) -> ProgressBar {
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(u64::from(DAYS)), target);
    let style = ProgressStyle::with_template("  history {bar:30.cyan/blue} day {pos} of {len}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::testing::MemoryLog;
    use model::{Body, ManualClock, Origin, ReadLimit, Topic, Topics};

    const START: Timestamp = Timestamp::from_secs(1_790_040_600);

    #[test]
    fn history_ends_where_live_time_begins_and_fills_every_window_once() {
        let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let log = MemoryLog::new("collector");
        let business = Arc::new(Business::new(1, START));
        let samples = executor
            .block_on(append(&log, &business, &ManualClock::new(START), &ProgressBar::hidden()))
            .unwrap();
        assert!(samples > 450_000, "{samples}");
        let last = log.last(&collector::producer("orders")).unwrap();
        assert_eq!(collector::last_window_end(&last.source_position), Some(START));
        let limit = ReadLimit { entries: 1, bytes: usize::MAX };
        let first = log.read(&Default::default(), Topics::of(&[Topic::Samples]), limit).unwrap();
        let ticks: Vec<_> = first
            .entries
            .iter()
            .map(|entry| match &entry.body {
                Body::Tick(tick) => tick,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(ticks.iter().all(|tick| tick.origin == Origin::Backfill));
        assert!(ticks.windows(2).all(|pair| pair[0].window.end == pair[1].window.start));
        assert_eq!(ticks[0].window.start, START - DAY * DAYS);
    }
}
