//! The source against a real PostgreSQL.

mod answers;
mod faults;
mod limits;
mod tls;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use components::Component;
use model::{Timestamp, Window};
use tokio_postgres::{Client, NoTls};

use super::{PostgresConfig, PostgresSource};
use crate::{Query, Rows, SampleRequest, Source, SourceError};

/// One server for all tests; it ends with the process.
static SERVER: LazyLock<Component> = LazyLock::new(|| {
    let server = Component::start("postgres");
    let hba = server.dir().join("data/pg_hba.conf");
    let rules = "host all secretive all scram-sha-256\n\
        host all unwanted all reject\n\
        hostnossl all careful all reject\n\
        host all all all trust\n";
    std::fs::write(&hba, rules).unwrap();
    let port = server.port();
    let setup = async move {
        let sql = "CREATE ROLE secretive LOGIN PASSWORD 'correct horse';
            CREATE ROLE unwanted LOGIN; CREATE ROLE careful LOGIN; CREATE ROLE crowded LOGIN CONNECTION LIMIT 0;
            CREATE ROLE blind LOGIN; SELECT pg_reload_conf();";
        connect(port, "postgres").await.batch_execute(sql).await.unwrap();
    };
    // Not on the runtime of the test that came first.
    let thread = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(setup));
    thread.join().unwrap();
    server
});

async fn connect(port: u16, database: &str) -> Client {
    let settings = format!("host=127.0.0.1 port={port} user=postgres dbname={database}");
    let (client, connection) = tokio_postgres::connect(&settings, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database of a test's own, and a source on it.
struct Shop {
    /// A session beside the source, which may do everything.
    admin: Client,
    config: PostgresConfig,
    source: PostgresSource,
}

impl Shop {
    async fn new(database: &str) -> Self {
        let port = SERVER.port();
        connect(port, "postgres").await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let config = serde_json::json!({
            "host": "127.0.0.1", "port": port, "database": database, "user": "postgres",
            "tls": {"mode": "disable"}, "timezone": "Asia/Shanghai", "max_concurrent": 2,
        });
        let config: PostgresConfig = serde_json::from_value(config).unwrap();
        let source = PostgresSource::new(&config).unwrap();
        Self { admin: connect(port, database).await, config, source }
    }

    async fn execute(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap();
    }

    async fn query(&self, sql: &str) -> Result<Rows, SourceError> {
        sample(&self.source, sql, Duration::from_secs(30)).await
    }

    /// The error of a query, the server's port taken out.
    async fn error(&self, sql: &str) -> String {
        shown(&self.query(sql).await.unwrap_err())
    }

    /// Whether the server runs something of this text, by the source, and for so long.
    async fn runs(&self, text: &str, secs: f64) -> bool {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
                   AND datname = current_database() AND strpos(query, $1) > 0 \
                   AND clock_timestamp() - query_start >= make_interval(secs => $2)";
        self.admin.query_one(sql, &[&text, &secs]).await.unwrap().get::<_, i64>(0) > 0
    }

    /// Waits until it does, longer than it takes to be prepared, or does no more.
    async fn until_it_runs(&self, text: &str, runs: bool) {
        let secs = if runs { 0.1 } else { 0.0 };
        let wait = async { while self.runs(text, secs).await != runs {} };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(waited.is_ok(), "`{text}` should run: {runs}");
    }
}

async fn sample(source: &PostgresSource, sql: &str, timeout: Duration) -> Result<Rows, SourceError> {
    let query = Query::Sql(sql.into());
    source.sample(&SampleRequest { query: &query, window: window(), max_rows: 100, timeout }).await
}

/// 06:13 to 06:14 in Shanghai, the day before in UTC.
fn window() -> Window {
    Window::new(Timestamp::from_secs(1_699_999_980), Duration::from_secs(60))
}

fn shown(error: &SourceError) -> String {
    let message = error.message.replace(&SERVER.port().to_string(), "PORT");
    format!("{:?} {:?}: {message}", error.reason, error.persistence)
}

/// A file only its reader may read, as the server wants for keys.
fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    let owner = std::fs::metadata(SERVER.dir().join("data")).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
