//! HTTP APIs.
//!
//! A request costs at most `max_response_bytes` of memory and one place of the source until it is answered or dropped.
//! Credentials go to the configured origin only and never into a message.

mod answer;
mod check;
mod client;
mod config;
mod extract;
mod json_path;
mod template;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;
use model::Window;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use check::{validate, validate_query};
pub use config::{BasicAuth, CsvExtract, HttpConfig, HttpMethod, HttpQuery, JsonExtract, TlsConfig};
pub use json_path::JsonPathText;

use super::secret::redact;
use super::{QueryType, SourceType, wrong_query};
use crate::params::zone;
use crate::text::shown;
use crate::validate::Problem;
use crate::{ProbeReport, Query, Rows, SampleRequest, Source, SourceError};

impl SourceType for HttpConfig {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn language(&self) -> &'static str {
        "http"
    }

    fn validate(&self) -> Vec<Problem> {
        validate(self)
    }

    fn build(&self) -> Result<Box<dyn Source>, String> {
        Ok(Box::new(HttpSource::new(self)?))
    }
}

impl QueryType for HttpQuery {
    fn language(&self) -> &'static str {
        "http"
    }

    fn validate(&self) -> Vec<Problem> {
        validate_query(self)
    }

    fn asks_for_window(&self) -> bool {
        serde_json::to_string(self).is_ok_and(|text| text.contains("{{ end") || text.contains("{{ start"))
    }
}

/// An HTTP API as a source.
pub struct HttpSource {
    config: HttpConfig,
    base: Url,
    zone: Tz,
    client: Client,
    places: Arc<Semaphore>,
}

impl HttpSource {
    /// Makes the source ready: reads the certificate file, connects to nothing.
    ///
    /// # Errors
    /// When address, zone, proxy or certificate file are wrong.
    pub fn new(config: &HttpConfig) -> Result<Self, String> {
        let base = check::base_url(&config.url)?;
        Ok(Self {
            zone: zone(config.timezone.as_deref())?,
            client: client::build(config, &base)?,
            places: Arc::new(Semaphore::new(config.max_concurrent.clamp(1, 256))),
            config: config.clone(),
            base,
        })
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, SourceError> {
        let places = Arc::clone(&self.places);
        places.acquire_owned().await.map_err(|_| SourceError::permanent("source is closed"))
    }

    /// Sends a request with the source's headers under the query's, and reads the answer.
    async fn fetch(&self, mut request: Request, secrets: &mut Vec<String>) -> Result<Vec<u8>, SourceError> {
        let (mut headers, found) = client::headers(&self.config).await?;
        secrets.extend(found);
        headers.extend(
            std::mem::take(request.headers_mut())
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value))),
        );
        *request.headers_mut() = headers;
        let response = self.client.execute(request).await.map_err(|e| answer::transport(&e))?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        answer::body(response, self.config.max_response_bytes).await
    }

    async fn ask(&self, query: &HttpQuery, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let mut secrets: Vec<String> =
            query.headers.values().map(|value| value.expose().to_owned()).collect();
        let place = self.place().await?;
        let wire = self.request(query, request.window).map_err(SourceError::permanent)?;
        let address = shown_address(wire.url());
        let body = self.fetch(wire, &mut secrets).await;
        let rows = match body {
            Ok(body) if body.is_empty() && !query.number => Ok(Rows::default()),
            Ok(body) => extract_aside(query.clone(), body, request.max_rows, place).await,
            Err(error) => Err(error),
        };
        rows.map_err(|error| SourceError {
            message: redact(format!("{address}: {}", error.message), &secrets),
            ..error
        })
    }

    fn request(&self, query: &HttpQuery, window: Window) -> Result<Request, String> {
        let fill = |text: &str| template::render(text, window, self.zone, Cow::Owned);
        let mut url =
            join(&self.base, &template::render(&query.path, window, self.zone, template::encode_path)?)?;
        if !query.params.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &query.params {
                pairs.append_pair(name, &fill(value)?);
            }
        }
        let method = match query.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Patch => Method::PATCH,
        };
        let mut request = Request::new(method, url);
        let mut headers = HeaderMap::new();
        if let Some(body) = &query.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(fill(body)?.into());
        }
        for (name, value) in &query.headers {
            client::insert(&mut headers, name, &fill(value.expose())?).map_err(|e| e.message)?;
        }
        *request.headers_mut() = headers;
        Ok(request)
    }
}

#[async_trait]
impl Source for HttpSource {
    fn kind(&self) -> &'static str {
        "http"
    }

    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let Query::Http(query) = request.query else {
            return Err(wrong_query(self.kind(), request.query));
        };
        self.ask(query, request).await
    }

    async fn probe(&self) -> Result<ProbeReport, SourceError> {
        let _place = self.place().await?;
        let (headers, _) = client::headers(&self.config).await?;
        let mut request = Request::new(Method::GET, self.base.clone());
        *request.headers_mut() = headers;
        let address = shown_address(&self.base);
        let response = self.client.execute(request).await.map_err(|error| {
            let error = answer::transport(&error);
            SourceError { message: format!("{address}: {}", error.message), ..error }
        })?;
        let detail = format!("{address}: HTTP {}", response.status());
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(SourceError::permanent(detail))
            }
            status if status.is_server_error() => Err(SourceError::transient(detail)),
            _ => Ok(ProbeReport { detail }),
        }
    }
}

/// Takes the rows on a thread that may be busy for a while; the place stays taken until it has ended.
async fn extract_aside(
    query: HttpQuery,
    body: Vec<u8>,
    max_rows: usize,
    place: OwnedSemaphorePermit,
) -> Result<Rows, SourceError> {
    let thread = tokio::task::spawn_blocking(move || {
        let rows = extract::rows(&query, body, max_rows);
        drop(place);
        rows
    });
    thread.await.map_err(|e| SourceError::permanent(format!("extraction failed inside Tidemark: {e}")))?
}

/// The path of a query behind the base address, on the same host whatever it holds.
fn join(base: &Url, path: &str) -> Result<Url, String> {
    let text = match path {
        "" => base.as_str().to_owned(),
        path if path.starts_with('?') => format!("{}{path}", base.as_str()),
        path => format!("{}/{}", base.as_str().trim_end_matches('/'), path.trim_start_matches('/')),
    };
    let url = Url::parse(&text).map_err(|e| format!("`{}` is not an address: {e}", shown(&text, 100)))?;
    if url.origin() == base.origin() {
        Ok(url)
    } else {
        Err(format!("path leaves the host {}", base.origin().ascii_serialization()))
    }
}

/// An address without its parameters, which may hold secrets.
fn shown_address(url: &Url) -> String {
    shown(&format!("{}{}", url.origin().ascii_serialization(), url.path()), 120)
}
