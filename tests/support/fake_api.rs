//! An HTTP API that answers every request with the same JSON and counts them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::accept::{accept, listen};

/// The API.
#[derive(Clone)]
pub struct FakeApi {
    port: u16,
    body: String,
    asked: Arc<AtomicUsize>,
}

impl FakeApi {
    /// Starts it on a free port.
    pub fn start(body: &str) -> Self {
        let (listener, port) = listen();
        let this = Self { port, body: body.to_owned(), asked: Arc::default() };
        accept(listener, &this, Self::serve);
        this
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests it answered.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
                write!(stream, "{head}: {}\r\n\r\n{}", self.body.len(), self.body).ok()?;
            }
        }
        None
    }
}
