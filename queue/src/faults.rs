//! Tests with a disk that fails, and with frames of a newer version.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use model::{
    AppendError, Body, Clock, ManualClock, NewEntry, Positions, ReadLimit, SampleLog, Timestamp, Topic,
    Topics,
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
        if let Fault::Write(part) = fault {
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
        self.length = len;
        self.file.set_len(len)
    }
}

fn open(dir: &Path, disk: &Arc<FakeDisk>) -> Arc<Log> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
    let options = LogOptions { segment_bytes: 600, ..LogOptions::new(dir) };
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
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append(sequences.map(entry).collect())).map(|done| done.written)
}

fn sequences(log: &Log) -> Vec<u64> {
    let batch = log.read(&Positions::default(), ALL, ReadLimit::default()).unwrap();
    batch.entries.iter().map(|entry| entry.sequence).collect()
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_acknowledged_until_it_is_opened_again() {
    for fault in [Fault::Write(0), Fault::Write(1), Fault::Write(40), Fault::Write(9999), Fault::Sync] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
        let log = open(dir.path(), &disk);
        append(&log, 1..=2).unwrap();
        let end = log.end();
        disk.set(fault);
        assert!(matches!(append(&log, 3..=4), Err(AppendError::Io { .. })), "{fault:?}");
        disk.set(Fault::None);
        assert!(matches!(append(&log, 3..=4), Err(AppendError::Io { .. })), "{fault:?}: poisoned");
        assert_eq!((sequences(&log), log.end()), (vec![1, 2], end), "{fault:?}: not in view");
        assert_eq!(log.last("s").unwrap().sequence, 2);
        drop(log);
        disk.cut_power();
        let log = open(dir.path(), &disk);
        assert_eq!(sequences(&log), [1, 2], "{fault:?}");
        append(&log, 3..=4).unwrap();
        assert_eq!(sequences(&log), [1, 2, 3, 4]);
    }
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
fn a_segment_that_cannot_be_begun_refuses_and_loses_nothing() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FakeDisk::default()));
    let log = open(dir.path(), &disk);
    append(&log, 1..=4).unwrap();
    disk.set(Fault::Create);
    let refused = (5..20).find(|sequence| append(&log, *sequence..=*sequence).is_err()).unwrap();
    assert_eq!(sequences(&log), (1..refused).collect::<Vec<_>>());
    drop(log);
    disk.set(Fault::None);
    disk.cut_power();
    let log = open(dir.path(), &disk);
    append(&log, refused..=refused).unwrap();
    assert_eq!(sequences(&log), (1..=refused).collect::<Vec<_>>());
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
