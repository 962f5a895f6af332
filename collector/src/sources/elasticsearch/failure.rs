//! What the server says is wrong, in a line.

use serde::Deserialize;

use crate::sources::web::answer::Refusal;
use crate::{Persistence, SourceError};

/// So much of an error's body is read: it repeats itself for every shard.
pub(super) const BODY_BYTES: u64 = 256 << 10;
/// Comes as 503, but will not pass by itself.
const TOO_MANY_BUCKETS: &str = "too_many_buckets_exception";

/// The body of a refusal.
#[derive(Deserialize)]
struct Body {
    error: Told,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Text(String),
    Reason(Box<Reason>),
}

/// An error as the server tells it: the whole, its root, one for each shard, each with its cause.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reason {
    #[serde(rename = "type")]
    kind: String,
    reason: Option<String>,
    root_cause: Vec<Reason>,
    failed_shards: Vec<FailedShard>,
    caused_by: Option<Box<Reason>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FailedShard {
    reason: Reason,
}

impl Reason {
    /// Type and reason of what lies at the bottom: `parsing_exception: unknown query [trem]`.
    pub(super) fn words(&self) -> String {
        let root = self.root();
        let said = |reason: &Self| match &reason.reason {
            Some(text) => format!("{}: {text}", reason.kind),
            None => reason.kind.clone(),
        };
        let cause = root.caused_by.as_deref().map(Self::deepest);
        // Many a reason repeats its cause's.
        match cause.filter(|cause| !cause.text().is_empty() && !root.text().contains(cause.text())) {
            Some(cause) => format!("{}, caused by {}", said(root), said(cause)),
            None => said(root),
        }
    }

    fn text(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// What the first failed shard says, since that has its cause, which the root causes lack.
    fn root(&self) -> &Self {
        let shard = self.failed_shards.first().map(|shard| &shard.reason);
        match (shard.or(self.root_cause.first()), self.caused_by.as_deref()) {
            (Some(root), _) => root,
            // "all shards failed" says nothing: the cause does.
            (None, Some(cause)) if self.kind == "search_phase_execution_exception" => cause,
            (None, _) => self,
        }
    }

    fn deepest(&self) -> &Self {
        self.caused_by.as_deref().map_or(self, Self::deepest)
    }

    fn has(&self, kind: &str) -> bool {
        self.kind == kind
            || self.root_cause.iter().any(|root| root.has(kind))
            || self.failed_shards.iter().any(|shard| shard.reason.has(kind))
            || self.caused_by.as_deref().is_some_and(|cause| cause.has(kind))
    }
}

/// A refusal as an error.
pub(super) fn error(refusal: &Refusal) -> SourceError {
    let reason = match serde_json::from_slice(&refusal.body) {
        Ok(Body { error: Told::Reason(reason) }) => reason,
        Ok(Body { error: Told::Text(text) }) => return refusal.error(Some(text)),
        Err(_) => return refusal.error(None),
    };
    let error = refusal.error(Some(reason.words()));
    if reason.has(TOO_MANY_BUCKETS) {
        return SourceError { persistence: Persistence::Permanent, ..error };
    }
    error
}

/// Whether a refusal only says that we may not see this, not that we are nobody.
pub(super) fn is_lack_of_privilege(refusal: &Refusal) -> bool {
    refusal.is_forbidden()
        && serde_json::from_slice(&refusal.body).is_ok_and(
            |body: Body| matches!(body.error, Told::Reason(reason) if reason.has("security_exception")),
        )
}
