//! The signature of Twilio's own requests (<https://www.twilio.com/docs/usage/security#validating-requests>): base64 of
//! HMAC-SHA1, keyed by the account's token, over the address and the form's names and values in order of name.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::Secret;
use sha1::Sha1;

use crate::channel::Callback;

/// Whether the provider signed this request. Compares in constant time. Twilio signs some addresses with their port and
/// some without; either is taken.
pub fn is_valid(token: &Secret, callback: &Callback<'_>) -> bool {
    let Ok(given) = STANDARD.decode(callback.signature.trim()) else { return false };
    spellings(callback.url).iter().fold(false, |good, url| {
        good | mac(token, url, callback.form).is_some_and(|mac| mac.verify_slice(&given).is_ok())
    })
}

/// The signature of a request.
pub fn sign(token: &Secret, url: &str, form: &[(String, String)]) -> Option<String> {
    Some(STANDARD.encode(mac(token, url, form)?.finalize().into_bytes()))
}

fn mac(token: &Secret, url: &str, form: &[(String, String)]) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.expose().as_bytes()).ok()?;
    mac.update(url.as_bytes());
    // A value that stands twice under a name counts once.
    let sorted: BTreeSet<&(String, String)> = form.iter().collect();
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    Some(mac)
}

/// The address as it is, without its port, and with the port its scheme implies.
fn spellings(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return all };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let port = if scheme == "http" { 80 } else { 443 };
    all.push(format!("{scheme}://{host}{path}"));
    all.push(format!("{scheme}://{host}:{port}{path}"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn published() -> Vec<(String, String)> {
        form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ])
    }

    fn valid(url: &str, form: &[(String, String)], signature: &str) -> bool {
        is_valid(&Secret::new("12345"), &Callback { url, form, signature })
    }

    /// The vectors the provider publishes with its libraries and in its documentation.
    #[test]
    fn the_published_signatures_are_valid() {
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        assert_eq!(sign(&Secret::new("12345"), URL, &published()).as_deref(), Some(signature));
        assert!(valid(URL, &published(), signature));
        assert!(valid("https://mycompany.com:1234/myapp.php?foo=1&bar=2", &published(), signature));
        assert!(valid(URL, &published(), "kvajT1Ptam85bY51eRf/AJRuM3w="), "signed with port 443");
        let plain = URL.replace("https", "http");
        assert!(valid(&plain, &published(), "0ZXoZLH/DfblKGATFgpif+LLRf4="), "signed with port 80");
        let with_port = plain.replace(".com", ".com:1234");
        assert!(valid(&with_port, &published(), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="), "http with its port");
        let twice =
            form(&[("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234")]);
        assert!(valid(URL, &twice, "IK+Dwps556ElfBT0I3Rgjkr1wJU="), "one name twice");
    }

    #[test]
    fn whatever_is_changed_breaks_it() {
        let good = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let mut pressed = published();
        pressed[1].1 = "1".into();
        let mut more = published();
        more.push(("x".into(), "y".into()));
        let other = format!("{URL}&baz=3");
        let table = [
            (URL, published(), "RSOYDt4T1cUTdK1PDd93/VVr8B9="),
            (URL, published(), ""),
            (URL, published(), "not base64!"),
            (URL, published(), "RSOYDt4T"),
            (URL, pressed, good),
            (URL, more, good),
            (&other, published(), good),
        ];
        for (url, form, signature) in &table {
            assert!(!valid(url, form, signature), "{url} {form:?} {signature}");
        }
        let callback = Callback { url: URL, form: &published(), signature: good };
        assert!(!is_valid(&Secret::new("12346"), &callback), "another token");
    }
}
