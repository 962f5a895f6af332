//! What an answer of the provider means for the message: it has it, not now, never, or nobody knows.
//!
//! The codes are those of <https://www.twilio.com/docs/api/errors>. What is the account's trouble is tried again
//! slowly, since somebody can mend it; what is the recipient's or the message's is permanent; a rate is waited for. A 5xx
//! answer (but 503) may have come after the message was taken.

use std::time::Duration;

use serde_json::Value;

use crate::channel::{Outcome, Receipt};

/// How long a login that was refused is left alone, as with mail servers.
const LOGIN_RETRY: Duration = Duration::from_secs(300);

/// Codes of what passes by itself: rates and queues that are full, a phone that is off, a carrier in trouble.
const PASSING: [i64; 12] =
    [10004, 14107, 20429, 20500, 20503, 21611, 30001, 30003, 30008, 30017, 30022, 30023];

/// Codes of what somebody must mend at the account: login, suspension, permissions of the key.
const ACCOUNT: [i64; 8] = [10001, 20003, 20004, 20005, 20006, 20008, 20404, 30002];

/// States of a message or call that did not and will not go out.
pub(super) const DEAD: [&str; 6] =
    ["failed", "undelivered", "canceled", "busy", "no-answer", "partially_delivered"];

/// An answer as it came.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// The body, when it is JSON.
    pub(super) json: Option<Value>,
}

impl Answer {
    /// `400 21211 The 'To' number .. is not valid`, without anything else of the body.
    pub(super) fn summary(&self) -> String {
        let json = self.json.as_ref();
        let code = json.and_then(|json| json["code"].as_i64()).map(|code| format!(" {code}"));
        let message = json.and_then(|json| json["message"].as_str()).map(|text| format!(" {text}"));
        let text = format!("{}{}{}", self.status, code.unwrap_or_default(), message.unwrap_or_default());
        text.replace(|c: char| c.is_control(), " ").chars().take(300).collect()
    }

    fn code(&self) -> Option<i64> {
        self.json.as_ref()?["code"].as_i64()
    }

    /// What became of a message that was posted. `noun` is what the provider should have made of it, `prefixes` how the
    /// ids of those begin.
    pub(super) fn outcome(&self, host: &str, noun: &str, prefixes: &[&str], parts: u32) -> Outcome {
        let message = format!("{host} answered {}", self.summary());
        let later = |retry_after| Outcome::Transient { retry_after, message: message.clone() };
        match (self.status, self.code()) {
            (200..=299, _) => match self.json.as_ref().and_then(|json| Resource::read(json, prefixes)) {
                Some(resource) => resource.outcome(host, parts),
                None => {
                    Outcome::Unknown { message: format!("{host} answered {} without a {noun}", self.status) }
                }
            },
            (_, Some(code)) if ACCOUNT.contains(&code) => later(self.retry_after.or(Some(LOGIN_RETRY))),
            (401 | 403 | 404, None) => later(self.retry_after.or(Some(LOGIN_RETRY))),
            (408 | 425 | 429 | 503, _) => later(self.retry_after),
            (500..=599, _) => Outcome::Unknown { message },
            (_, Some(code)) if PASSING.contains(&code) => later(self.retry_after),
            _ => Outcome::Permanent { message },
        }
    }
}

/// A message or a call as the provider describes it.
#[derive(Clone, Debug)]
pub(super) struct Resource<'a> {
    /// Its id.
    pub(super) sid: &'a str,
    status: &'a str,
    error_code: Option<i64>,
}

impl<'a> Resource<'a> {
    /// Reads it; `None` when it is none.
    pub(super) fn read(json: &'a Value, prefixes: &[&str]) -> Option<Self> {
        let sid = json["sid"].as_str()?;
        let known = prefixes.iter().any(|prefix| super::account::is_sid(prefix, sid));
        known.then(|| Self {
            sid,
            status: json["status"].as_str().unwrap_or_default(),
            error_code: json["error_code"].as_i64(),
        })
    }

    /// What became of a message whose resource this is.
    pub(super) fn outcome(&self, host: &str, parts: u32) -> Outcome {
        if !DEAD.contains(&self.status) {
            return Outcome::Receipt(self.receipt(parts));
        }
        let code = self.error_code.map(|code| format!(", error {code}")).unwrap_or_default();
        let message = format!("{host} took {} and says {}{code}", self.sid, self.status);
        match self.error_code {
            Some(code) if PASSING.contains(&code) => Outcome::Transient { retry_after: None, message },
            Some(code) if ACCOUNT.contains(&code) => {
                Outcome::Transient { retry_after: Some(LOGIN_RETRY), message }
            }
            _ => Outcome::Permanent { message },
        }
    }

    /// The provider has it: what is kept of that.
    fn receipt(&self, parts: u32) -> Receipt {
        let status = if self.status.is_empty() { "accepted" } else { self.status };
        Receipt {
            provider_id: self.sid.to_owned(),
            detail: status.to_owned(),
            delivered: status == "delivered",
            parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SID: &str = "SM0123456789abcdef0123456789abcdef";

    fn outcome(status: u16, json: Option<Value>) -> String {
        let answer = Answer { status, retry_after: None, json };
        match answer.outcome("api", "message", &["SM", "MM"], 2) {
            Outcome::Transient { retry_after: Some(after), .. } => format!("transient {}s", after.as_secs()),
            other => other.as_str().to_owned(),
        }
    }

    fn error(status: u16, code: i64) -> String {
        outcome(status, Some(json!({"code": code, "message": "no", "status": status})))
    }

    #[test]
    fn codes_decide_what_passes_and_what_stays() {
        let table = [
            (400, 21211, "permanent"),
            (400, 21212, "permanent"),
            (400, 21408, "permanent"),
            (400, 21602, "permanent"),
            (400, 21604, "permanent"),
            (400, 21606, "permanent"),
            (400, 21610, "permanent"),
            (400, 21614, "permanent"),
            (400, 21617, "permanent"),
            (400, 30004, "permanent"),
            (400, 30007, "permanent"),
            (400, 21611, "transient"),
            (400, 30001, "transient"),
            (400, 30003, "transient"),
            (429, 20429, "transient"),
            (429, 14107, "transient"),
            (503, 20503, "transient"),
            (401, 20003, "transient 300s"),
            (403, 20005, "transient 300s"),
            (404, 20404, "transient 300s"),
            (500, 20500, "unknown"),
            (502, 0, "unknown"),
            (418, 1, "permanent"),
        ];
        for (status, code, expected) in table {
            assert_eq!(error(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn only_the_providers_word_is_a_receipt() {
        let resource =
            |status: &str, code: Option<i64>| Some(json!({"sid": SID, "status": status, "error_code": code}));
        let table = [
            (201, resource("queued", None), "accepted"),
            (201, resource("accepted", None), "accepted"),
            (201, resource("sending", None), "accepted"),
            (201, resource("sent", None), "accepted"),
            (201, resource("scheduled", None), "accepted"),
            (201, resource("delivered", None), "delivered"),
            (201, resource("failed", Some(30003)), "transient"),
            (201, resource("failed", Some(30002)), "transient 300s"),
            (201, resource("undelivered", Some(30006)), "permanent"),
            (201, resource("failed", None), "permanent"),
            (200, Some(json!({"ok": true})), "unknown"),
            (200, Some(json!({"sid": "CA0123456789abcdef0123456789abcdef", "status": "queued"})), "unknown"),
            (201, None, "unknown"),
            (302, None, "permanent"),
            (429, None, "transient"),
            (401, None, "transient 300s"),
        ];
        for (status, json, expected) in table {
            assert_eq!(outcome(status, json.clone()), expected, "{status} {json:?}");
        }
    }
}
