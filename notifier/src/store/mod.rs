//! The notifier's durable state. Every method of [`Store`] is one whole transaction: it is on disk when it returns, or
//! nothing of it happened. All SQL stands in this folder, so that PostgreSQL can stand beside SQLite.

mod answers;
mod queries;
mod rows;
mod schema;
mod sqlite;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertId, AlertTransition, Position, Positions, Secret, Severity, Timestamp};

use crate::channel::Unanswered;
use crate::incident::{Alert, Group, Member};
use crate::message::{Message, NoteStatus};
use crate::plan::ChannelSlot;
use crate::stages::rate::Bucket;
use crate::view::{Acknowledgement, DeliveryState};

pub use queries::Reader;
pub use sqlite::SqliteStore;

/// The database failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} in the notifier's database {place}")]
pub struct StoreError {
    /// What was being done.
    pub what: &'static str,
    /// The database.
    pub place: String,
    /// Its word.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What is open, as it was written.
#[derive(Debug, Default)]
pub struct Loaded {
    /// How far the log was read.
    pub positions: Positions,
    /// The last number an incident got.
    pub next_number: u64,
    /// The alerts that are not closed.
    pub alerts: Vec<Alert>,
    /// The groups with their members.
    pub groups: Vec<Group>,
    /// The receivers' buckets.
    pub buckets: BTreeMap<String, Bucket>,
}

/// Why an alert is not told, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Which alert.
    pub alert: AlertId,
    /// Domain time.
    pub at: Timestamp,
    /// The reason.
    pub reason: String,
}

/// A message to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNotification {
    /// The message.
    pub message: Message,
    /// Every alert it stands for.
    pub alerts: Vec<(AlertId, NoteStatus)>,
    /// Its deliveries.
    pub deliveries: Vec<NewDelivery>,
    /// Its worst severity: what is worse goes first.
    pub urgency: Severity,
    /// Whether it waits to be merged with others.
    pub waiting: bool,
    /// The notifications it tells instead.
    pub merges: Vec<i64>,
}

/// One message to one recipient by one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Idempotency key.
    pub key: String,
    /// The channel's name.
    pub channel: String,
    /// The recipient.
    pub recipient: String,
}

/// All that one step changes.
#[derive(Debug, Default)]
pub struct Step {
    /// Civil time of the step.
    pub civil_now: Timestamp,
    /// How far the log is read now.
    pub positions: Option<Positions>,
    /// Transitions that were consumed.
    pub transitions: Vec<(Position, Arc<AlertTransition>)>,
    /// Alerts as they are now.
    pub alerts: Vec<Alert>,
    /// Groups as they are now, without their members.
    pub groups: Vec<Group>,
    /// Groups that are over.
    pub dropped_groups: Vec<String>,
    /// Members that changed; `None` = left the group.
    pub members: Vec<(String, AlertId, Option<Member>)>,
    /// Buckets as they are now.
    pub buckets: Vec<(String, Bucket)>,
    /// Why alerts are not told.
    pub suppressions: Vec<Suppression>,
    /// Messages to deliver.
    pub notifications: Vec<NewNotification>,
    /// Notifications that need wait no longer.
    pub released: Vec<i64>,
    /// Who took what in hand.
    pub acknowledgements: Vec<(AlertId, Acknowledgement)>,
    /// Incidents that are acknowledged: what they have not sent by `hushable` channels ends.
    pub hushed: Vec<String>,
    /// The channels that would wake somebody.
    pub hushable: Vec<String>,
    /// The last number an incident got.
    pub next_number: u64,
}

/// A notification that waits to be merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its number.
    pub notification: i64,
    /// Its message.
    pub message: Message,
    /// Every alert it stands for.
    pub alerts: Vec<(AlertId, NoteStatus)>,
}

/// A delivery whose attempt may begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Its number.
    pub delivery: i64,
    /// Idempotency key.
    pub key: String,
    /// Key of the incident's first message to this recipient by this channel.
    pub thread: Option<String>,
    /// The recipient.
    pub recipient: String,
    /// Which attempt this is; the first is 1.
    pub attempt: u32,
    /// Civil time the message was written.
    pub created_at: Timestamp,
    /// The message.
    pub message: Message,
    /// What is known of attempts that were never answered; `None` when there was none.
    pub unanswered: Option<Unanswered>,
}

/// A delivery as its key finds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// The channel's name.
    pub channel: String,
    /// The recipient.
    pub recipient: String,
    /// The message.
    pub message: Message,
    /// The alerts it told as firing, each as bad as it told.
    pub firing: Vec<(AlertId, Severity)>,
}

/// How an attempt ended, and what becomes of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The delivery.
    pub delivery: i64,
    /// Civil time it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub millis: u64,
    /// `delivered`, `accepted`, `transient`, `permanent` or `unknown`.
    pub outcome: &'static str,
    /// The provider's answer or what went wrong.
    pub detail: String,
    /// The provider's id.
    pub provider_id: String,
    /// The delivery's state from now on.
    pub state: DeliveryState,
    /// Civil time before which it is not tried again.
    pub not_before: Timestamp,
    /// Civil time of this decision.
    pub decided_at: Timestamp,
}

/// The durable state, written by one process.
pub trait Store: Send {
    /// Reads what is open.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Writes a step.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the step is written then.
    fn commit(&mut self, step: &Step) -> Result<(), StoreError>;

    /// The notifications that wait for a receiver, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn waiting(&mut self, receiver: &str) -> Result<Vec<Waiting>, StoreError>;

    /// Takes the next delivery of a channel to one of its recipients: the worst first, and never one whose incident has an earlier one to the
    /// same recipient under way.
    ///
    /// # Errors
    /// [`StoreError`].
    fn lease(
        &mut self,
        channel: &str,
        recipients: &[String],
        civil_now: Timestamp,
    ) -> Result<Option<Lease>, StoreError>;

    /// Civil time at which the next delivery of a channel may be tried, of those that must still wait.
    ///
    /// # Errors
    /// [`StoreError`].
    fn next_due(&mut self, channel: &str, civil_now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Records the end of an attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish(&mut self, finished: &Finished) -> Result<(), StoreError>;

    /// Ends what acknowledged incidents have not sent by these channels; says how many ended.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hush(
        &mut self,
        incidents: &[String],
        channels: &[String],
        civil_now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// The delivery of an idempotency key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn addressed(&mut self, key: &str) -> Result<Option<Addressed>, StoreError>;

    /// A provider says by itself that it has a message: when nobody knew, its delivery is `accepted`. Says whether that
    /// was news.
    ///
    /// # Errors
    /// [`StoreError`].
    fn learn(&mut self, key: &str, provider_id: &str, civil_now: Timestamp) -> Result<bool, StoreError>;

    /// The key links are signed with: the one kept here, or this one, which is kept from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn link_key(&mut self, fresh: &Secret) -> Result<Secret, StoreError>;

    /// Puts back what was under way when a process ended; says how many. Their outcome is unknown: they are sent again
    /// with the same key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release_leases(&mut self, civil_now: Timestamp) -> Result<usize, StoreError>;

    /// Puts back the deliveries of a channel that were leased before a civil time, but for those that are held; says
    /// how many. Their outcome is unknown.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release_forgotten(
        &mut self,
        channel: &str,
        leased_before: Timestamp,
        held: &[i64],
        civil_now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Gives deliveries whose recipient is reached by another channel of the same receiver and type to that one, and
    /// ends the queued ones that no channel carries; says how many ended.
    ///
    /// # Errors
    /// [`StoreError`].
    fn suppress_orphans(&mut self, slots: &[ChannelSlot], civil_now: Timestamp) -> Result<usize, StoreError>;

    /// Keeps the zone for readers without a configuration.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_timezone(&mut self, zone: chrono_tz::Tz) -> Result<(), StoreError>;

    /// Deletes closed alerts that changed last before a domain time, and messages written before a civil time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune(&mut self, domain_before: Timestamp, civil_before: Timestamp) -> Result<usize, StoreError>;

    /// How many deliveries wait or are under way.
    ///
    /// # Errors
    /// [`StoreError`].
    fn queue_depth(&mut self) -> Result<u64, StoreError>;
}
