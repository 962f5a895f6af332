//! Where alerts stand: which groups they are in, and when those flush.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{AlertId, Severity, Timestamp};

use super::{Alert, Book, Group, Member, Phase};
use crate::plan::Plan;
use crate::route::Route;

/// Why an alert is routed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It fires, or its severity fell.
    Transition,
    /// Its severity rose: that is told at once.
    Rise,
    /// The configuration may have changed: where it stands already nothing is planned anew.
    Configuration,
}

impl Book {
    /// Routes everything anew, after the configuration changed.
    pub fn reroute_all(&mut self, now: Timestamp, plan: &Plan) {
        self.heal_timers(now, plan);
        let orphaned: Vec<(String, AlertId)> = self
            .groups
            .values()
            .filter(|group| plan.receiver(&group.receiver).is_none())
            .flat_map(|group| group.members.keys().map(|id| (group.key.clone(), *id)))
            .collect();
        for (key, id) in orphaned {
            self.remove_member(&key, id);
        }
        let mut open: Vec<AlertId> =
            self.alerts.values().filter(|a| a.phase == Phase::Active).map(|a| a.id).collect();
        open.sort_unstable();
        for id in open {
            if self.alerts.get(&id).is_some_and(Alert::fires) {
                self.reroute(id, Cause::Configuration, now, plan);
            } else {
                self.close_if_done(id, now, plan);
            }
        }
    }

    /// After domain time went back, no timer may lie further ahead than the route's own times allow.
    pub fn heal_timers(&mut self, now: Timestamp, plan: &Plan) {
        let ahead: Vec<String> = self
            .groups
            .values()
            .filter(|group| group.created_at > now || group.last_notified.is_some_and(|at| at > now))
            .map(|group| group.key.clone())
            .collect();
        for key in ahead {
            let Some(group) = self.groups.get_mut(&key) else { continue };
            group.created_at = group.created_at.min(now);
            group.last_notified = group.last_notified.map(|at| at.min(now));
            let wait = plan.routes.get(&group.route).map_or(Duration::ZERO, |route| route.group_wait);
            self.changes.groups.insert(key.clone());
            self.schedule(&key, now + wait);
        }
    }

    /// Puts an alert into the groups its routes give it. A place on another route of the same receiver takes over what
    /// was told at the place before; at the other places only the end will be told, or nothing when the beginning was
    /// not.
    pub(super) fn reroute(&mut self, id: AlertId, cause: Cause, now: Timestamp, plan: &Plan) {
        let Some(alert) = self.alerts.get(&id) else { return };
        let (severity, labels) = (alert.severity, alert.labels.clone());
        let mut wanted = BTreeSet::new();
        for route in plan.targets(&labels, severity) {
            let key = self.ensure_group(route, &labels, severity, now);
            wanted.insert(key);
        }
        let mut leaving: Vec<String> =
            self.places_of(id).into_iter().filter(|key| !wanted.contains(key)).collect();
        for key in &wanted {
            let is_new = self.member(key, id).is_none();
            self.join(key, id, &mut leaving);
            if is_new || cause != Cause::Configuration {
                self.plan_change(key, id, severity, cause, now, plan);
            }
        }
        for key in leaving {
            match self.member(&key, id) {
                Some(Member { told: Some(_), .. }) => self.set_member(&key, id, |member| member.left = true),
                _ => self.remove_member(&key, id),
            }
        }
    }

    /// Plans the flush that tells of a member, when there is something to tell. A rise does not wait.
    pub(super) fn plan_change(
        &mut self,
        key: &str,
        id: AlertId,
        severity: Severity,
        cause: Cause,
        now: Timestamp,
        plan: &Plan,
    ) {
        let told = self.member(key, id).and_then(|member| member.told);
        if cause == Cause::Rise || told.is_some_and(|told| severity < told) {
            self.schedule(key, now);
        } else if told != Some(severity) {
            let at = self.change_time(key, now, plan);
            self.schedule(key, at);
        }
    }

    pub(super) fn join(&mut self, key: &str, id: AlertId, leaving: &mut Vec<String>) {
        if self.member(key, id).is_some() {
            return self.set_member(key, id, |member| member.left = false);
        }
        let receiver = self.groups.get(key).map(|group| group.receiver.clone());
        let moved = leaving
            .iter()
            .position(|old| self.groups.get(old).map(|group| &group.receiver) == receiver.as_ref());
        let told = moved.and_then(|at| self.member(&leaving[at], id)).and_then(|member| member.told);
        if let Some(at) = moved {
            let old = leaving.remove(at);
            self.remove_member(&old, id);
        }
        self.set_member(key, id, |member| *member = Member { told, left: false });
    }

    pub(super) fn ensure_group(
        &mut self,
        route: &Route,
        labels: &model::Labels,
        severity: Severity,
        now: Timestamp,
    ) -> String {
        let group_labels = route.group_labels(labels, severity);
        let key = format!("{}@{}:{group_labels}", route.key, route.receiver);
        if !self.groups.contains_key(&key) {
            let group = Group {
                key: key.clone(),
                route: route.key.clone(),
                receiver: route.receiver.clone(),
                labels: group_labels,
                incident: self.new_incident("inc"),
                created_at: now,
                flush_at: None,
                last_notified: None,
                sequence: 0,
                members: BTreeMap::new(),
            };
            self.groups.insert(key.clone(), group);
            self.changes.groups.insert(key.clone());
        }
        key
    }

    /// A name no incident, digest or summary had before.
    pub(super) fn new_incident(&mut self, prefix: &str) -> String {
        self.next_number += 1;
        format!("{prefix}-{}", self.next_number)
    }

    /// When a change of a group is told: a new one waits `group_wait`, one that has told `group_interval` too.
    pub(super) fn change_time(&self, key: &str, now: Timestamp, plan: &Plan) -> Timestamp {
        let Some(group) = self.groups.get(key) else { return now };
        let Some(route) = plan.routes.get(&group.route) else { return now };
        let after_wait = now + route.group_wait;
        group.last_notified.map_or(after_wait, |told| after_wait.max(told + route.group_interval))
    }

    /// Flushes a group at an instant, or earlier when that is planned already.
    pub(super) fn schedule(&mut self, key: &str, at: Timestamp) {
        let planned = self.groups.get(key).and_then(|group| group.flush_at);
        self.set_timer(key, Some(planned.map_or(at, |planned| planned.min(at))));
    }

    /// Sets a group's next flush.
    pub(super) fn set_timer(&mut self, key: &str, at: Option<Timestamp>) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let before = std::mem::replace(&mut group.flush_at, at);
        if before != at {
            if let Some(before) = before {
                self.timers.remove(&(before, key.to_owned()));
            }
            self.timers.extend(at.map(|at| (at, key.to_owned())));
            self.changes.groups.insert(key.to_owned());
        }
    }

    pub(super) fn wake_inhibited(&mut self, source: AlertId, now: Timestamp, plan: &Plan) {
        for id in self.inhibits.remove(&source).unwrap_or_default() {
            for key in self.places_of(id) {
                let at = self.change_time(&key, now, plan);
                self.schedule(&key, at);
            }
        }
    }

    pub(super) fn places_of(&self, id: AlertId) -> Vec<String> {
        self.places.get(&id).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn member(&self, key: &str, id: AlertId) -> Option<Member> {
        self.groups.get(key)?.members.get(&id).copied()
    }

    pub(super) fn set_member(&mut self, key: &str, id: AlertId, edit: impl FnOnce(&mut Member)) {
        let Some(group) = self.groups.get_mut(key) else { return };
        edit(group.members.entry(id).or_default());
        self.places.entry(id).or_default().insert(key.to_owned());
        self.changes.members.insert((key.to_owned(), id));
    }

    /// Takes an alert out of a group; a group without alerts is over.
    pub(super) fn remove_member(&mut self, key: &str, id: AlertId) {
        if let Some(keys) = self.places.get_mut(&id) {
            keys.remove(key);
            if keys.is_empty() {
                self.places.remove(&id);
            }
        }
        let Some(group) = self.groups.get_mut(key) else { return };
        group.members.remove(&id);
        let empty = group.members.is_empty();
        self.changes.members.insert((key.to_owned(), id));
        if empty {
            self.set_timer(key, None);
            self.groups.remove(key);
            self.changes.groups.insert(key.to_owned());
        }
    }
}
