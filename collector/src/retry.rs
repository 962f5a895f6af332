//! When the log is offered again what it refused: after 5 s, then twice as long each time, up to a minute.
//!
//! Monotonic time, so that neither an accelerated nor a corrected clock changes the pace. A tick that comes first takes
//! what was refused along; a refusal then counts like that of any other offer.

use std::future::pending;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use model::{Clock, Monotonic};

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// The next offer, if there is anything to offer.
#[derive(Default)]
pub(crate) struct Retry(Option<Next>);

struct Next {
    at: Monotonic,
    backoff: ExponentialBackoff,
}

impl Retry {
    /// The log refused.
    pub(crate) fn refused(&mut self, now: Monotonic) {
        let mut backoff = self.0.take().map_or_else(backoff, |next| next.backoff);
        let wait = backoff.next().unwrap_or(LONGEST);
        self.0 = Some(Next { at: now + wait, backoff });
    }

    /// The log has everything; says whether it had refused before.
    pub(crate) fn taken(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Whether something waits that was refused.
    pub(crate) fn waits(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the time of the next offer; for ever when there is nothing to offer.
    pub(crate) async fn due(&self, clock: &dyn Clock) {
        match &self.0 {
            Some(next) => clock.sleep(next.at.saturating_sub(clock.monotonic_now())).await,
            None => pending().await,
        }
    }
}

fn backoff() -> ExponentialBackoff {
    let steps = ExponentialBuilder::default().with_min_delay(FIRST).with_max_delay(LONGEST);
    steps.without_max_times().build()
}
