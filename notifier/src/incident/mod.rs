//! The life of alerts, and of the groups in which people hear of them. Pure: no clock, no database, no network.
//!
//! An incident is one life of one group: from the first alert that joins it to the message that says the last one is
//! over. The [`Book`] holds what is open; each of its operations changes it and notes what a transaction must write
//! ([`crate::store::Step`]). A group's timers are absolute instants of domain time.

mod acknowledge;
mod book;
mod digest;
mod flush;
mod life;
mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertId, AlertTransition, Labels, Severity, Timestamp};

use crate::message::NoteStatus;
use crate::message::sentence::Told;
use crate::view::{Acknowledgement, AlertState};

pub use book::Book;
pub use flush::Now;
pub(crate) use flush::key;

/// What is to be done with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It never fired: nothing.
    Quiet,
    /// It fired in history that was taken in afterwards: never told.
    Backfill,
    /// It fired longer ago than `alert_max_age` when it was consumed: waits for the end of the backlog.
    Held,
    /// It is in its groups.
    Active,
    /// It was over before anybody could be told: the next digest names it.
    Digest,
    /// Nothing more.
    Closed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 6] =
        [Self::Quiet, Self::Backfill, Self::Held, Self::Active, Self::Digest, Self::Closed];

    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Backfill => "backfill",
            Self::Held => "held",
            Self::Active => "active",
            Self::Digest => "digest",
            Self::Closed => "closed",
        }
    }
}

/// One life of one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Which.
    pub id: AlertId,
    /// Its state.
    pub state: AlertState,
    /// What is to be done with it.
    pub phase: Phase,
    /// Its severity now.
    pub severity: Severity,
    /// The labels matchers see.
    pub labels: Labels,
    /// Domain time it turned to firing.
    pub fired_at: Option<Timestamp>,
    /// Domain time at which that was consumed.
    pub seen_at: Option<Timestamp>,
    /// Domain time it was over.
    pub resolved_at: Option<Timestamp>,
    /// Domain time of its last transition.
    pub updated_at: Timestamp,
    /// Why people are not told now.
    pub suppressed_by: Option<String>,
    /// Whether a message named it.
    pub told: bool,
    /// Who has it in hand, and as bad as what.
    pub acknowledged: Option<Acknowledgement>,
    /// The transition that made it fire, or changed its severity last.
    pub fired: Option<Arc<AlertTransition>>,
    /// The last transition.
    pub last: Arc<AlertTransition>,
}

impl Alert {
    /// An alert nothing is known of but one transition.
    pub fn new(transition: Arc<AlertTransition>) -> Self {
        Self {
            id: transition.id,
            state: AlertState::Pending,
            phase: Phase::Quiet,
            severity: transition.severity,
            labels: transition.labels.clone(),
            fired_at: None,
            seen_at: None,
            resolved_at: None,
            updated_at: transition.window.end,
            suppressed_by: None,
            told: false,
            acknowledged: None,
            fired: None,
            last: transition,
        }
    }

    /// Whether it fires.
    pub fn fires(&self) -> bool {
        self.state == AlertState::Firing
    }

    /// What sentences about it are made of.
    pub fn told(&self, seen_from: Timestamp, zone: chrono_tz::Tz) -> Told<'_> {
        let status =
            if self.state == AlertState::Resolved { NoteStatus::Resolved } else { NoteStatus::Firing };
        Told { fired: self.fired.as_ref().unwrap_or(&self.last), last: &self.last, status, seen_from, zone }
    }
}

/// An alert's place in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The severity the receiver was told last; `None` when it never was.
    pub told: Option<Severity>,
    /// Whether the alert's route is another one now: only its end is told here.
    pub left: bool,
}

/// A group: receiver path and group labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Route, receiver and group labels.
    pub key: String,
    /// The route's key.
    pub route: String,
    /// The receiver's name.
    pub receiver: String,
    /// What its alerts were grouped by.
    pub labels: Labels,
    /// The incident this life of the group is.
    pub incident: String,
    /// Domain time it began.
    pub created_at: Timestamp,
    /// Domain time of its next flush.
    pub flush_at: Option<Timestamp>,
    /// Domain time of its last message.
    pub last_notified: Option<Timestamp>,
    /// How many messages it sent.
    pub sequence: u64,
    /// Its alerts.
    pub members: BTreeMap<AlertId, Member>,
}
