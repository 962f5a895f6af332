//! Two small files of a partition: `checkpoint`, what is known of the log below an offset, and `end`, how far it is
//! durable.
//!
//! Both are derived: without them the log is read instead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use prost::Message;

use crate::disk::{read_up_to, replace_file};
use crate::frame::{u32_at, u64_at};
use crate::proto;

const MAGIC: [u8; 8] = *b"TDMKCP01";

/// Replaces the checkpoint; durable when it returns.
pub(crate) fn write(dir: &Path, checkpoint: &proto::Checkpoint) -> io::Result<()> {
    let body = checkpoint.encode_to_vec();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    replace_file(&dir.join("checkpoint"), &bytes)
}

/// The checkpoint; `None` when there is none or it is damaged.
pub(crate) fn read(dir: &Path) -> io::Result<Option<proto::Checkpoint>> {
    let bytes = match std::fs::read(dir.join("checkpoint")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if bytes.len() < 12 || bytes[0..8] != MAGIC || crc32fast::hash(&bytes[12..]) != u32_at(&bytes, 8) {
        return Ok(None);
    }
    Ok(proto::Checkpoint::decode(&bytes[12..]).ok())
}

/// The file `end`: the offset up to which the partition is durable, for readers in other processes and for telling a torn
/// tail from damage. Written after each sync and not synced itself: after a power cut it may be behind, never ahead.
#[derive(Debug)]
pub(crate) struct EndMark(File);

impl EndMark {
    /// Opens it for writing, making it when absent.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("end")).map(Self)
    }

    /// Notes a new end.
    pub(crate) fn write(&self, end: u64) -> io::Result<()> {
        let mut bytes = [0; 12];
        bytes[0..8].copy_from_slice(&end.to_le_bytes());
        let crc = crc32fast::hash(&bytes[0..8]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}

/// How often a mark that is being written this moment is read again.
const MARK_READS: usize = 8;

/// The noted end; `None` when there is none or it is damaged.
pub(crate) fn read_end(dir: &Path) -> io::Result<Option<u64>> {
    let file = match File::open(dir.join("end")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for _ in 0..MARK_READS {
        let mut bytes = [0; 12];
        if read_up_to(&file, &mut bytes, 0)? == bytes.len()
            && crc32fast::hash(&bytes[0..8]) == u32_at(&bytes, 8)
        {
            return Ok(Some(u64_at(&bytes, 0)));
        }
    }
    Ok(None)
}
