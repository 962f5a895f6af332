//! The port's face of a log folder.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use model::{
    AppendError, Appended, Clock, LogStats, NewEntry, Positions, ProducerState, ReadBatch, ReadError,
    ReadLimit, SampleLog, Topics,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::frame::{FRAME_VERSION, KNOWN_TOPICS};
use crate::group::Request;
use crate::partition::Partition;
use crate::scan::Go;
use crate::shared::{Shared, count};
use crate::weight::weight;
use crate::writer::Writer;
use crate::{LogDir, LogOptions, OpenError, Recovery};

/// One partition open for appending, with every partition of the folder to read; or the reading alone
/// ([`LogDir::reader`], [`Log::open_read_only`]).
///
/// Closing, and dropping the last handle, writes what is queued, brings the derived files up to date and gives the lock
/// back; both block for that long.
#[derive(Debug)]
pub struct Log {
    dir: LogDir,
    /// Absent when reading alone; taken when closed.
    sender: Mutex<Option<mpsc::Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Bytes that may still be on their way to the writer.
    room: Arc<Semaphore>,
    /// All of them.
    most: u32,
}

impl Log {
    /// Opens the folder and one partition of it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        options: LogOptions,
        partition: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        LogDir::open(options, clock)?.partition(partition)
    }

    /// Opens the folder for reading: takes no lock, changes nothing, refuses appends and commits.
    ///
    /// Reads up to what the file `end` of each partition says, and trusts it: the writer notes there what it has synced
    /// before it answers, so nothing is shown that could still be refused, and nobody looks for frames beyond. After a
    /// power cut the mark may lag behind the frames until the partition is opened for appending; after a copy by hand
    /// without the mark, every sound frame of the last segment is shown. Frames are checked when they are read, not when
    /// the folder is opened: damage shows as [`ReadError::Damaged`] then. The age of segments plays no part in it: a
    /// segment that retention deletes meanwhile is passed over and counted in `lost_bytes`.
    ///
    /// # Errors
    /// [`OpenError::Io`], also when there is no such folder.
    pub fn open_read_only(options: LogOptions, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        Ok(LogDir::open_read_only(options, clock)?.reader())
    }

    pub(crate) fn reader(dir: LogDir) -> Self {
        Self {
            dir,
            sender: Mutex::default(),
            writer: Mutex::default(),
            room: Arc::new(Semaphore::new(0)),
            most: 0,
        }
    }

    pub(crate) fn start(dir: LogDir, partition: Arc<Partition>, writer: Writer) -> Result<Self, OpenError> {
        let (sender, requests) = mpsc::channel(dir.shared.options.queue_frames.max(1));
        let thread = std::thread::Builder::new()
            .name(format!("queue-{}", partition.name))
            .spawn(move || writer.run(requests))
            .map_err(OpenError::io("start the writer of", &partition.dir))?;
        let most = dir.shared.options.queue_bytes.max(1);
        let room = Arc::new(Semaphore::new(most as usize));
        Ok(Self { dir, sender: Mutex::new(Some(sender)), writer: Mutex::new(Some(thread)), room, most })
    }

    /// The folder it belongs to.
    pub fn dir(&self) -> &LogDir {
        &self.dir
    }

    /// Writes what is queued, brings the derived files up to date and gives the lock back. Later appends are refused
    /// as closed; reading and committing go on. Blocks.
    pub fn close(&self) {
        self.room.close();
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = writer
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }

    fn shared(&self) -> &Shared {
        &self.dir.shared
    }

    fn refresh(&self) -> Result<(), ReadError> {
        let dir = &self.shared().options.dir;
        self.shared().refresh().map_err(|source| ReadError::Io { path: dir.display().to_string(), source })
    }

    /// Reads one partition; its share of the limit is `limit`.
    fn read_partition(
        &self,
        partition: &Partition,
        from: u64,
        topics: Topics,
        limit: ReadLimit,
        batch: &mut ReadBatch,
    ) -> Result<(), ReadError> {
        let wanted = model::Topic::ALL.iter().filter(|topic| topics.contains(**topic));
        // Kinds this version does not know are looked at to be counted.
        let wanted = wanted.fold(!KNOWN_TOPICS, |bits, topic| bits | 1 << *topic as u16);
        let wants = |header: &crate::frame::FrameHeader| {
            header.version <= FRAME_VERSION && header.topics & wanted != 0
        };
        let (before, mut bytes) = (batch.entries.len(), 0);
        let next = partition.walk(from, wants, |header, body| {
            bytes += header.total();
            if let Some(body) = body {
                let decoder = &self.shared().decoder;
                let unknown =
                    decoder.frame(&partition.name, header.offset, body, topics, &mut batch.entries)?;
                batch.unknown += unknown;
            } else if header.version > FRAME_VERSION {
                batch.unknown += header.entries as usize;
            }
            let full = batch.entries.len() - before >= limit.entries || bytes >= limit.bytes as u64;
            Ok(if full { Go::Stop } else { Go::On })
        })?;
        batch.next.0.insert(Arc::clone(&partition.name), next);
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl SampleLog for Log {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        let open = || self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open().ok_or(AppendError::Closed)?;
        let weight = weight(&entries).clamp(1, u64::from(self.most)) as u32;
        let share = Arc::clone(&self.room).acquire_many_owned(weight).await;
        let share = share.map_err(|_| AppendError::Closed)?;
        let sender = open().ok_or(AppendError::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(Request { entries, reply, share }).await.map_err(|_| AppendError::Closed)?;
        drop(sender);
        answer.await.map_err(|_| AppendError::Closed)?
    }

    fn read(&self, from: &Positions, topics: Topics, limit: ReadLimit) -> Result<ReadBatch, ReadError> {
        self.refresh()?;
        let mut batch = ReadBatch { next: from.clone(), ..ReadBatch::default() };
        let ready: Vec<_> = self
            .shared()
            .partitions()
            .into_iter()
            .filter(|partition| partition.locate(from.next(&partition.name)).is_some())
            .collect();
        let share = ready.len().max(1);
        let limit =
            ReadLimit { entries: (limit.entries / share).max(1), bytes: (limit.bytes / share).max(1) };
        for partition in ready {
            let wanted = from.0.get(&partition.name).copied();
            let oldest = partition.oldest();
            if let Some(wanted) = wanted.filter(|wanted| *wanted < oldest) {
                batch.lost_bytes += oldest - wanted;
                batch.lost.add(&partition.name, wanted..oldest);
            }
            self.read_partition(&partition, wanted.unwrap_or(0), topics, limit, &mut batch)?;
        }
        count(&self.shared().counters.unknown_entries, batch.unknown as u64);
        Ok(batch)
    }

    async fn wait(&self, from: &Positions) {
        let shared = self.shared();
        let mut changed = shared.subscribe();
        loop {
            if let Err(error) = self.refresh() {
                tracing::warn!(%error, "cannot look for new frames");
            }
            let has_more =
                |partition: &Arc<Partition>| partition.locate(from.next(&partition.name)).is_some();
            if shared.partitions().iter().any(has_more) {
                return;
            }
            tokio::select! {
                result = changed.changed() => if result.is_err() { return },
                () = shared.clock.sleep(shared.options.poll) => {}
            }
        }
    }

    fn last(&self, producer: &str) -> Option<ProducerState> {
        if let Err(error) = self.refresh() {
            tracing::warn!(%error, "cannot look for new frames");
        }
        let states = self.shared().partitions().into_iter().filter_map(|partition| partition.last(producer));
        states.max_by_key(|state| state.sequence)
    }

    fn end(&self) -> Positions {
        self.shared().end()
    }

    fn commit(&self, consumer: &str, positions: &Positions) -> Result<(), AppendError> {
        let shared = self.shared();
        let mut cursors = shared.cursors();
        let path = cursors.path(consumer).display().to_string();
        if shared.read_only {
            let source =
                io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "log was opened for reading alone");
            return Err(AppendError::Io { path, source });
        }
        let end = shared.end();
        let durable = |(partition, offset): (&Arc<str>, &u64)| {
            let end = end.0.get(partition).copied();
            (Arc::clone(partition), end.map_or(*offset, |end| end.min(*offset)))
        };
        let positions = Positions(positions.0.iter().map(durable).collect());
        let changed = cursors.change(consumer, |cursor| cursor.go(positions));
        changed.map_err(|source| AppendError::Io { path, source })
    }

    fn committed(&self, consumer: &str) -> Option<Positions> {
        self.shared().cursors().get(consumer)?.positions.clone()
    }

    fn stats(&self) -> LogStats {
        let shared = self.shared();
        let partitions = shared.partitions();
        let mut stats = LogStats { max_bytes: shared.options.max_bytes, ..LogStats::default() };
        stats.bytes = partitions.iter().map(|partition| partition.bytes()).sum();
        stats.segments = partitions.iter().map(|partition| partition.segments().len()).sum();
        let mut cursors = shared.cursors();
        if let Err(error) = cursors.reload() {
            tracing::warn!(%error, "cannot read the cursors of other processes");
        }
        for cursor in cursors.iter() {
            let behind = |partition: &Arc<Partition>| {
                let from = cursor.next(&partition.name).max(partition.oldest());
                if partition.locate(from).is_none() { 0 } else { partition.end() - from }
            };
            stats.lag_bytes.insert(cursor.consumer.clone(), partitions.iter().map(behind).sum());
            if cursor.missed_bytes > 0 {
                stats.incomplete.insert(cursor.consumer.clone(), cursor.missed_bytes);
            }
        }
        stats
    }
}
