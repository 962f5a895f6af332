//! Whether the provider has a message nobody answered for: its list is searched, a bounded number of pages.
//!
//! A list shows neither our key nor (of a call) what was said. So a message is recognised by its recipient, its text
//! and its time, a call by both numbers and its time, and what another delivery has a receipt for is never taken. The
//! time is the provider's own: its `Date` header says how far its clock is from ours.

use std::time::Duration;

use chrono::DateTime;
use model::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::client::Noun;
use super::outcome::Resource;
use super::{Twilio, masked};
use crate::channel::{FOUND, Found, Notification, Outcome, Receipt, Unanswered};
use crate::channels::within;

/// What was handed over shows in the lists this long after.
const LISTED_AFTER: Duration = Duration::from_secs(10);

/// How far the provider's stamp may lie beside the attempt.
const MARGIN: Duration = Duration::from_secs(15);

/// Entries of one page.
const PAGE: usize = 100;

/// Pages of one list that are read at most.
const PAGES: usize = 5;

/// What is looked for.
#[derive(Clone, Debug)]
pub(in crate::channels) struct Wanted<'a> {
    /// A message or a call.
    pub(in crate::channels) noun: Noun,
    /// The list's filter by time: `DateSent>` or `StartTime>`.
    pub(in crate::channels) since: &'static str,
    /// Its sender, when it is one number.
    pub(in crate::channels) from: Option<&'a str>,
    /// Its text; `None` where the list shows none.
    pub(in crate::channels) body: Option<&'a str>,
    /// Parts it was made of.
    pub(in crate::channels) parts: u32,
}

/// One page, or why there is none.
type Page = Result<(Value, Option<Timestamp>), Found>;

impl Twilio {
    /// Searches for a message. An answer that breaks off, a list that is too long: nobody can tell.
    pub(in crate::channels) async fn search(
        &self,
        wanted: &Wanted<'_>,
        notification: &Notification,
        unanswered: &Unanswered,
    ) -> Found {
        let age = notification.attempt_at.since(unanswered.until);
        if age < LISTED_AFTER && notification.attempt_at >= unanswered.until {
            let message = "the last attempt was not answered; the provider is asked soon".to_owned();
            return Found::CannotTell { retry_after: Some(LISTED_AFTER.saturating_sub(age)), message };
        }
        let searching = Box::pin(self.search_lists(wanted, notification, unanswered));
        let late = || Found::CannotTell { retry_after: None, message: self.late() };
        let found = within(&*self.clock, self.timeout(), searching).await.unwrap_or_else(late);
        mask(found, &notification.recipient)
    }

    /// What has gone out is listed by its time; what still waits at the provider has none and stands in front of the
    /// list without that filter.
    async fn search_lists(
        &self,
        wanted: &Wanted<'_>,
        notification: &Notification,
        unanswered: &Unanswered,
    ) -> Found {
        let day = (unanswered.since - Duration::from_secs(86_400)).to_utc().format("%Y-%m-%d").to_string();
        for since in [Some(day), None] {
            let limit = if since.is_some() { PAGES } else { 1 };
            match self.search_list(wanted, notification, unanswered, since, limit).await {
                Found::No => {}
                other => return other,
            }
        }
        Found::No
    }

    async fn search_list(
        &self,
        wanted: &Wanted<'_>,
        notification: &Notification,
        unanswered: &Unanswered,
        since: Option<String>,
        limit: usize,
    ) -> Found {
        let mut url = self.address(&format!("/{}.json", wanted.noun.list));
        url.query_pairs_mut()
            .append_pair("To", &notification.recipient)
            .append_pair("PageSize", &PAGE.to_string());
        let filtered = since.is_some();
        if let Some(day) = since {
            url.query_pairs_mut().append_pair(wanted.since, &day);
        }
        for _ in 0..limit {
            let (page, date) = match self.page(url.clone()).await {
                Ok(page) => page,
                Err(found) => return found,
            };
            let Some(entries) = page[wanted.noun.list.to_lowercase()].as_array() else {
                return self.cannot_tell("answered without a list");
            };
            let now = self.clock.civil_now();
            let window = Window::new(unanswered, wanted.body.is_none(), now, date.unwrap_or(now));
            let outcomes = entries
                .iter()
                .filter_map(|entry| wanted.recognise(entry, notification, unanswered, &window))
                .map(|resource| resource.outcome(&self.host, wanted.parts));
            if let Some(found) = best(outcomes) {
                return found;
            }
            match self.next(&page) {
                Some(next) => url = next,
                None => return Found::No,
            }
        }
        if filtered { self.cannot_tell("lists too many to look through") } else { Found::No }
    }

    async fn page(&self, url: url::Url) -> Page {
        let (answer, date) = match self.ask(Method::GET, url, None).await {
            Ok(answered) => answered,
            Err(Outcome::Receipt(_)) => return Err(self.cannot_tell("answered")),
            Err(outcome) => {
                return Err(Found::CannotTell { retry_after: None, message: outcome.detail().to_owned() });
            }
        };
        match answer.json {
            Some(json) if answer.status == 200 => Ok((json, date)),
            _ => Err(Found::CannotTell {
                retry_after: answer.retry_after,
                message: format!("{} was asked for a message and answered {}", self.host, answer.summary()),
            }),
        }
    }

    /// The next page: only ever one of the same list of the same account.
    fn next(&self, page: &Value) -> Option<url::Url> {
        let uri = page["next_page_uri"].as_str()?;
        let own = self.address("");
        let next = own.join(uri).ok()?;
        let inside = next.path().starts_with(&format!("/2010-04-01/Accounts/{}/", self.account.sid));
        (next.origin() == own.origin() && inside).then(|| {
            let mut url = own;
            let before = url.path().split("/2010-04-01/").next().unwrap_or_default().to_owned();
            url.set_path(&format!("{before}{}", next.path()));
            url.set_query(next.query());
            url
        })
    }

    fn cannot_tell(&self, what: &str) -> Found {
        Found::CannotTell { retry_after: None, message: format!("{} {what}", self.host) }
    }
}

/// What was found: a message that goes out before one that never will. One that died of what passes (a phone that is
/// off) is none: the message is sent again.
fn best(outcomes: impl Iterator<Item = Outcome>) -> Option<Found> {
    let mut dead = None;
    for outcome in outcomes {
        match outcome {
            Outcome::Receipt(receipt) => {
                return Some(Found::Yes(Receipt { detail: receipt.detail + FOUND, ..receipt }));
            }
            Outcome::Permanent { message } => dead = Some(Found::Dead { message }),
            Outcome::Transient { .. } | Outcome::Unknown { .. } => {}
        }
    }
    dead
}

/// The recipient's number is masked in what goes to logs.
fn mask(found: Found, recipient: &str) -> Found {
    let hide = |text: String| text.replace(recipient, &masked(recipient));
    match found {
        Found::Dead { message } => Found::Dead { message: hide(message) },
        Found::CannotTell { retry_after, message } => {
            Found::CannotTell { retry_after, message: hide(message) }
        }
        Found::Yes(_) | Found::No => found,
    }
}

/// Between which instants of the provider's clock a message was made.
struct Window {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl Window {
    fn new(unanswered: &Unanswered, closed: bool, ours: Timestamp, theirs: Timestamp) -> Self {
        let shift =
            |at: Timestamp| Timestamp::from_nanos(at.as_nanos() + theirs.as_nanos() - ours.as_nanos());
        let to = closed.then(|| shift(unanswered.until) + MARGIN);
        Self { from: shift(unanswered.since) - MARGIN, to }
    }

    fn holds(&self, at: Timestamp) -> bool {
        at >= self.from && self.to.is_none_or(|to| at <= to)
    }
}

impl Wanted<'_> {
    fn recognise<'v>(
        &self,
        entry: &'v Value,
        notification: &Notification,
        unanswered: &Unanswered,
        window: &Window,
    ) -> Option<Resource<'v>> {
        let resource = Resource::read(entry, self.noun.prefixes)?;
        let text = |name: &str| entry[name].as_str();
        let created = text("date_created").and_then(|at| DateTime::parse_from_rfc2822(at).ok())?;
        // A trial account writes a sentence of its own in front.
        let same_text =
            self.body.is_none_or(|body| text("body").is_some_and(|have| have.trim_end().ends_with(body)));
        let ours = text("to") == Some(&notification.recipient)
            && text("direction").is_none_or(|direction| direction == "outbound-api")
            && self.from.is_none_or(|from| text("from") == Some(from))
            && same_text
            && window.holds(Timestamp::from_datetime(&created))
            && !unanswered.claimed.iter().any(|claimed| claimed == resource.sid);
        ours.then_some(resource)
    }
}
