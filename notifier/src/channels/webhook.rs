//! Signed webhooks (Standard Webhooks, <https://github.com/standard-webhooks/standard-webhooks>).
//!
//! The body is Alertmanager's webhook body (version 4), so that what reads Alertmanager reads us, with our numbers
//! beside. `webhook-id` is the idempotency key, `webhook-signature` is made anew for the time of every attempt. Only a
//! 2xx answer is a receipt. 410 and answers that speak of the body itself (400, 413, 415, 422) and redirects are
//! permanent; everything else may pass, and `Retry-After` is honoured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::{Clock, HumanDuration, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::http::{self, bounded_text, failure, retry_after};
use super::{ChannelType, one_line, read_secret, within};
use crate::channel::{Channel, Notification, Outcome, ProbeError, Receipt};
use crate::message::body;
use crate::route::below;
use crate::validate::Problems;

/// The type's name.
pub const KIND: &str = "webhook";

/// How much of an answer is read: enough for an id and an error, whatever is sent.
const ANSWER_LIMIT_BYTES: usize = 16 << 10;

const SECRET_FORM: &str = "the key must be `whsec_` and the base64 of 24 to 64 random bytes";

/// A signed webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to POST. Never shown, since some providers put their key into it.
    pub url: Secret,
    /// Key of the signature: `whsec_` and the base64 of 24 to 64 random bytes. This or `secret_file` is required.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// A file that holds the key; read at every attempt, so that it may change.
    #[serde(default)]
    pub secret_file: Option<String>,
    /// Further headers, such as `Authorization`; values are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Whether redirects are followed: 307 and 308 to the same scheme, host and port alone.
    #[serde(default)]
    pub follow_redirects: bool,
    /// Deadline of one attempt, connecting included.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// How many alerts the body lists at most; 0 = all a message carries (100). What is left out is counted in
    /// `truncatedAlerts`.
    #[serde(default)]
    pub max_alerts: usize,
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(10)
}

impl WebhookConfig {
    fn parsed_url(&self) -> Result<url::Url, String> {
        let url = url::Url::parse(self.url.expose()).ok().filter(|url| url.has_host());
        url.filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| "url is not an absolute http or https address".to_owned())
    }

    /// Host and port: all of the address that is ever shown.
    pub fn host(&self) -> String {
        self.parsed_url().map_or_else(|_| "?".to_owned(), |url| http::host(&url))
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let key =
                HeaderName::try_from(name.as_str()).map_err(|_| format!("`{name}` is not a header name"))?;
            let mut value = HeaderValue::try_from(value.expose())
                .map_err(|_| format!("the value of header `{name}` holds characters a header cannot"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }
}

impl ChannelType for WebhookConfig {
    const KIND: &'static str = KIND;
    const ABOUT: &'static str = "A signed webhook.";

    fn recipients(&self) -> Vec<String> {
        vec![self.host()]
    }

    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
        Ok(Arc::new(Webhook::new(self.clone(), clock)?))
    }

    fn check(&self, path: &[String], problems: &mut Problems) {
        if let Err(message) = self.parsed_url() {
            problems.add(&below(path, "url"), &message);
        }
        match (&self.secret, &self.secret_file) {
            (None, None) => problems.add(path, &format!("secret or secret_file is missing: {SECRET_FORM}")),
            (Some(_), Some(_)) => {
                problems.add(&below(path, "secret_file"), "give secret or secret_file, not both")
            }
            (Some(secret), None) => {
                if signing_key(secret).is_none() {
                    problems.add(&below(path, "secret"), SECRET_FORM);
                }
            }
            (None, Some(_)) => {}
        }
        if let Err(message) = self.headers() {
            problems.add(&below(path, "headers"), &message);
        }
        if self.timeout.0.is_zero() {
            problems.add(&below(path, "timeout"), "timeout must be above zero");
        }
    }
}

fn signing_key(secret: &Secret) -> Option<Vec<u8>> {
    let encoded = secret.expose().trim().strip_prefix("whsec_")?;
    let key = STANDARD.decode(encoded).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// The signature header of a body: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
fn sign(key: &[u8], id: &str, timestamp_secs: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{timestamp_secs}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The channel.
pub struct Webhook {
    config: WebhookConfig,
    url: url::Url,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// Makes the channel.
    ///
    /// # Errors
    /// When the address, the key or a header has not its form, or the secret file cannot be read.
    pub fn new(config: WebhookConfig, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let url = config.parsed_url()?;
        let redirects =
            if config.follow_redirects { same_origin_redirects() } else { redirect::Policy::none() };
        let client = http::client(config.timeout.0)
            .redirect(redirects)
            .default_headers(config.headers()?)
            .build()
            .map_err(|error| format!("cannot set up the webhook's client: {}", one_line(&error)))?;
        let webhook = Self { config, url, client, clock };
        webhook.key()?;
        Ok(webhook)
    }

    fn key(&self) -> Result<Vec<u8>, String> {
        let secret = read_secret(self.config.secret.as_ref(), self.config.secret_file.as_deref())?;
        let secret = secret.ok_or_else(|| "secret or secret_file is missing".to_owned())?;
        signing_key(&secret).ok_or_else(|| SECRET_FORM.to_owned())
    }

    async fn post(&self, notification: &Notification) -> Outcome {
        let later = |message| Outcome::Transient { retry_after: None, message };
        let key = match self.key() {
            Ok(key) => key,
            Err(message) => return later(message),
        };
        let body = body::render(notification, self.config.max_alerts);
        let seconds = notification.attempt_at.as_secs();
        let Some(signature) = sign(&key, &notification.key, seconds, &body) else {
            return later(SECRET_FORM.to_owned());
        };
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &notification.key)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signature)
            .body(body);
        match request.send().await {
            Ok(response) => self.judge(response).await,
            Err(error) => failure(&self.config.host(), error),
        }
    }

    async fn judge(&self, response: Response) -> Outcome {
        let status = response.status();
        let retry_after = retry_after(response.headers(), &*self.clock);
        let answer = bounded_text(response, ANSWER_LIMIT_BYTES).await;
        let detail = format!("{} {}", status.as_u16(), answer.chars().take(200).collect::<String>());
        let detail = detail.trim_end().to_owned();
        if status.is_success() {
            return Outcome::Receipt(Receipt {
                provider_id: provider_id(&answer),
                detail,
                delivered: true,
                parts: 0,
            });
        }
        let message = format!("{} answered {detail}", self.config.host());
        if is_permanent(status) {
            Outcome::Permanent { message }
        } else {
            Outcome::Transient { retry_after, message }
        }
    }
}

/// Follows what keeps the POST and stays with the host that may see the headers; any other redirect is the answer.
fn same_origin_redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
        let from = attempt.previous().last().map(url::Url::origin);
        let stays = from.is_some_and(|from| from == attempt.url().origin());
        if keeps_method && stays && attempt.previous().len() <= 5 { attempt.follow() } else { attempt.stop() }
    })
}

fn is_permanent(status: StatusCode) -> bool {
    status.is_redirection() || matches!(status.as_u16(), 400 | 410 | 413 | 415 | 422)
}

/// What an answer calls the message, when it is JSON with an `id`.
fn provider_id(answer: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(answer).ok();
    parsed.and_then(|value| value.get("id")?.as_str().map(str::to_owned)).unwrap_or_default()
}

#[async_trait]
impl Channel for Webhook {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn recipients(&self) -> Vec<String> {
        vec![self.config.host()]
    }

    fn timeout(&self) -> Duration {
        self.config.timeout.0
    }

    async fn deliver(&self, notification: &Notification) -> Outcome {
        let late = || format!("{} did not answer within {}", self.config.host(), self.config.timeout);
        within(&*self.clock, self.config.timeout.0, Box::pin(self.post(notification)))
            .await
            .unwrap_or_else(|| Outcome::Unknown { message: late() })
    }

    /// Any HTTP answer shows that somebody is there; nothing is posted.
    async fn probe(&self) -> Result<String, ProbeError> {
        let late = || format!("{} did not answer within {}", self.config.host(), self.config.timeout);
        let asking = Box::pin(self.client.head(self.url.clone()).send());
        match within(&*self.clock, self.config.timeout.0, asking).await {
            // A receiver need not know HEAD (405, 501), nor let it in without a signature (401, 403).
            Some(Ok(response)) => match (self.config.host(), response.status().as_u16()) {
                (host, status @ (404 | 410)) => {
                    let message = format!("{host} answers ({status}): nothing is at the path of `url`");
                    Err(ProbeError::Wrong(message))
                }
                (host, status @ (500 | 502..)) => {
                    Err(ProbeError::Wrong(format!("{host} answers ({status})")))
                }
                (host, status) => Ok(format!("{host} answers ({status})")),
            },
            Some(Err(error)) => Err(failure(&self.config.host(), error).into()),
            None => Err(ProbeError::Unreachable(late())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the Standard Webhooks reference libraries.
    #[test]
    fn the_published_signature_comes_out() {
        let key = signing_key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn keys_have_one_form() {
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_dG9vIHNob3J0", "whsec_!!!!"] {
            assert!(signing_key(&Secret::new(bad)).is_none(), "{bad}");
        }
    }
}
