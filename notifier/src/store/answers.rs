//! What comes back from providers and people, looked up by the key of a message.

use std::collections::BTreeMap;

use model::{AlertId, Severity, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::{alerts_of, from_json};
use super::{Addressed, Finished};
use crate::channel::{FOUND, Unanswered};
use crate::message::{Message, NoteStatus};

/// How long before a message others to the same recipient may have been written and still be taken for it.
const CLAIMS_NS: i64 = 86_400 * 1_000_000_000;

/// What is known of a delivery's attempts that were never answered.
pub(super) fn unanswered(
    t: &Transaction<'_>,
    delivery: i64,
    recipient: &str,
) -> rusqlite::Result<Option<Unanswered>> {
    let span = t
        .prepare_cached(
            "SELECT MIN(started_at), MAX(started_at + millis * 1000000) FROM attempts
             WHERE delivery_id = ?1 AND outcome = 'unknown'",
        )?
        .query_row([delivery], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    let (Some(since), Some(until)) = span else { return Ok(None) };
    let claimed = t
        .prepare_cached(
            "SELECT provider_id FROM deliveries WHERE recipient = ?1 AND provider_id <> '' AND id <> ?2
               AND (created_at >= ?3 OR finished_at >= ?3)",
        )?
        .query_map(params![recipient, delivery, since - CLAIMS_NS], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let (since, until) = (Timestamp::from_nanos(since), Timestamp::from_nanos(until));
    Ok(Some(Unanswered { since, until, claimed }))
}

/// Whether a delivery may have the provider's message it ends with: one message stands for one delivery. What was found
/// by asking gives way to what another has already; the answer to the message itself takes it from who found it, which
/// is asked for and sent again.
pub(super) fn claim(t: &Transaction<'_>, done: &Finished) -> rusqlite::Result<bool> {
    if done.provider_id.is_empty() {
        return Ok(true);
    }
    if done.detail.ends_with(FOUND) {
        let taken = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE provider_id = ?1 AND provider_id <> '' AND id <> ?2)";
        return t
            .prepare_cached(taken)?
            .query_row(params![done.provider_id, done.delivery], |row| row.get::<_, bool>(0))
            .map(|taken| !taken);
    }
    dispossess(t, &done.provider_id, done.delivery, done.decided_at)?;
    Ok(true)
}

/// Takes a provider's message from deliveries that found it and are not its own.
fn dispossess(t: &Transaction<'_>, provider_id: &str, owner: i64, now: Timestamp) -> rusqlite::Result<()> {
    t.prepare_cached(
        "UPDATE deliveries SET state = 'queued', provider_id = '', finished_at = NULL, not_before = ?3, decided_at = ?3
         WHERE provider_id = ?1 AND provider_id <> '' AND id <> ?2 AND detail LIKE '%' || ?4",
    )?
    .execute(params![provider_id, owner, now.as_nanos(), FOUND])?;
    Ok(())
}

/// The delivery of a key.
pub(super) fn addressed(t: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<Addressed>> {
    let found = t
        .prepare_cached(
            "SELECT d.channel, d.recipient, n.id, n.message FROM deliveries d
             JOIN notifications n ON n.id = d.notification_id WHERE d.key = ?1",
        )?
        .query_row([key], |row| {
            let message: Message = from_json(row, "message")?;
            Ok((row.get("channel")?, row.get("recipient")?, row.get::<_, i64>("id")?, message))
        })
        .optional()?;
    let Some((channel, recipient, notification, message)) = found else { return Ok(None) };
    let firing = told(&message, alerts_of(t, notification)?);
    Ok(Some(Addressed { channel, recipient, message, firing }))
}

/// The alerts a message told as firing. What it did not list is at most as bad as the last it did.
fn told(message: &Message, alerts: Vec<(AlertId, NoteStatus)>) -> Vec<(AlertId, Severity)> {
    let firing = message.alerts.iter().filter(|note| note.status == NoteStatus::Firing);
    let listed: BTreeMap<AlertId, Severity> = firing.map(|note| (note.id, note.severity)).collect();
    let mildest = listed.values().max().copied().unwrap_or_default();
    let fires = alerts.into_iter().filter(|(_, status)| *status == NoteStatus::Firing);
    fires.map(|(id, _)| (id, listed.get(&id).copied().unwrap_or(mildest))).collect()
}

/// Ends a delivery nobody knew the outcome of, since the provider speaks of it.
pub(super) fn learn(
    t: &Transaction<'_>,
    key: &str,
    provider_id: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let changed = t
        .prepare_cached(
            "UPDATE deliveries SET state = 'accepted', provider_id = ?2, finished_at = ?3, decided_at = ?3,
               detail = 'the provider says it has it'
             WHERE key = ?1 AND state = 'queued' AND EXISTS (SELECT 1 FROM attempts a
               WHERE a.delivery_id = deliveries.id AND a.outcome = 'unknown')",
        )?
        .execute(params![key, provider_id, now.as_nanos()])?;
    if changed > 0 {
        let owner = t.query_row("SELECT id FROM deliveries WHERE key = ?1", [key], |row| row.get(0))?;
        dispossess(t, provider_id, owner, now)?;
    }
    Ok(changed > 0)
}
