//! Against a real MariaDB, one server for all, a database for each test.

mod cells;
mod failures;
mod tls;
mod windows;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use components::Component;
use model::{Timestamp, Window};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};

use super::{MysqlConfig, MysqlSource};
use crate::{Cell, Query, Rows, SampleRequest, Source, SourceError};

const PASSWORD: &str = "tidemark";

static SERVER: LazyLock<Component> = LazyLock::new(|| {
    let mut server = Component::start("mariadb");
    server.stop();
    certify(server.dir(), "127.0.0.1", 4_000);
    server.start_again();
    server
});

/// Lays an authority and a certificate of it for `host`, good until the end of `last_year`, where the server looks.
fn certify(folder: &Path, host: &str, last_year: i32) {
    let folder = folder.join("tls");
    std::fs::create_dir_all(&folder).unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(last_year, 12, 31));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (file, pem) in
        [("ca.pem", authority.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(folder.join(file), pem).unwrap();
    }
}

async fn admin(database: Option<&str>) -> Conn {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(SERVER.port())
        .user(Some("root"))
        .pass(Some(PASSWORD))
        .db_name(database)
        .prefer_socket(false);
    Conn::new(opts).await.unwrap()
}

/// A database of its own and a source on it.
struct Shop {
    database: String,
    admin: Conn,
    source: MysqlSource,
}

/// `{..}` of a source on the test's server, some keys changed.
fn config(database: &str, changes: serde_json::Value) -> MysqlConfig {
    let mut section = serde_json::json!({
        "host": "127.0.0.1", "port": SERVER.port(), "database": database, "user": "root", "password": PASSWORD,
        "max_concurrent": 2,
    });
    for (key, value) in changes.as_object().unwrap() {
        section[key] = value.clone();
    }
    serde_json::from_value(section).unwrap()
}

impl Shop {
    async fn new(database: &str, changes: serde_json::Value, setup: &str) -> Self {
        let mut admin = admin(None).await;
        let create = format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4; USE `{database}`; {setup}");
        admin.query_drop(create).await.unwrap();
        let source = MysqlSource::new(&config(database, changes)).unwrap();
        Self { database: database.to_owned(), admin, source }
    }

    async fn query(&self, sql: &str) -> Result<Rows, SourceError> {
        ask(&self.source, sql, window()).await
    }

    async fn cells(&self, sql: &str) -> Vec<Vec<Cell>> {
        self.query(sql).await.unwrap().rows
    }

    async fn error(&self, sql: &str) -> String {
        shown(&self.query(sql).await.unwrap_err())
    }

    /// How many connections of the server are on this database beside the admin's.
    async fn connections(&mut self) -> u64 {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
            self.database
        );
        self.admin.query_first(sql).await.unwrap().unwrap()
    }

    /// Waits until so many connections are on this database.
    async fn until_connections(&mut self, wanted: u64) {
        let wait = async { while self.connections().await != wanted {} };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(waited.is_ok(), "never had {wanted} connections");
    }
}

async fn ask(source: &MysqlSource, sql: &str, window: Window) -> Result<Rows, SourceError> {
    ask_within(source, sql, window, Duration::from_secs(2)).await
}

async fn ask_within(
    source: &MysqlSource,
    sql: &str,
    window: Window,
    timeout: Duration,
) -> Result<Rows, SourceError> {
    let query = Query::Sql(sql.to_owned());
    source.sample(&SampleRequest { query: &query, window, max_rows: 100, timeout }).await
}

/// Reason, persistence and message, the port taken out.
fn shown(error: &SourceError) -> String {
    assert!(!error.message.contains(PASSWORD) && !error.message.contains("hunter2"), "{error}");
    let message = error.message.replace(&SERVER.port().to_string(), "PORT");
    format!("{:?} {:?}: {message}", error.reason, error.persistence)
}

/// 06:13 to 06:14 in Shanghai.
fn window() -> Window {
    Window::new(Timestamp::from_secs(1_699_999_980), Duration::from_secs(60))
}
