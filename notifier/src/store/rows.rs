//! Rows of the database as values.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertId, AlertTransition, Labels, Severity, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction};
use serde::de::DeserializeOwned;

use super::Loaded;
use crate::incident::{Alert, Group, Member, Phase};
use crate::message::NoteStatus;
use crate::stages::rate::Bucket;
use crate::view::AlertState;

/// A value from the JSON text of a column.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, &error.to_string()))
}

/// A value from the JSON text of a column that may be empty.
pub(super) fn optional_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| damaged(column, &error.to_string())))
        .transpose()
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

pub(super) fn severity(code: i64) -> Severity {
    match code {
        0 => Severity::P0,
        1 => Severity::P1,
        _ => Severity::P2,
    }
}

pub(super) fn phase(name: &str) -> rusqlite::Result<Phase> {
    Phase::ALL.into_iter().find(|phase| phase.as_str() == name).ok_or_else(|| damaged("phase", name))
}

pub(super) fn alert_state(name: &str) -> rusqlite::Result<AlertState> {
    AlertState::from_name(name).ok_or_else(|| damaged("state", name))
}

pub(super) fn note_status(name: &str) -> NoteStatus {
    if name == "firing" { NoteStatus::Firing } else { NoteStatus::Resolved }
}

/// Reads a row of `alerts`.
pub(super) fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let fired: Option<AlertTransition> = optional_json(row, "fired")?;
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
        acknowledged: optional_json(row, "acknowledged")?,
        fired: fired.map(Arc::new),
        last: Arc::new(from_json(row, "last")?),
    })
}

pub(super) fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
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

pub(super) fn load(t: &Transaction<'_>) -> rusqlite::Result<Loaded> {
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

pub(super) fn alerts_of(
    t: &Transaction<'_>,
    notification: i64,
) -> rusqlite::Result<Vec<(AlertId, NoteStatus)>> {
    let mut statement =
        t.prepare_cached("SELECT alert_id, status FROM notification_alerts WHERE notification_id = ?1")?;
    let rows = statement.query_map([notification], |row| {
        Ok((parsed(row, "alert_id")?, note_status(&row.get::<_, String>("status")?)))
    })?;
    rows.collect()
}
