//! E-mail by SMTP.
//!
//! One message to each recipient, plain text and HTML. The Message-ID is the idempotency key, so that a message sent
//! again is the same message to every mail store that looks; later messages of an incident refer to its first. What a
//! server answers decides: 4xx before or after the text is transient, 5xx permanent; silence after the text was handed
//! over is `unknown`, silence before it transient. Every attempt has a connection of its own and one deadline.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use model::{Clock, HumanDuration, Secret, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChannelType, one_line, read_secret, within};
use crate::Language;
use crate::channel::{Channel, Notification, Outcome, ProbeError, Receipt};
use crate::route::below;
use crate::validate::Problems;

/// The type's name.
pub const KIND: &str = "email";

/// How long a wrong password is left alone, so that the server does not lock the account.
const AUTH_RETRY: Duration = Duration::from_secs(300);

/// E-mail by SMTP. Every recipient gets a message of its own, so that one bad address costs nobody else anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// Recipients: `ops@example.com` or `Ops <ops@example.com>`.
    pub to: Vec<String>,
    /// Sender.
    #[serde(default = "default_from")]
    pub from: String,
    /// Host of the SMTP server.
    #[serde(default = "default_host")]
    pub host: String,
    /// Port; default 465 with `tls: tls`, 587 with `starttls`, 25 with `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Encryption; default `starttls`, but `none` to a loopback host.
    #[serde(default)]
    pub tls: Option<TlsMode>,
    /// A PEM file with the certificate authority of the server, when it is a private one.
    #[serde(default)]
    pub tls_ca_file: Option<String>,
    /// Name to log in with; without it there is no login.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password; read at every attempt, so that it may change.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Deadline of one attempt, connecting included.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
}

/// How the connection to the SMTP server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Not at all.
    None,
    /// By STARTTLS; a server that does not offer it gets no message.
    Starttls,
    /// From the first byte.
    Tls,
}

fn default_from() -> String {
    "Tidemark <tidemark@localhost>".to_owned()
}

fn default_host() -> String {
    "localhost".to_owned()
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(30)
}

impl EmailConfig {
    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn tls_mode(&self) -> TlsMode {
        let default = if self.is_loopback() { TlsMode::None } else { TlsMode::Starttls };
        self.tls.unwrap_or(default)
    }

    fn port_number(&self) -> u16 {
        self.port.unwrap_or(match self.tls_mode() {
            TlsMode::None => 25,
            TlsMode::Starttls => 587,
            TlsMode::Tls => 465,
        })
    }
}

impl ChannelType for EmailConfig {
    const KIND: &'static str = KIND;
    const ABOUT: &'static str = "E-mail by SMTP.";

    fn recipients(&self) -> Vec<String> {
        self.to.clone()
    }

    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
        Ok(Arc::new(Email::new(self.clone(), clock)?))
    }

    fn check(&self, path: &[String], problems: &mut Problems) {
        if self.to.is_empty() {
            problems.add(&below(path, "to"), "e-mail needs at least one recipient");
        }
        for (index, to) in self.to.iter().enumerate() {
            if let Err(message) = mailbox(to) {
                problems.add(&below(&below(path, "to"), &index.to_string()), &message);
            }
        }
        if let Err(message) = mailbox(&self.from) {
            problems.add(&below(path, "from"), &message);
        }
        if self.host.trim().is_empty() {
            problems.add(&below(path, "host"), "host of the SMTP server is empty");
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.password.is_some() && self.password_file.is_some() {
            problems.add(&below(path, "password_file"), "give password or password_file, not both");
        }
        if self.username.is_some() != has_password {
            problems.add(path, "username and password (or password_file) go together");
        }
        if has_password && self.tls_mode() == TlsMode::None && !self.is_loopback() {
            problems
                .add(&below(path, "tls"), "a password is not sent without encryption: use starttls or tls");
        }
        if self.timeout.0.is_zero() {
            problems.add(&below(path, "timeout"), "timeout must be above zero");
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    Mailbox::from_str(text).map_err(|_| {
        format!("`{text}` is not a mail address: write ops@example.com or Ops <ops@example.com>")
    })
}

/// The channel.
pub struct Email {
    config: EmailConfig,
    from: Mailbox,
    tls: Option<TlsParameters>,
    clock: Arc<dyn Clock>,
}

/// Where an attempt stopped.
enum Stopped {
    /// The server or the network said no.
    Smtp(lettre::transport::smtp::Error),
    /// The server did not take the login.
    Login(lettre::transport::smtp::Error),
    /// Something before the network.
    Local(String),
}

impl Stopped {
    /// Whether the server was there, or was not even asked.
    fn is_answer(&self) -> bool {
        match self {
            Self::Smtp(error) | Self::Login(error) => error.is_permanent() || error.is_transient(),
            Self::Local(_) => true,
        }
    }
}

impl Email {
    /// Makes the channel.
    ///
    /// # Errors
    /// When a file cannot be read or an address is none.
    pub fn new(config: EmailConfig, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let from = mailbox(&config.from)?;
        read_secret(config.password.as_ref(), config.password_file.as_deref())?;
        let tls = match config.tls_mode() {
            TlsMode::None => None,
            TlsMode::Starttls | TlsMode::Tls => Some(tls_parameters(&config)?),
        };
        Ok(Self { config, from, tls, clock })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Stopped> {
        let hello = ClientId::default();
        let implicit = if self.config.tls_mode() == TlsMode::Tls { self.tls.clone() } else { None };
        let server = (self.config.host.as_str(), self.config.port_number());
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, None, &hello, implicit, None)
            .await
            .map_err(Stopped::Smtp)?;
        if let (TlsMode::Starttls, Some(tls)) = (self.config.tls_mode(), &self.tls) {
            if !connection.can_starttls() {
                return Err(Stopped::Local("the server does not offer STARTTLS".to_owned()));
            }
            connection.starttls(tls.clone(), &hello).await.map_err(Stopped::Smtp)?;
        }
        self.log_in(&mut connection).await?;
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), Stopped> {
        let Some(username) = &self.config.username else { return Ok(()) };
        let password = read_secret(self.config.password.as_ref(), self.config.password_file.as_deref())
            .map_err(Stopped::Local)?
            .unwrap_or_default();
        let credentials = Credentials::new(username.clone(), password.expose().to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        connection.auth(&mechanisms, &credentials).await.map_err(Stopped::Login)?;
        Ok(())
    }

    /// Sends one message; `handed_over` is set just before the server gets the text.
    async fn send(&self, notification: &Notification, handed_over: &AtomicBool) -> Result<Receipt, Stopped> {
        let to = mailbox(&notification.recipient).map_err(Stopped::Local)?;
        let mail = self.mail(notification, &to).map_err(Stopped::Local)?;
        let mut connection = self.connect().await?;
        let commands = [
            Mail::new(Some(self.from.email.clone()), Vec::new()).to_string(),
            Rcpt::new(to.email, Vec::new()).to_string(),
            Data.to_string(),
        ];
        for command in commands {
            connection.command(command).await.map_err(Stopped::Smtp)?;
        }
        handed_over.store(true, Ordering::Relaxed);
        let answer = connection.message(&mail).await.map_err(Stopped::Smtp)?;
        let detail = format!("{} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" "));
        // The server has it: a QUIT that hangs changes nothing.
        within(&*self.clock, Duration::from_secs(1), connection.quit()).await;
        Ok(Receipt { provider_id: self.message_id(&notification.key), detail, delivered: false, parts: 0 })
    }

    fn message_id(&self, key: &str) -> String {
        format!("<{key}@{}>", self.from.email.domain())
    }

    /// The whole mail; the same to the last byte at every attempt.
    fn mail(&self, notification: &Notification, to: &Mailbox) -> Result<Vec<u8>, String> {
        let message = &notification.message;
        let created = Duration::from_nanos(message.created_at.as_nanos().max(0).unsigned_abs());
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(to.clone())
            .date(SystemTime::UNIX_EPOCH + created)
            .subject(message.subject.replace(['\r', '\n'], " "))
            .message_id(Some(self.message_id(&notification.key)));
        if let Some(first) = &notification.thread {
            builder = builder.in_reply_to(self.message_id(first)).references(self.message_id(first));
        }
        for (name, value) in [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All")] {
            builder = builder.raw_header(header(name, value));
        }
        builder = builder.raw_header(header("X-Tidemark-Incident", &message.incident));
        if message.alerts.iter().any(|alert| alert.severity == Severity::P0) {
            builder = builder.raw_header(header("Importance", "high"));
        }
        let (text, html) = with_link(notification);
        let body = MultiPart::alternative()
            .boundary(notification.key.clone())
            .singlepart(SinglePart::plain(text))
            .singlepart(SinglePart::html(html));
        let mail = builder.multipart(body).map_err(|error| format!("cannot write the mail: {error}"))?;
        Ok(mail.formatted())
    }

    fn outcome(&self, stopped: Stopped, handed_over: bool) -> Outcome {
        let place = format!("{}:{}", self.config.host, self.config.port_number());
        match stopped {
            Stopped::Local(message) => Outcome::Transient { retry_after: None, message },
            Stopped::Login(error) => Outcome::Transient {
                retry_after: error.is_permanent().then_some(AUTH_RETRY),
                message: format!("{place} refused the login: {}", one_line(&error)),
            },
            Stopped::Smtp(error) if error.is_permanent() => {
                Outcome::Permanent { message: format!("{place} refused the message: {}", one_line(&error)) }
            }
            Stopped::Smtp(error) if handed_over && !error.is_transient() => {
                Outcome::Unknown { message: format!("{place} left without an answer: {}", one_line(&error)) }
            }
            Stopped::Smtp(error) => {
                Outcome::Transient { retry_after: None, message: format!("{place}: {}", one_line(&error)) }
            }
        }
    }
}

/// Text and HTML of the mail, with the link whose page acknowledges: every recipient has one of its own.
fn with_link(notification: &Notification) -> (String, String) {
    let message = &notification.message;
    let (text, html) = (message.text.clone(), message.html.clone());
    let base = message.external_url.trim_end_matches('/');
    let Some(token) = notification.acknowledge.as_deref().filter(|_| !base.is_empty()) else {
        return (text, html);
    };
    let (url, word) = (
        format!("{base}/ack/{token}"),
        match message.language {
            Language::En => "Acknowledge",
            Language::Zh => "确认告警",
        },
    );
    let shown = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let link = format!("<p style=\"text-align:center\"><a href=\"{shown}\">{word}</a></p>\n</body>");
    let (before, footer) = text.rsplit_once("\n-- ").unwrap_or((&text, ""));
    (format!("{before}\n{word}: {url}\n\n-- {footer}"), html.replacen("</body>", &link, 1))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn tls_parameters(config: &EmailConfig) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.tls_ca_file {
        let pem = std::fs::read(path).map_err(|error| format!("cannot read tls_ca_file {path}: {error}"))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|error| format!("tls_ca_file {path} holds no certificate: {}", one_line(&error)))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| format!("cannot set up TLS: {}", one_line(&error)))
}

#[async_trait]
impl Channel for Email {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn recipients(&self) -> Vec<String> {
        self.config.to.clone()
    }

    fn timeout(&self) -> Duration {
        self.config.timeout.0
    }

    async fn deliver(&self, notification: &Notification) -> Outcome {
        let handed_over = AtomicBool::new(false);
        let sending = Box::pin(self.send(notification, &handed_over));
        let result = within(&*self.clock, self.config.timeout.0, sending).await;
        let handed_over = handed_over.load(Ordering::Relaxed);
        let late = || format!("{} did not answer within {}", self.config.host, self.config.timeout);
        match result {
            Some(Ok(receipt)) => Outcome::Receipt(receipt),
            Some(Err(stopped)) => self.outcome(stopped, handed_over),
            None if handed_over => Outcome::Unknown { message: late() },
            None => Outcome::Transient { retry_after: None, message: late() },
        }
    }

    async fn probe(&self) -> Result<String, ProbeError> {
        let connecting = Box::pin(async {
            let mut connection = self.connect().await?;
            let name = connection.server_info().name().to_owned();
            within(&*self.clock, Duration::from_secs(1), connection.quit()).await;
            Ok::<_, Stopped>(name)
        });
        match within(&*self.clock, self.config.timeout.0, connecting).await {
            Some(Ok(name)) => Ok(format!("{name} answers")),
            Some(Err(stopped)) => {
                let answered = stopped.is_answer();
                let message = self.outcome(stopped, false).detail().to_owned();
                Err(if answered { ProbeError::Wrong(message) } else { ProbeError::Unreachable(message) })
            }
            None => Err(ProbeError::Unreachable(format!(
                "{} did not answer within {}",
                self.config.host, self.config.timeout
            ))),
        }
    }
}
