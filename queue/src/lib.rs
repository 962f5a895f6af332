//! The durable log, Tidemark's spine: topics, append, cursors, retention, backpressure.
//!
//! [`Log`] implements [`model::SampleLog`]. A log is a folder with one folder per partition; each partition is written
//! by one process (a file lock) and read by all. The bytes on disk are described in `FORMAT.md`.

mod dir;
mod error;
mod log;
mod options;

pub use dir::LogDir;
pub use error::OpenError;
pub use log::Log;
pub use options::{ConsumerKind, CutTail, LogOptions, OlderSample, OlderSamples, Recovery};
