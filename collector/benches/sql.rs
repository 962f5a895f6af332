//! Rows a second through each SQL source: 100,000 rows of three columns (a text, a whole number, an exact decimal) from
//! a table, as one answer.
//!
//! `cargo bench -p collector`. The servers are real, on this machine, over loopback without TLS; they share its cores.

use std::time::Duration;

use collector::sources::mysql::{MysqlConfig, MysqlSource};
use collector::sources::postgres::{PostgresConfig, PostgresSource};
use collector::sources::sqlite::{SqliteConfig, SqliteSource};
use collector::{Query, Rows, SampleRequest, Source};
use components::Component;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Timestamp, Window};
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ROWS: usize = 100_000;

/// Asks for the whole table.
fn ask(runtime: &Runtime, source: &dyn Source) -> Rows {
    let query = Query::Sql("SELECT channel, n, amount FROM orders".into());
    let window = Window::new(Timestamp::from_secs(1_700_000_040), Duration::from_secs(60));
    let request = SampleRequest { query: &query, window, max_rows: ROWS, timeout: Duration::from_secs(60) };
    runtime.block_on(source.sample(&request)).expect("the table is read")
}

fn sqlite(folder: &tempfile::TempDir) -> Box<dyn Source> {
    let path = folder.path().join("orders.db");
    let database = rusqlite::Connection::open(&path).expect("a file");
    let fill = format!(
        "CREATE TABLE orders (channel TEXT, n INTEGER, amount TEXT);
         WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {ROWS})
         INSERT INTO orders SELECT 'channel-' || i, i * 7919, printf('%.2f', i * 0.37) FROM s;"
    );
    database.execute_batch(&fill).expect("a table");
    let config: SqliteConfig = section(json!({ "path": path }));
    Box::new(SqliteSource::new(&config).expect("a source"))
}

async fn postgres(server: &Component) -> Box<dyn Source> {
    let settings = format!("host=127.0.0.1 port={} user=postgres", server.port());
    let (client, connection) =
        tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.expect("a session");
    tokio::spawn(connection);
    let fill = format!(
        "CREATE TABLE orders AS SELECT 'channel-' || i AS channel, i * 7919::bigint AS n, i * 0.37 AS amount
         FROM generate_series(1, {ROWS}) i; ANALYZE orders"
    );
    client.batch_execute(&fill).await.expect("a table");
    let config: PostgresConfig = section(json!({
        "host": "127.0.0.1", "port": server.port(), "database": "postgres", "user": "postgres", "tls": {"mode": "disable"},
    }));
    Box::new(PostgresSource::new(&config).expect("a source"))
}

async fn mysql(server: &Component) -> Box<dyn Source> {
    let opts = mysql_async::OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server.port())
        .user(Some("root"))
        .pass(Some("tidemark"))
        .prefer_socket(false);
    let mut client = mysql_async::Conn::new(opts).await.expect("a session");
    let fill = format!(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders AS
         SELECT concat('channel-', seq) AS channel, seq * 7919 AS n, seq * 0.37 AS amount FROM seq_1_to_{ROWS}"
    );
    client.query_drop(fill).await.expect("a table");
    let config: MysqlConfig = section(json!({
        "host": "127.0.0.1", "port": server.port(), "database": "shop", "user": "root", "password": "tidemark",
        "tls": {"mode": "disable"},
    }));
    Box::new(MysqlSource::new(&config).expect("a source"))
}

fn section<T: serde::de::DeserializeOwned>(section: Value) -> T {
    serde_json::from_value(section).expect("a section")
}

fn sources(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (postgresql, mariadb) = (Component::start("postgres"), Component::start("mariadb"));
    let sources = [
        ("sqlite", sqlite(&folder)),
        ("postgres", runtime.block_on(postgres(&postgresql))),
        ("mysql", runtime.block_on(mysql(&mariadb))),
    ];
    let mut group = c.benchmark_group("sql");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(20);
    for (name, source) in &sources {
        assert_eq!(ask(&runtime, &**source).rows.len(), ROWS, "{name}");
        group.bench_function(*name, |b| b.iter(|| ask(&runtime, &**source)));
    }
    group.finish();
    // A session is closed on the runtime it was made on.
    runtime.block_on(async { drop(sources) });
}

criterion_group!(benches, sources);
criterion_main!(benches);
