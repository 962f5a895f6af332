//! Errors in words.

use std::error::Error;

/// An error and its causes in one line, each said once; without the addresses that HTTP clients add to their errors,
/// whose parameters may hold secrets.
pub fn causes(error: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let text = text.split(" for url (").next().unwrap_or_default().to_owned();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Wrong {
        text: &'static str,
        #[source]
        cause: Option<Box<Wrong>>,
    }

    #[test]
    fn causes_are_said_once_and_without_addresses() {
        let wrong = |text, cause: Option<Wrong>| Wrong { text, cause: cause.map(Box::new) };
        let inner = wrong("connection refused", None);
        let middle = wrong("connection refused", Some(inner));
        let outer = wrong("error sending request for url (http://x/?key=secret)", Some(middle));
        assert_eq!(causes(&outer), "error sending request: connection refused");
    }
}
