//! From alert transitions to messages that reach people.
//!
//! The way of an alert: a transition is consumed from the topic `alerts` ([`incident`]), takes its place in the groups
//! its [`route`]s give it, waits for its group's time, passes the [`stages`], becomes a [`message`] with one delivery
//! for each recipient in the outbox, and is carried by a [`channel`]. The notifier judges nothing.
//!
//! Durable: position in the log, alerts, groups with their absolute timers, deliveries and their receipts, all in one
//! database; every step is one transaction of it ([`store`]). So after a crash at any moment nothing is forgotten and
//! nothing is told twice but what was in flight, and that with the same key. Nobody else waits for the notifier: it
//! reads the log at its own pace, and a channel that hangs holds back its own deliveries alone.

pub mod channel;
pub mod channels;
pub mod config;
pub mod engine;
mod error;
pub mod incident;
pub mod interval;
pub mod link;
pub mod matcher;
pub mod message;
mod metrics;
mod notifier;
mod outbox;
pub mod plan;
pub mod route;
pub mod stages;
pub mod store;
mod tally;
mod validate;
pub mod view;

pub use config::NotifierConfig;
pub use error::NotifierError;
pub use metrics::{DeliveryLabels, NotifierMetrics, ReasonLabels, StateLabels};
pub use model::Language;
pub use notifier::{Notifier, open_read_only, probe, test_receiver};
pub use store::Reader;
pub use validate::{Problem, validate};
