//! The log on a disk that is really full: a memory file system of four megabytes. Without the right to mount one these
//! tests say `skipped` and pass.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use model::{AppendError, Body, NewEntry, Positions, SampleLog};
use queue::{Log, LogDir, LogOptions};
use tempfile::TempDir;

use crate::common::*;

/// A small disk, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tidemark-test"])
            .arg(dir.path())
            .output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: a file system of 4 MB cannot be mounted here");
        }
        mounted.then_some(Self(dir))
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    /// Gives so many bytes of it back.
    fn give_back(&self, bytes: u64) {
        let file = File::options().write(true).open(self.ballast()).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(bytes)).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmount.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn open(disk: &SmallDisk) -> (LogDir, Arc<Log>) {
    let options = LogOptions { segment_bytes: 200_000, checkpoint_bytes: 100_000, ..options(&disk.log()) };
    let dir = LogDir::open(options, clock()).unwrap();
    let log = dir.partition("collector").unwrap().0;
    (dir, log)
}

/// An entry of so many bytes.
fn lines(sequence: u64, bytes: usize) -> NewEntry {
    entry("p", sequence, Body::Foreign { database: "db".into(), lines: vec![b'x'; bytes] })
}

/// A sample of its own for each sequence, spread over ten days.
fn spread(sequence: u64) -> NewEntry {
    let minute = (sequence * 7 % 14_400) as i64;
    entry("p", sequence, tick(minute, vec![sample(&format!("c{sequence}"), sequence as f64)]))
}

fn assert_full(error: &AppendError, below: &Path) {
    let AppendError::Io { path, source } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{path}: {source}");
    assert!(Path::new(path).starts_with(below), "{path}");
}

/// Appends batches of `spread` and one of `lines` until so many were refused; gives the last sequence acknowledged.
fn append_until_refused(log: &Log, disk: &SmallDisk, mut last: u64, refusals: usize) -> u64 {
    let mut refused = 0;
    while refused < refusals {
        let size = 1 + (last as usize * 37 + refused * 911) % 9000;
        let mut batch: Vec<_> = (last + 1..=last + 20).map(spread).collect();
        batch.push(lines(last + 21, size));
        match block(log.append(batch)) {
            Ok(done) => {
                assert_eq!(done.written, 21);
                last += 21;
            }
            Err(error) => {
                assert_full(&error, &disk.log());
                refused += 1;
            }
        }
        assert_eq!(log.last("p").map_or(0, |state| state.sequence), last);
    }
    last
}

fn assert_each_once(log: &Log, last: u64) {
    let all = read_all(log);
    assert_eq!(sequences(&all), (1..=last).collect::<Vec<_>>());
    let ticks = all.iter().filter_map(|entry| match &entry.body {
        Body::Tick(tick) => Some(tick.samples()),
        _ => None,
    });
    assert!(ticks.flatten().all(|sample| sample.revision == 0), "what was refused left no trace");
}

#[test]
fn appends_are_refused_while_it_is_full_and_go_on_afterwards() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (dir, log) = open(&disk);
    let mut last = 0;
    for round in 0..4 {
        std::fs::write(disk.ballast(), vec![1; 2_600_000 - round * 700_000]).unwrap();
        last = append_until_refused(&log, &disk, last, 20);
        assert_each_once(&log, last);
        assert_eq!(dir.poisoned(), None);
        std::fs::remove_file(disk.ballast()).unwrap();
        let done = block(log.append((last + 1..=last + 100).map(spread).collect())).unwrap();
        assert_eq!(done.written, 100, "round {round}: there is room again");
        last += 100;
    }
    assert_each_once(&log, last);
    drop((dir, log));
    let (_, log) = open(&disk);
    assert_each_once(&log, last);
    assert_eq!(log.last("p").unwrap().sequence, last);
    // The index knows all of them still.
    let again = spread(5);
    let done = block(log.append(vec![entry("other", 1, again.body)])).unwrap();
    assert_eq!((done.written, done.duplicate_samples), (1, 1));
}

#[test]
fn an_index_that_cannot_grow_takes_nothing_back_and_refuses_until_it_can() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (dir, log) = open(&disk);
    block(log.append(vec![lines(1, 10)])).unwrap();
    disk.fill();
    // Room for the frame, but not for a new day's table.
    disk.give_back(8192);
    let value = || tick(3, vec![sample("app", 1.0)]);
    let done = block(log.append(vec![entry("p", 2, value())])).unwrap();
    assert_eq!(done.written, 1, "it is durable");
    let refused = block(log.append(vec![entry("q", 1, value())])).unwrap_err();
    assert_full(&refused, &disk.log().join("collector/index"));
    assert_eq!(dir.poisoned(), None);
    disk.give_back(1_000_000);
    let done = block(log.append(vec![entry("q", 1, value())])).unwrap();
    assert_eq!((done.written, done.duplicate_samples), (1, 1), "the sample before is known");
    let done = block(log.append(vec![entry("q", 2, tick(3, vec![sample("app", 2.0)]))])).unwrap();
    assert_eq!((done.written, done.duplicate_samples), (1, 0));
    drop((dir, log));
    let log = open(&disk).1;
    assert_eq!(sequences(&read_all(&log)), [1, 2, 1, 2]);
}

#[test]
fn an_index_copied_with_holes_is_an_error_at_worst_and_never_a_fault() {
    let Some(disk) = SmallDisk::mount() else { return };
    let log = open(&disk).1;
    block(log.append((1..=500).map(spread).collect())).unwrap();
    drop(log);
    for file in std::fs::read_dir(disk.log().join("collector/index")).unwrap() {
        punch(&file.unwrap().path());
    }
    disk.fill();
    // Room for the frame, but not for what is missing of the tables.
    disk.give_back(8192);
    let (dir, log) = open(&disk);
    let refused = block(log.append((501..=520).map(spread).collect())).unwrap_err();
    assert_full(&refused, &disk.log().join("collector/index"));
    assert_eq!(dir.poisoned(), None);
    disk.give_back(2_000_000);
    assert_eq!(block(log.append((501..=520).map(spread).collect())).unwrap().written, 20);
    assert_each_once(&log, 520);
    let known: Vec<_> = (1..=520).map(|i| entry("other", i, spread(i).body)).collect();
    assert_eq!(block(log.append(known)).unwrap().duplicate_samples, 520);
}

/// Copies a file the way backup tools do: pages of zeros become holes.
fn punch(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let copy = path.with_extension("copy");
    let file = File::create(&copy).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (i, page) in bytes.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|b| *b != 0)) {
        file.write_all_at(page, i as u64 * 4096).unwrap();
    }
    std::fs::rename(copy, path).unwrap();
}

#[test]
fn a_cursor_that_cannot_be_written_stays_where_it_was() {
    let Some(disk) = SmallDisk::mount() else { return };
    let log = open(&disk).1;
    block(log.append(vec![lines(1, 10)])).unwrap();
    log.commit("detector", &Positions::default()).unwrap();
    disk.fill();
    let refused = log.commit("detector", &log.end()).unwrap_err();
    assert_full(&refused, &disk.log().join("cursors"));
    assert_eq!(log.committed("detector"), Some(Positions::default()));
    let names =
        std::fs::read_dir(disk.log().join("cursors")).unwrap().map(|entry| entry.unwrap().file_name());
    let leftovers = names.filter(|name| name != "lock").count();
    assert_eq!(leftovers, 1, "no half-written file takes the space that is missing");
    disk.give_back(100_000);
    log.commit("detector", &log.end()).unwrap();
    assert_eq!(log.committed("detector"), Some(log.end()));
}

#[test]
fn opening_on_a_full_disk_says_so_and_calls_nothing_damaged() {
    let Some(disk) = SmallDisk::mount() else { return };
    let log = open(&disk).1;
    block(log.append((1..=500).map(spread).collect())).unwrap();
    drop(log);
    std::fs::remove_dir_all(disk.log().join("collector/index")).unwrap();
    disk.fill();
    let error = LogDir::open(options(&disk.log()), clock()).unwrap().partition("collector").unwrap_err();
    let queue::OpenError::Io { path, source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert!(path.starts_with(disk.log()));
    disk.give_back(2_000_000);
    assert_each_once(&open(&disk).1, 500);
}
