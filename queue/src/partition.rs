//! A partition as readers see it: its segments and how far it is durable.
//!
//! Of a partition this process writes, the writer keeps the view; of another's the view is renewed from the folder
//! ([`Partition::refresh`]). Frames that are not durable yet are never in view.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use model::{ProducerState, ReadError};
use prost::bytes::Bytes;

use crate::checkpoint;
use crate::decode;
use crate::disk::read_up_to;
use crate::frame::{FRAME_VERSION, FrameHeader, SEGMENT_HEADER, SegmentHeader};
use crate::scan::{Go, ScanError, Span, scan};

/// A segment in view.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Offset of its first byte.
    pub(crate) base: u64,
    /// Offset after its last frame; of the segment being written the partition's end counts instead.
    pub(crate) end: u64,
    /// Civil time of its beginning, nanoseconds.
    pub(crate) created_at: i64,
    /// The file.
    pub(crate) path: Arc<Path>,
    /// The file open for reading, from the first read on.
    reader: Arc<OnceLock<File>>,
}

impl Segment {
    /// A segment that begins here.
    pub(crate) fn new(dir: &Path, header: SegmentHeader, end: u64) -> Self {
        let path = segment_path(dir, header.base).into();
        Self { base: header.base, end, created_at: header.created_at, path, reader: Arc::default() }
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.base)
    }

    fn open(&self) -> io::Result<&File> {
        if let Some(file) = self.reader.get() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        Ok(self.reader.get_or_init(|| file))
    }
}

/// Where a segment's file is: named by its base, 20 digits.
pub(crate) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.seg"))
}

/// Bases of the segment files in a folder, ascending.
pub(crate) fn list_segments(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        if let Some(base) = digits.filter(|d| d.len() == 20).and_then(|digits| digits.parse().ok()) {
            bases.push(base);
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Reads a segment's header; `None` when the file does not begin with a sound one.
pub(crate) fn read_header(dir: &Path, base: u64) -> io::Result<Option<SegmentHeader>> {
    let mut bytes = [0; SEGMENT_HEADER as usize];
    read_up_to(&File::open(segment_path(dir, base))?, &mut bytes, 0)?;
    Ok(SegmentHeader::parse(&bytes, base))
}

#[derive(Debug, Default)]
struct View {
    segments: Vec<Segment>,
    end: u64,
}

/// What is known of the partition's producers.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    /// The last word of each.
    pub(crate) map: HashMap<String, ProducerState>,
    /// Frames below this offset are in it.
    pub(crate) known_to: u64,
}

/// A partition.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its folder.
    pub(crate) dir: PathBuf,
    own: AtomicBool,
    view: RwLock<View>,
    producers: Mutex<Producers>,
    /// Why its writer takes nothing more.
    failure: OnceLock<String>,
}

impl Partition {
    /// A partition that another process writes, or nobody. Nothing is in view before [`Partition::refresh`].
    pub(crate) fn foreign(name: &str, dir: PathBuf) -> Self {
        let (view, producers) = (RwLock::default(), Mutex::default());
        let (own, failure) = (AtomicBool::new(false), OnceLock::new());
        Self { name: name.into(), dir, own, view, producers, failure }
    }

    /// A partition this process writes, as recovery found it.
    pub(crate) fn own(
        name: &str,
        dir: PathBuf,
        segments: Vec<Segment>,
        end: u64,
        producers: Producers,
    ) -> Self {
        let view = RwLock::new(View { segments, end });
        let (own, failure) = (AtomicBool::new(true), OnceLock::new());
        Self { name: name.into(), dir, own, view, producers: Mutex::new(producers), failure }
    }

    /// Whether this process writes it.
    pub(crate) fn is_own(&self) -> bool {
        self.own.load(Ordering::Acquire)
    }

    /// This process no longer writes it.
    pub(crate) fn disown(&self) {
        self.own.store(false, Ordering::Release);
    }

    /// Notes why its writer takes nothing more; the first word stays.
    pub(crate) fn fail(&self, sentence: String) {
        // A later failure is a consequence of the first.
        let _ = self.failure.set(sentence);
    }

    /// Why its writer takes nothing more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    /// Offset after the last durable frame.
    pub(crate) fn end(&self) -> u64 {
        self.with_view(|view| view.end)
    }

    /// Its segments, oldest first; the last one's end is the partition's.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.with_view(|view| view.segments.clone())
    }

    /// Bytes its segments take.
    pub(crate) fn bytes(&self) -> u64 {
        self.with_view(|view| view.segments.iter().map(Segment::bytes).sum())
    }

    /// Brings frames up to this offset in view.
    pub(crate) fn publish(&self, end: u64) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.end = end;
        if let Some(last) = view.segments.last_mut() {
            last.end = end;
        }
    }

    /// Begins the next segment.
    pub(crate) fn push_segment(&self, segment: Segment) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.end = segment.end;
        view.segments.push(segment);
    }

    /// Takes the oldest segment out of view, if it is the one that begins here and not the one being written.
    pub(crate) fn remove_oldest(&self, base: u64) -> bool {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let is_it = view.segments.len() > 1 && view.segments[0].base == base;
        if is_it {
            view.segments.remove(0);
        }
        is_it
    }

    /// What is known of its producers.
    pub(crate) fn producers(&self) -> MutexGuard<'_, Producers> {
        self.producers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to read on from `at`: the segment and the offset of a frame in it, or `None` when there is none.
    pub(crate) fn locate(&self, at: u64) -> Option<(Segment, u64)> {
        self.with_view(|view| {
            let mut i = view.segments.partition_point(|segment| segment.base <= at).saturating_sub(1);
            loop {
                let segment = view.segments.get(i)?;
                let from = at.max(segment.base + SEGMENT_HEADER);
                if from < segment.end {
                    return Some((segment.clone(), from));
                }
                i += 1;
            }
        })
    }

    /// Offset of the oldest byte there is.
    pub(crate) fn oldest(&self) -> u64 {
        self.with_view(|view| view.segments.first().map_or(view.end, |segment| segment.base))
    }

    /// Walks over the frames in view from `at` on; see [`scan`]. Returns the offset to read on from.
    pub(crate) fn walk(
        &self,
        mut at: u64,
        wants: impl Fn(&FrameHeader) -> bool,
        mut visit: impl FnMut(&FrameHeader, Option<Bytes>) -> Result<Go, String>,
    ) -> Result<u64, ReadError> {
        let mut stopped = false;
        while let Some((segment, from)) = self.locate(at).filter(|_| !stopped) {
            let file = match segment.open() {
                // Retention was faster: what is left begins later.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.forget(segment.base)? => {
                    continue;
                }
                other => other.map_err(|source| read_io(&segment.path, source))?,
            };
            let span = Span { base: segment.base, at: from, end: segment.end };
            at = scan(file, span, &wants, |header, body| {
                let go = visit(header, body)?;
                stopped = go == Go::Stop;
                Ok(go)
            })
            .map_err(|error| damaged(&segment.path, error))?;
        }
        Ok(at)
    }

    /// Renews the view of a partition whose file is gone; whether the segment is out of it now.
    fn forget(&self, base: u64) -> Result<bool, ReadError> {
        if !self.is_own() {
            self.relist().map_err(|source| read_io(&self.dir, source))?;
        }
        Ok(self.with_view(|view| view.segments.iter().all(|segment| segment.base != base)))
    }

    /// Renews the view of a partition that another process writes. Does nothing for an own one.
    pub(crate) fn refresh(&self) -> io::Result<()> {
        if self.is_own() {
            return Ok(());
        }
        let mark = checkpoint::read_end(&self.dir)?;
        let unchanged = self.with_view(|view| !view.segments.is_empty() && mark == Some(view.end));
        if unchanged { Ok(()) } else { self.relist() }
    }

    fn relist(&self) -> io::Result<()> {
        let known = self.segments();
        let mut segments: Vec<Segment> = Vec::new();
        for base in list_segments(&self.dir)? {
            let header = match read_header(&self.dir, base) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let Some(before) = segments.last_mut() {
                before.end = header.previous_end;
            }
            let old = known.iter().find(|segment| segment.base == base).cloned();
            segments.push(old.unwrap_or_else(|| Segment::new(&self.dir, header, base + SEGMENT_HEADER)));
        }
        let end = self.durable_end(segments.last())?;
        if let Some(last) = segments.last_mut() {
            last.end = end;
        }
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = View { segments, end };
        Ok(())
    }

    /// The noted end; without one (a log copied by hand) the end of the last sound frame.
    fn durable_end(&self, last: Option<&Segment>) -> io::Result<u64> {
        let Some(last) = last else { return Ok(0) };
        let first = last.base + SEGMENT_HEADER;
        let file = last.open()?;
        let length = last.base + file.metadata()?.len();
        if let Some(end) = checkpoint::read_end(&self.dir)? {
            return Ok(end.clamp(first, length.max(first)));
        }
        let span = Span { base: last.base, at: first, end: length };
        match scan(file, span, |_| true, |_, _| Ok(Go::On)) {
            Ok(end) => Ok(end.max(first)),
            Err(ScanError::Flawed(at, _) | ScanError::Wrong(at, _)) => Ok(at),
            Err(ScanError::Io(error)) => Err(error),
        }
    }

    /// A producer's last word. Of a partition that another process writes, frames that are new are looked through.
    pub(crate) fn last(&self, producer: &str) -> Option<ProducerState> {
        let mut producers = self.producers();
        if !self.is_own() {
            self.catch_up(&mut producers);
        }
        producers.map.get(producer).cloned()
    }

    fn catch_up(&self, producers: &mut Producers) {
        if producers.known_to == 0
            && let Ok(Some(checkpoint)) = checkpoint::read(&self.dir)
        {
            producers.known_to = checkpoint.valid_to;
            producers.map = producer_map(checkpoint.producers);
        }
        let result = self.walk(producers.known_to, readable, |_, body| {
            note_producers(&mut producers.map, body)?;
            Ok(Go::On)
        });
        match result {
            Ok(to) => producers.known_to = to,
            Err(error) => tracing::error!(partition = %self.name, %error, "cannot look for producers"),
        }
    }

    fn with_view<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether this version can read a frame.
pub(crate) fn readable(header: &FrameHeader) -> bool {
    header.version <= FRAME_VERSION
}

/// Notes the producers of a frame's entries.
fn note_producers(map: &mut HashMap<String, ProducerState>, body: Option<Bytes>) -> Result<(), String> {
    let Some(body) = body else { return Ok(()) };
    let frame = decode::parse(body)?;
    note_frame_producers(map, &frame)
}

/// Notes the producers of a decoded frame's entries, whatever their kind.
pub(crate) fn note_frame_producers(
    map: &mut HashMap<String, ProducerState>,
    frame: &crate::proto::Frame,
) -> Result<(), String> {
    for entry in &frame.entries {
        let name = frame.texts.get(entry.producer as usize).ok_or("an entry without a producer")?;
        match map.get_mut(name) {
            Some(state) => {
                state.sequence = entry.sequence;
                state.source_position.clone_from(&entry.source_position);
            }
            None => {
                let (sequence, source_position) = (entry.sequence, entry.source_position.clone());
                map.insert(name.clone(), ProducerState { sequence, source_position });
            }
        }
    }
    Ok(())
}

/// Producers as the checkpoint holds them.
pub(crate) fn producer_map(stored: Vec<crate::proto::Producer>) -> HashMap<String, ProducerState> {
    let state = |p: crate::proto::Producer| {
        (p.name, ProducerState { sequence: p.sequence, source_position: p.source_position })
    };
    stored.into_iter().map(state).collect()
}

fn read_io(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io { path: path.display().to_string(), source }
}

fn damaged(path: &Path, error: ScanError) -> ReadError {
    let path = path.display().to_string();
    match error {
        ScanError::Io(source) => ReadError::Io { path, source },
        ScanError::Flawed(offset, flaw) => ReadError::Damaged { path, offset, what: flaw.to_string() },
        ScanError::Wrong(offset, what) => ReadError::Damaged { path, offset, what },
    }
}
