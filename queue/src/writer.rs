//! A partition's writer: one thread that takes whatever is queued, writes it at once, syncs once, and only then answers.
//!
//! A failed write or sync poisons the writer: every append from then on is refused until the partition is opened again,
//! because nobody knows what is on disk. Nothing that was not synced is ever answered with success or brought in view.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use model::{AppendError, Appended, NewEntry, Positions};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::{self, EndMark};
use crate::disk::DiskFile;
use crate::frame::{FRAME_HEADER, FRAME_VERSION, FrameHeader, SEGMENT_HEADER, SegmentHeader};
use crate::partition::{Partition, Segment, segment_path};
use crate::proto;
use crate::recovery::{Opened, begin_segment};
use crate::shared::{Shared, count};
use crate::stage::{Knowledge, Staged};

/// Bytes after which a group is written although more is queued.
const GROUP_BYTES: usize = 8 << 20;

/// An append on its way to the writer.
pub(crate) struct Request {
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

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
    checkpointed: u64,
    poison: Option<Poison>,
    /// Held until the writer ends.
    _lock: File,
}

struct Poison {
    path: String,
    kind: io::ErrorKind,
    what: String,
}

/// Frames to be written and synced together.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    replies: Vec<(oneshot::Sender<Result<Appended, AppendError>>, Appended)>,
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
        let writer = Self {
            shared,
            partition: Arc::clone(&partition),
            file: opened.file,
            base,
            end: partition.end(),
            knowledge,
            mark: opened.mark,
            checkpointed: opened.checkpointed,
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
            while group.bytes.len() < GROUP_BYTES {
                let Ok(request) = requests.try_recv() else { break };
                self.take(request, &mut group);
            }
            self.finish(group);
            if self.end - self.checkpointed >= self.shared.options.checkpoint_bytes {
                self.checkpoint();
            }
        }
        self.checkpoint();
        self.partition.disown();
    }

    /// Puts one append into the group, or answers it with a refusal.
    fn take(&mut self, request: Request, group: &mut Group) {
        match self.admit(request.entries, group) {
            Ok(answer) => group.replies.push((request.reply, answer)),
            Err(error) => {
                count(&self.shared.counters.refused_appends, 1);
                // Whoever asked may have gone.
                let _ = request.reply.send(Err(error));
            }
        }
    }

    fn admit(&mut self, entries: Vec<NewEntry>, group: &mut Group) -> Result<Appended, AppendError> {
        self.check_poison()?;
        let clock = &self.shared.clock;
        let staged = self.knowledge.stage(entries, clock.domain_now(), clock.civil_now());
        let mut staged = staged.map_err(|error| self.poisoned("index", &error))?;
        let written = staged.frame.entries();
        if written > 0 {
            let length = staged.frame.encoded_len();
            if let Err(error) = self.make_place(length, &mut staged, group) {
                self.knowledge.withdraw(&mut staged);
                return Err(error);
            }
            self.add_frame(&staged, length, group);
        }
        let counters = &self.shared.counters;
        count(&counters.skipped_entries, staged.skipped as u64);
        count(&counters.duplicate_samples, staged.duplicates as u64);
        count(&counters.revised_samples, staged.revised as u64);
        let end = Positions([(Arc::clone(&self.partition.name), self.end + group.bytes.len() as u64)].into());
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
        let segment = self.end + group.bytes.len() as u64 - self.base;
        if segment > SEGMENT_HEADER && segment + total > options.effective_segment_bytes() {
            self.flush(staged, group)?;
            self.rotate()?;
        }
        self.make_room(total, staged, group)
    }

    /// Makes sure the log does not exceed its limit.
    fn make_room(&mut self, total: u64, staged: &mut Staged, group: &mut Group) -> Result<(), AppendError> {
        let needed = total + group.bytes.len() as u64;
        if self.try_room(needed)? {
            return Ok(());
        }
        // The segment being written cannot go; when nobody needs it any more it can be closed, and then go.
        self.flush(staged, group)?;
        let used = self.end - self.base > SEGMENT_HEADER;
        if used && self.shared.is_passed(&self.partition) {
            self.rotate()?;
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

    /// Writes the group as it is, while a batch that is not part of it is staged.
    fn flush(&mut self, staged: &mut Staged, group: &mut Group) -> Result<(), AppendError> {
        self.knowledge.withdraw(staged);
        self.finish(std::mem::take(group));
        self.knowledge.restore(staged);
        self.check_poison()
    }

    fn try_room(&self, needed: u64) -> Result<bool, AppendError> {
        let dir = &self.shared.options.dir;
        self.shared
            .make_room(needed)
            .map_err(|source| AppendError::Io { path: dir.display().to_string(), source })
    }

    fn add_frame(&mut self, staged: &Staged, length: usize, group: &mut Group) {
        let begin = group.bytes.len();
        group.bytes.resize(begin + FRAME_HEADER, 0);
        staged.frame.encode(&mut group.bytes);
        let header = FrameHeader {
            length: length as u32,
            version: FRAME_VERSION,
            topics: staged.frame.topics(),
            offset: self.end + begin as u64,
            back: begin as u32,
            entries: staged.frame.entries() as u32,
        };
        let head = header.encode(&group.bytes[begin + FRAME_HEADER..]);
        group.bytes[begin..begin + FRAME_HEADER].copy_from_slice(&head);
        count(&self.shared.counters.appended_entries, staged.frame.entries() as u64);
        count(&self.shared.counters.appended_bytes, (FRAME_HEADER + length) as u64);
    }

    /// Writes and syncs the group, brings it in view, and answers.
    fn finish(&mut self, group: Group) {
        let result = if group.bytes.is_empty() { Ok(()) } else { self.write(&group.bytes) };
        for (reply, answer) in group.replies {
            let answer = match &result {
                Ok(()) => Ok(answer),
                Err(()) => self.check_poison().map(|()| answer),
            };
            // Whoever asked may have gone; what it asked for is done all the same.
            let _ = reply.send(answer);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let clock = Arc::clone(&self.shared.clock);
        let path = segment_path(&self.partition.dir, self.base);
        let begin = clock.monotonic_now();
        let at = self.end - self.base;
        let written = self.file.write_all_at(bytes, at).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.poisoned(&path.display().to_string(), &error);
            return Err(());
        }
        let took = clock.monotonic_now().saturating_sub(begin);
        count(&self.shared.counters.syncs, 1);
        count(&self.shared.counters.sync_micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.end += bytes.len() as u64;
        self.settle();
        Ok(())
    }

    /// What was staged is durable: notes it everywhere and wakes the readers.
    fn settle(&mut self) {
        let (changed, indexed) = self.knowledge.settle();
        if let Err(error) = indexed.and_then(|()| self.mark.write(self.end)) {
            // The frames are durable and answered with success; only what comes after them is refused.
            self.poisoned("index or end mark", &error);
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

    /// Closes the segment, all of which is durable, and begins the next.
    fn rotate(&mut self) -> Result<(), AppendError> {
        let created_at = self.shared.clock.civil_now().as_nanos();
        let header = SegmentHeader { base: self.end, previous_end: self.end, created_at };
        let path = segment_path(&self.partition.dir, self.end);
        self.file = begin_segment(&*self.shared.disk, &self.partition.dir, header)
            .map_err(|error| self.poisoned(&path.display().to_string(), &error))?;
        self.base = self.end;
        self.end += SEGMENT_HEADER;
        self.partition.push_segment(Segment::new(&self.partition.dir, header, self.end));
        if let Err(error) = self.mark.write(self.end) {
            return Err(self.poisoned("end mark", &error));
        }
        self.trim();
        Ok(())
    }

    fn trim(&self) {
        if let Err(error) = self.shared.trim_history() {
            tracing::warn!(partition = %self.partition.name, %error, "cannot delete old segments");
        }
    }

    /// Brings index and producers on disk up to date. A failure loses nothing: more is read again after a crash.
    fn checkpoint(&mut self) {
        if self.poison.is_some() || self.checkpointed == self.end {
            return;
        }
        let result = self.knowledge.index.checkpoint(self.shared.clock.domain_now()).and_then(|days| {
            let producer = |(name, state): (&String, &model::ProducerState)| proto::Producer {
                name: name.clone(),
                sequence: state.sequence,
                source_position: state.source_position.clone(),
            };
            let producers = self.partition.producers().map.iter().map(producer).collect();
            checkpoint::write(&self.partition.dir, &proto::Checkpoint { valid_to: self.end, producers, days })
        });
        match result {
            Ok(()) => self.checkpointed = self.end,
            Err(error) => {
                tracing::warn!(partition = %self.partition.name, %error, "cannot write the checkpoint")
            }
        }
    }

    fn check_poison(&self) -> Result<(), AppendError> {
        self.poison.as_ref().map_or(Ok(()), |poison| Err(poison.error()))
    }

    fn poisoned(&mut self, path: &str, error: &io::Error) -> AppendError {
        tracing::error!(partition = %self.partition.name, path, %error, "log refuses appends until it is opened again");
        let poison = Poison { path: path.to_owned(), kind: error.kind(), what: error.to_string() };
        let error = poison.error();
        self.poison = Some(poison);
        error
    }
}

impl Poison {
    fn error(&self) -> AppendError {
        AppendError::Io { path: self.path.clone(), source: io::Error::new(self.kind, self.what.clone()) }
    }
}
