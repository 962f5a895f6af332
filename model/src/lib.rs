//! The words Tidemark speaks and the ports at its seams.
//!
//! Pure values (time, series, samples, verdicts, alerts, log entries) and the traits by which the other crates
//! meet: [`SampleLog`], [`WriteSamples`], [`ReadSeries`], [`Clock`]. Nothing here does I/O, starts a task or reads
//! the wall clock; every other crate depends on this one and this one on none of them.
//!
//! The way of a number: a [`Tick`] is appended to the log by the collector, becomes [`Point`]s in every replica and
//! a [`Verdict`] in the detector, whose [`AlertTransition`]s the notifier turns into messages.

mod alert;
mod causes;
mod clock;
mod duration;
mod labels;
mod language;
mod log;
mod pipeline;
mod problem;
mod sample;
mod secret;
mod store;
pub mod testing;
mod time;
mod tls;
mod verdict;

pub use alert::{AlertId, AlertInfo, AlertTransition, Severity, Transition};
pub use causes::causes;
pub use clock::{Clock, ManualClock, Monotonic, Sleep};
pub use duration::{HumanDuration, ParseDurationError};
pub use labels::{InvalidName, Labels, RESERVED_LABELS, SeriesKey, check_label_name, check_metric_name};
pub use language::Language;
pub use log::{
    AppendError, Appended, Body, Entry, LabelMark, LogStats, Missed, NewEntry, Position, Positions,
    ProducerState, ReadBatch, ReadError, ReadLimit, Released, ReplicaLedger, SampleLog, Topic, Topics,
};
pub use pipeline::{PipelineKind, PipelinePoint};
pub use problem::Problem;
pub use sample::{MissedReason, Origin, Ratio, Sample, Tick, TickOutcome};
pub use secret::{Secret, SecretFileError};
pub use store::{
    FieldValue, Matcher, Measurement, Point, Reach, ReadSeries, SeriesData, SeriesQuery, Shortfall,
    StoreError, TimeRange, WriteError, WriteSamples, Written,
};
pub use time::{Timestamp, Window};
pub use tls::TlsConfig;
pub use verdict::{Direction, Evidence, Reason, ReasonCode, Verdict, VerdictState};
