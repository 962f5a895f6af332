//! Values that must never be seen.

use std::fmt;
use std::io::{self, Read};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A file of a secret is no larger than this.
const MAX_FILE_BYTES: usize = 64 << 10;

/// Why a file gave no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The system refused.
    #[error("cannot read the secret file {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Its word.
        source: io::Error,
    },
    /// It holds more than a secret.
    #[error("secret file {path} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// It holds bytes that are no text.
    #[error("secret file {path} is not UTF-8")]
    NotText {
        /// The file.
        path: String,
    },
    /// It holds nothing, or blanks alone.
    #[error("secret file {path} holds nothing")]
    Empty {
        /// The file.
        path: String,
    },
}

/// A password, token or key. `Debug`, `Display` and serialisation show `<secret>`; only [`Secret::expose`] gives it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret of a pair of keys `x` and `x_file`: as it is given, else what its file holds, which `open` opens (as
    /// `std::fs::File::open` does). Line ends after a file's content are no part of it; anything else is, spaces too.
    /// `None` when neither is given.
    ///
    /// # Errors
    /// [`SecretFileError`], which names the file.
    pub fn given_or_in<R: Read>(
        given: Option<&Self>,
        file: Option<&str>,
        open: impl FnOnce(&str) -> io::Result<R>,
    ) -> Result<Option<Self>, SecretFileError> {
        let (None, Some(path)) = (given, file) else { return Ok(given.cloned()) };
        let path = || path.to_owned();
        let mut bytes = Vec::new();
        open(&path())
            .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|source| SecretFileError::Read { path: path(), source })?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(SecretFileError::TooLarge { path: path() });
        }
        let text = String::from_utf8(bytes).map_err(|_| SecretFileError::NotText { path: path() })?;
        match text.trim_end_matches(['\r', '\n']) {
            blank if blank.trim().is_empty() => Err(SecretFileError::Empty { path: path() }),
            text => Ok(Some(Self::new(text))),
        }
    }

    /// The text itself. Call it where it is handed to a provider and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_content_without_its_line_ends_is_the_secret() {
        let large = "x".repeat(MAX_FILE_BYTES + 1);
        let table: [(&[u8], &str); 8] = [
            (b"hunter2", "hunter2"),
            (b"hunter2\n", "hunter2"),
            (b" hunter 2 \r\n\n", " hunter 2 "),
            (b"a\nb\n", "a\nb"),
            (b"", "secret file /s holds nothing"),
            (b" \r\n\n", "secret file /s holds nothing"),
            (b"\xff", "secret file /s is not UTF-8"),
            (large.as_bytes(), "secret file /s is larger than 65536 bytes"),
        ];
        for (bytes, expected) in table {
            let read = Secret::given_or_in(None, Some("/s"), |_| Ok(bytes));
            let said =
                read.map(|secret| secret.unwrap().expose().to_owned()).unwrap_or_else(|e| e.to_string());
            assert_eq!(said, expected);
        }
        let nobody = |_: &str| -> io::Result<&[u8]> { Err(io::ErrorKind::NotFound.into()) };
        let error = Secret::given_or_in(None, Some("/none"), nobody).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the secret file /none: entity not found");
        let given = Secret::new("given");
        assert_eq!(Secret::given_or_in(Some(&given), Some("/none"), nobody).unwrap(), Some(given));
        assert_eq!(Secret::given_or_in(None, None, nobody).unwrap(), None);
    }

    #[test]
    fn a_secret_is_not_shown_by_any_formatter() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
