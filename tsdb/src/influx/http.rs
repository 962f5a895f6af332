//! Requests through reqwest: deadline, bounded answers, `Retry-After`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use model::{Clock, Timestamp, TlsConfig, causes};
use reqwest::header::{CONTENT_ENCODING, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use url::Url;

use super::config::ContentEncoding;
use super::trouble::Trouble;

/// More of an answer that is no success is not read.
const MAX_WORDS: usize = 256 << 10;
/// A server may ask for no longer pause.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// An answer in words.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

/// A server's address and how it is spoken to.
pub(super) struct Http {
    client: Client,
    pub(super) base: Url,
    encoding: ContentEncoding,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Http {
    /// Makes the client; reads the certificate file, connects to nothing.
    pub(super) fn new(
        url: &str,
        tls: &TlsConfig,
        encoding: ContentEncoding,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race means that another one is installed: as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let base = Url::parse(url).map_err(|error| format!("`{url}` is no address: {error}"))?;
        let mut builder = Client::builder()
            .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(timeout)
            .gzip(encoding == ContentEncoding::Gzip)
            .tls_danger_accept_invalid_certs(tls.insecure_skip_verify)
            .no_proxy();
        if let Some(file) = &tls.ca_file {
            let pem = std::fs::read(file).map_err(|e| format!("cannot read ca_file {file}: {e}"))?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|e| format!("ca_file {file} is no PEM bundle: {e}"))?;
            builder = builder.tls_certs_merge(certificates);
        } else if base.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| format!("cannot make an HTTP client: {}", causes(&e)))?;
        Ok(Self { client, base, encoding, timeout, clock })
    }

    /// A request below the server's address.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        self.client.request(method, url)
    }

    /// A body of lines, packed when so configured.
    pub(super) fn with_lines(
        &self,
        request: RequestBuilder,
        lines: String,
    ) -> Result<RequestBuilder, Trouble> {
        match self.encoding {
            ContentEncoding::Identity => Ok(request.body(lines)),
            ContentEncoding::Gzip => {
                let mut packed = GzEncoder::new(Vec::with_capacity(lines.len() / 8), Compression::fast());
                let done = packed.write_all(lines.as_bytes()).and_then(|()| packed.finish());
                let body =
                    done.map_err(|error| Trouble::transient(format!("cannot pack the lines: {error}")))?;
                Ok(request.header(CONTENT_ENCODING, "gzip").body(body))
            }
        }
    }

    /// Sends a request; a success is handed on unread.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let response = self.within(request.send()).await?.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let answer = self.within(self.answer(response)).await??;
        Err(Trouble::of(&answer))
    }

    /// Sends a request and reads the whole of a short answer.
    pub(super) async fn send_short(&self, request: RequestBuilder) -> Result<String, Trouble> {
        let response = self.send(request).await?;
        Ok(self.within(self.answer(response)).await??.body)
    }

    /// The future's value, unless the deadline comes first.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        within(&*self.clock, self.timeout, work).await
    }

    async fn answer(&self, response: Response) -> Result<Answer, Trouble> {
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|text| pause(text, self.clock.civil_now()));
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(broken)?;
            body.extend_from_slice(&chunk[..chunk.len().min(MAX_WORDS - body.len())]);
            if body.len() == MAX_WORDS {
                break;
            }
        }
        Ok(Answer { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// The connection failed; where is told elsewhere.
fn broken(error: reqwest::Error) -> Trouble {
    Trouble::transient(causes(&error.without_url()))
}

/// The future's value, unless the deadline in monotonic time comes first.
pub(super) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Trouble> {
    tokio::select! {
        biased;
        value = work => Ok(value),
        () = clock.sleep(limit) => {
            Err(Trouble::transient(format!("no answer within {} s", limit.as_secs_f64())))
        }
    }
}

/// `Retry-After`: seconds or an HTTP date.
fn pause(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let pause = match text.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => Timestamp::from_datetime(&DateTime::parse_from_rfc2822(text).ok()?).since(now),
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_date() {
        let now = Timestamp::from_secs(1_445_412_480);
        for (text, secs) in [
            ("7", Some(7)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("999999", Some(3_600)),
            ("soon", None),
        ] {
            assert_eq!(pause(text, now), secs.map(Duration::from_secs), "{text}");
        }
    }
}
