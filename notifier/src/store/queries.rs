//! Reading the state beside what writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;
use model::{AlertId, Positions, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::StoreError;
use super::rows::{alert, damaged, from_json, optional_time, parsed, time};
use super::sqlite::positions;
use crate::NotifierError;
use crate::incident::Alert;
use crate::matcher::{LabelMatcher, all_match, parse_matchers};
use crate::message::sentence::in_every_language;
use crate::view::{
    AlertDetail, AlertFilter, AlertState, AlertView, AttemptView, DeliveryState, DeliveryView,
    SuppressionView, TransitionView, Unaccounted,
};

/// How many alerts a list holds when nothing is said.
const DEFAULT_LIMIT: usize = 1_000;

/// Reads the notifier's state. Its calls touch the disk: call them where blocking is allowed. Cheap to clone; readers
/// wait for each other but not for the notifier.
#[derive(Clone)]
pub struct Reader {
    connection: Arc<Mutex<Connection>>,
    place: Arc<str>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("place", &self.place).finish_non_exhaustive()
    }
}

const DELIVERY: &str =
    "SELECT d.id, d.key, d.incident, n.receiver, d.channel, d.recipient, n.kind, d.state, d.detail,
  d.provider_id, d.attempts, n.message, n.at, d.created_at, d.finished_at, d.merged_into
  FROM deliveries d JOIN notifications n ON n.id = d.notification_id";

impl Reader {
    /// Opens a database for reading alone.
    ///
    /// # Errors
    /// [`StoreError`], also when there is none.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let place: Arc<str> = path.display().to_string().into();
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            Ok(connection)
        };
        let connection = open().map_err(|error| StoreError {
            what: "open",
            place: place.to_string(),
            source: error.into(),
        })?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), place })
    }

    fn ask<T>(
        &self,
        what: &'static str,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, NotifierError> {
        question(&self.lock()).map_err(|error| {
            NotifierError::Store(StoreError { what, place: self.place.to_string(), source: error.into() })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Alerts, the last changed first.
    ///
    /// # Errors
    /// [`NotifierError`].
    pub fn alerts(&self, filter: &AlertFilter) -> Result<Vec<AlertView>, NotifierError> {
        let mut matchers = Vec::new();
        for text in &filter.matchers {
            matchers.extend(parse_matchers(text).map_err(NotifierError::Matcher)?);
        }
        self.ask("list alerts", |connection| alerts(connection, filter, &matchers))
    }

    /// One alert with all that is known of it.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn alert(&self, id: AlertId) -> Result<Option<AlertDetail>, NotifierError> {
        self.ask("read an alert", |connection| detail(connection, id))
    }

    /// Deliveries, the newest first.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn deliveries(&self, limit: usize) -> Result<Vec<DeliveryView>, NotifierError> {
        self.ask("list deliveries", |connection| {
            let mut statement =
                connection.prepare_cached(&format!("{DELIVERY} ORDER BY d.id DESC LIMIT ?1"))?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement.query_map([limit], delivery)?.collect()
        })
    }

    /// How many deliveries wait or are under way, by channel; a channel without any is left out.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn queued(&self) -> Result<BTreeMap<String, u64>, NotifierError> {
        self.ask("count what is queued", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT channel, count(*) FROM deliveries WHERE state IN ('queued', 'leased') GROUP BY channel",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            rows.collect()
        })
    }

    /// The attempts of a delivery, in order.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn attempts(&self, delivery: i64) -> Result<Vec<AttemptView>, NotifierError> {
        self.ask("list attempts", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM attempts WHERE delivery_id = ?1 ORDER BY id")?;
            let rows = statement.query_map([delivery], |row| {
                Ok(AttemptView {
                    started_at: time(row, "started_at")?,
                    millis: row.get::<_, i64>("millis")?.unsigned_abs(),
                    outcome: row.get("outcome")?,
                    detail: row.get("detail")?,
                })
            })?;
            rows.collect()
        })
    }

    /// Alerts that fired and of which nobody was told, that are not suppressed and for which nothing is under way.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn unaccounted(&self) -> Result<Vec<Unaccounted>, NotifierError> {
        self.ask("look for unaccounted alerts", |connection| {
            let mut statement = connection.prepare_cached(UNACCOUNTED)?;
            let rows = statement.query_map([], |row| {
                let why = if row.get::<_, bool>("failed")? { "failed" } else { "untold" };
                Ok(Unaccounted { id: parsed(row, "id")?, why: why.to_owned() })
            })?;
            rows.collect()
        })
    }

    /// How far the log is consumed.
    ///
    /// # Errors
    /// [`NotifierError::Store`].
    pub fn positions(&self) -> Result<Positions, NotifierError> {
        self.ask("read the position", positions)
    }
}

const UNACCOUNTED: &str = "
SELECT a.id, EXISTS (SELECT 1 FROM notification_alerts n WHERE n.alert_id = a.id) AS failed
FROM alerts a
WHERE a.fired_at IS NOT NULL AND a.phase NOT IN ('held', 'digest')
  AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.alert_id = a.id)
  AND NOT EXISTS (
    SELECT 1 FROM notification_alerts n
    JOIN deliveries d ON d.notification_id = n.notification_id
    LEFT JOIN deliveries m ON m.id = d.merged_into
    WHERE n.alert_id = a.id
      AND (d.state IN ('queued', 'leased', 'accepted', 'delivered', 'suppressed')
        OR (d.state = 'merged' AND m.state IN ('queued', 'leased', 'accepted', 'delivered', 'suppressed'))))
  AND NOT EXISTS (
    SELECT 1 FROM members p JOIN groups g ON g.key = p.group_key
    WHERE p.alert_id = a.id AND p.told IS NULL AND g.flush_at IS NOT NULL)
ORDER BY a.updated_at";

fn alerts(
    connection: &Connection,
    filter: &AlertFilter,
    matchers: &[LabelMatcher],
) -> rusqlite::Result<Vec<AlertView>> {
    let zone = zone(connection)?;
    let limit = if filter.limit == 0 { DEFAULT_LIMIT } else { filter.limit };
    let since = filter.since.unwrap_or(Timestamp::MIN);
    let mut statement = connection.prepare_cached(
        "SELECT * FROM alerts WHERE updated_at >= ?1 AND (?2 IS NULL OR metric = ?2) ORDER BY updated_at DESC, id",
    )?;
    let mut rows = statement.query(params![since.as_nanos(), filter.metric])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() >= limit {
            break;
        }
        let alert = alert(row)?;
        let in_state = filter.states.is_empty() || filter.states.contains(&alert.state);
        let fired = alert.state != AlertState::Resolved || alert.fired_at.is_some();
        if in_state && (fired || filter.never_fired) && all_match(matchers, &alert.labels, alert.severity) {
            found.push(view(&alert, zone));
        }
    }
    Ok(found)
}

fn zone(connection: &Connection) -> rusqlite::Result<Tz> {
    let name: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'timezone'", [], |row| row.get(0))
        .optional()?;
    name.map_or(Ok(Tz::UTC), |name| name.parse().map_err(|_| damaged("timezone", &name)))
}

fn view(alert: &Alert, zone: Tz) -> AlertView {
    let told = alert.told(alert.updated_at, zone);
    AlertView {
        id: alert.id,
        state: alert.state,
        severity: alert.severity,
        metric: alert.last.series.metric.to_string(),
        labels: alert.labels.clone(),
        starts_at: alert.id.starts_at,
        fired_at: alert.fired_at,
        resolved_at: alert.resolved_at,
        updated_at: alert.updated_at,
        suppressed_by: alert.suppressed_by.clone(),
        acknowledged: alert.acknowledged.clone(),
        last: (*alert.last).clone(),
        fired: alert.fired.as_deref().cloned(),
        sentence: in_every_language(|language| told.sentence(language)),
        why: in_every_language(|language| told.why(language)),
    }
}

fn detail(connection: &Connection, id: AlertId) -> rusqlite::Result<Option<AlertDetail>> {
    let name = id.to_string();
    let found = connection
        .prepare_cached("SELECT * FROM alerts WHERE id = ?1")?
        .query_row([&name], alert)
        .optional()?;
    let Some(alert) = found else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT * FROM transitions WHERE alert_id = ?1 ORDER BY at, consumed_at, offset, idx",
    )?;
    let transitions = statement.query_map([&name], |row| {
        Ok(TransitionView {
            at: time(row, "at")?,
            consumed_at: time(row, "consumed_at")?,
            transition: from_json(row, "body")?,
        })
    })?;
    let sql = format!(
        "{DELIVERY} JOIN notification_alerts a ON a.notification_id = n.id WHERE a.alert_id = ?1 ORDER BY d.id"
    );
    let mut deliveries = connection.prepare_cached(&sql)?;
    let mut suppressions =
        connection.prepare_cached("SELECT * FROM suppressions WHERE alert_id = ?1 ORDER BY at")?;
    let mut acknowledgements =
        connection.prepare_cached("SELECT body FROM acknowledgements WHERE alert_id = ?1 ORDER BY id")?;
    let suppression =
        |row: &Row<'_>| Ok(SuppressionView { at: time(row, "at")?, reason: row.get("reason")? });
    Ok(Some(AlertDetail {
        alert: view(&alert, zone(connection)?),
        transitions: transitions.collect::<rusqlite::Result<_>>()?,
        deliveries: deliveries.query_map([&name], delivery)?.collect::<rusqlite::Result<_>>()?,
        acknowledgements: acknowledgements
            .query_map([&name], |row| from_json(row, "body"))?
            .collect::<rusqlite::Result<_>>()?,
        suppressions: suppressions.query_map([&name], suppression)?.collect::<rusqlite::Result<_>>()?,
    }))
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<DeliveryView> {
    let message: crate::message::Message = from_json(row, "message")?;
    let state: String = row.get("state")?;
    Ok(DeliveryView {
        id: row.get("id")?,
        key: row.get("key")?,
        incident: row.get("incident")?,
        receiver: row.get("receiver")?,
        channel: row.get("channel")?,
        recipient: row.get("recipient")?,
        kind: row.get("kind")?,
        state: DeliveryState::from_name(&state).ok_or_else(|| damaged("state", &state))?,
        detail: row.get("detail")?,
        provider_id: row.get("provider_id")?,
        attempts: row.get("attempts")?,
        subject: message.subject,
        text: message.text,
        at: time(row, "at")?,
        created_at: time(row, "created_at")?,
        finished_at: optional_time(row, "finished_at")?,
        merged_into: row.get("merged_into")?,
    })
}
