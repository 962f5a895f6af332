//! What is said when something is wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{SERVER, Shop, sample, shown, window};
use crate::sources::sql::{Dialect, Statement};
use crate::sources::{SourceType, postgres};
use crate::{Source, SourceConfig};
use postgres::session::{Query, Session};
use postgres::{PostgresConfig, PostgresSource};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn wrong_statements_are_told_with_their_place_and_nothing_is_written() {
    let shop = Shop::new("wrong").await;
    shop.execute(
        "CREATE TABLE orders (n int); INSERT INTO orders VALUES (1); CREATE SEQUENCE s; CREATE TABLE secret (n int);
         CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS 'INSERT INTO orders VALUES (2) RETURNING n';
         CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1 / 0; END';",
    )
    .await;
    let mut messages = Vec::new();
    for sql in [
        "",
        "INSERT INTO orders VALUES (1)",
        "SELECT 1; DELETE FROM orders",
        "SELECT :begin",
        "SELECT $1",
        "SELEC 1",
        "SELECT n,\n       no\nFROM orders WHERE n > :start_ms",
        "SELECT n FROM orders WHERE n > :start_ms AND n < :end_ms AND missing = 1",
        "SELECT '数据', :start_s, nn FROM orders",
        "SELECT n FRM orders",
        "SELECT * FROM nowhere",
        "SELECT nofunction(:start)",
        "SELECT 1 / 0",
        "SELECT broken()",
        "SELECT 'x'::int",
        "SELECT count(*) n, n FROM orders",
        "WITH x AS (DELETE FROM orders RETURNING n) SELECT * FROM x",
        "SELECT n INTO copy FROM orders",
        "SELECT * FROM orders FOR UPDATE",
        "SELECT sneak()",
        "SELECT nextval('s')",
        "SELECT set_config('transaction_read_only', 'off', false), sneak()",
        "SELECT generate_series(1, 101)",
        "SELECT repeat('x', 70000) AS long",
    ] {
        messages.push(shop.error(sql).await);
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Error Permanent: statement is empty
        Error Permanent: statement begins with `INSERT`: only SELECT, WITH, VALUES, TABLE and SHOW are run
        Error Permanent: there is a second statement after `;`: write one
        Error Permanent: unknown parameter `:begin`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        Error Permanent: unknown parameter `$1`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        Error Permanent: statement begins with `SELEC`: only SELECT, WITH, VALUES, TABLE and SHOW are run
        Error Permanent: 127.0.0.1:PORT/wrong: column "no" does not exist at line 2, column 8 of the query (42703); Perhaps you meant to reference the column "orders.n".
        Error Permanent: 127.0.0.1:PORT/wrong: column "missing" does not exist at line 1, column 62 of the query (42703)
        Error Permanent: 127.0.0.1:PORT/wrong: column "nn" does not exist at line 1, column 24 of the query (42703); Perhaps you meant to reference the column "orders.n".
        Error Permanent: 127.0.0.1:PORT/wrong: syntax error at or near "orders" at line 1, column 14 of the query (42601)
        Error Permanent: 127.0.0.1:PORT/wrong: relation "nowhere" does not exist at line 1, column 15 of the query (42P01)
        Error Permanent: 127.0.0.1:PORT/wrong: function nofunction(timestamp with time zone) does not exist at line 1, column 8 of the query (42883); No function matches the given name and argument types. You might need to add explicit type casts.
        Error Permanent: 127.0.0.1:PORT/wrong: division by zero (22012)
        Error Permanent: 127.0.0.1:PORT/wrong: division by zero (22012)
        Error Permanent: 127.0.0.1:PORT/wrong: invalid input syntax for type integer: "x" at line 1, column 8 of the query (22P02)
        Error Permanent: 127.0.0.1:PORT/wrong: column "orders.n" must appear in the GROUP BY clause or be used in an aggregate function at line 1, column 20 of the query (42803)
        Error Permanent: 127.0.0.1:PORT/wrong: cannot execute SELECT in a read-only transaction (25006): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/wrong: cannot execute SELECT INTO in a read-only transaction (25006): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/wrong: cannot execute SELECT FOR UPDATE in a read-only transaction (25006): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/wrong: cannot execute INSERT in a read-only transaction (25006): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/wrong: cannot execute nextval() in a read-only transaction (25006): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/wrong: transaction read-write mode must be set before any query (25001)
        Invalid Permanent: more than 100 rows: aggregate in the query or raise max_rows
        Invalid Permanent: column `long`, row 1: a text of 70000 bytes, more than 65536
        "#);
    // Up to PostgreSQL 15 a large object may be made by who only reads; it goes with the transaction.
    shop.query("SELECT lo_create(0)").await.unwrap();
    let kept = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM pg_largeobject_metadata)";
    assert_eq!(shop.query(kept).await.unwrap().rows, [[crate::Cell::Int(1), crate::Cell::Int(0)]]);
}

/// The session refuses by itself, without the check of the statement's text before it.
#[tokio::test]
async fn a_session_only_reads_whatever_the_statement() {
    let shop = Shop::new("guard").await;
    shop.execute("CREATE TABLE orders (n int); INSERT INTO orders VALUES (1)").await;
    let anything = Dialect {
        reading: &["INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "TRUNCATE", "SET", "COMMIT", "SELECT"],
        ..super::super::DIALECT
    };
    let run = async |sql: &str| {
        let statement = Statement::parse(sql, &anything).unwrap().numbered();
        let zone = chrono_tz::Tz::UTC;
        let query = Query { statement: &statement, window: window(), zone, max_rows: 10 };
        let mut session = Session::open(&shop.source.connector, zone, 30 * SECOND).await.unwrap();
        let rows = session.run(&query).await;
        session.close().await;
        rows
    };
    for sql in [
        "INSERT INTO orders VALUES (2)",
        "UPDATE orders SET n = 0",
        "DELETE FROM orders",
        "CREATE TABLE t (a int)",
        "CREATE TEMP TABLE t (a int)",
        "DROP TABLE orders",
        "TRUNCATE orders",
    ] {
        let error = run(sql).await.unwrap_err();
        assert!(error.message.contains("only reading is allowed"), "{sql}: {error}");
    }
    // What lifts the guard ends with its transaction, or leaves the next one as it is.
    for sql in [
        "SET default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET ROLE blind",
        "COMMIT",
    ] {
        run(sql).await.unwrap();
        assert!(run("DELETE FROM orders").await.is_err(), "after {sql}");
        assert_eq!(
            run("SELECT current_user::text").await.unwrap().rows,
            [[crate::Cell::Text("postgres".into())]]
        );
    }
    assert_eq!(run("SELECT n FROM orders").await.unwrap().rows, [[crate::Cell::Int(1)]]);
}

#[tokio::test]
async fn who_cannot_get_in_is_told_why() {
    let shop = Shop::new("doors").await;
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "correct horse\n").unwrap();
    let file = password.path().display().to_string();
    let with = |change: &dyn Fn(&mut PostgresConfig)| {
        let mut config = shop.config.clone();
        change(&mut config);
        PostgresSource::new(&config).unwrap()
    };
    let user = |name: &'static str| move |config: &mut PostgresConfig| config.user = name.into();
    let login = |config: &mut PostgresConfig, password: &str| {
        user("secretive")(config);
        config.password = Some(model::Secret::new(password));
    };
    let from_file = with(&|config| {
        user("secretive")(config);
        config.password_file = Some(file.clone());
    });
    let mut messages = Vec::new();
    for source in [
        with(&|config| config.port = closed),
        with(&|config| config.host = "nowhere.invalid".into()),
        with(&|config| config.database = "nodatabase".into()),
        with(&|config| login(config, "battery staple")),
        with(&user("secretive")),
        with(&user("nobody")),
        with(&user("unwanted")),
        with(&user("careful")),
        with(&user("crowded")),
        with(&|config| config.password_file = Some("/nowhere/pg.password".into())),
        with(&|config| config.host = "/nowhere".into()),
    ] {
        let error = sample(&source, "SELECT 1", 30 * SECOND).await.unwrap_err();
        assert_eq!(shown(&source.probe().await.unwrap_err()), shown(&error));
        assert!(!error.message.contains("battery") && !format!("{:?}", shop.config).contains("horse"));
        messages.push(shown(&error).replace(&closed.to_string(), "CLOSED"));
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Unreachable Transient: 127.0.0.1:CLOSED/doors: cannot connect: Connection refused (os error 111)
        Unreachable Transient: nowhere.invalid:PORT/doors: cannot connect: failed to lookup address information: Name or service not known
        Error Permanent: 127.0.0.1:PORT/nodatabase: database "nodatabase" does not exist (3D000)
        Error Permanent: 127.0.0.1:PORT/doors: password authentication failed for user "secretive" (28P01)
        Unreachable Permanent: 127.0.0.1:PORT/doors: the server wants a password: write `password` or `password_file`
        Error Permanent: 127.0.0.1:PORT/doors: role "nobody" does not exist (28000)
        Error Permanent: 127.0.0.1:PORT/doors: pg_hba.conf rejects connection for host "127.0.0.1", user "unwanted", database "doors", no encryption (28000)
        Error Permanent: 127.0.0.1:PORT/doors: pg_hba.conf rejects connection for host "127.0.0.1", user "careful", database "doors", no encryption (28000)
        Error Transient: 127.0.0.1:PORT/doors: too many connections for role "crowded" (53300)
        Error Permanent: cannot read the secret file /nowhere/pg.password: No such file or directory (os error 2)
        Unreachable Transient: /nowhere:PORT/doors: cannot connect: No such file or directory (os error 2)
        "#);
    assert!(sample(&with(&|config| login(config, "correct horse")), "SELECT 1", SECOND * 30).await.is_ok());
    assert!(sample(&from_file, "SELECT 1", SECOND * 30).await.is_ok());
    let blind = with(&user("blind"));
    shop.execute("CREATE TABLE secret (n int)").await;
    let error = sample(&blind, "SELECT * FROM secret", SECOND * 30).await.unwrap_err();
    insta::assert_snapshot!(shown(&error), @"Error Permanent: 127.0.0.1:PORT/doors: permission denied for table secret (42501)");
}

#[tokio::test]
async fn a_changed_password_is_read_for_the_next_connection() {
    let shop = Shop::new("rotation").await;
    shop.execute("CREATE ROLE rotating LOGIN PASSWORD 'first one'").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first one").unwrap();
    let hba = SERVER.dir().join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host all rotating all scram-sha-256\n{rules}")).unwrap();
    shop.execute("SELECT pg_reload_conf()").await;
    let mut config = shop.config.clone();
    config.user = "rotating".into();
    config.password_file = Some(file.path().display().to_string());
    let source = PostgresSource::new(&config).unwrap();
    sample(&source, "SELECT 1", 30 * SECOND).await.unwrap();
    std::fs::write(file.path(), "second one").unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'";
    shop.execute(&format!("ALTER ROLE rotating PASSWORD 'second one'; {end}")).await;
    sample(&source, "SELECT 1", 30 * SECOND).await.unwrap();
}

/// Passes everything on to the server until it is told to cut.
async fn fake_wire(cut: Arc<Notify>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let cut = Arc::clone(&cut);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", SERVER.port())).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = cut.notified() => {}
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_or_while_idle_costs_one_answer_at_most() {
    let shop = Shop::new("cuts").await;
    let cut = Arc::new(Notify::new());
    let port = fake_wire(Arc::clone(&cut)).await;
    let mut config = shop.config.clone();
    config.port = port;
    let source = PostgresSource::new(&config).unwrap();
    let slow = "SELECT i, pg_sleep(0.2)::text, repeat('x', 1000) FROM generate_series(1, 99) i -- slow";
    let mut messages = Vec::new();
    for how in ["wire", "server"] {
        // The server may still be busy with the one before, whose wire was cut.
        let query = format!("{slow} {how}");
        let asked = sample(&source, &query, 30 * SECOND);
        let cutter = async {
            shop.until_it_runs(&format!("slow {how}"), true).await;
            if how == "wire" {
                cut.notify_waiters();
            } else {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%-- slow server'";
                shop.execute(end).await;
            }
        };
        let (answer, ()) = tokio::join!(asked, cutter);
        messages.push(shown(&answer.unwrap_err()).replace(&port.to_string(), "WIRE"));
        sample(&source, "SELECT 1", 30 * SECOND).await.unwrap();
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Error Transient: 127.0.0.1:WIRE/cuts: the connection was cut before the answer was whole
        Error Transient: 127.0.0.1:WIRE/cuts: terminating connection due to administrator command (57P01)
        "#);
    // Idle connections end unseen or seen; the next query gets another either way.
    for end in [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cuts' AND pid <> pg_backend_pid()",
        "",
    ] {
        sample(&source, "SELECT 1", 30 * SECOND).await.unwrap();
        if end.is_empty() {
            cut.notify_waiters()
        } else {
            shop.execute(end).await
        }
        sample(&source, "SELECT 1", 30 * SECOND).await.unwrap();
    }
}

#[test]
fn a_wrong_section_says_what_is_wrong() {
    let section = |text: &str| serde_json::from_str::<SourceConfig>(text).unwrap();
    let mut messages = Vec::new();
    for text in [
        r#"{"postgres": {"host": "", "port": 0, "database": " ", "user": "", "max_concurrent": 65, "timezone": "Mars"}}"#,
        r#"{"postgres": {"host": "db:5432", "database": "d", "user": "u", "password": "p", "password_file": "f"}}"#,
        r#"{"postgres": {"host": "postgres://u:p@db/d", "database": "d", "user": "u", "tls": {"cert_file": "c"}}}"#,
        r#"{"postgres": {"host": "a,b", "database": "d", "user": "u"}}"#,
    ] {
        let problems = section(text).as_type().validate();
        messages.extend(problems.iter().map(|p| format!("{}: {}", p.path.join("."), p.message)));
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        postgres.host: host is empty
        postgres.port: port is 0
        postgres.database: database is empty
        postgres.user: user is empty
        postgres.timezone: `Mars` is not a time zone: write for example Asia/Shanghai or UTC
        postgres.max_concurrent: max_concurrent is not between 1 and 64
        postgres.host: `db:5432` is not a host: the port goes under `port`
        postgres.password_file: there is a password too: keep one
        postgres.host: host is an address with more in it: write the name alone, the rest has keys of its own
        postgres.tls.cert_file: cert_file needs key_file, the key of the certificate
        postgres.host: `a,b` is not a host
        "#);
    for good in ["db.example.com", "10.0.0.1", "::1", "/var/run/postgresql"] {
        let text = format!(r#"{{"postgres": {{"host": "{good}", "database": "d", "user": "u"}}}}"#);
        assert_eq!(section(&text).as_type().validate(), [], "{good}");
    }
    let config: PostgresConfig =
        serde_json::from_str(r#"{"host": "h", "database": "d", "user": "u", "tls": {"mode": "disable"}}"#)
            .unwrap();
    assert_eq!(SourceType::kind(&config), "postgres");
}
