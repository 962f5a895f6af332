//! The little of the file system that the writer needs, as a trait, so that tests can make it fail.
//!
//! Reading goes to the file system directly.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Opens segment files for writing.
pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file for writing, making it when absent; its content stays.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Makes entries of a folder (new, renamed, deleted files) durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// A segment file open for writing.
pub(crate) trait DiskFile: Send + fmt::Debug {
    /// Writes all bytes at a place.
    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Returns once everything written is durable.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Cuts the file.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        Ok(Box::new(file))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_dir(path)
    }
}

impl DiskFile for File {
    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// Makes entries of a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces a file as a whole: after a crash there is the old content or the new. Durable when it returns.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_name(path, content, true)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The same, but which of the two a power cut leaves is open until the folder is synced; without `sync` it may also leave
/// a file that is not whole. Leaves nothing behind when it
/// fails: a full disk must not be made fuller.
pub(crate) fn replace_name(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        if sync {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    });
    if written.is_err() {
        // What the write said is told; that the leftover cannot go either changes nothing.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Reads what there is of `buffer.len()` bytes at a place; fewer only at the end of the file.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match file.read_at(&mut buffer[have..], at + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}
