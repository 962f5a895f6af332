//! Alertmanager's time intervals, compiled: does an instant lie inside, and when does that change?

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use chrono_tz::Tz;
use model::Timestamp;

use crate::config::{DayTimeConfig, TimeIntervalConfig, TimeSpecConfig};

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

type Range = (i32, i32);

/// A named interval; it holds while one of its stretches holds.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Its name.
    pub name: String,
    specs: Vec<Spec>,
}

#[derive(Clone, Debug)]
struct Spec {
    /// Minutes of the day, end exclusive; the other ranges are inclusive.
    times: Vec<Range>,
    weekdays: Vec<Range>,
    days_of_month: Vec<Range>,
    months: Vec<Range>,
    years: Vec<Range>,
    zone: Tz,
}

/// A mistake in an interval: the path below it, and what is wrong.
pub(crate) type SpecError = (Vec<String>, String);

impl Interval {
    /// Compiles an interval.
    ///
    /// # Errors
    /// Every mistake, each with its path below the interval.
    pub(crate) fn compile(config: &TimeIntervalConfig) -> Result<Self, Vec<SpecError>> {
        let mut errors = Vec::new();
        let mut specs = Vec::new();
        for (index, spec) in config.time_intervals.iter().enumerate() {
            match Spec::compile(spec) {
                Ok(spec) => specs.push(spec),
                Err(found) => errors.extend(found.into_iter().map(|(mut path, message)| {
                    path.splice(0..0, ["time_intervals".to_owned(), index.to_string()]);
                    (path, message)
                })),
            }
        }
        if errors.is_empty() { Ok(Self { name: config.name.clone(), specs }) } else { Err(errors) }
    }

    /// An interval that never holds.
    pub(crate) fn never(name: &str) -> Self {
        Self { name: name.to_owned(), specs: Vec::new() }
    }

    /// Whether the instant lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.specs.iter().any(|spec| spec.contains(at))
    }
}

impl Spec {
    fn compile(config: &TimeSpecConfig) -> Result<Self, Vec<SpecError>> {
        let mut errors = Vec::new();
        let times = list("times", &config.times, &mut errors, day_time);
        let weekdays =
            list("weekdays", &config.weekdays, &mut errors, |t| named(t, &WEEKDAYS, 0, "a day of the week"));
        let days_of_month = list("days_of_month", &config.days_of_month, &mut errors, |t| month_days(t));
        let months = list("months", &config.months, &mut errors, |t| named(t, &MONTHS, 1, "a month"));
        let years = list("years", &config.years, &mut errors, |t| range(t, "a year", |p| p.parse().ok()));
        let zone = match config.location.as_deref().map(str::parse::<Tz>) {
            None => Tz::UTC,
            Some(Ok(zone)) => zone,
            Some(Err(_)) => {
                let name = config.location.as_deref().unwrap_or_default();
                errors.push((
                    vec!["location".into()],
                    format!("`{name}` is not an IANA time zone such as Asia/Shanghai"),
                ));
                Tz::UTC
            }
        };
        if errors.is_empty() {
            Ok(Self { times, weekdays, days_of_month, months, years, zone })
        } else {
            Err(errors)
        }
    }

    fn contains(&self, at: Timestamp) -> bool {
        let local = at.in_zone(self.zone);
        let minute = (local.hour() * 60 + local.minute()) as i32;
        let holds = |ranges: &[Range], value: i32| {
            ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&value))
        };
        (self.times.is_empty() || self.times.iter().any(|(start, end)| (*start..*end).contains(&minute)))
            && holds(&self.weekdays, local.weekday().num_days_from_sunday() as i32)
            && self.holds_day_of_month(&local)
            && holds(&self.months, local.month() as i32)
            && holds(&self.years, local.year())
    }

    /// Negative days count from the month's end; a range is cut to the days the month has.
    fn holds_day_of_month(&self, local: &DateTime<Tz>) -> bool {
        let days = days_in_month(local.year(), local.month());
        let resolve = |day: i32| if day < 0 { days + day + 1 } else { day };
        let today = local.day() as i32;
        self.days_of_month.is_empty()
            || self.days_of_month.iter().any(|(first, last)| {
                let (first, last) = (resolve(*first), resolve(*last));
                first <= days && (first.max(1)..=last.min(days)).contains(&today)
            })
    }
}

fn days_in_month(year: i32, month: u32) -> i32 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    NaiveDate::from_ymd_opt(next_year, next_month, 1)
        .and_then(|first| first.pred_opt())
        .map_or(31, |last| last.day() as i32)
}

fn list<T>(
    field: &str,
    entries: &[T],
    errors: &mut Vec<SpecError>,
    parse: impl Fn(&T) -> Result<Range, String>,
) -> Vec<Range> {
    let mut ranges = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match parse(entry) {
            Ok(range) => ranges.push(range),
            Err(message) => errors.push((vec![field.to_owned(), index.to_string()], message)),
        }
    }
    ranges
}

fn day_time(config: &DayTimeConfig) -> Result<Range, String> {
    let minute = |text: &str| {
        clock_minute(text)
            .ok_or_else(|| format!("`{text}` is not a time of the day: write HH:MM, 00:00 to 24:00"))
    };
    let (start, end) = (minute(&config.start_time)?, minute(&config.end_time)?);
    if start < end {
        return Ok((start, end));
    }
    Err(format!(
        "start_time {} is not before end_time {}: split a stretch over midnight in two",
        config.start_time, config.end_time
    ))
}

fn clock_minute(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i32>().ok())?
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && (hour < 24 || (hour == 24 && minute == 0))).then_some(hour * 60 + minute)
}

fn range(text: &str, what: &str, parse: impl Fn(&str) -> Option<i32>) -> Result<Range, String> {
    let one = |part: &str| parse(part.trim()).ok_or_else(|| format!("`{}` is not {what}", part.trim()));
    let (first, last) = match text.split_once(':') {
        Some((first, last)) => (one(first)?, one(last)?),
        None => (one(text)?, one(text)?),
    };
    if first <= last { Ok((first, last)) } else { Err(format!("`{text}` ends before it begins")) }
}

fn named(text: &str, names: &[&str], base: i32, what: &str) -> Result<Range, String> {
    let described = format!("{what} ({} to {})", names[0], names[names.len() - 1]);
    range(text, &described, |part| {
        let lower = part.to_ascii_lowercase();
        let by_name = names.iter().position(|name| *name == lower).map(|at| at as i32 + base);
        let by_number =
            || lower.parse::<i32>().ok().filter(|n| base == 1 && (1..=names.len() as i32).contains(n));
        by_name.or_else(by_number)
    })
}

fn month_days(text: &str) -> Result<Range, String> {
    let what = "a day of the month (1 to 31, or -31 to -1 from its end)";
    let parse = |part: &str| part.parse::<i32>().ok().filter(|d| *d != 0 && (-31..=31).contains(d));
    let (first, last) = match text.split_once(':') {
        Some((first, last)) => (first.trim(), last.trim()),
        None => (text.trim(), text.trim()),
    };
    let one = |part: &str| parse(part).ok_or_else(|| format!("`{part}` is not {what}"));
    let (first, last) = (one(first)?, one(last)?);
    if first < 0 && last > 0 {
        return Err(format!("`{text}` begins at the month's end and ends at its beginning"));
    }
    if (first > 0) == (last > 0) && first > last {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(spec: TimeSpecConfig) -> Interval {
        Interval::compile(&TimeIntervalConfig { name: "t".into(), time_intervals: vec![spec] }).unwrap()
    }

    fn strings(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    fn day(start: &str, end: &str) -> DayTimeConfig {
        DayTimeConfig { start_time: start.into(), end_time: end.into() }
    }

    fn check(spec: TimeSpecConfig, inside: &[&str], outside: &[&str]) {
        let interval = interval(spec.clone());
        for at in inside {
            assert!(interval.contains(Timestamp::parse_rfc3339(at).unwrap()), "{at} in {spec:?}");
        }
        for at in outside {
            assert!(!interval.contains(Timestamp::parse_rfc3339(at).unwrap()), "{at} not in {spec:?}");
        }
    }

    #[test]
    fn intervals_hold_when_alertmanager_says_so() {
        check(
            TimeSpecConfig { times: vec![day("09:00", "17:00")], ..Default::default() },
            &["2026-03-02T09:00:00Z", "2026-03-02T16:59:59Z"],
            &["2026-03-02T08:59:59Z", "2026-03-02T17:00:00Z"],
        );
        check(
            TimeSpecConfig { times: vec![day("22:00", "24:00")], ..Default::default() },
            &["2026-03-02T23:59:59Z"],
            &["2026-03-03T00:00:00Z"],
        );
        check(
            TimeSpecConfig { weekdays: strings(&["Saturday", "sunday"]), ..Default::default() },
            &["2026-03-01T00:00:00Z", "2026-03-07T12:00:00Z"],
            &["2026-03-02T00:00:00Z", "2026-03-06T23:59:59Z"],
        );
        check(
            TimeSpecConfig { days_of_month: strings(&["1:2", "-2:-1"]), ..Default::default() },
            &["2026-02-01T00:00:00Z", "2026-02-27T00:00:00Z", "2026-02-28T00:00:00Z", "2028-02-29T00:00:00Z"],
            &["2026-02-03T00:00:00Z", "2026-02-26T00:00:00Z", "2028-02-27T00:00:00Z"],
        );
        check(
            TimeSpecConfig { days_of_month: strings(&["31"]), ..Default::default() },
            &["2026-01-31T00:00:00Z"],
            &["2026-02-28T00:00:00Z", "2026-04-30T00:00:00Z"],
        );
        check(
            TimeSpecConfig {
                months: strings(&["november:12"]),
                years: strings(&["2026:2027"]),
                ..Default::default()
            },
            &["2026-11-01T00:00:00Z", "2027-12-31T23:00:00Z"],
            &["2026-10-31T23:59:59Z", "2028-11-01T00:00:00Z"],
        );
        check(
            TimeSpecConfig {
                times: vec![day("00:00", "08:00")],
                location: Some("Asia/Shanghai".into()),
                ..Default::default()
            },
            &["2026-03-01T16:00:00Z", "2026-03-01T23:59:00Z"],
            &["2026-03-02T00:00:00Z", "2026-03-01T15:59:59Z"],
        );
        check(TimeSpecConfig::default(), &["2026-03-02T09:00:00Z"], &[]);
    }

    #[test]
    fn every_mistake_of_an_interval_is_found_with_its_place() {
        let spec = TimeSpecConfig {
            times: vec![day("9:00", "17:00"), day("22:00", "06:00"), day("00:00", "25:00")],
            weekdays: strings(&["mon", "friday:monday", "1"]),
            days_of_month: strings(&["0", "32", "-1:3", "5:2"]),
            months: strings(&["13", "smarch"]),
            years: strings(&["next"]),
            location: Some("Mars/Olympus".into()),
        };
        let errors = Interval::compile(&TimeIntervalConfig { name: "t".into(), time_intervals: vec![spec] });
        let said: Vec<String> = errors
            .unwrap_err()
            .iter()
            .map(|(path, message)| format!("{}: {message}", path.join(".")))
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r##"
        time_intervals.0.times.0: `9:00` is not a time of the day: write HH:MM, 00:00 to 24:00
        time_intervals.0.times.1: start_time 22:00 is not before end_time 06:00: split a stretch over midnight in two
        time_intervals.0.times.2: `25:00` is not a time of the day: write HH:MM, 00:00 to 24:00
        time_intervals.0.weekdays.0: `mon` is not a day of the week (sunday to saturday)
        time_intervals.0.weekdays.1: `friday:monday` ends before it begins
        time_intervals.0.weekdays.2: `1` is not a day of the week (sunday to saturday)
        time_intervals.0.days_of_month.0: `0` is not a day of the month (1 to 31, or -31 to -1 from its end)
        time_intervals.0.days_of_month.1: `32` is not a day of the month (1 to 31, or -31 to -1 from its end)
        time_intervals.0.days_of_month.2: `-1:3` begins at the month's end and ends at its beginning
        time_intervals.0.days_of_month.3: `5:2` ends before it begins
        time_intervals.0.months.0: `13` is not a month (january to december)
        time_intervals.0.months.1: `smarch` is not a month (january to december)
        time_intervals.0.years.0: `next` is not a year
        time_intervals.0.location: `Mars/Olympus` is not an IANA time zone such as Asia/Shanghai
        "##);
    }
}
