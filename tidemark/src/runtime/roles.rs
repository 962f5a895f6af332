//! Which part of the work this process does.

use std::sync::Arc;

use model::Positions;
use queue::Log;

use crate::cli::Role;

/// Partition the detector writes.
const DETECTOR_PARTITION: &str = "detector";

/// The partitions of the log, each with the role that writes it.
pub(super) const PARTITIONS: [(Role, &str); 4] = [
    (Role::Collector, "collector"),
    (Role::Detector, DETECTOR_PARTITION),
    (Role::Store, "store"),
    (Role::Notifier, "notifier"),
];

/// A role's partition, when this process has the role.
pub(super) fn partition_of(logs: &[(Role, Arc<Log>)], role: Role) -> Option<&Arc<Log>> {
    logs.iter().find(|(own, _)| *own == role).map(|(_, log)| log)
}

/// A set of roles, in the order of the data's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Role>);

impl Roles {
    /// Everything in one process.
    pub(crate) fn all() -> Self {
        Self(vec![Role::Collector, Role::Store, Role::Detector, Role::Notifier, Role::Console])
    }

    /// Those asked for; all when none is.
    ///
    /// # Errors
    /// When `console` is asked for without `store`: the embedded store is read by the process that writes it.
    pub(crate) fn of(asked: &[Role]) -> Result<Self, String> {
        if asked.is_empty() {
            return Ok(Self::all());
        }
        let mut roles = Self::all();
        roles.0.retain(|role| asked.contains(role));
        if roles.has(Role::Console) && !roles.has(Role::Store) {
            return Err(
                "role `console` needs role `store` in the same process: the embedded store has one".into()
            );
        }
        Ok(roles)
    }

    /// Whether this process does it.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Their names, in the order of the data's way; each is a lock to hold, so that no two processes do the same work
    /// on one folder.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|role| role.as_str()).collect()
    }
}

/// The part of a position the detector must reach: its own output is not its input.
pub(super) fn input_of_detector(end: &Positions) -> Positions {
    let mut input = end.clone();
    input.0.remove(DETECTOR_PARTITION);
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_means_every_role() {
        assert_eq!(Roles::of(&[]), Ok(Roles::all()));
        assert!(Roles::of(&[Role::Collector]).is_ok_and(|roles| !roles.has(Role::Store)));
    }

    #[test]
    fn a_console_without_its_store_is_refused() {
        assert!(Roles::of(&[Role::Console]).is_err());
        assert!(Roles::of(&[Role::Console, Role::Store]).is_ok());
    }
}
