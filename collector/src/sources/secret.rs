//! Secrets of sources: read where they are used, and kept out of what is told.

use std::fs::File;

use model::Secret;

use crate::SourceError;

/// The secret as it stands or in its file, which is read now, so that it may be rotated.
pub(super) async fn read(direct: Option<&Secret>, file: Option<&str>) -> Result<Option<String>, SourceError> {
    let exposed = |secret: Secret| secret.expose().to_owned();
    let (None, Some(file)) = (direct, file) else { return Ok(direct.cloned().map(exposed)) };
    let file = file.to_owned();
    let read =
        tokio::task::spawn_blocking(move || Secret::given_or_in(None, Some(&file), |path| File::open(path)));
    let secret = read.await.map_err(|e| SourceError::permanent(format!("cannot read a secret file: {e}")))?;
    secret.map(|secret| secret.map(exposed)).map_err(|e| SourceError::permanent(e.to_string()))
}

/// Shorter ones are too common to be told from other text.
const MIN_BYTES: usize = 4;
/// What stands in a secret's place.
const HIDDEN: &str = "<secret>";

/// Takes secrets out of what a server sent back, as they are and as addresses and JSON write them; and what is left of
/// one where the text was cut.
pub(super) fn redact(message: String, secrets: &[String]) -> String {
    let worth = secrets.iter().filter(|secret| secret.len() >= MIN_BYTES);
    let mut written: Vec<String> = worth.flat_map(|secret| spellings(secret)).collect();
    // The longest first: a secret may begin with another.
    written.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    written.iter().fold(message, |message, secret| cut(message.replace(secret.as_str(), HIDDEN), secret))
}

fn spellings(secret: &str) -> [String; 4] {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    [secret.to_owned(), form.replace('+', "%20"), form, json]
}

/// Hides the beginning of a secret that stands before an ellipsis.
fn cut(message: String, secret: &str) -> String {
    let Some((head, tail)) = message.split_once('…') else { return message };
    let beginnings = secret.char_indices().map(|(at, _)| &secret[..at]).rev();
    match beginnings.take_while(|begin| begin.len() >= MIN_BYTES).find_map(|begin| head.strip_suffix(begin)) {
        Some(head) => format!("{head}{HIDDEN}…{tail}"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        let secrets =
            ["s3cr/t \"key".to_owned(), "abc".to_owned(), "tok-1234".to_owned(), "tok-1234-5678".to_owned()];
        let table = [
            ("no s3cr/t \"key here", "no <secret> here"),
            ("?k=s3cr%2Ft%20%22key&x", "?k=<secret>&x"),
            ("?k=s3cr%2Ft+%22key", "?k=<secret>"),
            (r#"{"k": "s3cr/t \"key"}"#, r#"{"k": "<secret>"}"#),
            ("tok-1234 and tok-1234-5678", "<secret> and <secret>"),
            ("begins with s3cr/t…", "begins with <secret>…"),
            ("begins with `s3cr/t \"k…` and more", "begins with `<secret>…` and more"),
            ("abc is too short, s3c… too", "abc is too short, s3c… too"),
            ("数据…", "数据…"),
        ];
        for (message, expected) in table {
            assert_eq!(redact(message.to_owned(), &secrets), expected);
        }
    }
}
