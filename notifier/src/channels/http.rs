//! What channels over HTTP have in common: a client, bounded answers, and what a failure means.

use std::sync::Once;
use std::time::Duration;

use chrono::DateTime;
use model::{Clock, Timestamp};
use reqwest::header::HeaderMap;
use reqwest::{ClientBuilder, Response};

use super::one_line;
use crate::channel::Outcome;

/// A client that uses no proxy of the environment and says who it is. Redirects are the caller's to decide.
pub(super) fn client(connect_timeout: Duration) -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another part of the process may have chosen a provider already; either is good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(connect_timeout)
        .user_agent(concat!("Tidemark/", env!("CARGO_PKG_VERSION")))
}

/// Host and port: all of an address that is ever shown.
pub(super) fn host(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a request that got no answer has become: before a connection stood, nothing left.
pub(super) fn failure(host: &str, error: reqwest::Error) -> Outcome {
    let (building, connecting) = (error.is_builder(), error.is_connect());
    let message = format!("{host}: {}", one_line(&error.without_url()));
    match (building, connecting) {
        (true, _) => Outcome::Permanent { message },
        (false, true) => Outcome::Transient { retry_after: None, message },
        (false, false) => Outcome::Unknown { message },
    }
}

/// The text of an answer up to a limit, control characters made spaces. What breaks off is what came until then.
pub(super) async fn bounded_text(mut response: Response, limit_bytes: usize) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= limit_bytes {
            bytes.truncate(limit_bytes);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).replace(|c: char| c.is_control(), " ")
}

/// The instant of a header that holds an HTTP date.
pub(super) fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    Some(Timestamp::from_datetime(&DateTime::parse_from_rfc2822(value).ok()?))
}

/// `Retry-After`: seconds or an HTTP date.
pub(super) fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    Some(date(headers, "retry-after")?.since(clock.civil_now()))
}
