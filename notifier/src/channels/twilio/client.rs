//! Requests to the provider, each with the account's login and one deadline.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Timestamp};
use reqwest::{Client, Method, Response, redirect};
use url::form_urlencoded;

use super::outcome::Answer;
use super::{Account, masked, signature};
use crate::channel::{Callback, Notification, Outcome, ProbeError};
use crate::channels::http::{self, bounded_text, failure, retry_after};
use crate::channels::{one_line, within};

/// How much of an answer is read; a page of a list fits well.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// The provider, as one account sees it.
pub(in crate::channels) struct Twilio {
    pub(super) account: Account,
    base: url::Url,
    pub(super) host: String,
    client: Client,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is made at the provider: a message or a call.
#[derive(Clone, Copy, Debug)]
pub(in crate::channels) struct Noun {
    /// Its list under the account: `Messages`.
    pub(in crate::channels) list: &'static str,
    /// Its name for people.
    pub(in crate::channels) name: &'static str,
    /// How its ids begin.
    pub(in crate::channels) prefixes: &'static [&'static str],
}

impl Twilio {
    /// Connects to nothing; secret files are read once, so that a missing one is found early.
    ///
    /// # Errors
    /// When the address is none or a secret file cannot be read.
    pub(in crate::channels) fn new(account: Account, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let base = account.base()?;
        account.credentials()?;
        account.token()?;
        let client = http::client(account.timeout.0)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| format!("cannot set up the client of Twilio: {}", one_line(&error)))?;
        Ok(Self { host: http::host(&base), account, base, client, clock })
    }

    /// Deadline of one attempt.
    pub(in crate::channels) fn timeout(&self) -> Duration {
        self.account.timeout.0
    }

    /// The address of something under the account.
    pub(super) fn address(&self, path: &str) -> url::Url {
        let mut url = self.base.clone();
        let before = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{before}/2010-04-01/Accounts/{}{path}", self.account.sid));
        url
    }

    /// Sends one request; what comes back is bounded.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: url::Url,
        form: Option<String>,
    ) -> Result<(Answer, Option<Timestamp>), Outcome> {
        let later = |message| Outcome::Transient { retry_after: None, message };
        let (name, password) = self.account.credentials().map_err(later)?;
        let mut request = self.client.request(method, url).basic_auth(name, Some(password.expose()));
        if let Some(form) = form {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        }
        match request.header("accept", "application/json").send().await {
            Ok(response) => Ok(self.read(response).await),
            Err(error) => Err(failure(&self.host, error)),
        }
    }

    async fn read(&self, response: Response) -> (Answer, Option<Timestamp>) {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), &*self.clock);
        let date = http::date(response.headers(), "date");
        let text = bounded_text(response, ANSWER_LIMIT_BYTES).await;
        (Answer { status, retry_after, json: serde_json::from_str(&text).ok() }, date)
    }

    /// Posts a form that makes a message or a call; says what became of it. The recipient's number is masked in what
    /// went wrong, since that goes to logs.
    pub(in crate::channels) async fn create(
        &self,
        noun: Noun,
        notification: &Notification,
        form: &[(&str, String)],
        parts: u32,
    ) -> Outcome {
        let url = self.address(&format!("/{}.json", noun.list));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let sending = Box::pin(self.ask(Method::POST, url, Some(form)));
        let outcome = match within(&*self.clock, self.timeout(), sending).await {
            Some(Ok((answer, _))) => answer.outcome(&self.host, noun.name, noun.prefixes, parts),
            Some(Err(outcome)) => outcome,
            None => Outcome::Unknown { message: self.late() },
        };
        mask(outcome, &notification.recipient)
    }

    pub(super) fn late(&self) -> String {
        format!("{} did not answer within {}", self.host, self.account.timeout)
    }

    /// Whether a request was signed with the account's token.
    pub(in crate::channels) fn signed(&self, callback: &Callback<'_>) -> bool {
        match self.account.token() {
            Ok(token) => token.is_some_and(|token| signature::is_valid(&token, callback)),
            Err(error) => {
                tracing::error!(%error, "cannot check a signature of Twilio");
                false
            }
        }
    }

    /// Reads the account: the login is tried and nothing is sent.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub(in crate::channels) async fn probe(&self) -> Result<String, ProbeError> {
        let asking = Box::pin(self.ask(Method::GET, self.address(".json"), None));
        match within(&*self.clock, self.timeout(), asking).await {
            Some(Ok((answer, _))) if answer.status == 200 => {
                let status = answer.json.as_ref().and_then(|json| json["status"].as_str()).unwrap_or("?");
                if status == "active" {
                    Ok(format!("{} answers, the account is active", self.host))
                } else {
                    let message = format!("{} answers, but the account is {status}", self.host);
                    Err(ProbeError::Wrong(message))
                }
            }
            Some(Ok((answer, _))) => {
                Err(ProbeError::Wrong(format!("{} answered {}", self.host, answer.summary())))
            }
            Some(Err(outcome)) => Err(outcome.into()),
            None => Err(ProbeError::Unreachable(self.late())),
        }
    }
}

fn mask(outcome: Outcome, recipient: &str) -> Outcome {
    let hide = |text: String| text.replace(recipient, &masked(recipient));
    match outcome {
        Outcome::Receipt(receipt) => Outcome::Receipt(receipt),
        Outcome::Transient { retry_after, message } => {
            Outcome::Transient { retry_after, message: hide(message) }
        }
        Outcome::Permanent { message } => Outcome::Permanent { message: hide(message) },
        Outcome::Unknown { message } => Outcome::Unknown { message: hide(message) },
    }
}
