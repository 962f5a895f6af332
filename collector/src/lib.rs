//! Sampling business numbers on a schedule.

mod collector;
mod entry;
mod health;
mod metrics;
mod params;
mod schedule;
mod source;
pub mod sources;
mod spec;
mod validate;

pub use collector::{ApplyError, Collector, CollectorConfig};
pub use entry::{last_window_end, producer, tick_entry};
pub use health::SamplerHealth;
pub use metrics::CollectorMetrics;
pub use schedule::{ScheduleError, Timetable};
pub use source::{Cell, Persistence, ProbeReport, Rows, SampleRequest, Source, SourceError};
pub use spec::{Query, SamplerSpec, Schedule, SourceConfig, ValueSpec};
pub use validate::{Problem, validate_sampler, validate_source};
