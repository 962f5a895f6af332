//! A step as rows of the database.

use model::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;

use super::{NewDelivery, NewNotification, Step};
use crate::incident::Alert;
use crate::message::NoteStatus;

/// A value as JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn nanos(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_nanos)
}

pub(super) fn status_name(status: NoteStatus) -> &'static str {
    match status {
        NoteStatus::Firing => "firing",
        NoteStatus::Resolved => "resolved",
    }
}

pub(super) fn write_meta(t: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    t.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute([key, value])?;
    Ok(())
}

pub(super) fn write_step(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    if let Some(positions) = &step.positions {
        write_meta(t, "positions", &json(positions)?)?;
    }
    write_meta(t, "next_number", &step.next_number.to_string())?;
    write_transitions(t, step)?;
    for alert in &step.alerts {
        write_alert(t, alert)?;
    }
    write_groups(t, step)?;
    write_members(t, step)?;
    for (receiver, bucket) in &step.buckets {
        t.prepare_cached(
            "INSERT OR REPLACE INTO buckets (receiver, tokens, at, merge_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![receiver, bucket.tokens, bucket.at.as_nanos(), nanos(bucket.merge_at)])?;
    }
    for suppression in &step.suppressions {
        t.prepare_cached("INSERT OR IGNORE INTO suppressions (alert_id, reason, at) VALUES (?1, ?2, ?3)")?
            .execute(params![suppression.alert.to_string(), suppression.reason, suppression.at.as_nanos()])?;
    }
    for notification in &step.notifications {
        write_notification(t, notification, step.civil_now)?;
    }
    for released in &step.released {
        t.execute("UPDATE notifications SET waiting = 0 WHERE id = ?1", [released])?;
        t.execute("UPDATE deliveries SET waiting = 0 WHERE notification_id = ?1", [released])?;
    }
    for (alert, ack) in &step.acknowledgements {
        t.prepare_cached("INSERT INTO acknowledgements (alert_id, body) VALUES (?1, ?2)")?
            .execute([alert.to_string(), json(ack)?])?;
    }
    hush(t, &step.hushed, &step.hushable, step.civil_now)?;
    Ok(())
}

/// Ends the messages of acknowledged incidents that were not sent yet, of the channels that would wake somebody; says
/// how many. What tells that it is over goes out.
pub(super) fn hush(
    t: &Transaction<'_>,
    incidents: &[String],
    channels: &[String],
    civil_now: Timestamp,
) -> rusqlite::Result<usize> {
    if incidents.is_empty() || channels.is_empty() {
        return Ok(0);
    }
    t.prepare_cached(
        "UPDATE deliveries SET state = 'suppressed', waiting = 0, finished_at = ?3, detail = 'acknowledged'
         WHERE state = 'queued' AND incident IN (SELECT value FROM json_each(?1))
           AND channel IN (SELECT value FROM json_each(?2))
           AND notification_id IN (SELECT id FROM notifications WHERE kind IN ('firing', 'repeat'))",
    )?
    .execute(params![json(&incidents)?, json(&channels)?, civil_now.as_nanos()])
}

pub(super) fn write_transitions(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    let mut statement = t.prepare_cached(
        "INSERT OR IGNORE INTO transitions (partition, offset, idx, alert_id, at, consumed_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (position, transition) in &step.transitions {
        statement.execute(params![
            &*position.partition,
            position.offset.cast_signed(),
            position.index,
            transition.id.to_string(),
            transition.window.end.as_nanos(),
            step.civil_now.as_nanos(),
            json(&**transition)?,
        ])?;
    }
    Ok(())
}

pub(super) fn write_alert(t: &Transaction<'_>, alert: &Alert) -> rusqlite::Result<()> {
    t.prepare_cached(
        "INSERT OR REPLACE INTO alerts (id, state, phase, severity, metric, labels, fired_at, seen_at, resolved_at,
           updated_at, suppressed_by, told, fired, last, acknowledged)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        alert.id.to_string(),
        alert.state.as_str(),
        alert.phase.as_str(),
        alert.severity as i64,
        &*alert.last.series.metric,
        json(&alert.labels)?,
        nanos(alert.fired_at),
        nanos(alert.seen_at),
        nanos(alert.resolved_at),
        alert.updated_at.as_nanos(),
        alert.suppressed_by,
        alert.told,
        alert.fired.as_ref().map(|fired| json(&**fired)).transpose()?,
        json(&*alert.last)?,
        alert.acknowledged.as_ref().map(json).transpose()?,
    ])?;
    Ok(())
}

pub(super) fn write_groups(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    for key in &step.dropped_groups {
        t.prepare_cached("DELETE FROM groups WHERE key = ?1")?.execute([key])?;
        t.prepare_cached("DELETE FROM members WHERE group_key = ?1")?.execute([key])?;
    }
    let mut statement = t.prepare_cached(
        "INSERT OR REPLACE INTO groups
           (key, route, receiver, labels, incident, created_at, flush_at, last_notified, sequence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for group in &step.groups {
        statement.execute(params![
            group.key,
            group.route,
            group.receiver,
            json(&group.labels)?,
            group.incident,
            group.created_at.as_nanos(),
            nanos(group.flush_at),
            nanos(group.last_notified),
            group.sequence.cast_signed(),
        ])?;
    }
    Ok(())
}

pub(super) fn write_members(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    for (key, id, member) in &step.members {
        let id = id.to_string();
        match member {
            Some(member) => {
                let told = member.told.map(|severity| severity as i64);
                t.prepare_cached(
                    "INSERT OR REPLACE INTO members (group_key, alert_id, told, moved) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![key, id, told, member.left])?
            }
            None => t
                .prepare_cached("DELETE FROM members WHERE group_key = ?1 AND alert_id = ?2")?
                .execute([key, &id])?,
        };
    }
    Ok(())
}

pub(super) fn write_notification(
    t: &Transaction<'_>,
    new: &NewNotification,
    civil_now: Timestamp,
) -> rusqlite::Result<()> {
    let message = &new.message;
    t.prepare_cached(
        "INSERT INTO notifications (incident, receiver, kind, waiting, at, created_at, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        message.incident,
        message.receiver,
        message.kind.as_str(),
        new.waiting,
        message.at.as_nanos(),
        message.created_at.as_nanos(),
        json(message)?,
    ])?;
    let id = t.last_insert_rowid();
    let mut statement = t.prepare_cached(
        "INSERT OR REPLACE INTO notification_alerts (notification_id, alert_id, status) VALUES (?1, ?2, ?3)",
    )?;
    for (alert, status) in &new.alerts {
        statement.execute(params![id, alert.to_string(), status_name(*status)])?;
    }
    for delivery in &new.deliveries {
        write_delivery(t, id, delivery, new)?;
    }
    for merged in &new.merges {
        merge_into(t, *merged, id, civil_now)?;
    }
    Ok(())
}

pub(super) fn write_delivery(
    t: &Transaction<'_>,
    notification: i64,
    delivery: &NewDelivery,
    new: &NewNotification,
) -> rusqlite::Result<()> {
    let incident = &new.message.incident;
    let thread: Option<String> = t
        .prepare_cached(
            "SELECT key FROM deliveries WHERE incident = ?1 AND channel = ?2 AND recipient = ?3 ORDER BY id LIMIT 1",
        )?
        .query_row([incident, &delivery.channel, &delivery.recipient], |row| row.get(0))
        .optional()?;
    let created = new.message.created_at.as_nanos();
    t.prepare_cached(
        "INSERT INTO deliveries (notification_id, key, thread, incident, channel, recipient, urgency, state, waiting,
           not_before, decided_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8, ?9, ?9, ?9)",
    )?
    .execute(params![
        notification,
        delivery.key,
        thread,
        incident,
        delivery.channel,
        delivery.recipient,
        new.urgency as i64,
        new.waiting,
        created,
    ])?;
    Ok(())
}

/// The deliveries of a notification that waited are told by the summary's delivery to the same recipient.
pub(super) fn merge_into(
    t: &Transaction<'_>,
    merged: i64,
    summary: i64,
    civil_now: Timestamp,
) -> rusqlite::Result<()> {
    t.prepare_cached(
        "UPDATE deliveries SET state = 'merged', waiting = 0, finished_at = ?3, merged_into = COALESCE(
           (SELECT s.id FROM deliveries s WHERE s.notification_id = ?2 AND s.channel = deliveries.channel
              AND s.recipient = deliveries.recipient),
           (SELECT MIN(s.id) FROM deliveries s WHERE s.notification_id = ?2))
         WHERE notification_id = ?1 AND state = 'queued'",
    )?
    .execute(params![merged, summary, civil_now.as_nanos()])?;
    t.prepare_cached("UPDATE notifications SET waiting = 0 WHERE id = ?1")?.execute([merged])?;
    Ok(())
}
