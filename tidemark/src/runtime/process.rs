//! The processes of a data folder: their locks, and the notes by which commands find those that run.
//!
//! `data_dir/locks/ROLE` is locked for each role the process has (advisory, released by the system when the process
//! dies, however it dies), so that no two processes do the same work on one folder.
//! `data_dir/process.json` (0600) holds roles, address, pid and a token made anew at each start; whoever can read it may
//! change state. A process without the role `console` leaves the same as `process-ROLE.json`, by the first of its roles.
//! It is removed at a clean end and overwritten after an unclean one.

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
        // A note that stays behind is harmless: whoever reads it finds nobody at its address.
        if self.noted.load(Ordering::Relaxed) {
            let _ = fs::remove_file(self.note());
        }
    }
}

fn take_lock(folder: &Path, role: &'static str) -> Result<File, FolderError> {
    let path = folder.join("locks").join(role);
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(FolderError::InUse { path: folder.to_owned(), role, pid: noted_pid(folder, role) })
        }
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

fn noted_pid(folder: &Path, role: &str) -> String {
    let notes = read_notes(folder).into_iter();
    let mut pids = notes.filter(|note| note.roles.iter().any(|name| name == role)).map(|note| note.pid);
    pids.next().map_or_else(|| "?".to_owned(), |pid| pid.to_string())
}

/// The notes that processes left in this folder and that can be read, in the order of the data's way; a process that
/// died may have left one too.
pub(crate) fn read_notes(folder: &Path) -> Vec<ProcessNote> {
    let names = Roles::all().names().into_iter().map(|role| format!("process-{role}.json"));
    let read = |name: String| serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok();
    names.chain([NOTE.to_owned()]).filter_map(read).collect()
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
        assert!(read_notes(dir.path()).is_empty());
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
        assert_eq!(roles(read_notes(dir.path())), ["collector", "detector, notifier", "store, console"]);
        let left: Vec<_> = folders.into_iter().skip(1).collect();
        assert_eq!(roles(read_notes(dir.path())), ["detector, notifier", "store, console"]);
        drop(left);
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
