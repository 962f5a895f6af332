//! The clock and its three faces.
//!
//! Nothing in Tidemark reads the machine's time but through a [`Clock`] that was handed in, so that tests run days in
//! milliseconds and the demo runs at sixty times life.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::Timestamp;

/// A pending sleep; dropping it cancels it.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A reading of monotonic time: time since the clock was made. Never goes back.
pub type Monotonic = Duration;

/// Time, handed in.
///
/// * **domain time** rules schedules, windows and group timers; it may be accelerated (the demo) and may jump.
/// * **civil time** stamps `appended_at`, signatures, message dates, link expiry and logs; it is never accelerated.
/// * **monotonic time** measures deadlines and backoff; it is never accelerated and never goes back.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in domain time.
    fn domain_now(&self) -> Timestamp;
    /// Now, in civil time.
    fn civil_now(&self) -> Timestamp;
    /// Now, in monotonic time.
    fn monotonic_now(&self) -> Monotonic;
    /// Completes once domain time has reached `at` (at once when it has already), also after a jump of the clock.
    fn sleep_until(&self, at: Timestamp) -> Sleep;
    /// Completes once this much monotonic time has passed.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// A clock for tests: all three faces stand still until [`ManualClock::advance`] moves them.
#[derive(Clone, Debug)]
pub struct ManualClock {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    domain: Timestamp,
    civil: Timestamp,
    monotonic: Duration,
    wakers: Vec<Waker>,
}

impl ManualClock {
    /// A clock whose domain and civil time are `now`.
    pub fn new(now: Timestamp) -> Self {
        let inner = Inner { domain: now, civil: now, monotonic: Duration::ZERO, wakers: Vec::new() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Moves all three faces forward and wakes whoever sleeps.
    pub fn advance(&self, by: Duration) {
        self.change(|inner| {
            inner.domain = inner.domain + by;
            inner.civil = inner.civil + by;
            inner.monotonic += by;
        });
    }

    /// Sets domain time alone, forwards or backwards: a machine whose clock was corrected.
    pub fn jump_domain(&self, to: Timestamp) {
        self.change(|inner| inner.domain = to);
    }

    /// How many sleeps are waiting for this clock. Tests wait for it before they advance.
    pub fn sleepers(&self) -> usize {
        self.lock().wakers.len()
    }

    fn change(&self, edit: impl FnOnce(&mut Inner)) {
        let wakers = {
            let mut inner = self.lock();
            edit(&mut inner);
            std::mem::take(&mut inner.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn domain_now(&self) -> Timestamp {
        self.lock().domain
    }

    fn civil_now(&self) -> Timestamp {
        self.lock().civil
    }

    fn monotonic_now(&self) -> Monotonic {
        self.lock().monotonic
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        Box::pin(Until { clock: self.clone(), reached: move |inner: &Inner| inner.domain >= at })
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let end = self.monotonic_now() + duration;
        Box::pin(Until { clock: self.clone(), reached: move |inner: &Inner| inner.monotonic >= end })
    }
}

struct Until<F> {
    clock: ManualClock,
    reached: F,
}

impl<F: Fn(&Inner) -> bool + Unpin> Future for Until<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.clock.lock();
        if (self.reached)(&inner) {
            return Poll::Ready(());
        }
        if !inner.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            inner.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::new(Timestamp::from_secs(0));
        let mut sleep = clock.sleep_until(Timestamp::from_secs(10));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_secs(9));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn a_jump_of_domain_time_leaves_the_other_faces_alone() {
        let clock = ManualClock::new(Timestamp::from_secs(100));
        clock.jump_domain(Timestamp::from_secs(5));
        assert_eq!(clock.domain_now(), Timestamp::from_secs(5));
        assert_eq!(clock.civil_now(), Timestamp::from_secs(100));
        assert_eq!(clock.monotonic_now(), Duration::ZERO);
    }
}
