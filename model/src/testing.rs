//! Stand-ins for tests of the crates that only know the ports.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{
    AppendError, Appended, Entry, LogStats, Missed, NewEntry, Position, Positions, ProducerState, ReadBatch,
    ReadError, ReadLimit, Released, ReplicaLedger, SampleLog, Timestamp, Topics,
};

/// A [`SampleLog`] in memory: one partition, an offset is the number of a frame. Gives samples no revisions and drops
/// no duplicates. `fail_next_appends` makes it refuse.
#[derive(Debug)]
pub struct MemoryLog {
    partition: &'static str,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    frames: Vec<Vec<Entry>>,
    last: HashMap<String, ProducerState>,
    cursors: HashMap<String, Positions>,
    missed: HashMap<String, Missed>,
    /// What was noted of what went and its consumer has not passed.
    noted: HashMap<String, Released>,
    /// Frames below this one went to retention.
    oldest: usize,
    appended_at: Timestamp,
    refuse: usize,
    wakers: Vec<std::task::Waker>,
}

impl Inner {
    fn miss(&mut self, consumer: &str, missed: Missed) {
        let all = self.missed.get(consumer).map_or(missed, |before| before.and(missed));
        self.missed.insert(consumer.to_owned(), all);
    }
}

impl MemoryLog {
    /// An empty log whose one partition has this name.
    pub fn new(partition: &'static str) -> Self {
        Self { partition, inner: Mutex::default() }
    }

    /// Makes the next `count` appends fail with [`AppendError::Full`].
    pub fn fail_next_appends(&self, count: usize) {
        self.lock().refuse = count;
    }

    /// Makes entries say from now on that they were appended then.
    pub fn set_civil_time(&self, at: Timestamp) {
        self.lock().appended_at = at;
    }

    /// Forgets the frames below this offset, as retention does; nobody is marked.
    pub fn release(&self, before: usize) {
        self.lock().oldest = before;
    }

    /// The same, and marks a consumer that wanted them, as a full log does.
    pub fn leave_behind(&self, consumer: &str, before: usize, missed: Missed) {
        let mut inner = self.lock();
        let from = inner.cursors.get(consumer).map_or(0, |cursor| cursor.next(self.partition));
        inner.oldest = before;
        inner.noted.entry(consumer.to_owned()).or_default().add(&self.partition.into(), from..before as u64);
        inner.miss(consumer, missed);
    }

    /// Every entry so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().frames.iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn positions(&self, offset: usize) -> Positions {
        Positions([(self.partition.into(), offset as u64)].into())
    }
}

#[async_trait]
impl SampleLog for MemoryLog {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        let mut inner = self.lock();
        if inner.refuse > 0 {
            inner.refuse -= 1;
            return Err(AppendError::Full { used_bytes: 1, max_bytes: 1, held_by: "test".into() });
        }
        let offset = inner.frames.len();
        let total = entries.len();
        let mut frame = Vec::new();
        for entry in entries {
            let state =
                ProducerState { sequence: entry.sequence, source_position: entry.source_position.clone() };
            if inner.last.get(&*entry.producer).is_some_and(|last| entry.sequence <= last.sequence) {
                continue;
            }
            inner.last.insert(entry.producer.to_string(), state);
            let position = Position {
                partition: self.partition.into(),
                offset: offset as u64,
                index: frame.len() as u32,
            };
            frame.push(Entry {
                position,
                key: entry.key,
                producer: entry.producer,
                sequence: entry.sequence,
                source_position: entry.source_position,
                appended_at: inner.appended_at,
                body: entry.body,
            });
        }
        let written = frame.len();
        inner.frames.push(frame);
        inner.wakers.drain(..).for_each(std::task::Waker::wake);
        let end = self.positions(offset + 1);
        Ok(Appended { written, skipped: total - written, duplicate_samples: 0, end })
    }

    fn read(&self, from: &Positions, topics: Topics, limit: ReadLimit) -> Result<ReadBatch, ReadError> {
        let inner = self.lock();
        let wanted = usize::try_from(from.next(self.partition)).unwrap_or(usize::MAX);
        let named = from.0.contains_key(self.partition);
        let lost_bytes = if named { inner.oldest.saturating_sub(wanted) as u64 } else { 0 };
        let mut lost = Released::default();
        if lost_bytes > 0 {
            lost.add(&self.partition.into(), wanted as u64..inner.oldest as u64);
        }
        let mut at = wanted.max(inner.oldest).min(inner.frames.len());
        let mut entries = Vec::new();
        while at < inner.frames.len() && entries.len() < limit.entries.max(1) {
            entries.extend(inner.frames[at].iter().filter(|e| topics.contains(e.body.topic())).cloned());
            at += 1;
        }
        Ok(ReadBatch { entries, next: self.positions(at), unknown: 0, lost_bytes, lost })
    }

    async fn wait(&self, from: &Positions) {
        let wanted = from.next(self.partition);
        std::future::poll_fn(|cx| {
            let mut inner = self.lock();
            if inner.frames.len() as u64 > wanted {
                return std::task::Poll::Ready(());
            }
            inner.wakers.push(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }

    fn last(&self, producer: &str) -> Option<ProducerState> {
        self.lock().last.get(producer).cloned()
    }

    fn end(&self) -> Positions {
        let frames = self.lock().frames.len();
        self.positions(frames)
    }

    fn commit(&self, consumer: &str, positions: &Positions) -> Result<(), AppendError> {
        let mut inner = self.lock();
        inner.cursors.insert(consumer.to_owned(), positions.clone());
        if let Some(noted) = inner.noted.get_mut(consumer) {
            noted.forget(positions);
        }
        Ok(())
    }

    fn committed(&self, consumer: &str) -> Option<Positions> {
        self.lock().cursors.get(consumer).cloned()
    }

    fn stats(&self) -> LogStats {
        let missed = self.lock().missed.clone().into_iter();
        let incomplete = missed.map(|(consumer, missed)| (consumer, missed.bytes)).collect();
        LogStats { incomplete, ..LogStats::default() }
    }
}

impl ReplicaLedger for MemoryLog {
    fn missed(&self, consumer: &str) -> io::Result<Option<Missed>> {
        Ok(self.lock().missed.get(consumer).copied())
    }

    fn mark(&self, consumer: &str, missed: Missed) -> io::Result<()> {
        self.lock().miss(consumer, missed);
        Ok(())
    }

    fn account(&self, consumer: &str, gone: &Released) -> io::Result<Option<Missed>> {
        let mut inner = self.lock();
        let bytes = inner.noted.entry(consumer.to_owned()).or_default().account(gone);
        if bytes > 0 {
            inner.miss(consumer, Missed { bytes, span: None });
        }
        Ok(inner.missed.get(consumer).copied())
    }

    fn repaired(&self, consumer: &str, seen: Missed, left: Option<Missed>) -> io::Result<bool> {
        let mut inner = self.lock();
        if inner.missed.get(consumer) != Some(&seen) {
            return Ok(false);
        }
        match left {
            Some(left) => inner.missed.insert(consumer.to_owned(), left),
            None => inner.missed.remove(consumer),
        };
        Ok(true)
    }
}
