//! HTTP APIs.
//!
//! What reads an answer, keeps credentials where they belong and bounds it all is `web.rs`; here are requests out of
//! templates and rows out of what comes back.

mod check;
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
use reqwest::{Method, Request, StatusCode};
use url::Url;

use check::{validate, validate_query};
pub use config::{BasicAuth, CsvExtract, HttpConfig, HttpMethod, HttpQuery, JsonExtract};
pub use json_path::JsonPathText;

use super::{QueryType, SourceType, wrong_query};
use crate::params::zone;
use crate::sources::web::answer::{self, Refusal};
use crate::sources::web::{self, Server, client, shown_address};
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

/// So much of an error's body is read.
const ERROR_BODY_BYTES: u64 = 4 << 10;

/// An HTTP API as a source.
pub struct HttpSource {
    zone: Tz,
    server: Server,
}

impl HttpSource {
    /// Makes the source ready: reads the certificate file, connects to nothing.
    ///
    /// # Errors
    /// When address, zone, proxy or certificate file are wrong.
    pub fn new(config: &HttpConfig) -> Result<Self, String> {
        let server = Server::new(config.settings())?;
        Ok(Self { zone: zone(config.timezone.as_deref())?, server })
    }

    /// Sends a request and reads the answer.
    async fn fetch(&self, request: Request, secrets: &mut Vec<String>) -> Result<Vec<u8>, SourceError> {
        let response = self.server.send(request, secrets).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(Vec::new()),
            status if status.is_success() => answer::body(response, self.server.max_response_bytes()).await,
            _ => Err(Refusal::read(response, ERROR_BODY_BYTES).await.error(None)),
        }
    }

    async fn ask(&self, query: &HttpQuery, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let mut secrets: Vec<String> =
            query.headers.values().map(|value| value.expose().to_owned()).collect();
        let place = Arc::new(self.server.place().await?);
        let wire = self.request(query, request.window).map_err(SourceError::permanent)?;
        secrets.extend(self.parameters(wire.url(), request.window));
        let address = shown_address(wire.url());
        let body = self.fetch(wire, &mut secrets).await;
        let rows = match body {
            Ok(body) if body.is_empty() && !query.number => Ok(Rows::default()),
            Ok(body) => {
                let (query, max_rows) = (query.clone(), request.max_rows);
                web::aside(place, move || extract::rows(&query, body, max_rows)).await
            }
            Err(error) => Err(error),
        };
        rows.map_err(|error| web::told(error, &address, &secrets))
    }

    /// The parameters of an address, which may hold secrets; what they say of the window is none.
    fn parameters(&self, url: &Url, window: Window) -> Vec<String> {
        let of_window = template::values(window, self.zone);
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        values.filter(|value| !of_window.contains(value)).collect()
    }

    fn request(&self, query: &HttpQuery, window: Window) -> Result<Request, String> {
        let fill = |text: &str| template::render(text, window, self.zone, Cow::Owned);
        let mut url = join(
            self.server.base(),
            &template::render(&query.path, window, self.zone, template::encode_path)?,
        )?;
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
        let _place = self.server.place().await?;
        let address = shown_address(self.server.base());
        let mut secrets = Vec::new();
        let response = self.server.send(Request::new(Method::GET, self.server.base().clone()), &mut secrets);
        let response = response.await.map_err(|error| web::told(error, &address, &secrets))?;
        let detail = format!("{address}: HTTP {}", response.status());
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(SourceError::permanent(detail))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(SourceError::permanent(format!("{detail}: nothing is at the address of `url`")))
            }
            status if status.is_server_error() => Err(SourceError::transient(detail)),
            _ => Ok(ProbeReport { detail }),
        }
    }
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
