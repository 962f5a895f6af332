//! Real sockets whose clients misbehave.

use std::future::pending;
use std::net::SocketAddr;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::runtime::clock::SystemClock;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(20);
const SHORT: Duration = Duration::from_millis(300);
/// A limit that a test waits for, and within which a well-behaved request ends on a loaded machine too.
const BEARABLE: Duration = Duration::from_secs(3);
/// Between two looks at a state.
const PAUSE: Duration = Duration::from_millis(5);

struct Fixture {
    address: SocketAddr,
    metrics: ListenerMetrics,
    closing: CancellationToken,
    serving: JoinHandle<()>,
}

impl Fixture {
    /// A server whose limits are far away but for those the test is about.
    async fn new(edit: impl FnOnce(&mut Limits)) -> Self {
        let far = Duration::from_secs(3600);
        let mut limits =
            Limits { connections: 8, head: far, body: far, answer: far, life: far, closing: SHORT };
        edit(&mut limits);
        let app = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/length", post(|body: String| async move { body.len().to_string() }))
            .route("/never", get(pending::<&str>))
            .route("/much", get(|| async { vec![b'x'; 64 << 20] }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, metrics) = (listener.local_addr().unwrap(), ListenerMetrics::default());
        let closing = CancellationToken::new();
        let server = Server { clock: Arc::new(SystemClock::new()), limits, metrics: metrics.clone() };
        let serving = tokio::spawn(server.serve(listener, app, closing.clone()));
        Self { address, metrics, closing, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The whole answer to these bytes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        // Refused in the middle of it, the answer is what counts.
        let _ = stream.write_all(request.as_bytes()).await;
        rest(&mut stream).await
    }

    async fn wait_for_open(&self, connections: i64) {
        let reached = async {
            while self.metrics.open.get() != connections {
                tokio::time::sleep(PAUSE).await;
            }
        };
        timeout(PATIENCE, reached).await.expect("the number of open connections");
    }
}

/// What comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a byte each time nothing came for a while, until the server closes; what it said.
async fn drip(stream: &mut TcpStream, byte: u8) -> String {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    let dripping = async {
        loop {
            match timeout(DRIP, stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(count)) => said.extend_from_slice(&buffer[..count]),
                Err(_nothing) => {
                    let _ = stream.write_all(&[byte]).await;
                }
            }
        }
    };
    timeout(PATIENCE, dripping).await.expect("a client that drips is cut off");
    String::from_utf8_lossy(&said).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_head_that_drips_is_cut_off_and_disturbs_nobody() {
    let server = Fixture::new(|limits| limits.head = BEARABLE).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    server.wait_for_open(1).await;
    assert!(server.ask(GET).await.ends_with("here"));
    assert_eq!(drip(&mut slow, b'a').await, "");
    server.wait_for_open(0).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = Fixture::new(|limits| limits.head = SHORT).await;
    assert_eq!(rest(&mut server.connect().await).await, "");
    let server = Fixture::new(|limits| limits.head = BEARABLE).await;
    let mut kept = server.connect().await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(rest(&mut kept).await.ends_with("here"), "idle after an answer");
}

#[tokio::test]
async fn a_body_that_drips_is_refused() {
    let server = Fixture::new(|limits| limits.body = BEARABLE).await;
    let mut slow = server.connect().await;
    let head = b"POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n";
    slow.write_all(head).await.unwrap();
    let answer = drip(&mut slow, b'a').await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let whole = "POST /length HTTP/1.1\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde";
    assert!(server.ask(whole).await.ends_with("\r\n5"));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let server = Fixture::new(|limits| limits.answer = SHORT).await;
    let answer = server.ask("GET /never HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("not answered within 300ms\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection() {
    let server = Fixture::new(|limits| (limits.life, limits.answer) = (SHORT, SHORT)).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /much HTTP/1.1\r\n\r\n").await.unwrap();
    server.wait_for_open(1).await;
    server.wait_for_open(0).await;
}

#[tokio::test]
async fn a_full_listener_says_so_and_counts_it() {
    let server = Fixture::new(|limits| limits.connections = 1).await;
    let first = server.connect().await;
    server.wait_for_open(1).await;
    let answer = rest(&mut server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("too many connections\n"), "{answer}");
    assert_eq!(server.metrics.refused.get(), 1);
    drop(first);
    server.wait_for_open(0).await;
    let free_again = async { while !server.ask(GET).await.ends_with("here") {} };
    timeout(PATIENCE, free_again).await.expect("the place is free again");
}

#[tokio::test]
async fn closing_waits_for_open_requests_and_not_for_ever() {
    let server = Fixture::new(|_| ()).await;
    let mut hung = server.connect().await;
    hung.write_all(b"GET /never HTTP/1.1\r\n\r\n").await.unwrap();
    let _idle = server.connect().await;
    server.wait_for_open(2).await;
    server.closing.cancel();
    timeout(PATIENCE, server.serving).await.expect("it closes").unwrap();
    assert_eq!(server.metrics.open.get(), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}
