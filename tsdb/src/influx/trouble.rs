//! What an answer that is no success means for the batch.

use std::time::Duration;

use super::http::Answer;

/// Why a request did not do.
#[derive(Debug, PartialEq)]
pub(super) enum Trouble {
    /// It may pass.
    Transient {
        /// Why.
        message: String,
        /// When the server asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// Password or token are not accepted, or may not do this.
    Denied(String),
    /// Database, retention policy or bucket are not there.
    Missing(String),
    /// The body is too large for the server.
    TooLarge(String),
    /// The server has read the request and will never take some or all of it.
    Refused(String),
}

impl Trouble {
    pub(super) fn transient(message: impl Into<String>) -> Self {
        Self::Transient { message: message.into(), retry_after: None }
    }

    /// From an answer's status and words.
    pub(super) fn of(answer: &Answer) -> Self {
        let message = format!("HTTP {}: {}", answer.status, words(&answer.body));
        let missing = ["database not found", "retention policy not found"];
        if missing.iter().any(|words| message.contains(words)) {
            return Self::Missing(message);
        }
        match answer.status {
            401 | 403 => Self::Denied(message),
            404 => Self::Missing(message),
            413 => Self::TooLarge(message),
            400 | 422 => Self::Refused(message),
            _ if message.contains("partial write") => Self::Refused(message),
            _ => Self::Transient { message, retry_after: answer.retry_after },
        }
    }

    pub(super) fn into_message(self) -> String {
        match self {
            Self::Transient { message, .. } => message,
            Self::Denied(message)
            | Self::Missing(message)
            | Self::TooLarge(message)
            | Self::Refused(message) => message,
        }
    }
}

/// The server's own words: `error` of 1.x, `message` of 2.x, or the text itself.
fn words(body: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let member = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let words = member("error").or_else(|| member("message")).unwrap_or_else(|| body.trim().to_owned());
    if words.is_empty() { "no reason given".to_owned() } else { words }
}
