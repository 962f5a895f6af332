//! A tiny business: a SQLite file whose number a test turns up and down, and the configuration that watches it.

use std::path::Path;

use super::fake_smtp::FakeSmtp;
use super::fake_webhook::{FakeWebhook, SECRET};

/// Makes the file with this level.
pub fn create(dir: &Path, level: i64) {
    let db = rusqlite::Connection::open(dir.join("level.db")).unwrap();
    db.execute_batch("CREATE TABLE level (n INTEGER NOT NULL)").unwrap();
    db.execute("INSERT INTO level VALUES (?1)", [level]).unwrap();
}

/// Sets the level.
pub fn set(dir: &Path, level: i64) {
    let db = rusqlite::Connection::open(dir.join("level.db")).unwrap();
    db.busy_timeout(super::DEADLINE).unwrap();
    db.execute("UPDATE level SET n = ?1", [level]).unwrap();
}

/// The head of a configuration: everything embedded, a free port, the file as source `made`.
pub fn head() -> String {
    "version: 1\ndata_dir: data\nhttp: {listen: '127.0.0.1:0', external_url: 'http://tidemark.test'}\nsources:\n  made: {sqlite: {path: level.db}}\n".to_owned()
}

/// Receiver `ops` at both fakes, and a route that does not wait long.
pub fn receivers(smtp: &FakeSmtp, webhook: &FakeWebhook) -> String {
    format!(
        "receivers:\n  - name: ops\n    rate_limit: {{messages: 100000, per: 1m}}\n    channels:\n      - email: {{to: [ops@example.com], host: 127.0.0.1, port: {}}}\n      \
         - webhook: {{url: '{}', secret: {SECRET}}}\n\
         route: {{receiver: ops, group_by: [metric], group_wait: 1s, group_interval: 1s, repeat_interval: 4h}}\n",
        smtp.port,
        webhook.url(),
    )
}

/// A metric sampled every second that is outside below 10.
pub fn metric(name: &str, sql: &str) -> String {
    format!(
        "  - name: {name}\n    source: made\n    query: {{sql: \"{sql}\"}}\n    interval: 1s\n    delay: 0s\n    \
         timeout: 5s\n    threshold: {{below: 10}}\n    severity: P1\n    for: {{m: 1, n: 1}}\n    title: Made {name}\n    owner: tests\n"
    )
}
