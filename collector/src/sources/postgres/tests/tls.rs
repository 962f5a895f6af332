//! Encryption, and whom it is with.

use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};

use super::super::{PostgresConfig, PostgresSource};
use super::{SERVER, Shop, connect, sample, shown, write_private};
use crate::sources::sql::{DatabaseTls, TlsMode};
use crate::{Cell, Source};

/// An authority nobody knows but by its file, and the server's certificates it vouches for.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// Writes a certificate for a host that is good until the end of `last_year`, and its key.
    fn write(&self, folder: &Path, name: &str, host: &str, last_year: i32) {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, host);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(last_year, 12, 31));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write_private(&folder.join(format!("{name}.crt")), &certificate.pem());
        write_private(&folder.join(format!("{name}.key")), &key.serialize_pem());
    }
}

/// The server shows this certificate to whoever connects from now on.
async fn show_certificate(name: &str) {
    let admin = connect(SERVER.port(), "postgres").await;
    for (key, value) in [
        ("ssl_cert_file", format!("{name}.crt")),
        ("ssl_key_file", format!("{name}.key")),
        ("ssl", "on".into()),
    ] {
        admin.batch_execute(&format!("ALTER SYSTEM SET {key} = '{value}'")).await.unwrap();
    }
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let seen = async {
        loop {
            // A new session has what the server had when it came.
            let row = connect(SERVER.port(), "postgres").await;
            let row =
                row.query_one("SELECT current_setting('ssl_cert_file'), current_setting('ssl')", &[]).await;
            let row = row.unwrap();
            if row.get::<_, String>(0) == format!("{name}.crt") && row.get::<_, String>(1) == "on" {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
}

/// The TLS version of the session, or why there is none.
async fn ask(config: &PostgresConfig, tls: DatabaseTls) -> String {
    let config = PostgresConfig { tls, ..config.clone() };
    let source = match PostgresSource::new(&config) {
        Ok(source) => source,
        Err(message) => return message,
    };
    let sql = "SELECT coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), 'no TLS')";
    match sample(&source, sql, Duration::from_secs(30)).await {
        Ok(rows) => match &rows.rows[0][0] {
            Cell::Text(version) => version.clone(),
            other => format!("{other:?}"),
        },
        Err(error) => shown(&error),
    }
}

/// One test, since the server has one certificate at a time.
#[tokio::test]
async fn only_a_certificate_vouched_for_is_believed() {
    let shop = Shop::new("tls").await;
    let (ours, other) = (Authority::new(), Authority::new());
    let data = SERVER.dir().join("data");
    ours.write(&data, "good", "127.0.0.1", 4_000);
    ours.write(&data, "misnamed", "elsewhere.example", 4_000);
    ours.write(&data, "expired", "127.0.0.1", 2_021);
    let mode = |mode: TlsMode, ca: Option<&Authority>| DatabaseTls {
        mode: Some(mode),
        ca_file: ca.map(Authority::ca_file),
        ..DatabaseTls::default()
    };
    let mut table = Vec::new();
    let mut row = async |certificate: &str, tls: DatabaseTls, ca: &str| {
        let mode = tls.mode.map_or("default".to_owned(), |mode| format!("{mode:?}"));
        let answer = ask(&shop.config, tls).await;
        table.push(format!("{certificate}, {mode}, {ca}: {answer}"));
    };
    row("none", mode(TlsMode::Prefer, None), "-").await;
    row("none", mode(TlsMode::Require, None), "-").await;
    row("none", mode(TlsMode::VerifyFull, Some(&ours)), "ours").await;
    for certificate in ["good", "misnamed", "expired"] {
        show_certificate(certificate).await;
        row(certificate, mode(TlsMode::Disable, None), "-").await;
        row(certificate, DatabaseTls::default(), "-").await;
        row(certificate, mode(TlsMode::Require, None), "-").await;
        row(certificate, mode(TlsMode::Require, Some(&ours)), "ours").await;
        row(certificate, mode(TlsMode::VerifyCa, Some(&ours)), "ours").await;
        row(certificate, mode(TlsMode::VerifyFull, Some(&ours)), "ours").await;
        row(certificate, mode(TlsMode::VerifyFull, Some(&other)), "other's").await;
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
        none, Prefer, -: no TLS
        none, Require, -: Unreachable Permanent: 127.0.0.1:PORT/tls: the server offers no TLS, which `tls.mode: require` wants: turn it on there, or write another mode
        none, VerifyFull, ours: Unreachable Permanent: 127.0.0.1:PORT/tls: the server offers no TLS, which `tls.mode: verify_full` wants: turn it on there, or write another mode
        good, Disable, -: no TLS
        good, default, -: TLSv1.3
        good, Require, -: TLSv1.3
        good, Require, ours: TLSv1.3
        good, VerifyCa, ours: TLSv1.3
        good, VerifyFull, ours: TLSv1.3
        good, VerifyFull, other's: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate comes from an authority that is not trusted here: name that authority's file in tls.ca_file
        misnamed, Disable, -: no TLS
        misnamed, default, -: TLSv1.3
        misnamed, Require, -: TLSv1.3
        misnamed, Require, ours: TLSv1.3
        misnamed, VerifyCa, ours: TLSv1.3
        misnamed, VerifyFull, ours: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate is refused: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("elsewhere.example")
        misnamed, VerifyFull, other's: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate comes from an authority that is not trusted here: name that authority's file in tls.ca_file
        expired, Disable, -: no TLS
        expired, default, -: TLSv1.3
        expired, Require, -: TLSv1.3
        expired, Require, ours: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        expired, VerifyCa, ours: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        expired, VerifyFull, ours: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        expired, VerifyFull, other's: Unreachable Permanent: 127.0.0.1:PORT/tls: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        "#);
    // The request to cancel goes the same way.
    let tls = mode(TlsMode::Require, None);
    let source = PostgresSource::new(&PostgresConfig { tls, ..shop.config.clone() }).unwrap();
    tokio::select! {
        answer = sample(&source, "SELECT pg_sleep(60)::text", Duration::from_secs(600)) => panic!("{answer:?}"),
        () = shop.until_it_runs("pg_sleep", true) => {}
    }
    shop.until_it_runs("pg_sleep", false).await;
}

/// A certificate of our own needs its key.
#[tokio::test]
async fn files_of_certificates_are_read_when_the_source_is_made() {
    let shop = Shop::new("tlsfiles").await;
    let ours = Authority::new();
    ours.write(ours.folder.path(), "us", "tidemark", 4_000);
    let file = |name: &str| Some(ours.folder.path().join(name).display().to_string());
    let tls = |cert_file: Option<String>, key_file: Option<String>| DatabaseTls {
        mode: Some(TlsMode::Require),
        cert_file,
        key_file,
        ..DatabaseTls::default()
    };
    let build = |tls: DatabaseTls| PostgresSource::new(&PostgresConfig { tls, ..shop.config.clone() });
    assert_eq!(build(tls(file("us.crt"), file("us.key"))).unwrap().kind(), "postgres");
    let messages = [
        tls(file("us.crt"), file("us.crt")),
        tls(file("us.key"), file("us.key")),
        tls(file("us.crt"), file("no.key")),
    ]
    .map(|tls| build(tls).err().unwrap().replace(&ours.folder.path().display().to_string(), ""));
    insta::assert_snapshot!(messages.join("\n"), @r#"
        key_file /us.crt holds no private key: no items found
        cert_file /us.key holds no certificate: a PEM file is wanted
        key_file /no.key holds no private key: I/O error: No such file or directory (os error 2)
        "#);
}
