//! The page of a signed link: what would be acknowledged, and the button that does it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use notifier::Language;
use notifier::store::Addressed;
use notifier::view::Acknowledged;

use super::{Refusal, broken, notifier, opened};
use crate::runtime::Parts;

/// Nothing is loaded from anywhere, nothing runs, and the form goes back to this page alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Shows the message and the button; changes nothing, whoever opens it.
pub(super) async fn show(
    State(parts): State<Arc<Parts>>,
    Path(token): Path<String>,
) -> Result<Response, Refusal> {
    let message = opened(notifier(&parts)?, &token).await?;
    let button = match message.message.language {
        Language::En => "Acknowledge",
        Language::Zh => "确认告警",
    };
    Ok(page(&message, &format!("<form method=\"post\"><button>{button}</button></form>")))
}

/// Acknowledges what the message told.
pub(super) async fn acknowledge(
    State(parts): State<Arc<Parts>>,
    Path(token): Path<String>,
) -> Result<Response, Refusal> {
    let notifier = notifier(&parts)?;
    let message = opened(notifier, &token).await?;
    let came = notifier.acknowledge_message(&message).await.map_err(|error| broken(&error))?;
    Ok(page(&message, &format!("<p><b>{}</b></p>", words(came, message.message.language))))
}

const fn words(came: Acknowledged, language: Language) -> &'static str {
    match (came, language) {
        (Acknowledged::Done | Acknowledged::Already, Language::En) => "Acknowledged. Thank you.",
        (Acknowledged::Done | Acknowledged::Already, Language::Zh) => "已确认，谢谢。",
        (Acknowledged::Worse, Language::En) => "Not acknowledged: it got worse since this message.",
        (Acknowledged::Worse, Language::Zh) => "未确认：发出该消息后情况已经加重。",
        (Acknowledged::Resolved | Acknowledged::NotFiring, Language::En) => "It is already resolved.",
        (Acknowledged::Resolved | Acknowledged::NotFiring, Language::Zh) => "该告警已经恢复。",
    }
}

fn page(message: &Addressed, body: &str) -> Response {
    let (subject, lang) = (escape(&message.message.subject), message.message.language.as_str());
    let html = format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"referrer\" content=\"no-referrer\"><title>Tidemark</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1rem}}\
         button{{font:inherit;padding:.6rem 1.4rem}}</style></head>\
         <body><p>{subject}</p>{body}</body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, html).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
