//! The machine's clock: the one place in Tidemark that reads it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{Clock, Monotonic, Sleep, Timestamp};

/// Domain sleeps look at the wall clock at least this often, so that a jump of the machine's clock is noticed.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// Real time: domain time and civil time are the machine's wall clock, monotonic time its monotonic clock.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is handed in everywhere else")]
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that is handed in everywhere else")]
fn wall_clock() -> Timestamp {
    let signed = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    };
    Timestamp::from_nanos(signed)
}

impl Clock for SystemClock {
    fn domain_now(&self) -> Timestamp {
        wall_clock()
    }

    fn civil_now(&self) -> Timestamp {
        wall_clock()
    }

    fn monotonic_now(&self) -> Monotonic {
        self.started.elapsed()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        Box::pin(async move {
            loop {
                let now = wall_clock();
                if now >= at {
                    return;
                }
                tokio::time::sleep(at.since(now).min(LONGEST_NAP)).await;
            }
        })
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}
