//! The log against a model in memory: random appends, reads, commits, clean restarts and crashes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{NewEntry, Positions, ReadLimit, SampleLog};
use proptest::prelude::*;
use queue::{Log, LogOptions};

use crate::common::*;

/// A batch of (producer, how far its sequence goes on (0: repeats the last), series, minute, value).
type Batch = Vec<(u8, u64, u8, i64, u8)>;

#[derive(Clone, Debug)]
enum Step {
    Append(Batch),
    /// Read to the end in pieces of this size, from the n-th known place.
    Read(usize, usize),
    /// Commit the n-th known place.
    Commit(usize),
    Reopen,
    /// The process dies while this batch is written: the given share of its bytes (of 255) reached the disk, and of what
    /// is derived nothing.
    Crash(Batch, u8),
    /// The same, and the derived files are gone altogether.
    Amnesia,
}

fn batch() -> impl Strategy<Value = Batch> {
    prop::collection::vec((0u8..3, 0u64..3, 0u8..3, 1i64..4, 0u8..3), 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => batch().prop_map(Step::Append),
        3 => (1usize..4, any::<usize>()).prop_map(|(size, place)| Step::Read(size, place)),
        1 => any::<usize>().prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        2 => (batch(), any::<u8>()).prop_map(|(batch, share)| Step::Crash(batch, share)),
        1 => Just(Step::Amnesia),
    ]
}

/// What the log must be.
#[derive(Clone, Default)]
struct Model {
    /// Entries as they must be read, with the frame they stand in.
    entries: Vec<(usize, NewEntry)>,
    frames: usize,
    last: BTreeMap<String, u64>,
    /// Revisions seen so far of each (series, minute), newest last.
    samples: BTreeMap<(u8, i64), Vec<u8>>,
    committed: Option<Positions>,
}

impl Model {
    /// The batch as entries; sequences go on from the model's.
    fn entries_of(&self, batch: &Batch) -> Vec<NewEntry> {
        let mut last = self.last.clone();
        let make = |(producer, step, series, minute, value): &(u8, u64, u8, i64, u8)| {
            let name = format!("p{producer}");
            let sequence = last.entry(name.clone()).or_default();
            *sequence = (*sequence + step).max(1);
            let body = tick(*minute, vec![sample(&format!("s{series}"), f64::from(*value))]);
            entry(&name, *sequence, body)
        };
        batch.iter().map(make).collect()
    }

    /// Appends; returns (written, skipped, duplicates).
    fn append(&mut self, batch: &Batch, entries: Vec<NewEntry>) -> (usize, usize, usize) {
        let (mut written, mut duplicates, total) = (0, 0, entries.len());
        for ((_, _, series, minute, value), mut entry) in batch.iter().zip(entries) {
            let last = self.last.entry(entry.producer.to_string()).or_default();
            if entry.sequence <= *last {
                continue;
            }
            *last = entry.sequence;
            let seen = self.samples.entry((*series, *minute)).or_default();
            let mut kept = sample(&format!("s{series}"), f64::from(*value));
            kept.revision = seen.len() as u32;
            if seen.last() == Some(value) {
                duplicates += 1;
                entry.body = tick(*minute, vec![]);
            } else {
                seen.push(*value);
                entry.body = tick(*minute, vec![kept]);
            }
            self.entries.push((self.frames, entry));
            written += 1;
        }
        self.frames += usize::from(written > 0);
        (written, total - written, duplicates)
    }
}

/// The log under test, with what a crash would leave.
struct Real {
    dir: tempfile::TempDir,
    log: Option<Arc<Log>>,
    /// Known places: the end of the log after so many entries.
    places: Vec<(Positions, usize)>,
}

impl Real {
    fn new() -> Self {
        let mut real = Self { dir: tempfile::tempdir().unwrap(), log: None, places: vec![] };
        real.start();
        real.places.push((real.log().end(), 0));
        real
    }

    fn start(&mut self) {
        let options = LogOptions { segment_bytes: 1500, checkpoint_bytes: 900, ..options(self.dir.path()) };
        self.log = Some(Log::open(options, "collector", clock()).unwrap().0);
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn partition(&self) -> PathBuf {
        self.dir.path().join("collector")
    }

    /// Dies while writing a batch; whether all of it had been written.
    fn crash(&mut self, entries: Vec<NewEntry>, share: u8) -> bool {
        let before = tempfile::tempdir().unwrap();
        copy_tree(self.dir.path(), before.path());
        let files = segments(self.dir.path());
        let end = self.log().end();
        block(self.log().append(entries)).unwrap();
        let wrote = self.log().end() != end;
        self.log = None;
        for name in ["checkpoint", "end"] {
            restore(&before.path().join("collector").join(name), &self.partition().join(name));
        }
        std::fs::remove_dir_all(self.partition().join("index")).unwrap();
        copy_tree(&before.path().join("collector/index"), &self.partition().join("index"));
        let last = segments(self.dir.path()).pop().unwrap();
        let new_file = !files.contains(&last);
        let from = if new_file {
            0
        } else {
            before.path().join("collector").join(last.file_name().unwrap()).metadata().unwrap().len()
        };
        let to = last.metadata().unwrap().len();
        let length = from + (to - from) * u64::from(share) / 255;
        std::fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(length).unwrap();
        self.start();
        wrote && length == to
    }
}

fn restore(from: &Path, to: &Path) {
    if from.exists() {
        std::fs::copy(from, to).unwrap();
    } else if to.exists() {
        std::fs::remove_file(to).unwrap();
    }
}

fn apply(real: &mut Real, model: &mut Model, step: Step) {
    match step {
        Step::Append(batch) => {
            let entries = model.entries_of(&batch);
            let done = block(real.log().append(entries.clone())).unwrap();
            let expected = model.append(&batch, entries);
            assert_eq!((done.written, done.skipped, done.duplicate_samples), expected);
            assert_eq!(done.end, real.log().end());
            real.places.push((done.end, model.entries.len()));
        }
        Step::Read(size, place) => {
            let (from, seen) = real.places[place % real.places.len()].clone();
            compare(real.log(), from, &model.entries[seen..], size);
        }
        Step::Commit(place) => {
            let (at, _) = &real.places[place % real.places.len()];
            real.log().commit("consumer", at).unwrap();
            model.committed = Some(at.clone());
        }
        Step::Reopen => {
            real.log = None;
            real.start();
        }
        Step::Crash(batch, share) => {
            let entries = model.entries_of(&batch);
            if real.crash(entries.clone(), share) {
                model.append(&batch, entries);
            }
            real.places.push((real.log().end(), model.entries.len()));
        }
        Step::Amnesia => {
            real.log = None;
            for name in ["checkpoint", "end"] {
                std::fs::remove_file(real.partition().join(name)).unwrap();
            }
            real.start();
        }
    }
}

fn compare(log: &Log, mut at: Positions, expected: &[(usize, NewEntry)], size: usize) {
    let mut read = Vec::new();
    loop {
        let batch = log.read(&at, ALL, ReadLimit { entries: size, bytes: 1 << 20 }).unwrap();
        assert_eq!((batch.unknown, batch.lost_bytes), (0, 0));
        if batch.next == at {
            break;
        }
        assert!(batch.next.covers(&at));
        read.extend(batch.entries);
        at = batch.next;
    }
    assert_eq!(read.len(), expected.len());
    for (have, (_, want)) in read.iter().zip(expected) {
        assert_eq!((&have.key, &have.producer), (&want.key, &want.producer));
        assert_eq!((have.sequence, &have.source_position), (want.sequence, &want.source_position));
        assert_eq!(have.body, want.body);
    }
    let together = |pair: &[(usize, NewEntry)]| pair[0].0 == pair[1].0;
    let frames = read.windows(2).map(|pair| pair[0].position.offset == pair[1].position.offset);
    assert!(frames.eq(expected.windows(2).map(together)), "frames");
}

fn check_all(real: &Real, model: &Model) {
    compare(real.log(), Positions::default(), &model.entries, 3);
    for (producer, sequence) in &model.last {
        let last = real.log().last(producer).map_or(0, |state| state.sequence);
        assert_eq!(last, *sequence, "{producer}");
    }
    assert_eq!(real.log().committed("consumer"), model.committed);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn the_log_is_what_the_model_says(steps in prop::collection::vec(step(), 1..25)) {
        let (mut real, mut model) = (Real::new(), Model::default());
        for step in steps {
            apply(&mut real, &mut model, step);
            check_all(&real, &model);
        }
    }
}
