//! Signed links that expire: who holds one may acknowledge what one message told, and nothing else.
//!
//! A token is `KEY.EXPIRES.MAC`: the message's idempotency key, civil seconds, and HMAC-SHA256 over both. The key of the
//! MAC is made once for each database, so that links outlive a restart; nothing of a token is a secret of the
//! configuration. One token serves a call's key 1 and a mail's page alike.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use model::{Secret, Timestamp};
use sha2::Sha256;

/// How long after its message was written a link works.
pub const LIFE: Duration = Duration::from_secs(24 * 3_600);

/// The longest token that is looked at.
const LONGEST: usize = 200;

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Nobody here signed it.
    Forged,
    /// Its time is over.
    Expired,
}

/// The token of a message that was written at a civil time; the same in every attempt.
pub fn sign(secret: &Secret, key: &str, created_at: Timestamp) -> Option<String> {
    let body = format!("{key}.{}", (created_at + LIFE).as_secs());
    let mac = mac(secret, &body)?.finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{body}.{hex}"))
}

/// The idempotency key a token speaks of.
///
/// # Errors
/// [`LinkError`]. Compares in constant time; the time is looked at only when the signature is good.
pub fn open(secret: &Secret, token: &str, civil_now: Timestamp) -> Result<String, LinkError> {
    let parts = token.rsplit_once('.').filter(|_| token.len() <= LONGEST);
    let (body, hex) = parts.ok_or(LinkError::Forged)?;
    let given = unhex(hex).ok_or(LinkError::Forged)?;
    let mac = mac(secret, body).ok_or(LinkError::Forged)?;
    mac.verify_slice(&given).map_err(|_| LinkError::Forged)?;
    let (key, expires) = body.split_once('.').ok_or(LinkError::Forged)?;
    let expires: i64 = expires.parse().map_err(|_| LinkError::Forged)?;
    if civil_now.as_secs() >= expires { Err(LinkError::Expired) } else { Ok(key.to_owned()) }
}

fn mac(secret: &Secret, body: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(b"acknowledge:");
    mac.update(body.as_bytes());
    Some(mac)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit))
        .then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_here_opens_and_not_for_ever() {
        let (ours, theirs) = (Secret::new("ours"), Secret::new("theirs"));
        let at = Timestamp::from_secs(1_000);
        let token = sign(&ours, "msg_1", at).unwrap();
        let last = at + LIFE - Duration::from_secs(1);
        assert_eq!(open(&ours, &token, last), Ok("msg_1".to_owned()));
        assert_eq!(open(&ours, &token, at + LIFE), Err(LinkError::Expired));
        assert_eq!(open(&theirs, &token, at), Err(LinkError::Forged));
        let forged = token.replace("msg_1", "msg_2");
        let later = token.replace(".87400.", ".99999.");
        assert_ne!(later, token);
        for bad in
            [&*forged, &*later, "", ".", "..", "msg_1.87400.", &token[..token.len() - 2], &"x".repeat(9_000)]
        {
            assert_eq!(open(&ours, bad, at), Err(LinkError::Forged), "{bad:.40}");
        }
    }
}
