//! Reading an answer: bounded, and its failures in words.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::sources::certificate;
use crate::text::shown;
use crate::{Persistence, SourceError};

/// So much of the body of an error is shown.
const ERROR_BODY_CHARS: usize = 200;
/// A longer wait is not believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// The body of a successful answer. Never holds more than `limit` bytes of it, however long it is.
pub(crate) async fn body(mut response: Response, limit: u64) -> Result<Vec<u8>, SourceError> {
    let too_large =
        || SourceError::invalid(format!("answer is larger than {limit} bytes (max_response_bytes)"));
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let (body, complete) = read(&mut response, limit).await?;
    if complete { Ok(body) } else { Err(too_large()) }
}

async fn read(response: &mut Response, limit: u64) -> Result<(Vec<u8>, bool), SourceError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| transport(&e))? {
        let room = usize::try_from(limit).unwrap_or(usize::MAX) - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body, false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, true))
}

/// An answer that is no success.
pub(crate) struct Refusal {
    status: StatusCode,
    /// The beginning of its body.
    pub(crate) body: Vec<u8>,
    wait: Option<Duration>,
}

impl Refusal {
    /// Reads it, `limit` bytes of its body at the most.
    pub(crate) async fn read(mut response: Response, limit: u64) -> Self {
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let body = read(&mut response, limit).await.map(|(body, _)| body).unwrap_or_default();
        Self { status, body, wait }
    }

    /// Whether it is 403: we are known, but may not.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// The error, with what its body says in words; without them the body itself.
    pub(crate) fn error(&self, words: Option<String>) -> SourceError {
        let text = words.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let status = self.status;
        let message = match shown(&text, ERROR_BODY_CHARS).as_str() {
            "" => format!("HTTP {status}"),
            text => format!("HTTP {status}: {text}"),
        };
        let passes = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        let error = if passes { SourceError::transient(message) } else { SourceError::permanent(message) };
        error.retry_after(self.wait)
    }
}

/// Seconds, or a date, which is taken against the answer's own date: the clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => {
            let until = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            let now = chrono::DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
            (until - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// A failure between us and the server.
pub(super) fn transport(error: &reqwest::Error) -> SourceError {
    if let Some(message) = certificate::disbelief(error) {
        return SourceError { persistence: Persistence::Permanent, ..SourceError::unreachable(message) };
    }
    let message = model::causes(error);
    if error.is_redirect() || error.is_builder() {
        SourceError::permanent(message)
    } else if error.is_connect() || error.is_timeout() {
        SourceError::unreachable(message)
    } else {
        SourceError::transient(message)
    }
}
