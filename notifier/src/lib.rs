//! From alert transitions to messages that reach people.

pub mod channel;
pub mod channels;
pub mod config;
pub mod message;
mod metrics;
mod notifier;
mod validate;
pub mod view;

pub use config::{Language, NotifierConfig};
pub use metrics::{DeliveryLabels, NotifierMetrics, ReasonLabels, StateLabels};
pub use notifier::{Notifier, NotifierError, Reader, open_read_only, probe};
pub use validate::{Problem, validate};
