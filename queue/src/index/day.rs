//! The windows that begin on one day (UTC): an open-addressing table in a file, mapped privately.
//!
//! What is set changes this process's copy of a page; [`DayFile::write_back`] writes the changed pages to the file and
//! [`DayFile::flush`] makes them durable. So a full disk is an error of a call, which can be tried again, and never a
//! fault at a page, whatever the file system and however the file came to be (a copy with holes, copy on write).
//!
//! The table only ever lags behind the log: a slot is set after the frame it speaks of is durable, so whatever a crash
//! leaves of it is made whole by setting the slots of the frames since the last checkpoint again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::posix_fallocate;

use super::Slot;
use crate::disk::replace_name;
use crate::frame::{u32_at, u64_at};

const MAGIC: [u8; 8] = *b"TDMKIX01";
const HEADER: usize = 64;
const SLOT: usize = 16;
/// Slots of a new table; must be a power of two.
const FIRST_SLOTS: usize = 4096;
/// Slots of a table that is no longer small.
const FEW_SLOTS: usize = 65_536;
/// Bytes that are written back together.
const PAGE: usize = 4096;

/// One day's table.
#[derive(Debug)]
pub(crate) struct DayFile {
    path: PathBuf,
    file: File,
    map: MmapMut,
    /// Which pages differ from the file, or are not durable in it yet.
    dirty: Vec<bool>,
    slots: usize,
    used: usize,
}

impl DayFile {
    /// Opens the day's table, making an empty one when there is none.
    pub(crate) fn open(path: &Path, day: i64) -> io::Result<Self> {
        if !path.exists() {
            return Self::create(path, day, FIRST_SLOTS, std::iter::empty());
        }
        let slots = check(path, day)?;
        let mut table = Self::map(path, slots)?;
        table.used = table.entries().count();
        Ok(table)
    }

    fn map(path: &Path, slots: usize) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        fill_holes(&file)?;
        let map = map(&file)?;
        let dirty = vec![false; map.len().div_ceil(PAGE)];
        Ok(Self { path: path.to_path_buf(), file, map, dirty, slots, used: 0 })
    }

    /// Memory it may take while it is open.
    pub(crate) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// What the table holds for a key.
    pub(crate) fn get(&self, key: u64) -> Option<Slot> {
        let at = self.place(key)?;
        (u64_at(&self.map, at) == key).then(|| self.slot(at))
    }

    /// Sets a key's slot unless the table holds a higher revision. Grows the file when it becomes too full.
    pub(crate) fn set(&mut self, key: u64, slot: Slot) -> io::Result<()> {
        if (self.used + 1) * 8 > self.slots * 5 {
            self.grow()?;
        }
        let at = self.place(key).ok_or_else(|| io::Error::other("index table is full"))?;
        if u64_at(&self.map, at) == key {
            if self.slot(at).revision > slot.revision {
                return Ok(());
            }
        } else {
            self.used += 1;
        }
        write_slot(&mut self.map[at..at + SLOT], key, slot);
        // A slot never crosses a page: both sizes are powers of two and the header is a whole number of slots.
        self.dirty[at / PAGE] = true;
        Ok(())
    }

    /// Writes the changed pages to the file, without syncing. They stay changed in memory: after an error it can be
    /// called again.
    pub(crate) fn write_back(&self) -> io::Result<()> {
        let mut page = 0;
        while page < self.dirty.len() {
            let run = self.dirty[page..].iter().take_while(|dirty| **dirty).count();
            if run > 0 {
                let (from, to) = (page * PAGE, self.map.len().min((page + run) * PAGE));
                self.file.write_all_at(&self.map[from..to], from as u64)?;
            }
            page += run + 1;
        }
        Ok(())
    }

    /// Makes the table durable, and gives back the memory of its changed pages.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.write_back()?;
        self.file.sync_data()?;
        // Before the pages are called clean: without a new map the old one is as good.
        if let Ok(map) = map(&self.file) {
            self.map = map;
        }
        self.dirty.fill(false);
        Ok(())
    }

    /// Byte position of the key's slot, or of the empty one where it belongs.
    fn place(&self, key: u64) -> Option<usize> {
        let mask = self.slots - 1;
        let home = (key >> 8) as usize & mask;
        (0..self.slots)
            .map(|step| HEADER + ((home + step) & mask) * SLOT)
            .find(|at| matches!(u64_at(&self.map, *at), found if found == key || found == 0))
    }

    fn slot(&self, at: usize) -> Slot {
        Slot { revision: u32_at(&self.map, at + 8), crc: u32_at(&self.map, at + 12) }
    }

    fn entries(&self) -> impl Iterator<Item = (u64, Slot)> {
        let places = (0..self.slots).map(|i| HEADER + i * SLOT);
        places.filter_map(|at| match u64_at(&self.map, at) {
            0 => None,
            key => Some((key, self.slot(at))),
        })
    }

    fn grow(&mut self) -> io::Result<()> {
        let day = u64_at(&self.map, 8).cast_signed();
        // A small table grows faster: each time costs a sync.
        let times = if self.slots < FEW_SLOTS { 4 } else { 2 };
        *self = Self::create(&self.path, day, self.slots * times, self.entries())?;
        Ok(())
    }

    /// Writes a whole table beside the old one and puts it in its place. The blocks are written, not left as a hole, so
    /// that there is room for every slot later.
    fn create(
        path: &Path,
        day: i64,
        slots: usize,
        entries: impl Iterator<Item = (u64, Slot)>,
    ) -> io::Result<Self> {
        let mut bytes = vec![0; HEADER + slots * SLOT];
        bytes[..HEADER].copy_from_slice(&header(day, slots));
        let (mask, mut used) = (slots - 1, 0);
        for (key, slot) in entries {
            let mut i = (key >> 8) as usize & mask;
            while !matches!(u64_at(&bytes, HEADER + i * SLOT), found if found == 0 || found == key) {
                i = (i + 1) & mask;
            }
            let at = HEADER + i * SLOT;
            // A power cut can leave a key twice, of which the higher revision counts.
            if u64_at(&bytes, at) == 0 {
                used += 1;
            } else if u32_at(&bytes, at + 8) >= slot.revision {
                continue;
            }
            write_slot(&mut bytes[at..at + SLOT], key, slot);
        }
        // An empty table replaces nothing, and no checkpoint names it before it was flushed: what a power cut leaves of it
        // is made anew, or made whole, from the frames since.
        replace_name(path, &bytes, used > 0)?;
        Ok(Self { used, ..Self::map(path, slots)? })
    }
}

/// Checks header and size without touching the slots; gives their number.
pub(crate) fn check(path: &Path, day: i64) -> io::Result<usize> {
    let mut head = [0; HEADER];
    let file = File::open(path)?;
    let have = crate::disk::read_up_to(&file, &mut head, 0)?;
    let slots = usize::try_from(u64_at(&head, 16)).unwrap_or(0);
    let sound = have == HEADER
        && head == header(day, slots)
        && slots.is_power_of_two()
        && file.metadata()?.len() == (HEADER + slots * SLOT) as u64;
    if sound { Ok(slots) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "not a sound index table")) }
}

fn header(day: i64, slots: usize) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[0..8].copy_from_slice(&MAGIC);
    out[8..16].copy_from_slice(&day.to_le_bytes());
    out[16..24].copy_from_slice(&(slots as u64).to_le_bytes());
    let crc = crc32fast::hash(&out[0..24]);
    out[24..28].copy_from_slice(&crc.to_le_bytes());
    out
}

fn write_slot(out: &mut [u8], key: u64, slot: Slot) {
    out[0..8].copy_from_slice(&key.to_le_bytes());
    out[8..12].copy_from_slice(&slot.revision.to_le_bytes());
    out[12..16].copy_from_slice(&slot.crc.to_le_bytes());
}

/// Gives every page of the table its place on the disk. A copy with holes has none for some; in a memory file system
/// even looking at such a page is a fault when the disk is full.
fn fill_holes(file: &File) -> io::Result<()> {
    let length =
        i64::try_from(file.metadata()?.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    match posix_fallocate(file, 0, length) {
        // Not every file system can; what is mapped privately is written by `write_back` alone there.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn map(file: &File) -> io::Result<MmapMut> {
    // SAFETY: the file belongs to this partition, whose lock this process holds, and is only replaced as a whole (by
    // rename), never cut: nobody takes the mapped bytes away while the map lives, and only this table changes them, to
    // what the map shows already.
    unsafe { MmapOptions::new().map_copy(file) }
}
