//! The pages.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;

use crate::api::Shared;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/", get(overview))
}

async fn overview(State(_shared): State<Shared>) -> Html<&'static str> {
    Html("<!doctype html>")
}
