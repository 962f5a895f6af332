//! Asking once, for `tidemark sample --once` and `tidemark check --online`: nothing is stored.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, HumanDuration, Sample, Window};

use crate::ask::{Asked, ask};
use crate::{ProbeReport, Rows, SamplerSpec, SourceConfig, SourceError};

/// What one sampling would have stored, and the rows it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct OnceReport {
    /// The rows as the source gave them.
    pub rows: Rows,
    /// The samples made of them.
    pub samples: Vec<Sample>,
    /// How many numbers were missing (NULL, or a rate with the denominator 0).
    pub missing: usize,
    /// How many whole numbers beyond 2^53 were rounded.
    pub rounded: usize,
    /// How long the source took.
    pub duration: Duration,
}

/// Asks the sampler's query for one window, with its timeout and retries, exactly as its task would.
///
/// # Errors
/// [`SourceError`], as the tick would have recorded it.
pub async fn sample_once(
    source: &SourceConfig,
    spec: &SamplerSpec,
    window: Window,
    clock: Arc<dyn Clock>,
) -> Result<OnceReport, SourceError> {
    let source = source.as_type().build().map_err(SourceError::permanent)?;
    let Asked { result, duration } = ask(&*source, spec, window, &clock).await;
    let (rows, mapped) = result?;
    Ok(OnceReport {
        rows,
        samples: mapped.samples,
        missing: mapped.missing,
        rounded: mapped.rounded,
        duration,
    })
}

/// Sees whether a source is there and lets us in, within `timeout`.
///
/// # Errors
/// [`SourceError`] saying what failed.
pub async fn probe(
    source: &SourceConfig,
    timeout: Duration,
    clock: Arc<dyn Clock>,
) -> Result<ProbeReport, SourceError> {
    let source = source.as_type().build().map_err(SourceError::permanent)?;
    tokio::select! {
        biased;
        report = source.probe() => report,
        () = clock.sleep(timeout) => {
            Err(SourceError::timeout(format!("no answer within {}", HumanDuration(timeout))))
        }
    }
}
