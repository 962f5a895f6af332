//! Phone calls by Twilio (<https://www.twilio.com/docs/voice/api/call-resource>).
//!
//! The call says what happened, twice, in the receiver's language, and where the outside can reach this Tidemark key 1
//! acknowledges: the pressed key comes back to `{external_url}/hooks/twilio/key/{signed token}`, signed by the provider.
//! A call that was not made yet is dropped when its incident is acknowledged. `accepted` with the provider's id is the
//! end: whether somebody answered is not followed.

mod speech;
mod twiml;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Clock, HumanDuration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChannelType;
use super::twilio::{self, Account, Noun, Twilio, Wanted};
use crate::channel::{Callback, Channel, Found, Notification, Outcome, ProbeError, Unanswered};
use crate::route::below;
use crate::validate::Problems;

pub use twiml::{Reply, reply};

/// The type's name.
pub const KIND: &str = "twilio_call";

const CALL: Noun = Noun { list: "Calls", name: "call", prefixes: &["CA"] };

/// Phone calls by Twilio. Every recipient is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwilioCallConfig {
    /// Recipients in E.164: `+8613800138000`.
    pub to: Vec<String>,
    /// The account: `AC` and 32 hex digits.
    pub account_sid: String,
    /// The account's token. This, its file or an API key is required; without the token no key can acknowledge, since
    /// the provider's own requests are signed with it.
    #[serde(default)]
    pub auth_token: Option<Secret>,
    /// A file that holds the token; read at every attempt, so that it may change.
    #[serde(default)]
    pub auth_token_file: Option<String>,
    /// An API key to log in with instead: `SK` and 32 hex digits.
    #[serde(default)]
    pub api_key_sid: Option<String>,
    /// The key's secret.
    #[serde(default)]
    pub api_key_secret: Option<Secret>,
    /// A file that holds the key's secret; read at every attempt, so that it may change.
    #[serde(default)]
    pub api_key_secret_file: Option<String>,
    /// The number that calls, in E.164.
    pub from: String,
    /// The voice, such as `Polly.Zhiyu`; default the account's own for the receiver's language.
    #[serde(default)]
    pub voice: Option<String>,
    /// Where the API is; for proxies and tests.
    #[serde(default = "twilio::default_url")]
    pub url: String,
    /// Deadline of one attempt, connecting included.
    #[serde(default = "twilio::default_timeout")]
    pub timeout: HumanDuration,
}

impl TwilioCallConfig {
    fn account(&self) -> Account {
        Account {
            sid: self.account_sid.clone(),
            auth_token: self.auth_token.clone(),
            auth_token_file: self.auth_token_file.clone(),
            api_key_sid: self.api_key_sid.clone(),
            api_key_secret: self.api_key_secret.clone(),
            api_key_secret_file: self.api_key_secret_file.clone(),
            url: self.url.clone(),
            timeout: self.timeout,
        }
    }
}

impl ChannelType for TwilioCallConfig {
    const KIND: &'static str = KIND;
    const ABOUT: &'static str = "Phone calls by Twilio.";
    const ENDS_WHEN_ACKNOWLEDGED: bool = true;

    fn recipients(&self) -> Vec<String> {
        self.to.clone()
    }

    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
        Ok(Arc::new(TwilioCall::new(self.clone(), clock)?))
    }

    fn check(&self, path: &[String], problems: &mut Problems) {
        twilio::check_recipients(&self.to, path, problems);
        self.account().check(path, problems);
        twilio::check_sender(&self.from, &below(path, "from"), problems);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.voice.as_ref().is_some_and(|voice| voice.is_empty() || !voice.chars().all(plain)) {
            problems.add(&below(path, "voice"), "a voice is a name such as Polly.Joanna");
        }
    }
}

/// The channel.
pub struct TwilioCall {
    config: TwilioCallConfig,
    twilio: Twilio,
}

impl TwilioCall {
    /// Makes the channel.
    ///
    /// # Errors
    /// When the address is none or a secret file cannot be read.
    pub fn new(config: TwilioCallConfig, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let twilio = Twilio::new(config.account(), clock)?;
        Ok(Self { config, twilio })
    }

    fn form(&self, notification: &Notification) -> Vec<(&'static str, String)> {
        let message = &notification.message;
        let has_token = self.config.account().has_token();
        let token = notification.acknowledge.as_deref().filter(|_| has_token);
        let action = token.and_then(|token| twilio::key_callback(&message.external_url, token));
        let script = twiml::call(message, self.config.voice.as_deref(), action.as_deref());
        let mut form = vec![
            ("To", notification.recipient.clone()),
            ("From", self.config.from.clone()),
            ("Twiml", script),
        ];
        let callback = twilio::status_callback(&message.external_url, &notification.key);
        form.extend(callback.filter(|_| has_token).map(|url| ("StatusCallback", url)));
        form
    }
}

#[async_trait]
impl Channel for TwilioCall {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn recipients(&self) -> Vec<String> {
        self.config.to.clone()
    }

    fn timeout(&self) -> Duration {
        self.twilio.timeout()
    }

    async fn deliver(&self, notification: &Notification) -> Outcome {
        self.twilio.create(CALL, notification, &self.form(notification), 0).await
    }

    async fn find(&self, notification: &Notification, unanswered: &Unanswered) -> Found {
        let from = Some(self.config.from.as_str());
        let wanted = Wanted { noun: CALL, since: "StartTime>", from, body: None, parts: 0 };
        self.twilio.search(&wanted, notification, unanswered).await
    }

    fn is_from_provider(&self, callback: &Callback<'_>) -> bool {
        self.twilio.signed(callback)
    }

    async fn probe(&self) -> Result<String, ProbeError> {
        self.twilio.probe().await
    }
}
