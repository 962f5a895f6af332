//! The end of a backlog, and messages that were too many: many alerts in one message.

use std::collections::BTreeMap;

use model::{AlertId, Labels, Timestamp};

use super::flush::{Now, deliveries, notes};
use super::places::Cause;
use super::{Alert, Book, Phase};
use crate::message::compose::{Draft, compose};
use crate::message::{AlertNote, Message, MessageKind, NoteStatus};
use crate::plan::{Plan, Receiver};
use crate::store::{NewNotification, Waiting};

impl Book {
    /// The backlog is at its end: what was held and still fires is told now, what is over is named in one digest for
    /// each receiver.
    pub fn settle_backlog(&mut self, now: Now, plan: &Plan) {
        let mut held: Vec<AlertId> = self.in_phase(Phase::Held);
        held.sort_unstable();
        for id in held {
            self.set_phase(id, Phase::Active);
            self.reroute(id, Cause::Transition, now.domain, plan);
            for key in self.places_of(id) {
                self.schedule(&key, now.domain);
            }
        }
        self.send_digests(now, plan);
    }

    fn in_phase(&self, phase: Phase) -> Vec<AlertId> {
        self.alerts.values().filter(|alert| alert.phase == phase).map(|alert| alert.id).collect()
    }

    fn send_digests(&mut self, now: Now, plan: &Plan) {
        let mut over = self.in_phase(Phase::Digest);
        over.sort_unstable();
        let mut lists: BTreeMap<String, Vec<AlertId>> = BTreeMap::new();
        for id in &over {
            match self.digest_receivers(*id, now.domain, plan) {
                Ok(receivers) => {
                    receivers.into_iter().for_each(|name| lists.entry(name).or_default().push(*id))
                }
                Err(reason) => self.suppress(*id, reason, now.domain),
            }
        }
        for (name, ids) in lists {
            if let Some(receiver) = plan.receiver(&name).cloned() {
                self.digest(&receiver, &ids, now, plan);
            }
        }
        for id in over {
            self.set_phase(id, Phase::Closed);
        }
    }

    /// Who would have been told; or why nobody would.
    fn digest_receivers(&self, id: AlertId, now: Timestamp, plan: &Plan) -> Result<Vec<String>, String> {
        let Some(alert) = self.alerts.get(&id) else { return Ok(Vec::new()) };
        let mut receivers = Vec::new();
        let mut why_not = String::new();
        for route in plan.targets(&alert.labels, alert.severity) {
            let reachable = plan.receiver(&route.receiver).is_some_and(|receiver| !receiver.slots.is_empty());
            match route.muted_by(now) {
                Some(muted) => why_not = muted,
                None if !reachable => why_not = format!("no_channel:{}", route.receiver),
                None if receivers.contains(&route.receiver) => {}
                None => receivers.push(route.receiver.clone()),
            }
        }
        if receivers.is_empty() { Err(why_not) } else { Ok(receivers) }
    }

    fn digest(&mut self, receiver: &Receiver, ids: &[AlertId], now: Now, plan: &Plan) {
        let incident = self.new_incident("digest");
        let limit = receiver.config.rate_limit.clone();
        self.bucket(&receiver.config.name, plan, now.domain).take_anyway(&limit, now.domain);
        let alerts: Vec<&Alert> = ids.iter().filter_map(|id| self.alerts.get(id)).collect();
        let notes = notes(alerts, receiver, now.domain, plan);
        let message = many(MessageKind::Digest, incident, receiver, notes, (0, ids.len()), now, plan);
        let alerts = ids.iter().map(|id| (*id, NoteStatus::Resolved)).collect();
        self.notify(together(message, receiver, alerts, Vec::new()));
        for id in ids {
            if let Some(alert) = self.alerts.get_mut(id) {
                alert.told = true;
            }
        }
    }

    /// Merges the messages that wait for a receiver into one summary; a single one goes out as it is.
    pub fn merge(&mut self, name: &str, waiting: Vec<Waiting>, now: Now, plan: &Plan) {
        let limit = plan.rate_limit(name);
        let bucket = self.bucket(name, plan, now.domain);
        bucket.merge_at = None;
        let Some(receiver) = plan.receiver(name).cloned() else { return };
        if waiting.is_empty() {
            return;
        }
        bucket.take_anyway(&limit, now.domain);
        if let [only] = waiting.as_slice() {
            return self.release(only.notification);
        }
        let incident = self.new_incident("summary");
        let (mut last_word, mut notes) = (BTreeMap::new(), BTreeMap::<AlertId, AlertNote>::new());
        let mut merges = Vec::new();
        for one in waiting {
            merges.push(one.notification);
            last_word.extend(one.alerts);
            notes.extend(one.message.alerts.into_iter().map(|note| (note.id, note)));
        }
        let firing = last_word.values().filter(|status| **status == NoteStatus::Firing).count();
        let counts = (firing, last_word.len() - firing);
        let notes = notes.into_values().collect();
        let message = many(MessageKind::Summary, incident, &receiver, notes, counts, now, plan);
        self.notify(together(message, &receiver, last_word.into_iter().collect(), merges));
    }
}

fn many(
    kind: MessageKind,
    incident: String,
    receiver: &Receiver,
    notes: Vec<AlertNote>,
    (firing, resolved): (usize, usize),
    now: Now,
    plan: &Plan,
) -> Message {
    compose(Draft {
        kind,
        group_key: incident.clone(),
        incident,
        receiver: &receiver.config.name,
        language: receiver.language,
        zone: plan.config.timezone,
        group_labels: Labels::default(),
        notes,
        firing,
        resolved,
        at: now.domain,
        created_at: now.civil,
        external_url: plan.config.external_url.as_deref(),
    })
}

fn together(
    message: Message,
    receiver: &Receiver,
    alerts: Vec<(AlertId, NoteStatus)>,
    merges: Vec<i64>,
) -> NewNotification {
    NewNotification {
        deliveries: deliveries(&message, receiver, 1),
        urgency: message.alerts.iter().map(|note| note.severity).min().unwrap_or_default(),
        alerts,
        waiting: false,
        merges,
        message,
    }
}
