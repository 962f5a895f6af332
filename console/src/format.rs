//! Numbers and times as people write them; the same rules as `assets/format.js`.

use chrono_tz::Tz;
use model::{Language, Timestamp};

use crate::i18n::Speaks;

/// What stands where there is no number.
pub(crate) const NONE: &str = "–";

/// How a unit is written beside a number: the notifier writes its messages by the same rules.
enum UnitStyle<'a> {
    /// Kept as 0..1, shown in per cent.
    Share,
    /// Right behind the number.
    Percent,
    /// A currency sign, in front.
    InFront(&'a str),
    /// Behind a blank.
    Behind(&'a str),
    Nothing,
}

fn style_of(unit: &str) -> UnitStyle<'_> {
    match unit {
        "" => UnitStyle::Nothing,
        "ratio" | "percentunit" | "rate" => UnitStyle::Share,
        "%" | "percent" => UnitStyle::Percent,
        "$" | "¥" | "€" | "£" => UnitStyle::InFront(unit),
        other => UnitStyle::Behind(other),
    }
}

/// A number for people: thousands separated, three significant digits below 1,000, a share as a percentage.
pub(crate) fn number(value: Option<f64>, unit: &str) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return NONE.into() };
    match style_of(unit) {
        UnitStyle::Share => format!("{}%", plain(value * 100.0)),
        UnitStyle::Percent => format!("{}%", plain(value)),
        UnitStyle::InFront(sign) if value < 0.0 => format!("−{sign}{}", plain(-value)),
        UnitStyle::InFront(sign) => format!("{sign}{}", plain(value)),
        UnitStyle::Behind(_) | UnitStyle::Nothing => plain(value),
    }
}

/// The same with its unit beside it.
pub(crate) fn with_unit(value: Option<f64>, unit: &str) -> String {
    let text = number(value, unit);
    match style_of(unit) {
        UnitStyle::Behind(unit) if value.is_some() => format!("{text} {unit}"),
        _ => text,
    }
}

/// A deviation in per cent, signed; from +1000 % on as a multiple.
pub(crate) fn deviation(pct: Option<f64>) -> String {
    match pct {
        None => NONE.into(),
        Some(pct) if pct >= 1_000.0 => format!("{}×", plain(pct / 100.0 + 1.0)),
        Some(pct) => format!("{}{}%", if pct < 0.0 { "−" } else { "+" }, plain(two_digits(pct.abs()))),
    }
}

fn two_digits(size: f64) -> f64 {
    format!("{size:.1e}").parse().unwrap_or(size)
}

pub(crate) fn plain(value: f64) -> String {
    let size = value.abs();
    if size >= 1e15 || (size != 0.0 && size < 1e-4) {
        return format!("{value:.2e}").replace('-', "−");
    }
    let decimals = match size {
        _ if value.fract() == 0.0 || size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    let digits = format!("{size:.decimals$}");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let zero = whole == "0" && fraction.is_empty();
    let sign = if value < 0.0 && !zero { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The zone of this name; UTC when there is none.
pub(crate) fn zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}

/// Day and time to the minute.
pub(crate) fn instant(at: Timestamp, zone: Tz, language: Language) -> String {
    let pattern = match language {
        Language::En => "%-d %b %H:%M",
        Language::Zh => "%-m月%-d日 %H:%M",
    };
    at.in_zone(zone).format(pattern).to_string()
}

/// A stretch of time in its two largest units.
pub(crate) fn span(length: std::time::Duration, language: Language) -> String {
    let minutes = (length.as_secs() + 30) / 60;
    let (days, hours, rest) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    let unit = |count: u64, key: &str| language.text(key).replace("{n}", &count.to_string());
    let mut parts = Vec::new();
    if days > 0 {
        parts.push(unit(days, "span_d"));
    }
    if hours > 0 {
        parts.push(unit(hours, "span_h"));
    }
    if days == 0 && (rest > 0 || hours == 0) {
        parts.push(unit(rest, "span_m"));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_read_as_people_write_them() {
        let table: &[(Option<f64>, &str, &str)] = &[
            (None, "", "–"),
            (Some(f64::NAN), "", "–"),
            (Some(0.0), "", "0"),
            (Some(-0.0), "", "0"),
            (Some(12.0), "", "12"),
            (Some(12.345), "", "12.3"),
            (Some(0.1234), "", "0.123"),
            (Some(-0.0004), "", "0"),
            (Some(1_234_567.8), "", "1,234,568"),
            (Some(-1_234.0), "", "−1,234"),
            (Some(123.46), "", "123"),
            (Some(1e-9), "", "1.00e−9"),
            (Some(1e300), "", "1.00e300"),
            (Some(0.6234), "ratio", "62.3%"),
            (Some(62.0), "%", "62%"),
            (Some(0.5), "rate", "50%"),
            (Some(-1_234.0), "¥", "−¥1,234"),
            (Some(3.0), "ms", "3"),
        ];
        for (value, unit, expected) in table {
            assert_eq!(number(*value, unit), *expected, "{value:?} {unit}");
        }
    }

    #[test]
    fn deviations_are_signed_and_large_ones_are_multiples() {
        for (pct, expected) in
            [(-71.23, "−71%"), (5.55, "+5.5%"), (0.0, "+0%"), (2_900.0, "30×"), (250.0, "+250%")]
        {
            assert_eq!(deviation(Some(pct)), expected, "{pct}");
        }
    }

    #[test]
    fn stretches_of_time_name_two_units() {
        let table =
            [(20, "0 min"), (60, "1 min"), (3_600, "1 h"), (5_400, "1 h 30 min"), (90_000, "1 d 1 h")];
        for (secs, expected) in table {
            assert_eq!(span(Duration::from_secs(secs), Language::En), expected, "{secs}");
        }
        assert_eq!(span(Duration::from_secs(5_400), Language::Zh), "1 小时 30 分钟");
    }
}
