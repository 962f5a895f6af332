//! In a process that does not notify: what is for the notifier goes on to the process that has it.
//!
//! Messages link to `http.external_url`, and whoever acknowledges by the API asks there too; it leads to the process with
//! the console. What hooks verify goes on as it came (path and query, body, signature) and is verified there alone;
//! providers sign the external address, which is not the one that is asked here and does not matter. What the guard of
//! this process let through by a token goes on with the other's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::Parts;
use super::hooks::SIGNATURE;
use super::process::{self, ProcessNote};
use crate::cli::Role;

/// Largest answer that is passed back.
const ANSWER_LIMIT: usize = 256 << 10;
/// Of a request, what the handlers look at.
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
pub(super) const NOBODY: &str = "no process that notifies runs now, try again later";
const SILENT: &str = "the process that notifies does not answer, try again later";

/// How routes are passed on.
pub(super) struct Passing {
    /// How long the other process may take.
    pub(super) deadline: Duration,
    /// Whether the guard asked for a token; the other process gets its own.
    pub(super) guarded: bool,
    /// How a refusal is said.
    pub(super) refuse: fn(StatusCode, &'static str) -> Response,
}

/// These routes as this process serves them: handled when it notifies, otherwise passed on.
pub(super) fn unless_here(routes: Router<Arc<Parts>>, parts: &Parts, passing: Passing) -> Router<Arc<Parts>> {
    if parts.notifier.is_some() {
        return routes;
    }
    match crate::client::http(passing.deadline) {
        Ok(http) => {
            let forward = Forward { http, data_dir: parts.config().data_dir(), passing };
            routes.layer(from_fn_with_state(Arc::new(forward), pass_on))
        }
        Err(error) => {
            tracing::error!(%error, "nothing is passed on to the process that notifies: cannot set up HTTP");
            routes
        }
    }
}

/// What passing on needs.
struct Forward {
    http: reqwest::Client,
    data_dir: PathBuf,
    passing: Passing,
}

impl Forward {
    /// The process with the notifier.
    async fn notifying(&self) -> Option<ProcessNote> {
        let data_dir = self.data_dir.clone();
        let notes = tokio::task::spawn_blocking(move || process::running(&data_dir)).await.ok()?;
        notes.into_iter().find(|note| note.has(Role::Notifier))
    }

    fn refused(&self, word: &'static str) -> Response {
        (self.passing.refuse)(StatusCode::SERVICE_UNAVAILABLE, word)
    }

    async fn ask(&self, request: Request) -> Result<Response, Response> {
        if request.headers().contains_key(PASSED_ON) {
            return Err(self.refused(NOBODY));
        }
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let body = Bytes::from_request(request, &()).await.map_err(IntoResponse::into_response)?;
        let note = self.notifying().await.ok_or_else(|| self.refused(NOBODY))?;
        let url = format!("http://{}{path}", note.address);
        let mut asked = self.http.request(method, url).header(PASSED_ON, "1");
        if self.passing.guarded {
            asked = asked.bearer_auth(&note.token);
        }
        for name in ASKED {
            asked = headers.get(name).into_iter().fold(asked, |asked, value| asked.header(name, value));
        }
        let answer = match asked.body(body).send().await {
            Ok(answer) => passed_back(answer).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| {
            // What is passed on holds a signed link, which is for no log.
            let error = error.without_url();
            tracing::warn!(%error, "the process that notifies did not take what was passed on");
            self.refused(SILENT)
        })
    }
}

/// The answer, cut where it is longer than any that is given here.
async fn passed_back(mut answer: reqwest::Response) -> Result<Response, reqwest::Error> {
    let mut passed = Response::new(Body::empty());
    *passed.status_mut() = answer.status();
    for name in ANSWERED {
        if let Some(value) = answer.headers().get(&name) {
            passed.headers_mut().insert(name, value.clone());
        }
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT - body.len())]);
        if body.len() == ANSWER_LIMIT {
            break;
        }
    }
    *passed.body_mut() = Body::from(body);
    Ok(passed)
}

/// Passes a request on instead of handling it.
async fn pass_on(State(forward): State<Arc<Forward>>, request: Request, _: Next) -> Response {
    forward.ask(request).await.unwrap_or_else(|refused| refused)
}
