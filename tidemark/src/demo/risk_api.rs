//! The business' risk service: a local HTTP API that answers for any window, and that falls silent when the script says
//! so: at first it takes requests and does not answer, then it answers 503.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::{Clock, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::business::{Business, Stream};
use super::script::Plant;

/// Share of the silence in which the service hangs; after it, it answers 503.
const HANGS_UNTIL: f64 = 0.5;
/// How long a hung request is held, in real time. Nobody waits that long.
const HELD_FOR: Duration = Duration::from_secs(60);
/// Longest window answered, in minutes.
const LONGEST: i64 = 1_440;

/// What the service knows.
#[derive(Clone)]
pub(crate) struct RiskApi {
    business: Arc<Business>,
    clock: Arc<dyn Clock>,
}

/// A window, in milliseconds since the epoch.
#[derive(Clone, Copy, Deserialize)]
struct Asked {
    from: i64,
    to: i64,
}

impl Asked {
    fn minutes(self) -> Result<impl Iterator<Item = Timestamp>, Response> {
        let (first, last) = (self.from.div_euclid(60_000), self.to.div_euclid(60_000));
        if last <= first || last - first > LONGEST {
            return Err((StatusCode::BAD_REQUEST, "ask for a window of one minute to a day\n").into_response());
        }
        Ok((first..last).map(|minute| Timestamp::from_secs(minute * 60)))
    }
}

impl RiskApi {
    /// A service for this business.
    pub(crate) fn new(business: Arc<Business>, clock: Arc<dyn Clock>) -> Self {
        Self { business, clock }
    }

    /// Its routes.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/decisions", get(decisions))
            .route("/v1/repayments", get(repayments))
            .route("/v1/latency", get(latency))
            .layer(from_fn_with_state(self.clone(), moody))
            .with_state(self)
    }
}

async fn moody(State(api): State<RiskApi>, request: Request, next: Next) -> Response {
    match api.business.script().progress(Plant::ApiSilence, api.clock.domain_now()) {
        None => next.run(request).await,
        Some(progress) if progress < HANGS_UNTIL => {
            api.clock.sleep(HELD_FOR).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "risk engine is restarting\n").into_response(),
    }
}

async fn decisions(State(api): State<RiskApi>, Query(asked): Query<Asked>) -> Result<Json<Value>, Response> {
    let (mut decided, mut approved) = (0, 0);
    for minute in asked.minutes()? {
        let (all, passed) = api.business.decisions(minute);
        (decided, approved) = (decided + all, approved + passed);
    }
    Ok(Json(json!({ "data": { "decided": decided, "approved": approved } })))
}

async fn repayments(State(api): State<RiskApi>, Query(asked): Query<Asked>) -> Result<Json<Value>, Response> {
    let (mut count, mut cents) = (0, 0);
    for minute in asked.minutes()? {
        let (some, money) = api.business.sum(Stream::Repayments, minute);
        (count, cents) = (count + some, cents + money);
    }
    Ok(Json(json!({ "data": { "count": count, "amount": cents as f64 / 100.0 } })))
}

async fn latency(State(api): State<RiskApi>, Query(asked): Query<Asked>) -> Result<Json<Value>, Response> {
    let worst = asked.minutes()?.map(|minute| api.business.latency_ms(minute)).fold(0.0, f64::max);
    Ok(Json(json!({ "data": { "p95_ms": worst } })))
}

