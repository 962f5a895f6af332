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
    /// Who holds this may acknowledge what the message tells of: signed, expiring, good in an address. `None` when
    /// there is nothing to acknowledge.
    pub acknowledge: Option<String>,
}

/// What is known of attempts that were handed over and never answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// Civil time at which the first of them began.
    pub since: Timestamp,
    /// Civil time at which the last of them was given up.
    pub until: Timestamp,
    /// Providers' ids of other messages to the same recipient: none of these is the one that is looked for.
    pub claimed: Vec<String>,
}

/// How the detail of a receipt ends that was found by asking, not given as the answer to the message.
pub const FOUND: &str = " (found at the provider)";

/// Whether the provider has a message nobody answered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has.
    Yes(Receipt),
    /// It had, and it will never go out: it is not sent again.
    Dead {
        /// What the provider says; holds no secret.
        message: String,
    },
    /// It has not, or cannot be asked and takes the same key twice: the message is sent again.
    No,
    /// Not known now: nothing is sent, and it is asked again, not before `retry_after` when the provider said so.
    CannotTell {
        /// The provider's wish.
        retry_after: Option<Duration>,
        /// Why not; holds no secret.
        message: String,
    },
}

/// A request a provider makes of us, such as for what somebody pressed on the phone.
#[derive(Clone, Copy, Debug)]
pub struct Callback<'a> {
    /// The address it was sent to, as the outside sees it.
    pub url: &'a str,
    /// The form it carries, in order.
    pub form: &'a [(String, String)],
    /// The signature it carries.
    pub signature: &'a str,
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
    /// Of how many parts it is made that are paid for, such as segments of an SMS; 0 where nobody counts.
    pub parts: u32,
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

/// Why a probe did not go well: a sentence that names the host and what went wrong; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nobody answered.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody answered, or nobody was asked for want of what we have ourselves: a message would not get through.
    #[error("{0}")]
    Wrong(String),
}

impl ProbeError {
    /// Its name in [`crate::view::ChannelTest::outcome`].
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Wrong(_) => "wrong",
        }
    }
}

/// Of a request that got no answer.
impl From<Outcome> for ProbeError {
    fn from(outcome: Outcome) -> Self {
        let message = outcome.detail().to_owned();
        match outcome {
            Outcome::Permanent { .. } => Self::Wrong(message),
            Outcome::Receipt(_) | Outcome::Transient { .. } | Outcome::Unknown { .. } => {
                Self::Unreachable(message)
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

    /// Asks the provider whether it has a message whose attempts were never answered; sends nothing. Cancelled at the
    /// deadline of an attempt, which counts as [`Found::CannotTell`]. Where nothing can be asked it is sent again with
    /// its key.
    async fn find(&self, _notification: &Notification, _unanswered: &Unanswered) -> Found {
        Found::No
    }

    /// Whether a request really comes from the provider. Nobody's word is taken where there is no signature.
    fn is_from_provider(&self, _callback: &Callback<'_>) -> bool {
        false
    }

    /// Tries to reach the provider without sending anything; says what it found.
    ///
    /// # Errors
    /// [`ProbeError`].
    async fn probe(&self) -> Result<String, ProbeError>;
}
