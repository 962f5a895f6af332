//! What SMS and calls by Twilio have in common: the account, the requests, what an answer means, the signature.
//!
//! The API is <https://www.twilio.com/docs/usage/api>: form-encoded requests, JSON answers, an error as
//! `{code, message, status}`. A message has no idempotency key there; so after silence the account's list is searched
//! for it (`Twilio::search`) before it is sent again.

mod account;
mod client;
mod outcome;
mod search;
pub(super) mod segments;
pub mod signature;

use model::HumanDuration;

pub(super) use account::{Account, default_url, is_sid};
pub(super) use client::{Noun, Twilio};
pub(super) use search::Wanted;

use crate::route::below;
use crate::validate::Problems;

/// Path under which the provider tells how messages do; the key of a message follows.
pub const STATUS_PATH: &str = "/hooks/twilio/status/";

/// Path to which pressed keys go; a signed token follows.
pub const KEY_PATH: &str = "/hooks/twilio/key/";

pub(super) fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(15)
}

/// Where the provider tells how a message does, when it can reach us.
pub(super) fn status_callback(external_url: &str, key: &str) -> Option<String> {
    callback(external_url, STATUS_PATH, key)
}

/// Where a pressed key goes, when the provider can reach us.
pub(super) fn key_callback(external_url: &str, token: &str) -> Option<String> {
    callback(external_url, KEY_PATH, token)
}

/// The id of the message or call a status callback speaks of, unless it says that it did not go out.
pub(crate) fn taken(form: &[(String, String)]) -> Option<&str> {
    let field = |wanted: &[&str]| {
        form.iter().find(|(name, _)| wanted.contains(&name.as_str())).map(|(_, value)| value.as_str())
    };
    let dead = field(&["MessageStatus", "CallStatus"]).is_some_and(|status| outcome::DEAD.contains(&status));
    field(&["MessageSid", "CallSid"])
        .filter(|sid| !dead && ["SM", "MM", "CA"].iter().any(|prefix| is_sid(prefix, sid)))
}

fn callback(external_url: &str, path: &str, last: &str) -> Option<String> {
    is_public(external_url).then(|| format!("{}{path}{last}", external_url.trim_end_matches('/')))
}

/// Whether a text is a number in E.164: `+`, no leading zero, at most 15 digits.
fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
}

/// Checks the numbers of `to`.
pub(super) fn check_recipients(to: &[String], path: &[String], problems: &mut Problems) {
    if to.is_empty() {
        problems.add(&below(path, "to"), "at least one phone number is needed");
    }
    for (index, number) in to.iter().enumerate() {
        let place = below(&below(path, "to"), &index.to_string());
        if !is_e164(number) {
            let message = format!(
                "`{number}` is not a phone number in E.164: write + and the country, such as +8613800138000"
            );
            problems.add(&place, &message);
        } else if to[..index].contains(number) {
            problems.add(&place, &format!("`{number}` stands twice"));
        }
    }
}

/// Checks a number messages or calls come from.
pub(super) fn check_sender(from: &str, path: &[String], problems: &mut Problems) {
    if !is_e164(from) {
        let message = format!("`{from}` is not a phone number in E.164, such as +14155550100");
        problems.add(path, &message);
    }
}

/// A number as logs may hold it: its country and its last digits.
fn masked(number: &str) -> String {
    let count = number.chars().count();
    if count < 8 {
        return "***".to_owned();
    }
    let keep = |(index, letter): (usize, char)| if index < 3 || index + 2 >= count { letter } else { '*' };
    number.chars().enumerate().map(keep).collect()
}

/// Whether the outside can reach an address: it is not this machine's own.
pub(super) fn is_public(external_url: &str) -> bool {
    let Ok(url) = url::Url::parse(external_url) else { return false };
    match url.host() {
        Some(url::Host::Domain(name)) => !name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(ip)) => !ip.is_loopback() && !ip.is_unspecified(),
        Some(url::Host::Ipv6(ip)) => !ip.is_loopback() && !ip.is_unspecified(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_e164() {
        for good in ["+8613800138000", "+14155550100", "+4930123456", "+123456789012345"] {
            assert!(is_e164(good), "{good}");
        }
        for bad in [
            "",
            "+",
            "13800138000",
            "+0138001380",
            "+86 138 0013 8000",
            "+1234567890123456",
            "+86x3800138",
            "+１２３４５６７８",
        ] {
            assert!(!is_e164(bad), "{bad}");
        }
    }

    #[test]
    fn a_masked_number_tells_its_country_and_its_end() {
        assert_eq!(masked("+8613800138000"), "+86*********00");
        assert_eq!(masked("+123"), "***");
    }

    #[test]
    fn nobody_outside_reaches_a_loopback_address() {
        for own in ["http://127.0.0.1:9680", "http://localhost:9680", "http://[::1]:9680", "tidemark", ""] {
            assert!(!is_public(own), "{own}");
        }
        assert!(is_public("https://tidemark.example.com/x"));
    }
}
