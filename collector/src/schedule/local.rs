//! Civil time of a zone turned into instants, gaps and folds included.

use chrono::{NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use model::Timestamp;

/// The instants at which a zone's clocks show a civil time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instants {
    /// The usual case.
    One(Timestamp),
    /// Clocks were set back over it: it is shown twice.
    Two(Timestamp, Timestamp),
    /// Clocks were set forward over it: it is never shown. This is the first instant after the gap.
    Gap(Timestamp),
}

/// Finds the instants of a civil time.
pub(super) fn resolve(civil: NaiveDateTime, zone: Tz) -> Instants {
    match zone.from_local_datetime(&civil) {
        chrono::LocalResult::Single(at) => Instants::One(Timestamp::from_datetime(&at)),
        chrono::LocalResult::Ambiguous(first, second) => {
            Instants::Two(Timestamp::from_datetime(&first), Timestamp::from_datetime(&second))
        }
        chrono::LocalResult::None => Instants::Gap(end_of_gap(civil, zone)),
    }
}

/// What the zone's clocks show at an instant.
pub(super) fn civil(at: Timestamp, zone: Tz) -> NaiveDateTime {
    at.in_zone(zone).naive_local()
}

/// When the civil time at `at` is shown for the first of two times: the instant at which clocks are set back, and what
/// they show then.
pub(super) fn upcoming_fold(at: Timestamp, zone: Tz) -> Option<(Timestamp, NaiveDateTime)> {
    let shown = civil(at, zone);
    let Instants::Two(first, second) = resolve(shown, zone) else { return None };
    if at != first {
        return None;
    }
    let offset = |at: Timestamp| civil(at, zone) - civil(at, Tz::UTC);
    let before = offset(at);
    let turn = bisect(at, second, |at| offset(at) != before);
    Some((turn, civil(turn, zone)))
}

/// The first instant at which the zone's clocks show more than `civil`, which they never show. No zone has a second
/// change of its clocks within 26 hours of a gap.
fn end_of_gap(shown: NaiveDateTime, zone: Tz) -> Timestamp {
    let near = |hours| Timestamp::from_datetime(&(shown + TimeDelta::hours(hours)).and_utc());
    bisect(near(-26), near(26), |at| civil(at, zone) > shown)
}

/// The first whole second after `low` at which `holds`; it must hold at `high` and from its first second on.
fn bisect(low: Timestamp, high: Timestamp, holds: impl Fn(Timestamp) -> bool) -> Timestamp {
    let (mut low, mut high) = (low.as_secs(), high.as_secs());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(Timestamp::from_secs(middle)) { high = middle } else { low = middle }
    }
    Timestamp::from_secs(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: Tz, shown: &str, expected: &str) {
        let civil: NaiveDateTime = shown.parse().unwrap();
        let found = match resolve(civil, zone) {
            Instants::One(at) => format!("one {at}"),
            Instants::Two(a, b) => format!("two {a} {b}"),
            Instants::Gap(at) => format!("gap {at}"),
        };
        assert_eq!(found, expected, "{zone} {shown}");
    }

    #[test]
    fn civil_times_are_found_in_gaps_and_folds() {
        use chrono_tz::{America, Antarctica, Asia, Australia, Europe, Pacific};
        check(Asia::Shanghai, "2026-01-01T00:00:00", "one 2025-12-31T16:00:00Z");
        check(Europe::Berlin, "2026-03-29T02:30:00", "gap 2026-03-29T01:00:00Z");
        check(Europe::Berlin, "2026-10-25T02:30:00", "two 2026-10-25T00:30:00Z 2026-10-25T01:30:00Z");
        check(America::Havana, "2026-03-08T00:00:00", "gap 2026-03-08T05:00:00Z");
        check(Australia::Lord_Howe, "2026-10-04T02:15:00", "gap 2026-10-03T15:30:00Z");
        check(Pacific::Apia, "2011-12-30T12:00:00", "gap 2011-12-30T10:00:00Z");
        check(Antarctica::Troll, "2026-03-29T01:30:00", "gap 2026-03-29T01:00:00Z");
    }

    #[test]
    fn the_first_pass_of_a_fold_knows_when_clocks_are_set_back() {
        let at = Timestamp::parse_rfc3339("2026-10-25T00:30:00Z").unwrap();
        let (turn, shown) = upcoming_fold(at, Tz::Europe__Berlin).unwrap();
        assert_eq!(
            (turn.to_string().as_str(), shown.to_string().as_str()),
            ("2026-10-25T01:00:00Z", "2026-10-25 02:00:00")
        );
        let second = Timestamp::parse_rfc3339("2026-10-25T01:30:00Z").unwrap();
        assert_eq!(upcoming_fold(second, Tz::Europe__Berlin), None);
    }
}
