//! Timestamps as people write them in CSV files.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use model::Timestamp;

/// Reads the timestamps of one file, top to bottom.
///
/// Takes RFC 3339 and `YYYY-MM-DD HH:MM[:SS[.f]]` with `T` or a blank, `-` or `/`, plain dates, and epoch seconds,
/// milliseconds, microseconds or nanoseconds by their size. A time without offset is local time of the zone: in the
/// hour a clock is put back it is the later instant once the earlier one would not come after the row before, and in
/// the hour that is left out it is moved on.
#[derive(Debug)]
pub(crate) struct InstantReader {
    zone: Tz,
    last: Timestamp,
}

impl InstantReader {
    /// For times that are local in this zone unless they say otherwise.
    pub(crate) fn new(zone: Tz) -> Self {
        Self { zone, last: Timestamp::MIN }
    }

    /// Reads one; `None` when it is no time.
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<Timestamp> {
        let text = text.trim_ascii();
        let at = match plain(text) {
            Some(local) => self.resolve(local)?,
            None => self.other(std::str::from_utf8(text).ok()?)?,
        };
        self.last = self.last.max(at);
        Some(at)
    }

    fn other(&self, text: &str) -> Option<Timestamp> {
        if let Ok(number) = text.parse::<f64>() {
            return epoch(number);
        }
        let text = text.replace('/', "-");
        if let Ok(at) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
            return Some(Timestamp::from_datetime(&at));
        }
        for format in ["%Y-%m-%d %H:%M:%S%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
            if let Ok(at) = DateTime::parse_from_str(&text, format) {
                return Some(Timestamp::from_datetime(&at));
            }
        }
        for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
            if let Ok(local) = NaiveDateTime::parse_from_str(&text, format) {
                return self.resolve(local);
            }
        }
        self.resolve(NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?)
    }

    fn resolve(&self, local: NaiveDateTime) -> Option<Timestamp> {
        if self.zone == Tz::UTC {
            return Some(Timestamp::from_datetime(&local.and_utc()));
        }
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(at) => Some(Timestamp::from_datetime(&at)),
            LocalResult::Ambiguous(early, late) => {
                let early = Timestamp::from_datetime(&early);
                Some(if early > self.last { early } else { Timestamp::from_datetime(&late) })
            }
            LocalResult::None => {
                let hour = chrono::TimeDelta::hours(1);
                let before = self.zone.from_local_datetime(&(local - hour)).latest()?;
                Some(Timestamp::from_datetime(&(before + hour)))
            }
        }
    }
}

/// `YYYY-MM-DD HH:MM:SS`, the form of nearly every row, without a general parser.
fn plain(text: &[u8]) -> Option<NaiveDateTime> {
    let marks = text.len() == 19
        && text[4] == b'-'
        && text[7] == b'-'
        && matches!(text[10], b' ' | b'T')
        && text[13] == b':'
        && text[16] == b':';
    if !marks {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0u32, |n, c| c.is_ascii_digit().then(|| n * 10 + u32::from(c - b'0')))
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
    date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)
}

/// Epoch seconds, milliseconds, microseconds or nanoseconds, told apart by their size.
fn epoch(number: f64) -> Option<Timestamp> {
    let scale = match number.abs() {
        n if n < 1e11 => 1e9,
        n if n < 1e14 => 1e6,
        n if n < 1e17 => 1e3,
        n if n < 9.2e18 => 1.0,
        _ => return None,
    };
    // Whole and fraction apart: 1.5e9 seconds as nanoseconds do not fit the mantissa.
    let whole = number.trunc() as i64 * scale as i64;
    Some(Timestamp::from_nanos(whole + (number.fract() * scale).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_as_people_write_them() {
        let noon = "2024-02-29T12:00:00Z";
        let table = [
            ("2024-02-29 12:00:00", noon),
            ("2024-02-29T12:00:00", noon),
            (" 2024-02-29 12:00:00 ", noon),
            ("2024-02-29 12:00", noon),
            ("2024/02/29 12:00:00", noon),
            ("2024-02-29 12:00:00.000000", noon),
            ("2024-02-29T14:00:00+02:00", noon),
            ("2024-02-29 14:00:00+02:00", noon),
            ("2024-02-29 14:00:00+02", noon),
            ("2024-02-29T12:00:00Z", noon),
            ("1709208000", noon),
            ("1709208000.0", noon),
            ("1709208000000", noon),
            ("1709208000000000", noon),
            ("1709208000000000000", noon),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
        ];
        for (text, want) in table {
            let got = InstantReader::new(Tz::UTC).read(text.as_bytes()).map(Timestamp::to_rfc3339);
            assert_eq!(got.as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in
            ["", "now", "2024-13-01 00:00:00", "2024-02-30", "12:00", "nan", "inf", "1e30", "\u{fe0f}"]
        {
            assert_eq!(InstantReader::new(Tz::UTC).read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_clock_put_back_goes_on_and_one_put_forward_does_not_fall_back() {
        let mut reader = InstantReader::new(Tz::Europe__Berlin);
        let mut read = |text: &str| reader.read(text.as_bytes()).map(Timestamp::to_rfc3339);
        let rows =
            ["2024-10-27 02:00:00", "2024-10-27 02:30:00", "2024-10-27 02:00:00", "2024-10-27 02:30:00"];
        let got: Vec<_> = rows.iter().filter_map(|row| read(row)).collect();
        let want =
            ["2024-10-27T00:00:00Z", "2024-10-27T00:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T01:30:00Z"];
        assert_eq!(got, want);
        assert_eq!(read("2025-03-30 02:30:00").as_deref(), Some("2025-03-30T01:30:00Z"));
    }
}
