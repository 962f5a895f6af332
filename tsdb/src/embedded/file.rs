//! The file: tables, opening, and staying usable after the disk failed.
//!
//! One process has it open for writing (a lock on the file). Each commit is one transaction with fsync; after a crash
//! the last commit stands. Readers see a snapshot and block nobody.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageError,
    TableDefinition, WriteTransaction,
};

/// (series, UTC day, part) -> chunk. Parts of a day are in order of writing: later ones win.
pub(super) const CHUNKS: TableDefinition<'static, (u32, i32, u32), &[u8]> = TableDefinition::new("chunks");
/// Series -> (measurement, tags as length-prefixed names and values).
pub(super) const SERIES: TableDefinition<'static, u32, (u8, &[u8])> = TableDefinition::new("series");
/// Field -> (measurement, type, name).
pub(super) const FIELDS: TableDefinition<'static, u16, (u8, u8, &str)> = TableDefinition::new("fields");
/// Partition of the log -> offset of the next frame the store wants.
pub(super) const POSITIONS: TableDefinition<'static, &str, u64> = TableDefinition::new("positions");
/// `format` -> version of the file's layout.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// Version of the file's layout.
pub(super) const FORMAT: u64 = 1;

/// Why the file could not be used; a sentence that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct FileError(pub(super) String);

enum Handle {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
}

/// How the database is opened; a test puts a failing disk here.
pub(super) type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

/// The store's file.
pub(super) struct File {
    path: PathBuf,
    opener: Option<Opener>,
    /// `None` after the disk failed and opening again failed too.
    handle: RwLock<Option<Handle>>,
    /// The disk failed: the file must be opened again before it is written.
    suspect: AtomicBool,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl File {
    /// Opens for writing; creates the file when absent.
    pub(super) fn open(path: PathBuf, opener: Opener) -> Result<Self, FileError> {
        let handle = guarded(&path, || opener(&path).map(Handle::Writable))?;
        let file = Self {
            path,
            opener: Some(opener),
            handle: RwLock::new(Some(handle)),
            suspect: AtomicBool::new(false),
        };
        file.prepare()?;
        Ok(file)
    }

    /// Opens for reading. A file whose writer was killed is first brought to its last commit, which writes to it.
    pub(super) fn open_read_only(path: PathBuf, cache_bytes: usize) -> Result<Self, FileError> {
        if !path.exists() {
            return Err(FileError(format!("there is no store at {}", path.display())));
        }
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes);
        let open = || match builder.open_read_only(&path) {
            Err(DatabaseError::RepairAborted) => {
                builder.open(&path)?.close()?;
                builder.open_read_only(&path)
            }
            opened => opened,
        };
        let handle = guarded(&path, || open().map(Handle::ReadOnly))?;
        let (handle, suspect) = (RwLock::new(Some(handle)), AtomicBool::new(false));
        let file = Self { path, opener: None, handle, suspect };
        file.check_format()?;
        Ok(file)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.opener.is_none()
    }

    /// Reads a snapshot.
    pub(super) fn read<R>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, FileError> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        let transaction = match handle.as_ref() {
            Some(Handle::Writable(db)) => db.begin_read(),
            Some(Handle::ReadOnly(db)) => db.begin_read(),
            None => return Err(self.failed("the disk failed before and the file is not open")),
        };
        let done = transaction.map_err(redb::Error::from).and_then(|transaction| read(&transaction));
        done.map_err(|error| self.failed(error))
    }

    /// Writes in one transaction, which is durable when this returns.
    pub(super) fn write<R>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, FileError> {
        self.reopen_if_suspect()?;
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Handle::Writable(db)) = handle.as_ref() else {
            return Err(self.failed("it is open for reading only"));
        };
        let done = commit(db, write);
        done.map_err(|error| {
            self.suspect.store(true, Ordering::Release);
            self.failed(error)
        })
    }

    /// After a failed write the library refuses everything until the file is opened again. Waits for readers.
    fn reopen_if_suspect(&self) -> Result<(), FileError> {
        let Some(opener) = self.opener.as_ref().filter(|_| self.suspect.load(Ordering::Acquire)) else {
            return Ok(());
        };
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        drop(handle.take());
        *handle = Some(guarded(&self.path, || opener(&self.path).map(Handle::Writable))?);
        self.suspect.store(false, Ordering::Release);
        Ok(())
    }

    /// Creates the tables of a new file and refuses one of another format.
    fn prepare(&self) -> Result<(), FileError> {
        let fresh = self.read(|transaction| Ok(transaction.list_tables()?.next().is_none()))?;
        if !fresh {
            return self.check_format();
        }
        self.write(|transaction| {
            transaction.open_table(CHUNKS)?;
            transaction.open_table(SERIES)?;
            transaction.open_table(FIELDS)?;
            transaction.open_table(POSITIONS)?;
            transaction.open_table(META)?.insert("format", FORMAT)?;
            Ok(())
        })
    }

    fn check_format(&self) -> Result<(), FileError> {
        let format = self.read(|transaction| {
            let table = transaction.open_table(META)?;
            Ok(table.get("format")?.map(|value| value.value()))
        })?;
        match format {
            Some(FORMAT) => Ok(()),
            Some(other) => Err(self.failed(format!(
                "its format is {other}, this Tidemark reads {FORMAT}: use the Tidemark that wrote it"
            ))),
            None => Err(self.failed("it does not say its format: it is no store of Tidemark")),
        }
    }

    /// An error that names the file.
    pub(super) fn failed(&self, what: impl fmt::Display) -> FileError {
        FileError(format!("{}: {what}", self.path.display()))
    }
}

fn commit<R>(
    db: &Database,
    write: impl FnOnce(&WriteTransaction) -> Result<R, redb::Error>,
) -> Result<R, redb::Error> {
    let mut transaction = db.begin_write()?;
    // Costs a little at each commit, and saves a walk through the whole file when it is opened after a crash.
    transaction.set_quick_repair(true);
    let done = write(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// How the message of a file ends that a process works on.
pub(super) const IN_USE: &str = "is open in another process";

/// Opens and turns every failure, a panic over damaged bytes too, into a sentence that names the file and what to do.
fn guarded(path: &Path, open: impl FnOnce() -> Result<Handle, DatabaseError>) -> Result<Handle, FileError> {
    let shown = path.display();
    let damaged = |what: String| {
        FileError(format!(
            "{shown} is damaged ({what}): move it away and start again; what the log still holds is taken in anew"
        ))
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(FileError(format!("{shown} {IN_USE}"))),
        Ok(Err(DatabaseError::Storage(StorageError::Corrupted(what)))) => Err(damaged(what)),
        Ok(Err(DatabaseError::Storage(StorageError::Io(error))))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            Err(damaged(error.to_string()))
        }
        Ok(Err(error)) => Err(FileError(format!("{shown}: {error}"))),
        Err(_) => Err(damaged("its pages contradict one another".to_owned())),
    }
}
