//! Requests that carry their own proof instead of a token: what providers call back with, and signed links of messages.
//!
//! | request | proof | what it does |
//! |---|---|---|
//! | `POST /hooks/twilio/key/{token}` | our signature in the token, the provider's over the request | key 1 acknowledges |
//! | `POST /hooks/twilio/status/{key}` | the provider's signature | the provider has the message |
//! | `GET /ack/{token}` | our signature in the token | shows what would be acknowledged |
//! | `POST /ack/{token}` | the same | acknowledges |
//!
//! In a process without the role `notifier` they go on to the one that has it ([`super::forward`]).
//!
//! A token acknowledges what its message told, as bad as it told it, for a day; said again it changes nothing. The page
//! is in front of the link of mails because scanners open links. Bodies are small, and what is not signed here touches
//! no database but one look-up of a message's key.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use notifier::Notifier;
use notifier::channel::Callback;
use notifier::channels::twilio::{KEY_PATH, STATUS_PATH};
use notifier::channels::twilio_call::{Reply, reply};
use notifier::link::LinkError;
use notifier::store::Addressed;
use notifier::view::Acknowledged;

use super::Parts;
use super::forward::{self, Passing};

mod page;

/// Where the paths begin that the guard lets through.
pub(super) const PREFIXES: [&str; 2] = ["/hooks/", "/ack/"];

/// Largest body of a callback.
const BODY_LIMIT: usize = 16 << 10;

/// How long another process may take over it; providers wait for 15 seconds.
const PASSED_ON_WITHIN: Duration = Duration::from_secs(10);

/// Where a provider's signature stands.
pub(super) const SIGNATURE: &str = "x-twilio-signature";

/// Most fields of a callback that are looked at.
const FIELD_LIMIT: usize = 100;

type Shared = State<Arc<Parts>>;

/// The routes; of a process that does not notify, those by which the one that does is asked.
pub(super) fn routes(parts: &Parts) -> Router<Arc<Parts>> {
    let routes = Router::new()
        .route(&format!("{KEY_PATH}{{token}}"), post(key))
        .route(&format!("{STATUS_PATH}{{key}}"), post(status))
        .route("/ack/{token}", get(page::show).post(page::acknowledge));
    let refuse = |status, word| Refusal(status, word).into_response();
    let passing = Passing { deadline: PASSED_ON_WITHIN, guarded: false, refuse };
    forward::unless_here(routes, parts, passing).layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// A refusal in a word: who asks wrongly is told no more.
struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

fn notifier(parts: &Parts) -> Result<&Arc<Notifier>, Refusal> {
    parts.notifier.as_ref().ok_or(Refusal(StatusCode::SERVICE_UNAVAILABLE, forward::NOBODY))
}

fn broken(error: &notifier::NotifierError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "cannot take what was called back");
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, "not recorded, try again / 未能记录，请重试")
}

/// The message a token speaks of.
async fn opened(notifier: &Notifier, token: &str) -> Result<Addressed, Refusal> {
    match notifier.open_link(token).await {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(LinkError::Forged)) => {
            Err(Refusal(StatusCode::FORBIDDEN, "this link was not made here / 此链接不是由本系统生成"))
        }
        Ok(Err(LinkError::Expired)) => Err(Refusal(StatusCode::GONE, "this link is too old / 此链接已过期")),
        Err(error) => Err(broken(&error)),
    }
}

/// A callback's form, when the provider of the message's channel signed it.
fn signed_form(
    notifier: &Notifier,
    message: &Addressed,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<(String, String)>, Refusal> {
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(body).into_owned().take(FIELD_LIMIT).collect();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", message.message.external_url.trim_end_matches('/'));
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if notifier.is_from_provider(message, &Callback { url: &url, form: &form, signature }) {
        return Ok(form);
    }
    tracing::warn!(channel = message.channel, "a callback is not signed by its provider and was refused");
    Err(Refusal(StatusCode::FORBIDDEN, "the signature is not good"))
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// Somebody pressed a key.
async fn key(
    State(parts): Shared,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let notifier = notifier(&parts)?;
    let message = opened(notifier, &token).await?;
    let form = signed_form(notifier, &message, &uri, &headers, &body)?;
    let answer = match field(&form, "Digits") {
        "1" => match notifier.acknowledge_message(&message).await {
            Ok(Acknowledged::Done | Acknowledged::Already) => Reply::Acknowledged,
            Ok(Acknowledged::Worse) => Reply::Worse,
            Ok(Acknowledged::Resolved | Acknowledged::NotFiring) => Reply::Resolved,
            Err(error) => {
                broken(&error);
                Reply::Failed
            }
        },
        _ => Reply::NotUnderstood,
    };
    let again = format!("{}{KEY_PATH}{token}", message.message.external_url.trim_end_matches('/'));
    let script = reply(answer, message.message.language, Some(&again));
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], script).into_response())
}

/// The provider says how a message does.
async fn status(
    State(parts): Shared,
    Path(key): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let notifier = notifier(&parts)?;
    let message = notifier.addressed(&key).await.map_err(|error| broken(&error))?;
    let message = message.ok_or(Refusal(StatusCode::FORBIDDEN, "the signature is not good"))?;
    let form = signed_form(notifier, &message, &uri, &headers, &body)?;
    notifier.provider_says(&key, &form).await.map_err(|error| broken(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
