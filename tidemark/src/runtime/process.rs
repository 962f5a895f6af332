//! One process a data folder: the lock, and the note by which commands find the process that runs.
//!
//! `data_dir/locks/ROLE` is locked for each role the process has (advisory, released by the system when the process
//! dies, however it dies), so that no two processes do the same work on one folder.
//! `data_dir/process.json` (0600) holds address, pid and a token made anew at each start; whoever can read it may
//! change state. It is removed at a clean end and overwritten after an unclean one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use model::Secret;
use serde::{Deserialize, Serialize};

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
}

/// A data folder that is ours until this value is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
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
        Ok(Self { path: path.to_owned(), _locks: locks, noted: AtomicBool::new(false) })
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
        };
        let (path, aside) = (self.path.join("process.json"), self.path.join("process.json.new"));
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
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // A note that stays behind is harmless: whoever reads it finds nobody at its address.
        if self.noted.load(Ordering::Relaxed) {
            let _ = fs::remove_file(self.path.join("process.json"));
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
            Err(FolderError::InUse { path: folder.to_owned(), role, pid: noted_pid(folder) })
        }
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

fn noted_pid(folder: &Path) -> String {
    read_note(folder).map_or_else(|| "?".to_owned(), |note| note.pid.to_string())
}

/// The note of the process that runs in this folder, if one left it.
pub(crate) fn read_note(folder: &Path) -> Option<ProcessNote> {
    serde_json::from_slice(&fs::read(folder.join("process.json")).ok()?).ok()
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
        assert!(read_note(dir.path()).is_none());
        assert!(DataFolder::lock(dir.path(), &["collector", "store"]).is_ok());
    }

    #[test]
    fn the_note_is_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::lock(dir.path(), &["collector", "store"]).unwrap();
        folder.leave_note("127.0.0.1:1", &Secret::new("t")).unwrap();
        let mode = fs::metadata(dir.path().join("process.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
