//! The calendar: which days are alike, which stretches are promotions, which are not learned.
//!
//! A promotion multiplies the expected value by its `factor` and the band's half-width by its `widen`, and is never
//! learned; it is no day class of its own and never mutes. After its end, for `cool_down`, the band stays wide while
//! the expected value is the usual one. An excluded stretch is judged as usual and not learned.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Weekday};

use crate::algorithm::{DayClass, Promotion};
use crate::civil::{self, DAY_SECS};
use crate::settings::{CalendarConfig, ExclusionConfig, PromotionConfig, Settings};

/// The calendar of all metrics, checked. Local dates and times in it hold in each metric's own zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendar {
    holidays: BTreeSet<i32>,
    workdays: BTreeSet<i32>,
    promotions: Vec<Stretch>,
    exclusions: Vec<Stretch>,
}

/// A mistake in the `calendar` section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calendar.{path}: {message}")]
pub struct CalendarError {
    /// Where, below `calendar`: `promotions[2].from`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What the calendar says of an instant for one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// The promotion in force, the one with the widest band when several are.
    pub promotion: Option<Promotion>,
    /// The name of the excluded stretch it lies in.
    pub excluded: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    name: Arc<str>,
    from: i64,
    to: i64,
    cool_down_until: i64,
    factor: f64,
    widen: f64,
    metrics: Vec<String>,
}

impl Stretch {
    fn touches(&self, settings: &Settings) -> bool {
        let metric = self.metrics.is_empty() || self.metrics.iter().any(|m| matches(m, &settings.metric));
        let chosen = settings.calendars.is_empty() || settings.calendars.iter().any(|c| **c == *self.name);
        metric && chosen
    }
}

/// `sales.*` means every metric of that sampler; any other pattern is the metric's full name.
fn matches(pattern: &str, metric: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => metric.starts_with(prefix),
        None => pattern == metric,
    }
}

impl Calendar {
    /// Checks the section and makes a calendar of it.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn from_config(config: &CalendarConfig) -> Result<Self, Vec<CalendarError>> {
        let mut errors = Vec::new();
        let holidays = dates("holidays", &config.holidays, &mut errors);
        let workdays = dates("workdays", &config.workdays, &mut errors);
        for day in holidays.intersection(&workdays) {
            let message = format!("{} is a holiday too: name it in one of the two lists", civil::date(*day));
            errors.push(CalendarError { path: "workdays".into(), message });
        }
        let mut promotions = Vec::new();
        for (i, entry) in config.promotions.iter().enumerate() {
            promotions.extend(promotion(&format!("promotions[{i}]"), entry, &mut errors));
        }
        let mut exclusions = Vec::new();
        for (i, entry) in config.excluded.iter().enumerate() {
            exclusions.extend(exclusion(&format!("excluded[{i}]"), entry, &mut errors));
        }
        if errors.is_empty() { Ok(Self { holidays, workdays, promotions, exclusions }) } else { Err(errors) }
    }

    /// The class of a local day.
    pub fn day_class(&self, day: i32) -> DayClass {
        if self.holidays.contains(&day) {
            return DayClass::Holiday;
        }
        let weekend = matches!(civil::date(day).weekday(), Weekday::Sat | Weekday::Sun);
        if weekend && !self.workdays.contains(&day) { DayClass::Weekend } else { DayClass::Workday }
    }

    /// What holds for a metric at a local day and second of that day.
    pub fn mark(&self, settings: &Settings, day: i32, second: u32) -> Mark {
        if self.promotions.is_empty() && self.exclusions.is_empty() {
            return Mark::default();
        }
        let at = i64::from(day) * i64::from(DAY_SECS) + i64::from(second);
        let promotion = self
            .promotions
            .iter()
            .filter(|s| s.from <= at && at < s.cool_down_until && s.touches(settings))
            .max_by(|a, b| a.widen.total_cmp(&b.widen))
            .map(|s| Promotion {
                name: s.name.clone(),
                factor: if at < s.to { s.factor } else { 1.0 },
                widen: s.widen,
            });
        let excluded = self.exclusions.iter().find(|s| s.from <= at && at < s.to && s.touches(settings));
        Mark { promotion, excluded: excluded.map(|s| s.name.clone()) }
    }
}

fn dates(list: &str, texts: &[String], errors: &mut Vec<CalendarError>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for (i, text) in texts.iter().enumerate() {
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(date) => {
                found.insert(civil::day_number(date));
            }
            Err(_) => errors.push(CalendarError {
                path: format!("{list}[{i}]"),
                message: format!("`{text}` is not a date: write YYYY-MM-DD"),
            }),
        }
    }
    found
}

fn promotion(path: &str, entry: &PromotionConfig, errors: &mut Vec<CalendarError>) -> Option<Stretch> {
    let before = errors.len();
    if !(entry.factor.is_finite() && entry.factor > 0.0) {
        let message = format!("{} is not a factor: a number above 0, 1 leaves the value alone", entry.factor);
        errors.push(CalendarError { path: format!("{path}.factor"), message });
    }
    if !(entry.widen.is_finite() && entry.widen >= 1.0) {
        let message = format!("{} does not widen the band: a number from 1 on", entry.widen);
        errors.push(CalendarError { path: format!("{path}.widen"), message });
    }
    let (from, to) = span(path, &entry.from, &entry.to, errors)?;
    let cool_down = i64::try_from(entry.cool_down.0.as_secs()).unwrap_or(i64::MAX);
    (errors.len() == before).then(|| Stretch {
        name: entry.name.as_str().into(),
        from,
        to,
        cool_down_until: to.saturating_add(cool_down),
        factor: entry.factor,
        widen: entry.widen,
        metrics: entry.metrics.clone(),
    })
}

fn exclusion(path: &str, entry: &ExclusionConfig, errors: &mut Vec<CalendarError>) -> Option<Stretch> {
    let (from, to) = span(path, &entry.from, &entry.to, errors)?;
    Some(Stretch {
        name: entry.name.as_str().into(),
        from,
        to,
        cool_down_until: to,
        factor: 1.0,
        widen: 1.0,
        metrics: entry.metrics.clone(),
    })
}

/// Local start and end of a stretch in seconds; a plain date as the end means the end of that day.
fn span(path: &str, from: &str, to: &str, errors: &mut Vec<CalendarError>) -> Option<(i64, i64)> {
    let start = instant(&format!("{path}.from"), from, 0, errors);
    let end = instant(&format!("{path}.to"), to, 1, errors);
    let (start, end) = (start?, end?);
    if start >= end {
        // Of two days the end may be the start; of two times of day it may not.
        let days = !from.contains('T') && !to.contains('T');
        let message = format!("`{to}` is {} `{from}`", if days { "before" } else { "not after" });
        errors.push(CalendarError { path: format!("{path}.to"), message });
        return None;
    }
    Some((start, end))
}

fn instant(path: &str, text: &str, days_added: i64, errors: &mut Vec<CalendarError>) -> Option<i64> {
    let moment = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some((i64::from(civil::day_number(date)) + days_added) * i64::from(DAY_SECS))
    };
    let found = moment.map(|moment| moment.and_utc().timestamp()).or_else(date);
    if found.is_none() {
        let message = format!("`{text}` is not a local time: write YYYY-MM-DD or YYYY-MM-DDTHH:MM");
        errors.push(CalendarError { path: path.to_owned(), message });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::HumanDuration;

    fn day(text: &str) -> i32 {
        civil::day_number(NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap())
    }

    fn sale(from: &str, to: &str) -> PromotionConfig {
        PromotionConfig {
            name: "double11".into(),
            from: from.into(),
            to: to.into(),
            factor: 3.0,
            widen: 2.0,
            metrics: vec!["sales.*".into()],
            cool_down: HumanDuration::from_secs(3600),
        }
    }

    #[test]
    fn day_classes_follow_holidays_and_moved_workdays() {
        let config = CalendarConfig {
            holidays: vec!["2025-10-01".into(), "2025-10-04".into()],
            workdays: vec!["2025-09-28".into()],
            ..CalendarConfig::default()
        };
        let calendar = Calendar::from_config(&config).unwrap();
        for (text, class) in [
            ("2025-09-26", DayClass::Workday),
            ("2025-09-27", DayClass::Weekend),
            ("2025-09-28", DayClass::Workday), // a Sunday that is worked
            ("2025-10-01", DayClass::Holiday),
            ("2025-10-04", DayClass::Holiday), // a Saturday
        ] {
            assert_eq!(calendar.day_class(day(text)), class, "{text}");
        }
    }

    #[test]
    fn a_promotion_holds_from_its_start_to_the_end_of_its_cool_down() {
        let config = CalendarConfig {
            promotions: vec![sale("2025-11-10T20:00", "2025-11-11")],
            ..CalendarConfig::default()
        };
        let calendar = Calendar::from_config(&config).unwrap();
        let sales = Settings::shipped("sales.orders");
        for (date, second, expected) in [
            ("2025-11-10", 71_999, None),
            ("2025-11-10", 72_000, Some((3.0, 2.0))),
            ("2025-11-11", 86_399, Some((3.0, 2.0))),
            ("2025-11-12", 0, Some((1.0, 2.0))),
            ("2025-11-12", 3_599, Some((1.0, 2.0))),
            ("2025-11-12", 3_600, None),
        ] {
            let found = calendar.mark(&sales, day(date), second).promotion.map(|p| (p.factor, p.widen));
            assert_eq!(found, expected, "{date} {second}");
        }
        assert_eq!(calendar.mark(&Settings::shipped("logins"), day("2025-11-11"), 0), Mark::default());
    }

    #[test]
    fn a_metric_may_choose_its_calendars() {
        let config = CalendarConfig {
            promotions: vec![sale("2025-11-11", "2025-11-11")],
            ..CalendarConfig::default()
        };
        let calendar = Calendar::from_config(&config).unwrap();
        let mut sales = Settings::shipped("sales.orders");
        sales.calendars = vec!["other".into()];
        assert_eq!(calendar.mark(&sales, day("2025-11-11"), 0).promotion, None);
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let mut wrong = sale("2025-11-11", "2025-11-10T00:00");
        wrong.factor = 0.0;
        wrong.widen = f64::NAN;
        let config = CalendarConfig {
            holidays: vec!["2025-02-30".into(), "2025-10-01".into()],
            workdays: vec!["2025-10-01".into()],
            promotions: vec![wrong, sale("soon", "2025-11-11"), sale("2025-11-11", "2025-11-10")],
            excluded: Vec::new(),
        };
        let errors = Calendar::from_config(&config).unwrap_err();
        insta::assert_snapshot!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @r"
        calendar.holidays[0]: `2025-02-30` is not a date: write YYYY-MM-DD
        calendar.workdays: 2025-10-01 is a holiday too: name it in one of the two lists
        calendar.promotions[0].factor: 0 is not a factor: a number above 0, 1 leaves the value alone
        calendar.promotions[0].widen: NaN does not widen the band: a number from 1 on
        calendar.promotions[0].to: `2025-11-10T00:00` is not after `2025-11-11`
        calendar.promotions[1].from: `soon` is not a local time: write YYYY-MM-DD or YYYY-MM-DDTHH:MM
        calendar.promotions[2].to: `2025-11-10` is before `2025-11-11`
        ");
    }
}
