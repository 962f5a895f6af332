use std::sync::Arc;
use std::time::Duration;

use model::{Clock, ManualClock, Timestamp, Window};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{SqliteConfig, SqliteSource};
use crate::ask::ask;
use crate::testing::{spec, until, value};
use crate::{Cell, Query, Rows, SamplerSpec, Source, SourceError};

/// A shop's database and a source on it.
struct Shop {
    folder: TempDir,
    source: SqliteSource,
}

fn config(path: &std::path::Path) -> SqliteConfig {
    SqliteConfig {
        path: path.display().to_string(),
        timezone: Some("Asia/Shanghai".into()),
        max_concurrent: 2,
    }
}

impl Shop {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shop.db");
        let database = Connection::open(&path).unwrap();
        let sql = "PRAGMA journal_mode = WAL;
            CREATE TABLE orders (at TEXT, at_ms INTEGER, channel TEXT, amount REAL);
            INSERT INTO orders VALUES
                ('2023-11-15 06:12:59', 1699999979000, 'app', 1.0), ('2023-11-15 06:13:00', 1699999980000, 'app', 2.5),
                ('2023-11-15 06:13:59', 1700000039999, 'web', 4.0), ('2023-11-15 06:13:30', 1700000010000, NULL, NULL),
                ('2023-11-15 06:14:00', 1700000040000, 'app', 8.0);";
        database.execute_batch(sql).unwrap();
        let source = SqliteSource::new(&config(&path)).unwrap();
        Self { folder, source }
    }

    async fn query(&self, sql: &str) -> Result<Rows, SourceError> {
        let mut spec = spec("orders");
        spec.query = Query::Sql(sql.into());
        spec.max_rows = 100;
        self.ask(&spec).await
    }

    /// The rows as they came, whatever the mapper says of them.
    async fn ask(&self, spec: &SamplerSpec) -> Result<Rows, SourceError> {
        let request = crate::SampleRequest {
            query: &spec.query,
            window: window(),
            max_rows: spec.max_rows,
            timeout: Duration::from_millis(200),
        };
        self.source.sample(&request).await
    }

    /// The error, the folder's name taken out.
    async fn error(&self, sql: &str) -> String {
        let error = self.query(sql).await.unwrap_err();
        let folder = self.folder.path().display().to_string();
        format!("{:?} {:?}: {}", error.reason, error.persistence, error.message.replace(&folder, ""))
    }
}

/// 06:13 to 06:14 in Shanghai.
fn window() -> Window {
    Window::new(Timestamp::from_secs(1_699_999_980), Duration::from_secs(60))
}

#[tokio::test]
async fn parameters_bind_the_window_in_every_form() {
    let shop = Shop::new();
    let by_text =
        shop.query("SELECT count(*) AS n FROM orders WHERE at >= :start AND at < :end").await.unwrap();
    let by_ms = shop
        .query("SELECT count(*) AS n FROM orders WHERE at_ms >= :start_ms AND at_ms < :end_ms")
        .await
        .unwrap();
    assert_eq!(by_text, Rows { columns: vec!["n".into()], rows: vec![vec![Cell::Int(3)]] });
    assert_eq!(by_text, by_ms);
    let all = "SELECT :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text, :start = :start_text";
    let text = |text: &str| Cell::Text(text.into());
    let expected = vec![
        text("2023-11-15 06:13:00"),
        text("2023-11-15 06:14:00"),
        Cell::Int(1_699_999_980_000),
        Cell::Int(1_700_000_040_000),
        Cell::Int(1_699_999_980),
        Cell::Int(1_700_000_040),
        text("2023-11-15 06:13:00"),
        text("2023-11-15 06:14:00"),
        Cell::Int(1),
    ];
    assert_eq!(shop.query(all).await.unwrap().rows, [expected]);
}

#[tokio::test]
async fn groups_become_series() {
    let shop = Shop::new();
    let mut sales = spec("sales");
    sales.query = Query::Sql("SELECT channel, count(*) AS orders, sum(amount) AS amount FROM orders WHERE at >= :start AND at < :end GROUP BY channel".into());
    sales.labels = vec!["channel".into()];
    sales.values = vec![value("sales.orders", "orders"), value("sales.amount", "amount")];
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
    let (_, mapped) = ask(&shop.source, &sales, window(), &clock).await.result.unwrap();
    let shown: Vec<String> =
        mapped.samples.iter().map(|sample| format!("{} = {}", sample.series, sample.value)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
        sales.orders = 1
        sales.orders{channel="app"} = 1
        sales.amount{channel="app"} = 2.5
        sales.orders{channel="web"} = 1
        sales.amount{channel="web"} = 4
        "#);
    assert_eq!(mapped.missing, 1);
}

#[tokio::test]
async fn nothing_but_reading_is_allowed_and_errors_name_their_place() {
    let shop = Shop::new();
    let mut messages = Vec::new();
    for sql in [
        "INSERT INTO orders VALUES (1, 2, 3, 4)",
        "WITH x AS (SELECT 1) DELETE FROM orders",
        "ATTACH ':memory:' AS other",
        "SELECT load_extension('evil')",
        "SELECT * FROM pragma_table_info('orders')",
        "PRAGMA query_only = 0",
        "SELECT 1; DELETE FROM orders",
        "SELECT no FROM orders",
        "SELECT * FROM nowhere",
        "SELECT :begin",
        "SELECT x'00ff'",
        "SELECT CAST(x'ff' AS TEXT) AS broken",
        "SELECT printf('%.*c', 70000, 'x') AS long",
        "SELECT printf('%.*c', 999999999, 'x')",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i FROM n",
    ] {
        messages.push(shop.error(sql).await);
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Error Permanent: statement begins with `INSERT`: only SELECT, WITH and VALUES are run
        Error Permanent: /shop.db: not authorized: only reading is allowed
        Error Permanent: statement begins with `ATTACH`: only SELECT, WITH and VALUES are run
        Error Permanent: /shop.db: not authorized to use function: load_extension in SELECT load_extension('evil') at offset 7
        Error Permanent: /shop.db: not authorized: only reading is allowed
        Error Permanent: statement begins with `PRAGMA`: only SELECT, WITH and VALUES are run
        Error Permanent: there is a second statement after `;`: write one
        Error Permanent: /shop.db: no such column: no in SELECT no FROM orders at offset 7
        Error Permanent: /shop.db: no such table: nowhere
        Error Permanent: unknown parameter `:begin`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        Invalid Permanent: column `x'00ff'`, row 1: a blob is neither number nor label
        Invalid Permanent: column `broken`, row 1: text is not UTF-8
        Invalid Permanent: column `long`, row 1: a text of 70000 bytes, more than 65536
        Error Permanent: /shop.db: string or blob too big
        Invalid Permanent: more than 100 rows: aggregate in the query or raise max_rows
        "#);
    assert_eq!(shop.query("SELECT count(*) FROM orders").await.unwrap().rows, [vec![Cell::Int(5)]]);
}

/// The session refuses by itself, without the check of the statement's text before it.
#[test]
fn a_session_only_reads_whatever_the_statement() {
    let shop = Shop::new();
    let path = shop.folder.path().join("shop.db");
    let other = shop.folder.path().join("other.db");
    let mut session = super::session::open(&path).unwrap();
    let mut run = |sql: &str| {
        let job = super::Job {
            sql: sql.into(),
            window: window(),
            zone: chrono_tz::Tz::UTC,
            max_rows: 10,
            timeout: Duration::from_millis(200),
        };
        super::session::run(&mut session, &path, &job, &super::Cancel::default())
    };
    let attach = format!("ATTACH '{}' AS other", other.display());
    for sql in [
        "DELETE FROM orders",
        "UPDATE orders SET amount = 0",
        "CREATE TEMP TABLE t (a)",
        "DROP TABLE orders",
        "PRAGMA query_only = 0",
        "PRAGMA journal_mode = DELETE",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SELECT 1; DELETE FROM orders",
        &attach,
    ] {
        let error = run(sql).unwrap_err();
        assert!(error.message.contains("only reading is allowed"), "{sql}: {error}");
    }
    assert!(!other.exists());
    assert_eq!(run("SELECT count(*) FROM orders").unwrap().rows, [vec![Cell::Int(5)]]);
}

#[tokio::test]
async fn an_endless_query_ends_at_its_deadline_and_frees_its_thread() {
    let shop = Shop::new();
    let mut endless = spec("endless");
    endless.query = Query::Sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n".into(),
    );
    let manual = ManualClock::new(Timestamp::from_secs(0));
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let places = Arc::clone(&shop.source.places);
    let driver = tokio::spawn(async move {
        until("the query runs", || places.available_permits() == 1).await;
        until("its deadline is set", || manual.sleepers() > 0).await;
        manual.advance(Duration::from_secs(10));
    });
    let asked = ask(&shop.source, &endless, window(), &clock).await;
    driver.await.unwrap();
    assert_eq!(asked.result.unwrap_err().to_string(), "source `shop` did not answer within 10s");
    until("the thread has ended", || shop.source.places.available_permits() == 2).await;
    assert_eq!(shop.query("SELECT 1 AS n").await.unwrap().rows, [vec![Cell::Int(1)]]);
}

#[tokio::test]
async fn a_missing_locked_or_foreign_file_says_so_and_a_replaced_one_is_opened_anew() {
    let shop = Shop::new();
    let path = shop.folder.path().join("shop.db");
    let sql = "SELECT count(*) AS n FROM orders";
    assert_eq!(shop.query(sql).await.unwrap().rows, [vec![Cell::Int(5)]]);
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    let missing = shop.error(sql).await;
    std::fs::write(
        &path,
        "this is no database, whatever its name is, and long enough to be looked at".repeat(20),
    )
    .unwrap();
    let foreign = shop.error(sql).await;
    std::fs::remove_file(&path).unwrap();
    let fresh = Connection::open(&path).unwrap();
    fresh.execute_batch("CREATE TABLE orders (a); INSERT INTO orders VALUES (1);").unwrap();
    assert_eq!(shop.query(sql).await.unwrap().rows, [vec![Cell::Int(1)]]);
    fresh.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = shop.error(sql).await;
    insta::assert_snapshot!([missing, foreign, locked].join("\n"), @r#"
        Unreachable Transient: /shop.db is not there or no file
        Error Permanent: /shop.db: file is not a database
        Error Transient: /shop.db: database is locked
        "#);
    assert!(shop.source.probe().await.is_err());
    fresh.execute_batch("COMMIT").unwrap();
    assert!(shop.source.probe().await.unwrap().detail.ends_with("1 tables and views"));
}

#[test]
fn a_wrong_section_says_what_is_wrong() {
    let wrong = SqliteConfig { path: " ".into(), timezone: Some("Mars/Olympus".into()), max_concurrent: 0 };
    let shown: Vec<String> = crate::sources::SourceType::validate(&wrong)
        .iter()
        .map(|problem| format!("{}: {}", problem.path.join("."), problem.message))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
        sqlite.path: path is empty
        sqlite.timezone: `Mars/Olympus` is not a time zone: write for example Asia/Shanghai or UTC
        sqlite.max_concurrent: max_concurrent is not between 1 and 64
        "#);
}
