//! Walking over the frames of one segment file.

use std::fs::File;
use std::io;

use prost::bytes::Bytes;

use crate::disk::read_up_to;
use crate::frame::{FRAME_HEADER, Flaw, FrameHeader};

/// Bytes read at once unless a frame is larger: small enough that a read which ends early wastes little.
const CHUNK_BYTES: u64 = 256 << 10;

/// Where to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Offset of the file's first byte.
    pub(crate) base: u64,
    /// Offset of the first frame.
    pub(crate) at: u64,
    /// Offset at which to end: of a frame that is known to be the last, or of the file's end.
    pub(crate) end: u64,
}

/// Why a walk ended before its end.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The file cannot be read.
    Io(io::Error),
    /// At this offset there is no sound frame.
    Flawed(u64, Flaw),
    /// The visitor refused the frame at this offset.
    Wrong(u64, String),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// To the next frame.
    On,
    /// No further; the frame just seen counts as seen.
    Stop,
}

/// Walks from frame to frame. Frames that `wants` asks for are checked and handed to `visit`; of the others it is handed
/// the header alone. Returns the offset after the last frame seen.
pub(crate) fn scan(
    file: &File,
    span: Span,
    wants: impl Fn(&FrameHeader) -> bool,
    mut visit: impl FnMut(&FrameHeader, Option<Bytes>) -> Result<Go, String>,
) -> Result<u64, ScanError> {
    let (mut at, mut ask) = (span.at, CHUNK_BYTES);
    while at < span.end {
        let chunk = read_chunk(file, span, at, ask).map_err(ScanError::Io)?;
        let begin = at;
        while at < span.end {
            let used = (at - begin) as usize;
            let rest = &chunk[used..];
            let header =
                match next_frame(rest, at, span.end - at).map_err(|flaw| ScanError::Flawed(at, flaw))? {
                    Next::Frame(header) => header,
                    Next::Needs(bytes) if used == 0 && bytes <= ask => {
                        return Err(ScanError::Flawed(at, Flaw::Short));
                    }
                    Next::Needs(bytes) => {
                        ask = bytes.max(CHUNK_BYTES);
                        break;
                    }
                };
            let total = header.total() as usize;
            let body = if wants(&header) {
                header.check(rest).map_err(|flaw| ScanError::Flawed(at, flaw))?;
                Some(chunk.slice(used + FRAME_HEADER..used + total))
            } else {
                None
            };
            let go = visit(&header, body).map_err(|what| ScanError::Wrong(at, what))?;
            at += total as u64;
            if go == Go::Stop {
                return Ok(at);
            }
        }
    }
    Ok(at)
}

enum Next {
    /// A frame is there as a whole.
    Frame(FrameHeader),
    /// So many bytes from here on must be there to see it.
    Needs(u64),
}

fn next_frame(rest: &[u8], at: u64, left: u64) -> Result<Next, Flaw> {
    if left < FRAME_HEADER as u64 {
        return Err(Flaw::Short);
    }
    if rest.len() < FRAME_HEADER {
        return Ok(Next::Needs(FRAME_HEADER as u64));
    }
    let header = FrameHeader::parse(rest, at)?;
    if header.total() > left {
        return Err(Flaw::Short);
    }
    Ok(if header.total() > rest.len() as u64 { Next::Needs(header.total()) } else { Next::Frame(header) })
}

fn read_chunk(file: &File, span: Span, at: u64, ask: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; ask.min(span.end - at) as usize];
    let have = read_up_to(file, &mut buffer, at - span.base)?;
    buffer.truncate(have);
    Ok(Bytes::from(buffer))
}
