//! The demo's clock: domain time that runs faster than life, and can be held: until the history is in, and from the
//! moment the demo is told to stop, so that the next start goes on with the very next minute.
//!
//! While released, domain time is `base + speed * elapsed`, elapsed in monotonic time; while held it stands still. Civil
//! and monotonic time are those of the clock underneath, untouched.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Monotonic, Sleep, Timestamp};
use tokio::sync::watch;

/// How long the demo may run before its domain time has caught up with now.
const RUNNING_TIME: Duration = Duration::from_secs(24 * 3600);
const WEEK_SECS: i64 = 7 * 86_400;
/// Tuesday 1970-01-06, 09:30 in Shanghai (UTC+8, without daylight saving since 1991): 01:30 UTC.
const A_TUESDAY_MORNING_SECS: i64 = 5 * 86_400 + 90 * 60;

/// Domain time at `speed` times life.
#[derive(Clone, Debug)]
pub(crate) struct DemoClock {
    inner: Arc<dyn Clock>,
    speed: f64,
    course: Arc<watch::Sender<Course>>,
}

/// How domain time goes on.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// Domain time when it was last let go or held.
    base: Timestamp,
    /// Since when it runs; `None` while held.
    since: Option<Monotonic>,
}

impl DemoClock {
    /// A clock that stands still at `at`.
    pub(crate) fn held(inner: Arc<dyn Clock>, at: Timestamp, speed: f64) -> Self {
        let course = Course { base: at, since: None };
        Self { inner, speed, course: Arc::new(watch::Sender::new(course)) }
    }

    /// Lets domain time run on from where it stands.
    pub(crate) fn release(&self) {
        let now = self.inner.monotonic_now();
        self.course.send_modify(|course| course.since = course.since.or(Some(now)));
    }

    /// Stops domain time; gives where it stands.
    pub(crate) fn hold(&self) -> Timestamp {
        let at = self.domain_now();
        self.course.send_modify(|course| *course = Course { base: at, since: None });
        at
    }

    /// How long in monotonic time this stretch of domain time lasts.
    fn real(&self, domain: Duration) -> Duration {
        Duration::try_from_secs_f64(domain.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    fn at(&self, course: Course) -> Timestamp {
        let Some(since) = course.since else { return course.base };
        let elapsed = self.inner.monotonic_now().saturating_sub(since).as_secs_f64() * self.speed;
        course.base + Duration::try_from_secs_f64(elapsed).unwrap_or(Duration::MAX)
    }
}

impl Clock for DemoClock {
    fn domain_now(&self) -> Timestamp {
        self.at(*self.course.borrow())
    }

    fn civil_now(&self) -> Timestamp {
        self.inner.civil_now()
    }

    fn monotonic_now(&self) -> Monotonic {
        self.inner.monotonic_now()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        let clock = self.clone();
        let mut changes = self.course.subscribe();
        Box::pin(async move {
            loop {
                let course = *changes.borrow_and_update();
                let now = clock.at(course);
                if now >= at {
                    return;
                }
                let nap = clock.real(at.since(now)).max(Duration::from_micros(1));
                // The sender lives in `clock`, so waiting for changes cannot fail.
                tokio::select! {
                    _ = changes.changed() => {}
                    () = clock.inner.sleep(nap), if course.since.is_some() => {}
                }
            }
        })
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.inner.sleep(duration)
    }
}

/// Where domain time begins: the last Tuesday, 09:30 in Shanghai, that leaves [`RUNNING_TIME`] before domain time
/// catches up with now. Always the same weekday and hour, so that one seed is one demo whatever the date.
pub(crate) fn origin(civil_now: Timestamp, speed: f64) -> Timestamp {
    let ahead = RUNNING_TIME.as_secs_f64() * (speed - 1.0).max(0.0);
    let latest = civil_now.as_secs() - ahead.ceil() as i64;
    let weeks = (latest - A_TUESDAY_MORNING_SECS).div_euclid(WEEK_SECS);
    Timestamp::from_secs(A_TUESDAY_MORNING_SECS + weeks * WEEK_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, Timelike};
    use model::ManualClock;
    use std::task::{Context, Waker};

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    #[test]
    fn domain_time_stands_until_released_and_then_runs_at_its_speed() {
        let manual = ManualClock::new(NOW);
        let clock = DemoClock::held(Arc::new(manual.clone()), Timestamp::from_secs(1000), 60.0);
        manual.advance(Duration::from_secs(7));
        assert_eq!(clock.domain_now(), Timestamp::from_secs(1000));
        clock.release();
        manual.advance(Duration::from_secs(2));
        clock.release();
        assert_eq!(clock.domain_now(), Timestamp::from_secs(1120));
        assert_eq!(clock.civil_now(), NOW + Duration::from_secs(9));
    }

    #[test]
    fn a_domain_sleep_waits_for_the_release_and_then_for_its_time() {
        let manual = ManualClock::new(NOW);
        let clock = DemoClock::held(Arc::new(manual.clone()), Timestamp::from_secs(0), 60.0);
        let mut sleep = clock.sleep_until(Timestamp::from_secs(60));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_secs(5));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        clock.release();
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_millis(999));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_millis(1));
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn held_again_it_stands_and_wakes_nobody() {
        let manual = ManualClock::new(NOW);
        let clock = DemoClock::held(Arc::new(manual.clone()), Timestamp::from_secs(0), 60.0);
        clock.release();
        let mut sleep = clock.sleep_until(Timestamp::from_secs(120));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_secs(1));
        assert_eq!(clock.hold(), Timestamp::from_secs(60));
        manual.advance(Duration::from_secs(9));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(clock.domain_now(), Timestamp::from_secs(60));
        clock.release();
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_secs(1));
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn a_day_s_running_stays_behind_now_and_begins_on_a_working_morning() {
        for speed in [0.5, 1.0, 10.0, 60.0, 600.0] {
            let origin = origin(NOW, speed);
            let after = origin + Duration::from_secs_f64(RUNNING_TIME.as_secs_f64() * speed);
            assert!(after <= NOW + RUNNING_TIME, "{speed}");
            let local = origin.in_zone(chrono_tz::Asia::Shanghai);
            assert_eq!(
                (local.weekday(), local.hour(), local.minute()),
                (chrono::Weekday::Tue, 9, 30),
                "{speed}"
            );
        }
    }
}
