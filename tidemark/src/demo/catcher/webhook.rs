//! A webhook endpoint that verifies the Standard Webhooks signature and keeps what it received.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::Clock;
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Caught, Inbox};

/// How far a message's time may be from ours, in seconds.
const TOLERANCE_SECS: i64 = 300;
const MAX_BYTES: usize = 1 << 20;

/// What the endpoint knows.
#[derive(Clone)]
pub(crate) struct WebhookCatcher {
    inbox: Inbox,
    key: Arc<[u8]>,
    clock: Arc<dyn Clock>,
}

impl WebhookCatcher {
    /// An endpoint that believes what is signed with this key.
    pub(crate) fn new(inbox: Inbox, key: impl Into<Arc<[u8]>>, clock: Arc<dyn Clock>) -> Self {
        Self { inbox, key: key.into(), clock }
    }

    /// Its route, `/hook`.
    pub(crate) fn router(self) -> Router {
        Router::new().route("/hook", post(receive)).layer(DefaultBodyLimit::max(MAX_BYTES)).with_state(self)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, &'static str> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = text("webhook-id").ok_or("webhook-id is missing")?;
        let stamp = text("webhook-timestamp").ok_or("webhook-timestamp is missing")?;
        let given = text("webhook-signature").ok_or("webhook-signature is missing")?;
        let seconds: i64 = stamp.parse().map_err(|_| "webhook-timestamp is no number")?;
        if (self.clock.civil_now().as_secs() - seconds).abs() > TOLERANCE_SECS {
            return Err("webhook-timestamp is more than 5 minutes off");
        }
        let expected = self.signature(id, stamp, body).ok_or("the key cannot sign")?;
        let good = given.split(' ').any(|one| one.as_bytes().ct_eq(expected.as_bytes()).into());
        if good { Ok(id.to_owned()) } else { Err("the signature does not match") }
    }

    fn signature(&self, id: &str, stamp: &str, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(format!("{id}.{stamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

async fn receive(
    State(catcher): State<WebhookCatcher>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    match catcher.verify(&headers, &body) {
        Ok(id) => {
            catcher.inbox.put(caught(&body, &id));
            (StatusCode::OK, axum::Json(json!({ "id": id })))
        }
        Err(why) => (StatusCode::UNAUTHORIZED, axum::Json(json!({ "error": why }))),
    }
}

fn caught(body: &[u8], id: &str) -> Caught {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |path: &str| message.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Caught {
        channel: "webhook",
        receiver: text("/receiver"),
        subject: text("/tidemark/subject"),
        body: text("/tidemark/text"),
        detail: format!("webhook-id {id}, signature verified"),
        resolved: message.get("status").map(|status| status == "resolved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ManualClock, Timestamp};

    fn catcher() -> WebhookCatcher {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_614_265_330)));
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        WebhookCatcher::new(Inbox::new(Arc::clone(&clock)), key, clock)
    }

    fn headers(id: &str, stamp: &str, signature: &str) -> HeaderMap {
        let pairs = [("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", signature)];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// The vector of the Standard Webhooks reference libraries.
    #[test]
    fn only_what_is_signed_with_the_key_is_believed() {
        let (id, stamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let body = br#"{"test": 2432232314}"#;
        let check =
            |id, stamp, signature, body: &[u8]| catcher().verify(&headers(id, stamp, signature), body);
        assert_eq!(check(id, stamp, good, body), Ok(id.to_owned()));
        let two = format!("v1,AAAA {good}");
        assert_eq!(check(id, stamp, &two, body), Ok(id.to_owned()));
        assert_eq!(check(id, stamp, good, b"{}"), Err("the signature does not match"));
        assert_eq!(check(id, stamp, "v1,", body), Err("the signature does not match"));
        assert_eq!(check(id, "1614260000", good, body), Err("webhook-timestamp is more than 5 minutes off"));
        assert_eq!(check(id, "now", good, body), Err("webhook-timestamp is no number"));
        assert_eq!(check("", stamp, good, body), Err("webhook-id is missing"));
    }
}
