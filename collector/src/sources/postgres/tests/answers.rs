//! What comes of statements that are right.

use super::Shop;
use crate::testing::{spec, value};
use crate::{Cell, Source, map_rows};

#[tokio::test]
async fn every_type_is_a_number_a_label_or_a_clear_error() {
    let shop = Shop::new("types").await;
    shop.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN price AS numeric(10, 2);
         CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE pair AS (a int, b int);",
    )
    .await;
    let mut table = Vec::new();
    for expression in [
        "1::smallint",
        "(-32768)::int2",
        "2147483647::int",
        "9223372036854775807::bigint",
        "4294967295::oid",
        "0.1::real",
        "1e-7::real",
        "0.1::float8",
        "'NaN'::float8",
        "'-Infinity'::real",
        "12.50::numeric",
        "0::numeric",
        "-0.00012::numeric",
        "100000000::numeric",
        "12345678901234567890.0001::numeric",
        "0.1234567890123456789::numeric",
        "1e20::numeric",
        "1e-20::numeric",
        "9999.9999::numeric",
        "10000.0001::numeric",
        "'NaN'::numeric",
        "'Infinity'::numeric",
        "'-Infinity'::numeric",
        "7.5::price",
        "sum(x) FROM (VALUES (1::bigint), (2)) t(x)",
        "12.5::money",
        "'-0.05'::money",
        "true",
        "false",
        "'a'::text",
        "'b'::varchar",
        "'c'::char(3)",
        "'d'::name",
        "'e'",
        "'f'::citext",
        "'g'::\"char\"",
        "'happy'::mood",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
        "'2024-02-29'::date",
        "'1999-12-31'::date",
        "'infinity'::date",
        "'04:05:06.7'::time",
        "'24:00'::time",
        "'2023-11-15 06:13:00'::timestamp",
        "'1969-07-20 20:17:40.123456'::timestamp",
        "'-infinity'::timestamp",
        "'2023-11-14 22:13:00Z'::timestamptz",
        "'infinity'::timestamptz",
        "NULL",
        "NULL::int",
        "NULL::numeric",
        "NULL::timestamptz",
        "'1 day'::interval",
        "'\\x00ff'::bytea",
        "'{\"a\": 1}'::json",
        "'{\"a\": 1}'::jsonb",
        "ARRAY[1, 2]",
        "'10.0.0.1'::inet",
        "ROW(1, 2)::pair",
        "point(1, 2)",
        "'[1,2]'::int4range",
        "'04:05+08'::timetz",
    ] {
        let shown = match shop.query(&format!("SELECT {expression}")).await {
            Ok(rows) => format!("{:?}", rows.rows[0][0]),
            Err(error) => format!("{:?}: {error}", error.reason),
        };
        table.push(format!("{expression} -> {shown}"));
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
        1::smallint -> Int(1)
        (-32768)::int2 -> Int(-32768)
        2147483647::int -> Int(2147483647)
        9223372036854775807::bigint -> Int(9223372036854775807)
        4294967295::oid -> Int(4294967295)
        0.1::real -> Float(0.1)
        1e-7::real -> Float(1e-7)
        0.1::float8 -> Float(0.1)
        'NaN'::float8 -> Float(NaN)
        '-Infinity'::real -> Float(-inf)
        12.50::numeric -> Text("12.50")
        0::numeric -> Text("0")
        -0.00012::numeric -> Text("-0.00012")
        100000000::numeric -> Text("100000000")
        12345678901234567890.0001::numeric -> Text("12345678901234567890.0001")
        0.1234567890123456789::numeric -> Text("0.1234567890123456789")
        1e20::numeric -> Text("100000000000000000000")
        1e-20::numeric -> Text("0.00000000000000000001")
        9999.9999::numeric -> Text("9999.9999")
        10000.0001::numeric -> Text("10000.0001")
        'NaN'::numeric -> Text("NaN")
        'Infinity'::numeric -> Text("Infinity")
        '-Infinity'::numeric -> Text("-Infinity")
        7.5::price -> Text("7.50")
        sum(x) FROM (VALUES (1::bigint), (2)) t(x) -> Text("3")
        12.5::money -> Text("12.50")
        '-0.05'::money -> Text("-0.05")
        true -> Bool(true)
        false -> Bool(false)
        'a'::text -> Text("a")
        'b'::varchar -> Text("b")
        'c'::char(3) -> Text("c")
        'd'::name -> Text("d")
        'e' -> Text("e")
        'f'::citext -> Text("f")
        'g'::"char" -> Text("g")
        'happy'::mood -> Text("happy")
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid -> Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
        '2024-02-29'::date -> Text("2024-02-29")
        '1999-12-31'::date -> Text("1999-12-31")
        'infinity'::date -> Text("infinity")
        '04:05:06.7'::time -> Text("04:05:06.700")
        '24:00'::time -> Text("24:00:00")
        '2023-11-15 06:13:00'::timestamp -> Text("2023-11-15 06:13:00")
        '1969-07-20 20:17:40.123456'::timestamp -> Text("1969-07-20 20:17:40.123456")
        '-infinity'::timestamp -> Text("-infinity")
        '2023-11-14 22:13:00Z'::timestamptz -> Text("2023-11-15 06:13:00+08:00")
        'infinity'::timestamptz -> Text("infinity")
        NULL -> Null
        NULL::int -> Null
        NULL::numeric -> Null
        NULL::timestamptz -> Null
        '1 day'::interval -> Invalid: column `interval` is of type interval, neither number nor label: take its seconds, extract(epoch FROM ..)
        '\x00ff'::bytea -> Invalid: column `bytea` is of type bytea, neither number nor label: take a number or a text of it, length(..) or encode(.., 'hex')
        '{"a": 1}'::json -> Invalid: column `json` is of type json, neither number nor label: take a member of it and cast that, (.. ->> 'name')::numeric
        '{"a": 1}'::jsonb -> Invalid: column `jsonb` is of type jsonb, neither number nor label: take a member of it and cast that, (.. ->> 'name')::numeric
        ARRAY[1, 2] -> Invalid: column `array` is of type int4[], neither number nor label: take an element of it, or array_length(.., 1)
        '10.0.0.1'::inet -> Invalid: column `inet` is of type inet, neither number nor label: cast it, to ::numeric for a number or ::text for a label
        ROW(1, 2)::pair -> Invalid: column `row` is of type pair, neither number nor label: cast it, to ::numeric for a number or ::text for a label
        point(1, 2) -> Invalid: column `point` is of type point, neither number nor label: cast it, to ::numeric for a number or ::text for a label
        '[1,2]'::int4range -> Invalid: column `int4range` is of type int4range, neither number nor label: cast it, to ::numeric for a number or ::text for a label
        '04:05+08'::timetz -> Invalid: column `timetz` is of type timetz, neither number nor label: cast it, to ::numeric for a number or ::text for a label
        "#);
}

#[tokio::test]
async fn what_is_no_finite_number_is_refused_with_its_place() {
    let shop = Shop::new("nonumbers").await;
    let mut orders = spec("orders");
    orders.labels = vec!["channel".into()];
    let mut messages = Vec::new();
    for expression in
        ["'NaN'::numeric", "'Infinity'::numeric", "'NaN'::real", "'-Infinity'::float8", "now()", "'abc'"]
    {
        let rows = shop.query(&format!("SELECT 'app' AS channel, {expression} AS n")).await.unwrap();
        let error = map_rows(&orders, &rows).unwrap_err();
        messages.push(if expression == "now()" { "now() is refused".to_owned() } else { error.to_string() });
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
        sampler `orders`: column `n`, row 1: NaN is not a finite number
        sampler `orders`: column `n`, row 1: inf is not a finite number
        sampler `orders`: column `n`, row 1: NaN is not a finite number
        sampler `orders`: column `n`, row 1: -inf is not a finite number
        now() is refused
        sampler `orders`: column `n`, row 1: `abc` is not a number
        "#);
}

#[tokio::test]
async fn the_window_binds_as_instants_whatever_it_is_compared_with() {
    let shop = Shop::new("windows").await;
    shop.execute(
        "CREATE TABLE orders (zoned timestamptz, naive timestamp, day date, text text, ms bigint, s int, exact numeric);
         INSERT INTO orders SELECT at, at AT TIME ZONE 'Asia/Shanghai', (at AT TIME ZONE 'Asia/Shanghai')::date,
             to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
             extract(epoch FROM at) * 1000, extract(epoch FROM at), extract(epoch FROM at)
         FROM unnest(ARRAY['2023-11-15 06:12:59+08', '2023-11-15 06:13:00+08', '2023-11-15 06:13:59+08',
             '2023-11-15 06:14:00+08', '2023-11-14 12:00:00+08']::timestamptz[]) at;",
    )
    .await;
    let mut table = Vec::new();
    for condition in [
        "zoned >= :start AND zoned < :end",
        "naive >= :start AND naive < :end",
        "zoned >= :start AND zoned < :end AND naive >= :start AND day = :start::date",
        "day >= date_trunc('day', :start) AND day < date_trunc('day', :start) + interval '1 day'",
        "day = :start::date",
        "text >= :start_text AND text < :end_text",
        "naive >= :start_text AND naive < :end_text",
        "zoned >= :start_text AND zoned < :end_text",
        "day = :start_text",
        "ms >= :start_ms AND ms < :end_ms",
        "s >= :start_s AND s < :end_s",
        "exact BETWEEN :start_s AND :end_s - 1",
        "zoned >= to_timestamp(:start_ms / 1000.0) AND zoned < to_timestamp(:end_s)",
        "zoned >= :end - interval '1 minute' AND zoned < :end",
        "naive >= :start::timestamp AND naive < (:end AT TIME ZONE 'Asia/Shanghai')",
        "tstzrange(:start, :end) @> zoned",
        "zoned >= :start AND zoned < :end GROUP BY date_trunc('hour', :start)",
        "text >= :start",
        "s >= :start",
        "s >= :start_text",
    ] {
        let rows = shop.query(&format!("SELECT count(*) FROM orders WHERE {condition}")).await;
        let shown = rows.map(|rows| format!("{:?}", rows.rows)).unwrap_or_else(|error| super::shown(&error));
        table.push(format!("{condition} -> {shown}"));
    }
    let all = "SELECT :start, :start::text, :start::date, :start::timestamp, :start_text, :start_ms, :end_s, extract(epoch FROM :end)";
    table.push(format!("{:?}", shop.query(all).await.unwrap().rows[0]));
    insta::assert_snapshot!(table.join("\n"), @r#"
        zoned >= :start AND zoned < :end -> [[Int(2)]]
        naive >= :start AND naive < :end -> [[Int(2)]]
        zoned >= :start AND zoned < :end AND naive >= :start AND day = :start::date -> [[Int(2)]]
        day >= date_trunc('day', :start) AND day < date_trunc('day', :start) + interval '1 day' -> [[Int(4)]]
        day = :start::date -> [[Int(4)]]
        text >= :start_text AND text < :end_text -> [[Int(2)]]
        naive >= :start_text AND naive < :end_text -> [[Int(2)]]
        zoned >= :start_text AND zoned < :end_text -> [[Int(2)]]
        day = :start_text -> [[Int(4)]]
        ms >= :start_ms AND ms < :end_ms -> [[Int(2)]]
        s >= :start_s AND s < :end_s -> [[Int(2)]]
        exact BETWEEN :start_s AND :end_s - 1 -> [[Int(2)]]
        zoned >= to_timestamp(:start_ms / 1000.0) AND zoned < to_timestamp(:end_s) -> [[Int(2)]]
        zoned >= :end - interval '1 minute' AND zoned < :end -> [[Int(2)]]
        naive >= :start::timestamp AND naive < (:end AT TIME ZONE 'Asia/Shanghai') -> [[Int(2)]]
        tstzrange(:start, :end) @> zoned -> [[Int(2)]]
        zoned >= :start AND zoned < :end GROUP BY date_trunc('hour', :start) -> [[Int(2)]]
        text >= :start -> Error Permanent: 127.0.0.1:PORT/windows: operator does not exist: text >= timestamp with time zone at line 1, column 40 of the query (42883); No operator matches the given name and argument types. You might need to add explicit type casts.
        s >= :start -> Error Permanent: 127.0.0.1:PORT/windows: operator does not exist: integer >= timestamp with time zone at line 1, column 37 of the query (42883); No operator matches the given name and argument types. You might need to add explicit type casts.
        s >= :start_text -> Error Permanent: 127.0.0.1:PORT/windows: invalid input syntax for type integer: "2023-11-15 06:13:00" (22P02)
        [Text("2023-11-15 06:13:00+08:00"), Text("2023-11-15 06:13:00+08"), Text("2023-11-15"), Text("2023-11-15 06:13:00"), Text("2023-11-15 06:13:00"), Int(1699999980000), Int(1700000040), Text("1700000040.000000")]
        "#);
}

#[tokio::test]
async fn an_hour_that_comes_twice_is_told_apart() {
    let mut shop = Shop::new("fold").await;
    shop.config.timezone = Some("Europe/Berlin".into());
    shop.source = super::PostgresSource::new(&shop.config).unwrap();
    let rows = shop
        .query("SELECT at, at::timestamp FROM unnest(ARRAY['2023-10-29 00:30Z', '2023-10-29 01:30Z']::timestamptz[]) at")
        .await
        .unwrap();
    insta::assert_snapshot!(format!("{:?}", rows.rows), @r#"[[Text("2023-10-29 02:30:00+02:00"), Text("2023-10-29 02:30:00")], [Text("2023-10-29 02:30:00+01:00"), Text("2023-10-29 02:30:00")]]"#);
}

#[tokio::test]
async fn groups_become_series() {
    let shop = Shop::new("series").await;
    shop.execute(
        "CREATE TABLE orders (at timestamptz, channel text, amount numeric(10, 2));
         INSERT INTO orders VALUES ('2023-11-15 06:13:00+08', 'app', 2.50), ('2023-11-15 06:13:30+08', NULL, NULL),
             ('2023-11-15 06:13:59.9+08', 'web', 4), ('2023-11-15 06:14:00+08', 'app', 8);",
    )
    .await;
    let mut sales = spec("sales");
    sales.labels = vec!["channel".into()];
    sales.values = vec![value("sales.orders", "orders"), value("sales.amount", "amount")];
    let sql = "SELECT channel, count(*) AS orders, sum(amount) AS amount FROM orders
               WHERE at >= :start AND at < :end GROUP BY channel ORDER BY channel";
    let mapped = map_rows(&sales, &shop.query(sql).await.unwrap()).unwrap();
    let shown: Vec<String> = mapped.samples.iter().map(|s| format!("{} = {}", s.series, s.value)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
        sales.orders{channel="app"} = 1
        sales.amount{channel="app"} = 2.5
        sales.orders{channel="web"} = 1
        sales.amount{channel="web"} = 4
        sales.orders = 1
        "#);
    assert_eq!(mapped.missing, 1);
}

#[tokio::test]
async fn other_reading_statements_answer_too() {
    let shop = Shop::new("reading").await;
    shop.execute("CREATE TABLE t AS SELECT 7 AS n").await;
    for sql in [
        "SHOW server_version_num",
        "VALUES (7)",
        "TABLE t",
        "(SELECT n FROM t);",
        "WITH x AS (TABLE t) SELECT * FROM x -- :no",
    ] {
        assert_eq!(shop.query(sql).await.unwrap().rows.len(), 1, "{sql}");
    }
    let sql = "SELECT ':end $1', E'it\\'s :start', $$ :start $$, $a$ $$ :end $a$, \"n :x\", 7::int /* /* :y */ :z */
               FROM (SELECT 1 AS \"n :x\") q WHERE '{\"a\": 1}'::jsonb ? 'a' AND '{\"a\": 1}'::jsonb @> '{}'";
    let text = |text: &str| Cell::Text(text.into());
    let expected = [
        text(":end $1"),
        text("it's :start"),
        text(" :start "),
        text(" $$ :end "),
        Cell::Int(1),
        Cell::Int(7),
    ];
    assert_eq!(shop.query(sql).await.unwrap().rows, [expected]);
}

#[tokio::test]
async fn a_probe_tells_what_it_found() {
    let shop = Shop::new("probe").await;
    let detail = shop.source.probe().await.unwrap().detail;
    assert!(detail.starts_with("PostgreSQL 1") && detail.ends_with(", user postgres, no TLS"), "{detail}");
}
