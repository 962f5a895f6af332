//! Instants and windows.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Serialize};

/// An instant: nanoseconds since 1970-01-01T00:00:00 UTC. Used for domain time and civil time alike; which of the two
/// a value belongs to is said where it is stored (see [`crate::Clock`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The smallest instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The largest instant.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the epoch; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From seconds since the epoch; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded towards minus infinity.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the epoch, rounded towards minus infinity.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The same instant as a chrono value.
    pub fn to_utc(self) -> DateTime<Utc> {
        Utc.timestamp_nanos(self.0)
    }

    /// The same instant as civil time in a zone.
    pub fn in_zone(self, zone: chrono_tz::Tz) -> DateTime<chrono_tz::Tz> {
        self.to_utc().with_timezone(&zone)
    }

    /// From a chrono value; saturates outside the years 1677 to 2262.
    pub fn from_datetime<Z: TimeZone>(at: &DateTime<Z>) -> Self {
        match at.timestamp_nanos_opt() {
            Some(nanos) => Self(nanos),
            None if at.timestamp() < 0 => Self::MIN,
            None => Self::MAX,
        }
    }

    /// RFC 3339 with `Z`, to the second unless there is a fraction.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// Parses RFC 3339.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Result<Self, chrono::ParseError> {
        DateTime::parse_from_rfc3339(text).map(|at| Self::from_datetime(&at))
    }

    /// Time elapsed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// The largest multiple of `step` since the epoch that is not after this instant. `step` must not be zero.
    pub fn align_down(self, step: Duration) -> Self {
        let step = nanos(step).max(1);
        Self(self.0.saturating_sub(self.0.rem_euclid(step)))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(nanos(rhs)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(rhs)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A half-open span of domain time, `[start, end)`: what one sample speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl Window {
    /// A window from its start and length.
    pub fn new(start: Timestamp, length: Duration) -> Self {
        Self { start, end: start + length }
    }

    /// Its length.
    pub fn length(self) -> Duration {
        self.end.since(self.start)
    }

    /// Whether the instant lies inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Splits into `parts` windows of equal length, first to last. `parts` = 0 gives none.
    pub fn split(self, parts: u32) -> impl Iterator<Item = Window> {
        let total = i128::from(self.end.as_nanos()) - i128::from(self.start.as_nanos());
        let edge = move |i: u32| {
            let offset = total * i128::from(i) / i128::from(parts.max(1));
            Timestamp::from_nanos((i128::from(self.start.as_nanos()) + offset) as i64)
        };
        (0..parts).map(move |i| Window { start: edge(i), end: edge(i + 1) })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_a_window_covers_it_without_gaps() {
        let window = Window::new(Timestamp::from_secs(7), Duration::from_secs(10));
        let parts: Vec<_> = window.split(3).collect();
        assert_eq!(parts.first().map(|w| w.start), Some(window.start));
        assert_eq!(parts.last().map(|w| w.end), Some(window.end));
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn alignment_rounds_down_before_the_epoch_too() {
        let step = Duration::from_secs(60);
        assert_eq!(Timestamp::from_secs(-1).align_down(step), Timestamp::from_secs(-60));
        assert_eq!(Timestamp::from_secs(119).align_down(step), Timestamp::from_secs(60));
    }

    #[test]
    fn rfc3339_round_trips() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(Timestamp::parse_rfc3339(&at.to_rfc3339()), Ok(at));
    }
}
