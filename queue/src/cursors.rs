//! Named cursors: how far each consumer is, one small file each, so that every process can commit its own and every
//! writer can see all.
//!
//! The files are the truth; what is held in memory is what was read of them last.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use model::Positions;
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
}

impl Cursor {
    /// The next offset it wants of a partition.
    pub(crate) fn next(&self, partition: &str) -> u64 {
        self.positions.as_ref().map_or(0, |positions| positions.next(partition))
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

    /// Changes one, making it when absent. Durable when it returns; on an error the old one stands.
    pub(crate) fn change(&mut self, consumer: &str, edit: impl FnOnce(&mut Cursor)) -> io::Result<()> {
        let old = self.all.get(consumer);
        let mut new =
            old.cloned().unwrap_or_else(|| Cursor { consumer: consumer.to_owned(), ..Cursor::default() });
        edit(&mut new);
        if old == Some(&new) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir)?;
        replace_file(&self.path(consumer), &serde_json::to_vec_pretty(&new)?)?;
        self.all.insert(consumer.to_owned(), new);
        Ok(())
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, consumer: &str) -> io::Result<()> {
        if self.all.remove(consumer).is_some() {
            std::fs::remove_file(self.path(consumer))?;
            crate::disk::sync_dir(&self.dir)?;
        }
        Ok(())
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
