//! The API of commands: [`crate::api`] says what is asked and answered.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::{TimeRange, Timestamp};
use notifier::view::{Acknowledged, AlertFilter, AlertState};
use serde::Deserialize;

use super::Parts;
use super::forward::{self, Passing};
use crate::answers;
use crate::api::{
    ALERTS, AcceptAnswer, AckAnswer, AckRequest, ChannelTestRow, ErrorAnswer, METRICS, NOTIFY_TEST,
    NotifyTestAnswer, NotifyTestRequest, RELOAD, REPLICAS, ReloadAnswer, ReloadRefused, SERIES, SeriesAnswer,
    SeriesOf,
};
use crate::cli::Since;

type Shared = State<Arc<Parts>>;

/// How long another process may take over what only a notifier does; less than the listener gives an answer.
const PASSED_ON_WITHIN: Duration = Duration::from_secs(55);

/// Routes of the API.
pub(super) fn routes(parts: &Parts) -> Router<Arc<Parts>> {
    let refuse = |status, word: &str| Failure(status, word.to_owned()).into_response();
    let passing = Passing { deadline: PASSED_ON_WITHIN, guarded: true, refuse };
    let of_notifier = Router::new()
        .route(&format!("{ALERTS}/{{id}}/ack"), post(acknowledge))
        .route(NOTIFY_TEST, post(notify_test));
    Router::new()
        .route(METRICS, get(metrics))
        .route(ALERTS, get(alerts))
        .route(&format!("{ALERTS}/{{id}}"), get(alert))
        .route(SERIES, get(series))
        .route(REPLICAS, get(replicas))
        .route(&format!("{REPLICAS}/{{name}}/accept"), post(accept))
        .route(RELOAD, post(reload))
        .merge(forward::unless_here(of_notifier, parts, passing))
}

/// An answer that is no success.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorAnswer { error: self.1 })).into_response()
    }
}

fn broken(error: impl std::error::Error) -> Failure {
    Failure(StatusCode::INTERNAL_SERVER_ERROR, model::causes(&error))
}

fn absent(role: &str) -> Failure {
    Failure(StatusCode::NOT_FOUND, format!("this process does not have the role `{role}`"))
}

fn no_alerts() -> Failure {
    let message = "no process with the role `notifier` has made its database yet";
    Failure(StatusCode::SERVICE_UNAVAILABLE, message.to_owned())
}

/// Runs what touches the disk where blocking is allowed.
async fn off_the_executor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}

async fn metrics(State(parts): Shared) -> Result<Response, Failure> {
    let store = parts.store.as_ref().ok_or_else(|| absent("store"))?;
    let settings = parts.config().judging();
    let list = answers::metric_list(&**store, &settings, parts.clock.domain_now()).await.map_err(broken)?;
    Ok(Json(list).into_response())
}

#[derive(Deserialize)]
struct AlertsQuery {
    state: Option<AlertState>,
    since: Option<String>,
    #[serde(default)]
    limit: usize,
}

async fn alerts(State(parts): Shared, Query(query): Query<AlertsQuery>) -> Result<Response, Failure> {
    let reader = parts.alerts.reader().await.ok_or_else(no_alerts)?;
    let language = parts.config().language();
    let since = query.since.map(|text| text.parse::<Since>()).transpose();
    let since = since.map_err(|message| Failure(StatusCode::BAD_REQUEST, message))?;
    let filter = AlertFilter {
        states: query.state.into_iter().collect(),
        since: since.map(|since| since.instant(parts.clock.domain_now())),
        limit: query.limit,
        ..AlertFilter::default()
    };
    let list =
        off_the_executor(move || answers::alert_list(&reader, &filter, language).map_err(broken)).await?;
    Ok(Json(list).into_response())
}

async fn alert(State(parts): Shared, Path(id): Path<String>) -> Result<Response, Failure> {
    let reader = parts.alerts.reader().await.ok_or_else(no_alerts)?;
    let language = parts.config().language();
    let detail = off_the_executor(move || {
        let id =
            answers::find_alert(&reader, &id).map_err(|message| Failure(StatusCode::NOT_FOUND, message))?;
        let detail = answers::alert_detail(&reader, id, language).map_err(broken)?;
        detail.ok_or_else(|| Failure(StatusCode::NOT_FOUND, format!("there is no alert {id}")))
    })
    .await?;
    Ok(Json(detail).into_response())
}

/// Longest name of somebody who acknowledges.
const LONGEST_NAME: usize = 100;

async fn acknowledge(
    State(parts): Shared,
    Path(id): Path<String>,
    Json(asked): Json<AckRequest>,
) -> Result<Response, Failure> {
    let notifier = parts.notifier.as_ref().ok_or_else(|| absent("notifier"))?;
    let reader = parts.alerts.reader().await.ok_or_else(no_alerts)?;
    let plain = |text: &str| text.chars().count() <= LONGEST_NAME && !text.contains(char::is_control);
    if !plain(&asked.by) || !plain(&asked.via) {
        let message = format!("`by` and `via` are names of at most {LONGEST_NAME} characters");
        return Err(Failure(StatusCode::BAD_REQUEST, message));
    }
    let id = off_the_executor(move || {
        let no = |message| Failure(StatusCode::NOT_FOUND, message);
        let id = answers::find_alert(&reader, &id).map_err(no)?;
        let known = reader.alert(id).map_err(broken)?.is_some();
        if known { Ok(id) } else { Err(no(format!("there is no alert {id}"))) }
    })
    .await?;
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let came = notifier.acknowledge(id, &or(&asked.by, "somebody"), &or(&asked.via, "api")).await;
    let result = match came.map_err(broken)? {
        Acknowledged::Done => "acknowledged",
        Acknowledged::Already => "already_acknowledged",
        Acknowledged::Resolved => {
            return Err(Failure(StatusCode::CONFLICT, format!("alert {id} is already resolved")));
        }
        Acknowledged::NotFiring | Acknowledged::Worse => {
            return Err(Failure(StatusCode::CONFLICT, format!("alert {id} does not fire yet")));
        }
    };
    Ok(Json(AckAnswer { id: id.to_string(), result: result.to_owned() }).into_response())
}

#[derive(Deserialize)]
struct SeriesRequest {
    metric: String,
    #[serde(default)]
    of: SeriesOf,
    from: String,
    to: Option<String>,
    #[serde(default)]
    last: usize,
}

async fn series(State(parts): Shared, Query(asked): Query<SeriesRequest>) -> Result<Response, Failure> {
    let store = parts.store.as_ref().ok_or_else(|| absent("store"))?;
    let time = |name: &str, text: &str| {
        let wrong =
            |_| Failure(StatusCode::BAD_REQUEST, format!("`{name}` is not a time in RFC 3339: {text}"));
        Timestamp::parse_rfc3339(text).map_err(wrong)
    };
    let now = parts.clock.domain_now();
    let end = asked.to.as_deref().map_or(Ok(now), |to| time("to", to))?;
    let range = TimeRange { start: time("from", &asked.from)?, end };
    let read = answers::series(&**store, &asked.metric, asked.of, range, asked.last, now);
    let answer = SeriesAnswer { now: Some(now), ..read.await.map_err(broken)? };
    Ok(Json(answer).into_response())
}

async fn replicas(State(parts): Shared) -> Result<Response, Failure> {
    parts.members.as_ref().ok_or_else(|| absent("store"))?;
    Ok(Json(super::replicas::list(&parts)).into_response())
}

async fn accept(State(parts): Shared, Path(replica): Path<String>) -> Result<Response, Failure> {
    parts.members.as_ref().ok_or_else(|| absent("store"))?;
    let name = replica.clone();
    let accepted = move || super::replicas::accept(&parts, &name).map_err(|(code, why)| Failure(code, why));
    off_the_executor(accepted).await?;
    Ok(Json(AcceptAnswer { replica }).into_response())
}

async fn reload(State(parts): Shared) -> Response {
    match parts.config.reload(&parts).await {
        Ok(done) => {
            let revision = format!("{:016x}", done.revision);
            tracing::info!(revision, changed = done.changed, "reloaded");
            Json(ReloadAnswer { revision, changed: done.changed, warnings: done.warnings }).into_response()
        }
        Err(errors) => {
            super::reload::log_refused(&errors);
            (StatusCode::UNPROCESSABLE_ENTITY, Json(ReloadRefused { errors })).into_response()
        }
    }
}

async fn notify_test(
    State(parts): Shared,
    Json(asked): Json<NotifyTestRequest>,
) -> Result<Response, Failure> {
    let notifier = parts.notifier.as_ref().ok_or_else(|| absent("notifier"))?;
    let tests = notifier.test_receiver(&asked.receiver).await;
    let tests = tests.map_err(|error| Failure(StatusCode::NOT_FOUND, error.to_string()))?;
    let row = |test: notifier::view::ChannelTest| ChannelTestRow {
        channel: test.channel,
        ok: test.ok,
        detail: test.detail,
        duration_ms: test.millis,
    };
    Ok(Json(NotifyTestAnswer { channels: tests.into_iter().map(row).collect() }).into_response())
}
