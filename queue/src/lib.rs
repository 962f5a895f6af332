//! The durable log, Tidemark's spine: topics, append, cursors, retention, backpressure.
//!
//! [`Log`] implements [`model::SampleLog`]. A log is a folder with one folder per partition; each partition is written
//! by one process (a file lock) and read by all. The bytes on disk are described in `FORMAT.md`.
//!
//! * Durable: whatever an append was answered for, and every commit that returned. The writer syncs a whole group of
//!   appends at once and answers after that.
//! * Lost in a crash: nothing of that. An append that was not answered is there as a whole or not at all.
//! * Waits: an append while `queue_frames` batches, or `queue_bytes` bytes of them, are under way to its partition.
//! * Refuses: an append when the log is full; one that cannot be written (a full disk), with those grouped with it, until
//!   there is room; and every append after a failed sync until the partition is opened again ([`LogDir::failed`]).

mod checkpoint;
mod codes;
mod cursors;
mod decode;
mod dir;
mod disk;
mod encode;
mod error;
mod failure;
#[cfg(test)]
mod faults;
mod frame;
mod group;
mod index;
mod intern;
mod log;
mod metrics;
mod options;
mod partition;
pub mod proto;
mod recovery;
mod retention;
mod scan;
mod shared;
mod stage;
mod weight;
mod writer;

pub use dir::LogDir;
pub use error::OpenError;
pub use log::Log;
pub use metrics::LogCollector;
pub use options::{ConsumerKind, CutTail, LogOptions, OlderSample, OlderSamples, Recovery};
