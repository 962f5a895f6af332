//! The pages. Each is rendered whole on the server in the visitor's language, so that a link from a mail says all it
//! has to say even where no script runs; scripts then keep it up to date.

mod alert;
mod layout;
mod series;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use axum::routing::get;
use minijinja::context;
use minijinja::value::Serde;
use model::AlertId;

use crate::api::Shared;
use layout::Visit;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(overview))
        .route("/alerts", get(|| async { Redirect::temporary("/#alerts") }))
        .route("/alerts/{id}", get(alert_page))
        .route("/series/{id}", get(series::page))
}

async fn overview(visit: Visit) -> Response {
    visit.page(StatusCode::OK, "overview.html", context! {})
}

async fn alert_page(State(shared): State<Shared>, Path(id): Path<String>, visit: Visit) -> Response {
    let Ok(id) = id.parse::<AlertId>() else { return visit.not_found("no_such_alert") };
    match shared.within_deadline(shared.backend().alert(id)).await {
        Ok(Some(detail)) => {
            let view = alert::view(&detail, visit.language);
            visit.page(StatusCode::OK, "alert.html", context! { a => Serde(view) })
        }
        Ok(None) => visit.not_found("no_such_alert"),
        Err(error) => visit.unavailable(&error),
    }
}
