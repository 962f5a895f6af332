//! What the log asks of the store: the newest value of a window so old that the log's own index has let it go.

use std::sync::Arc;
use std::time::Duration;

use model::{
    FieldValue, Labels, Matcher, Measurement, Ratio, Reach, ReadSeries, SeriesData, SeriesKey, SeriesQuery,
    Shortfall, TimeRange, Timestamp,
};
use queue::{OlderSample, OlderSamples};
use tokio::runtime::Handle;

/// Looks older samples up in a store. Called on the log writer's own thread, which may block.
pub(super) struct StoredSamples {
    pub(super) store: Arc<dyn ReadSeries>,
    pub(super) executor: Handle,
}

impl std::fmt::Debug for StoredSamples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredSamples")
    }
}

impl OlderSamples for StoredSamples {
    fn latest(&self, series: &SeriesKey, window_start: Timestamp) -> Result<Option<OlderSample>, String> {
        let read = |measurement| {
            let query = query(measurement, series, window_start);
            let read = self.executor.block_on(self.store.read_with_reach(&query));
            let (found, reach) = read.map_err(|error| error.to_string())?;
            match reach {
                Reach::Whole => Ok(found),
                // What it lacks may be the very value, which would then be written as a first one again.
                Reach::Short(short) => Err(lacking(&short)),
            }
        };
        let revised = read(Measurement::SampleRevision)?;
        // The metric's tag and `revision` stand beside the labels; more tags are another series.
        let mine = revised.iter().filter(|data| data.tags.len() == series.labels.len() + 2);
        let newest = mine.filter_map(|data| Some((revision_of(&data.tags)?, data))).max_by_key(|(r, _)| *r);
        if let Some((revision, data)) = newest {
            return Ok(sample(revision, data));
        }
        let first = read(Measurement::Sample)?;
        let mine = first.iter().find(|data| data.tags.len() == series.labels.len() + 1);
        Ok(mine.and_then(|data| sample(0, data)))
    }
}

fn lacking(short: &Shortfall) -> String {
    let why = if short.incomplete { "is incomplete" } else { "has not taken in all of the log" };
    format!("store {} {why}, and no other can be read", short.replica)
}

fn query(measurement: Measurement, series: &SeriesKey, window_start: Timestamp) -> SeriesQuery {
    let pair = |tag: &str, value: &str| Matcher { tag: tag.into(), value: value.into() };
    let labels = series.labels.iter().map(|(name, value)| pair(name, value));
    SeriesQuery {
        measurement,
        matchers: std::iter::once(pair("metric", &series.metric)).chain(labels).collect(),
        fields: Vec::new(),
        range: TimeRange { start: window_start, end: window_start + Duration::from_nanos(1) },
        last: 1,
    }
}

fn revision_of(tags: &Labels) -> Option<u32> {
    tags.get("revision")?.parse().ok()
}

fn sample(revision: u32, data: &SeriesData) -> Option<OlderSample> {
    let field = |name: &str| data.columns.get(name)?.last()?.as_ref().and_then(FieldValue::as_f64);
    let ratio = field("numerator").zip(field("denominator"));
    let ratio = ratio.map(|(numerator, denominator)| Ratio { numerator, denominator });
    Some(OlderSample { revision, value: field("value")?, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ManualClock, Missed, Point, Positions, WriteSamples};
    use tsdb::{EmbeddedOptions, EmbeddedStore, ReadOptions, ReplicaMetrics, Replicas, Status};

    fn point(measurement: Measurement, tags: &[(&str, &str)], value: f64) -> Point {
        Point {
            measurement,
            tags: Labels::new(tags.iter().copied()),
            time: Timestamp::from_secs(60),
            fields: vec![("value".into(), FieldValue::Float(value))],
        }
    }

    #[test]
    fn the_highest_revision_of_the_very_series_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let executor = tokio::runtime::Runtime::new().unwrap();
        let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::default()).unwrap();
        let points = [
            point(Measurement::Sample, &[("metric", "m")], 1.0),
            point(Measurement::Sample, &[("metric", "m"), ("a", "b")], 2.0),
            point(Measurement::SampleRevision, &[("metric", "m"), ("a", "b"), ("revision", "1")], 3.0),
            point(Measurement::SampleRevision, &[("metric", "m"), ("a", "b"), ("revision", "10")], 4.0),
        ];
        executor.block_on(store.write(&points, &Positions::default())).unwrap();
        let older = StoredSamples { store, executor: executor.handle().clone() };
        let look = |labels: &[(&str, &str)], secs| {
            let series = SeriesKey::new("m", Labels::new(labels.iter().copied()));
            let found = older.latest(&series, Timestamp::from_secs(secs)).unwrap();
            found.map(|sample| (sample.revision, sample.value))
        };
        assert_eq!(look(&[("a", "b")], 60), Some((10, 4.0)));
        assert_eq!(look(&[], 60), Some((0, 1.0)));
        assert_eq!(look(&[], 120), None);
    }

    #[test]
    fn what_an_incomplete_store_lacks_is_not_taken_as_never_written() {
        let dir = tempfile::tempdir().unwrap();
        let executor = tokio::runtime::Runtime::new().unwrap();
        let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::default()).unwrap();
        let look = |status: Status| {
            let clock = Arc::new(ManualClock::new(Timestamp::from_secs(60)));
            let mut replicas = Replicas::new(clock, ReadOptions::default(), ReplicaMetrics::default());
            replicas.push("embedded", Arc::clone(&store) as _, Arc::new(status));
            let older = StoredSamples { store: Arc::new(replicas), executor: executor.handle().clone() };
            let series = SeriesKey::new("m", Labels::default());
            older.latest(&series, Timestamp::from_secs(60)).map(|found| found.is_some())
        };
        assert_eq!(look(Status::at_rest(None)), Ok(false));
        // It missed something, and the ledger said so before the repair looked.
        let status = Status::at_rest(None);
        status.remember(Some(Missed { bytes: 1, span: None }));
        let refused = |why: &str| Err(format!("store embedded {why}, and no other can be read"));
        assert_eq!(look(status), refused("is incomplete"));
        assert_eq!(look(Status::default()), refused("has not taken in all of the log"));
    }
}
