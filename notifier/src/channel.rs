//! The port to whoever carries a message to people.
//!
//! A channel says honestly what became of a message: a receipt, a failure that may pass, one that will not, or that
//! nobody knows. It keeps no state and does not retry; the outbox does. The key of a notification is the same in
//! every attempt and after every crash, so that a provider that can deduplicate does.

use std::time::Duration;

use async_trait::async_trait;
use model::Timestamp;

use crate::message::Message;

/// One message to one recipient, as an attempt hands it over.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Idempotency key: `msg_` and 32 hex digits, a hash of incident, step, recipient, channel and sequence.
    pub key: String,
    /// Key of the first message of the same incident to this recipient by this channel; `None` when this is it.
    pub thread: Option<String>,
    /// The recipient, as the channel named it.
    pub recipient: String,
    /// Civil time of this attempt.
    pub attempt_at: Timestamp,
    /// What is to be told.
    pub message: Message,
}

/// A provider's word that it has the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The provider's own id of the message; empty when it gives none.
    pub provider_id: String,
    /// Its answer in short, such as `250 queued`.
    pub detail: String,
    /// Whether the recipient itself has it (`delivered`) or a relay that passes it on (`accepted`).
    pub delivered: bool,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it.
    Receipt(Receipt),
    /// Not now: to be tried again, not before `retry_after` when the provider said so.
    Transient {
        /// The provider's wish.
        retry_after: Option<Duration>,
        /// What went wrong; holds no secret.
        message: String,
    },
    /// Never: trying again would give the same answer.
    Permanent {
        /// What went wrong; holds no secret.
        message: String,
    },
    /// The message was handed over and no answer came: it is sent again with the same key.
    Unknown {
        /// What is known; holds no secret.
        message: String,
    },
}

impl Outcome {
    /// Its name in the database and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Receipt(Receipt { delivered: true, .. }) => "delivered",
            Self::Receipt(_) => "accepted",
            Self::Transient { .. } => "transient",
            Self::Permanent { .. } => "permanent",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What the provider answered or what went wrong.
    pub fn detail(&self) -> &str {
        match self {
            Self::Receipt(receipt) => &receipt.detail,
            Self::Transient { message, .. } | Self::Permanent { message } | Self::Unknown { message } => {
                message
            }
        }
    }
}

/// A way to reach people. May be slow, hang or lie: the outbox owns deadline, retry and order.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The type's name in configuration, database and metrics.
    fn kind(&self) -> &'static str;

    /// Whom it reaches; each gets a delivery of its own.
    fn recipients(&self) -> Vec<String>;

    /// Deadline of one attempt.
    fn timeout(&self) -> Duration;

    /// Hands one message over. Cancelled at the deadline, which counts as [`Outcome::Unknown`].
    async fn deliver(&self, notification: &Notification) -> Outcome;

    /// Tries to reach the provider without sending anything; says what it found.
    ///
    /// # Errors
    /// A sentence that names the host and what went wrong; holds no secret.
    async fn probe(&self) -> Result<String, String>;
}
