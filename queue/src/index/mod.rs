//! The revision index: for each (series, window start) the highest revision and a checksum of its value.
//!
//! Derived from the log and only ever behind it; see [`DayFile`] for how it survives a crash. Keeps 28 days of window
//! start (older days stay until they were not written to between two checkpoints).

mod day;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use model::{Ratio, SeriesKey, Timestamp};

use day::DayFile;

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;
/// Bytes of the tables open at once, but for the one that is wanted; a table costs memory while it is open, and opening
/// one costs a look at its slots. Enough for a month of thirty series by the minute.
const MOST_OPEN_BYTES: usize = 64 << 20;
/// Days for which the index answers alone.
const KEPT_DAYS: i64 = 28;

/// What identifies a sample: the day of its window start, and a hash of series and window start (never 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    day: i64,
    hash: u64,
}

impl Key {
    /// The key of a series' window.
    pub(crate) fn new(series: &SeriesKey, start: Timestamp) -> Self {
        Self::of(series.fingerprint(), start.as_nanos())
    }

    /// The same from the series' fingerprint.
    pub(crate) fn of(fingerprint: u64, start: i64) -> Self {
        let mut bytes = [0; 16];
        bytes[0..8].copy_from_slice(&fingerprint.to_le_bytes());
        bytes[8..16].copy_from_slice(&start.to_le_bytes());
        Self { day: start.div_euclid(DAY), hash: xxhash_rust::xxh3::xxh3_64(&bytes).max(1) }
    }

    /// The day of its window start.
    pub(crate) fn day(self) -> i64 {
        self.day
    }

    /// The hash, which alone tells keys apart.
    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    /// Whether the window is too old for the index to answer alone.
    pub(crate) fn is_older_than_kept(self, now: Timestamp) -> bool {
        self.day < oldest_kept(now)
    }
}

fn oldest_kept(now: Timestamp) -> i64 {
    now.as_nanos().div_euclid(DAY) - KEPT_DAYS
}

/// What is known of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its highest revision.
    pub(crate) revision: u32,
    /// Checksum of that revision's value.
    pub(crate) crc: u32,
}

/// Checksum by which equal values are known. Zero has one sign here.
pub(crate) fn value_crc(value: f64, ratio: Option<Ratio>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut number = |x: f64| hasher.update(&(x + 0.0).to_bits().to_le_bytes());
    number(value);
    if let Some(Ratio { numerator, denominator }) = ratio {
        number(numerator);
        number(denominator);
    }
    hasher.finalize()
}

/// The index of one partition.
#[derive(Debug)]
pub(crate) struct Index {
    dir: PathBuf,
    /// Days that have a file; the file is open when it was used of late.
    days: BTreeMap<i64, Option<DayFile>>,
    /// Days used since the last checkpoint.
    touched: BTreeSet<i64>,
    most_open_bytes: usize,
}

impl Index {
    /// Opens the index in a folder that a checkpoint said holds these days. `None` when a file is absent or damaged: the
    /// index must then be made anew from the log.
    pub(crate) fn open(dir: &Path, days: &[i64]) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(dir)?;
        let sound = days.iter().all(|day| day::check(&file_of(dir, *day), *day).is_ok());
        if !sound {
            return Ok(None);
        }
        let mut index = Self::empty(dir);
        for (day, path) in list(dir)? {
            // A day begun after the checkpoint: whole, or made anew from the frames since.
            if day::check(&path, day).is_ok() {
                index.days.insert(day, None);
            } else {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(Some(index))
    }

    /// An empty index; whatever the folder held is removed.
    pub(crate) fn create(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        for (_, path) in list(dir)? {
            std::fs::remove_file(path)?;
        }
        Ok(Self::empty(dir))
    }

    fn empty(dir: &Path) -> Self {
        let (days, touched) = (BTreeMap::new(), BTreeSet::new());
        Self { dir: dir.to_path_buf(), days, touched, most_open_bytes: MOST_OPEN_BYTES }
    }

    /// What is known of a sample.
    pub(crate) fn get(&mut self, key: Key) -> io::Result<Option<Slot>> {
        if !self.days.contains_key(&key.day) {
            return Ok(None);
        }
        Ok(self.day(key.day)?.get(key.hash))
    }

    /// Notes a sample, unless a higher revision is known.
    pub(crate) fn set(&mut self, key: Key, slot: Slot) -> io::Result<()> {
        self.day(key.day)?.set(key.hash, slot)
    }

    fn day(&mut self, day: i64) -> io::Result<&mut DayFile> {
        self.touched.insert(day);
        if self.days.get(&day).is_none_or(Option::is_none) {
            self.close_some()?;
        }
        let place = self.days.entry(day).or_default();
        match place {
            Some(file) => Ok(file),
            None => Ok(place.insert(DayFile::open(&file_of(&self.dir, day), day)?)),
        }
    }

    /// Closes the oldest open tables when they take too much. What was set in it stays with the system and is made durable at
    /// the checkpoint.
    fn close_some(&mut self) -> io::Result<()> {
        let mut bytes: usize = self.days.values().flatten().map(DayFile::bytes).sum();
        for place in self.days.values_mut() {
            if bytes <= self.most_open_bytes {
                break;
            }
            if let Some(table) = place {
                table.write_back()?;
                bytes -= table.bytes();
            }
            *place = None;
        }
        Ok(())
    }

    /// Makes everything durable, forgets days too old, closes files not used of late. Returns the days that have a file.
    pub(crate) fn checkpoint(&mut self, now: Timestamp) -> io::Result<Vec<i64>> {
        for (day, file) in &mut self.days {
            match file {
                Some(open) if self.touched.contains(day) => open.flush()?,
                None if self.touched.contains(day) => File::open(file_of(&self.dir, *day))?.sync_all()?,
                _ => *file = None,
            }
        }
        let oldest = oldest_kept(now);
        let stale: Vec<i64> = self
            .days
            .range(..oldest)
            .map(|(day, _)| *day)
            .filter(|day| !self.touched.contains(day))
            .collect();
        for day in stale {
            self.days.remove(&day);
            std::fs::remove_file(file_of(&self.dir, day))?;
        }
        self.touched.clear();
        crate::disk::sync_dir(&self.dir)?;
        Ok(self.days.keys().copied().collect())
    }
}

fn file_of(dir: &Path, day: i64) -> PathBuf {
    dir.join(format!("{day}.idx"))
}

/// Index files in the folder; leftovers of an interrupted growth are removed.
fn list(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".tmp") {
            std::fs::remove_file(&path)?;
        } else if let Some(day) = name.strip_suffix(".idx").and_then(|day| day.parse().ok()) {
            found.push((day, path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn key(series: u64, minute: i64) -> Key {
        Key::of(series, minute * 60_000_000_000)
    }

    #[test]
    fn a_table_grows_and_keeps_everything() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::create(dir.path()).unwrap();
        for i in 0..20_000 {
            index.set(key(i, 1), Slot { revision: 0, crc: i as u32 }).unwrap();
        }
        let days = index.checkpoint(Timestamp::from_secs(0)).unwrap();
        drop(index);
        let mut again = Index::open(dir.path(), &days).unwrap().unwrap();
        for i in 0..20_000 {
            assert_eq!(again.get(key(i, 1)).unwrap(), Some(Slot { revision: 0, crc: i as u32 }), "{i}");
        }
        assert_eq!(again.get(key(20_000, 1)).unwrap(), None);
    }

    #[test]
    fn a_table_closed_to_save_memory_keeps_what_was_set() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::create(dir.path()).unwrap();
        index.most_open_bytes = 0;
        let keys = || (0..3000).map(|i| (key(i, (i % 5) as i64 * 1440), Slot { revision: 1, crc: i as u32 }));
        for (key, slot) in keys() {
            index.set(key, slot).unwrap();
            assert_eq!(index.days.values().flatten().count(), 1);
        }
        let days = index.checkpoint(Timestamp::from_secs(0)).unwrap();
        assert!(keys().all(|(key, slot)| index.get(key).unwrap() == Some(slot)));
        drop(index);
        let mut again = Index::open(dir.path(), &days).unwrap().unwrap();
        assert!(keys().all(|(key, slot)| again.get(key).unwrap() == Some(slot)));
    }

    #[test]
    fn an_absent_or_damaged_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::create(dir.path()).unwrap();
        index.set(key(1, 1), Slot { revision: 0, crc: 1 }).unwrap();
        let days = index.checkpoint(Timestamp::from_secs(0)).unwrap();
        let path = file_of(dir.path(), days[0]);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(Index::open(dir.path(), &days).unwrap().is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(Index::open(dir.path(), &days).unwrap().is_none());
    }

    #[test]
    fn old_days_go_once_they_rest() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::create(dir.path()).unwrap();
        index.set(key(1, 0), Slot { revision: 0, crc: 1 }).unwrap();
        let now = Timestamp::from_nanos(40 * DAY);
        assert_eq!(index.checkpoint(now).unwrap(), [0], "written to since the last checkpoint");
        assert_eq!(index.checkpoint(now).unwrap(), [0; 0]);
    }

    #[test]
    fn values_are_told_apart_and_zero_has_one_sign() {
        let half = Some(Ratio { numerator: 1.0, denominator: 2.0 });
        assert_eq!(value_crc(0.0, None), value_crc(-0.0, None));
        assert_ne!(value_crc(0.5, None), value_crc(0.5, half));
        assert_ne!(value_crc(1.0, None), value_crc(1.0 + f64::EPSILON, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_is_a_map_that_keeps_the_highest_revision(
            sets in prop::collection::vec((0u64..50, 0i64..20_000, 0u32..4, any::<u32>()), 1..300),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut index = Index::create(dir.path()).unwrap();
            let mut model: HashMap<(u64, i64), Slot> = HashMap::new();
            for (series, minute, revision, crc) in sets {
                let slot = Slot { revision, crc };
                index.set(key(series, minute), slot).unwrap();
                let known = model.entry((series, minute)).or_insert(slot);
                if known.revision <= revision {
                    *known = slot;
                }
            }
            for ((series, minute), slot) in model {
                prop_assert_eq!(index.get(key(series, minute)).unwrap(), Some(slot));
            }
        }
    }
}
