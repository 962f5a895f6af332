//! SMS by Twilio (<https://www.twilio.com/docs/messaging/api/message-resource>).
//!
//! One line a person understands at 3 a.m., and the alert's page where the outside reaches it. `accepted` with the
//! provider's id is the end: what the carrier does later is not followed. The idempotency key travels in the address
//! of the status callback; when nobody answered, the account's list is searched before the message is sent again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Clock, HumanDuration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChannelType;
use super::twilio::{self, Account, Noun, Twilio, Wanted, segments};
use crate::channel::{Callback, Channel, Found, Notification, Outcome, ProbeError, Unanswered};
use crate::message::{Message, MessageKind, NoteStatus};
use crate::route::below;
use crate::validate::Problems;

/// The type's name.
pub const KIND: &str = "twilio_sms";

/// The most segments one message may have: beyond 1600 characters the provider takes none.
const MOST_SEGMENTS: u32 = 10;

const MESSAGE: Noun = Noun { list: "Messages", name: "message", prefixes: &["SM", "MM"] };

/// SMS by Twilio. Every recipient gets a message of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwilioSmsConfig {
    /// Recipients in E.164: `+8613800138000`.
    pub to: Vec<String>,
    /// The account: `AC` and 32 hex digits.
    pub account_sid: String,
    /// The account's token. This, its file or an API key is required.
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
    /// Sender: a number of the account in E.164, or a name of 1 to 11 letters and digits. This or
    /// `messaging_service_sid` is required.
    #[serde(default)]
    pub from: Option<String>,
    /// The messaging service that chooses the sender: `MG` and 32 hex digits.
    #[serde(default)]
    pub messaging_service_sid: Option<String>,
    /// How many segments (160 or 70 characters, in a longer text 153 or 67 each) a message may have, 1 to 10; what is
    /// longer is shortened.
    #[serde(default = "default_segments")]
    pub max_segments: u32,
    /// Where the API is; for proxies and tests.
    #[serde(default = "twilio::default_url")]
    pub url: String,
    /// Deadline of one attempt, connecting included.
    #[serde(default = "twilio::default_timeout")]
    pub timeout: HumanDuration,
}

fn default_segments() -> u32 {
    3
}

impl TwilioSmsConfig {
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

    fn check_from(&self, path: &[String], problems: &mut Problems) {
        match (&self.from, &self.messaging_service_sid) {
            (None, None) => problems.add(path, "from or messaging_service_sid is missing"),
            (Some(_), Some(_)) => {
                problems.add(
                    &below(path, "messaging_service_sid"),
                    "give from or messaging_service_sid, not both",
                );
            }
            (Some(from), None) if !is_name(from) => {
                twilio::check_sender(from, &below(path, "from"), problems)
            }
            (None, Some(sid)) if !twilio::is_sid("MG", sid) => {
                let message = "a messaging_service_sid is `MG` and 32 hex digits";
                problems.add(&below(path, "messaging_service_sid"), message);
            }
            _ => {}
        }
    }
}

/// Whether a sender is an alphanumeric name.
fn is_name(from: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '&' | '+');
    (1..=11).contains(&from.len())
        && !from.starts_with('+')
        && from.chars().all(plain)
        && from.chars().any(|c| c.is_ascii_alphabetic())
}

impl ChannelType for TwilioSmsConfig {
    const KIND: &'static str = KIND;
    const ABOUT: &'static str = "SMS by Twilio.";

    fn recipients(&self) -> Vec<String> {
        self.to.clone()
    }

    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
        Ok(Arc::new(TwilioSms::new(self.clone(), clock)?))
    }

    fn check(&self, path: &[String], problems: &mut Problems) {
        twilio::check_recipients(&self.to, path, problems);
        self.account().check(path, problems);
        self.check_from(path, problems);
        if !(1..=MOST_SEGMENTS).contains(&self.max_segments) {
            problems.add(&below(path, "max_segments"), "max_segments must be 1 to 10");
        }
    }
}

/// The channel.
pub struct TwilioSms {
    config: TwilioSmsConfig,
    twilio: Twilio,
}

impl TwilioSms {
    /// Makes the channel.
    ///
    /// # Errors
    /// When the address is none or a secret file cannot be read.
    pub fn new(config: TwilioSmsConfig, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let twilio = Twilio::new(config.account(), clock)?;
        Ok(Self { config, twilio })
    }

    fn text(&self, message: &Message) -> String {
        text(message, self.config.max_segments)
    }

    fn form(&self, notification: &Notification, text: &str) -> Vec<(&'static str, String)> {
        let mut form = vec![("To", notification.recipient.clone()), ("Body", text.to_owned())];
        form.extend(self.config.from.clone().map(|from| ("From", from)));
        form.extend(self.config.messaging_service_sid.clone().map(|sid| ("MessagingServiceSid", sid)));
        // The text is counted as it stands: nothing is to replace its characters.
        form.push(("SmartEncoded", "false".to_owned()));
        let callback = twilio::status_callback(&notification.message.external_url, &notification.key);
        form.extend(
            callback.filter(|_| self.config.account().has_token()).map(|url| ("StatusCallback", url)),
        );
        form
    }
}

/// What the SMS says: the whole sentence of a single alert that fires, else the subject; with the address of the
/// alert's page (of several alerts: of Tidemark) where the outside can reach it.
fn text(message: &Message, max_segments: u32) -> String {
    let link = match message.alerts.as_slice() {
        [only] if message.firing + message.resolved == 1 => only.url.as_str(),
        _ => message.external_url.as_str(),
    };
    let tail = if twilio::is_public(link) { format!(" {link}") } else { String::new() };
    if let (MessageKind::Firing, [only]) = (message.kind, message.alerts.as_slice())
        && only.status == NoteStatus::Firing
    {
        let whole = format!("[{}] {}{tail}", only.severity, only.sentence);
        if segments::count(&whole) <= max_segments {
            return whole;
        }
    }
    segments::shorten(&message.subject, &tail, max_segments)
}

#[async_trait]
impl Channel for TwilioSms {
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
        let text = self.text(&notification.message);
        let (parts, coding) = (segments::count(&text), segments::coding(&text).as_str());
        let form = self.form(notification, &text);
        match self.twilio.create(MESSAGE, notification, &form, parts).await {
            Outcome::Receipt(mut receipt) => {
                let plural = if parts == 1 { "" } else { "s" };
                receipt.detail = format!("{}, {parts} segment{plural} {coding}", receipt.detail);
                Outcome::Receipt(receipt)
            }
            other => other,
        }
    }

    async fn find(&self, notification: &Notification, unanswered: &Unanswered) -> Found {
        let text = self.text(&notification.message);
        let wanted = Wanted {
            noun: MESSAGE,
            since: "DateSent>",
            from: None,
            body: Some(text.trim_end()),
            parts: segments::count(&text),
        };
        self.twilio.search(&wanted, notification, unanswered).await
    }

    fn is_from_provider(&self, callback: &Callback<'_>) -> bool {
        self.twilio.signed(callback)
    }

    async fn probe(&self) -> Result<String, ProbeError> {
        self.twilio.probe().await
    }
}
