//! What a transition changes: an alert begins, rises, falls, ends.

use std::sync::Arc;

use model::{AlertId, AlertTransition, Origin, Position, Timestamp, Transition};

use super::places::Cause;
use super::{Alert, Book, Phase};
use crate::plan::Plan;
use crate::view::AlertState;

impl Book {
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
        let worse = alert.acknowledged.as_ref().is_some_and(|ack| alert.severity < ack.severity);
        if worse || !fired_before {
            alert.acknowledged = None;
        }
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
}

/// Whether it lasted long enough to be told, but was over already when the notifier first heard of it.
fn was_over_before_seen(alert: &Alert, plan: &Plan) -> bool {
    let (Some(fired), Some(seen), Some(resolved)) = (alert.fired_at, alert.seen_at, alert.resolved_at) else {
        return false;
    };
    let wait = plan.targets(&alert.labels, alert.severity).iter().map(|route| route.group_wait).min();
    seen >= resolved && resolved.since(fired) >= wait.unwrap_or_default()
}
