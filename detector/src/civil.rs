//! Where a window stands in local civil time: day and phase.
//!
//! A phase is the local time of day in units of the sampling interval. Two traps of daylight saving time are settled
//! here: the phases a day skips are told by [`skipped`], and a repeated hour has the phases of its first run, so that
//! [`crate::history::History`] merges both.

use std::time::Duration;

use chrono::{Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use chrono_tz::Tz;
use model::Timestamp;

/// Seconds of a day.
pub const DAY_SECS: u32 = 86_400;

/// The finest phase kept: samples taken more often share one.
pub const FINEST_SECS: u32 = 10;

const EPOCH_FROM_CE: i32 = 719_163;

/// A window's place in local civil time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Local civil day, days since 1970-01-01.
    pub day: i32,
    /// Local time of day in units of the grid.
    pub phase: u32,
    /// Which sample of its phase this is, from 0: more than 0 when several samples share a phase (a repeated hour, or
    /// sampling finer than the grid).
    pub nth: u32,
    /// Local time of day in seconds.
    pub second: u32,
}

/// How a day is cut: the interval in whole seconds, at least [`FINEST_SECS`], at most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Length of a phase in seconds.
    pub step_secs: u32,
    /// How many phases a day has.
    pub phases: u32,
    /// How many samples fall into one phase.
    pub per_phase: u32,
}

impl Grid {
    /// The grid of a sampling interval.
    pub fn new(interval: Duration) -> Self {
        let secs = u32::try_from(interval.as_secs()).unwrap_or(DAY_SECS).clamp(1, DAY_SECS);
        let step_secs = secs.max(FINEST_SECS);
        Self { step_secs, phases: DAY_SECS.div_ceil(step_secs), per_phase: (step_secs / secs).max(1) }
    }
}

/// The place of the window that starts at `start`.
pub fn locate(start: Timestamp, zone: Tz, grid: Grid) -> Place {
    let local = start.in_zone(zone).naive_local();
    let second = local.num_seconds_from_midnight();
    let within = second % grid.step_secs * grid.per_phase / grid.step_secs;
    let nth = if repeated(start, local, zone) { within + grid.per_phase } else { within };
    Place { day: local.num_days_from_ce() - EPOCH_FROM_CE, phase: second / grid.step_secs, nth, second }
}

/// Whether this instant's local time was already passed once on this day.
fn repeated(start: Timestamp, local: NaiveDateTime, zone: Tz) -> bool {
    if zone == Tz::UTC {
        return false;
    }
    match local.and_local_timezone(zone) {
        MappedLocalTime::Ambiguous(_, late) => late.timestamp() == start.as_secs(),
        MappedLocalTime::Single(_) | MappedLocalTime::None => false,
    }
}

/// The date of a day number.
pub fn date(day: i32) -> NaiveDate {
    NaiveDate::from_num_days_from_ce_opt(day.saturating_add(EPOCH_FROM_CE)).unwrap_or_default()
}

/// The number of a date.
pub fn day_number(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// The phases the local day skips, `[from, to)`; `None` on a day that skips nothing.
pub fn skipped(day: i32, zone: Tz, grid: Grid) -> Option<(u32, u32)> {
    if zone == Tz::UTC {
        return None;
    }
    let today = date(day);
    let start = noon_offset(today.checked_sub_days(Days::new(1))?, zone)?;
    let end = noon_offset(today.checked_add_days(Days::new(1))?, zone)?;
    (end > start).then(|| gap(today, zone, grid)).flatten()
}

/// The zone's distance from UTC at noon of a date, in seconds.
fn noon_offset(date: NaiveDate, zone: Tz) -> Option<i32> {
    use chrono::Offset as _;
    let noon = date.and_hms_opt(12, 0, 0)?.and_local_timezone(zone).earliest()?;
    Some(noon.offset().fix().local_minus_utc())
}

/// Looks for the skipped phases of a day on which, or the day beside which, the clock goes forward.
fn gap(date: NaiveDate, zone: Tz, grid: Grid) -> Option<(u32, u32)> {
    let exists = |phase: &u32| {
        let time = NaiveTime::from_num_seconds_from_midnight_opt(phase * grid.step_secs, 0);
        time.is_some_and(|time| date.and_time(time).and_local_timezone(zone).earliest().is_some())
    };
    let from = (0..grid.phases).find(|phase| !exists(phase))?;
    let to = (from..grid.phases).find(exists).unwrap_or(grid.phases);
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn places_across_the_changes_of_the_clock() {
        let grid = Grid::new(Duration::from_secs(60));
        for (instant, zone, phase, nth) in [
            ("2025-03-30T00:59:00Z", Tz::Europe__Berlin, 119, 0), // 01:59 CET
            ("2025-03-30T01:00:00Z", Tz::Europe__Berlin, 180, 0), // 03:00 CEST
            ("2025-10-26T00:30:00Z", Tz::Europe__Berlin, 150, 0), // 02:30 CEST
            ("2025-10-26T01:30:00Z", Tz::Europe__Berlin, 150, 1), // 02:30 CET
            ("2025-10-26T02:00:00Z", Tz::Europe__Berlin, 180, 0),
            ("2025-06-01T16:00:00Z", Tz::Asia__Shanghai, 0, 0),
            ("2025-06-01T16:00:00Z", Tz::Asia__Kathmandu, 21 * 60 + 45, 0),
            ("1969-12-31T23:59:00Z", Tz::UTC, 1439, 0),
        ] {
            let place = locate(at(instant), zone, grid);
            assert_eq!((place.phase, place.nth), (phase, nth), "{instant} {zone}");
        }
        assert_eq!(locate(at("1969-12-31T23:59:00Z"), Tz::UTC, grid).day, -1);
        assert_eq!(locate(at("2025-06-01T16:00:00Z"), Tz::Asia__Shanghai, grid).day, 20_241);
    }

    #[test]
    fn the_skipped_hour_is_found_and_nothing_else() {
        let day = |y, m, d| day_number(NaiveDate::from_ymd_opt(y, m, d).unwrap());
        let minute = Grid::new(Duration::from_secs(60));
        for (day, zone, expected) in [
            (day(2025, 3, 30), Tz::Europe__Berlin, Some((120, 180))),
            (day(2025, 3, 29), Tz::Europe__Berlin, None),
            (day(2025, 3, 31), Tz::Europe__Berlin, None),
            (day(2025, 10, 26), Tz::Europe__Berlin, None),
            (day(2025, 10, 5), Tz::Australia__Lord_Howe, Some((120, 150))),
            (day(2018, 11, 4), Tz::America__Sao_Paulo, Some((0, 60))),
            (day(2011, 12, 30), Tz::Pacific__Apia, Some((0, 1440))),
            (day(2025, 3, 30), Tz::UTC, None),
            (day(2025, 3, 30), Tz::Asia__Shanghai, None),
        ] {
            assert_eq!(skipped(day, zone, minute), expected, "{zone}");
        }
    }

    #[test]
    fn samples_finer_than_the_grid_share_a_phase() {
        let grid = Grid::new(Duration::from_secs(2));
        assert_eq!((grid.step_secs, grid.phases, grid.per_phase), (10, 8640, 5));
        let place = locate(Timestamp::from_secs(26), Tz::UTC, grid);
        assert_eq!((place.phase, place.nth), (2, 3));
    }

    #[test]
    fn grids_of_odd_intervals_stay_in_bounds() {
        for (secs, step, phases) in
            [(1, 10, 8640), (420, 420, 206), (86_400, 86_400, 1), (604_800, 86_400, 1), (7_000, 7_000, 13)]
        {
            let grid = Grid::new(Duration::from_secs(secs));
            assert_eq!((grid.step_secs, grid.phases), (step, phases), "{secs}");
        }
        assert_eq!(Grid::new(Duration::ZERO).step_secs, FINEST_SECS);
    }
}
