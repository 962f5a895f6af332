//! Asking a source once, as a sampler does: with a deadline, two more tries for what may pass, and the rows mapped.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::FutureExt;
use model::{Clock, HumanDuration, Window};

use crate::rows::{Mapped, map_rows};
use crate::{Rows, SampleRequest, SamplerSpec, Source, SourceError};

/// Further tries after a transient failure.
const RETRIES: usize = 2;
/// The wait before the first of them; the second waits twice as long. No jitter: the tick's deadline bounds it all.
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(200);

/// What asking brought.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The rows and what was made of them.
    pub(crate) result: Result<(Rows, Mapped), SourceError>,
    /// How long the source took, retries included.
    pub(crate) duration: Duration,
}

/// Asks the source for one window. Returns at the sampler's timeout at the latest; the query is cancelled then.
pub(crate) async fn ask(
    source: &dyn Source,
    spec: &SamplerSpec,
    window: Window,
    clock: &Arc<dyn Clock>,
) -> Asked {
    let began = clock.monotonic_now();
    let last_failure = Mutex::new(None);
    let answer = tokio::select! {
        biased;
        answer = AssertUnwindSafe(attempts(source, spec, window, clock, &last_failure)).catch_unwind() => {
            answer.unwrap_or_else(|_| Err(SourceError::permanent("the source's adapter panicked: a bug in Tidemark")))
        }
        () = clock.sleep(spec.timeout) => {
            let failure = last_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(failure.unwrap_or_else(|| no_answer(spec)))
        }
    };
    let duration = clock.monotonic_now().saturating_sub(began);
    let result = answer.and_then(|rows| map_rows(spec, &rows).map(|mapped| (rows, mapped)));
    Asked { result, duration }
}

fn no_answer(spec: &SamplerSpec) -> SourceError {
    SourceError::timeout(format!(
        "source `{}` did not answer within {}",
        spec.source,
        HumanDuration(spec.timeout)
    ))
}

/// Asks until it works, the error stays, or tries run out. A failure is put aside, so that the deadline, when it comes
/// during the wait for the next try, can tell what was wrong.
async fn attempts(
    source: &dyn Source,
    spec: &SamplerSpec,
    window: Window,
    clock: &Arc<dyn Clock>,
    last_failure: &Mutex<Option<SourceError>>,
) -> Result<Rows, SourceError> {
    let request =
        SampleRequest { query: &spec.query, window, max_rows: spec.max_rows, timeout: spec.timeout };
    let deadline = clock.monotonic_now() + spec.timeout;
    let mut backoff =
        ExponentialBuilder::default().with_min_delay(FIRST_RETRY_AFTER).with_max_times(RETRIES).build();
    loop {
        let error = match source.sample(&request).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        let wait = backoff.next().filter(|_| error.is_transient());
        let wait = wait.map(|wait| wait.max(error.retry_after.unwrap_or_default()));
        match wait.filter(|wait| clock.monotonic_now() + *wait < deadline) {
            None => return Err(error),
            Some(wait) => {
                *last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                clock.sleep(wait).await;
            }
        }
    }
}
