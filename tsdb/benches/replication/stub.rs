//! A server that takes every write of line protocol and keeps nothing: a thread a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A stub that runs until the process ends.
pub(crate) struct Stub {
    port: u16,
    lines: Arc<AtomicU64>,
}

impl Stub {
    /// Listens on a port, or on a free one; answers writes after `delay`.
    pub(crate) fn start(port: Option<u16>, delay: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let lines = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&lines);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, &counted, delay));
            }
        });
        Self { port, lines }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lines taken so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

#[expect(clippy::disallowed_methods, reason = "a server that is slow on purpose")]
fn take_time(delay: Duration) {
    std::thread::sleep(delay);
}

/// Answers the requests of one connection until it is closed.
fn serve(stream: TcpStream, lines: &AtomicU64, delay: Duration) {
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut body = Vec::new();
    while let Some((write, length)) = head(&mut reader) {
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        if write {
            take_time(delay);
            lines.fetch_add(body.iter().filter(|byte| **byte == b'\n').count() as u64, Ordering::Relaxed);
        }
        // Who may write but not look still writes.
        let answer = if write { "204 No Content" } else { "403 Forbidden" };
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Whether a request is a write, and the length of its body.
fn head(reader: &mut BufReader<TcpStream>) -> Option<(bool, usize)> {
    let (mut line, mut write, mut length) = (String::new(), None, 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_end().to_ascii_lowercase();
        write.get_or_insert(text.starts_with("post ") && text.contains("/write"));
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if text.is_empty() {
            return Some((write?, length));
        }
    }
}
