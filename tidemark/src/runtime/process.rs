//! The processes of a data folder: their locks, and the notes by which commands find those that run.
//!
//! `data_dir/locks/ROLE` is locked for each role the process has (advisory, released by the system when the process
//! dies, however it dies), so that no two processes do the same work on one folder.
//! `data_dir/process.json` (0600) holds roles, address, pid and a token made anew at each start; whoever can read it may
//! change state. A process without the role `console` leaves the same as `process-ROLE.json`, by the first of its roles.
//! It is removed at a clean end. After an unclean one it counts for nothing: a process holds the locks of all its roles
//! for life, so a note is worth as much as they are held (a process number is given out again, and in every container
//! from 1), and whoever takes a lock removes the notes that claim its role.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use model::Secret;
use serde::{Deserialize, Serialize};

use super::Roles;
use crate::cli::Role;

/// Name of the note of a process with every role, or with the console.
const NOTE: &str = "process.json";

/// Why a process could not take its folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// Another process has it.
    #[error(
        "data folder {path} has a {role} already, process {pid}: stop it first, or set another `data_dir`"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The role that is taken.
        role: &'static str,
        /// The other process, `?` when it left no note.
        pid: String,
    },
    /// The file system refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { operation, path, source }
}

/// What commands need to talk to the process that runs. Has no `Debug`, since it holds the token.
#[derive(Serialize, Deserialize)]
pub(crate) struct ProcessNote {
    /// Its process number.
    pub(crate) pid: u32,
    /// Where it listens, such as `127.0.0.1:9900`.
    pub(crate) address: String,
    /// Bearer token for what changes state.
    pub(crate) token: String,
    /// Names of its roles.
    pub(crate) roles: Vec<String>,
}

impl ProcessNote {
    /// Whether the process has this role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|name| name == role.as_str())
    }

    /// Its roles, for people: `collector, store`.
    pub(crate) fn roles_in_words(&self) -> String {
        self.roles.join(", ")
    }
}

/// A data folder that is ours until this value is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    roles: Vec<&'static str>,
    _locks: Vec<File>,
    noted: AtomicBool,
}

impl DataFolder {
    /// Makes the folder (0700) when it is not there and takes the locks of these roles.
    ///
    /// # Errors
    /// [`FolderError::InUse`] when another process has one; [`FolderError::Io`] otherwise.
    pub(crate) fn lock(path: &Path, roles: &[&'static str]) -> Result<Self, FolderError> {
        let folder = path.join("locks");
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder).map_err(io_error("create data folder", path))?;
        let locks = roles.iter().map(|role| take_lock(path, role)).collect::<Result<_, _>>()?;
        remove_notes_of_the_dead(path, roles);
        let (path, roles) = (path.to_owned(), roles.to_vec());
        Ok(Self { path, roles, _locks: locks, noted: AtomicBool::new(false) })
    }

    /// Leaves the note for commands. Written aside and renamed, so that nobody reads half of it.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(crate) fn leave_note(&self, address: &str, token: &Secret) -> Result<(), FolderError> {
        let note = ProcessNote {
            pid: std::process::id(),
            address: address.to_owned(),
            token: token.expose().to_owned(),
            roles: self.roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        let path = self.note();
        let aside = path.with_extension("json.new");
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&aside)
            .map_err(io_error("write", &aside))?;
        let text = serde_json::to_string_pretty(&note).unwrap_or_default();
        file.write_all(text.as_bytes()).map_err(io_error("write", &aside))?;
        fs::rename(&aside, &path).map_err(io_error("write", &path))?;
        self.noted.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn note(&self) -> PathBuf {
        let console = Role::Console.as_str();
        let first = self.roles.first().filter(|_| !self.roles.contains(&console));
        self.path.join(first.map_or_else(|| NOTE.to_owned(), |role| format!("process-{role}.json")))
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // A note that stays behind is harmless: nobody holds its locks.
        if self.noted.load(Ordering::Relaxed) {
            let _ = fs::remove_file(self.note());
        }
    }
}

/// How often a lock is asked for while others only look whether it is held.
const TRIES: usize = 1000;

fn take_lock(folder: &Path, role: &'static str) -> Result<File, FolderError> {
    let path = lock_of(folder, role);
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let file = options.open(&path).map_err(io_error("open", &path))?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
            // Who looks whether a lock is held shares it for a moment; who has the role does not share it.
            Err(TryLockError::WouldBlock) if file.try_lock_shared().is_err() => break,
            Err(TryLockError::WouldBlock) => file.unlock().map_err(io_error("lock", &path))?,
        }
        std::thread::yield_now();
    }
    Err(FolderError::InUse { path: folder.to_owned(), role, pid: noted_pid(folder, role) })
}

fn lock_of(folder: &Path, role: &str) -> PathBuf {
    folder.join("locks").join(role)
}

/// Whether some process has this role now.
fn is_held(folder: &Path, role: &str) -> bool {
    match File::open(lock_of(folder, role)) {
        Ok(file) => file.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The notes that claim a role of these, whose locks are ours: who left them is dead.
fn remove_notes_of_the_dead(folder: &Path, ours: &[&str]) {
    for (path, note) in notes(folder) {
        if note.roles.iter().any(|role| ours.contains(&role.as_str()))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, note = %path.display(), "commands will still ask a process that died");
        }
    }
}

fn noted_pid(folder: &Path, role: &str) -> String {
    let mut notes = notes(folder).map(|(_, note)| note);
    let note = notes.find(|note| note.roles.iter().any(|name| name == role));
    note.map_or_else(|| "?".to_owned(), |note| note.pid.to_string())
}

/// The notes of the processes that run on this folder, in the order of the data's way.
pub(crate) fn running(folder: &Path) -> Vec<ProcessNote> {
    let lives = |note: &ProcessNote| {
        let known = Roles::all().names();
        let mut roles = note.roles.iter();
        !note.roles.is_empty() && roles.all(|role| known.contains(&role.as_str()) && is_held(folder, role))
    };
    notes(folder).map(|(_, note)| note).filter(lives).collect()
}

/// Every note that can be read, also of processes that died, in the order of the data's way.
fn notes(folder: &Path) -> impl Iterator<Item = (PathBuf, ProcessNote)> {
    let names = Roles::all().names().into_iter().map(|role| format!("process-{role}.json"));
    let paths = names.chain([NOTE.to_owned()]).map(|name| folder.join(name));
    let read = |path: PathBuf| {
        let note = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        Some((path, note))
    };
    paths.collect::<Vec<_>>().into_iter().filter_map(read)
}

/// A fresh random token, 32 hex digits.
pub(crate) fn fresh_token() -> Secret {
    Secret::new(format!("{:032x}", rand::random::<u128>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_one_process_s_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::lock(dir.path(), &["collector", "store"]).unwrap();
        first.leave_note("127.0.0.1:1", &Secret::new("t")).unwrap();
        let refused = DataFolder::lock(dir.path(), &["collector", "store"]).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("has a collector already, process {}", std::process::id())),
            "{refused}"
        );
        assert!(DataFolder::lock(dir.path(), &["detector"]).is_ok());
        drop(first);
        assert!(running(dir.path()).is_empty());
        assert!(DataFolder::lock(dir.path(), &["collector", "store"]).is_ok());
    }

    #[test]
    fn each_process_of_a_folder_leaves_its_own_note() {
        let dir = tempfile::tempdir().unwrap();
        let split: [&[&str]; 3] = [&["collector"], &["store", "console"], &["detector", "notifier"]];
        let folders: Vec<_> =
            split.iter().map(|roles| DataFolder::lock(dir.path(), roles).unwrap()).collect();
        folders.iter().for_each(|folder| folder.leave_note("127.0.0.1:1", &Secret::new("t")).unwrap());
        let roles =
            |notes: Vec<ProcessNote>| notes.iter().map(ProcessNote::roles_in_words).collect::<Vec<_>>();
        assert_eq!(roles(running(dir.path())), ["collector", "detector, notifier", "store, console"]);
        let left: Vec<_> = folders.into_iter().skip(1).collect();
        assert_eq!(roles(running(dir.path())), ["detector, notifier", "store, console"]);
        drop(left);
    }

    /// As if a process with these roles had been killed; its number is in use again.
    fn note_of_the_dead(dir: &Path, name: &str, roles: &[&str]) {
        let (pid, roles) = (std::process::id(), roles.iter().map(|role| (*role).to_owned()).collect());
        let note = ProcessNote { pid, address: "127.0.0.1:1".into(), token: "t".into(), roles };
        fs::write(dir.join(name), serde_json::to_vec(&note).unwrap()).unwrap();
    }

    #[test]
    fn a_note_of_the_dead_counts_for_nothing_though_its_process_number_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        note_of_the_dead(dir.path(), "process-detector.json", &["detector", "notifier"]);
        assert!(running(dir.path()).is_empty(), "nobody ever held its locks");
        let other = DataFolder::lock(dir.path(), &["collector"]).unwrap();
        other.leave_note("127.0.0.1:2", &Secret::new("t")).unwrap();
        let addresses = || running(dir.path()).into_iter().map(|note| note.address).collect::<Vec<_>>();
        assert_eq!(addresses(), ["127.0.0.1:2"]);
        assert!(dir.path().join("process-detector.json").exists(), "not for the collector to remove");

        // Another has one of its roles, under a name of its own.
        let heir = DataFolder::lock(dir.path(), &["store", "notifier", "console"]).unwrap();
        assert!(!dir.path().join("process-detector.json").exists());
        heir.leave_note("127.0.0.1:3", &Secret::new("t")).unwrap();
        let _detector = DataFolder::lock(dir.path(), &["detector"]).unwrap();
        assert_eq!(addresses(), ["127.0.0.1:2", "127.0.0.1:3"]);
    }

    #[test]
    fn who_looks_whether_a_role_is_held_does_not_keep_another_from_taking_it() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataFolder::lock(dir.path(), &["store"]).unwrap());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    is_held(dir.path(), "store");
                }
            });
            let taken: Vec<_> =
                (0..200).map(|_| DataFolder::lock(dir.path(), &["store"]).map(drop)).collect();
            stop.store(true, Ordering::Relaxed);
            assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        });
    }

    #[test]
    fn the_note_is_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::lock(dir.path(), &["collector", "store"]).unwrap();
        folder.leave_note("127.0.0.1:1", &Secret::new("t")).unwrap();
        let mode = fs::metadata(dir.path().join("process-collector.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
