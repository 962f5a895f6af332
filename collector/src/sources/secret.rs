//! Secrets of sources: read where they are used, and kept out of what is told.

use model::Secret;

use crate::SourceError;

/// A larger secret file is an error.
const MAX_BYTES: usize = 64 << 10;

/// The secret as it stands or in its file, which is read now, so that it may be rotated. A line end after it is no part
/// of it.
pub(super) async fn read(direct: Option<&Secret>, file: Option<&str>) -> Result<Option<String>, SourceError> {
    match (direct, file) {
        (Some(secret), _) => Ok(Some(secret.expose().to_owned())),
        (None, None) => Ok(None),
        (None, Some(file)) => {
            let text = tokio::fs::read_to_string(file)
                .await
                .map_err(|e| SourceError::permanent(format!("cannot read the secret file {file}: {e}")))?;
            if text.len() > MAX_BYTES {
                let message = format!("secret file {file} is larger than {MAX_BYTES} bytes");
                return Err(SourceError::permanent(message));
            }
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
    }
}

/// Takes secrets out of what a server sent back.
pub(super) fn redact(message: String, secrets: &[String]) -> String {
    let worth = secrets.iter().filter(|secret| secret.len() >= 4);
    worth.fold(message, |message, secret| message.replace(secret.as_str(), "<secret>"))
}
