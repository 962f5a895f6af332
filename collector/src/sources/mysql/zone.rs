//! How a session reads civil time while it answers for one window.
//!
//! MySQL has no literal for an instant: `:start` is a civil time, which a DATETIME column holds as it stands and a
//! TIMESTAMP column takes as of the session's zone. With the zone set by name both are right, but for the hour that
//! comes twice when clocks go back; with the offset that holds in the whole window both are right, that hour included.
//! So a name is preferred (what a query computes of rows outside its window is right then, too) where it is not
//! ambiguous, and an offset where the server does not know the name. Only a window in which clocks change needs the name.

use std::time::Duration;

use chrono::{FixedOffset, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use model::{Timestamp, Window};

/// What a session's `time_zone` is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionZone {
    /// A zone's name; the server may not know it.
    Named(Tz),
    /// A fixed offset.
    Offset(FixedOffset),
}

impl SessionZone {
    /// Civil time of an instant.
    pub(super) fn civil(self, at: Timestamp) -> NaiveDateTime {
        match self {
            Self::Named(zone) => at.in_zone(zone).naive_local(),
            Self::Offset(offset) => at.to_utc().with_timezone(&offset).naive_local(),
        }
    }

    /// As the server calls it: `Asia/Shanghai`, `+08:00`.
    pub(super) fn name(self) -> String {
        match self {
            Self::Named(zone) => zone.name().to_owned(),
            Self::Offset(offset) => offset.to_string(),
        }
    }
}

/// What a session may be set to for a window, the best first; nothing when no setting binds both of its edges right.
pub(super) fn candidates(window: Window, zone: Tz) -> Vec<SessionZone> {
    let offset = offset_at(window.start, zone);
    let (named, fixed) = (SessionZone::Named(zone), SessionZone::Offset(offset));
    if zone == Tz::UTC {
        return vec![fixed];
    }
    let steady = offset == offset_at(window.end - Duration::from_nanos(1), zone);
    let once = |at| matches!(zone.from_local_datetime(&named.civil(at)), LocalResult::Single(_));
    let unambiguous = once(window.start) && once(window.end);
    match (unambiguous, steady) {
        (true, true) => vec![named, fixed],
        (true, false) => vec![named],
        (false, true) => vec![fixed],
        (false, false) => Vec::new(),
    }
}

/// The offset in force at the window's start, for a query that binds no civil time.
pub(super) fn at_start(window: Window, zone: Tz) -> SessionZone {
    SessionZone::Offset(offset_at(window.start, zone))
}

fn offset_at(at: Timestamp, zone: Tz) -> FixedOffset {
    at.in_zone(zone).offset().fix()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(start: &str, minutes: u64, zone: Tz) -> String {
        let start = Timestamp::parse_rfc3339(start).unwrap();
        let window = Window::new(start, Duration::from_secs(60 * minutes));
        let show = |it: SessionZone| {
            let time = |at| it.civil(at).format("%H:%M").to_string();
            format!("{} {}-{}", it.name(), time(window.start), time(window.end))
        };
        candidates(window, zone).into_iter().map(show).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_window_is_bound_right_on_either_side_of_a_change_of_clocks() {
        use Tz::{America__New_York as NewYork, Asia__Shanghai as Shanghai, UTC};
        let table = [
            shown("2023-11-14T22:13:00Z", 1, UTC),
            shown("2023-11-14T22:13:00Z", 1, Shanghai),
            shown("2023-07-01T04:00:00Z", 60, NewYork),
            // Clocks go forward at 07:00Z: 02:00 EST is 03:00 EDT.
            shown("2023-03-12T06:00:00Z", 60, NewYork),
            shown("2023-03-12T07:00:00Z", 60, NewYork),
            shown("2023-03-12T05:00:00Z", 23 * 60, NewYork),
            // Clocks go back at 06:00Z: 02:00 EDT is 01:00 EST.
            shown("2023-11-05T05:30:00Z", 15, NewYork),
            shown("2023-11-05T05:00:00Z", 60, NewYork),
            shown("2023-11-05T06:30:00Z", 15, NewYork),
            shown("2023-11-05T04:00:00Z", 25 * 60, NewYork),
            shown("2023-11-05T05:30:00Z", 60, NewYork),
        ];
        insta::assert_snapshot!(table.join("\n"), @r#"
        +00:00 22:13-22:14
        Asia/Shanghai 06:13-06:14, +08:00 06:13-06:14
        America/New_York 00:00-01:00, -04:00 00:00-01:00
        America/New_York 01:00-03:00, -05:00 01:00-02:00
        America/New_York 03:00-04:00, -04:00 03:00-04:00
        America/New_York 00:00-00:00
        -04:00 01:30-01:45
        -04:00 01:00-02:00
        -05:00 01:30-01:45
        America/New_York 00:00-00:00
        "#);
    }
}
