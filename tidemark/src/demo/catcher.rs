//! Catchers for the demo's messages: a mail server and a webhook endpoint on loopback that keep the last few.

mod mime;
pub(crate) mod smtp;
pub(crate) mod webhook;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use console::InboxMessage;
use console::dto::{MessageKind, MessageStatus};
use model::{Clock, Severity};

/// How many messages are kept; older ones are dropped, the page shows no more.
const KEPT: usize = 60;

/// What the catchers received, newest first.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    messages: Arc<Mutex<VecDeque<InboxMessage>>>,
    clock: Arc<dyn Clock>,
}

/// A message as a catcher reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) channel: &'static str,
    pub(crate) receiver: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) detail: String,
    /// Whether it says that something is over; read off the subject when the channel does not say.
    pub(crate) resolved: Option<bool>,
}

impl Inbox {
    /// An empty one.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { messages: Arc::default(), clock }
    }

    /// Takes a message in.
    pub(crate) fn put(&self, caught: Caught) {
        let kind = match caught.resolved.unwrap_or_else(|| says_resolved(&caught.subject)) {
            true => MessageKind::Resolved,
            false => MessageKind::Firing,
        };
        let message = InboxMessage {
            at: self.clock.domain_now(),
            channel: caught.channel.to_owned(),
            receiver: caught.receiver,
            subject: caught.subject,
            alert: alert_in(&caught.body),
            body: caught.body,
            kind,
            status: MessageStatus::Received,
            detail: caught.detail,
        };
        let mut messages = self.lock();
        messages.push_front(message);
        messages.truncate(KEPT);
    }

    /// What is there, newest first.
    pub(crate) fn all(&self) -> Vec<InboxMessage> {
        self.lock().iter().cloned().collect()
    }

    /// Whether a message has named this alert.
    pub(crate) fn names(&self, alert: &str) -> bool {
        self.lock().iter().any(|message| message.body.contains(alert))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<InboxMessage>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subject that names no severity tells of an end.
fn says_resolved(subject: &str) -> bool {
    let severities = [Severity::P0, Severity::P1, Severity::P2];
    let lower = subject.to_lowercase();
    lower.contains("resolved")
        || subject.contains("恢复")
        || !severities.iter().any(|s| subject.contains(s.as_str()))
}

/// The first alert a text links to.
fn alert_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("/alerts/")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
    Some(rest[..end].to_owned()).filter(|id| id.parse::<model::AlertId>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_is_found_by_its_link() {
        let text = "see http://127.0.0.1:9680/alerts/9f86d081884c7d65-2oxk1c.\nmore";
        assert_eq!(alert_in(text).as_deref(), Some("9f86d081884c7d65-2oxk1c"));
        for none in ["", "/alerts/", "http://x/alerts/nonsense", "/alerts/../../etc"] {
            assert_eq!(alert_in(none), None, "{none}");
        }
    }

    #[test]
    fn the_inbox_forgets_the_oldest() {
        let clock = model::ManualClock::new(model::Timestamp::from_secs(0));
        let inbox = Inbox::new(Arc::new(clock));
        for n in 0..KEPT + 5 {
            inbox.put(Caught { subject: format!("[P1] {n}"), ..Caught::default() });
        }
        assert_eq!(inbox.all().len(), KEPT);
        assert_eq!(inbox.all()[0].subject, format!("[P1] {}", KEPT + 4));
    }
}
