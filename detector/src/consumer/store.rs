//! Snapshots on disk.
//!
//! A snapshot is one file `detector-<n>.snapshot`, n counting up, written beside and renamed, so that it is whole or
//! absent; the two newest are kept. It says up to which positions of the log the engine in it has judged. A damaged or
//! foreign one is passed over with a warning, and the one before it, or nothing, is loaded.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use model::Positions;
use serde::{Deserialize, Serialize};

use crate::snapshot::{open, seal};

const KEPT: usize = 2;

/// A snapshot as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) positions: Positions,
    pub(super) engine: Vec<u8>,
}

/// The snapshots of a folder with their numbers, newest first.
fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("detector-")?.strip_suffix(".snapshot")?.parse().ok()
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> =
        entries.filter_map(|entry| Some((number(&entry.path())?, entry.path()))).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

/// The sound snapshots, newest first.
pub(super) fn read_all(folder: &Path) -> impl Iterator<Item = Snapshot> {
    list(folder).into_iter().filter_map(|(_, path)| match read(&path) {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            tracing::warn!(path = %path.display(), error, "passing over a detector snapshot");
            None
        }
    })
}

fn read(path: &Path) -> Result<Snapshot, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    postcard::from_bytes(open(&bytes)?).map_err(|error| format!("snapshot is damaged: {error}"))
}

/// Writes a snapshot; durable when it returns. Gives its size.
pub(super) fn write(folder: &Path, snapshot: &Snapshot) -> io::Result<u64> {
    fs::create_dir_all(folder)?;
    let newest = list(folder).first().map_or(0, |(number, _)| *number);
    let path = folder.join(format!("detector-{}.snapshot", newest + 1));
    let beside = path.with_extension("tmp");
    let body = postcard::to_allocvec(snapshot).map_err(io::Error::other)?;
    let bytes = seal(body);
    let put = || {
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    // Half a snapshot would keep the space that lacks.
    put().inspect_err(|_: &io::Error| drop(fs::remove_file(&beside)))?;
    File::open(folder)?.sync_all()?;
    for (_, old) in list(folder).into_iter().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(bytes.len() as u64)
}
