//! The demo's folder: what it keeps between two starts, and when it begins anew.
//!
//! `demo.json` marks the folder as ours and remembers seed, first live instant, whether the history is whole, and where
//! domain time stood at a clean stop. Nothing is ever deleted in a folder without that mark. A lock keeps two demos apart.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// What an old demo needs at least before its domain time meets now, in real time.
const WORTH_CONTINUING: Duration = Duration::from_secs(3_600);
const VERSION: u32 = 2;
/// What a new beginning deletes.
const FOLDERS: [&str; 1] = ["data"];
const FILES: [&str; 4] = ["shop.db", "shop.db-wal", "shop.db-shm", "tidemark.yaml"];

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// Another demo has it.
    #[error("another demo runs in {0}: stop it, or use another folder with --data-dir")]
    InUse(PathBuf),
    /// It holds something else.
    #[error("folder {0} is not empty and was not made by `tidemark demo`: use another one with --data-dir")]
    NotOurs(PathBuf),
    /// The file system refused.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

/// What is remembered between two starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    version: u32,
    /// The seed of the business.
    pub(crate) seed: u64,
    live_from_ms: i64,
    /// Whether the whole history is in the log.
    pub(crate) history_complete: bool,
    /// Domain time at the last clean stop; absent while a demo runs and after a kill.
    stopped_at_ms: Option<i64>,
}

impl Memory {
    /// The memory of a demo that begins.
    pub(crate) fn fresh(seed: u64, live_from: Timestamp) -> Self {
        let live_from_ms = live_from.as_millis();
        Self { version: VERSION, seed, live_from_ms, history_complete: false, stopped_at_ms: None }
    }

    /// First live instant.
    pub(crate) fn live_from(&self) -> Timestamp {
        Timestamp::from_millis(self.live_from_ms)
    }

    /// Domain time at the last clean stop.
    pub(crate) fn stopped_at(&self) -> Option<Timestamp> {
        self.stopped_at_ms.map(Timestamp::from_millis)
    }

    /// The same after a clean stop.
    pub(crate) fn stopped(self, at: Timestamp) -> Self {
        Self { stopped_at_ms: Some(at.as_millis()), ..self }
    }

    /// The same while running.
    pub(crate) fn running(self) -> Self {
        Self { history_complete: true, stopped_at_ms: None, ..self }
    }
}

/// The folder, ours until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder (for its owner alone) when it is not there, and locks it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(failed(path))?;
        let lock_path = path.join("demo.lock");
        let others = fs::read_dir(path).map_err(failed(path))?.filter_map(Result::ok);
        let strangers = others.filter(|entry| entry.file_name() != "demo.lock").count();
        if strangers > 0 && !path.join("demo.json").exists() {
            return Err(FolderError::NotOurs(path.to_owned()));
        }
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(FolderError::Io { path: lock_path, source }),
        }
    }

    /// A file or folder in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What the last demo here remembered, if it can be gone on with: the same seed, its history whole, and enough time
    /// left before its domain time, `latest`, meets now.
    pub(crate) fn remembered(&self, seed: u64) -> Option<Memory> {
        let memory: Memory = serde_json::from_slice(&fs::read(self.file("demo.json")).ok()?).ok()?;
        (memory.version == VERSION && memory.seed == seed && memory.history_complete).then_some(memory)
    }

    /// Whether a demo standing at `domain` may run for a while before it meets now.
    pub(crate) fn worth_continuing(domain: Timestamp, civil_now: Timestamp, speed: f64) -> bool {
        let gained = WORTH_CONTINUING.as_secs_f64() * (speed - 1.0).max(0.0);
        domain + Duration::from_secs_f64(gained) <= civil_now
    }

    /// Forgets everything and begins with this memory. The mark is written first, so that an interruption is repaired by
    /// the next start.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(crate) fn begin_anew(&self, memory: Memory) -> Result<(), FolderError> {
        self.remember(memory)?;
        for name in FOLDERS {
            ignore_missing(fs::remove_dir_all(self.file(name))).map_err(failed(&self.file(name)))?;
        }
        for name in FILES {
            ignore_missing(fs::remove_file(self.file(name))).map_err(failed(&self.file(name)))?;
        }
        Ok(())
    }

    /// Writes the memory, aside and renamed.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(crate) fn remember(&self, memory: Memory) -> Result<(), FolderError> {
        self.write("demo.json", &serde_json::to_string_pretty(&memory).unwrap_or_default())
    }

    /// Writes a file for its owner alone, aside and renamed.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let (path, aside) = (self.file(name), self.file(&format!("{name}.new")));
        let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&aside);
        io::Write::write_all(&mut file.map_err(failed(&aside))?, text.as_bytes()).map_err(failed(&aside))?;
        fs::rename(&aside, &path).map_err(failed(&path))
    }
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(1_790_040_600);

    #[test]
    fn only_a_whole_history_of_the_same_seed_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("demo")).unwrap();
        assert_eq!(folder.remembered(1), None);
        let memory = Memory::fresh(1, AT);
        folder.begin_anew(memory).unwrap();
        assert_eq!(folder.remembered(1), None);
        folder.remember(memory.running()).unwrap();
        assert_eq!(folder.remembered(1).map(|memory| memory.stopped_at()), Some(None));
        assert_eq!(folder.remembered(2), None);
        folder.remember(memory.running().stopped(AT + Duration::from_secs(9))).unwrap();
        let remembered = folder.remembered(1).unwrap();
        assert_eq!(
            (remembered.live_from(), remembered.stopped_at()),
            (AT, Some(AT + Duration::from_secs(9)))
        );
    }

    #[test]
    fn a_new_beginning_deletes_what_is_the_demo_s_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        folder.begin_anew(Memory::fresh(1, AT)).unwrap();
        fs::create_dir(folder.file("data")).unwrap();
        for name in ["shop.db", "mine.txt", "data/log"] {
            fs::write(folder.file(name), "x").unwrap();
        }
        folder.begin_anew(Memory::fresh(2, AT)).unwrap();
        assert!(!folder.file("data").exists() && !folder.file("shop.db").exists());
        assert!(folder.file("mine.txt").exists());
    }

    #[test]
    fn a_folder_of_somebody_else_and_one_in_use_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.doc"), "x").unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(FolderError::NotOurs(_))));
        let fresh = dir.path().join("fresh");
        let held = Folder::open(&fresh).unwrap();
        assert!(matches!(Folder::open(&fresh), Err(FolderError::InUse(_))));
        drop(held);
        assert!(Folder::open(&fresh).is_ok());
    }

    #[test]
    fn a_demo_about_to_meet_now_is_not_gone_on_with() {
        let hours = |n: u64| Duration::from_secs(n * 3_600);
        assert!(Folder::worth_continuing(AT - hours(60), AT, 60.0));
        assert!(!Folder::worth_continuing(AT - hours(58), AT, 60.0));
        assert!(Folder::worth_continuing(AT, AT, 1.0));
    }
}
