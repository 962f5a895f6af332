//! What an answer that is no success means for the batch.

use std::time::Duration;

use super::http::Answer;

/// Why a request did not do.
#[derive(Debug, PartialEq)]
pub(super) enum Trouble {
    /// It may pass.
    Transient {
        /// Why.
        message: String,
        /// When the server asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// Password or token are not accepted, or may not do this.
    Denied(String),
    /// Database, retention policy or bucket are not there.
    Missing(String),
    /// The body is too large for the server.
    TooLarge(String),
    /// The server has read the request and will never take some or all of it.
    Refused(String),
}

impl Trouble {
    pub(super) fn transient(message: impl Into<String>) -> Self {
        Self::Transient { message: message.into(), retry_after: None }
    }

    /// From an answer's status and words.
    pub(super) fn of(answer: &Answer) -> Self {
        let message = format!("HTTP {}: {}", answer.status, words(&answer.body));
        let missing = ["database not found", "retention policy not found"];
        if missing.iter().any(|words| message.contains(words)) {
            return Self::Missing(message);
        }
        match answer.status {
            401 | 403 => Self::Denied(message),
            404 => Self::Missing(message),
            413 => Self::TooLarge(message),
            400 | 422 => Self::Refused(message),
            _ if message.contains("partial write") => Self::Refused(message),
            _ => Self::Transient { message, retry_after: answer.retry_after },
        }
    }

    pub(super) fn into_message(self) -> String {
        match self {
            Self::Transient { message, .. } => message,
            Self::Denied(message)
            | Self::Missing(message)
            | Self::TooLarge(message)
            | Self::Refused(message) => message,
        }
    }
}

/// The server's own words: `error` of 1.x, `message` of 2.x, or the text itself.
fn words(body: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let member = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let words = member("error").or_else(|| member("message")).unwrap_or_else(|| body.trim().to_owned());
    if words.is_empty() { "no reason given".to_owned() } else { words }
}

/// Whether a server's version, as it says it, is of the wanted generation; one that says no number is believed.
pub(super) fn supported(version: &str, wanted: u32) -> Result<(), Trouble> {
    let digits =
        version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    let instead = match digits {
        None => return Ok(()),
        Some(major) if major == wanted => return Ok(()),
        Some(1) => "write it as `influxdb`",
        Some(2) => "write it as `influxdb_v2`",
        Some(_) => "1.x and 2.x are supported",
    };
    Err(Trouble::Refused(format!("it is InfluxDB {version}: {instead}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_another_generation_is_refused_with_what_to_write() {
        let said = |version, wanted| supported(version, wanted).map_err(Trouble::into_message);
        for (version, wanted) in [("1.13.2", 1), ("v2.7.12", 2), ("unknown", 1), ("dev", 2), ("", 2)] {
            assert_eq!(said(version, wanted), Ok(()), "{version}");
        }
        let refused =
            [("v2.7.12", 1), ("1.8.10", 2), ("3.0.1", 2)].map(|(version, wanted)| said(version, wanted));
        insta::assert_snapshot!(refused.map(|told| told.unwrap_err()).join("\n"), @r"
        it is InfluxDB v2.7.12: write it as `influxdb_v2`
        it is InfluxDB 1.8.10: write it as `influxdb`
        it is InfluxDB 3.0.1: 1.x and 2.x are supported
        ");
    }
}
