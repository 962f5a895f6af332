//! The one HTTP listener: pages, health, metrics and the API for commands.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::Secret;
use prometheus_client::registry::Registry;

use super::console_backend::ConsoleBackend;
use super::guard::{Guard, guard};
use super::{Parts, control, hooks, telemetry};
use crate::api::{PartReadiness, READYZ, Readiness};

/// Largest request body.
const BODY_LIMIT: usize = 1 << 20;

/// What a process serves beside its health, its metrics and the API of its roles.
pub(super) struct Served {
    /// Whether there are pages.
    pub(super) pages: bool,
    /// The demo's story and inbox.
    pub(super) showcase: Option<Arc<dyn console::Showcase>>,
}

/// Everything that is served, behind the guard.
pub(super) fn app(
    parts: Arc<Parts>,
    process_token: Secret,
    registry: Arc<Registry>,
    served: Served,
) -> Router {
    let config = parts.config();
    let http = &config.file().http;
    let external_host = http.external_url.as_deref().and_then(|url| url.parse::<url::Url>().ok());
    let who = Arc::new(Guard {
        process_token,
        configured_token: http.token.clone(),
        external_host: external_host.and_then(|url| url.host_str().map(str::to_owned)),
    });
    let pages = served.pages.then(|| pages(&parts, served.showcase));
    let metrics = get(move |State(parts): State<Arc<Parts>>| async move { metrics_page(&registry, &parts) });
    let (control, hooks) = (control::routes(&parts), hooks::routes(&parts));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(READYZ, get(readiness))
        .route("/metrics", metrics)
        .merge(control)
        .merge(hooks)
        .with_state(parts)
        .merge(pages.unwrap_or_default())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(who, guard))
}

fn pages(parts: &Arc<Parts>, showcase: Option<Arc<dyn console::Showcase>>) -> Router {
    let mut options = console::Options::new(Arc::clone(&parts.clock), parts.config().language());
    if let Some(showcase) = showcase {
        options = options.with_showcase(showcase);
    }
    console::router(Arc::new(ConsoleBackend::new(Arc::clone(parts))), options)
}

fn metrics_page(registry: &Registry, parts: &Parts) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], telemetry::page(registry, parts)).into_response()
}

async fn readiness(State(parts): State<Arc<Parts>>) -> Response {
    let mut all: Vec<_> = parts
        .tasks
        .health()
        .into_iter()
        .map(|(part, task)| PartReadiness { part, ready: task.running, detail: task.error })
        .map(|part| if part.ready { PartReadiness { detail: String::new(), ..part } } else { part })
        .collect();
    if parts.collector.is_some() {
        all.push(PartReadiness { part: "collector".into(), ready: true, detail: String::new() });
    }
    if let Some(detector) = &parts.detector {
        let caught_up = detector.borrow().caught_up;
        let detail = if caught_up { "" } else { "replaying what it judged before" };
        all.push(PartReadiness { part: "detector state".into(), ready: caught_up, detail: detail.into() });
    }
    let stores = stores(&parts);
    // One store that works is enough.
    let readable = stores.is_empty() || stores.iter().any(|store| store.ready);
    let ready = readable && all.iter().all(|part| part.ready);
    all.extend(stores);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, parts: all })).into_response()
}

/// How each store stands.
fn stores(parts: &Parts) -> Vec<PartReadiness> {
    let standings = super::replicas::standings(parts).into_iter();
    standings.map(|(name, standing)| store(&name, &standing)).collect()
}

/// How a store stands; one that was not reached since the start is not ready, though nothing failed yet.
fn store(name: &str, standing: &tsdb::Standing) -> PartReadiness {
    let waited_for = !standing.started && standing.trouble.is_none();
    PartReadiness {
        part: format!("store {name}"),
        ready: standing.started && standing.trouble.is_none(),
        detail: if waited_for { "not reached yet".into() } else { super::replicas::in_words(standing) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_ready_once_it_was_reached_and_takes_what_it_is_given() {
        let stands = |started, trouble: Option<&str>| {
            let trouble = trouble.map(str::to_owned);
            let part = store("a", &tsdb::Standing { started, trouble, ..tsdb::Standing::default() });
            (part.ready, part.detail)
        };
        assert_eq!(stands(false, None), (false, "not reached yet".into()));
        assert_eq!(stands(false, Some("refused")), (false, "refused".into()));
        assert_eq!(stands(true, None), (true, String::new()));
        assert_eq!(stands(true, Some("refused")), (false, "refused".into()));
    }
}
