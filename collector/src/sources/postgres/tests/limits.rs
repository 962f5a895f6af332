//! Slow, locked, endless and many.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use model::{Clock, ManualClock, Timestamp};

use super::{Shop, connect, sample, shown, window};
use crate::ask::ask;
use crate::testing::{spec, until};
use crate::{Cell, Query};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_server_ends_what_takes_too_long_and_says_what_it_waited_for() {
    let shop = Shop::new("slow").await;
    shop.execute("CREATE TABLE orders (n int)").await;
    let other = connect(shop.config.port, "slow").await;
    other.batch_execute("BEGIN; LOCK TABLE orders").await.unwrap();
    let mut messages = Vec::new();
    for (sql, timeout) in
        [("SELECT pg_sleep(60)::text", SECOND / 5), ("SELECT count(*) FROM orders", SECOND / 2)]
    {
        messages.push(shown(&sample(&shop.source, sql, timeout).await.unwrap_err()));
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        Timeout Permanent: 127.0.0.1:PORT/slow: canceling statement due to statement timeout (57014)
        Error Transient: 127.0.0.1:PORT/slow: canceling statement due to lock timeout at line 1, column 22 of the query (55P03): another session holds it
        "#);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(shop.query("SELECT count(*) FROM orders").await.unwrap().rows, [[Cell::Int(0)]]);
}

#[tokio::test]
async fn limits_are_the_servers_own_and_leave_nothing_behind() {
    let shop = Shop::new("settings").await;
    let names = "statement_timeout lock_timeout idle_in_transaction_session_timeout timezone transaction_read_only \
                 default_transaction_read_only application_name";
    let sql = format!(
        "SELECT name || '=' || current_setting(name) FROM unnest(string_to_array('{names}', ' ')) name"
    );
    let rows = sample(&shop.source, &sql, 7 * SECOND).await.unwrap();
    let shown: Vec<String> = rows.rows.iter().map(|row| format!("{:?}", row[0])).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
        Text("statement_timeout=7s")
        Text("lock_timeout=3500ms")
        Text("idle_in_transaction_session_timeout=17s")
        Text("timezone=Asia/Shanghai")
        Text("transaction_read_only=on")
        Text("default_transaction_read_only=on")
        Text("application_name=tidemark")
        "#);
}

/// The whole way: the deadline passes, the future is dropped, the server stops, the place is free again.
#[tokio::test]
async fn an_endless_query_ends_on_the_server_when_its_deadline_has_passed() {
    let shop = Shop::new("endless").await;
    let mut endless = spec("endless");
    // No row comes, no lock is waited for, and the server's own limit is far away.
    endless.query = Query::Sql("SELECT count(*) FROM generate_series(1, 1e15::bigint) a".into());
    endless.timeout = 600 * SECOND;
    let manual = ManualClock::new(Timestamp::from_secs(0));
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let driver = async {
        shop.until_it_runs("generate_series", true).await;
        until("its deadline is set", || manual.sleepers() > 0).await;
        manual.advance(600 * SECOND);
    };
    let (asked, ()) = tokio::join!(ask(&shop.source, &endless, window(), &clock), driver);
    assert_eq!(asked.result.unwrap_err().to_string(), "source `shop` did not answer within 10m");
    shop.until_it_runs("generate_series", false).await;
    until("its connection is gone", || shop.source.connector.connections() == 0).await;
    assert_eq!(shop.query("SELECT 1").await.unwrap().rows, [[Cell::Int(1)]]);
}

#[tokio::test]
async fn an_answer_too_long_ends_the_query_on_the_server() {
    let shop = Shop::new("flood").await;
    let error = shop.error("SELECT generate_series(1, 1e15::bigint), 'flood'").await;
    insta::assert_snapshot!(error, @"Invalid Permanent: more than 100 rows: aggregate in the query or raise max_rows");
    shop.until_it_runs("flood", false).await;
}

#[tokio::test]
async fn no_more_queries_run_at_once_than_places_and_connections_are_kept() {
    let shop = Shop::new("places").await;
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'places' AND application_name = 'tidemark'";
    let sql = format!("{count} AND pg_sleep(0.02) IS NOT NULL");
    let answers = join_all((0..12).map(|_| shop.query(&sql))).await;
    let most = answers.into_iter().map(|rows| match rows.unwrap().rows[0][0] {
        Cell::Int(connections) => connections,
        ref other => panic!("{other:?}"),
    });
    assert_eq!(most.max(), Some(2));
    // A wrong statement costs no connection.
    let pid = "SELECT pg_backend_pid()";
    let before = shop.query(pid).await.unwrap();
    shop.error("SELECT wrong").await;
    until("both are free again", || shop.source.connector.free() == 2).await;
    let after = [shop.query(pid).await.unwrap(), shop.query(pid).await.unwrap()];
    assert!(after.contains(&before));
    assert_eq!(shop.source.connector.connections(), 2);
}
