//! Frame and segment headers: what stands around a body on disk (see `FORMAT.md`).
//!
//! A frame says at which offset it stands and where the group of frames began that were made durable together with it.
//! So a frame proves that everything before its group had been durable: recovery can tell a torn tail, which may be cut,
//! from damage to what had been promised, which may not.

use model::Topic;

/// First bytes of a segment.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"TIDEMRK1";
/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: u64 = 40;
/// First bytes of a frame.
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"TMF1";
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER: usize = 32;
/// The layout this code writes; frames of higher versions are skipped and counted.
pub(crate) const FRAME_VERSION: u16 = 1;
/// Bits of the topics this version knows.
pub(crate) const KNOWN_TOPICS: u16 = (1 << Topic::ALL.len()) - 1;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Bytes of the body.
    pub(crate) length: u32,
    /// Layout of the body.
    pub(crate) version: u16,
    /// Bit n is set when an entry of kind n is inside (kinds above 15 set bit 15).
    pub(crate) topics: u16,
    /// Where the frame stands in its partition.
    pub(crate) offset: u64,
    /// How many bytes before it the group began that was synced together with it.
    pub(crate) back: u32,
    /// Entries inside.
    pub(crate) entries: u32,
}

impl FrameHeader {
    /// Header and body together.
    pub(crate) fn total(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.length)
    }

    /// Everything before this offset was durable when the frame was written.
    pub(crate) fn durable_before(&self) -> u64 {
        self.offset.saturating_sub(u64::from(self.back))
    }

    /// The header's bytes, with the checksum over the rest of it and the body.
    pub(crate) fn encode(&self, body: &[u8]) -> [u8; FRAME_HEADER] {
        let mut out = [0; FRAME_HEADER];
        out[0..4].copy_from_slice(&FRAME_MAGIC);
        out[4..8].copy_from_slice(&self.length.to_le_bytes());
        out[12..14].copy_from_slice(&self.version.to_le_bytes());
        out[14..16].copy_from_slice(&self.topics.to_le_bytes());
        out[16..24].copy_from_slice(&self.offset.to_le_bytes());
        out[24..28].copy_from_slice(&self.back.to_le_bytes());
        out[28..32].copy_from_slice(&self.entries.to_le_bytes());
        let crc = checksum(&out, body);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the beginning of `bytes`, without checking the body.
    pub(crate) fn parse(bytes: &[u8], offset: u64) -> Result<Self, Flaw> {
        let head: &[u8; FRAME_HEADER] = bytes.first_chunk().ok_or(Flaw::Short)?;
        if head[0..4] != FRAME_MAGIC {
            return Err(Flaw::Magic);
        }
        let header = Self {
            length: u32_at(head, 4),
            version: u16_at(head, 12),
            topics: u16_at(head, 14),
            offset: u64_at(head, 16),
            back: u32_at(head, 24),
            entries: u32_at(head, 28),
        };
        if header.offset == offset { Ok(header) } else { Err(Flaw::Offset(header.offset)) }
    }

    /// Checks `bytes`, which begin with the frame, and gives its body.
    pub(crate) fn check<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Flaw> {
        let end = usize::try_from(self.total()).map_err(|_| Flaw::Short)?;
        let body = bytes.get(FRAME_HEADER..end).ok_or(Flaw::Short)?;
        let head = bytes.first_chunk().ok_or(Flaw::Short)?;
        if checksum(head, body) == u32_at(head, 8) { Ok(body) } else { Err(Flaw::Checksum) }
    }
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// The bytes end before the frame does.
    #[error("the file ends inside a frame")]
    Short,
    /// It does not begin like a frame.
    #[error("no frame begins here")]
    Magic,
    /// It says it stands elsewhere.
    #[error("the frame here says it stands at {0}")]
    Offset(u64),
    /// Header or body differ from what was written.
    #[error("checksum of the frame is wrong")]
    Checksum,
}

fn checksum(head: &[u8; FRAME_HEADER], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[4..8]);
    hasher.update(&head[12..]);
    hasher.update(body);
    hasher.finalize()
}

/// Looks for a whole frame in `bytes` (which stand at `offset`) and gives the offset before which it proves durability.
pub(crate) fn find_proof(bytes: &[u8], offset: u64) -> Option<u64> {
    let mut at = 0;
    let mut proof = None;
    while let Some(found) = find_magic(&bytes[at..]) {
        at += found;
        let here = &bytes[at..];
        let whole = FrameHeader::parse(here, offset + at as u64).and_then(|h| h.check(here).map(|_| h));
        if let Ok(header) = whole {
            proof = proof.max(Some(header.durable_before()));
        }
        at += 1;
    }
    proof
}

fn find_magic(bytes: &[u8]) -> Option<usize> {
    bytes.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC)
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Offset of the segment's first byte; also its file name.
    pub(crate) base: u64,
    /// Offset after the last frame before it; less than `base` only when acknowledged bytes had been lost and their
    /// offsets must not be used again.
    pub(crate) previous_end: u64,
    /// Civil time at which it was begun, nanoseconds.
    pub(crate) created_at: i64,
}

impl SegmentHeader {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut out = [0; SEGMENT_HEADER as usize];
        out[0..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..16].copy_from_slice(&self.base.to_le_bytes());
        out[16..24].copy_from_slice(&self.previous_end.to_le_bytes());
        out[24..32].copy_from_slice(&self.created_at.to_le_bytes());
        let crc = crc32fast::hash(&out[0..32]);
        out[32..36].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; `None` when it is none, or another segment's.
    pub(crate) fn parse(bytes: &[u8], base: u64) -> Option<Self> {
        let head: &[u8; SEGMENT_HEADER as usize] = bytes.first_chunk()?;
        let sound = head[0..8] == SEGMENT_MAGIC && crc32fast::hash(&head[0..32]) == u32_at(head, 32);
        let created_at = u64_at(head, 24).cast_signed();
        let header = Self { base: u64_at(head, 8), previous_end: u64_at(head, 16), created_at };
        (sound && header.base == base).then_some(header)
    }
}

/// The 8 bytes at `at`, little-endian; for slices whose length was checked.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: u64, back: u32, body: &[u8]) -> Vec<u8> {
        let length = body.len() as u32;
        let header = FrameHeader { length, version: 1, topics: 1, offset, back, entries: 1 };
        [&header.encode(body)[..], body].concat()
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let good = frame(96, 0, b"hello");
        assert_eq!(FrameHeader::parse(&good, 96).unwrap().check(&good), Ok(&b"hello"[..]));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = FrameHeader::parse(&bad, 96).and_then(|h| h.check(&bad).map(<[u8]>::to_vec));
            assert!(read.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_frame_proves_what_was_durable_before_its_group() {
        let mut bytes = b"rubbish TMF1 rubbish".to_vec();
        let at = 1000 + bytes.len() as u64;
        bytes.extend(frame(at, 20, b"same group"));
        assert_eq!(find_proof(&bytes, 1000), Some(1000));
        let next = 1000 + bytes.len() as u64;
        bytes.extend(frame(next, 0, b"next group"));
        assert_eq!(find_proof(&bytes, 1000), Some(next));
        assert_eq!(find_proof(&bytes[..30], 1000), None);
    }

    #[test]
    fn segment_headers_read_back_and_notice_damage() {
        let header = SegmentHeader { base: 7, previous_end: 5, created_at: -3 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::parse(&bytes, 7), Some(header));
        assert_eq!(SegmentHeader::parse(&bytes, 8), None);
        for at in 0..36 {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(SegmentHeader::parse(&bad, 7), None, "byte {at}");
        }
    }
}
