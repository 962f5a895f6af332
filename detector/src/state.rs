//! How state becomes bytes: a version, then postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state with its version in front. Types kept here are plain data and always encode; should one not, the bytes are
/// empty and loading them starts anew.
pub fn save<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![version]).unwrap_or_default()
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// When the bytes are of another version, damaged or too long.
pub fn load<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, String> {
    let (found, rest) = bytes.split_first().ok_or("state is empty")?;
    if *found != version {
        return Err(format!("state is of version {found}, this is version {version}"));
    }
    let (value, rest) =
        postcard::take_from_bytes(rest).map_err(|error| format!("state is damaged: {error}"))?;
    if rest.is_empty() { Ok(value) } else { Err("state is damaged: it is too long".into()) }
}
