use std::time::Duration;

use chrono_tz::Tz;
use model::{Timestamp, Window};
use proptest::prelude::*;

use super::Timetable;
use crate::Schedule;

fn interval(text: &str, zone: Tz) -> Timetable {
    let interval = text.parse::<model::HumanDuration>().unwrap().0;
    Timetable::new(&Schedule::Interval(interval), zone).unwrap()
}

fn cron(expression: &str, zone: Tz) -> Timetable {
    let schedule = Schedule::Cron { expression: expression.into(), window: Duration::from_secs(300) };
    Timetable::new(&schedule, zone).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn ends(table: &Timetable, after: &str, until: &str, zone: Tz) -> Vec<String> {
    table
        .windows_between(at(after), at(until))
        .map(|w| w.end.in_zone(zone).format("%d %H:%M%:z").to_string())
        .collect()
}

#[test]
fn short_intervals_align_to_utc_wherever_the_zone() {
    let table = interval("30m", Tz::Asia__Kathmandu);
    let next = table.next_tick_after(at("2026-05-01T10:15:00Z")).unwrap();
    assert_eq!(next.to_string(), "[2026-05-01T10:00:00Z, 2026-05-01T10:30:00Z)");
    let on_the_border = table.next_tick_after(next.end).unwrap();
    assert_eq!(on_the_border.start, next.end);
}

#[test]
fn long_intervals_align_to_local_midnight() {
    let table = interval("6h", Tz::Asia__Kathmandu);
    let next = table.next_tick_after(at("2026-05-01T10:15:00Z")).unwrap();
    assert_eq!(next.to_string(), "[2026-05-01T06:15:00Z, 2026-05-01T12:15:00Z)");
}

#[test]
fn days_of_23_and_25_hours_have_as_many_hourly_windows() {
    let berlin = Tz::Europe__Berlin;
    let table = interval("1h", berlin);
    for (from, until, hours) in [
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25),
    ] {
        let windows: Vec<Window> = table.windows_between(at(from), at(until)).collect();
        assert_eq!(windows.len(), hours, "{from}");
        assert!(windows.iter().all(|w| w.length() == Duration::from_secs(3_600)), "{windows:?}");
    }
}

#[test]
fn a_border_in_a_gap_moves_to_its_end_and_a_day_is_one_window() {
    let berlin = Tz::Europe__Berlin;
    insta::assert_debug_snapshot!(
        ends(&interval("2h", berlin), "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z", berlin),
        @r#"
    [
        "29 03:00+02:00",
        "29 04:00+02:00",
        "29 06:00+02:00",
    ]
    "#
    );
    let havana = Tz::America__Havana;
    insta::assert_debug_snapshot!(
        ends(&interval("1d", havana), "2026-10-30T12:00:00Z", "2026-11-03T12:00:00Z", havana),
        @r#"
    [
        "31 00:00-04:00",
        "01 00:00-04:00",
        "02 00:00-05:00",
        "03 00:00-05:00",
    ]
    "#
    );
}

#[test]
fn wrong_schedules_say_what_is_wrong() {
    let check = |schedule: Schedule| Timetable::new(&schedule, Tz::UTC).unwrap_err().to_string();
    let secs = |secs| Schedule::Interval(Duration::from_secs(secs));
    let cron = |text: &str| Schedule::Cron { expression: text.into(), window: Duration::from_secs(60) };
    let messages = [
        check(secs(0)),
        check(secs(420)),
        check(secs(172_800)),
        check(cron("*/5 * * * *")),
        check(cron("0 */5 * * * 1-5")),
        check(cron("0 0 9 1 * MON")),
        check(cron("0 61 * * * *")),
        check(cron("0 0 0 30 FEB *")),
        check(cron("0 0 0 * * FUNDAY")),
        check(cron("")),
        check(Schedule::Cron { expression: "0 * * * * *".into(), window: Duration::ZERO }),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
        interval 0s is not a whole number of seconds, at least 1s
        interval 7m does not divide a day: write for example 6m40s or 7m12s
        interval 2d is longer than a day: use `cron` with `window`
        `*/5 * * * *` has 5 fields, and a cron expression has 6: second minute hour day-of-month month day-of-week, for example `0 */5 * * * MON-FRI`
        `1-5`: write days of the week by name (MON, TUE, .. SUN), since their numbers mean different days in different crons
        `0 0 9 1 * MON` names days of the month and days of the week, which some crons take as either and some as both: leave one of them `*`
        `0 61 * * * *` is not a cron expression: Minutes must be less than 59. ('61' specified.)
        `0 0 0 30 FEB *` never comes: there is no such day
        `0 0 0 * * FUNDAY` is not a cron expression: 'FUNDAY' is not a valid day of the week.
        `` has 0 fields, and a cron expression has 6: second minute hour day-of-month month day-of-week, for example `0 */5 * * * MON-FRI`
        window 0s is not a whole number of seconds between 1s and 31d
        "#);
}

#[test]
fn a_daily_cron_runs_once_a_day_whatever_the_clocks_do() {
    let berlin = Tz::Europe__Berlin;
    let table = cron("0 30 2 * * *", berlin);
    insta::assert_debug_snapshot!(
        (
            ends(&table, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", berlin),
            ends(&table, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", berlin),
        ),
        @r#"
        (
            [
                "28 02:30+01:00",
                "29 03:00+02:00",
                "30 02:30+02:00",
            ],
            [
                "24 02:30+02:00",
                "25 02:30+02:00",
                "26 02:30+01:00",
            ],
        )
        "#
    );
}

#[test]
fn a_frequent_cron_follows_the_clocks() {
    let berlin = Tz::Europe__Berlin;
    let table = cron("0 */30 * * * *", berlin);
    insta::assert_debug_snapshot!(
        (
            ends(&table, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z", berlin),
            ends(&table, "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z", berlin),
        ),
        @r#"
        (
            [
                "29 01:30+01:00",
                "29 03:00+02:00",
                "29 03:30+02:00",
                "29 04:00+02:00",
            ],
            [
                "25 02:00+02:00",
                "25 02:30+02:00",
                "25 02:00+01:00",
                "25 02:30+01:00",
                "25 03:00+01:00",
            ],
        )
        "#
    );
}

const ZONES: [Tz; 8] = [
    Tz::UTC,
    Tz::Asia__Shanghai,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Havana,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Casablanca,
    Tz::Asia__Beirut,
];

const EXPRESSIONS: [&str; 9] = [
    "0 */5 * * * *",
    "0 */5 * * * MON-FRI",
    "0 0 0 * * *",
    "0 30 2 * * *",
    "0 15 1 * * SUN",
    "0 0 3 1 * *",
    "0 0,20,40 0-3 * * *",
    "30 59 23 * * *",
    "0 0 */6 * * *",
];

/// Instants around the days on which clocks change.
fn instants() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (1_767_225_600i64..1_830_297_600).prop_map(Timestamp::from_secs),
        (
            prop::sample::select(vec![
                "2026-03-29T01:00:00Z",
                "2026-10-25T01:00:00Z",
                "2026-03-08T07:00:00Z",
                "2026-11-01T06:00:00Z",
                "2026-03-08T05:00:00Z",
                "2026-11-01T05:00:00Z",
                "2026-04-04T15:00:00Z",
                "2026-10-03T15:30:00Z",
                "2026-02-15T02:00:00Z",
                "2026-03-22T02:00:00Z",
                "2026-03-28T22:00:00Z",
                "2026-10-24T21:00:00Z",
            ]),
            -100_000i64..100_000
        )
            .prop_map(|(turn, secs)| Timestamp::from_secs(at(turn).as_secs() + secs)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn cron_agrees_with_croner(
        zone in prop::sample::select(ZONES.to_vec()),
        expression in prop::sample::select(EXPRESSIONS.to_vec()),
        from in instants(),
    ) {
        let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Required).build();
        let oracle = parser.parse(expression).unwrap();
        let table = cron(expression, zone);
        let mut now = from;
        for _ in 0..6 {
            let expected = oracle.find_next_occurrence(&now.in_zone(zone), false).unwrap();
            let found = table.next_tick_after(now).unwrap().end;
            prop_assert_eq!(found.to_string(), Timestamp::from_datetime(&expected).to_string(), "after {} in {}", now, zone);
            now = found;
        }
    }

    #[test]
    fn interval_windows_follow_each_other_without_gap_and_cover_every_instant(
        zone in prop::sample::select(ZONES.to_vec()),
        text in prop::sample::select(vec!["1s", "1m", "15m", "1h", "90m", "2h", "6h", "12h", "1d"]),
        from in instants(),
    ) {
        let table = interval(text, zone);
        let mut window = table.next_tick_after(from).unwrap();
        prop_assert!(window.contains(from), "{from} in {window}");
        for _ in 0..30 {
            let next = table.next_tick_after(window.end).unwrap();
            prop_assert_eq!(next.start, window.end);
            prop_assert!(next.length() > Duration::ZERO && next.length() <= Duration::from_secs(27 * 3_600));
            window = next;
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[0-9*/,A-Z? -]{0,30}") {
        let schedule = Schedule::Cron { expression: text, window: Duration::from_secs(60) };
        if let Ok(table) = Timetable::new(&schedule, Tz::Europe__Berlin) {
            let from = at("2026-03-29T00:59:59Z");
            prop_assert!(table.next_tick_after(from).is_none_or(|window| window.end > from));
        }
    }
}
