//! The JSON the pages live on, under `/api/v1/console/`. It is the pages' own: it may change with them.

mod overview;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::{AlertId, TimeRange, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::backend::{Backend, BackendError};
use crate::dto::{AlertRow, SeriesDetail};
use crate::{Options, thin};

/// What every handler has.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

struct Inner {
    backend: Arc<dyn Backend>,
    options: Options,
    overview: overview::Cache,
}

impl Shared {
    pub(crate) fn new(backend: Arc<dyn Backend>, options: Options) -> Self {
        Self(Arc::new(Inner { backend, options, overview: overview::Cache::default() }))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// Waits for a backend call, but not longer than the deadline.
    pub(crate) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let deadline = self.options().deadline;
        tokio::select! {
            biased;
            answer = call => answer,
            () = self.options().clock.sleep(deadline) => Err(BackendError::Deadline(deadline)),
        }
    }

    /// One series over the span that ends now; long spans are thinned to what a chart can show.
    pub(crate) async fn series(&self, id: &str, span: Span) -> Result<Option<SeriesDetail>, BackendError> {
        let Some(fingerprint) = fingerprint(id) else { return Ok(None) };
        let end = self.options().clock.domain_now();
        let range = TimeRange { start: end - span.length(), end };
        let found = self.within_deadline(self.backend().series(fingerprint, range)).await?;
        Ok(found.map(|mut detail| {
            detail.card.points = thin::thin(&detail.card.points, MAX_POINTS);
            detail.alerts.retain(AlertRow::is_news);
            detail
        }))
    }
}

/// Points of one chart; more would not fit the pixels of a screen.
const MAX_POINTS: usize = 1_440;

fn fingerprint(id: &str) -> Option<u64> {
    u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16)
}

/// How far back a chart looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Span {
    #[default]
    #[serde(rename = "3h")]
    Hours3,
    #[serde(rename = "12h")]
    Hours12,
    #[serde(rename = "24h")]
    Hours24,
    #[serde(rename = "7d")]
    Days7,
}

impl Span {
    pub(crate) const ALL: [Self; 4] = [Self::Hours3, Self::Hours12, Self::Hours24, Self::Days7];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hours3 => "3h",
            Self::Hours12 => "12h",
            Self::Hours24 => "24h",
            Self::Days7 => "7d",
        }
    }

    const fn length(self) -> Duration {
        let hours = match self {
            Self::Hours3 => 3,
            Self::Hours12 => 12,
            Self::Hours24 => 24,
            Self::Days7 => 7 * 24,
        };
        Duration::from_secs(hours * 3_600)
    }
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/console/overview", get(overview::overview))
        .route("/api/v1/console/series/{id}", get(series))
        .route("/api/v1/console/alerts/{id}", get(alert))
}

#[derive(Deserialize)]
struct SeriesAsk {
    #[serde(default)]
    span: Span,
}

async fn series(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(ask): Query<SeriesAsk>,
) -> Response {
    answer(shared.series(&id, ask.span).await)
}

async fn alert(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<AlertId>() else { return answer::<()>(Ok(None)) };
    answer(shared.within_deadline(shared.backend().alert(id)).await)
}

fn answer<T: serde::Serialize>(result: Result<Option<T>, BackendError>) -> Response {
    match result {
        Ok(Some(found)) => ([(CACHE_CONTROL, "no-store")], Json(found)).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, Json(json!({ "error": "not found" }))).into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &BackendError) -> Response {
    tracing::warn!(%error, "the console's backend does not answer");
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error.to_string() }))).into_response()
}

/// An instant handed over as milliseconds.
pub(crate) fn from_millis(at: i64) -> Timestamp {
    Timestamp::from_millis(at)
}
