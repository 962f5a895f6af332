//! From a file to text: bounded, UTF-8, without a byte-order mark.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::finding::{Finding, Place};

/// Largest configuration that is read.
const MAX_BYTES: u64 = 8 << 20;

/// The text of a configuration file.
///
/// # Errors
/// One finding: the file cannot be read, is too large or is no UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, Finding> {
    let refused = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::NotFound { "; `tidemark init` writes one" } else { "" };
        Finding::error(Place::START, format!("cannot read the file: {}{hint}", say(&error)))
    };
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    decode(&bytes)
}

/// The text of these bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, Finding> {
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("file is larger than {} MiB", MAX_BYTES >> 20);
        return Err(Finding::error(Place::START, message));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Finding::error(Place::START, "file is UTF-16: save it as UTF-8"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text).to_owned()),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
            let message = format!("byte 0x{byte:02X} is not UTF-8: save the file as UTF-8");
            Err(Finding::error(Place { line, column }, message))
        }
    }
}

/// The system's word without its number, where there is a plainer one.
pub(crate) fn say(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
