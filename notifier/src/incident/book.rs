//! What is open, and what a transition changes in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{AlertId, AlertTransition, Origin, Position, Positions, Severity, Timestamp, Transition};

use super::{Alert, Group, Member, Phase};
use crate::plan::Plan;
use crate::route::Route;
use crate::stages::rate::Bucket;
use crate::store::{Loaded, NewNotification, Step, Suppression};
use crate::view::AlertState;

/// Everything that is open. What is closed is in the database alone.
#[derive(Debug, Default)]
pub struct Book {
    pub(super) alerts: HashMap<AlertId, Alert>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) buckets: BTreeMap<String, Bucket>,
    places: HashMap<AlertId, BTreeSet<String>>,
    timers: BTreeSet<(Timestamp, String)>,
    open_lives: HashMap<u64, AlertId>,
    /// Who is not told because this alert fires.
    inhibits: HashMap<AlertId, BTreeSet<AlertId>>,
    next_number: u64,
    pub(super) changes: Changes,
}

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

/// What the next transaction must write.
#[derive(Debug, Default)]
pub(super) struct Changes {
    transitions: Vec<(Position, Arc<AlertTransition>)>,
    positions: Option<Positions>,
    alerts: BTreeSet<AlertId>,
    groups: BTreeSet<String>,
    members: BTreeSet<(String, AlertId)>,
    buckets: BTreeSet<String>,
    suppressions: Vec<Suppression>,
    notifications: Vec<NewNotification>,
    released: Vec<i64>,
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

    /// Takes one transition in. `now` is domain time.
    pub fn consume(&mut self, position: Position, transition: AlertTransition, now: Timestamp, plan: &Plan) {
        let transition = Arc::new(transition);
        self.changes.transitions.push((position, Arc::clone(&transition)));
        if transition.transition != Transition::Resolved {
            self.supersede(&transition, now, plan);
        }
        match transition.transition {
            Transition::Pending => self.pend(transition),
            Transition::Firing | Transition::SeverityChanged => self.fire(transition, now, plan),
            Transition::Resolved => self.resolve(transition.id, transition, now, plan),
        }
    }

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

    fn pend(&mut self, transition: Arc<AlertTransition>) {
        let id = transition.id;
        if self.alerts.contains_key(&id) {
            return;
        }
        self.open_lives.insert(id.fingerprint, id);
        self.alerts.insert(id, Alert::new(transition));
        self.touch(id);
    }

    fn fire(&mut self, transition: Arc<AlertTransition>, now: Timestamp, plan: &Plan) {
        let (id, at, origin) = (transition.id, transition.window.end, transition.origin);
        self.open_lives.insert(id.fingerprint, id);
        self.touch(id);
        let alert = self.alerts.entry(id).or_insert_with(|| Alert::new(Arc::clone(&transition)));
        let before = std::mem::replace(&mut alert.severity, transition.severity);
        let fired_before = std::mem::replace(&mut alert.state, AlertState::Firing) == AlertState::Firing;
        alert.labels = transition.labels.clone();
        alert.updated_at = at;
        alert.resolved_at = None;
        alert.fired_at.get_or_insert(at);
        alert.seen_at.get_or_insert(now);
        alert.fired = Some(Arc::clone(&transition));
        alert.last = transition;
        let rose = fired_before && alert.severity < before;
        match (alert.phase, origin) {
            (Phase::Active, _) if rose => self.reroute(id, Cause::Rise, now, plan),
            (Phase::Active, _) => self.reroute(id, Cause::Transition, now, plan),
            (Phase::Held, _) => {}
            (_, Origin::Backfill) => {
                alert.phase = Phase::Backfill;
                self.suppress(id, "backfill".to_owned(), now);
            }
            // It fell: no news of something nobody was told of.
            (Phase::Backfill, _) if fired_before && !rose => {}
            _ => self.activate(id, at, now, plan),
        }
    }

    fn activate(&mut self, id: AlertId, at: Timestamp, now: Timestamp, plan: &Plan) {
        let held = now.since(at) > plan.config.alert_max_age;
        if let Some(alert) = self.alerts.get_mut(&id) {
            alert.phase = if held { Phase::Held } else { Phase::Active };
            alert.suppressed_by = None;
        }
        if !held {
            self.reroute(id, Cause::Transition, now, plan);
        }
    }

    /// Two lives of one alert cannot both be open: when a later one begins, the earlier is over.
    fn supersede(&mut self, transition: &Arc<AlertTransition>, now: Timestamp, plan: &Plan) {
        let open = self.open_lives.get(&transition.id.fingerprint).copied();
        if let Some(old) = open.filter(|old| old.starts_at < transition.id.starts_at) {
            self.resolve(old, Arc::clone(transition), now, plan);
        }
    }

    fn resolve(&mut self, id: AlertId, transition: Arc<AlertTransition>, now: Timestamp, plan: &Plan) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        if self.open_lives.get(&id.fingerprint) == Some(&id) {
            self.open_lives.remove(&id.fingerprint);
        }
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(transition.window.end);
        alert.updated_at = transition.window.end;
        alert.last = transition;
        let phase = alert.phase;
        self.touch(id);
        self.wake_inhibited(id, now, plan);
        match phase {
            Phase::Quiet | Phase::Backfill => self.set_phase(id, Phase::Closed),
            Phase::Held => self.set_phase(id, Phase::Digest),
            Phase::Digest | Phase::Closed => {}
            Phase::Active => self.leave_or_tell(id, now, plan),
        }
    }

    /// Where its beginning was told its end will be; elsewhere it was never heard of.
    fn leave_or_tell(&mut self, id: AlertId, now: Timestamp, plan: &Plan) {
        for key in self.places_of(id) {
            let told = self.member(&key, id).is_some_and(|member| member.told.is_some());
            if told {
                let at = self.change_time(&key, now, plan);
                self.schedule(&key, at);
            } else {
                self.remove_member(&key, id);
            }
        }
        self.close_if_done(id, now, plan);
    }

    /// Closes an alert that is over and stands in no group any more.
    pub(super) fn close_if_done(&mut self, id: AlertId, now: Timestamp, plan: &Plan) {
        let Some(alert) = self.alerts.get(&id) else { return };
        if alert.fires() || alert.phase != Phase::Active || self.places.contains_key(&id) {
            return;
        }
        if alert.told {
            return self.set_phase(id, Phase::Closed);
        }
        match (&alert.suppressed_by, was_over_before_seen(alert, plan)) {
            (None, true) => self.set_phase(id, Phase::Digest),
            (reason, _) => {
                let reason = reason.clone().unwrap_or_else(|| "resolved_before_notice".to_owned());
                self.suppress(id, reason, now);
                self.set_phase(id, Phase::Closed);
            }
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
    fn plan_change(
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

    fn join(&mut self, key: &str, id: AlertId, leaving: &mut Vec<String>) {
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

    fn ensure_group(
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

    fn wake_inhibited(&mut self, source: AlertId, now: Timestamp, plan: &Plan) {
        for id in self.inhibits.remove(&source).unwrap_or_default() {
            for key in self.places_of(id) {
                let at = self.change_time(&key, now, plan);
                self.schedule(&key, at);
            }
        }
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

    pub(super) fn places_of(&self, id: AlertId) -> Vec<String> {
        self.places.get(&id).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    fn member(&self, key: &str, id: AlertId) -> Option<Member> {
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
            next_number: self.next_number,
        }
    }
}

/// Whether it lasted long enough to be told, but was over already when the notifier first heard of it.
fn was_over_before_seen(alert: &Alert, plan: &Plan) -> bool {
    let (Some(fired), Some(seen), Some(resolved)) = (alert.fired_at, alert.seen_at, alert.resolved_at) else {
        return false;
    };
    let wait = plan.targets(&alert.labels, alert.severity).iter().map(|route| route.group_wait).min();
    seen >= resolved && resolved.since(fired) >= wait.unwrap_or_default()
}
