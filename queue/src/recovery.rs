//! Opening a partition for appending: takes the lock, cuts a torn tail, brings what is derived up to date.
//!
//! Cut is only what no append was acknowledged for, or what is gone from the file; anything else that is not sound is an
//! error that names file and offset. What is derived (producers, index) is read again from the last checkpoint on, or
//! from the oldest frame when there is none.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use model::{ProducerState, SeriesKey};
use prost::bytes::Bytes;

use crate::checkpoint::{self, EndMark};
use crate::decode;
use crate::disk::{Disk, DiskFile, read_up_to};
use crate::frame::{Flaw, SEGMENT_HEADER, SegmentHeader, find_proof};
use crate::index::{Index, Key, Slot, value_crc};
use crate::partition::{
    Partition, Producers, Segment, list_segments, note_frame_producers, producer_map, read_header, readable,
    segment_path,
};
use crate::scan::{Go, ScanError, Span, scan};
use crate::shared::Shared;
use crate::{CutTail, OpenError, Recovery, proto};

/// A partition ready to be written.
pub(crate) struct Opened {
    pub(crate) partition: Partition,
    pub(crate) index: Index,
    /// The segment being written.
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) mark: EndMark,
    /// Offset up to which the checkpoint on disk is valid.
    pub(crate) checkpointed: u64,
    /// The lock, given back when dropped.
    pub(crate) lock: File,
    pub(crate) recovery: Recovery,
}

/// Takes the partition's lock, or says who has it.
pub(crate) fn lock(log_dir: &Path, partition: &str, dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open.map_err(OpenError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let known = holder.trim().parse::<u32>().is_ok();
            let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
            return Err(OpenError::InUse {
                partition: partition.to_owned(),
                dir: log_dir.to_path_buf(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::io("lock", &path)(source)),
    }
    let note = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    note.map_err(OpenError::io("write", &path))?;
    Ok(file)
}

/// Recovers a partition of the folder.
pub(crate) fn open(shared: &Shared, name: &str) -> Result<Opened, OpenError> {
    let dir = shared.options.dir.join(name);
    std::fs::create_dir_all(&dir).map_err(OpenError::io("make", &dir))?;
    crate::disk::sync_dir(&shared.options.dir).map_err(OpenError::io("sync", &shared.options.dir))?;
    let lock = lock(&shared.options.dir, name, &dir)?;
    let promised = Promised::read(shared, name, &dir)?;
    let created_at = shared.clock.civil_now().as_nanos();
    let tail = Tail { disk: &*shared.disk, dir: &dir, created_at, promised: &promised };
    let (segments, file, cut) = tail.recover()?;
    let end = segments.last().map_or(0, |segment| segment.end);

    let mut derived = Derived::open(&dir, promised.checkpoint, end)?;
    let partition = Partition::own(name, dir.clone(), segments, end, Producers::default());
    let replayed = derived.replay(&partition)?;
    let mark = EndMark::open(&dir).map_err(OpenError::io("open", &dir.join("end")))?;
    mark.write(end).map_err(OpenError::io("write", &dir.join("end")))?;
    *partition.producers() = Producers { map: derived.producers, known_to: end };
    let recovery = Recovery {
        partition: name.to_owned(),
        end,
        cut,
        replayed_frames: replayed.frames,
        replayed_bytes: replayed.bytes,
        index_rebuilt: derived.rebuilt,
    };
    Ok(Opened { partition, index: derived.index, file, mark, checkpointed: derived.from, lock, recovery })
}

/// What had been promised to be durable, by what stands outside the segments.
struct Promised {
    checkpoint: Option<proto::Checkpoint>,
    /// The noted end: everything before it was durable.
    durable: Option<u64>,
    /// No offset below this may be given to a new frame, unless it is still in the segments.
    used: u64,
}

impl Promised {
    fn read(shared: &Shared, name: &str, dir: &Path) -> Result<Self, OpenError> {
        let checkpoint = checkpoint::read(dir).map_err(OpenError::io("read", &dir.join("checkpoint")))?;
        let mark = checkpoint::read_end(dir).map_err(OpenError::io("read", &dir.join("end")))?;
        let durable = mark.max(checkpoint.as_ref().map(|checkpoint| checkpoint.valid_to));
        let consumed = shared.cursors().iter().map(|cursor| cursor.next(name)).max();
        Ok(Self { checkpoint, durable, used: durable.max(consumed).unwrap_or(0) })
    }
}

/// Recovers the segments.
struct Tail<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    created_at: i64,
    promised: &'a Promised,
}

/// The segment being written.
type Active = (Segment, Box<dyn DiskFile>, Option<CutTail>);

/// All segments, the one being written open.
type Recovered = (Vec<Segment>, Box<dyn DiskFile>, Option<CutTail>);

impl Tail<'_> {
    fn recover(&self) -> Result<Recovered, OpenError> {
        let bases = list_segments(self.dir).map_err(OpenError::io("list", self.dir))?;
        let Some((last, sealed)) = bases.split_last() else {
            let base = self.promised.used;
            let (segment, file) = self.begin(base, base)?;
            let gone = CutTail { path: self.dir.into(), offset: 0, bytes: 0, acknowledged_lost: true };
            return Ok((vec![segment], file, (base > 0).then_some(gone)));
        };
        let mut segments = self.sealed(sealed)?;
        let before = segments.last().map(|segment| segment.end);
        if let Some(header) = self.whole_header(*last)? {
            check_joint(self.dir, before, header)?;
            let (segment, file, cut) = self.active(header)?;
            segments.push(segment);
            return self.step_over_lost(segments, file, cut);
        }
        // A crash between making the file and writing its header: nothing was in it.
        let (segment, file) = self.begin(*last, before.unwrap_or(*last))?;
        segments.push(segment);
        self.step_over_lost(segments, file, None)
    }

    /// The segments before the last: they were synced before the next was begun, so each must reach to the next.
    fn sealed(&self, bases: &[u64]) -> Result<Vec<Segment>, OpenError> {
        let mut segments: Vec<Segment> = Vec::with_capacity(bases.len() + 1);
        for base in bases {
            let path = segment_path(self.dir, *base);
            let header = read_header(self.dir, *base).map_err(OpenError::io("read", &path))?;
            let header = header.ok_or_else(|| bad_header(&path, *base))?;
            check_joint(self.dir, segments.last().map(|segment| segment.end), header)?;
            let length = std::fs::metadata(&path).map_err(OpenError::io("read", &path))?.len();
            segments.push(Segment::new(self.dir, header, base + length));
        }
        Ok(segments)
    }

    /// The last segment's header; `None` when it was not written as a whole and nothing follows it.
    fn whole_header(&self, base: u64) -> Result<Option<SegmentHeader>, OpenError> {
        let path = segment_path(self.dir, base);
        let header = read_header(self.dir, base).map_err(OpenError::io("read", &path))?;
        let length = std::fs::metadata(&path).map_err(OpenError::io("read", &path))?.len();
        if header.is_none() && length > SEGMENT_HEADER {
            return Err(bad_header(&path, base));
        }
        Ok(header)
    }

    /// Begins a segment; durable when it returns.
    fn begin(&self, base: u64, previous_end: u64) -> Result<(Segment, Box<dyn DiskFile>), OpenError> {
        let header = SegmentHeader { base, previous_end, created_at: self.created_at };
        let path = segment_path(self.dir, base);
        let file = begin_segment(self.disk, self.dir, header).map_err(OpenError::io("write", &path))?;
        Ok((Segment::new(self.dir, header, base + SEGMENT_HEADER), file))
    }

    /// Checks the last segment frame by frame and cuts what is torn.
    fn active(&self, header: SegmentHeader) -> Result<Active, OpenError> {
        let path = segment_path(self.dir, header.base);
        let reader = File::open(&path).map_err(OpenError::io("open", &path))?;
        let length = reader.metadata().map_err(OpenError::io("read", &path))?.len();
        let first = header.base + SEGMENT_HEADER;
        let span = Span { base: header.base, at: first, end: header.base + length };
        let mut file = self.disk.open(&path).map_err(OpenError::io("open", &path))?;
        let (end, cut) = match scan(&reader, span, |_| true, |_, _| Ok(Go::On)) {
            Ok(end) => (end, None),
            Err(ScanError::Io(source)) => return Err(OpenError::io("read", &path)(source)),
            Err(ScanError::Wrong(offset, what)) => return Err(OpenError::Damaged { path, offset, what }),
            Err(ScanError::Flawed(offset, flaw)) => {
                let cut = self.judge_flaw(&reader, &path, Span { at: offset, ..span }, flaw)?;
                file.set_len(offset - header.base).map_err(OpenError::io("cut", &path))?;
                (offset, Some(cut))
            }
        };
        self.write_again(&reader, &mut *file, Span { at: first, end, ..span })
            .and_then(|()| file.sync_data())
            .map_err(OpenError::io("sync", &path))?;
        Ok((Segment::new(self.dir, header, end), file, cut))
    }

    /// Whether the flaw is a torn write that may be cut, or damage.
    fn judge_flaw(&self, reader: &File, path: &Path, span: Span, flaw: Flaw) -> Result<CutTail, OpenError> {
        let offset = span.at;
        let mut rest = vec![0; (span.end - offset) as usize];
        read_up_to(reader, &mut rest, offset - span.base).map_err(OpenError::io("read", path))?;
        let promised = self.promised.durable.unwrap_or(0);
        let proven = find_proof(&rest, offset).unwrap_or(0);
        // Bytes that are not there cannot be looked at any more; bytes that are there and wrong can.
        let present = span.end >= promised.max(offset + 1);
        if proven > offset || (promised > offset && present) {
            return Err(OpenError::Damaged { path: path.to_path_buf(), offset, what: flaw.to_string() });
        }
        let acknowledged_lost = promised > offset;
        Ok(CutTail { path: path.to_path_buf(), offset, bytes: span.end - offset, acknowledged_lost })
    }

    /// Writes frames again that are whole but were perhaps never synced. After a failed sync the system may hold pages
    /// as clean that never reached the disk; the same bytes in the same place make them dirty again.
    fn write_again(&self, reader: &File, file: &mut dyn DiskFile, span: Span) -> io::Result<()> {
        let mut at = self.promised.durable.unwrap_or(0).clamp(span.at, span.end);
        while at < span.end {
            let mut bytes = vec![0; (span.end - at).min(1 << 20) as usize];
            let have = read_up_to(reader, &mut bytes, at - span.base)?;
            if have == 0 {
                break;
            }
            file.write_all_at(&bytes[..have], at - span.base)?;
            at += have as u64;
        }
        Ok(())
    }

    /// When acknowledged frames are gone, begins a segment beyond every offset that was ever given out, so that nobody
    /// takes a new frame for an old one.
    fn step_over_lost(
        &self,
        mut segments: Vec<Segment>,
        file: Box<dyn DiskFile>,
        cut: Option<CutTail>,
    ) -> Result<Recovered, OpenError> {
        let end = segments.last().map_or(0, |segment| segment.end);
        if self.promised.used <= end {
            return Ok((segments, file, cut));
        }
        tracing::error!(end, promised = self.promised.used, dir = %self.dir.display(), "acknowledged frames are gone");
        let (segment, file) = self.begin(self.promised.used, end)?;
        let cut = cut.unwrap_or_else(|| CutTail {
            path: segments.last().map_or_else(PathBuf::new, |segment| segment.path.to_path_buf()),
            offset: end,
            bytes: 0,
            acknowledged_lost: true,
        });
        segments.push(segment);
        Ok((segments, file, Some(CutTail { acknowledged_lost: true, ..cut })))
    }
}

/// Makes a segment file with its header; file and name are durable when it returns.
fn begin_segment(disk: &dyn Disk, dir: &Path, header: SegmentHeader) -> io::Result<Box<dyn DiskFile>> {
    let mut file = write_segment_header(disk, dir, header)?;
    sync_segment(disk, dir, &mut *file)?;
    Ok(file)
}

/// Makes a segment file with its header, without syncing.
pub(crate) fn write_segment_header(
    disk: &dyn Disk,
    dir: &Path,
    header: SegmentHeader,
) -> io::Result<Box<dyn DiskFile>> {
    let mut file = disk.open(&segment_path(dir, header.base))?;
    file.set_len(0)?;
    file.write_all_at(&header.encode(), 0)?;
    Ok(file)
}

/// Makes a new segment file and its name durable.
pub(crate) fn sync_segment(disk: &dyn Disk, dir: &Path, file: &mut dyn DiskFile) -> io::Result<()> {
    file.sync_data()?;
    disk.sync_dir(dir)
}

fn bad_header(path: &Path, base: u64) -> OpenError {
    OpenError::Damaged {
        path: path.to_path_buf(),
        offset: base,
        what: "header of the segment is wrong".into(),
    }
}

/// A segment must begin where the one before it ends.
fn check_joint(dir: &Path, before: Option<u64>, header: SegmentHeader) -> Result<(), OpenError> {
    match before {
        Some(end) if end != header.previous_end => Err(OpenError::Damaged {
            path: segment_path(dir, header.base),
            offset: header.base,
            what: format!("the segment before it ends at {end} instead of {}", header.previous_end),
        }),
        _ => Ok(()),
    }
}

/// What is derived from the frames.
struct Derived {
    index: Index,
    producers: HashMap<String, ProducerState>,
    /// Frames below this offset are in it.
    from: u64,
    rebuilt: bool,
    /// The index could not be written: the disk's fault, not the log's.
    failed: Option<io::Error>,
}

struct Replayed {
    frames: u64,
    bytes: u64,
}

impl Derived {
    fn open(dir: &Path, checkpoint: Option<proto::Checkpoint>, end: u64) -> Result<Self, OpenError> {
        let folder = dir.join("index");
        let make = || Index::create(&folder).map_err(OpenError::io("make the index in", &folder));
        let Some(checkpoint) = checkpoint else {
            let index = make()?;
            let rebuilt = end > SEGMENT_HEADER;
            return Ok(Self { index, producers: HashMap::new(), from: 0, rebuilt, failed: None });
        };
        let valid = checkpoint.valid_to <= end;
        let opened = if valid { Index::open(&folder, &checkpoint.days) } else { Ok(None) };
        let (index, from) = match opened.map_err(OpenError::io("open the index in", &folder))? {
            Some(index) => (index, checkpoint.valid_to),
            None => (make()?, 0),
        };
        let producers = producer_map(checkpoint.producers);
        let rebuilt = from == 0 && checkpoint.valid_to > 0;
        Ok(Self { index, producers, from, rebuilt, failed: None })
    }

    fn replay(&mut self, partition: &Partition) -> Result<Replayed, OpenError> {
        let mut replayed = Replayed { frames: 0, bytes: 0 };
        let result = partition.walk(self.from, readable, |header, body| {
            replayed.frames += 1;
            replayed.bytes += header.total();
            body.map_or(Ok(()), |body| self.note(body))?;
            Ok(if self.failed.is_some() { Go::Stop } else { Go::On })
        });
        if let Some(error) = self.failed.take() {
            return Err(OpenError::io("write the index in", &partition.dir.join("index"))(error));
        }
        match result {
            Ok(_) => Ok(replayed),
            Err(model::ReadError::Damaged { path, offset, what }) => {
                Err(OpenError::Damaged { path: path.into(), offset, what })
            }
            Err(model::ReadError::Io { path, source }) => {
                Err(OpenError::io("read", Path::new(&path))(source))
            }
        }
    }

    fn note(&mut self, body: Bytes) -> Result<(), String> {
        let frame = decode::parse(body)?;
        note_frame_producers(&mut self.producers, &frame)?;
        let series = decode::plain_series(&frame)?;
        let fingerprints: Vec<u64> = series.iter().map(SeriesKey::fingerprint).collect();
        for entry in &frame.entries {
            if let Some(tick) = decode::tick_message(entry)? {
                self.note_tick(&tick, &fingerprints)?;
            }
        }
        Ok(())
    }

    fn note_tick(&mut self, tick: &proto::Tick, fingerprints: &[u64]) -> Result<(), String> {
        for (i, (series, value)) in tick.series.iter().zip(&tick.values).enumerate() {
            let fingerprint = fingerprints.get(*series as usize).ok_or("a sample without a series")?;
            let crc = value_crc(*value, decode::ratio(tick, i)?);
            let slot = Slot { revision: decode::revision(tick, i)?, crc };
            if let Err(error) = self.index.set(Key::of(*fingerprint, tick.start), slot) {
                self.failed = Some(error);
                break;
            }
        }
        Ok(())
    }
}
