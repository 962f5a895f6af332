//! Cron expressions, guarded.
//!
//! The `cron` crate skips days and repeats instants where a zone changes its clocks, so it is only ever iterated over
//! civil time, as if it were UTC; gaps and folds are resolved here, as cron daemons do. An expression with one hour, one
//! minute and one second runs once a day whatever the clocks do: in a gap right after it, in a fold the first time. Any
//! other expression follows the clocks: nothing in a gap, twice in a fold.

use std::str::FromStr;

use chrono::{Datelike, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use cron::TimeUnitSpec;
use model::Timestamp;

use super::local::{Instants, civil, resolve, upcoming_fold};

/// A parsed expression.
#[derive(Clone, Debug)]
pub(super) struct CronPlan {
    schedule: cron::Schedule,
    once_a_day: bool,
}

/// Beyond this year nothing is searched.
const LAST_YEAR: i32 = 2200;
/// Longer expressions are refused.
const MAX_CHARS: usize = 256;

impl CronPlan {
    /// Parses `second minute hour day-of-month month day-of-week`, days of the week by name.
    pub(super) fn parse(expression: &str) -> Result<Self, String> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        check_shape(expression, &fields)?;
        let schedule = cron::Schedule::from_str(&fields.join(" ")).map_err(|e| {
            let detail = e.to_string();
            let last =
                detail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim().to_owned();
            format!("`{expression}` is not a cron expression: {last}")
        })?;
        let once_a_day = schedule.seconds().count() == 1
            && schedule.minutes().count() == 1
            && schedule.hours().count() == 1;
        let plan = Self { schedule, once_a_day };
        match plan.after_civil(NaiveDateTime::default()) {
            Some(_) => Ok(plan),
            None => Err(format!("`{expression}` never comes: there is no such day")),
        }
    }

    /// The first instant after `after`; `None` when there is none before the year 2200.
    pub(super) fn next_after(&self, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        let direct = self.next_in_pass(after, zone);
        let Some((turn, shown)) = upcoming_fold(after, zone).filter(|_| !self.once_a_day) else {
            return direct;
        };
        let again = self.next_in_pass_from(shown - TimeDelta::nanoseconds(1), turn - NANO, zone);
        direct.into_iter().chain(again).min()
    }

    fn next_in_pass(&self, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        self.next_in_pass_from(civil(after, zone), after, zone)
    }

    /// The first instant after `after` whose civil time is after `shown`.
    fn next_in_pass_from(&self, shown: NaiveDateTime, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        let mut from = shown;
        loop {
            let wall = self.after_civil(from)?;
            let found = match resolve(wall, zone) {
                Instants::One(at) => Some(at),
                Instants::Two(first, _) if first > after => Some(first),
                Instants::Two(_, second) => (!self.once_a_day).then_some(second),
                Instants::Gap(end) => self.once_a_day.then_some(end),
            };
            match found.filter(|at| *at > after) {
                Some(at) => return Some(at),
                None => from = wall,
            }
        }
    }

    fn after_civil(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let next = self.schedule.after(&from.and_utc()).next()?.naive_utc();
        (next.year() <= LAST_YEAR).then_some(next)
    }
}

const NANO: std::time::Duration = std::time::Duration::from_nanos(1);

/// What the `cron` crate would take in another sense than people expect is refused.
fn check_shape(expression: &str, fields: &[&str]) -> Result<(), String> {
    if expression.len() > MAX_CHARS {
        return Err(format!("cron expression is longer than {MAX_CHARS} characters"));
    }
    let [_, _, _, day_of_month, _, day_of_week] = fields else {
        return Err(format!(
            "`{expression}` has {} fields, and a cron expression has 6: second minute hour day-of-month month \
             day-of-week, for example `0 */5 * * * MON-FRI`",
            fields.len()
        ));
    };
    if day_of_week.chars().any(|c| c.is_ascii_digit()) {
        return Err(format!(
            "`{day_of_week}`: write days of the week by name (MON, TUE, .. SUN), since their numbers mean different \
             days in different crons"
        ));
    }
    let any = |field: &str| matches!(field, "*" | "?");
    if !any(day_of_month) && !any(day_of_week) {
        return Err(format!(
            "`{expression}` names days of the month and days of the week, which some crons take as either and some \
             as both: leave one of them `*`"
        ));
    }
    Ok(())
}
