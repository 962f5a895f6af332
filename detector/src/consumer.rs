//! The detector as a consumer of the log: the only part of this crate that does I/O.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{AppendError, Clock, Positions, ReadError, SampleLog};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::JudgingConfig;

/// Where and how often the detector keeps its state.
#[derive(Clone, Debug)]
pub struct DetectorOptions {
    /// Folder of the snapshots; made when absent.
    pub snapshot_dir: PathBuf,
    /// Monotonic time between snapshots.
    pub snapshot_every: Duration,
    /// At most this many entries are read and judged as one batch.
    pub max_batch: usize,
    /// Pause between tries while the log is full.
    pub full_retry: Duration,
}

impl DetectorOptions {
    /// The usual values for a folder.
    pub fn new(snapshot_dir: impl Into<PathBuf>) -> Self {
        Self {
            snapshot_dir: snapshot_dir.into(),
            snapshot_every: Duration::from_secs(60),
            max_batch: 2_000,
            full_retry: Duration::from_secs(1),
        }
    }
}

/// Why the detector stopped.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The log cannot be read.
    #[error("detector cannot read the log")]
    Read(#[source] ReadError),
    /// The log cannot be written.
    #[error("detector cannot append its verdicts")]
    Append(#[source] AppendError),
    /// The cursor cannot be kept.
    #[error("detector cannot commit its cursor")]
    Commit(#[source] AppendError),
    /// A snapshot cannot be written.
    #[error("detector cannot write its snapshot {path}")]
    Snapshot {
        /// The file.
        path: String,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
}

/// How far the detector is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Positions up to which verdicts are durable.
    pub positions: Positions,
    /// Whether the replay after the start is over.
    pub caught_up: bool,
    /// Series judged.
    pub series: usize,
    /// Series that still learn.
    pub learning: usize,
}

/// A handle to watch the progress.
pub type ProgressReader = watch::Receiver<Progress>;

/// The detector's own metrics.
#[derive(Clone, Debug, Default)]
pub struct DetectorMetrics {}

impl DetectorMetrics {
    /// Registers the metrics.
    pub fn register(_registry: &mut prometheus_client::registry::Registry) -> Self {
        Self {}
    }
}

/// Runs the detector until `shutdown`: judges what stands in the log, appends verdicts and transitions.
///
/// # Errors
/// [`DetectorError`] when log or disk fail; nothing judged is lost, the next start goes on where the log ends.
pub async fn run(
    _log: Arc<dyn SampleLog>,
    _clock: Arc<dyn Clock>,
    _config: watch::Receiver<Arc<JudgingConfig>>,
    _options: DetectorOptions,
    _metrics: DetectorMetrics,
    _progress: watch::Sender<Progress>,
    shutdown: CancellationToken,
) -> Result<(), DetectorError> {
    shutdown.cancelled().await;
    Ok(())
}
