//! The example database: one week of orders of a made-up shop, repeated for ever by a view.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Poisson};
use rusqlite::{Connection, params};

const MINUTES_A_WEEK: u32 = 7 * 1440;

/// A week of orders, seconds counted from Monday 00:00 UTC, and a view that shows this week and the last with times.
const LAYOUT: &str = "
CREATE TABLE example_week (second INTEGER NOT NULL, channel TEXT NOT NULL, amount REAL NOT NULL);
CREATE VIEW orders AS
  WITH week(start) AS (
    SELECT unixepoch('now') - (unixepoch('now') - 345600) % 604800
    UNION ALL
    SELECT unixepoch('now') - (unixepoch('now') - 345600) % 604800 - 604800
  )
  SELECT datetime(week.start + second, 'unixepoch') AS created_at, channel, amount
  FROM week, example_week;
";

/// Writes the file anew, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let readable = std::fs::Permissions::from_mode(0o644);
    let aside = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    let mut connection = Connection::open(aside.path())?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(LAYOUT)?;
    {
        let mut insert = transaction.prepare("INSERT INTO example_week VALUES (?1, ?2, ?3)")?;
        for (second, channel, amount) in orders()? {
            insert.execute(params![second, channel, amount])?;
        }
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    let file = aside.persist(path)?;
    file.sync_all()?;
    Ok(())
}

/// The orders of a week: a daily rhythm with its peak in the evening, more at the weekend; `web` is a small channel.
fn orders() -> Result<Vec<(u32, &'static str, f64)>, rand_distr::NormalError> {
    let mut random = StdRng::seed_from_u64(1);
    let amounts = LogNormal::new(4.5, 0.6)?;
    let mut all = Vec::new();
    for minute in 0..MINUTES_A_WEEK {
        let hour = f64::from(minute % 1440) / 60.0;
        let daily = 0.5 + 0.4 * ((hour - 19.0) / 24.0 * std::f64::consts::TAU).cos();
        let weekend = if minute >= 5 * 1440 { 1.3 } else { 1.0 };
        for (channel, mean) in [("app", 4.0), ("web", 0.8)] {
            let count = Poisson::new(mean * daily * weekend)
                .map_or(0, |counts| Distribution::<f64>::sample(&counts, &mut random) as u32);
            for _ in 0..count {
                let second = minute * 60 + random.random_range(0..60);
                let amount: f64 = amounts.sample(&mut random);
                all.push((second, channel, (amount * 100.0).round() / 100.0));
            }
        }
    }
    Ok(all)
}
