//! Every type, as it comes out.

use super::*;

#[tokio::test]
async fn every_number_is_whole_and_every_label_is_text() {
    let mut shop = Shop::new(
        "cells",
        serde_json::json!({}),
        "CREATE TABLE n (i8 TINYINT, u8 TINYINT UNSIGNED, i16 SMALLINT, u16 SMALLINT UNSIGNED, i24 MEDIUMINT,
            u24 MEDIUMINT UNSIGNED, i32 INT, u32 INT UNSIGNED, i64 BIGINT, u64 BIGINT UNSIGNED, d DECIMAL(40,10),
            f FLOAT, g DOUBLE, b1 BIT(1), b9 BIT(9), b64 BIT(64), t BOOL, y YEAR);
         INSERT INTO n VALUES (-128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295,
            -9223372036854775808, 18446744073709551615, 123456789012345678901234567890.0123456789, 0.1, 1e300,
            b'1', b'100000001', 0xFFFFFFFFFFFFFFFF, TRUE, 2026),
            (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
         CREATE TABLE l (c CHAR(4), v VARCHAR(9), x TEXT, e ENUM('new', 'paid'), s SET('a', 'b'), j JSON,
            d DATE, dt DATETIME, dt3 DATETIME(3), ts TIMESTAMP(6) NULL, t TIME, t2 TIME(2));
         SET sql_mode = ''; SET time_zone = '+00:00';
         INSERT INTO l VALUES ('ab', '数据', 'long', 'paid', 'a,b', '{\"k\": 1}', '2026-01-02', '2026-01-02 03:04:05',
            '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.000001', '-838:59:59', '01:02:03.45'),
            ('', '', '', '', '', '[]', '0000-00-00', '0000-00-00', '0000-00-00', NULL, '0', '0')",
    )
    .await;
    let lines = |rows: &[Vec<Cell>]| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(lines(&shop.cells("SELECT * FROM n").await), @r#"
        [Int(-128), Int(255), Int(-32768), Int(65535), Int(-8388608), Int(16777215), Int(-2147483648), Int(4294967295), Int(-9223372036854775808), UInt(18446744073709551615), Text("123456789012345678901234567890.0123456789"), Float(0.1), Float(1e300), Int(1), Int(257), UInt(18446744073709551615), Int(1), Int(2026)]
        [Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null, Null]
        "#);
    insta::assert_snapshot!(lines(&shop.cells("SELECT * FROM l").await), @r#"
        [Text("ab"), Text("数据"), Text("long"), Text("paid"), Text("a,b"), Text("{\"k\": 1}"), Text("2026-01-02"), Text("2026-01-02 03:04:05"), Text("2026-01-02 03:04:05.678"), Text("2026-01-02 03:04:05.000001"), Text("-838:59:59"), Text("01:02:03.45")]
        [Text(""), Text(""), Text(""), Text(""), Text(""), Text("[]"), Text("0000-00-00"), Text("0000-00-00 00:00:00"), Text("0000-00-00 00:00:00.000"), Null, Text("00:00:00"), Text("00:00:00.00")]
        "#);
    let computed = "SELECT COUNT(*), COUNT(u64), SUM(u64), SUM(i32), AVG(i32), AVG(f), MAX(u64), SUM(g), 7 / 2, \
        7 DIV 2, CAST(-1 AS UNSIGNED), u64 IS NULL, CONCAT(i8, ':', v) FROM n, l WHERE i8 IS NOT NULL AND v <> ''";
    insta::assert_snapshot!(lines(&shop.cells(computed).await), @r#"[Int(1), Int(1), Text("18446744073709551615"), Text("-2147483648"), Text("-2147483648.0000"), Float(0.10000000149011612), UInt(18446744073709551615), Float(1e300), Text("3.5000"), Int(3), UInt(18446744073709551615), Int(0), Text("-128:数据")]"#);
    let mut errors = Vec::new();
    for sql in [
        "SELECT CAST('x' AS BINARY(3)) AS raw",
        "SELECT x'00ff' AS raw",
        "SELECT POINT(1, 2) AS place",
        "SELECT CONVERT(REPEAT('x', 70000) USING utf8mb4) AS long_text",
        "SELECT seq FROM seq_1_to_200",
    ] {
        errors.push(shop.error(sql).await);
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
        Invalid Permanent: column `raw`, row 1: VARBINARY is neither number nor label
        Invalid Permanent: column `raw`, row 1: VARBINARY is neither number nor label
        Invalid Permanent: column `place`, row 1: GEOMETRY is neither number nor label
        Invalid Permanent: column `long_text`, row 1: a text of 70000 bytes, more than 65536
        Invalid Permanent: more than 100 rows: aggregate in the query or raise max_rows
        "#);
    // Those refused on the way were ended at the server, and no place is lost.
    assert_eq!(shop.cells("SELECT 1").await, [vec![Cell::Int(1)]]);
    shop.until_connections(1).await;
    crate::testing::until("both places are free", || shop.source.pool.places.available_permits() == 2).await;
}
