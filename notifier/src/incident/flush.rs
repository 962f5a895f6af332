//! A group's time has come: what it has to tell passes the stages and becomes a message, or waits, with its reason.

use model::{AlertId, Severity, Timestamp};
use sha2::{Digest, Sha256};

use super::{Alert, Book};
use crate::message::compose::{Draft, compose, note};
use crate::message::{AlertNote, MAX_NOTES, Message, MessageKind, NoteStatus};
use crate::plan::{Plan, Receiver};
use crate::stages::change::{Change, Standing, compare};
use crate::stages::inhibit::Inhibitor;
use crate::store::{NewDelivery, NewNotification};

/// Now, in both of the times a message speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Domain time.
    pub domain: Timestamp,
    /// Civil time.
    pub civil: Timestamp,
}

impl Book {
    /// Flushes every group whose time has come.
    pub fn flush_due(&mut self, now: Now, plan: &Plan) {
        let due = self.due_groups(now.domain);
        if due.is_empty() {
            return;
        }
        let firing: Vec<(AlertId, model::Labels, Severity)> = match plan.inhibit_rules.is_empty() {
            true => Vec::new(),
            false => {
                self.firing().iter().map(|alert| (alert.id, alert.labels.clone(), alert.severity)).collect()
            }
        };
        let sources = firing.iter().map(|(id, labels, severity)| (*id, labels, *severity));
        let inhibitor = Inhibitor::new(&plan.inhibit_rules, sources);
        for key in due {
            self.flush(&key, now, plan, &inhibitor);
        }
    }

    fn flush(&mut self, key: &str, now: Now, plan: &Plan, inhibitor: &Inhibitor<'_>) {
        let Some(group) = self.groups.get(key) else { return };
        let Some(receiver) = plan.receiver(&group.receiver).cloned() else {
            return self.set_timer(key, None);
        };
        let route = plan.routes.get(&group.route).cloned();
        if let Some((route, why)) =
            route.as_ref().and_then(|route| Some((route, route.muted_by(now.domain)?)))
        {
            self.mute(key, &why);
            return self.set_timer(key, Some(route.unmuted_after(now.domain)));
        }
        let members = self.standings(key, inhibitor);
        let repeat_due = self.groups.get(key).and_then(|group| group.last_notified).is_some_and(|told| {
            route.as_ref().is_some_and(|route| told + route.repeat_interval <= now.domain)
        });
        let change = compare(&members, receiver.config.send_resolved, repeat_due);
        match change.kind {
            Some(_) if receiver.slots.is_empty() => self.tell_nobody(key, &receiver, &members, now),
            Some(kind) => self.tell(key, kind, &change, &receiver, now, plan),
            None => {}
        }
        self.settle_members(key, &change, &members, now, plan);
        self.plan_next(key, &members, now, plan);
    }

    fn mute(&mut self, key: &str, why: &str) {
        let members: Vec<AlertId> =
            self.groups.get(key).map(|g| g.members.keys().copied().collect()).unwrap_or_default();
        for id in members {
            let untold =
                self.groups.get(key).and_then(|g| g.members.get(&id)).is_some_and(|m| m.told.is_none());
            if untold && self.alerts.get(&id).is_some_and(|alert| !alert.told) {
                self.set_suppressed_by(id, Some(why.to_owned()));
            }
        }
    }

    /// The members as they stand, and why those that are inhibited are not told.
    fn standings(&mut self, key: &str, inhibitor: &Inhibitor<'_>) -> Vec<Standing> {
        let mut standings = Vec::new();
        let mut reasons = Vec::new();
        let Some(group) = self.groups.get(key) else { return standings };
        for (id, member) in &group.members {
            let Some(alert) = self.alerts.get(id) else { continue };
            let source =
                alert.fires().then(|| inhibitor.inhibited_by(*id, &alert.labels, alert.severity)).flatten();
            if alert.fires() {
                reasons.push((*id, source.map(|source| format!("inhibited:{source}"))));
            }
            standings.push(Standing {
                id: *id,
                firing: alert.fires(),
                severity: alert.severity,
                told: member.told,
                left: member.left,
                inhibited: source.is_some(),
                in_hand: alert.is_acknowledged(),
            });
        }
        for (id, why) in reasons {
            self.set_suppressed_by(id, why);
        }
        standings
    }

    /// The receiver has no channel: that is the reason why its alerts are not told.
    fn tell_nobody(&mut self, key: &str, receiver: &Receiver, members: &[Standing], now: Now) {
        for member in members.iter().filter(|m| m.firing && m.told.is_none() && !m.inhibited && !m.left) {
            self.suppress(member.id, format!("no_channel:{}", receiver.config.name), now.domain);
        }
        self.count_message(key, now.domain);
    }

    fn tell(
        &mut self,
        key: &str,
        kind: MessageKind,
        change: &Change,
        receiver: &Receiver,
        now: Now,
        plan: &Plan,
    ) {
        let worst = change
            .firing
            .iter()
            .chain(&change.resolved)
            .filter_map(|id| self.alerts.get(id))
            .map(|a| a.severity);
        let worst = worst.min().unwrap_or_default();
        let limit = receiver.config.rate_limit.clone();
        let waiting = !self.bucket(&receiver.config.name, plan, now.domain).take(&limit, worst, now.domain);
        self.count_message(key, now.domain);
        let Some(message) = self.group_message(key, kind, change, receiver, now, plan) else { return };
        let sequence = self.groups.get(key).map_or(0, |group| group.sequence);
        let alerts =
            named(&change.firing, NoteStatus::Firing).chain(named(&change.resolved, NoteStatus::Resolved));
        let notification = NewNotification {
            deliveries: deliveries(&message, receiver, sequence),
            alerts: alerts.collect(),
            urgency: worst,
            waiting,
            merges: Vec::new(),
            message,
        };
        for (id, _) in &notification.alerts {
            if let Some(alert) = self.alerts.get_mut(id) {
                alert.told = true;
            }
            self.touch(*id);
        }
        let in_hand = |id: &AlertId| self.alerts.get(id).is_some_and(Alert::is_acknowledged);
        if !change.firing.is_empty() && change.firing.iter().all(in_hand) {
            self.changes.hushed.insert(notification.message.incident.clone());
        }
        self.notify(notification);
    }

    fn count_message(&mut self, key: &str, now: Timestamp) {
        if let Some(group) = self.groups.get_mut(key) {
            group.sequence += 1;
            group.last_notified = Some(now);
        }
        self.touch_group(key);
    }

    fn group_message(
        &self,
        key: &str,
        kind: MessageKind,
        change: &Change,
        receiver: &Receiver,
        now: Now,
        plan: &Plan,
    ) -> Option<Message> {
        let group = self.groups.get(key)?;
        let listed = change.firing.iter().chain(&change.resolved);
        let alerts: Vec<&Alert> = listed.filter_map(|id| self.alerts.get(id)).collect();
        Some(compose(Draft {
            kind,
            incident: group.incident.clone(),
            group_key: group.key.clone(),
            receiver: &receiver.config.name,
            language: receiver.language,
            zone: plan.config.timezone,
            group_labels: group.labels.clone(),
            notes: notes(alerts, receiver, now.domain, plan),
            firing: change.firing.len(),
            resolved: change.resolved.len(),
            at: now.domain,
            created_at: now.civil,
            external_url: plan.config.external_url.as_deref(),
        }))
    }

    /// Who was told what; what is over leaves the group.
    fn settle_members(&mut self, key: &str, change: &Change, members: &[Standing], now: Now, plan: &Plan) {
        if matches!(change.kind, Some(MessageKind::Firing | MessageKind::Repeat | MessageKind::Resolved)) {
            for id in &change.firing {
                let severity = self.alerts.get(id).map(|alert| alert.severity);
                self.set_member(key, *id, |member| member.told = severity);
            }
        }
        for member in members.iter().filter(|member| !member.firing) {
            self.remove_member(key, member.id);
            self.close_if_done(member.id, now.domain, plan);
        }
    }

    /// The next flush: a repeat of what was told and nobody has in hand, or another look at what is inhibited.
    fn plan_next(&mut self, key: &str, members: &[Standing], now: Now, plan: &Plan) {
        let Some(group) = self.groups.get(key) else { return };
        let Some(route) = plan.routes.get(&group.route) else { return self.set_timer(key, None) };
        let soonest = now.domain + route.group_interval;
        let inhibited = members.iter().any(|m| m.firing && m.inhibited && !m.left);
        let told = members.iter().any(|m| m.firing && !m.inhibited && !m.left && !m.in_hand);
        let repeat = group.last_notified.filter(|_| told).map(|at| at + route.repeat_interval);
        // A repeat that is due and was not told now must not come back at once.
        let repeat = repeat.map(|at| if at <= now.domain { soonest } else { at });
        let next = inhibited.then_some(soonest).into_iter().chain(repeat).min();
        self.set_timer(key, next);
    }
}

fn named(ids: &[AlertId], status: NoteStatus) -> impl Iterator<Item = (AlertId, NoteStatus)> {
    ids.iter().map(move |id| (*id, status))
}

/// The notes of the worst alerts: what fires first, then by severity, then by score.
pub(super) fn notes(
    mut alerts: Vec<&Alert>,
    receiver: &Receiver,
    at: Timestamp,
    plan: &Plan,
) -> Vec<AlertNote> {
    let score = |alert: &Alert| alert.fired.as_ref().map_or(0.0, |t| t.score);
    alerts.sort_by(|a, b| {
        let order = (!a.fires(), a.severity).cmp(&(!b.fires(), b.severity));
        order.then(score(b).total_cmp(&score(a))).then(a.id.cmp(&b.id))
    });
    let url = plan.config.external_url.as_deref();
    let write = |alert: &&Alert| {
        let told = alert.told(at, plan.config.timezone);
        note(&told, alert.id, alert.severity, &alert.labels, receiver.language, url)
    };
    alerts.iter().take(MAX_NOTES).map(write).collect()
}

/// One delivery for each recipient of each channel.
pub(super) fn deliveries(message: &Message, receiver: &Receiver, sequence: u64) -> Vec<NewDelivery> {
    let mut deliveries = Vec::new();
    for slot in &receiver.slots {
        for recipient in &slot.recipients {
            let key = key(&message.incident, message.kind.as_str(), recipient, &slot.name, sequence);
            deliveries.push(NewDelivery { key, channel: slot.name.clone(), recipient: recipient.clone() });
        }
    }
    deliveries
}

/// The idempotency key: the same parts give the same key, for ever.
pub(crate) fn key(incident: &str, step: &str, recipient: &str, channel: &str, sequence: u64) -> String {
    let digest = Sha256::digest(format!("{incident}/{step}/{recipient}/{channel}/{sequence}"));
    digest[..16].iter().fold("msg_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
