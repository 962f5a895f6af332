//! The `tls` options against the server with certificates made here.

use super::*;

async fn cipher(tls: serde_json::Value) -> String {
    let source = match MysqlSource::new(&config("mysql", serde_json::json!({ "tls": tls }))) {
        Ok(source) => source,
        Err(message) => return message,
    };
    let sql = "SELECT IF(VARIABLE_VALUE = '', 'plain', 'encrypted') FROM information_schema.session_status \
               WHERE VARIABLE_NAME = 'Ssl_cipher'";
    match ask(&source, sql, window()).await {
        Ok(rows) => format!("{:?}", rows.rows),
        Err(error) => shown(&error),
    }
}

#[tokio::test]
async fn only_a_certificate_vouched_for_is_believed_where_that_is_asked() {
    let folder = SERVER.dir().join("tls");
    let ca = folder.join("ca.pem").display().to_string();
    let other = tempfile::tempdir().unwrap();
    certify(other.path(), "127.0.0.1", 4_000);
    let stranger = other.path().join("tls/ca.pem").display().to_string();
    let mut admin = admin(None).await;
    let mut table = Vec::new();
    for (host, last_year) in [("127.0.0.1", 4_000), ("elsewhere.example", 4_000), ("127.0.0.1", 2_021)] {
        certify(SERVER.dir(), host, last_year);
        admin.query_drop("FLUSH SSL").await.unwrap();
        for (mode, ca_file) in [
            ("disable", None),
            ("prefer", None),
            ("require", None),
            ("verify_ca", Some(&ca)),
            ("verify_full", Some(&ca)),
            ("verify_full", Some(&stranger)),
        ] {
            let named = ca_file.map_or("", |file| if *file == ca { "ca" } else { "stranger" });
            let answer = cipher(serde_json::json!({"mode": mode, "ca_file": ca_file})).await;
            table.push(format!("{host} {last_year}, {mode} {named}: {answer}"));
        }
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
        127.0.0.1 4000, disable : [[Text("plain")]]
        127.0.0.1 4000, prefer : [[Text("encrypted")]]
        127.0.0.1 4000, require : [[Text("encrypted")]]
        127.0.0.1 4000, verify_ca ca: [[Text("encrypted")]]
        127.0.0.1 4000, verify_full ca: [[Text("encrypted")]]
        127.0.0.1 4000, verify_full stranger: Unreachable Permanent: 127.0.0.1:PORT/mysql: the server's certificate comes from an authority that is not trusted here: name that authority's file in tls.ca_file
        elsewhere.example 4000, disable : [[Text("plain")]]
        elsewhere.example 4000, prefer : [[Text("encrypted")]]
        elsewhere.example 4000, require : [[Text("encrypted")]]
        elsewhere.example 4000, verify_ca ca: [[Text("encrypted")]]
        elsewhere.example 4000, verify_full ca: Unreachable Permanent: 127.0.0.1:PORT/mysql: the server's certificate is refused: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("elsewhere.example")
        elsewhere.example 4000, verify_full stranger: Unreachable Permanent: 127.0.0.1:PORT/mysql: the server's certificate comes from an authority that is not trusted here: name that authority's file in tls.ca_file
        127.0.0.1 2021, disable : [[Text("plain")]]
        127.0.0.1 2021, prefer : [[Text("encrypted")]]
        127.0.0.1 2021, require : [[Text("encrypted")]]
        127.0.0.1 2021, verify_ca ca: Unreachable Permanent: 127.0.0.1:PORT/mysql: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        127.0.0.1 2021, verify_full ca: Unreachable Permanent: 127.0.0.1:PORT/mysql: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        127.0.0.1 2021, verify_full stranger: Unreachable Permanent: 127.0.0.1:PORT/mysql: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        "#);
}
