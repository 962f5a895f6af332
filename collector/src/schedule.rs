//! When samplers run: a timetable gives the windows, one after the other, and nothing else.
//!
//! Pure: an instant in, a window out, whatever day it is and wherever. A tick at `window.end` speaks of `window`; ends
//! only grow, so an end is a tick's name.

mod cron;
mod interval;
mod local;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono_tz::Tz;
use model::{HumanDuration, Timestamp, Window};

use crate::Schedule;

/// A schedule, checked.
#[derive(Clone, Debug)]
pub struct Timetable {
    plan: Plan,
    zone: Tz,
}

#[derive(Clone, Debug)]
enum Plan {
    Interval(Duration),
    Cron { plan: Box<cron::CronPlan>, window: Duration },
}

/// The longest window.
const MAX_WINDOW: Duration = Duration::from_secs(31 * 86_400);

/// What is wrong with a schedule: the key at fault (`interval`, `cron` or `window`) and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScheduleError {
    /// The key at fault.
    pub key: &'static str,
    /// Why.
    pub message: String,
}

impl Timetable {
    /// Checks a schedule.
    ///
    /// # Errors
    /// [`ScheduleError`] when the interval does not divide a day, the cron expression cannot be read or never comes, or
    /// the window is zero or longer than 31 days.
    pub fn new(schedule: &Schedule, zone: Tz) -> Result<Self, ScheduleError> {
        let fail = |key| move |message| ScheduleError { key, message };
        let plan = match schedule {
            Schedule::Interval(interval) => {
                interval::check(*interval).map_err(fail("interval"))?;
                Plan::Interval(*interval)
            }
            Schedule::Cron { expression, window } => {
                let plan = cron::CronPlan::parse(expression).map_err(fail("cron"))?;
                check_window(*window).map_err(fail("window"))?;
                Plan::Cron { plan: Box::new(plan), window: *window }
            }
        };
        Ok(Self { plan, zone })
    }

    /// The window of the first tick after `after`, that is the one with the smallest end after it. `None` when the
    /// schedule never comes again.
    pub fn next_tick_after(&self, after: Timestamp) -> Option<Window> {
        match &self.plan {
            Plan::Interval(interval) => Some(interval::next_window(*interval, after, self.zone)),
            Plan::Cron { plan, window } => {
                let end = plan.next_after(after, self.zone)?;
                Some(Window { start: end - *window, end })
            }
        }
    }

    /// The windows of the ticks after `after` up to and including `until`, oldest first.
    pub fn windows_between(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Window> + '_ {
        let first = self.next_tick_after(after);
        std::iter::successors(first, |last| self.next_tick_after(last.end))
            .take_while(move |window| window.end <= until)
    }
}

fn check_window(window: Duration) -> Result<(), String> {
    if window < Duration::from_secs(1) || window > MAX_WINDOW || window.subsec_nanos() != 0 {
        return Err(format!(
            "window {} is not a whole number of seconds between 1s and 31d",
            HumanDuration(window)
        ));
    }
    Ok(())
}
