//! Windows of a fixed interval: aligned to UTC under an hour, to local midnight from an hour on.

use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use model::{Timestamp, Window};

use super::local::{Instants, civil, resolve};

/// One hour.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Checks that an interval can be kept.
pub(super) fn check(interval: Duration) -> Result<(), String> {
    let shown = model::HumanDuration(interval);
    if interval < Duration::from_secs(1) || interval.subsec_nanos() != 0 {
        return Err(format!("interval {shown} is not a whole number of seconds, at least 1s"));
    }
    if interval > DAY {
        return Err(format!("interval {shown} is longer than a day: use `cron` with `window`"));
    }
    if !DAY.as_secs().is_multiple_of(interval.as_secs()) {
        return Err(format!(
            "interval {shown} does not divide a day: write for example {}",
            nearest_divisors(interval.as_secs())
        ));
    }
    Ok(())
}

fn nearest_divisors(secs: u64) -> String {
    let divides = |s: &u64| DAY.as_secs().is_multiple_of(*s);
    let show = |s: u64| model::HumanDuration::from_secs(s).to_string();
    let below = (1..secs).rev().find(divides).map(show);
    let above = (secs + 1..=DAY.as_secs()).find(divides).map(show);
    below.into_iter().chain(above).collect::<Vec<_>>().join(" or ")
}

/// The window with the smallest end after `after`.
pub(super) fn next_window(interval: Duration, after: Timestamp, zone: Tz) -> Window {
    if interval < HOUR {
        return Window::new(after.align_down(interval), interval);
    }
    let borders = local_borders(interval, after, zone);
    let at = borders.partition_point(|border| *border <= after);
    match (at.checked_sub(1).and_then(|i| borders.get(i)), borders.get(at)) {
        (Some(start), Some(end)) => Window { start: *start, end: *end },
        // Only outside the years chrono knows.
        _ => Window::new(after, interval),
    }
}

/// Every border within two days of an instant, in order.
fn local_borders(interval: Duration, near: Timestamp, zone: Tz) -> Vec<Timestamp> {
    let today = civil(near, zone).date();
    let first = today.checked_sub_days(Days::new(2)).unwrap_or(today);
    let mut borders: Vec<Timestamp> =
        first.iter_days().take(5).flat_map(|day| borders_of_day(interval, day, zone)).collect();
    borders.sort_unstable();
    borders.dedup();
    borders
}

/// The borders of one local day. One in a gap moves to the gap's end; one that comes twice counts twice only when the
/// two are an interval apart, so that an hourly metric has its 25 windows and a daily one not two days.
fn borders_of_day(interval: Duration, day: NaiveDate, zone: Tz) -> Vec<Timestamp> {
    let midnight = day.and_time(NaiveTime::MIN);
    let steps = DAY.as_secs() / interval.as_secs().max(1);
    let mut borders = Vec::with_capacity(steps as usize + 1);
    for step in 0..steps {
        let offset = TimeDelta::seconds((step * interval.as_secs()) as i64);
        match resolve(midnight + offset, zone) {
            Instants::One(at) | Instants::Gap(at) => borders.push(at),
            Instants::Two(first, second) => {
                borders.push(first);
                borders.extend((second.since(first) >= interval).then_some(second));
            }
        }
    }
    borders
}
