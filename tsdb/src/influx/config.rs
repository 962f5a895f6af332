//! What the sections of both versions share.

use std::fs::File;
use std::sync::Arc;

use model::{Clock, HumanDuration, Secret, StoreError, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::Http;
use crate::stores::{Problem, check_name};

/// What InfluxDB calls the shortest retention.
const MIN_RETENTION: HumanDuration = HumanDuration::from_secs(3_600);

/// How bodies travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentEncoding {
    /// Packed: less network, more work.
    Gzip,
    /// As they are.
    Identity,
}

/// What the section of either version has.
pub(super) struct Section<'a> {
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    pub(super) retention: Option<HumanDuration>,
    pub(super) content_encoding: ContentEncoding,
    pub(super) timeout: HumanDuration,
    pub(super) tls: &'a TlsConfig,
}

impl Section<'_> {
    /// Finds what is wrong.
    pub(super) fn validate(&self) -> Vec<Problem> {
        let checks = [
            check_name(self.kind, self.name),
            check_url(self.kind, self.url),
            check_retention(self.kind, self.retention),
            check_timeout(self.kind, self.timeout),
        ];
        checks.into_iter().flatten().collect()
    }

    /// Makes the client; connects to nothing.
    pub(super) fn http(&self, clock: Arc<dyn Clock>) -> Result<Http, StoreError> {
        let made = Http::new(self.url, self.tls, self.content_encoding, self.timeout.into(), clock);
        made.map_err(|message| StoreError {
            replica: self.name.to_owned(),
            operation: "make its client",
            message,
        })
    }
}

/// Checks an address.
fn check_url(kind: &str, url: &str) -> Option<Problem> {
    let wrong = |message: String| Some(Problem::new([kind, "url"], message));
    match Url::parse(url) {
        Err(error) => {
            wrong(format!("`{url}` is no address ({error}): write for example http://influxdb:8086"))
        }
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            wrong(format!("`{url}` is no address of a server: write for example http://influxdb:8086"))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            wrong("an address may not hold a password: write it as a key of its own".into())
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            wrong("an address ends with its path: leave out what follows `?` or `#`".into())
        }
        Ok(_) => None,
    }
}

/// Checks that a retention is one InfluxDB takes.
fn check_retention(kind: &str, retention: Option<HumanDuration>) -> Option<Problem> {
    let short = retention.is_some_and(|retention| retention < MIN_RETENTION);
    short.then(|| {
        Problem::new([kind, "retention"], "retention is shorter than 1h, the shortest InfluxDB keeps")
    })
}

/// Checks that a deadline is one.
fn check_timeout(kind: &str, timeout: HumanDuration) -> Option<Problem> {
    let good = HumanDuration::from_secs(1)..=HumanDuration::from_secs(25);
    (!good.contains(&timeout)).then(|| Problem::new([kind, "timeout"], "timeout is not between 1s and 25s"))
}

/// A secret given in place or in a file, which is read anew each time so that it may be rotated.
pub(super) async fn secret(plain: Option<&Secret>, file: Option<&str>) -> Result<Option<Secret>, String> {
    let (None, Some(file)) = (plain, file) else { return Ok(plain.cloned()) };
    let file = file.to_owned();
    let read =
        tokio::task::spawn_blocking(move || Secret::given_or_in(None, Some(&file), |path| File::open(path)));
    let secret = read.await.map_err(|error| format!("cannot read a secret file: {error}"))?;
    secret.map_err(|error| error.to_string())
}
