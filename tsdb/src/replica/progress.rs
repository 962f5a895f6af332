//! Waiting for a replica to reach a position.

use model::Positions;
use tokio::sync::watch;

/// How far a replica is.
#[derive(Clone, Debug)]
pub struct Progress {
    visible: watch::Receiver<Positions>,
}

/// The replica ended before it got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replica ended before it reached the asked position")]
pub struct Stopped;

impl Progress {
    pub(super) fn new(visible: watch::Receiver<Positions>) -> Self {
        Self { visible }
    }

    /// The positions up to which every point is visible to readers of the store.
    pub fn visible(&self) -> Positions {
        self.visible.borrow().clone()
    }

    /// Completes once the store shows everything up to `positions` (such as the `end` of an append).
    ///
    /// # Errors
    /// [`Stopped`] when the replica ends before.
    pub async fn wait_until(&self, positions: &Positions) -> Result<(), Stopped> {
        let mut visible = self.visible.clone();
        visible.wait_for(|now| now.covers(positions)).await.map(drop).map_err(|_| Stopped)
    }
}
