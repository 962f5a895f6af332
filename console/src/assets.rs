//! Scripts, styles and the icon, compiled in. Each is answered with a validator, so that a browser asks again after an
//! upgrade and pays nothing otherwise.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Every asset.
const ASSETS: &[Asset] = &[
    Asset { name: "alert.js", content_type: JAVASCRIPT, body: include_str!("../assets/alert.js") },
    Asset {
        name: "app.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("../assets/app.css"),
    },
    Asset { name: "chart.js", content_type: JAVASCRIPT, body: include_str!("../assets/chart.js") },
    Asset { name: "format.js", content_type: JAVASCRIPT, body: include_str!("../assets/format.js") },
    Asset { name: "icon.svg", content_type: "image/svg+xml", body: include_str!("../assets/icon.svg") },
    Asset { name: "overview.js", content_type: JAVASCRIPT, body: include_str!("../assets/overview.js") },
    Asset { name: "page.js", content_type: JAVASCRIPT, body: include_str!("../assets/page.js") },
    Asset { name: "rows.js", content_type: JAVASCRIPT, body: include_str!("../assets/rows.js") },
    Asset { name: "series.js", content_type: JAVASCRIPT, body: include_str!("../assets/series.js") },
];

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/assets/{name}", get(asset))
        .route("/favicon.ico", get(|headers| asset(Path("icon.svg".to_owned()), headers)))
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "no such asset\n").into_response();
    };
    let etag = etag_of(&[asset.body]);
    let common = [(ETAG, etag.as_str()), (CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, asset.content_type)];
    if matches_etag(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, asset.body).into_response()
}

/// A validator of these parts: the same in every process of this build.
pub(crate) fn etag_of(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether the request already has this version.
pub(crate) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    let sent = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
}
