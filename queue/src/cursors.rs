//! Named cursors: how far each consumer is, one small file each, so that every process can commit its own and every
//! writer can see all.
//!
//! The files are the truth; what is held in memory is what was read of them last. A change reads the file again under a
//! lock that all processes share, so that none takes back what another wrote: a consumer moves its own positions while
//! the writer of a partition marks it incomplete.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use model::{Missed, Positions, Released, TimeRange};
use serde::{Deserialize, Serialize};

use crate::ConsumerKind;
use crate::disk::replace_file;

/// A consumer's cursor, as its file holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Its name.
    pub(crate) consumer: String,
    /// What retention may do to it.
    #[serde(default)]
    pub(crate) kind: ConsumerKind,
    /// The next offsets it wants; `None` when it was registered and never committed.
    #[serde(default)]
    pub(crate) positions: Option<Positions>,
    /// Bytes released before it read them.
    #[serde(default)]
    pub(crate) missed_bytes: u64,
    /// Times of the points in them; absent while they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missed_span: Option<TimeRange>,
    /// Where the released bytes were that were noted and that it has not passed.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(crate) noted: Released,
}

fn is_nothing(released: &Released) -> bool {
    released.0.is_empty()
}

impl Cursor {
    /// The next offset it wants of a partition.
    pub(crate) fn next(&self, partition: &str) -> u64 {
        self.positions.as_ref().map_or(0, |positions| positions.next(partition))
    }

    /// Moves it to these positions.
    pub(crate) fn go(&mut self, positions: Positions) {
        self.noted.forget(&positions);
        self.positions = Some(positions);
    }

    /// What it missed; `None` when it has everything.
    pub(crate) fn missed(&self) -> Option<Missed> {
        (self.missed_bytes > 0).then_some(Missed { bytes: self.missed_bytes, span: self.missed_span })
    }

    /// Sets what it missed.
    pub(crate) fn set_missed(&mut self, missed: Option<Missed>) {
        self.missed_bytes = missed.map_or(0, |missed| missed.bytes);
        self.missed_span = missed.and_then(|missed| missed.span);
    }

    /// Adds to what it missed.
    pub(crate) fn miss(&mut self, missed: Missed) {
        let all = self.missed().map_or(missed, |before| before.and(missed));
        self.set_missed(Some(all));
    }
}

/// All cursors of a folder.
#[derive(Debug)]
pub(crate) struct Cursors {
    dir: PathBuf,
    all: BTreeMap<String, Cursor>,
}

impl Cursors {
    /// Reads the cursors of a log folder.
    pub(crate) fn open(log_dir: &Path) -> io::Result<Self> {
        let mut cursors = Self { dir: log_dir.join("cursors"), all: BTreeMap::new() };
        cursors.reload()?;
        Ok(cursors)
    }

    /// Reads them again: other processes commit too.
    pub(crate) fn reload(&mut self) -> io::Result<()> {
        let mut all = BTreeMap::new();
        let listing = match std::fs::read_dir(&self.dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in listing {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let Some(cursor) = read(&path)? else { continue };
                all.insert(cursor.consumer.clone(), cursor);
            }
        }
        self.all = all;
        Ok(())
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cursor> {
        self.all.values()
    }

    /// One of them.
    pub(crate) fn get(&self, consumer: &str) -> Option<&Cursor> {
        self.all.get(consumer)
    }

    /// Changes one as its file has it, making it when absent. Durable when it returns; on an error the old one stands.
    pub(crate) fn change(&mut self, consumer: &str, edit: impl FnOnce(&mut Cursor)) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let _alone = self.lock()?;
        let path = self.path(consumer);
        let old = read(&path)?;
        let mut new =
            old.clone().unwrap_or_else(|| Cursor { consumer: consumer.to_owned(), ..Cursor::default() });
        edit(&mut new);
        if old.as_ref() != Some(&new) {
            replace_file(&path, &serde_json::to_vec_pretty(&new)?)?;
        }
        self.all.insert(consumer.to_owned(), new);
        Ok(())
    }

    /// One of them as its file has it now.
    pub(crate) fn fresh(&mut self, consumer: &str) -> io::Result<Option<&Cursor>> {
        match read(&self.path(consumer))? {
            Some(cursor) => {
                self.all.insert(consumer.to_owned(), cursor);
            }
            None => {
                self.all.remove(consumer);
            }
        }
        Ok(self.all.get(consumer))
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, consumer: &str) -> io::Result<()> {
        if self.all.remove(consumer).is_some() {
            let _alone = self.lock()?;
            std::fs::remove_file(self.path(consumer))?;
            crate::disk::sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Waits until no other process changes a cursor; given back when dropped. Held for one small write.
    fn lock(&self) -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(self.dir.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// The file of a consumer.
    pub(crate) fn path(&self, consumer: &str) -> PathBuf {
        let mut name = String::new();
        for byte in consumer.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
                name.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(name, "%{byte:02x}");
            }
        }
        self.dir.join(name + ".json")
    }
}

/// Reads one cursor; `None` when another process took it away this moment.
fn read(path: &Path) -> io::Result<Option<Cursor>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let wrong = |error| {
        let words = format!("{} is not a cursor: {error}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, words)
    };
    serde_json::from_slice(&bytes).map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    #[test]
    fn a_cursor_reads_back_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursors = Cursors::open(dir.path()).unwrap();
        let positions = Positions([("collector".into(), 77)].into());
        for name in ["detector", "replica/a b", "../x", "名"] {
            cursors.change(name, |cursor| cursor.positions = Some(positions.clone())).unwrap();
        }
        let mut again = Cursors::open(dir.path()).unwrap();
        assert_eq!(again.iter().count(), 4);
        assert_eq!(again.get("../x").unwrap().next("collector"), 77);
        assert_eq!(again.get("../x").unwrap().next("detector"), 0);
        again.remove("../x").unwrap();
        cursors.reload().unwrap();
        assert!(cursors.get("../x").is_none());
    }

    #[test]
    fn what_one_process_writes_no_other_takes_back() {
        let dir = tempfile::tempdir().unwrap();
        let span = TimeRange { start: Timestamp::from_secs(1), end: Timestamp::from_secs(2) };
        let mut store = Cursors::open(dir.path()).unwrap();
        store.change("replica/a", |_| ()).unwrap();
        let mut collector = Cursors::open(dir.path()).unwrap();
        collector.change("replica/a", |cursor| cursor.miss(Missed { bytes: 7, span: Some(span) })).unwrap();
        let positions = Positions([("collector".into(), 77)].into());
        store.change("replica/a", |cursor| cursor.positions = Some(positions.clone())).unwrap();
        collector.change("replica/a", |cursor| cursor.miss(Missed { bytes: 1, span: Some(span) })).unwrap();
        let both = store.fresh("replica/a").unwrap().unwrap();
        assert_eq!(both.missed(), Some(Missed { bytes: 8, span: Some(span) }));
        assert_eq!(both.next("collector"), 77);
    }

    #[test]
    fn a_span_that_is_not_known_stays_so() {
        let span = Some(TimeRange { start: Timestamp::from_secs(1), end: Timestamp::from_secs(2) });
        let mut cursor = Cursor { missed_bytes: 5, ..Cursor::default() };
        cursor.miss(Missed { bytes: 1, span });
        assert_eq!(cursor.missed(), Some(Missed { bytes: 6, span: None }));
        cursor.set_missed(None);
        assert_eq!(cursor.missed(), None);
    }

    #[test]
    fn a_damaged_cursor_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursors = Cursors::open(dir.path()).unwrap();
        cursors.change("a", |_| ()).unwrap();
        cursors.change("a", |cursor| cursor.missed_bytes = 1).unwrap();
        std::fs::write(cursors.path("a"), "{").unwrap();
        let error = cursors.reload().unwrap_err().to_string();
        assert!(error.contains("a.json is not a cursor"), "{error}");
    }
}
