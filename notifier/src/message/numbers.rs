//! Numbers and times as people read them.

use std::time::Duration;

use chrono_tz::Tz;
use model::Timestamp;

use crate::Language;

/// A number with thousands separators; fractions are cut to four significant digits in all, whole parts are exact, so
/// that a count reads as it stands on the page.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole_digits = if size < 1.0 { 0 } else { size.log10().floor() as usize + 1 };
    let leading_zeros = if size > 0.0 && size < 1.0 { (-size.log10()).ceil() as usize - 1 } else { 0 };
    let decimals = 4usize.saturating_sub(whole_digits) + leading_zeros;
    let text = format!("{size:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "-" } else { "" };
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value with its unit. `%` and `percent` stand behind the number as it is; `percentunit`, `ratio` and `rate` are
/// shares of one and are shown in per cent; currency signs go in front.
pub fn value(value: f64, unit: &str) -> String {
    match unit {
        "" => number(value),
        "%" | "percent" => format!("{}%", number(value)),
        "percentunit" | "ratio" | "rate" => format!("{}%", number(value * 100.0)),
        "$" | "¥" | "€" | "£" if value < 0.0 => format!("-{unit}{}", number(-value)),
        "$" | "¥" | "€" | "£" => format!("{unit}{}", number(value)),
        _ if unit.starts_with(|c: char| c.is_ascii_alphanumeric()) => format!("{} {unit}", number(value)),
        _ => format!("{}{unit}", number(value)),
    }
}

/// The size of a deviation in per cent, without its sign: `67%`, `4.2%`.
pub fn percent(deviation_pct: f64) -> String {
    let size = deviation_pct.abs();
    if !size.is_finite() {
        return "?".to_owned();
    }
    let rounded = if size >= 10.0 { size.round() } else { (size * 10.0).round() / 10.0 };
    format!("{}%", number(rounded))
}

/// A time of the day, with the date when it is not the day of `seen_from`.
pub fn time_of_day(at: Timestamp, seen_from: Timestamp, zone: Tz, language: Language) -> String {
    let (local, reference) = (at.in_zone(zone), seen_from.in_zone(zone));
    let format = match (local.date_naive() == reference.date_naive(), language) {
        (true, _) => "%H:%M",
        (false, Language::En) => "%b %-d, %H:%M",
        (false, Language::Zh) => "%-m月%-d日 %H:%M",
    };
    local.format(format).to_string()
}

/// A duration in its two largest units.
pub fn duration(length: Duration, language: Language) -> String {
    let total = length.as_secs();
    let parts = [
        (total / 86_400, ["day", "天"]),
        (total / 3_600 % 24, ["hour", "小时"]),
        (total / 60 % 60, ["minute", "分钟"]),
        (total % 60, ["second", "秒"]),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts[first..].iter().take(2).enumerate().filter(|(i, (count, _))| *i == 0 || *count > 0);
    let words = shown.map(|(_, (count, [en, zh]))| match language {
        Language::En => format!("{count} {en}{}", if *count == 1 { "" } else { "s" }),
        Language::Zh => format!("{count} {zh}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let table = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (412.0, "412"),
            (1_240.0, "1,240"),
            (12_345.678, "12,346"),
            (1_234_567.0, "1,234,567"),
            (999.96, "1,000"),
            (999_999.6, "1,000,000"),
            (3.241_592, "3.242"),
            (62.5, "62.5"),
            (0.812_345, "0.8123"),
            (0.001_234_56, "0.001235"),
            (0.1, "0.1"),
            (-1_240.6, "-1,241"),
            (1e300, "1.000e300"),
            (1e-9, "1.000e-9"),
            (f64::NAN, "?"),
        ];
        for (given, expected) in table {
            assert_eq!(number(given), expected, "{given}");
        }
    }

    #[test]
    fn units_stand_where_people_put_them() {
        let table = [
            (0.6234, "percentunit", "62.34%"),
            (62.34, "%", "62.34%"),
            (1_240.0, "¥", "¥1,240"),
            (-5.0, "$", "-$5"),
            (120.0, "ms", "120 ms"),
            (12.0, "笔", "12笔"),
        ];
        for (given, unit, expected) in table {
            assert_eq!(value(given, unit), expected);
        }
        assert_eq!(
            (percent(-66.7), percent(4.24), percent(1_234.5)),
            ("67%".into(), "4.2%".into(), "1,235%".into())
        );
    }

    #[test]
    fn durations_keep_their_two_largest_units() {
        let table = [
            (0, "0 seconds", "0 秒"),
            (1, "1 second", "1 秒"),
            (60, "1 minute", "1 分钟"),
            (1_500, "25 minutes", "25 分钟"),
            (3_661, "1 hour 1 minute", "1 小时 1 分钟"),
            (86_400 + 59, "1 day", "1 天"),
        ];
        for (secs, en, zh) in table {
            let length = Duration::from_secs(secs);
            assert_eq!(
                (duration(length, Language::En), duration(length, Language::Zh)),
                (en.into(), zh.into())
            );
        }
    }

    proptest! {
        #[test]
        fn no_number_loses_more_than_its_fourth_digit(value in prop::num::f64::NORMAL) {
            let text = number(value).replace(',', "");
            let back: f64 = text.parse().unwrap();
            prop_assert!((back - value).abs() <= value.abs() * 0.001 + 1e-300, "{value} -> {text}");
        }
    }
}
