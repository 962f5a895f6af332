//! Sampling business numbers on a schedule.

pub mod sources;
mod spec;

pub use spec::{Query, SamplerSpec, Schedule, SourceConfig, ValueSpec};
