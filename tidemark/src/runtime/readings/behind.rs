//! How far a consumer is behind the end of the log.

use std::time::Duration;

use model::{Positions, ReadError, ReadLimit, SampleLog, Timestamp, Topics};

/// So much of each partition is looked at; what lies beyond is estimated from it.
const LOOK: ReadLimit = ReadLimit { entries: 10_000, bytes: 4 << 20 };

/// What a consumer has not taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Behind {
    /// How many entries of its topics; of a partition where they are more than one look brings, in proportion to its
    /// bytes.
    pub(super) entries: f64,
    /// How long ago the oldest of them was appended; zero when there is none.
    pub(super) age: Duration,
}

/// Looks how far `positions` are behind the log's end, by entries of `topics`. Touches the disk.
///
/// # Errors
/// [`ReadError`].
pub(super) fn behind(
    log: &dyn SampleLog,
    positions: &Positions,
    topics: Topics,
    civil_now: Timestamp,
) -> Result<Behind, ReadError> {
    let end = log.end();
    let mut behind = Behind::default();
    for (partition, last) in &end.0 {
        let at = positions.next(partition);
        if at >= *last {
            continue;
        }
        let mut from = end.clone();
        from.0.insert(partition.clone(), at);
        let batch = log.read(&from, topics, LOOK)?;
        let mine = || batch.entries.iter().filter(|entry| entry.position.partition == *partition);
        if let Some(first) = mine().next() {
            behind.age = behind.age.max(civil_now.since(first.appended_at));
        }
        let (seen, upto) = (mine().count() as f64, batch.next.next(partition));
        let looked = upto.saturating_sub(at).saturating_sub(batch.lost_bytes).max(1);
        behind.entries += seen + (seen / looked as f64 * last.saturating_sub(upto) as f64).round();
    }
    Ok(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use model::testing::MemoryLog;
    use model::{NewEntry, PipelineKind, PipelinePoint, Topic};

    fn reading(number: u64) -> NewEntry {
        let fields = [("rows".into(), 1.0)].into();
        let at = Timestamp::from_secs(number as i64);
        PipelinePoint { kind: PipelineKind::Sampler, component: "a".into(), at, fields }.into_entry()
    }

    async fn filled(entries: u64) -> Arc<MemoryLog> {
        let log = Arc::new(MemoryLog::new("collector"));
        for number in 1..=entries {
            log.set_civil_time(Timestamp::from_secs(number as i64));
            log.append(vec![reading(number)]).await.unwrap();
        }
        log
    }

    fn look(log: &MemoryLog, at: u64, topic: Topic) -> (f64, u64) {
        let positions = Positions([("collector".into(), at)].into());
        let behind = behind(log, &positions, Topics::of(&[topic]), Timestamp::from_secs(100)).unwrap();
        (behind.entries, behind.age.as_secs())
    }

    #[tokio::test]
    async fn entries_of_its_topics_count_and_the_oldest_says_since_when() {
        let log = filled(50).await;
        for (at, topic, expected) in [
            (50, Topic::Pipeline, (0.0, 0)),
            (40, Topic::Pipeline, (10.0, 59)),
            (0, Topic::Pipeline, (50.0, 99)),
            (0, Topic::Alerts, (0.0, 0)),
        ] {
            assert_eq!(look(&log, at, topic), expected, "from {at} of {topic:?}");
        }
    }

    #[tokio::test]
    async fn what_lies_beyond_one_look_is_estimated() {
        let log = filled(25_000).await;
        assert_eq!(look(&log, 0, Topic::Pipeline).0, 25_000.0);
    }
}
