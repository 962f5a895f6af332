//! Whose account is used, and how it is logged in to.

use model::{HumanDuration, Secret};

use crate::channels::read_secret;
use crate::route::below;
use crate::validate::Problems;

/// An account as a channel's section names it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::channels) struct Account {
    /// `AC..`.
    pub(in crate::channels) sid: String,
    /// The account's token, in place.
    pub(in crate::channels) auth_token: Option<Secret>,
    /// The account's token, in a file.
    pub(in crate::channels) auth_token_file: Option<String>,
    /// `SK..`.
    pub(in crate::channels) api_key_sid: Option<String>,
    /// The key's secret, in place.
    pub(in crate::channels) api_key_secret: Option<Secret>,
    /// The key's secret, in a file.
    pub(in crate::channels) api_key_secret_file: Option<String>,
    /// Where the API is.
    pub(in crate::channels) url: String,
    /// Deadline of one attempt.
    pub(in crate::channels) timeout: HumanDuration,
}

/// Where the API is when nothing else is said.
pub(in crate::channels) fn default_url() -> String {
    "https://api.twilio.com".to_owned()
}

impl Account {
    /// The address of the API.
    ///
    /// # Errors
    /// A sentence when it is none.
    pub(super) fn base(&self) -> Result<url::Url, String> {
        let plain =
            |url: &url::Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let url = url::Url::parse(&self.url).ok().filter(|url| url.has_host() && plain(url));
        url.filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| "url is not the plain http or https address of an API".to_owned())
    }

    /// Name and password of the requests: the API key's, else the account's own.
    ///
    /// # Errors
    /// A sentence naming the file that cannot be read.
    pub(super) fn credentials(&self) -> Result<(String, Secret), String> {
        if let Some(key) = &self.api_key_sid {
            let secret = read_secret(self.api_key_secret.as_ref(), self.api_key_secret_file.as_deref())?;
            return Ok((key.clone(), secret.unwrap_or_default()));
        }
        Ok((self.sid.clone(), self.token()?.unwrap_or_default()))
    }

    /// The account's token, by which Twilio signs its own requests.
    ///
    /// # Errors
    /// A sentence naming the file that cannot be read.
    pub(super) fn token(&self) -> Result<Option<Secret>, String> {
        let token = read_secret(self.auth_token.as_ref(), self.auth_token_file.as_deref())?;
        Ok(token.filter(|token| !token.expose().is_empty()))
    }

    /// Whether requests of the provider can be told from others'.
    pub(in crate::channels) fn has_token(&self) -> bool {
        self.auth_token.is_some() || self.auth_token_file.is_some()
    }

    /// Notes what a schema cannot see.
    pub(in crate::channels) fn check(&self, path: &[String], problems: &mut Problems) {
        if !is_sid("AC", &self.sid) {
            problems.add(&below(path, "account_sid"), "an account_sid is `AC` and 32 hex digits");
        }
        self.check_login(path, problems);
        match self.base() {
            Err(message) => problems.add(&below(path, "url"), &message),
            Ok(url) if url.scheme() == "http" && super::is_public(url.as_str()) => {
                problems.add(&below(path, "url"), "a password is not sent without encryption: use https");
            }
            Ok(_) => {}
        }
        if self.timeout.0.is_zero() {
            problems.add(&below(path, "timeout"), "timeout must be above zero");
        }
    }

    fn check_login(&self, path: &[String], problems: &mut Problems) {
        let twice = |place: &str, one: &str, other: &str, problems: &mut Problems| {
            problems.add(&below(path, place), &format!("give {one} or {other}, not both"));
        };
        if self.auth_token.is_some() && self.auth_token_file.is_some() {
            twice("auth_token_file", "auth_token", "auth_token_file", problems);
        }
        if self.api_key_secret.is_some() && self.api_key_secret_file.is_some() {
            twice("api_key_secret_file", "api_key_secret", "api_key_secret_file", problems);
        }
        let has_secret = self.api_key_secret.is_some() || self.api_key_secret_file.is_some();
        if self.api_key_sid.is_some() != has_secret {
            problems.add(path, "api_key_sid and api_key_secret (or api_key_secret_file) go together");
        } else if !has_secret && !self.has_token() {
            problems.add(
                path,
                "auth_token (or auth_token_file) is missing, or an api_key_sid and its api_key_secret",
            );
        }
        if self.api_key_sid.as_deref().is_some_and(|sid| !is_sid("SK", sid)) {
            problems.add(&below(path, "api_key_sid"), "an api_key_sid is `SK` and 32 hex digits");
        }
    }
}

/// Whether a text is an id of the provider of this kind.
pub(in crate::channels) fn is_sid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
