//! The `tls` options against a server with a certificate made here.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use model::testing::MemoryLog;
use model::{ManualClock, Timestamp, TlsConfig, Window};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use tempfile::TempDir;

use super::HttpConfig;
use crate::testing::{shown, spec, until};
use crate::{
    Collector, CollectorConfig, CollectorMetrics, Query, SampleRequest, SamplerSpec, SourceConfig,
    SourceError,
};

const MINUTE: Duration = Duration::from_secs(60);

/// An authority nobody knows but by its file, and a server on 127.0.0.1 it has vouched for.
struct Server {
    folder: TempDir,
    address: SocketAddr,
}

impl Server {
    /// A server whose certificate names `host` and is good until the end of `last_year`.
    fn start(host: &str, last_year: i32) -> Self {
        let (folder, listener) = (tempfile::tempdir().unwrap(), TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let mut authority = CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(last_year, 12, 31));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (address, config) = (listener.local_addr().unwrap(), Arc::new(config));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that does not believe us hangs up.
                let _ = answer(Arc::clone(&config), stream.unwrap());
            }
        });
        Self { folder, address }
    }

    fn ca_file(&self) -> Option<String> {
        Some(self.folder.path().join("ca.pem").display().to_string())
    }

    fn source(&self, tls: TlsConfig) -> SourceConfig {
        let url = format!("https://{}", self.address);
        let config: HttpConfig = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
        SourceConfig::Http(Box::new(HttpConfig { tls, ..config }))
    }

    /// What the source answers, or its error with the server's address taken out.
    async fn sample(&self, tls: TlsConfig) -> String {
        let query = Query::Http(serde_json::from_value(serde_json::json!({"number": true})).unwrap());
        let (window, timeout) = (Window::new(Timestamp::from_secs(0), MINUTE), MINUTE);
        let request = SampleRequest { query: &query, window, max_rows: 1, timeout };
        match self.source(tls).as_type().build().unwrap().sample(&request).await {
            Ok(rows) => format!("{:?}", rows.rows),
            Err(error) => format!("{:?} {:?}: {}", error.reason, error.persistence, self.shown(&error)),
        }
    }

    fn shown(&self, error: &SourceError) -> String {
        error.message.replace(&self.address.to_string(), "SERVER")
    }
}

/// Answers one request with the number 7.
fn answer(config: Arc<ServerConfig>, mut stream: TcpStream) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = rustls::Stream::new(&mut connection, &mut stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n7")?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn tls(ca_file: Option<String>, insecure_skip_verify: bool) -> TlsConfig {
    TlsConfig { ca_file, insecure_skip_verify }
}

#[tokio::test]
async fn only_a_certificate_vouched_for_is_believed() {
    let good = Server::start("127.0.0.1", 4_000);
    let other = Server::start("127.0.0.1", 4_000);
    let misnamed = Server::start("elsewhere.example", 4_000);
    let expired = Server::start("127.0.0.1", 2_021);
    let table = [
        good.sample(tls(good.ca_file(), false)).await,
        good.sample(tls(None, true)).await,
        good.sample(tls(other.ca_file(), false)).await,
        misnamed.sample(tls(misnamed.ca_file(), false)).await,
        misnamed.sample(tls(None, true)).await,
        expired.sample(tls(expired.ca_file(), false)).await,
        expired.sample(tls(None, true)).await,
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
        [[Text("7")]]
        [[Text("7")]]
        Unreachable Permanent: https://SERVER/: the server's certificate comes from an authority that is not trusted here: name that authority's file in tls.ca_file
        Unreachable Permanent: https://SERVER/: the server's certificate is refused: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("elsewhere.example")
        [[Text("7")]]
        Unreachable Permanent: https://SERVER/: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there
        [[Text("7")]]
        "#);
}

/// The whole way of a tick: the entry in the log says where and why, the sampler's health which source.
#[tokio::test]
async fn an_expired_certificate_is_told_with_its_source() {
    let server = Server::start("127.0.0.1", 2_021);
    let query = Query::Http(serde_json::from_value(serde_json::json!({"number": true})).unwrap());
    let config = CollectorConfig {
        sources: [("shop".to_owned(), server.source(tls(server.ca_file(), false)))].into(),
        samplers: vec![SamplerSpec { query, ..spec("orders") }],
    };
    let (clock, log) = (ManualClock::new(Timestamp::from_secs(0)), Arc::new(MemoryLog::new("collector")));
    let (domain, metrics) = (Arc::new(clock.clone()), CollectorMetrics::default());
    let collector = Collector::start(Arc::clone(&log) as _, domain, metrics);
    collector.apply(config).unwrap();
    until("the sampler sleeps", || clock.sleepers() > 0).await;
    clock.advance(MINUTE);
    until("the tick has its entry", || !log.entries().is_empty()).await;
    let health = collector.health().remove(0);
    assert_eq!(health.source, "shop");
    insta::assert_snapshot!(shown(&log.entries()).replace(&server.address.to_string(), "SERVER"), @"01 00:00:00 - 01 00:01:00 x1 unreachable: https://SERVER/: the server's certificate expired at 2021-12-31T00:00:00Z: it must be renewed there");
}
