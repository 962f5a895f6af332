//! The store beside a map that does the obvious, through flushes, restarts and crashes.

use std::collections::BTreeMap;

use model::TimeRange;
use proptest::prelude::*;

use super::*;

type Row = BTreeMap<Arc<str>, FieldValue>;

/// Measurement, tags -> time -> fields.
#[derive(Default)]
struct Model {
    series: BTreeMap<(Measurement, Labels), BTreeMap<i64, Row>>,
}

impl Model {
    fn write(&mut self, points: &[Point]) {
        for point in points {
            let rows = self.series.entry((point.measurement, point.tags.clone())).or_default();
            rows.entry(point.time.as_nanos()).or_default().extend(point.fields.iter().cloned());
        }
    }

    fn read(&self, query: &SeriesQuery) -> BTreeMap<Labels, BTreeMap<i64, Row>> {
        let revisions = match query.measurement {
            Measurement::Sample => Some(Measurement::SampleRevision),
            Measurement::Verdict => Some(Measurement::VerdictRevision),
            _ => None,
        };
        let revision =
            |tags: &Labels| tags.get("revision").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let mut sources: Vec<_> = self.series.iter().collect();
        sources.sort_by_key(|((_, tags), _)| revision(tags));
        let mut found: BTreeMap<Labels, BTreeMap<i64, Row>> = BTreeMap::new();
        for ((measurement, tags), rows) in sources {
            let tags = match revisions {
                Some(revisions) if *measurement == revisions => tags.with([("revision", "")]),
                _ if *measurement == query.measurement => tags.clone(),
                _ => continue,
            };
            if query.matchers.iter().any(|matcher| tags.get(&matcher.tag).unwrap_or("") != &*matcher.value) {
                continue;
            }
            let range = query.range.start.as_nanos()..query.range.end.as_nanos();
            let inside = rows.iter().filter(|(time, _)| range.contains(time));
            found.entry(tags).or_default().extend(inside.map(|(time, row)| (*time, row.clone())));
        }
        for rows in found.values_mut() {
            for row in rows.values_mut() {
                row.retain(|name, _| query.fields.is_empty() || query.fields.contains(name));
            }
            rows.retain(|_, row| !row.is_empty());
            while query.last > 0 && rows.len() > query.last {
                rows.pop_first();
            }
        }
        found.retain(|_, rows| !rows.is_empty());
        found
    }
}

fn as_map(found: &[SeriesData]) -> BTreeMap<Labels, BTreeMap<i64, Row>> {
    let rows = |series: &SeriesData| {
        let row = |row: usize| {
            let cells =
                series.columns.iter().filter_map(|(name, column)| Some((name.clone(), column[row].clone()?)));
            cells.collect::<Row>()
        };
        assert!(series.times.is_sorted_by(|a, b| a < b), "times of {} ascend", series.tags);
        series.times.iter().enumerate().map(|(at, time)| (time.as_nanos(), row(at))).collect()
    };
    found.iter().map(|series| (series.tags.clone(), rows(series))).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Point>),
    Flush,
    /// Close in order and open again.
    Restart,
    /// Open what a crash leaves on the disk.
    Crash,
    Read(SeriesQuery),
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => (0i64..40).prop_map(|i| i * 6 * 60 * MINUTE / 5),
        1 => (-5i64..5).prop_map(|i| i * DAY - 1),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX - 1, 0]),
    ]
}

fn points() -> impl Strategy<Value = Point> {
    let revision = prop_oneof![4 => Just(0u32), 1 => 1u32..12];
    let measurement = prop_oneof![3 => Just(Measurement::Sample), 1 => Just(Measurement::Alert)];
    let fields = prop::collection::btree_set(0usize..3, 1..=3);
    (measurement, 0usize..3, revision, times(), fields, -5i64..5).prop_map(
        |(measurement, series, revision, time, fields, value)| {
            let mut pairs = vec![("metric".to_owned(), ["a", "a", "b"][series].to_owned())];
            pairs.extend((series == 1).then(|| ("channel".to_owned(), "app".to_owned())));
            let sample = measurement == Measurement::Sample;
            pairs.extend((sample && revision > 0).then(|| ("revision".to_owned(), revision.to_string())));
            let measurement = if sample && revision > 0 { Measurement::SampleRevision } else { measurement };
            let field = |kind: usize| match kind {
                0 => (Arc::from("value"), FieldValue::Float(value as f64 / 4.0)),
                1 => (Arc::from("state"), FieldValue::Integer(value)),
                _ => (Arc::from("text"), FieldValue::Text(format!("t{value}").into())),
            };
            let fields = fields.into_iter().map(field).collect();
            Point { measurement, tags: Labels::new(pairs), time: Timestamp::from_nanos(time), fields }
        },
    )
}

fn queries() -> impl Strategy<Value = SeriesQuery> {
    let measurement =
        prop::sample::select(vec![Measurement::Sample, Measurement::SampleRevision, Measurement::Alert]);
    let matchers = prop::collection::vec(
        prop::sample::select(vec![("metric", "a"), ("metric", "b"), ("channel", "app"), ("channel", "")]),
        0..2,
    );
    let fields = prop::collection::vec(prop::sample::select(vec!["value", "state", "text", "unknown"]), 0..3);
    let range = prop_oneof![Just((i64::MIN, i64::MAX)), (times(), times())];
    let last = prop_oneof![Just(0usize), 1usize..6];
    (measurement, matchers, fields, range, last).prop_map(|(measurement, matchers, fields, range, last)| {
        let matcher = |(tag, value): (&str, &str)| Matcher { tag: tag.into(), value: value.into() };
        SeriesQuery {
            measurement,
            matchers: matchers.into_iter().map(matcher).collect(),
            fields: fields.into_iter().map(Arc::from).collect(),
            range: TimeRange { start: Timestamp::from_nanos(range.0), end: Timestamp::from_nanos(range.1) },
            last,
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop::collection::vec(points(), 1..30).prop_map(Step::Write),
        3 => Just(Step::Flush),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        6 => queries().prop_map(Step::Read),
    ];
    prop::collection::vec(step, 1..25)
}

/// A store, and the log it is fed from.
struct Bench {
    dir: TempDir,
    store: Option<Arc<EmbeddedStore>>,
    log: Vec<Vec<Point>>,
    model: Model,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("folder");
        let store = Some(Self::open(dir.path()));
        Self { dir, store, log: Vec::new(), model: Model::default() }
    }

    fn open(dir: &Path) -> Arc<EmbeddedStore> {
        // A small head, so that writes flush by themselves now and then.
        EmbeddedStore::open(dir, EmbeddedOptions { head_bytes: 2_000, ..EmbeddedOptions::default() })
            .expect("open")
    }

    fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().expect("open")
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Write(points) => {
                self.model.write(&points);
                self.log.push(points.clone());
                let written = self.store().write(&points, &at(self.log.len() as u64)).await.expect("write");
                assert_eq!(written, Written { points: points.len(), refused: Vec::new() });
            }
            Step::Flush => self.store().flush().await.expect("flush"),
            Step::Restart => {
                self.store = None;
                self.store = Some(Self::open(self.dir.path()));
                self.replay().await;
            }
            Step::Crash => {
                let image = crash_image(self.dir.path());
                self.store = Some(Self::open(image.path()));
                self.dir = image;
                self.replay().await;
            }
            Step::Read(query) => {
                let found = self.store().read(&query).await.expect("read");
                assert_eq!(as_map(&found), self.model.read(&query), "{query:?}");
            }
        }
    }

    async fn replay(&self) {
        let position = self.store().position().await.expect("position").expect("own position");
        for number in position.next("log") as usize..self.log.len() {
            self.store().write(&self.log[number], &at(number as u64 + 1)).await.expect("write");
        }
    }
}

/// Each case opens files; `.ci/full` runs many more than the usual ones.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(120))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_store_is_a_map_through_flushes_restarts_and_crashes(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let mut bench = Bench::new();
            for step in steps {
                bench.step(step).await;
            }
            for measurement in Measurement::ALL {
                bench.step(Step::Read(all(measurement))).await;
            }
        });
    }
}
