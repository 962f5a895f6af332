//! Talking to the running processes: found by the notes they left in their data folder, asked over HTTP with their tokens, each
//! request under a deadline. A note left behind by a process that died counts as none.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use crate::api::{ErrorAnswer, READYZ, Readiness, ReloadRefused};
use crate::cli::Role;
use crate::commands::CommandError;
use crate::runtime::process::{ProcessNote, running};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the running process.
// No `Debug`: the note holds a token.
pub(crate) struct Client {
    http: reqwest::Client,
    note: ProcessNote,
}

/// Why a request got no good answer.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// The process took the request and refused the configuration.
    Refused(ReloadRefused),
    /// Anything else.
    Failed(CommandError),
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refused) => Self::new(refused.errors.join("\n")),
            ClientError::Failed(error) => error,
        }
    }
}

/// HTTP to a process of the same machine, with so much time for an answer.
///
/// # Errors
/// When it cannot be set up.
pub(crate) fn http(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

impl Client {
    /// The process that has this role on this data folder; `None` when there is none.
    ///
    /// # Errors
    /// When HTTP cannot be set up.
    pub(crate) fn find(folder: &Path, role: Role) -> Result<Option<Self>, CommandError> {
        let note = running(folder).into_iter().find(|note| note.has(role));
        note.map(Self::to).transpose()
    }

    /// As [`Client::find`], for commands that change something and so need the process.
    ///
    /// # Errors
    /// When no process runs, or none with this role.
    pub(crate) fn need(folder: &Path, role: Role, command: &str) -> Result<Self, CommandError> {
        if let Some(found) = Self::find(folder, role)? {
            return Ok(found);
        }
        let others = Self::all(folder, command)?;
        let others: Vec<_> = others.iter().map(|other| other.note.roles_in_words()).collect();
        Err(CommandError::new(format!(
            "no tidemark with the role `{}` runs on {}, only: {}",
            role.as_str(),
            folder.display(),
            others.join("; ")
        )))
    }

    /// Every process that runs on this data folder, at least one.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn all(folder: &Path, command: &str) -> Result<Vec<Self>, CommandError> {
        let notes = running(folder);
        if notes.is_empty() {
            return Err(CommandError::new(format!(
                "no tidemark runs on {}: `tidemark {command}` needs one, start it with `tidemark run`",
                folder.display()
            )));
        }
        notes.into_iter().map(Self::to).collect()
    }

    /// Where the process said it is, and what it does.
    pub(crate) fn note(&self) -> &ProcessNote {
        &self.note
    }

    fn to(note: ProcessNote) -> Result<Self, CommandError> {
        let http = http(TIMEOUT).map_err(|error| CommandError::because("cannot set up HTTP", error))?;
        Ok(Self { http, note })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When the process cannot be reached in time or answers with an error.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, CommandError> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        Ok(self.ask(self.http.request(Method::GET, url)).await?)
    }

    /// Asks to do something.
    ///
    /// # Errors
    /// As [`Client::get`]; [`ClientError::Refused`] when a configuration was refused.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let url = self.url(path).map_err(ClientError::Failed)?;
        self.ask(self.http.request(Method::POST, url).json(body)).await
    }

    /// How ready the process is; a process that is not ready answers too.
    ///
    /// # Errors
    /// When it cannot be reached in time or answers rubbish.
    pub(crate) async fn readiness(&self) -> Result<Readiness, CommandError> {
        let pid = self.note.pid;
        let failed = |what: &str, error: reqwest::Error| {
            CommandError::because(format!("process {pid} {what}"), error.without_url())
        };
        let request = self.http.get(self.url(READYZ)?).bearer_auth(&self.note.token);
        let answer = request.send().await.map_err(|error| failed("cannot be reached", error))?;
        answer.json().await.map_err(|error| failed("does not say whether it is ready", error))
    }

    fn url(&self, path: &str) -> Result<url::Url, CommandError> {
        let text = format!("http://{}{path}", self.note.address);
        text.parse().map_err(|error| {
            CommandError::because(format!("process {} left no usable address", self.note.pid), error)
        })
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let pid = self.note.pid;
        let failed = |what: &str, error: reqwest::Error| {
            ClientError::Failed(CommandError::because(format!("process {pid} {what}"), error.without_url()))
        };
        let answer = request
            .bearer_auth(&self.note.token)
            .send()
            .await
            .map_err(|error| failed("cannot be reached", error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| failed("broke off its answer", error))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("process {pid} answers in a way this version does not know");
                ClientError::Failed(CommandError::because(message, error))
            });
        }
        if status == StatusCode::UNPROCESSABLE_ENTITY
            && let Ok(refused) = serde_json::from_slice(&bytes)
        {
            return Err(ClientError::Refused(refused));
        }
        let message = serde_json::from_slice::<ErrorAnswer>(&bytes)
            .map_or_else(|_| format!("process {pid} answers {status}"), |answer| answer.error);
        Err(ClientError::Failed(CommandError::new(message)))
    }
}
