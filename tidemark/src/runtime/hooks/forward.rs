//! In a process that does not notify: what comes to its hooks goes on to the process that does.
//!
//! Messages link to `http.external_url`, which leads to the process with the console. Whatever is verified goes on as it
//! came (path and query, body, signature) and is verified there alone; providers sign the external address, which is not
//! the one that is asked here and does not matter.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Refusal, SIGNATURE};
use crate::cli::Role;
use crate::runtime::{Parts, process};

/// How long the other process may take; providers wait for 15 seconds.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer that is passed back.
const ANSWER_LIMIT: usize = 256 << 10;
/// Of a request, what the handlers of hooks look at.
const ASKED: [&str; 2] = ["content-type", SIGNATURE];
/// Of an answer, what they say.
const ANSWERED: [header::HeaderName; 6] = [
    header::ALLOW,
    header::CONTENT_TYPE,
    header::CONTENT_SECURITY_POLICY,
    header::CACHE_CONTROL,
    header::REFERRER_POLICY,
    header::X_CONTENT_TYPE_OPTIONS,
];
/// Marks what was passed on, so that it is not passed on again.
const PASSED_ON: &str = "x-tidemark-passed-on";

/// Nobody is there to take it.
pub(super) const NOBODY: Refusal =
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "no process that notifies runs now, try again later");
const SILENT: Refusal =
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "the process that notifies does not answer, try again later");

/// What passing on needs.
pub(super) struct Forward {
    http: reqwest::Client,
    data_dir: PathBuf,
}

impl Forward {
    /// Of this process; `None` when HTTP cannot be set up, and then the hooks stay refused.
    pub(super) fn new(parts: &Parts) -> Option<Arc<Self>> {
        let http = crate::client::http(DEADLINE).inspect_err(|error| {
            tracing::error!(%error, "links of messages do not work by this process: cannot set up HTTP");
        });
        Some(Arc::new(Self { http: http.ok()?, data_dir: parts.config().data_dir() }))
    }

    /// Where the process with the notifier listens.
    async fn address(&self) -> Option<String> {
        let data_dir = self.data_dir.clone();
        let notes = tokio::task::spawn_blocking(move || process::running(&data_dir)).await.ok()?;
        notes.into_iter().find(|note| note.has(Role::Notifier)).map(|note| note.address)
    }

    async fn ask(&self, request: Request) -> Result<Response, Response> {
        if request.headers().contains_key(PASSED_ON) {
            return Err(NOBODY.into_response());
        }
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let body = Bytes::from_request(request, &()).await.map_err(IntoResponse::into_response)?;
        let address = self.address().await.ok_or_else(|| NOBODY.into_response())?;
        let mut asked = self.http.request(method, format!("http://{address}{path}")).header(PASSED_ON, "1");
        for name in ASKED {
            asked = headers.get(name).into_iter().fold(asked, |asked, value| asked.header(name, value));
        }
        passed_back(asked.body(body).send().await.map_err(silent)?).await
    }
}

/// What is passed on holds a signed link, which is for no log.
fn silent(error: reqwest::Error) -> Response {
    tracing::warn!(error = %error.without_url(), "the process that notifies did not take what was passed on");
    SILENT.into_response()
}

async fn passed_back(mut answer: reqwest::Response) -> Result<Response, Response> {
    let mut passed = Response::new(Body::empty());
    *passed.status_mut() = answer.status();
    for name in ANSWERED {
        if let Some(value) = answer.headers().get(&name) {
            passed.headers_mut().insert(name, value.clone());
        }
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(silent)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(SILENT.into_response());
        }
        body.extend_from_slice(&chunk);
    }
    *passed.body_mut() = Body::from(body);
    Ok(passed)
}

/// Passes a request on instead of handling it.
pub(super) async fn pass_on(State(forward): State<Arc<Forward>>, request: Request, _: Next) -> Response {
    forward.ask(request).await.unwrap_or_else(|refused| refused)
}
