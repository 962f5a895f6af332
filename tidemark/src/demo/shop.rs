//! The business' database: a SQLite file with real tables, into which a task inserts rows as domain time passes.
//!
//! A minute's rows go in in one transaction, together with the mark how far the business has come, a few real seconds
//! before the minute begins: at any speed they are there when a sampler asks, and never twice, whatever ended the demo
//! before.
//! Rows older than a day are deleted, so that the file stays small.

use std::path::Path;
use std::time::Duration;

use model::{Clock, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::business::{Business, Channel, MINUTE, Stream, ZONE};

/// How long before a minute begins its rows are written, in real time: enough for a busy machine.
const AHEAD: Duration = Duration::from_secs(3);
/// After a kill domain time goes on this long after the last write: later than anything that can have been sampled,
/// since the next write was not yet due.
const AFTER_KILL: Duration = Duration::from_secs(65);
/// How long rows are kept, in domain time.
const KEPT: Duration = Duration::from_secs(86_400);
/// A pause after a failed insert, in real time.
const RETRY_AFTER: Duration = Duration::from_millis(500);

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS registrations (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS logins (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS applications
        (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, channel TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS orders
        (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, channel TEXT NOT NULL, amount_cents INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS loans
        (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, amount_cents INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS registrations_at ON registrations (created_at);
    CREATE INDEX IF NOT EXISTS logins_at ON logins (created_at);
    CREATE INDEX IF NOT EXISTS applications_at ON applications (created_at, channel);
    CREATE INDEX IF NOT EXISTS orders_at ON orders (created_at, channel);
    CREATE INDEX IF NOT EXISTS loans_at ON loans (created_at, amount_cents);
    CREATE TABLE IF NOT EXISTS written (id INTEGER PRIMARY KEY CHECK (id = 1), until_s INTEGER NOT NULL,
        at_ms INTEGER NOT NULL);
";

/// Tables from which old rows are deleted.
const AGING: [&str; 5] = ["registrations", "logins", "applications", "orders", "loans"];

/// The open database.
pub(crate) struct Shop {
    connection: Connection,
    business: Business,
    /// [`AHEAD`] in domain time.
    ahead: Duration,
    /// End of the last minute whose rows are in.
    written_until: Timestamp,
    /// Domain time of the last write.
    written_at: Option<Timestamp>,
}

impl Shop {
    /// Opens the file, or makes it; a new one begins with the first live minute.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn open(path: &Path, business: Business, speed: f64) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(TABLES)?;
        let mark = "SELECT until_s, at_ms FROM written WHERE id = 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let mark = connection.query_row(mark, [], read).optional()?;
        let written_until = mark.map_or(business.live_from(), |(until, _)| Timestamp::from_secs(until));
        let written_at = mark.map(|(_, at)| Timestamp::from_millis(at));
        Ok(Self { connection, business, ahead: AHEAD.mul_f64(speed), written_until, written_at })
    }

    /// Where domain time goes on after a kill: the first live instant when nothing was written.
    pub(crate) fn after_kill(&self) -> Timestamp {
        self.written_at.map_or(self.business.live_from(), |at| at + AFTER_KILL)
    }

    /// Writes the next minute; `now` is domain time.
    fn write_minute(&mut self, now: Timestamp) -> rusqlite::Result<()> {
        let (minute, end) = (self.written_until, self.written_until + MINUTE);
        let transaction = self.connection.transaction()?;
        insert(&transaction, &self.business, minute)?;
        if minute.as_secs().rem_euclid(3_600) == 0 {
            let before = local_text(minute - KEPT);
            for table in AGING {
                transaction.execute(&format!("DELETE FROM {table} WHERE created_at < ?1"), [&before])?;
            }
        }
        let mark = "INSERT INTO written (id, until_s, at_ms) VALUES (1, ?1, ?2)
            ON CONFLICT (id) DO UPDATE SET until_s = ?1, at_ms = ?2";
        transaction.execute(mark, [end.as_secs(), now.as_millis()])?;
        transaction.commit()?;
        (self.written_until, self.written_at) = (end, Some(now));
        Ok(())
    }

    /// Writes minute after minute before they begin. Ends when the future is dropped, between two transactions.
    pub(crate) async fn keep_writing(mut self, clock: &dyn Clock) {
        loop {
            clock.sleep_until(self.written_until - self.ahead).await;
            let now = clock.domain_now();
            let (shop, done) = match tokio::task::spawn_blocking(move || self.written(now)).await {
                Ok(both) => both,
                Err(panicked) => return tracing::error!(error = %panicked, "the demo's business stopped"),
            };
            self = shop;
            if let Err(error) = done {
                tracing::warn!(%error, "the demo's business cannot write; it tries again");
                clock.sleep(RETRY_AFTER).await;
            }
        }
    }

    fn written(mut self, now: Timestamp) -> (Self, rusqlite::Result<()>) {
        let done = self.write_minute(now);
        (self, done)
    }
}

/// `YYYY-MM-DD HH:MM:SS` in Shanghai, as the tables hold it.
fn local_text(at: Timestamp) -> String {
    at.in_zone(ZONE).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn insert(transaction: &Transaction<'_>, business: &Business, minute: Timestamp) -> rusqlite::Result<()> {
    for (table, stream) in [("registrations", Stream::Registrations), ("logins", Stream::Logins)] {
        let mut statement =
            transaction.prepare_cached(&format!("INSERT INTO {table} (created_at) VALUES (?1)"))?;
        for event in business.events(stream, minute) {
            statement.execute([local_text(event.at)])?;
        }
    }
    let mut application =
        transaction.prepare_cached("INSERT INTO applications (created_at, channel) VALUES (?1, ?2)")?;
    let mut order = transaction
        .prepare_cached("INSERT INTO orders (created_at, channel, amount_cents) VALUES (?1, ?2, ?3)")?;
    for channel in Channel::ALL {
        for event in business.events(Stream::Applications(channel), minute) {
            application.execute(params![local_text(event.at), channel.name()])?;
        }
        for event in business.events(Stream::Orders(channel), minute) {
            order.execute(params![local_text(event.at), channel.name(), event.cents])?;
        }
    }
    let mut loan =
        transaction.prepare_cached("INSERT INTO loans (created_at, amount_cents) VALUES (?1, ?2)")?;
    for event in business.events(Stream::Loans, minute) {
        loan.execute(params![local_text(event.at), event.cents])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_790_040_600);

    fn count(path: &Path, from: Timestamp) -> i64 {
        let connection = Connection::open(path).unwrap();
        let query =
            "SELECT COUNT(*) FROM orders WHERE created_at >= ?1 AND created_at < ?2 AND channel = 'app'";
        connection.query_row(query, [local_text(from), local_text(from + MINUTE)], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_tables_hold_what_the_business_did_once_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        let business = Business::new(3, START);
        let mut shop = Shop::open(&path, business.clone(), 60.0).unwrap();
        assert_eq!(shop.after_kill(), START);
        shop.write_minute(START).unwrap();
        drop(shop);
        let mut shop = Shop::open(&path, business.clone(), 60.0).unwrap();
        assert_eq!((shop.written_until, shop.after_kill()), (START + MINUTE, START + AFTER_KILL));
        shop.write_minute(START + MINUTE).unwrap();
        for minute in [START, START + MINUTE] {
            let expected = business.count(Stream::Orders(Channel::App), minute);
            assert_eq!(count(&path, minute), i64::try_from(expected).unwrap());
        }
    }

    #[tokio::test]
    async fn rows_are_there_before_their_minute_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        let shop = Shop::open(&path, Business::new(3, START), 60.0).unwrap();
        let clock = model::ManualClock::new(START);
        let writing = clock.clone();
        let writer = tokio::spawn(async move { shop.keep_writing(&writing).await });
        // Three real seconds at sixty times life are three minutes.
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        let minutes: Vec<bool> = (0..5).map(|minute| count(&path, START + MINUTE * minute) > 0).collect();
        assert_eq!(minutes, [true, true, true, true, false]);
        writer.abort();
    }

    #[test]
    fn rows_of_the_day_before_yesterday_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        let mut shop = Shop::open(&path, Business::new(3, START), 60.0).unwrap();
        shop.write_minute(START).unwrap();
        assert!(count(&path, START) > 0);
        // The next full hour after a day.
        shop.written_until =
            (START + KEPT + Duration::from_secs(7_200)).align_down(Duration::from_secs(3_600));
        shop.write_minute(START).unwrap();
        assert_eq!(count(&path, START), 0);
    }
}
