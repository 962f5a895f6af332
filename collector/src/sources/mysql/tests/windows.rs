//! What is bound, in which zone.

use super::*;

const ALL: &str = "SELECT CAST(:start AS CHAR), CAST(:end AS CHAR), :start_ms, :end_ms, :start_s, :end_s, :start_text, \
                   :end_text, @@SESSION.time_zone, ':start' AS 'it''s \\' :end' # :end";

#[tokio::test]
async fn parameters_bind_the_window_in_every_form() {
    let shop = Shop::new("forms", serde_json::json!({"timezone": "Asia/Shanghai"}), "").await;
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
        // The server has no time zone tables.
        text("+08:00"),
        text(":start"),
    ];
    assert_eq!(shop.cells(ALL).await, [expected]);
}

/// Rows every quarter of an hour over both changes of clocks, as instants and as civil time.
async fn over_changes(database: &str, zone: &str) -> Shop {
    let mut shop = Shop::new(
        database,
        serde_json::json!({ "timezone": zone }),
        "CREATE TABLE orders (at DATETIME(6), ts TIMESTAMP(6) NULL, s BIGINT)",
    )
    .await;
    let days = ["2023-03-11T05:00:00Z", "2023-11-04T04:00:00Z"];
    let mut rows = Vec::new();
    for day in days {
        let start = Timestamp::parse_rfc3339(day).unwrap();
        for quarter in 0..(4 * 72) {
            // A microsecond before the next quarter: what is lost or rounded moves it.
            let at = start + Duration::from_micros(900_000_000 * (quarter + 1) - 1);
            let civil = at.in_zone(chrono_tz::America::New_York).format("%Y-%m-%d %H:%M:%S%.6f");
            let instant = at.to_utc().format("%Y-%m-%d %H:%M:%S%.6f");
            rows.push(format!(
                "('{civil}', CONVERT_TZ('{instant}', '+00:00', @@session.time_zone), {})",
                at.as_secs()
            ));
        }
    }
    let insert = format!("SET time_zone = '+00:00'; INSERT INTO orders VALUES {}", rows.join(","));
    shop.admin.query_drop(insert).await.unwrap();
    shop
}

async fn counts(shop: &Shop, start: &str, minutes: u64) -> String {
    let start = Timestamp::parse_rfc3339(start).unwrap();
    let window = Window::new(start, Duration::from_secs(60 * minutes));
    let mut counts = Vec::new();
    for column in ["at", "ts"] {
        let sql = format!(
            "SELECT COUNT(*), COALESCE(SUM(s >= :start_s AND s < :end_s), 0), @@SESSION.time_zone FROM orders \
             WHERE {column} >= :start AND {column} < :end"
        );
        counts.push(match ask(&shop.source, &sql, window).await {
            Ok(rows) => format!("{column} {:?}", rows.rows[0]),
            Err(error) => format!("{column} {}", shown(&error)),
        });
    }
    format!("{start} {minutes} min: {}", counts.join("; "))
}

const WINDOWS: [(&str, u64); 8] = [
    ("2023-03-11T20:00:00Z", 60),
    // Clocks go forward at 2023-03-12T07:00Z.
    ("2023-03-12T06:00:00Z", 60),
    ("2023-03-12T07:00:00Z", 60),
    ("2023-03-12T05:00:00Z", 23 * 60),
    // Clocks go back at 2023-11-05T06:00Z: the hour from 05:00Z comes twice.
    ("2023-11-05T04:00:00Z", 60),
    ("2023-11-05T05:00:00Z", 60),
    ("2023-11-05T06:30:00Z", 15),
    ("2023-11-05T04:00:00Z", 25 * 60),
];

#[tokio::test]
async fn a_server_without_zones_is_right_in_the_windows_offset_or_says_that_it_cannot() {
    let shop = over_changes("offsets", "America/New_York").await;
    let mut table = Vec::new();
    for (start, minutes) in WINDOWS {
        table.push(counts(&shop, start, minutes).await);
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
        2023-03-11T20:00:00Z 60 min: at [Int(4), Text("4"), Text("-05:00")]; ts [Int(4), Text("4"), Text("-05:00")]
        2023-03-12T06:00:00Z 60 min: at [Int(4), Text("4"), Text("-05:00")]; ts [Int(4), Text("4"), Text("-05:00")]
        2023-03-12T07:00:00Z 60 min: at [Int(4), Text("4"), Text("-04:00")]; ts [Int(4), Text("4"), Text("-04:00")]
        2023-03-12T05:00:00Z 1380 min: at Error Permanent: 127.0.0.1:PORT/offsets: clocks change in this window, and the server does not know the zone America/New_York or the window begins or ends in the hour that comes twice: write :start_text for DATETIME columns and FROM_UNIXTIME(:start_s) for TIMESTAMP columns, or load the server's time zones; ts Error Permanent: 127.0.0.1:PORT/offsets: clocks change in this window, and the server does not know the zone America/New_York or the window begins or ends in the hour that comes twice: write :start_text for DATETIME columns and FROM_UNIXTIME(:start_s) for TIMESTAMP columns, or load the server's time zones
        2023-11-05T04:00:00Z 60 min: at [Int(4), Text("4"), Text("-04:00")]; ts [Int(4), Text("4"), Text("-04:00")]
        2023-11-05T05:00:00Z 60 min: at [Int(8), Text("4"), Text("-04:00")]; ts [Int(4), Text("4"), Text("-04:00")]
        2023-11-05T06:30:00Z 15 min: at [Int(2), Text("1"), Text("-05:00")]; ts [Int(1), Text("1"), Text("-05:00")]
        2023-11-05T04:00:00Z 1500 min: at Error Permanent: 127.0.0.1:PORT/offsets: clocks change in this window, and the server does not know the zone America/New_York or the window begins or ends in the hour that comes twice: write :start_text for DATETIME columns and FROM_UNIXTIME(:start_s) for TIMESTAMP columns, or load the server's time zones; ts Error Permanent: 127.0.0.1:PORT/offsets: clocks change in this window, and the server does not know the zone America/New_York or the window begins or ends in the hour that comes twice: write :start_text for DATETIME columns and FROM_UNIXTIME(:start_s) for TIMESTAMP columns, or load the server's time zones
        "#);
}

#[tokio::test]
async fn a_server_with_zones_knows_every_window_but_for_the_hour_that_comes_twice() {
    let zone = "America/Toronto";
    let load = std::process::Command::new("mariadb-tzinfo-to-sql")
        .args([&format!("/usr/share/zoneinfo/{zone}"), zone])
        .output()
        .unwrap();
    assert!(load.status.success(), "{load:?}");
    let load = String::from_utf8(load.stdout).unwrap();
    admin(Some("mysql")).await.query_drop(load).await.unwrap();
    let shop = over_changes("names", zone).await;
    let mut table = Vec::new();
    for (start, minutes) in WINDOWS {
        table.push(counts(&shop, start, minutes).await);
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
        2023-03-11T20:00:00Z 60 min: at [Int(4), Text("4"), Text("America/Toronto")]; ts [Int(4), Text("4"), Text("America/Toronto")]
        2023-03-12T06:00:00Z 60 min: at [Int(4), Text("4"), Text("America/Toronto")]; ts [Int(4), Text("4"), Text("America/Toronto")]
        2023-03-12T07:00:00Z 60 min: at [Int(4), Text("4"), Text("America/Toronto")]; ts [Int(4), Text("4"), Text("America/Toronto")]
        2023-03-12T05:00:00Z 1380 min: at [Int(92), Text("92"), Text("America/Toronto")]; ts [Int(92), Text("92"), Text("America/Toronto")]
        2023-11-05T04:00:00Z 60 min: at [Int(4), Text("4"), Text("-04:00")]; ts [Int(4), Text("4"), Text("-04:00")]
        2023-11-05T05:00:00Z 60 min: at [Int(8), Text("4"), Text("-04:00")]; ts [Int(4), Text("4"), Text("-04:00")]
        2023-11-05T06:30:00Z 15 min: at [Int(2), Text("1"), Text("-05:00")]; ts [Int(1), Text("1"), Text("-05:00")]
        2023-11-05T04:00:00Z 1500 min: at [Int(100), Text("100"), Text("America/Toronto")]; ts [Int(100), Text("100"), Text("America/Toronto")]
        "#);
}
