//! The store against a model, crashes, revisions, retention, failing disks and damaged files.

mod fault;
mod model_test;

use std::path::Path;
use std::sync::Arc;

use model::{FieldValue, TimeRange};
use tempfile::TempDir;

use super::*;

pub(super) const MINUTE: i64 = 60_000_000_000;
pub(super) const DAY: i64 = 1440 * MINUTE;

pub(super) fn tags(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().map(|(name, value)| (*name, *value)))
}

pub(super) fn point(
    measurement: Measurement,
    pairs: &[(&str, &str)],
    time: i64,
    fields: &[(&str, f64)],
) -> Point {
    let fields = fields.iter().map(|(name, value)| (Arc::from(*name), FieldValue::Float(*value))).collect();
    Point { measurement, tags: tags(pairs), time: Timestamp::from_nanos(time), fields }
}

fn sample(metric: &str, time: i64, value: f64) -> Point {
    point(Measurement::Sample, &[("metric", metric)], time, &[("value", value)])
}

pub(super) fn at(offset: u64) -> Positions {
    Positions([("log".into(), offset)].into())
}

pub(super) fn all(measurement: Measurement) -> SeriesQuery {
    SeriesQuery {
        measurement,
        matchers: Vec::new(),
        fields: Vec::new(),
        range: TimeRange { start: Timestamp::MIN, end: Timestamp::MAX },
        last: 0,
    }
}

fn of(pairs: &[(&str, &str)]) -> SeriesQuery {
    let matcher = |(tag, value): &(&str, &str)| Matcher { tag: (*tag).into(), value: (*value).into() };
    SeriesQuery { matchers: pairs.iter().map(matcher).collect(), ..all(Measurement::Sample) }
}

pub(super) fn open(dir: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(dir, EmbeddedOptions::default()).expect("open")
}

/// What a crash at this moment leaves on the disk.
pub(super) fn crash_image(dir: &Path) -> TempDir {
    let image = TempDir::new().expect("folder");
    std::fs::copy(path_in(dir), path_in(image.path())).expect("copy");
    image
}

/// `metric{labels} time:field=value,..` a row, for snapshots. Times in minutes.
pub(super) fn show(found: &[SeriesData]) -> String {
    let mut lines = Vec::new();
    for series in found {
        for (row, time) in series.times.iter().enumerate() {
            let fields: Vec<_> = series
                .columns
                .iter()
                .filter_map(|(name, column)| column[row].as_ref().map(|value| (name, value)))
                .map(|(name, value)| match value {
                    FieldValue::Text(text) => format!("{name}={text}"),
                    FieldValue::Integer(number) => format!("{name}={number}i"),
                    FieldValue::Float(number) => format!("{name}={number}"),
                })
                .collect();
            lines.push(format!("{} {} {}", series.tags, time.as_nanos() / MINUTE, fields.join(",")));
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn what_was_written_is_visible_at_once_and_durable_after_a_flush() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    store.write(&[sample("a", 0, 1.0)], &at(1)).await.expect("write");
    assert_eq!(show(&store.read(&of(&[])).await.expect("read")), r#"{metric="a"} 0 value=1"#);
    assert_eq!(store.position().await.expect("position"), Some(Positions::default()));

    let before = crash_image(dir.path());
    store.flush().await.expect("flush");
    assert_eq!(store.position().await.expect("position"), Some(at(1)));
    let after = crash_image(dir.path());

    let lost = open(before.path());
    assert_eq!(lost.position().await.expect("position"), Some(Positions::default()));
    assert!(lost.read(&of(&[])).await.expect("read").is_empty());
    let kept = open(after.path());
    assert_eq!(kept.position().await.expect("position"), Some(at(1)));
    assert_eq!(show(&kept.read(&of(&[])).await.expect("read")), r#"{metric="a"} 0 value=1"#);
}

#[tokio::test]
async fn positions_move_without_points_and_may_be_set_back() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    for offset in [7, 3] {
        store.write(&[], &at(offset)).await.expect("write");
        store.flush().await.expect("flush");
        assert_eq!(store.position().await.expect("position"), Some(at(offset)));
    }
    store.write(&[], &Positions::default()).await.expect("write");
    store.flush().await.expect("flush");
    drop(store);
    assert_eq!(open(dir.path()).position().await.expect("position"), Some(Positions::default()));
}

#[tokio::test]
async fn the_newest_value_of_a_field_wins_and_others_stay() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let tags = [("metric", "a")];
    let first = point(Measurement::Sample, &tags, 0, &[("value", 1.0), ("numerator", 1.0)]);
    let second = point(Measurement::Sample, &tags, 0, &[("value", 2.0), ("denominator", 4.0)]);
    for points in [vec![first.clone(), second.clone()], vec![first], vec![second]] {
        store.write(&points, &at(1)).await.expect("write");
        store.flush().await.expect("flush");
    }
    let got = show(&store.read(&of(&[])).await.expect("read"));
    assert_eq!(got, r#"{metric="a"} 0 denominator=4,numerator=1,value=2"#);
}

#[tokio::test]
async fn the_highest_revision_is_laid_over_the_first_values() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let revised = |revision: &str, time, fields: &[(&str, f64)]| {
        point(Measurement::SampleRevision, &[("metric", "a"), ("revision", revision)], time, fields)
    };
    let both = |time| {
        point(Measurement::Sample, &[("metric", "a")], time, &[("value", time as f64), ("numerator", 9.0)])
    };
    let points = [
        revised("10", MINUTE, &[("value", 110.0)]),
        revised("9", MINUTE, &[("value", 109.0), ("numerator", 5.0)]),
        revised("1", 5 * MINUTE, &[("value", 105.0)]),
        both(0),
        both(MINUTE),
        both(2 * MINUTE),
    ];
    store.write(&points, &at(1)).await.expect("write");
    let expected = [
        r#"{metric="a"} 0 numerator=9,value=0"#,
        r#"{metric="a"} 1 value=110"#,
        r#"{metric="a"} 2 numerator=9,value=120000000000"#,
        r#"{metric="a"} 5 value=105"#,
    ];
    let first = [
        r#"{metric="a"} 0 numerator=9,value=0"#,
        r#"{metric="a"} 1 numerator=9,value=60000000000"#,
        r#"{metric="a"} 2 numerator=9,value=120000000000"#,
    ];
    for _ in 0..2 {
        let got = show(&store.read(&all(Measurement::Sample)).await.expect("read"));
        assert_eq!(got, expected.join("\n"));
        let numerators =
            SeriesQuery { fields: vec!["numerator".into()], last: 1, ..all(Measurement::Sample) };
        assert_eq!(show(&store.read(&numerators).await.expect("read")), r#"{metric="a"} 2 numerator=9"#);
        let raw = SeriesQuery { last: 1, ..all(Measurement::SampleRevision) };
        assert_eq!(store.read(&raw).await.expect("read").len(), 3);
        let stored = show(&store.read_stored(&all(Measurement::Sample)).await.expect("read"));
        assert_eq!(stored, first.join("\n"), "as it was written");
        store.flush().await.expect("flush");
    }
    assert_eq!(store.series(Measurement::Sample, &[]).await.expect("series"), [tags(&[("metric", "a")])]);
}

#[tokio::test]
async fn matchers_ask_for_values_and_for_absence() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let series: [&[(&str, &str)]; 4] = [
        &[("metric", "a")],
        &[("metric", "a"), ("channel", "app")],
        &[("metric", "a"), ("channel", "web")],
        &[("metric", "b"), ("channel", "app")],
    ];
    let points: Vec<_> =
        series.iter().map(|pairs| point(Measurement::Sample, pairs, 0, &[("value", 1.0)])).collect();
    store.write(&points, &at(1)).await.expect("write");
    for (matchers, expected) in [
        (&[][..], 4),
        (&[("metric", "a")], 3),
        (&[("metric", "a"), ("channel", "")], 1),
        (&[("channel", "app")], 2),
        (&[("metric", "c")], 0),
        (&[("metric", "")], 0),
        (&[("nothing", "")], 4),
    ] {
        assert_eq!(store.read(&of(matchers)).await.expect("read").len(), expected, "{matchers:?}");
        let listed = store.series(Measurement::Sample, &of(matchers).matchers).await.expect("series");
        assert_eq!(listed.len(), expected, "{matchers:?}");
    }
    assert!(store.series(Measurement::Alert, &[]).await.expect("series").is_empty());
}

#[tokio::test]
async fn points_that_can_never_be_stored_are_refused_by_name_and_the_rest_kept() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let wrong_type =
        Point { fields: vec![("value".into(), FieldValue::Integer(1))], ..sample("a", MINUTE, 0.0) };
    let empty = Point { fields: Vec::new(), ..sample("a", MINUTE, 0.0) };
    let points = [sample("a", 0, 1.0), wrong_type, sample("a", MINUTE, f64::NAN), empty, sample("b", 0, 2.0)];
    let written = store.write(&points, &at(1)).await.expect("write");
    assert_eq!(written.points, 2);
    insta::assert_snapshot!(written.refused.join("\n"), @r#"
    field `value` of sample{metric="a"} at 1970-01-01T00:01:00Z is integer, but the field's type is float
    field `value` of sample{metric="a"} at 1970-01-01T00:01:00Z is not finite
    point sample{metric="a"} at 1970-01-01T00:01:00Z has no field
    "#);
}

#[tokio::test]
async fn retention_drops_whole_days_and_series_that_have_none_left() {
    let dir = TempDir::new().expect("folder");
    let retention = Some(Duration::from_secs(2 * 86_400));
    let options = EmbeddedOptions { retention, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(dir.path(), options.clone()).expect("open");
    let old = (0..6).map(|day| sample("old", day * DAY, 0.0));
    let points: Vec<_> = old.chain([sample("gone", DAY, 1.0), sample("back", DAY, 1.0)]).collect();
    store.write(&points, &at(1)).await.expect("write");
    store.flush().await.expect("flush");
    store.write(&[sample("back", 9 * DAY, 1.0)], &at(2)).await.expect("write");

    let now = Timestamp::from_nanos(5 * DAY + MINUTE);
    assert_eq!(store.expire(now).await.expect("expire"), 3 + 1 + 1);
    assert_eq!(store.expire(now).await.expect("expire"), 0);
    store.flush().await.expect("flush");
    drop(store);
    let store = EmbeddedStore::open(dir.path(), options).expect("open");
    insta::assert_snapshot!(show(&store.read(&of(&[])).await.expect("read")), @r#"
    {metric="back"} 12960 value=1
    {metric="old"} 4320 value=0
    {metric="old"} 5760 value=0
    {metric="old"} 7200 value=0
    "#);
    assert_eq!(
        store.series(Measurement::Sample, &of(&[("metric", "gone")]).matchers).await.expect("series"),
        []
    );
}

#[tokio::test]
async fn a_full_head_flushes_itself_and_stays_within_its_limit() {
    let dir = TempDir::new().expect("folder");
    let options = EmbeddedOptions { head_bytes: 50_000, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(dir.path(), options).expect("open");
    for batch in 0..20 {
        let points: Vec<_> = (0..500).map(|i| sample("a", (batch * 500 + i) * MINUTE, 1.0)).collect();
        store.write(&points, &at(batch as u64)).await.expect("write");
        assert!(store.head_bytes() < 50_000 + 500 * 17 + 100, "{}", store.head_bytes());
    }
    let durable = store.position().await.expect("position").expect("own position");
    assert!(durable.covers(&at(12)), "{durable:?}");
    let found = store.read(&of(&[])).await.expect("read");
    assert_eq!(found[0].times.len(), 10_000);
}

#[tokio::test]
async fn small_flushes_leave_few_parts_and_a_past_day_one() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    for minute in 0..1500 {
        store.write(&[sample("a", minute * MINUTE, minute as f64)], &at(minute as u64)).await.expect("write");
        store.flush().await.expect("flush");
    }
    let count = |day: i32| {
        let counted = store.inner.file.read(|transaction| {
            let chunks = transaction.open_table(file::CHUNKS)?;
            Ok(chunks.range((0, day, 0)..=(0, day, u32::MAX))?.count())
        });
        counted.expect("read")
    };
    assert_eq!(count(0), 1);
    assert!(count(1) <= 7, "{} parts", count(1));
    assert_eq!(store.read(&of(&[])).await.expect("read")[0].times.len(), 1500);
}

#[tokio::test]
async fn a_read_that_would_bring_too_much_is_refused() {
    let dir = TempDir::new().expect("folder");
    let options = EmbeddedOptions { max_read_values: 3000, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(dir.path(), options).expect("open");
    let points: Vec<_> = (0..3000).map(|minute| sample("a", minute * MINUTE, 1.0)).collect();
    store.write(&points, &at(1)).await.expect("write");
    let error = store.read(&of(&[])).await.expect_err("too much");
    insta::assert_snapshot!(error, @"store embedded cannot read series: it would bring more than 3000 values: ask for less time or fewer series");
    assert_eq!(store.read(&SeriesQuery { last: 10, ..of(&[]) }).await.expect("read")[0].times.len(), 10);
}
