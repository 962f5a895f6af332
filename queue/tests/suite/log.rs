//! The port: append, read, wait, last, commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::*;
use model::{AppendError, Body, Positions, ReadLimit, SampleLog, SeriesKey, Timestamp, Topic, Topics};
use queue::{Log, LogDir, LogOptions, OlderSample, OlderSamples, OpenError};

#[test]
fn what_was_appended_is_read_also_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let (first, second) =
        block(async { (log.append(one(1)).await.unwrap(), log.append(one(2)).await.unwrap()) });
    assert_eq!((first.written, first.skipped, first.duplicate_samples), (1, 0, 0));
    assert!(second.end.covers(&first.end) && second.end != first.end);
    assert_eq!(log.end(), second.end);
    let before = read_all(&log);
    assert_eq!(sequences(&before), [1, 2]);
    assert_eq!(before[0].appended_at, Timestamp::from_secs(NOW));
    assert_eq!(sequences(&read_from(&log, &first.end).0), [2]);
    drop(log);
    let again = open(dir.path());
    assert_eq!(read_all(&again), before);
    assert_eq!(again.last("sampler/orders").unwrap().source_position, b"at 2");
    assert_eq!(again.last("nobody"), None);
}

#[test]
fn entries_of_a_batch_are_one_frame_and_topics_are_picked() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let foreign = Body::Foreign { database: "db".into(), lines: b"m v=1 1".to_vec() };
    let batch = vec![entry("a", 1, tick(1, vec![])), entry("a", 2, foreign), entry("b", 1, tick(2, vec![]))];
    block(log.append(batch)).unwrap();
    let all = read_all(&log);
    let places: Vec<_> = all.iter().map(|entry| (entry.position.offset, entry.position.index)).collect();
    assert_eq!(places, [(40, 0), (40, 1), (40, 2)]);
    let picked =
        log.read(&Positions::default(), Topics::of(&[Topic::Foreign]), ReadLimit::default()).unwrap();
    assert_eq!(sequences(&picked.entries), [2]);
    let none = log.read(&Positions::default(), Topics::of(&[Topic::Alerts]), ReadLimit::default()).unwrap();
    assert!(none.entries.is_empty());
    assert_eq!(none.next, log.end(), "frames of other topics are passed over");
}

#[test]
fn sequences_that_were_there_are_skipped_also_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    block(log.append([one(5), one(6)].concat())).unwrap();
    let again = block(log.append([one(5), one(6), one(7)].concat())).unwrap();
    assert_eq!((again.written, again.skipped), (1, 2));
    drop(log);
    let log = open(dir.path());
    let end = log.end();
    let again = block(log.append(one(7))).unwrap();
    assert_eq!((again.written, again.skipped, again.end), (0, 1, end));
    assert_eq!(sequences(&read_all(&log)), [5, 6, 7]);
    let twice = block(log.append([one(8), one(8)].concat())).unwrap();
    assert_eq!((twice.written, twice.skipped), (1, 1));
}

#[test]
fn equal_samples_are_dropped_and_different_ones_are_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    // (value, expected revision; None: dropped), all of one series and window.
    let table = [
        (1.0, Some(0)),
        (1.0, None),
        (2.0, Some(1)),
        (2.0, None),
        (1.0, Some(2)),
        (-0.0, Some(3)),
        (0.0, None),
    ];
    for (i, (value, expected)) in table.into_iter().enumerate() {
        if i == 3 {
            drop(log);
            log = open(dir.path());
        }
        let body = tick(1, vec![sample("app", value)]);
        let done = block(log.append(vec![entry("s", i as u64 + 1, body)])).unwrap();
        assert_eq!((done.written, done.duplicate_samples), (1, usize::from(expected.is_none())), "row {i}");
        let Body::Tick(tick) = read_all(&log).pop().unwrap().body else { panic!("a tick") };
        assert_eq!(tick.samples().first().map(|sample| sample.revision), expected, "row {i}");
    }
    let both = tick(2, vec![sample("app", 1.0), sample("app", 1.0), sample("app", 3.0), sample("web", 1.0)]);
    assert_eq!(block(log.append(vec![entry("s", 100, both)])).unwrap().duplicate_samples, 1);
    let Body::Tick(tick) = read_all(&log).pop().unwrap().body else { panic!("a tick") };
    let revisions: Vec<_> = tick.samples().iter().map(|sample| sample.revision).collect();
    assert_eq!(revisions, [0, 1, 0]);
}

#[derive(Debug, Default)]
struct Store {
    down: AtomicBool,
}

impl OlderSamples for Store {
    fn latest(&self, series: &SeriesKey, _start: Timestamp) -> Result<Option<OlderSample>, String> {
        if self.down.load(Ordering::Relaxed) && series.labels.get("channel") == Some("app") {
            return Err("it is down".into());
        }
        let known = series.labels.get("channel") == Some("app");
        Ok(known.then_some(OlderSample { revision: 4, value: 7.0, ratio: None }))
    }
}

#[test]
fn while_the_store_cannot_be_asked_an_old_sample_is_refused_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store { down: AtomicBool::new(true) });
    let options = LogOptions { older: Some(store.clone()), ..options(dir.path()) };
    let (log, _) = Log::open(options, "collector", clock()).unwrap();
    let old = 40 * 24 * 60;
    let batch = || vec![entry("s", 1, tick(old, vec![sample("web", 1.0), sample("app", 7.0)]))];
    let error = block(log.append(batch())).unwrap_err();
    let words =
        "cannot look up what is stored of orders{channel=\"app\"} at 2026-12-06T08:00:00Z: it is down";
    assert_eq!(error.to_string(), words);
    assert_eq!((log.last("s"), read_all(&log).len()), (None, 0));
    let young = block(log.append(vec![entry("t", 2, tick(10, vec![sample("app", 7.0)]))])).unwrap();
    assert_eq!(young.written, 1, "the partition goes on");
    store.down.store(false, Ordering::Relaxed);
    let again = block(log.append(batch())).unwrap();
    assert_eq!((again.written, again.duplicate_samples), (1, 1), "the batch is as new as before");
}

#[test]
fn windows_older_than_28_days_are_looked_up_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { older: Some(Arc::new(Store::default())), ..options(dir.path()) };
    let (log, _) = Log::open(options, "collector", clock()).unwrap();
    let old = 40 * 24 * 60;
    let samples = vec![sample("app", 7.0), sample("web", 7.0)];
    let same = block(log.append(vec![entry("s", 1, tick(old, samples))])).unwrap();
    assert_eq!(same.duplicate_samples, 1);
    let young = block(log.append(vec![entry("s", 2, tick(10, vec![sample("app", 7.0)]))])).unwrap();
    assert_eq!(young.duplicate_samples, 0, "the store is not asked for young windows");
    block(log.append(vec![entry("s", 3, tick(old, vec![sample("app", 8.0)]))])).unwrap();
    let Body::Tick(tick) = read_all(&log).pop().unwrap().body else { panic!("a tick") };
    assert_eq!(tick.samples()[0].revision, 5);
}

#[test]
fn a_batch_larger_than_a_frame_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { max_frame_bytes: 300, ..options(dir.path()) };
    let (log, _) = Log::open(options, "collector", clock()).unwrap();
    let large = Body::Foreign { database: "db".into(), lines: vec![b'x'; 400] };
    let batch = vec![entry("s", 1, tick(1, vec![sample("app", 1.0)])), entry("s", 2, large)];
    let error = block(log.append(batch)).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { limit: 300, .. }), "{error}");
    assert_eq!(log.last("s"), None);
    let done = block(log.append(vec![entry("s", 1, tick(1, vec![sample("app", 1.0)]))])).unwrap();
    assert_eq!((done.written, done.duplicate_samples), (1, 0));
}

#[test]
fn an_append_to_one_partition_wakes_who_waits_on_another() {
    let dir = tempfile::tempdir().unwrap();
    let folder =
        LogDir::open(LogOptions { poll: Duration::from_secs(3600), ..options(dir.path()) }, clock()).unwrap();
    let (collector, _) = folder.partition("collector").unwrap();
    let (detector, _) = folder.partition("detector").unwrap();
    let at = detector.end();
    soon(async {
        let waiting = detector.wait(&at);
        let (_, appended) = tokio::join!(waiting, collector.append(one(1)));
        appended.unwrap();
        detector.wait(&at).await;
    });
    assert_eq!(sequences(&read_from(&detector, &at).0), [1]);
    assert_eq!(detector.last("sampler/orders").unwrap().sequence, 1);
    block(detector.append(one(9))).unwrap();
    let partitions: Vec<_> = read_all(&collector).iter().map(|e| e.position.partition.to_string()).collect();
    assert_eq!(partitions, ["collector", "detector"]);
}

#[test]
fn waiting_on_an_empty_log_ends_with_the_first_frame_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    block(async {
        let none = Positions::default();
        let mut waiting = Box::pin(log.wait(&none));
        assert!(futures_poll(&mut waiting).await.is_none());
        log.append(one(1)).await.unwrap();
        waiting.await;
    });
}

async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(out) => std::task::Poll::Ready(Some(out)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[test]
fn another_opener_tails_what_is_durable_and_cannot_append() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let reader_clock = clock();
    let reader = Log::open_read_only(options(dir.path()), reader_clock.clone()).unwrap();
    assert!(read_all(&reader).is_empty());
    soon(async {
        let none = Positions::default();
        let wait = async {
            while futures_poll(&mut Box::pin(reader.wait(&none))).await.is_none() {
                reader_clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        };
        let (_, done) = tokio::join!(wait, log.append(one(1)));
        done.unwrap();
    });
    assert_eq!(read_all(&reader), read_all(&log));
    assert_eq!(reader.last("sampler/orders").unwrap().sequence, 1);
    block(log.append(one(2))).unwrap();
    assert_eq!(reader.last("sampler/orders").unwrap().sequence, 2);
    assert!(matches!(block(reader.append(one(3))), Err(AppendError::Closed)));
    assert!(matches!(reader.commit("x", &log.end()), Err(AppendError::Io { .. })));
    assert!(matches!(reader.dir().partition("other"), Err(OpenError::ReadOnly(_))));
}

#[test]
fn a_partition_has_one_writer_and_the_error_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let error = Log::open(options(dir.path()), "collector", clock()).unwrap_err();
    let words = error.to_string();
    assert!(
        words.contains("partition `collector`") && words.contains(&std::process::id().to_string()),
        "{words}"
    );
    log.close();
    assert!(matches!(block(log.append(one(1))), Err(AppendError::Closed)));
    open(dir.path());
    for name in ["", "A", "a/b", "..", "cursors"] {
        assert!(matches!(log.dir().partition(name), Err(OpenError::PartitionName(_))), "{name}");
    }
}

#[test]
fn cursors_are_kept_and_never_ahead_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert_eq!(log.committed("detector"), None);
    let end = block(log.append(one(1))).unwrap().end;
    log.commit("detector", &end).unwrap();
    let beyond = Positions([("collector".into(), u64::MAX)].into());
    log.commit("eager", &beyond).unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.committed("detector"), Some(end.clone()));
    assert_eq!(log.committed("eager"), Some(end.clone()));
    block(log.append(one(2))).unwrap();
    let lag = log.stats().lag_bytes["detector"];
    assert_eq!(lag, log.end().next("collector") - end.next("collector"));
}

#[test]
fn many_appenders_at_once_lose_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { queue_frames: 2, segment_bytes: 4096, ..options(dir.path()) };
    let (log, _) = Log::open(options, "collector", clock()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks = (0..16).map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for sequence in 1..=25 {
                    let body = tick(sequence, vec![sample(&format!("c{task}"), 1.0)]);
                    log.append(vec![entry(&format!("p{task}"), sequence as u64, body)]).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    let all = read_all(&log);
    assert_eq!(all.len(), 16 * 25);
    for task in 0..16 {
        let producer = format!("p{task}");
        let own: Vec<_> = all.iter().filter(|e| *e.producer == *producer).map(|e| e.sequence).collect();
        assert_eq!(own, (1..=25).collect::<Vec<_>>());
    }
    assert!(log.stats().segments > 3);
}

#[test]
fn a_dropped_append_is_there_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    block(async {
        for sequence in 1..=50 {
            let _ =
                futures_poll(&mut Box::pin(log.append([one(2 * sequence - 1), one(2 * sequence)].concat())))
                    .await;
        }
    });
    log.close();
    let all = sequences(&read_all(&log));
    let last = log.last("sampler/orders").map_or(0, |state| state.sequence);
    assert!(last.is_multiple_of(2) && all.last().copied().unwrap_or(0) == last);
    assert!(all.chunks(2).all(|pair| pair[0] + 1 == pair[1] && pair[1].is_multiple_of(2)), "{all:?}");
}

#[test]
fn health_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    block(log.append(one(1))).unwrap();
    log.commit("detector", &Positions::default()).unwrap();
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(queue::LogCollector::new(log.dir().clone())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "tidemark_queue_appended_entries_total 1\n",
        "tidemark_queue_syncs_total 1\n",
        "tidemark_queue_segments 1\n",
        "tidemark_queue_consumer_lag_bytes{consumer=\"detector\"} ",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
