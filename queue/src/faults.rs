//! Tests with a disk that fails, and with frames of a newer version.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{
    AppendError, Body, Clock, Labels, ManualClock, NewEntry, Origin, Positions, ReadLimit, Sample, SampleLog,
    SeriesKey, Tick, TickOutcome, Timestamp, Topic, Topics, Window,
};
use prost::Message;

use crate::disk::{Disk, DiskFile, RealDisk};
use crate::frame::{FRAME_VERSION, FrameHeader};
use crate::partition::segment_path;
use crate::{Log, LogDir, LogOptions, proto};

const ALL: Topics = Topics::of(&Topic::ALL);

/// What the disk does wrong from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// Writes so many bytes of what it should, then fails.
    Write(usize),
    /// Writes, but fails to sync: what was not synced before is lost in the next power cut.
    Sync,
    /// Writes so many bytes, then fails, and cannot cut them off again.
    WriteNoCut(usize),
    /// Cannot make new files.
    Create,
}

/// A real disk that fails on request and knows what would survive a power cut.
#[derive(Debug, Default)]
struct FakeDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    /// Synced length of each file.
    synced: Vec<(PathBuf, u64)>,
    syncs: usize,
}

#[derive(Debug)]
struct FakeFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    state: Arc<Mutex<State>>,
    length: u64,
}

impl FakeDisk {
    fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// Takes away what was never synced.
    fn cut_power(&self) {
        for (path, length) in &self.state.lock().unwrap().synced {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(*length).unwrap();
        }
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if self.state.lock().unwrap().fault == Fault::Create {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let file = RealDisk.open(path)?;
        let length = std::fs::metadata(path)?.len();
        Ok(Box::new(FakeFile { path: path.to_path_buf(), file, state: Arc::clone(&self.state), length }))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

impl DiskFile for FakeFile {
    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let fault = self.state.lock().unwrap().fault;
        if let Fault::Write(part) | Fault::WriteNoCut(part) = fault {
            self.file.write_all_at(&bytes[..part.min(bytes.len())], at)?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.length = self.length.max(at + bytes.len() as u64);
        self.file.write_all_at(bytes, at)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.syncs += 1;
        if state.fault == Fault::Sync {
            return Err(io::Error::other("sync failed"));
        }
        state.synced.retain(|(path, _)| *path != self.path);
        state.synced.push((self.path.clone(), self.length));
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if matches!(self.state.lock().unwrap().fault, Fault::WriteNoCut(_)) {
            return Err(io::Error::other("cut failed"));
        }
        self.length = len;
        self.file.set_len(len)
    }
}

fn open(dir: &Path, disk: &Arc<FakeDisk>) -> Arc<Log> {
    open_with(LogOptions { segment_bytes: 600, ..LogOptions::new(dir) }, disk)
}

fn open_with(options: LogOptions, disk: &Arc<FakeDisk>) -> Arc<Log> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
    let disk = Arc::clone(disk) as Arc<dyn Disk>;
    LogDir::open_on(options, clock, disk).unwrap().partition("p").unwrap().0
}

fn append(log: &Log, sequences: std::ops::RangeInclusive<u64>) -> Result<usize, AppendError> {
    let entry = |sequence| NewEntry {
        key: "k".into(),
        producer: "s".into(),
        sequence,
        source_position: vec![],
        body: Body::Foreign { database: "db".into(), lines: vec![b'x'; 50] },
    };
    block(log.append(sequences.map(entry).collect())).map(|done| done.written)
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn sequences(log: &Log) -> Vec<u64> {
    let batch = log.read(&Positions::default(), ALL, ReadLimit::default()).unwrap();
    batch.entries.iter().map(|entry| entry.sequence).collect()
}

fn is_full(result: &Result<usize, AppendError>, named: &Path) -> bool {
    let Err(AppendError::Io { path, source }) = result else { return false };
    source.kind() == io::ErrorKind::StorageFull && Path::new(path) == named
}

#[test]
fn a_failed_write_refuses_its_batch_and_the_next_is_tried_again() {
    for written in [0, 1, 40, 9999] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
        let log = open(dir.path(), &disk);
        append(&log, 1..=2).unwrap();
        let (end, segment) = (log.end(), segment_path(&dir.path().join("p"), 0));
        disk.set(Fault::Write(written));
        for _ in 0..3 {
            assert!(is_full(&append(&log, 3..=4), &segment), "{written}");
            assert_eq!((sequences(&log), log.end()), (vec![1, 2], end.clone()), "{written}: not in view");
            assert_eq!(log.last("s").unwrap().sequence, 2);
            assert_eq!(std::fs::metadata(&segment).unwrap().len(), end.next("p"), "{written}: cut back");
        }
        disk.set(Fault::None);
        assert_eq!(append(&log, 3..=4).unwrap(), 2, "{written}: goes on without being opened again");
        assert_eq!(log.dir().poisoned(), None);
        assert_eq!(sequences(&log), [1, 2, 3, 4]);
        drop(log);
        disk.cut_power();
        assert_eq!(sequences(&open(dir.path(), &disk)), [1, 2, 3, 4], "{written}");
    }
}

#[test]
fn after_a_failed_sync_or_cut_nothing_is_acknowledged_until_it_is_opened_again() {
    for fault in [Fault::Sync, Fault::WriteNoCut(0), Fault::WriteNoCut(40), Fault::WriteNoCut(9999)] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
        let log = open(dir.path(), &disk);
        append(&log, 1..=2).unwrap();
        let end = log.end();
        let failed = log.dir().clone();
        let mut failed = Box::pin(failed.failed());
        assert!(poll_once(&mut failed).is_none());
        disk.set(fault);
        assert!(matches!(append(&log, 3..=4), Err(AppendError::Io { .. })), "{fault:?}");
        disk.set(Fault::None);
        assert!(matches!(append(&log, 3..=4), Err(AppendError::Io { .. })), "{fault:?}: poisoned");
        assert_eq!((sequences(&log), log.end()), (vec![1, 2], end), "{fault:?}: not in view");
        assert_eq!(log.last("s").unwrap().sequence, 2);
        let sentence = poll_once(&mut failed).unwrap();
        assert!(sentence.contains("`p`") && sentence.contains("00000000000000000000.seg"), "{sentence}");
        assert_eq!(log.dir().poisoned(), Some(sentence));
        drop(log);
        disk.cut_power();
        let log = open(dir.path(), &disk);
        assert_eq!((sequences(&log), log.dir().poisoned()), (vec![1, 2], None), "{fault:?}");
        append(&log, 3..=4).unwrap();
        assert_eq!(sequences(&log), [1, 2, 3, 4]);
    }
}

fn revised(producer: &str, value: f64) -> NewEntry {
    let series = SeriesKey::new("orders", Labels::default());
    let body = Body::Tick(Tick {
        sampler: "orders".into(),
        metrics: vec![],
        window: Window::new(Timestamp::from_secs(1_799_999_940), Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Live,
        outcome: TickOutcome::Rows(vec![Sample { series, value, ratio: None, revision: 0 }]),
        duration_ms: 1,
    });
    NewEntry { key: "orders".into(), producer: producer.into(), sequence: 1, source_position: vec![], body }
}

fn revisions(log: &Log) -> Vec<(f64, u32)> {
    let batch = log.read(&Positions::default(), Topics::of(&[Topic::Samples]), ReadLimit::default()).unwrap();
    let samples = batch.entries.iter().filter_map(|entry| match &entry.body {
        Body::Tick(tick) => Some(tick.samples()),
        _ => None,
    });
    samples.flatten().map(|sample| (sample.value, sample.revision)).collect()
}

#[test]
fn nothing_of_a_refused_group_is_remembered() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
    let log = open(dir.path(), &disk);
    append(&log, 1..=1).unwrap();
    disk.set(Fault::Write(100));
    let batches = [("a", 1.0), ("b", 2.0), ("c", 2.0)];
    let batch = |(producer, value)| vec![revised(producer, value)];
    let mut appends: Vec<_> = batches.iter().map(|of| Box::pin(log.append(batch(*of)))).collect();
    let held = disk.state.lock().unwrap();
    assert!(appends.iter_mut().all(|append| poll_once(append).is_none()));
    drop(held);
    for append in appends {
        assert!(matches!(block(append), Err(AppendError::Io { .. })));
    }
    assert_eq!(log.last("b"), None);
    disk.set(Fault::None);
    let written =
        |of| block(log.append(batch(of))).map(|done| (done.written, done.duplicate_samples)).unwrap();
    assert_eq!(written(("c", 2.0)), (1, 0), "no duplicate of what was refused");
    assert_eq!(written(("a", 1.0)), (1, 0), "nor skipped");
    assert_eq!(revisions(&log), [(2.0, 0), (1.0, 1)]);
}

#[test]
fn a_frame_whose_sync_failed_is_written_again_when_it_is_found_whole() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
    let log = open(dir.path(), &disk);
    append(&log, 1..=1).unwrap();
    disk.set(Fault::Sync);
    append(&log, 2..=2).unwrap_err();
    drop(log);
    disk.set(Fault::None);
    // No power cut: the system still shows what it could not write. Whoever reads it now must be able to rely on it.
    let log = open(dir.path(), &disk);
    assert_eq!(sequences(&log), [1, 2]);
    drop(log);
    disk.cut_power();
    assert_eq!(sequences(&open(dir.path(), &disk)), [1, 2]);
}

#[test]
fn a_segment_that_cannot_be_begun_refuses_and_the_one_before_is_written_on() {
    for fault in [Fault::Create, Fault::Write(0), Fault::Write(10)] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
        let log = open(dir.path(), &disk);
        append(&log, 1..=4).unwrap();
        let before = log.end().next("p");
        disk.set(fault);
        // Too long for what is left of the segment.
        let next = segment_path(&dir.path().join("p"), before);
        assert!(is_full(&append(&log, 5..=12), &next), "{fault:?}");
        assert!(!next.exists(), "{fault:?}: nothing is left of it");
        disk.set(Fault::None);
        append(&log, 5..=5).unwrap();
        assert_eq!(log.stats().segments, 1, "{fault:?}: a short one still fits");
        append(&log, 6..=12).unwrap();
        assert_eq!((log.stats().segments, log.dir().poisoned()), (2, None));
        drop(log);
        disk.cut_power();
        let log = open(dir.path(), &disk);
        assert_eq!(sequences(&log), (1..=12).collect::<Vec<_>>(), "{fault:?}");
    }
}

#[test]
fn batches_wait_while_too_many_bytes_are_under_way() {
    for (queue_bytes, expected) in [(1, 5..=5), (64 << 20, 1..=3)] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
        let log = open_with(LogOptions { queue_bytes, ..LogOptions::new(dir.path()) }, &disk);
        let before = disk.state.lock().unwrap().syncs;
        let mut appends: Vec<_> = (1..=5).map(|sequence| Box::pin(push(&log, sequence))).collect();
        let held = disk.state.lock().unwrap();
        assert!(appends.iter_mut().all(|append| poll_once(append).is_none()));
        drop(held);
        block(async {
            for append in appends {
                append.await;
            }
        });
        let syncs = disk.state.lock().unwrap().syncs - before;
        assert!(expected.contains(&syncs), "{syncs} syncs at {queue_bytes} bytes");
    }
}

#[test]
fn an_append_that_waits_for_room_is_told_when_the_log_is_closed() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
    let log = open_with(LogOptions { queue_bytes: 1, ..LogOptions::new(dir.path()) }, &disk);
    let mut first = Box::pin(log.append(vec![revised("a", 1.0)]));
    let mut second = Box::pin(log.append(vec![revised("b", 1.0)]));
    let held = disk.state.lock().unwrap();
    assert!(poll_once(&mut first).is_none() && poll_once(&mut second).is_none());
    drop(held);
    log.close();
    assert_eq!(block(first).unwrap().written, 1, "what was queued is written");
    assert!(matches!(block(second), Err(AppendError::Closed)));
}

#[test]
fn appends_that_wait_together_share_a_sync() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
    let log = open(dir.path(), &disk);
    let before = disk.state.lock().unwrap().syncs;
    // The batches are queued before the writer has finished the first: it can need at most one sync for each, and
    // a group is never answered before its own.
    let mut appends: Vec<_> = (1..=5).map(|sequence| Box::pin(push(&log, sequence))).collect();
    let held = disk.state.lock().unwrap();
    for append in &mut appends {
        assert!(poll_once(append).is_none());
    }
    drop(held);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for append in appends {
        runtime.block_on(append);
    }
    let syncs = disk.state.lock().unwrap().syncs - before;
    assert!((1..=3).contains(&syncs), "{syncs} syncs for five appends");
}

async fn push(log: &Log, sequence: u64) {
    let body = Body::Foreign { database: "db".into(), lines: vec![] };
    let (key, producer) = ("k".into(), format!("p{sequence}").into());
    log.append(vec![NewEntry { key, producer, sequence, source_position: vec![], body }]).await.unwrap();
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(out) => Some(out),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn kinds_and_versions_of_the_future_are_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let log = open(dir.path(), &disk);
    append(&log, 1..=1).unwrap();
    let end = log.end().next("p");
    drop(log);
    let entry = |kind, version, sequence| proto::Entry { kind, version, sequence, ..Default::default() };
    let texts = vec!["future".to_owned()];
    let entries = vec![entry(40, 0, 1), entry(0, 7, 2)];
    let body = proto::Frame { texts, entries, ..Default::default() }.encode_to_vec();
    let mut bytes = Vec::new();
    for version in [FRAME_VERSION, FRAME_VERSION + 1] {
        let offset = end + bytes.len() as u64;
        let length = body.len() as u32;
        let header = FrameHeader { length, version, topics: 0x8001, offset, back: 0, entries: 2 };
        bytes.extend(header.encode(&body));
        bytes.extend(&body);
    }
    let path = segment_path(&dir.path().join("p"), 0);
    RealDisk.open(&path).unwrap().write_all_at(&bytes, end).unwrap();
    let log = open(dir.path(), &disk);
    append(&log, 2..=2).unwrap();
    let batch = log.read(&Positions::default(), ALL, ReadLimit::default()).unwrap();
    assert_eq!((batch.entries.len(), batch.unknown), (2, 4));
    assert_eq!(log.last("future").unwrap().sequence, 2, "a producer is known whatever it said");
}
