//! What is open, in memory, and what of it the next transaction must write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{AlertId, AlertTransition, Position, Positions, Timestamp};

use super::{Alert, Group, Phase};
use crate::plan::Plan;
use crate::stages::rate::Bucket;
use crate::store::{Loaded, NewNotification, Step, Suppression};
use crate::view::{Acknowledgement, AlertState};

/// Everything that is open. What is closed is in the database alone.
#[derive(Debug, Default)]
pub struct Book {
    pub(super) alerts: HashMap<AlertId, Alert>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) buckets: BTreeMap<String, Bucket>,
    pub(super) places: HashMap<AlertId, BTreeSet<String>>,
    pub(super) timers: BTreeSet<(Timestamp, String)>,
    pub(super) open_lives: HashMap<u64, AlertId>,
    /// Who is not told because this alert fires.
    pub(super) inhibits: HashMap<AlertId, BTreeSet<AlertId>>,
    pub(super) next_number: u64,
    pub(super) changes: Changes,
}

/// What the next transaction must write.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) transitions: Vec<(Position, Arc<AlertTransition>)>,
    positions: Option<Positions>,
    alerts: BTreeSet<AlertId>,
    pub(super) groups: BTreeSet<String>,
    pub(super) members: BTreeSet<(String, AlertId)>,
    buckets: BTreeSet<String>,
    suppressions: Vec<Suppression>,
    notifications: Vec<NewNotification>,
    released: Vec<i64>,
    pub(super) acknowledgements: Vec<(AlertId, Acknowledgement)>,
    /// Incidents whose calls are not made any more.
    pub(super) hushed: BTreeSet<String>,
}

impl Book {
    /// Takes up what the database holds.
    pub fn new(loaded: Loaded) -> Self {
        let mut book = Self { next_number: loaded.next_number, ..Self::default() };
        book.buckets = loaded.buckets;
        for alert in loaded.alerts {
            book.index_inhibition(&alert);
            if alert.state != AlertState::Resolved {
                book.open_lives.insert(alert.id.fingerprint, alert.id);
            }
            book.alerts.insert(alert.id, alert);
        }
        for group in loaded.groups {
            for id in group.members.keys() {
                book.places.entry(*id).or_default().insert(group.key.clone());
            }
            book.timers.extend(group.flush_at.map(|at| (at, group.key.clone())));
            book.groups.insert(group.key.clone(), group);
        }
        book
    }

    /// The next instant at which a group flushes or a receiver's waiting messages are merged.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let flush = self.timers.first().map(|(at, _)| *at);
        let merge = self.buckets.values().filter_map(|bucket| bucket.merge_at).min();
        flush.into_iter().chain(merge).min()
    }

    /// The groups whose time has come.
    pub fn due_groups(&self, now: Timestamp) -> Vec<String> {
        self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone()).collect()
    }

    /// The receivers whose waiting messages are to be merged.
    pub fn due_merges(&self, now: Timestamp) -> Vec<String> {
        let due = |bucket: &Bucket| bucket.merge_at.is_some_and(|at| at <= now);
        self.buckets.iter().filter(|(_, bucket)| due(bucket)).map(|(name, _)| name.clone()).collect()
    }

    /// Whether something waits for the end of the backlog.
    pub fn waits_for_backlog(&self) -> bool {
        self.alerts.values().any(|alert| matches!(alert.phase, Phase::Held | Phase::Digest))
    }

    /// The alerts that fire, in order of their id.
    pub fn firing(&self) -> Vec<&Alert> {
        let mut firing: Vec<&Alert> = self.alerts.values().filter(|alert| alert.fires()).collect();
        firing.sort_by_key(|alert| alert.id);
        firing
    }

    /// How many alerts are open in a state.
    pub fn count(&self, state: AlertState) -> usize {
        self.alerts.values().filter(|alert| alert.state == state).count()
    }

    /// Notes how far the log was read.
    pub fn advance(&mut self, positions: Positions) {
        self.changes.positions = Some(positions);
    }

    fn index_inhibition(&mut self, alert: &Alert) {
        let by = alert.suppressed_by.as_deref().and_then(|why| why.strip_prefix("inhibited:")?.parse().ok());
        if let Some(source) = by {
            self.inhibits.entry(source).or_default().insert(alert.id);
        }
    }

    /// Says why an alert is not told now; `None` when it is.
    pub(super) fn set_suppressed_by(&mut self, id: AlertId, why: Option<String>) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        // Having no channel or being history does not pass by itself.
        let lasting = alert
            .suppressed_by
            .as_deref()
            .is_some_and(|by| !by.starts_with("muted") && !by.starts_with("inhibited"));
        if alert.suppressed_by != why && !lasting {
            alert.suppressed_by = why;
            let alert = alert.clone();
            self.index_inhibition(&alert);
            self.touch(id);
        }
    }

    /// Notes that an alert is not told, for good.
    pub(super) fn suppress(&mut self, id: AlertId, reason: String, now: Timestamp) {
        if let Some(alert) = self.alerts.get_mut(&id) {
            alert.suppressed_by.get_or_insert_with(|| reason.clone());
            self.touch(id);
        }
        self.changes.suppressions.push(Suppression { alert: id, at: now, reason });
    }

    pub(super) fn set_phase(&mut self, id: AlertId, phase: Phase) {
        if let Some(alert) = self.alerts.get_mut(&id) {
            alert.phase = phase;
        }
        self.touch(id);
    }

    pub(super) fn touch(&mut self, id: AlertId) {
        self.changes.alerts.insert(id);
    }

    pub(super) fn touch_group(&mut self, key: &str) {
        self.changes.groups.insert(key.to_owned());
    }

    pub(super) fn bucket(&mut self, receiver: &str, plan: &Plan, now: Timestamp) -> &mut Bucket {
        self.changes.buckets.insert(receiver.to_owned());
        let limit = plan.rate_limit(receiver);
        self.buckets.entry(receiver.to_owned()).or_insert_with(|| Bucket::full(&limit, now))
    }

    pub(super) fn notify(&mut self, notification: NewNotification) {
        self.changes.notifications.push(notification);
    }

    pub(super) fn release(&mut self, notification: i64) {
        self.changes.released.push(notification);
    }

    /// Whether there is anything to write.
    pub fn is_changed(&self) -> bool {
        let changes = &self.changes;
        changes.positions.is_some()
            || !changes.transitions.is_empty()
            || !changes.alerts.is_empty()
            || !changes.groups.is_empty()
            || !changes.members.is_empty()
            || !changes.buckets.is_empty()
            || !changes.released.is_empty()
            || !changes.hushed.is_empty()
    }

    /// What is to be written in one transaction; closed alerts leave the book. When the transaction fails the book is
    /// to be thrown away and loaded anew.
    pub fn take_step(&mut self, civil_now: Timestamp) -> Step {
        let changes = std::mem::take(&mut self.changes);
        let alerts: Vec<Alert> =
            changes.alerts.iter().filter_map(|id| self.alerts.get(id).cloned()).collect();
        for alert in alerts.iter().filter(|alert| alert.phase == Phase::Closed) {
            self.alerts.remove(&alert.id);
            self.inhibits.remove(&alert.id);
        }
        let (mut groups, mut dropped_groups) = (Vec::new(), Vec::new());
        for key in changes.groups {
            match self.groups.get(&key) {
                Some(group) => groups.push(Group { members: BTreeMap::new(), ..group.clone() }),
                None => dropped_groups.push(key),
            }
        }
        let members = changes.members.into_iter().map(|(key, id)| {
            let member = self.member(&key, id);
            (key, id, member)
        });
        Step {
            civil_now,
            members: members.collect(),
            positions: changes.positions,
            transitions: changes.transitions,
            alerts,
            groups,
            dropped_groups,
            buckets: changes
                .buckets
                .into_iter()
                .filter_map(|name| self.buckets.get(&name).cloned().map(|b| (name, b)))
                .collect(),
            suppressions: changes.suppressions,
            notifications: changes.notifications,
            released: changes.released,
            acknowledgements: changes.acknowledgements,
            hushed: changes.hushed.into_iter().collect(),
            hushable: Vec::new(),
            next_number: self.next_number,
        }
    }
}
