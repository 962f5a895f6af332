//! The tables, and how an older database becomes this one. Instants are nanoseconds since 1970 in UTC; `at`-like
//! columns of `alerts`, `groups` and `buckets` are domain time, those of `deliveries` and `attempts` civil time.

use rusqlite::Connection;

/// Every migration, in order; `user_version` says how many a database has had. Never edited once released.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE alerts (
  id            TEXT PRIMARY KEY,
  state         TEXT NOT NULL,
  phase         TEXT NOT NULL,
  severity      INTEGER NOT NULL,
  metric        TEXT NOT NULL,
  labels        TEXT NOT NULL,
  fired_at      INTEGER,
  seen_at       INTEGER,
  resolved_at   INTEGER,
  updated_at    INTEGER NOT NULL,
  suppressed_by TEXT,
  told          INTEGER NOT NULL,
  fired         TEXT,
  last          TEXT NOT NULL
);
CREATE INDEX alerts_open ON alerts (phase) WHERE phase <> 'closed';
CREATE INDEX alerts_updated ON alerts (updated_at);

CREATE TABLE transitions (
  partition   TEXT NOT NULL,
  offset      INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  alert_id    TEXT NOT NULL,
  at          INTEGER NOT NULL,
  consumed_at INTEGER NOT NULL,
  body        TEXT NOT NULL,
  PRIMARY KEY (partition, offset, idx)
) WITHOUT ROWID;
CREATE INDEX transitions_alert ON transitions (alert_id);

CREATE TABLE groups (
  key           TEXT PRIMARY KEY,
  route         TEXT NOT NULL,
  receiver      TEXT NOT NULL,
  labels        TEXT NOT NULL,
  incident      TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  flush_at      INTEGER,
  last_notified INTEGER,
  sequence      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE members (
  group_key TEXT NOT NULL,
  alert_id  TEXT NOT NULL,
  told      INTEGER,
  moved     INTEGER NOT NULL,
  PRIMARY KEY (group_key, alert_id)
) WITHOUT ROWID;
CREATE INDEX members_alert ON members (alert_id);

CREATE TABLE buckets (
  receiver TEXT PRIMARY KEY,
  tokens   REAL NOT NULL,
  at       INTEGER NOT NULL,
  merge_at INTEGER
) WITHOUT ROWID;

CREATE TABLE suppressions (
  alert_id TEXT NOT NULL,
  reason   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (alert_id, reason)
) WITHOUT ROWID;

CREATE TABLE notifications (
  id         INTEGER PRIMARY KEY,
  incident   TEXT NOT NULL,
  receiver   TEXT NOT NULL,
  kind       TEXT NOT NULL,
  waiting    INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  message    TEXT NOT NULL
);
CREATE INDEX notifications_waiting ON notifications (receiver) WHERE waiting = 1;

CREATE TABLE notification_alerts (
  notification_id INTEGER NOT NULL,
  alert_id        TEXT NOT NULL,
  status          TEXT NOT NULL,
  PRIMARY KEY (notification_id, alert_id)
) WITHOUT ROWID;
CREATE INDEX notification_alerts_alert ON notification_alerts (alert_id);

CREATE TABLE deliveries (
  id              INTEGER PRIMARY KEY,
  notification_id INTEGER NOT NULL,
  key             TEXT NOT NULL UNIQUE,
  thread          TEXT,
  incident        TEXT NOT NULL,
  channel         TEXT NOT NULL,
  recipient       TEXT NOT NULL,
  urgency         INTEGER NOT NULL,
  state           TEXT NOT NULL,
  waiting         INTEGER NOT NULL,
  attempts        INTEGER NOT NULL DEFAULT 0,
  not_before      INTEGER NOT NULL,
  decided_at      INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  finished_at     INTEGER,
  detail          TEXT NOT NULL DEFAULT '',
  provider_id     TEXT NOT NULL DEFAULT '',
  merged_into     INTEGER
);
CREATE INDEX deliveries_next ON deliveries (channel, state, urgency, id);
CREATE INDEX deliveries_state ON deliveries (state);
CREATE INDEX deliveries_thread ON deliveries (incident, channel, recipient, id);
CREATE INDEX deliveries_notification ON deliveries (notification_id);

CREATE TABLE attempts (
  id          INTEGER PRIMARY KEY,
  delivery_id INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  millis      INTEGER NOT NULL,
  outcome     TEXT NOT NULL,
  detail      TEXT NOT NULL
);
CREATE INDEX attempts_delivery ON attempts (delivery_id);
",
    "
ALTER TABLE alerts ADD COLUMN acknowledged TEXT;

CREATE TABLE acknowledgements (
  id       INTEGER PRIMARY KEY,
  alert_id TEXT NOT NULL,
  body     TEXT NOT NULL
);
CREATE INDEX acknowledgements_alert ON acknowledgements (alert_id);
",
    "
CREATE INDEX deliveries_provider ON deliveries (provider_id) WHERE provider_id <> '';
",
];

/// Brings a database to this version.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    if done > MIGRATIONS.len() {
        let said = format!("its schema is version {done}, this program knows {} at most", MIGRATIONS.len());
        return Err(rusqlite::Error::ToSqlConversionFailure(said.into()));
    }
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()
}
