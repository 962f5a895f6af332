//! Change: what is there to tell of a group, compared with what its receiver was told last?

use model::{AlertId, Severity};

use crate::message::MessageKind;

/// A member of a group at the moment of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which alert.
    pub id: AlertId,
    /// Whether it fires.
    pub firing: bool,
    /// Its severity.
    pub severity: Severity,
    /// The severity it was last told with; `None` when it never was.
    pub told: Option<Severity>,
    /// Whether its route is another one now: its end is told here, nothing else.
    pub left: bool,
    /// Whether another alert explains it.
    pub inhibited: bool,
    /// Whether somebody has acknowledged it, as bad as it is.
    pub in_hand: bool,
}

/// What a message would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Why it would be sent; `None` when there is nothing to tell.
    pub kind: Option<MessageKind>,
    /// The alerts it would list as firing.
    pub firing: Vec<AlertId>,
    /// The alerts it would list as over.
    pub resolved: Vec<AlertId>,
}

impl Standing {
    /// Whether its receiver has not heard of it as it is. That it is less bad is no news of what somebody has in hand.
    fn is_news(&self) -> bool {
        match self.told {
            None => true,
            Some(told) => self.severity < told || (self.severity > told && !self.in_hand),
        }
    }
}

/// Compares. `repeat_due` says whether what still fires is to be told again; what is in hand is no reason to.
pub fn compare(members: &[Standing], send_resolved: bool, repeat_due: bool) -> Change {
    let firing: Vec<&Standing> = members.iter().filter(|m| m.firing && !m.left && !m.inhibited).collect();
    let resolved: Vec<AlertId> =
        members.iter().filter(|m| !m.firing && m.told.is_some()).map(|m| m.id).collect();
    let news = firing.iter().any(|m| m.is_news());
    let kind = if news {
        Some(MessageKind::Firing)
    } else if send_resolved && !resolved.is_empty() {
        Some(MessageKind::Resolved)
    } else if repeat_due && firing.iter().any(|m| !m.in_hand) {
        Some(MessageKind::Repeat)
    } else {
        None
    };
    let resolved = if send_resolved { resolved } else { Vec::new() };
    Change { kind, firing: firing.iter().map(|m| m.id).collect(), resolved }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageKind::{Firing, Repeat, Resolved};
    use Severity::{P0, P1, P2};
    use model::Timestamp;

    fn member(firing: bool, severity: Severity, told: Option<Severity>) -> Standing {
        let id = AlertId { fingerprint: 1, starts_at: Timestamp::from_secs(0) };
        Standing { id, firing, severity, told, left: false, inhibited: false, in_hand: false }
    }

    /// What, members, whether ends are told, whether a repeat is due, the kind, how many fire and are over.
    type Row<'a> = (&'a str, &'a [Standing], bool, bool, Option<MessageKind>, (usize, usize));

    #[test]
    fn what_there_is_to_tell() {
        let new = member(true, P1, None);
        let told = member(true, P1, Some(P1));
        let risen = member(true, P0, Some(P1));
        let fallen = member(true, P2, Some(P1));
        let over = member(false, P1, Some(P1));
        let over_untold = member(false, P1, None);
        let inhibited = Standing { inhibited: true, ..new };
        let left = Standing { left: true, ..risen };
        let left_over = Standing { left: true, ..over };
        let in_hand = Standing { in_hand: true, ..told };
        let fallen_in_hand = Standing { in_hand: true, ..fallen };
        let new_in_hand = Standing { in_hand: true, ..new };
        let table: [Row<'_>; 20] = [
            ("nothing", &[], true, true, None, (0, 0)),
            ("a new one", &[new], true, false, Some(Firing), (1, 0)),
            ("nothing new", &[told], true, false, None, (1, 0)),
            ("a repeat", &[told], true, true, Some(Repeat), (1, 0)),
            ("a rise", &[told, risen], true, false, Some(Firing), (2, 0)),
            ("a fall", &[fallen], true, false, Some(Firing), (1, 0)),
            ("an end", &[over], true, false, Some(Resolved), (0, 1)),
            ("an end nobody wants", &[over], false, true, None, (0, 0)),
            ("an end among others", &[told, over], true, false, Some(Resolved), (1, 1)),
            ("an end and a new one", &[new, over], true, false, Some(Firing), (1, 1)),
            ("an end nobody was told the beginning of", &[over_untold], true, true, None, (0, 0)),
            ("an inhibited one", &[inhibited], true, true, None, (0, 0)),
            ("one that left rises", &[left], true, true, None, (0, 0)),
            ("one in hand", &[in_hand], true, true, None, (1, 0)),
            ("one in hand and one that is not", &[in_hand, told], true, true, Some(Repeat), (2, 0)),
            ("one in hand and a new one", &[in_hand, new], true, false, Some(Firing), (2, 0)),
            ("one in hand that fell", &[fallen_in_hand], true, true, None, (1, 0)),
            ("one in hand nobody here heard of", &[new_in_hand], true, false, Some(Firing), (1, 0)),
            ("one in hand and an end", &[in_hand, over], true, false, Some(Resolved), (1, 1)),
            ("one that left ends", &[left_over], true, false, Some(Resolved), (0, 1)),
        ];
        for (what, members, send_resolved, repeat_due, kind, counts) in table {
            let change = compare(members, send_resolved, repeat_due);
            assert_eq!((change.kind, (change.firing.len(), change.resolved.len())), (kind, counts), "{what}");
        }
    }
}
