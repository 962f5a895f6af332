//! For tests: what is found in a text, as if it stood in `/etc/tidemark/tidemark.yaml`.

use std::path::Path;

use super::pipeline::{Checked, check_text};

/// The environment of these tests.
pub(crate) fn environment(name: &str) -> Option<String> {
    match name {
        "SMTP_PASSWORD" | "RISK_TOKEN" | "BILLING_PASSWORD" => Some("hunter22".to_owned()),
        "WEBHOOK_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        "TWILIO_ACCOUNT_SID" => Some(format!("AC{}", "0a".repeat(16))),
        "TWILIO_AUTH_TOKEN" => Some("0b".repeat(16)),
        "TWILIO_SERVICE" => Some(format!("MG{}", "0c".repeat(16))),
        _ => None,
    }
}

/// What checking a text gives.
pub(crate) fn check(text: &str) -> Checked {
    check_text(Path::new("/etc/tidemark/tidemark.yaml"), text.to_owned(), &environment)
}

/// What is found in a text, without the file's folder.
pub(crate) fn findings_of(text: &str) -> Vec<String> {
    check(text).findings.lines().iter().map(|line| line.replace("/etc/tidemark/", "")).collect()
}
