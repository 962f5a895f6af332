//! Sampling business numbers on a schedule.

mod ask;
mod backlog;
mod collector;
mod entry;
mod health;
mod metrics;
mod once;
mod params;
mod report;
mod retry;
mod rows;
mod sampler;
mod schedule;
mod source;
pub mod sources;
mod spec;
#[cfg(test)]
mod testing;
mod text;
mod validate;

pub use collector::{ApplyError, Collector, CollectorConfig};
pub use entry::{last_window_end, producer, tick_entry};
pub use health::SamplerHealth;
pub use metrics::CollectorMetrics;
pub use once::{OnceReport, probe, sample_once};
pub use rows::{Mapped, map_rows};
pub use schedule::{ScheduleError, Timetable};
pub use source::{Cell, Persistence, ProbeReport, Rows, SampleRequest, Source, SourceError};
pub use sources::{Query, SourceConfig, path_keys};
pub use spec::{SamplerSpec, Schedule, ValueSpec};
pub use validate::{Problem, validate_sampler, validate_source};
