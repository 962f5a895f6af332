//! What can fail, and what is said of it.

use std::sync::Arc;

use model::{Clock, ManualClock};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{spec, until};

#[tokio::test]
async fn nothing_but_reading_is_allowed_and_errors_name_their_place() {
    let mut shop = Shop::new(
        "reading",
        serde_json::json!({}),
        "SET GLOBAL log_bin_trust_function_creators = 1; CREATE TABLE orders (n INT); INSERT INTO orders VALUES (1);
         CREATE TABLE aria (n INT) ENGINE = Aria; CREATE SEQUENCE numbers;
         CREATE FUNCTION writes() RETURNS INT MODIFIES SQL DATA RETURN (SELECT NEXTVAL(numbers))",
    )
    .await;
    let mut messages = Vec::new();
    for sql in [
        "INSERT INTO orders VALUES (2)",
        "SELECT 1; DELETE FROM orders",
        "SELECT writes()",
        "SELECT NEXTVAL(numbers)",
        "SELECT n FROM orders FOR UPDATE",
        "SELECT n INTO OUTFILE '/tmp/tidemark-outfile' FROM orders",
        "SELECT n INTO/**/DUMPFILE '/tmp/tidemark-outfile' FROM orders",
        "SELECT n /*! INTO OUTFILE '/tmp/tidemark-outfile' */ FROM orders",
        "SELECT no FROM orders",
        "SELECT * FROM nowhere",
        "SELECT FROM orders",
        "SELECT :begin",
        "SELECT ?",
    ] {
        messages.push(shop.error(sql).await);
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Error Permanent: statement begins with `INSERT`: only SELECT, WITH, VALUES and TABLE are run
        Error Permanent: there is a second statement after `;`: write one
        Error Permanent: 127.0.0.1:PORT/reading: Cannot execute statement in a READ ONLY transaction (error 1792): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/reading: Cannot execute statement in a READ ONLY transaction (error 1792): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/reading: Cannot execute statement in a READ ONLY transaction (error 1792): only reading is allowed
        Error Permanent: INTO writes: only reading is allowed
        Error Permanent: INTO writes: only reading is allowed
        Error Permanent: a comment that begins with /*! is run by the server: write it without
        Error Permanent: 127.0.0.1:PORT/reading: Unknown column 'no' in 'SELECT' (error 1054)
        Error Permanent: 127.0.0.1:PORT/reading: Table 'reading.nowhere' doesn't exist (error 1146)
        Error Permanent: 127.0.0.1:PORT/reading: You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'FROM orders' at line 1 (error 1064)
        Error Permanent: unknown parameter `:begin`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        Error Permanent: unknown parameter `?`: there are :start, :end, :start_ms, :end_ms, :start_s, :end_s, :start_text, :end_text
        "#);
    assert_eq!(shop.cells("SELECT COUNT(*) FROM orders").await, [vec![Cell::Int(1)]]);
    // A wrong statement costs no connection.
    assert_eq!(shop.connections().await, 1);
}

/// The session refuses by itself, without the check of the statement's text before it.
#[tokio::test]
async fn a_session_only_reads_whatever_the_statement() {
    let shop = Shop::new(
        "session",
        serde_json::json!({}),
        "CREATE TABLE t (n INT); CREATE TABLE a (n INT) ENGINE = Aria",
    )
    .await;
    let mut refused = Vec::new();
    for sql in
        ["INSERT INTO t VALUES (1)", "INSERT INTO a VALUES (1)", "DROP TABLE t", "SELECT 1; DELETE FROM t"]
    {
        let mut statement =
            super::super::Statement::parse("SELECT 1", &super::super::DIALECT).unwrap().positional();
        statement.text = sql.to_owned();
        let job = super::super::Job {
            statement: &statement,
            window: window(),
            zone: chrono_tz::Tz::UTC,
            max_rows: 1,
            timeout: Duration::from_secs(2),
        };
        let mut lease = shop.source.pool.lease().await.unwrap();
        refused.push(shown(&lease.run(&job).await.unwrap_err()));
        lease.give_back();
    }
    insta::assert_snapshot!(refused.join("\n"), @r#"
        Error Permanent: 127.0.0.1:PORT/session: Cannot execute statement in a READ ONLY transaction (error 1792): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/session: Cannot execute statement in a READ ONLY transaction (error 1792): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/session: Cannot execute statement in a READ ONLY transaction (error 1792): only reading is allowed
        Error Permanent: 127.0.0.1:PORT/session: You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'DELETE FROM t' at line 1 (error 1064)
        "#);
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_says_why() {
    let mut shop = Shop::new(
        "doors",
        serde_json::json!({}),
        "INSTALL SONAME 'auth_ed25519';
         CREATE USER curved IDENTIFIED VIA ed25519 USING PASSWORD('hunter2');
         CREATE USER few IDENTIFIED BY 'hunter2' WITH MAX_USER_CONNECTIONS 1;
         CREATE USER elsewhere IDENTIFIED BY 'hunter2'; GRANT ALL ON doors.* TO curved, few",
    )
    .await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "tidemark\n").unwrap();
    let few = serde_json::json!({"user": "few", "password": "hunter2"});
    let held = MysqlSource::new(&config("doors", few.clone())).unwrap();
    ask(&held, "SELECT 1", window()).await.unwrap();
    let mut messages = Vec::new();
    for changes in [
        serde_json::json!({"port": closed}),
        serde_json::json!({"host": "nowhere.invalid"}),
        serde_json::json!({"password": "hunter2"}),
        serde_json::json!({"database": "nowhere"}),
        serde_json::json!({"user": "elsewhere", "password": "hunter2"}),
        serde_json::json!({"user": "curved", "password": "hunter2"}),
        few,
        serde_json::json!({"password": null, "password_file": folder.path().join("none")}),
    ] {
        let source = MysqlSource::new(&config("doors", changes)).unwrap();
        let error = ask(&source, "SELECT 1", window()).await.unwrap_err();
        let message = shown(&error).replace(&closed.to_string(), "CLOSED");
        messages.push(message.replace(&folder.path().display().to_string(), ""));
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Unreachable Transient: 127.0.0.1:CLOSED/doors: cannot connect: Connection refused (os error 111)
        Unreachable Transient: nowhere.invalid:PORT/doors: cannot connect: failed to lookup address information: Name or service not known
        Error Permanent: 127.0.0.1:PORT/doors: Access denied for user 'root'@'127.0.0.1' (using password: YES) (error 1045)
        Error Permanent: 127.0.0.1:PORT/nowhere: Unknown database 'nowhere' (error 1049)
        Error Permanent: 127.0.0.1:PORT/doors: Access denied for user 'elsewhere'@'%' to database 'doors' (error 1044)
        Error Permanent: 127.0.0.1:PORT/doors: the server wants the authentication ed25519 or parsec: give the user mysql_native_password or caching_sha2_password
        Unreachable Transient: 127.0.0.1:PORT/doors: User 'few' has exceeded the 'max_user_connections' resource (current value: 1) (error 1226)
        Error Permanent: cannot read the secret file /none: No such file or directory (os error 2)
        "#);
    let by_file = serde_json::json!({"password": null, "password_file": file});
    let source = MysqlSource::new(&config("doors", by_file)).unwrap();
    let report = source.probe().await.unwrap().detail;
    assert!(report.starts_with("MariaDB 10.11.") && report.ends_with(", 0 tables and views"), "{report}");
    drop(held);
    shop.until_connections(1).await;
}

#[tokio::test]
async fn what_takes_too_long_is_ended_by_the_server() {
    let mut shop = Shop::new("slow", serde_json::json!({}), "CREATE TABLE t (n INT)").await;
    let slow = ask_within(&shop.source, "SELECT SLEEP(60)", window(), Duration::from_millis(200)).await;
    shop.admin.query_drop("LOCK TABLES slow.t WRITE").await.unwrap();
    let locked = ask_within(&shop.source, "SELECT * FROM t", window(), Duration::from_millis(2_500)).await;
    shop.admin.query_drop("UNLOCK TABLES").await.unwrap();
    let messages = [slow, locked].map(|answer| shown(&answer.unwrap_err()));
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Timeout Permanent: 127.0.0.1:PORT/slow: the server ended the query at the metric's timeout (error 1969)
        Error Transient: 127.0.0.1:PORT/slow: Lock wait timeout exceeded; try restarting transaction (error 1205)
        "#);
    assert_eq!(shop.cells("SELECT COUNT(*) FROM t").await, [vec![Cell::Int(0)]]);
}

#[tokio::test]
async fn a_dropped_query_ends_on_the_server_and_frees_its_place() {
    let mut shop = Shop::new("dropped", serde_json::json!({}), "").await;
    // Both at once, one before its first row and one in the middle of its rows.
    for sql in ["SELECT SLEEP(600) /* slow */", "SELECT seq, SLEEP(0.01) FROM seq_1_to_100000 /* slow */"] {
        let mut slow = spec("slow");
        slow.query = Query::Sql(sql.into());
        slow.max_rows = 1_000_000;
        slow.timeout = Duration::from_secs(300);
        let manual = ManualClock::new(Timestamp::from_secs(0));
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let mut asking = Box::pin(crate::ask::ask(&shop.source, &slow, window(), &clock));
        let mut running = shop_admin(&mut shop.admin);
        let asked = tokio::select! {
            asked = &mut asking => panic!("answered: {:?}", asked.result),
            () = &mut running => {
                drop(running);
                manual.advance(Duration::from_secs(300));
                asking.await
            }
        };
        assert_eq!(asked.result.unwrap_err().to_string(), "source `shop` did not answer within 5m");
        until("its place is free", || shop.source.pool.places.available_permits() == 2).await;
        shop.until_connections(0).await;
    }
    assert_eq!(shop.cells("SELECT 1").await, [vec![Cell::Int(1)]]);
}

/// Waits until the server runs a slow query.
fn shop_admin(admin: &mut Conn) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async move {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'dropped' AND info LIKE '%slow */%' \
                   AND id <> CONNECTION_ID() AND state LIKE '%sleep%'";
        while admin.query_first::<u64, _>(sql).await.unwrap() == Some(0) {}
    })
}

#[tokio::test]
async fn a_connection_that_died_is_replaced_and_one_cut_in_its_rows_is_told() {
    let mut shop = Shop::new("cut", serde_json::json!({}), "").await;
    let own = |rows: Vec<Vec<Cell>>| match rows[0][0] {
        Cell::Int(id) => id,
        ref other => panic!("{other:?}"),
    };
    let first = own(shop.cells("SELECT CONNECTION_ID()").await);
    assert_eq!(own(shop.cells("SELECT CONNECTION_ID()").await), first);
    shop.admin.query_drop(format!("KILL {first}")).await.unwrap();
    assert_ne!(own(shop.cells("SELECT CONNECTION_ID()").await), first);
    shop.until_connections(1).await;
    let proxy = cut_after(30_000).await;
    let source =
        MysqlSource::new(&config("cut", serde_json::json!({"port": proxy, "tls": {"mode": "disable"}})))
            .unwrap();
    let error = ask(&source, "SELECT REPEAT('x', 1000) FROM seq_1_to_90", window()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error).replace(&proxy.to_string(), "PROXY"), @"Unreachable Transient: 127.0.0.1:PROXY/cut: the connection was cut: bytes remaining on stream");
}

/// A way to the server that hangs up after so many bytes of answers.
async fn cut_after(bytes: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(SERVER.address()).await.unwrap();
        let ((mut from_client, mut to_client), (from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let forth = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let _ = tokio::io::copy(&mut from_server.take(bytes), &mut to_client).await;
        let _ = to_client.shutdown().await;
        forth.abort();
    });
    port
}

#[test]
fn a_wrong_section_says_what_is_wrong() {
    let wrong = serde_json::json!({
        "host": "db:3306", "port": 0, "database": " ", "user": "", "password": "hunter2", "password_file": "p",
        "timezone": "Mars/Olympus", "max_concurrent": 0, "tls": {"cert_file": "c.pem"},
    });
    let wrong: MysqlConfig = serde_json::from_value(wrong).unwrap();
    let shown: Vec<String> = crate::sources::SourceType::validate(&wrong)
        .iter()
        .map(|problem| format!("{}: {}", problem.path.join("."), problem.message))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
        mysql.host: `db:3306` is not a host: the port goes under `port`
        mysql.port: port is 0
        mysql.database: database is empty
        mysql.user: user is empty
        mysql.password_file: there is a password too: keep one
        mysql.tls.cert_file: cert_file needs key_file, the key of the certificate
        mysql.timezone: `Mars/Olympus` is not a time zone: write for example Asia/Shanghai or UTC
        mysql.max_concurrent: max_concurrent is not between 1 and 64
        "#);
}
