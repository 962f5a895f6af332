//! What sources that speak HTTP share: the client, who it says it is, and how much of an answer is read.
//!
//! A request costs at most `max_response_bytes` of memory and one place of its server until it is answered or dropped.
//! Credentials go to the configured origin only and never into a message.

pub(crate) mod answer;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod json;
mod settings;

use std::sync::Arc;

use reqwest::{Client, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

pub(crate) use settings::{
    Authorization, SecretFrom, Settings, default_connect_timeout, default_max_concurrent,
    default_max_response_bytes,
};

use super::secret::redact;
use crate::SourceError;
use crate::text::shown;

/// A server that is asked over HTTP.
pub(crate) struct Server {
    settings: Settings,
    base: Url,
    client: Client,
    places: Arc<Semaphore>,
}

impl Server {
    /// Makes the client ready: reads the certificate file, connects to nothing.
    ///
    /// # Errors
    /// When address, proxy or certificate file are wrong.
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        let base = check::base_url(&settings.url)?;
        Ok(Self {
            client: client::build(&settings, &base)?,
            places: Arc::new(Semaphore::new(settings.max_concurrent.clamp(1, check::MAX_CONCURRENT))),
            settings,
            base,
        })
    }

    /// Its address, as configured.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The longest answer that is read.
    pub(crate) fn max_response_bytes(&self) -> u64 {
        self.settings.max_response_bytes
    }

    /// Waits until fewer than `max_concurrent` requests run.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, SourceError> {
        let places = Arc::clone(&self.places);
        places.acquire_owned().await.map_err(|_| SourceError::permanent("source is closed"))
    }

    /// Sends a request with the configured headers under its own, and waits for the head of the answer. Adds to
    /// `secrets` what was sent and must not come back in a message.
    pub(crate) async fn send(
        &self,
        mut request: Request,
        secrets: &mut Vec<String>,
    ) -> Result<Response, SourceError> {
        let (mut headers, found) = client::headers(&self.settings).await?;
        secrets.extend(found);
        let own = std::mem::take(request.headers_mut());
        headers.extend(own.into_iter().filter_map(|(name, value)| Some((name?, value))));
        *request.headers_mut() = headers;
        self.client.execute(request).await.map_err(|e| answer::transport(&e))
    }

    /// The places, to see how many are free.
    #[cfg(test)]
    pub(crate) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }
}

/// Works through an answer on a thread that may be busy for a while; the place stays taken until it has ended.
pub(crate) async fn aside<T: Send + 'static>(
    place: Arc<OwnedSemaphorePermit>,
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let thread = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(place);
        result
    });
    thread.await.map_err(|e| SourceError::permanent(format!("extraction failed inside Tidemark: {e}")))?
}

/// An address without its parameters, which may hold secrets.
pub(crate) fn shown_address(url: &Url) -> String {
    shown(&format!("{}{}", url.origin().ascii_serialization(), url.path()), 120)
}

/// The error with the place in front and secrets taken out of what a server sent back.
pub(crate) fn told(error: SourceError, place: &str, secrets: &[String]) -> SourceError {
    SourceError { message: format!("{place}: {}", redact(error.message, secrets)), ..error }
}
