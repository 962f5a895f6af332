//! Somebody has it in hand: alerts that are acknowledged are not repeated until they get worse, and calls that were not
//! made yet are dropped.
//!
//! An acknowledgement is of an alert at a severity: a rise above it, or a new alert in the group, is told as ever, and
//! so is the end. A resolve beats an acknowledgement that comes with it.

use model::{AlertId, Severity};

use super::{Alert, Book};
use crate::view::{Acknowledged, Acknowledgement};

impl Alert {
    /// Whether somebody has it in hand as bad as it is now.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged.as_ref().is_some_and(|ack| ack.severity <= self.severity)
    }
}

impl Book {
    /// Takes an acknowledgement of these alerts, each as bad as somebody was told; says what came of it.
    pub fn acknowledge(
        &mut self,
        alerts: &[(AlertId, Severity)],
        by: &str,
        via: &str,
        at: model::Timestamp,
    ) -> Acknowledged {
        let results: Vec<Acknowledged> =
            alerts.iter().map(|(id, told)| self.acknowledge_one(*id, *told, by, via, at)).collect();
        if results.contains(&Acknowledged::Done) {
            let quiet = self.acknowledged_incidents();
            self.changes.hushed.extend(quiet);
        }
        // Nobody is thanked while one of them got worse.
        let order = [Acknowledged::Worse, Acknowledged::Done, Acknowledged::Already, Acknowledged::NotFiring];
        order.into_iter().find(|one| results.contains(one)).unwrap_or(Acknowledged::Resolved)
    }

    fn acknowledge_one(
        &mut self,
        id: AlertId,
        told: Severity,
        by: &str,
        via: &str,
        at: model::Timestamp,
    ) -> Acknowledged {
        let Some(alert) = self.alerts.get_mut(&id) else { return Acknowledged::Resolved };
        match alert.state {
            crate::view::AlertState::Resolved => return Acknowledged::Resolved,
            crate::view::AlertState::Pending => return Acknowledged::NotFiring,
            crate::view::AlertState::Firing => {}
        }
        if alert.severity < told {
            return Acknowledged::Worse;
        }
        if alert.is_acknowledged() {
            return Acknowledged::Already;
        }
        let ack = Acknowledgement { by: by.to_owned(), via: via.to_owned(), at, severity: alert.severity };
        alert.acknowledged = Some(ack.clone());
        self.changes.acknowledgements.push((id, ack));
        self.touch(id);
        Acknowledged::Done
    }

    /// The incidents in which everything that fires is in hand.
    pub fn acknowledged_incidents(&self) -> Vec<String> {
        let in_hand =
            |id: &AlertId| self.alerts.get(id).filter(|alert| alert.fires()).map(Alert::is_acknowledged);
        let groups = self.groups.values().filter(|group| {
            let mut any = false;
            group.members.keys().filter_map(in_hand).all(|quiet| {
                any = true;
                quiet
            }) && any
        });
        groups.map(|group| group.incident.clone()).collect()
    }
}
