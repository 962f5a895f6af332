//! What is deleted, released and refused, and when.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{AppendError, Missed, Positions, ReplicaLedger, SampleLog, Timestamp};
use queue::{ConsumerKind, Log, LogOptions};

use crate::common::*;

fn small(dir: &Path, max_bytes: u64, keep_bytes: u64) -> Arc<Log> {
    let options = LogOptions { max_bytes, keep_bytes, segment_bytes: 1000, ..options(dir) };
    Log::open(options, "collector", clock()).unwrap().0
}

/// Appends until the log refuses or `most` were taken; gives the refusal.
fn fill(log: &Log, from: u64, most: u64) -> (u64, Option<AppendError>) {
    for sequence in from..from + most {
        if let Err(error) = block(log.append(one(sequence))) {
            return (sequence, Some(error));
        }
    }
    (from + most, None)
}

#[test]
fn without_consumers_the_oldest_goes_only_when_the_log_would_exceed_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(dir.path(), 8000, 0);
    let (next, error) = fill(&log, 1, 30);
    assert!(error.is_none());
    assert_eq!(read_all(&log).len(), 30);
    assert!(fill(&log, next, 300).1.is_none());
    let stats = log.stats();
    assert!(stats.bytes <= 8000 && stats.bytes > 6000, "{stats:?}");
    let left = sequences(&read_all(&log));
    assert_eq!(left, (330 - left.len() as u64 + 1..=330).collect::<Vec<_>>());
    let lost = log.read(&Positions([("collector".into(), 40)].into()), ALL, Default::default()).unwrap();
    assert!(lost.lost_bytes > 0);
    assert_eq!(log.read(&Positions::default(), ALL, Default::default()).unwrap().lost_bytes, 0);
}

#[test]
fn a_keeper_holds_what_it_has_not_passed_and_append_refuses_until_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(dir.path(), 8000, 0);
    log.commit("detector", &Positions::default()).unwrap();
    let (next, error) = fill(&log, 1, 1000);
    let Some(AppendError::Full { used_bytes, max_bytes, held_by }) = error else { panic!("{error:?}") };
    assert_eq!((max_bytes, held_by.as_str()), (8000, "detector"));
    assert!(used_bytes <= 8000);
    assert_eq!(sequences(&read_all(&log)), (1..next).collect::<Vec<_>>());
    assert_eq!(
        log.last("sampler/orders").unwrap().sequence,
        next - 1,
        "nothing of the refused batch is known"
    );
    log.commit("detector", &log.end()).unwrap();
    assert!(fill(&log, next, 20).1.is_none());
    assert_eq!(log.stats().lag_bytes.len(), 1);
    assert!(log.stats().incomplete.is_empty());
}

#[test]
fn history_all_have_passed_is_kept_up_to_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(dir.path(), 1 << 20, 5000);
    log.commit("detector", &Positions::default()).unwrap();
    fill(&log, 1, 100);
    let before = log.stats().bytes;
    log.commit("detector", &log.end()).unwrap();
    fill(&log, 101, 20);
    let after = log.stats().bytes;
    assert!(before > 10_000 && (4000..=6000).contains(&after), "{before} {after}");
}

#[test]
fn a_lagging_replica_is_left_behind_only_while_another_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(dir.path(), 8000, 0);
    log.dir().register("replica/a", ConsumerKind::Replica).unwrap();
    let (next, error) = fill(&log, 1, 1000);
    assert!(matches!(&error, Some(AppendError::Full { held_by, .. }) if held_by == "replica/a"), "{error:?}");
    log.dir().register("replica/b", ConsumerKind::Replica).unwrap();
    assert!(fill(&log, next, 1).1.is_some(), "neither has passed it");
    log.commit("replica/b", &log.end()).unwrap();
    assert!(fill(&log, next, 10).1.is_none());
    let stats = log.stats();
    assert_eq!(stats.incomplete.keys().collect::<Vec<_>>(), ["replica/a"]);
    assert_noted_by_place(&log);
    drop(log);
    let log = small(dir.path(), 8000, 0);
    assert_eq!(log.stats().incomplete, stats.incomplete, "survives a restart");
    assert_repaired_only_as_seen(&log);
    assert!(log.stats().incomplete.is_empty());
    log.dir().register("notifier", ConsumerKind::Keeper).unwrap();
    let (_, error) = fill(&log, next + 10, 1000);
    assert!(matches!(&error, Some(AppendError::Full { held_by, .. }) if held_by == "notifier"), "{error:?}");
    log.dir().unregister("notifier").unwrap();
    log.dir().unregister("replica/a").unwrap();
    log.commit("replica/b", &log.end()).unwrap();
    assert!(fill(&log, next + 1000, 5).1.is_none());
}

/// What the log noted when it released it is not noted again by who finds it gone.
fn assert_noted_by_place(log: &Log) {
    let ledger: &dyn ReplicaLedger = log.dir();
    let noted = ledger.missed("replica/a").unwrap();
    let from = Positions([("collector".into(), 0)].into());
    let gone = log.read(&from, ALL, Default::default()).unwrap().lost;
    assert_eq!(gone.0["collector"], 0..noted.unwrap().bytes);
    assert_eq!(ledger.account("replica/a", &gone).unwrap(), noted);
}

/// A repair that did not see all that was missed clears nothing; one that did clears the mark.
fn assert_repaired_only_as_seen(log: &Log) {
    let ledger: &dyn ReplicaLedger = log.dir();
    let seen = ledger.missed("replica/a").unwrap().expect("incomplete");
    let span = seen.span.expect("known");
    // Ticks go back in time: the oldest segment holds the newest windows.
    assert_eq!(span.end, Timestamp::from_secs(NOW - 60) + Duration::from_nanos(1));
    assert!(
        span.start < span.end - Duration::from_secs(60) && span.start > Timestamp::from_secs(NOW - 60_000)
    );
    let more = Missed { bytes: 5, span: None };
    ledger.mark("replica/a", more).unwrap();
    assert!(!ledger.repaired("replica/a", seen, None).unwrap(), "more was missed meanwhile");
    assert_eq!(ledger.missed("replica/a").unwrap(), Some(seen.and(more)));
    assert!(ledger.repaired("replica/a", seen.and(more), Some(seen)).unwrap());
    assert!(ledger.repaired("replica/a", seen, None).unwrap());
    assert_eq!(ledger.missed("replica/a").unwrap(), None);
}

#[test]
fn a_process_sees_what_another_one_marked() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(dir.path(), 8000, 0);
    log.dir().register("replica/a", ConsumerKind::Replica).unwrap();
    log.dir().register("replica/b", ConsumerKind::Replica).unwrap();
    // The process that feeds the stores has a view of its own.
    let store = crate::common::dir(dir.path());
    let (next, _) = fill(&log, 1, 1000);
    let reader = store.reader();
    reader.read(&Positions::default(), ALL, Default::default()).unwrap();
    reader.commit("replica/b", &reader.end()).unwrap();
    assert!(fill(&log, next, 10).1.is_none(), "a is left behind");
    reader.commit("replica/a", &Positions([("collector".into(), 1)].into())).unwrap();
    assert_eq!(reader.stats().incomplete.keys().collect::<Vec<_>>(), ["replica/a"]);
    assert_eq!(log.stats().incomplete, reader.stats().incomplete);
}

#[test]
fn offsets_and_sequences_go_on_when_everything_old_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(dir.path(), 4000, 0);
    block(log.append(vec![entry("once", 1, tick(9999, vec![sample("app", 1.0)]))])).unwrap();
    fill(&log, 1, 200);
    let end = log.end();
    assert!(!read_all(&log).iter().any(|entry| &*entry.producer == "once"));
    drop(log);
    let log = small(dir.path(), 4000, 0);
    assert_eq!(log.end(), end);
    assert_eq!(log.last("once").unwrap().sequence, 1);
    let again = block(log.append(vec![entry("twice", 1, tick(9999, vec![sample("app", 1.0)]))])).unwrap();
    assert_eq!(again.duplicate_samples, 1, "the index remembers what the log has deleted");
}
