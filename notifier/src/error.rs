//! Why the notifier could not do what was asked.

use crate::Problem;
use crate::matcher::MatcherError;
use crate::store::StoreError;

/// Why the notifier could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// The configuration is wrong; the one before stands.
    #[error("configuration of the notifier is invalid: {}", .0.first().map_or("", |p| p.message.as_str()))]
    Config(Vec<Problem>),
    /// A channel cannot be made; the configuration before stands.
    #[error("channel `{channel}` cannot be used: {what}")]
    Channel {
        /// The channel's name.
        channel: String,
        /// What is wrong; holds no secret.
        what: String,
    },
    /// There is no such receiver.
    #[error("unknown receiver `{name}`, valid are: {}", .valid.join(", "))]
    UnknownReceiver {
        /// The name asked for.
        name: String,
        /// The names there are.
        valid: Vec<String>,
    },
    /// A matcher of a filter is none.
    #[error(transparent)]
    Matcher(MatcherError),
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
    /// The log failed.
    #[error("cannot read the topic `alerts`")]
    Log(#[source] model::ReadError),
    /// A step ended in a panic; nothing of it was written, and the state is loaded again before the next.
    #[error("a step of the notifier panicked: {0}")]
    Panicked(String),
}
