//! The store in SQLite: WAL, `synchronous = FULL`, one writer.

use std::path::Path;
use std::time::Duration;

use model::{Positions, Secret, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::rows::{alerts_of, damaged, from_json, load, optional_time, time};
use super::write::{hush, json, write_meta, write_step};
use super::{Addressed, answers};
use super::{Finished, Lease, Loaded, Step, Store, StoreError, Waiting, schema};
use crate::plan::ChannelSlot;
use crate::view::DeliveryState;

/// Longer than any attempt lasts: what a process that ended had under way went out within it.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(300);

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

fn lease(
    t: &Transaction<'_>,
    channel: &str,
    recipients: &[String],
    now: Timestamp,
) -> rusqlite::Result<Option<Lease>> {
    let found = t
        .prepare_cached(
            "SELECT d.id, d.key, d.thread, d.recipient, d.attempts, d.created_at, n.message
             FROM deliveries d JOIN notifications n ON n.id = d.notification_id
             WHERE d.channel = ?1 AND d.state = 'queued' AND d.waiting = 0
               AND (d.not_before <= ?2 OR d.decided_at > ?2)
               AND d.recipient IN (SELECT value FROM json_each(?3))
               AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.incident = d.incident AND e.channel = d.channel
                 AND e.recipient = d.recipient AND e.id < d.id AND e.state IN ('queued', 'leased') AND e.waiting = 0)
             ORDER BY d.urgency, d.id LIMIT 1",
        )?
        .query_row(params![channel, now.as_nanos(), json(&recipients)?], |row| {
            Ok(Lease {
                delivery: row.get("id")?,
                key: row.get("key")?,
                thread: row.get("thread")?,
                recipient: row.get("recipient")?,
                attempt: row.get::<_, u32>("attempts")? + 1,
                created_at: time(row, "created_at")?,
                message: from_json(row, "message")?,
                unanswered: None,
            })
        })
        .optional()?;
    let mut found = found;
    if let Some(lease) = &mut found {
        if lease.attempt > 1 {
            lease.unanswered = answers::unanswered(t, lease.delivery, &lease.recipient)?;
        }
        t.prepare_cached(
            "UPDATE deliveries SET state = 'leased', attempts = ?2, decided_at = ?3 WHERE id = ?1",
        )?
        .execute(params![lease.delivery, lease.attempt, now.as_nanos()])?;
    }
    Ok(found)
}

fn finish(t: &Transaction<'_>, done: &Finished) -> rusqlite::Result<()> {
    if !answers::claim(t, done)? {
        let back = Finished {
            outcome: "transient",
            detail: "the message found at the provider is another delivery's".to_owned(),
            provider_id: String::new(),
            state: DeliveryState::Queued,
            ..done.clone()
        };
        return finish(t, &back);
    }
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
    release(t, &leased, "the process ended during the attempt", now)
}

fn release_forgotten(
    t: &Transaction<'_>,
    channel: &str,
    leased_before: Timestamp,
    held: &[i64],
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let leased: Vec<(i64, i64)> = t
        .prepare_cached(
            "SELECT id, decided_at FROM deliveries WHERE channel = ?1 AND state = 'leased'
               AND (decided_at < ?2 OR decided_at > ?3) AND id NOT IN (SELECT value FROM json_each(?4))",
        )?
        .query_map(params![channel, leased_before.as_nanos(), now.as_nanos(), json(&held)?], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    release(t, &leased, "the attempt ended without a word", now)
}

/// Puts leased deliveries, each with the instant of its lease, back into the queue.
fn release(t: &Transaction<'_>, leased: &[(i64, i64)], why: &str, now: Timestamp) -> rusqlite::Result<usize> {
    let mut back = t.prepare_cached(
        "UPDATE deliveries SET state = 'queued', not_before = ?2, decided_at = ?2 WHERE id = ?1",
    )?;
    for (id, started) in leased {
        let started = Timestamp::from_nanos(*started);
        // The request may have gone out at any moment until now.
        let millis = u64::try_from(now.since(started).min(LONGEST_ATTEMPT).as_millis()).unwrap_or(0);
        write_attempt(t, *id, started, millis, "unknown", why)?;
        back.execute([*id, now.as_nanos()])?;
    }
    Ok(leased.len())
}

fn suppress_orphans(t: &Transaction<'_>, slots: &[ChannelSlot], now: Timestamp) -> rusqlite::Result<usize> {
    let open: Vec<(String, String)> = t
        .prepare_cached(
            "SELECT DISTINCT channel, recipient FROM deliveries WHERE state IN ('queued', 'leased')",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ended = 0;
    for (channel, recipient) in &open {
        match place(slots, channel, recipient) {
            Some(name) if name == channel => {}
            Some(name) => {
                t.execute(
                    "UPDATE deliveries SET channel = ?3
                     WHERE state IN ('queued', 'leased') AND channel = ?1 AND recipient = ?2",
                    [channel, recipient, name],
                )?;
            }
            None => {
                ended += t.execute(
                    "UPDATE deliveries SET state = 'suppressed', waiting = 0, finished_at = ?3,
                       detail = 'channel `' || channel || '` to `' || recipient || '` is no longer configured'
                     WHERE state = 'queued' AND channel = ?1 AND recipient = ?2",
                    params![channel, recipient, now.as_nanos()],
                )?;
            }
        }
    }
    Ok(ended)
}

/// Where a channel's deliveries to a recipient belong now: there still, or in the slot of the same receiver and type
/// that reaches the recipient.
fn place<'a>(slots: &'a [ChannelSlot], channel: &str, recipient: &str) -> Option<&'a String> {
    let family = |name: &str| name.rsplit_once('/').map(|(family, _)| family.to_owned());
    let reaches = |slot: &&ChannelSlot| {
        family(&slot.name) == family(channel) && slot.recipients.iter().any(|one| one == recipient)
    };
    let mut candidates = slots.iter().filter(reaches);
    let first = candidates.clone().next();
    candidates.find(|slot| slot.name == channel).or(first).map(|slot| &slot.name)
}

fn prune(t: &Transaction<'_>, domain_before: Timestamp, civil_before: Timestamp) -> rusqlite::Result<usize> {
    let domain = domain_before.as_nanos();
    let gone = "SELECT id FROM alerts WHERE phase = 'closed' AND updated_at < ?1";
    let mut count = 0;
    for table in ["transitions", "suppressions", "notification_alerts", "acknowledgements"] {
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

    fn lease(
        &mut self,
        channel: &str,
        recipients: &[String],
        civil_now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        self.transact("lease a delivery", |t| lease(t, channel, recipients, civil_now))
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

    fn hush(
        &mut self,
        incidents: &[String],
        channels: &[String],
        civil_now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.transact("end calls", |t| hush(t, incidents, channels, civil_now))
    }

    fn addressed(&mut self, key: &str) -> Result<Option<Addressed>, StoreError> {
        self.transact("look for a delivery", |t| answers::addressed(t, key))
    }

    fn learn(&mut self, key: &str, provider_id: &str, civil_now: Timestamp) -> Result<bool, StoreError> {
        self.transact("note what a provider says", |t| answers::learn(t, key, provider_id, civil_now))
    }

    fn link_key(&mut self, fresh: &Secret) -> Result<Secret, StoreError> {
        self.transact("keep the key of links", |t| {
            t.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('link_key', ?1)", [fresh.expose()])?;
            t.query_row("SELECT value FROM meta WHERE key = 'link_key'", [], |row| {
                row.get::<_, String>(0).map(Secret::new)
            })
        })
    }

    fn release_leases(&mut self, civil_now: Timestamp) -> Result<usize, StoreError> {
        self.transact("release deliveries", |t| release_leases(t, civil_now))
    }

    fn release_forgotten(
        &mut self,
        channel: &str,
        leased_before: Timestamp,
        held: &[i64],
        civil_now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.transact("release forgotten deliveries", |t| {
            release_forgotten(t, channel, leased_before, held, civil_now)
        })
    }

    fn suppress_orphans(&mut self, slots: &[ChannelSlot], civil_now: Timestamp) -> Result<usize, StoreError> {
        self.transact("end deliveries of removed channels", |t| suppress_orphans(t, slots, civil_now))
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
