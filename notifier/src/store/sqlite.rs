//! The store in SQLite: WAL, `synchronous = FULL`, one writer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{AlertId, AlertTransition, Labels, Positions, Severity, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Finished, Lease, Loaded, NewDelivery, NewNotification, Step, Store, StoreError, Waiting, schema,
};
use crate::incident::{Alert, Group, Member, Phase};
use crate::message::NoteStatus;
use crate::stages::rate::Bucket;
use crate::view::{AlertState, DeliveryState};

/// The store.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    place: String,
}

impl SqliteStore {
    /// Opens a database; makes it when absent.
    ///
    /// # Errors
    /// [`StoreError`], also when a newer program wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        let open = || -> rusqlite::Result<Connection> {
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.set_prepared_statement_cache_capacity(64);
            schema::migrate(&mut connection)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| StoreError {
            what: "open",
            place: place.clone(),
            source: error.into(),
        })?;
        Ok(Self { connection, place })
    }

    fn transact<T>(
        &mut self,
        what: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let run = || {
            let transaction = self.connection.transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|error: rusqlite::Error| StoreError {
            what,
            place: self.place.clone(),
            source: error.into(),
        })
    }
}

/// A value as JSON text.
fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// A value from the JSON text of a column.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, &error.to_string()))
}

/// A value whose text form stands in a column.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| damaged(column, &text))
}

pub(super) fn damaged(column: &str, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        0,
        rusqlite::types::Type::Text,
        format!("{column}: {what}").into(),
    )
}

pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_nanos)
}

pub(super) fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_nanos))
}

fn nanos(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_nanos)
}

pub(super) fn severity(code: i64) -> Severity {
    match code {
        0 => Severity::P0,
        1 => Severity::P1,
        _ => Severity::P2,
    }
}

fn phase(name: &str) -> rusqlite::Result<Phase> {
    Phase::ALL.into_iter().find(|phase| phase.as_str() == name).ok_or_else(|| damaged("phase", name))
}

fn alert_state(name: &str) -> rusqlite::Result<AlertState> {
    AlertState::from_name(name).ok_or_else(|| damaged("state", name))
}

fn note_status(name: &str) -> NoteStatus {
    if name == "firing" { NoteStatus::Firing } else { NoteStatus::Resolved }
}

fn status_name(status: NoteStatus) -> &'static str {
    match status {
        NoteStatus::Firing => "firing",
        NoteStatus::Resolved => "resolved",
    }
}

/// Reads a row of `alerts`.
pub(super) fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let fired: Option<String> = row.get("fired")?;
    let fired: Option<AlertTransition> = fired
        .map(|text| serde_json::from_str(&text).map_err(|error| damaged("fired", &error.to_string())))
        .transpose()?;
    Ok(Alert {
        id: parsed(row, "id")?,
        state: alert_state(&row.get::<_, String>("state")?)?,
        phase: phase(&row.get::<_, String>("phase")?)?,
        severity: severity(row.get("severity")?),
        labels: from_json(row, "labels")?,
        fired_at: optional_time(row, "fired_at")?,
        seen_at: optional_time(row, "seen_at")?,
        resolved_at: optional_time(row, "resolved_at")?,
        updated_at: time(row, "updated_at")?,
        suppressed_by: row.get("suppressed_by")?,
        told: row.get("told")?,
        fired: fired.map(Arc::new),
        last: Arc::new(from_json(row, "last")?),
    })
}

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        key: row.get("key")?,
        route: row.get("route")?,
        receiver: row.get("receiver")?,
        labels: from_json::<Labels>(row, "labels")?,
        incident: row.get("incident")?,
        created_at: time(row, "created_at")?,
        flush_at: optional_time(row, "flush_at")?,
        last_notified: optional_time(row, "last_notified")?,
        sequence: row.get::<_, i64>("sequence")?.unsigned_abs(),
        members: BTreeMap::new(),
    })
}

fn load(t: &Transaction<'_>) -> rusqlite::Result<Loaded> {
    let meta = |key: &str| -> rusqlite::Result<Option<String>> {
        t.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
    };
    let mut loaded = Loaded::default();
    if let Some(text) = meta("positions")? {
        loaded.positions =
            serde_json::from_str(&text).map_err(|error| damaged("positions", &error.to_string()))?;
    }
    loaded.next_number = meta("next_number")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut statement = t.prepare("SELECT * FROM alerts WHERE phase <> 'closed'")?;
    loaded.alerts = statement.query_map([], alert)?.collect::<rusqlite::Result<_>>()?;
    let mut statement = t.prepare("SELECT * FROM groups")?;
    let groups = statement.query_map([], group)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut groups: BTreeMap<String, Group> = groups.into_iter().map(|g| (g.key.clone(), g)).collect();
    let mut statement = t.prepare("SELECT * FROM members")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: AlertId = parsed(row, "alert_id")?;
        let told = row.get::<_, Option<i64>>("told")?.map(severity);
        if let Some(group) = groups.get_mut(&row.get::<_, String>("group_key")?) {
            group.members.insert(id, Member { told, left: row.get("moved")? });
        }
    }
    loaded.groups = groups.into_values().collect();
    let mut statement = t.prepare("SELECT * FROM buckets")?;
    let buckets = statement.query_map([], |row| {
        let bucket = Bucket {
            tokens: row.get("tokens")?,
            at: time(row, "at")?,
            merge_at: optional_time(row, "merge_at")?,
        };
        Ok((row.get("receiver")?, bucket))
    })?;
    loaded.buckets = buckets.collect::<rusqlite::Result<_>>()?;
    Ok(loaded)
}

fn write_meta(t: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    t.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute([key, value])?;
    Ok(())
}

fn write_step(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
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
    Ok(())
}

fn write_transitions(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
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

fn write_alert(t: &Transaction<'_>, alert: &Alert) -> rusqlite::Result<()> {
    t.prepare_cached(
        "INSERT OR REPLACE INTO alerts (id, state, phase, severity, metric, labels, fired_at, seen_at, resolved_at,
           updated_at, suppressed_by, told, fired, last)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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
    ])?;
    Ok(())
}

fn write_groups(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
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

fn write_members(t: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
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

fn write_notification(
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

fn write_delivery(
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
fn merge_into(t: &Transaction<'_>, merged: i64, summary: i64, civil_now: Timestamp) -> rusqlite::Result<()> {
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

fn alerts_of(t: &Transaction<'_>, notification: i64) -> rusqlite::Result<Vec<(AlertId, NoteStatus)>> {
    let mut statement =
        t.prepare_cached("SELECT alert_id, status FROM notification_alerts WHERE notification_id = ?1")?;
    let rows = statement.query_map([notification], |row| {
        Ok((parsed(row, "alert_id")?, note_status(&row.get::<_, String>("status")?)))
    })?;
    rows.collect()
}

fn lease(t: &Transaction<'_>, channel: &str, now: Timestamp) -> rusqlite::Result<Option<Lease>> {
    let found = t
        .prepare_cached(
            "SELECT d.id, d.key, d.thread, d.recipient, d.attempts, d.created_at, n.message
             FROM deliveries d JOIN notifications n ON n.id = d.notification_id
             WHERE d.channel = ?1 AND d.state = 'queued' AND d.waiting = 0
               AND (d.not_before <= ?2 OR d.decided_at > ?2)
               AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.incident = d.incident AND e.channel = d.channel
                 AND e.recipient = d.recipient AND e.id < d.id AND e.state IN ('queued', 'leased') AND e.waiting = 0)
             ORDER BY d.urgency, d.id LIMIT 1",
        )?
        .query_row(params![channel, now.as_nanos()], |row| {
            Ok(Lease {
                delivery: row.get("id")?,
                key: row.get("key")?,
                thread: row.get("thread")?,
                recipient: row.get("recipient")?,
                attempt: row.get::<_, u32>("attempts")? + 1,
                created_at: time(row, "created_at")?,
                message: from_json(row, "message")?,
            })
        })
        .optional()?;
    if let Some(lease) = &found {
        t.prepare_cached(
            "UPDATE deliveries SET state = 'leased', attempts = ?2, decided_at = ?3 WHERE id = ?1",
        )?
        .execute(params![lease.delivery, lease.attempt, now.as_nanos()])?;
    }
    Ok(found)
}

fn finish(t: &Transaction<'_>, done: &Finished) -> rusqlite::Result<()> {
    let over = !matches!(done.state, DeliveryState::Queued | DeliveryState::Leased);
    t.prepare_cached(
        "UPDATE deliveries SET state = ?2, not_before = ?3, decided_at = ?4, finished_at = ?5, detail = ?6,
           provider_id = ?7 WHERE id = ?1",
    )?
    .execute(params![
        done.delivery,
        done.state.as_str(),
        done.not_before.as_nanos(),
        done.decided_at.as_nanos(),
        over.then_some(done.decided_at.as_nanos()),
        done.detail,
        done.provider_id,
    ])?;
    write_attempt(t, done.delivery, done.started_at, done.millis, done.outcome, &done.detail)
}

fn write_attempt(
    t: &Transaction<'_>,
    delivery: i64,
    started_at: Timestamp,
    millis: u64,
    outcome: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    t.prepare_cached(
        "INSERT INTO attempts (delivery_id, started_at, millis, outcome, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![delivery, started_at.as_nanos(), millis.cast_signed(), outcome, detail])?;
    Ok(())
}

fn release_leases(t: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<usize> {
    let leased: Vec<(i64, i64)> = t
        .prepare_cached("SELECT id, decided_at FROM deliveries WHERE state = 'leased'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, started) in &leased {
        write_attempt(
            t,
            *id,
            Timestamp::from_nanos(*started),
            0,
            "unknown",
            "the process ended during the attempt",
        )?;
    }
    t.execute(
        "UPDATE deliveries SET state = 'queued', not_before = ?1, decided_at = ?1 WHERE state = 'leased'",
        [now.as_nanos()],
    )
}

fn suppress_orphans(t: &Transaction<'_>, channels: &[String], now: Timestamp) -> rusqlite::Result<usize> {
    t.execute(
        "UPDATE deliveries SET state = 'suppressed', waiting = 0, finished_at = ?2,
           detail = 'channel `' || channel || '` is no longer configured'
         WHERE state = 'queued' AND channel NOT IN (SELECT value FROM json_each(?1))",
        params![json(&channels)?, now.as_nanos()],
    )
}

fn prune(t: &Transaction<'_>, domain_before: Timestamp, civil_before: Timestamp) -> rusqlite::Result<usize> {
    let domain = domain_before.as_nanos();
    let gone = "SELECT id FROM alerts WHERE phase = 'closed' AND updated_at < ?1";
    let mut count = 0;
    for table in ["transitions", "suppressions", "notification_alerts"] {
        count += t.execute(&format!("DELETE FROM {table} WHERE alert_id IN ({gone})"), [domain])?;
    }
    count += t.execute("DELETE FROM alerts WHERE phase = 'closed' AND updated_at < ?1", [domain])?;
    let civil = civil_before.as_nanos();
    let old = "SELECT n.id FROM notifications n WHERE n.created_at < ?1 AND NOT EXISTS
                 (SELECT 1 FROM notification_alerts a WHERE a.notification_id = n.id)
               AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id
                 AND d.state IN ('queued', 'leased'))";
    let deliveries = format!("SELECT id FROM deliveries WHERE notification_id IN ({old})");
    count += t.execute(&format!("DELETE FROM attempts WHERE delivery_id IN ({deliveries})"), [civil])?;
    count += t.execute(&format!("DELETE FROM deliveries WHERE notification_id IN ({old})"), [civil])?;
    count += t.execute(
        "DELETE FROM notifications WHERE created_at < ?1 AND NOT EXISTS
           (SELECT 1 FROM deliveries d WHERE d.notification_id = notifications.id)",
        [civil],
    )?;
    Ok(count)
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.transact("read what is open", load)
    }

    fn commit(&mut self, step: &Step) -> Result<(), StoreError> {
        self.transact("write a step", |t| write_step(t, step))
    }

    fn waiting(&mut self, receiver: &str) -> Result<Vec<Waiting>, StoreError> {
        self.transact("read waiting messages", |t| {
            let mut statement = t.prepare_cached(
                "SELECT id, message FROM notifications WHERE receiver = ?1 AND waiting = 1 ORDER BY id",
            )?;
            let rows =
                statement.query_map([receiver], |row| Ok((row.get("id")?, from_json(row, "message")?)))?;
            let mut waiting = Vec::new();
            for row in rows {
                let (notification, message) = row?;
                waiting.push(Waiting { notification, message, alerts: alerts_of(t, notification)? });
            }
            Ok(waiting)
        })
    }

    fn lease(&mut self, channel: &str, civil_now: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.transact("lease a delivery", |t| lease(t, channel, civil_now))
    }

    fn next_due(&mut self, channel: &str, civil_now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.transact("read the next delivery", |t| {
            t.prepare_cached(
                "SELECT MIN(not_before) AS at FROM deliveries
                 WHERE channel = ?1 AND state = 'queued' AND waiting = 0 AND not_before > ?2",
            )?
            .query_row(params![channel, civil_now.as_nanos()], |row| optional_time(row, "at"))
        })
    }

    fn finish(&mut self, finished: &Finished) -> Result<(), StoreError> {
        self.transact("record an attempt", |t| finish(t, finished))
    }

    fn release_leases(&mut self, civil_now: Timestamp) -> Result<usize, StoreError> {
        self.transact("release deliveries", |t| release_leases(t, civil_now))
    }

    fn suppress_orphans(&mut self, channels: &[String], civil_now: Timestamp) -> Result<usize, StoreError> {
        self.transact("end deliveries of removed channels", |t| suppress_orphans(t, channels, civil_now))
    }

    fn set_timezone(&mut self, zone: chrono_tz::Tz) -> Result<(), StoreError> {
        self.transact("keep the zone", |t| write_meta(t, "timezone", zone.name()))
    }

    fn prune(&mut self, domain_before: Timestamp, civil_before: Timestamp) -> Result<usize, StoreError> {
        self.transact("delete old alerts", |t| prune(t, domain_before, civil_before))
    }

    fn queue_depth(&mut self) -> Result<u64, StoreError> {
        self.transact("count deliveries", |t| {
            t.query_row("SELECT COUNT(*) FROM deliveries WHERE state IN ('queued', 'leased')", [], |row| {
                row.get::<_, i64>(0).map(i64::unsigned_abs)
            })
        })
    }
}

/// The positions a database is at, read without loading the rest.
pub(super) fn positions(connection: &Connection) -> rusqlite::Result<Positions> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'positions'", [], |row| row.get(0))
        .optional()?;
    text.map_or(Ok(Positions::default()), |text| {
        serde_json::from_str(&text).map_err(|error| damaged("positions", &error.to_string()))
    })
}
