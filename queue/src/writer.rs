//! A partition's writer: one thread that takes whatever is queued, writes it at once, syncs once, and only then answers.
//!
//! * A failed write (a full disk above all) is cut back to the last durable frame; the group is refused as if it had never
//!   come, and the next one is tried again.
//! * A failed sync, or a cut that fails, poisons the writer: every append from then on is refused until the partition is
//!   opened again, because nobody knows what is on disk.
//! * Index and end mark that cannot be brought up to date for want of space take nothing back; appends are refused until
//!   they can.
//!
//! Nothing that was not synced is ever answered with success or brought in view.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{AppendError, Appended, NewEntry, Positions};
use tokio::sync::mpsc;

use crate::checkpoint::{self, EndMark};
use crate::disk::DiskFile;
use crate::failure::{Failure, is_lack_of_space};
use crate::frame::{FRAME_HEADER, SEGMENT_HEADER, SegmentHeader};
use crate::group::{Group, Request};
use crate::partition::{Partition, Segment, segment_path};
use crate::proto;
use crate::recovery::{Opened, sync_segment, write_segment_header};
use crate::shared::{Shared, count};
use crate::stage::{Knowledge, StageError, Staged};

/// Bytes after which a group is written although more is queued.
const GROUP_BYTES: u64 = 8 << 20;

/// The writer of one partition.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    partition: Arc<Partition>,
    file: Box<dyn DiskFile>,
    /// Offset of the first byte of the segment being written.
    base: u64,
    /// Offset after the last durable frame.
    end: u64,
    knowledge: Knowledge,
    mark: EndMark,
    /// Index or end mark lack durable frames: nothing is staged before they have them.
    behind: bool,
    checkpointed: u64,
    /// The end at which the next checkpoint is due.
    checkpoint_due: u64,
    /// The last group was refused for want of space: said once, not for every group.
    refusing: bool,
    poison: Option<Failure>,
    /// Held until the writer ends.
    _lock: File,
}

impl Writer {
    /// The writer of what recovery opened, with the partition to read.
    pub(crate) fn new(shared: Arc<Shared>, opened: Opened) -> (Self, Arc<Partition>) {
        let partition = Arc::new(opened.partition);
        let known = partition.producers().map.clone();
        let producers: HashMap<_, _> =
            known.into_iter().map(|(name, state)| (Arc::from(name), state)).collect();
        let knowledge = Knowledge::new(producers, opened.index, shared.options.older.clone());
        let base = partition.segments().last().map_or(0, |segment| segment.base);
        let checkpoint_due = opened.checkpointed + shared.options.checkpoint_bytes;
        let writer = Self {
            shared,
            partition: Arc::clone(&partition),
            file: opened.file,
            base,
            end: partition.end(),
            knowledge,
            mark: opened.mark,
            behind: false,
            checkpointed: opened.checkpointed,
            checkpoint_due,
            refusing: false,
            poison: None,
            _lock: opened.lock,
        };
        (writer, partition)
    }

    /// Writes until every sender is gone, then brings the derived files up to date and gives the lock back.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        self.trim();
        while let Some(request) = requests.blocking_recv() {
            let mut group = Group::default();
            self.take(request, &mut group);
            while group.len() < GROUP_BYTES {
                let Ok(request) = requests.try_recv() else { break };
                self.take(request, &mut group);
            }
            // Those in the group have been answered; nobody else waits for it.
            let _ = self.finish(group);
            if self.end >= self.checkpoint_due {
                self.checkpoint();
            }
        }
        self.checkpoint();
        self.partition.disown();
    }

    /// Puts one append into the group, or answers it with a refusal.
    fn take(&mut self, request: Request, group: &mut Group) {
        match self.admit(request.entries, group) {
            Ok(answer) => group.wait(request.reply, answer, request.share),
            Err(error) => {
                count(&self.shared.counters.refused_appends, 1);
                // Whoever asked may have gone.
                let _ = request.reply.send(Err(error));
            }
        }
    }

    fn admit(&mut self, entries: Vec<NewEntry>, group: &mut Group) -> Result<Appended, AppendError> {
        self.check_poison()?;
        self.catch_up().map_err(|failure| failure.error())?;
        let clock = Arc::clone(&self.shared.clock);
        let staged = self.knowledge.stage(entries, clock.domain_now(), clock.civil_now());
        let mut staged = staged.map_err(|error| match error {
            StageError::Index(error) => self.derived_failed(&self.index_dir(), &error).error(),
            StageError::Older(error) => error,
        })?;
        let written = staged.frame.entries();
        if written > 0 {
            let length = staged.frame.encoded_len();
            if let Err(error) = self.make_place(length, &mut staged, group) {
                self.knowledge.withdraw(&mut staged);
                return Err(error);
            }
            group.add(&staged, length, self.end);
        }
        let end = Positions([(Arc::clone(&self.partition.name), self.end + group.len())].into());
        Ok(Appended { written, skipped: staged.skipped, duplicate_samples: staged.duplicates, end })
    }

    /// Makes sure the next frame fits: in a frame, in the log, in the segment.
    fn make_place(
        &mut self,
        length: usize,
        staged: &mut Staged,
        group: &mut Group,
    ) -> Result<(), AppendError> {
        let options = &self.shared.options;
        let total = (FRAME_HEADER + length) as u64;
        let limit = options.max_frame_bytes.min(u64::from(u32::MAX));
        if total > limit {
            return Err(AppendError::TooLarge { bytes: total, limit });
        }
        let segment = self.end + group.len() - self.base;
        if segment > SEGMENT_HEADER && segment + total > options.effective_segment_bytes() {
            self.flush(staged, group)?;
            self.rotate().map_err(|failure| failure.error())?;
        }
        self.make_room(total, staged, group)
    }

    /// Makes sure the log does not exceed its limit.
    fn make_room(&mut self, total: u64, staged: &mut Staged, group: &mut Group) -> Result<(), AppendError> {
        if self.try_room(total + group.len())? {
            return Ok(());
        }
        // The segment being written cannot go; when nobody needs it any more it can be closed, and then go.
        self.flush(staged, group)?;
        let used = self.end - self.base > SEGMENT_HEADER;
        if used && self.shared.is_passed(&self.partition) {
            self.rotate().map_err(|failure| failure.error())?;
            if self.try_room(total)? {
                return Ok(());
            }
        }
        let max_bytes = self.shared.options.max_bytes;
        Err(AppendError::Full {
            used_bytes: self.shared.used_bytes(),
            max_bytes,
            held_by: self.shared.holder(),
        })
    }

    /// Writes the group as it is, while a batch that is not part of it is staged. When the group is refused so must be the
    /// batch, which was numbered as if the group were there.
    fn flush(&mut self, staged: &mut Staged, group: &mut Group) -> Result<(), AppendError> {
        self.knowledge.withdraw(staged);
        let written = self.finish(std::mem::take(group)).and_then(|()| self.catch_up());
        self.knowledge.restore(staged);
        written.map_err(|failure| failure.error())?;
        self.check_poison()
    }

    fn try_room(&self, needed: u64) -> Result<bool, AppendError> {
        let dir = &self.shared.options.dir;
        self.shared
            .make_room(needed)
            .map_err(|source| AppendError::Io { path: dir.display().to_string(), source })
    }

    /// Writes and syncs the group, brings it in view, and answers.
    fn finish(&mut self, group: Group) -> Result<(), Failure> {
        let result = if group.bytes.is_empty() { Ok(()) } else { self.write(&group.bytes) };
        group.answer(&result, &self.shared.counters);
        result
    }

    /// Writes and syncs frames after the last durable one; after an error nothing of them is known to anybody.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let clock = Arc::clone(&self.shared.clock);
        let path = segment_path(&self.partition.dir, self.base);
        let begin = clock.monotonic_now();
        let at = self.end - self.base;
        let written = match self.file.write_all_at(bytes, at) {
            Ok(()) => self.file.sync_data().map_err(|error| self.poisoned(&path, &error)),
            Err(error) => Err(self.cut_back(&path, at, &error)),
        };
        if let Err(failure) = written {
            self.knowledge.roll_back();
            return Err(failure);
        }
        let took = clock.monotonic_now().saturating_sub(begin);
        count(&self.shared.counters.syncs, 1);
        count(&self.shared.counters.sync_micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.end += bytes.len() as u64;
        self.settle();
        Ok(())
    }

    /// Takes away what a failed write has left behind the last durable frame.
    fn cut_back(&mut self, path: &Path, at: u64, error: &io::Error) -> Failure {
        match self.file.set_len(at).and_then(|()| self.file.sync_data()) {
            Ok(()) => self.refused(path, error),
            Err(error) => self.poisoned(path, &error),
        }
    }

    /// What was staged is durable: notes it everywhere and wakes the readers.
    fn settle(&mut self) {
        let changed = self.knowledge.take_changed();
        self.behind = true;
        // The frames are durable and answered with success; only what comes after them is refused.
        if self.catch_up().is_ok() && std::mem::take(&mut self.refusing) {
            tracing::info!(partition = %self.partition.name, "log is written again");
        }
        let mut producers = self.partition.producers();
        for (name, state) in changed {
            producers.map.insert(name.to_string(), state);
        }
        producers.known_to = self.end;
        drop(producers);
        self.partition.publish(self.end);
        self.shared.notify();
    }

    /// Brings index and end mark up to the last durable frame. Nothing may be staged.
    fn catch_up(&mut self) -> Result<(), Failure> {
        if !self.behind {
            return Ok(());
        }
        if let Err(error) = self.knowledge.index_pending() {
            return Err(self.derived_failed(&self.index_dir(), &error));
        }
        if let Err(error) = self.mark.write(self.end) {
            return Err(self.derived_failed(&self.partition.dir.join("end"), &error));
        }
        self.behind = false;
        Ok(())
    }

    /// Closes the segment, all of which is durable, and begins the next.
    fn rotate(&mut self) -> Result<(), Failure> {
        let created_at = self.shared.clock.civil_now().as_nanos();
        let header = SegmentHeader { base: self.end, previous_end: self.end, created_at };
        let (disk, dir) = (Arc::clone(&self.shared.disk), self.partition.dir.clone());
        let path = segment_path(&dir, self.end);
        let mut file = write_segment_header(&*disk, &dir, header)
            .map_err(|error| self.abandon_segment(&path, &error))?;
        sync_segment(&*disk, &dir, &mut *file).map_err(|error| self.poisoned(&path, &error))?;
        self.file = file;
        self.base = self.end;
        self.end += SEGMENT_HEADER;
        self.partition.push_segment(Segment::new(&dir, header, self.end));
        // Without the mark readers lack nothing yet, and the next frame writes it again.
        match self.mark.write(self.end) {
            Err(error) if !is_lack_of_space(&error) => return Err(self.poisoned(&dir.join("end"), &error)),
            _ => {}
        }
        self.trim();
        Ok(())
    }

    /// Takes away the file of a segment that could not be begun: the one before it is written on.
    fn abandon_segment(&mut self, path: &Path, error: &io::Error) -> Failure {
        let removed = match std::fs::remove_file(path) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        match removed.and_then(|()| self.shared.disk.sync_dir(&self.partition.dir)) {
            Ok(()) => self.refused(path, error),
            Err(error) => self.poisoned(path, &error),
        }
    }

    fn trim(&self) {
        if let Err(error) = self.shared.trim_history() {
            tracing::warn!(partition = %self.partition.name, %error, "cannot delete old segments");
        }
    }

    /// Brings index and producers on disk up to date. A failure loses nothing: more is read again after a crash. It is
    /// tried again an eighth of `checkpoint_bytes` later.
    fn checkpoint(&mut self) {
        if self.poison.is_some() || self.checkpointed == self.end || self.catch_up().is_err() {
            return;
        }
        let every = self.shared.options.checkpoint_bytes;
        match self.write_checkpoint() {
            Ok(()) => {
                self.checkpointed = self.end;
                self.checkpoint_due = self.end + every;
            }
            Err(error) => {
                self.checkpoint_due = self.end + every / 8;
                let dir = self.partition.dir.display();
                tracing::warn!(partition = %self.partition.name, %dir, %error, "cannot write the checkpoint");
            }
        }
    }

    fn write_checkpoint(&mut self) -> io::Result<()> {
        let days = self.knowledge.index.checkpoint(self.shared.clock.domain_now())?;
        let producer = |(name, state): (&String, &model::ProducerState)| proto::Producer {
            name: name.clone(),
            sequence: state.sequence,
            source_position: state.source_position.clone(),
        };
        let producers = self.partition.producers().map.iter().map(producer).collect();
        checkpoint::write(&self.partition.dir, &proto::Checkpoint { valid_to: self.end, producers, days })
    }

    fn index_dir(&self) -> PathBuf {
        self.partition.dir.join("index")
    }

    /// Index or end mark failed: for want of space that passes, otherwise they must be made anew.
    fn derived_failed(&mut self, path: &Path, error: &io::Error) -> Failure {
        if is_lack_of_space(error) { self.refused(path, error) } else { self.poisoned(path, error) }
    }

    fn check_poison(&self) -> Result<(), AppendError> {
        self.poison.as_ref().map_or(Ok(()), |poison| Err(poison.error()))
    }

    /// A failure after which the next append is tried again.
    fn refused(&mut self, path: &Path, error: &io::Error) -> Failure {
        if !std::mem::replace(&mut self.refusing, true) {
            let (partition, path) = (&self.partition.name, path.display());
            tracing::error!(%partition, %path, %error, "log cannot be written and refuses appends until it can");
        }
        Failure::new(path, error)
    }

    /// A failure after which nothing is taken until the partition is opened again.
    fn poisoned(&mut self, path: &Path, error: &io::Error) -> Failure {
        let failure = Failure::new(path, error);
        let sentence = failure.sentence(&self.partition.name);
        tracing::error!("{sentence}");
        self.shared.fail(&self.partition, sentence);
        self.poison = Some(failure.clone());
        failure
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let sentence = format!("the writer of log partition `{}` panicked", self.partition.name);
            self.shared.fail(&self.partition, sentence);
        }
    }
}
