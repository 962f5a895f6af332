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

/// Why a question is not answered.
type Refused = (StatusCode, &'static str);

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
    fn minutes(self) -> Result<impl Iterator<Item = Timestamp>, Refused> {
        let (first, last) = (self.from.div_euclid(60_000), self.to.div_euclid(60_000));
        if last <= first || last - first > LONGEST {
            return Err((StatusCode::BAD_REQUEST, "ask for a window of one minute to a day\n"));
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

async fn decisions(State(api): State<RiskApi>, Query(asked): Query<Asked>) -> Result<Json<Value>, Refused> {
    let (mut decided, mut approved) = (0, 0);
    for minute in asked.minutes()? {
        let (all, passed) = api.business.decisions(minute);
        (decided, approved) = (decided + all, approved + passed);
    }
    Ok(Json(json!({ "data": { "decided": decided, "approved": approved } })))
}

async fn repayments(State(api): State<RiskApi>, Query(asked): Query<Asked>) -> Result<Json<Value>, Refused> {
    let (mut count, mut cents) = (0, 0);
    for minute in asked.minutes()? {
        let (some, money) = api.business.sum(Stream::Repayments, minute);
        (count, cents) = (count + some, cents + money);
    }
    Ok(Json(json!({ "data": { "count": count, "amount": cents as f64 / 100.0 } })))
}

async fn latency(State(api): State<RiskApi>, Query(asked): Query<Asked>) -> Result<Json<Value>, Refused> {
    let worst = asked.minutes()?.map(|minute| api.business.latency_ms(minute)).fold(0.0, f64::max);
    Ok(Json(json!({ "data": { "p95_ms": worst } })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ManualClock;
    use tokio::net::TcpListener;

    const START: Timestamp = Timestamp::from_secs(1_790_040_600);

    async fn ask(address: std::net::SocketAddr, from: Timestamp) -> reqwest::Result<reqwest::Response> {
        let (from, to) = (from.as_millis(), (from + Duration::from_secs(60)).as_millis());
        reqwest::get(format!("http://{address}/v1/decisions?from={from}&to={to}")).await
    }

    async fn served(clock: ManualClock) -> (std::net::SocketAddr, Arc<Business>) {
        // Installed once; a second time is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let business = Arc::new(Business::new(1, START));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = RiskApi::new(Arc::clone(&business), Arc::new(clock)).router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, business)
    }

    #[tokio::test]
    async fn it_answers_what_the_business_did_and_falls_silent_by_the_script() {
        let clock = ManualClock::new(START);
        let (address, business) = served(clock.clone()).await;
        let answer: Value = ask(address, START).await.unwrap().json().await.unwrap();
        let (decided, approved) = business.decisions(START);
        assert_eq!(answer, json!({ "data": { "decided": decided, "approved": approved } }));

        // Minute 60 to 65: it hangs, until nobody waits any more.
        clock.jump_domain(START + Duration::from_secs(61 * 60));
        let hung = tokio::spawn(ask(address, START));
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!hung.is_finished());
        clock.advance(HELD_FOR);
        assert_eq!(hung.await.unwrap().unwrap().status(), 504);

        // Minute 65 to 70: it says so.
        clock.jump_domain(START + Duration::from_secs(67 * 60));
        assert_eq!(ask(address, START).await.unwrap().status(), 503);
        clock.jump_domain(START + Duration::from_secs(71 * 60));
        assert_eq!(ask(address, START).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn windows_that_make_no_sense_are_refused() {
        let (address, _) = served(ManualClock::new(START)).await;
        for query in ["from=60000&to=0", "from=0&to=0", "from=0&to=9999999999999", "from=a&to=b", ""] {
            let answer = reqwest::get(format!("http://{address}/v1/latency?{query}")).await.unwrap();
            assert_eq!(answer.status(), 400, "{query}");
        }
    }
}
