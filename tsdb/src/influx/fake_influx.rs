//! A stand-in for InfluxDB 1 and 2 that keeps a ledger and misbehaves on request.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};

use flate2::read::GzDecoder;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a write.
#[derive(Clone, Debug)]
pub(super) enum Mood {
    /// Takes it, but no line that holds `poison` and no body of more bytes; a batch with such a line is refused as a
    /// whole, naming the line.
    Good,
    /// Reads it and never answers.
    Hangs,
    /// Begins to answer and never ends.
    HangsInItsAnswer,
    /// Cuts the connection before it has read the lines.
    Cuts,
    /// Answers this status with these words, and asks for a pause.
    Says(u16, &'static str, Option<&'static str>),
}

/// What happened, and what is to happen.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Lines taken, in order.
    pub(super) lines: Vec<String>,
    /// Writes begun.
    pub(super) writes: usize,
    /// Of the next writes, one each.
    pub(super) next: VecDeque<Mood>,
    /// Of those after.
    pub(super) mood: Mood,
    pub(super) max_body: usize,
    /// Whether database and bucket are there.
    pub(super) has_database: bool,
    /// Whether they may be made.
    pub(super) may_make: bool,
}

/// The server; ends with its test.
#[derive(Clone, Debug)]
pub(super) struct FakeInflux {
    port: u16,
    ledger: Arc<Mutex<Ledger>>,
}

/// What a line that is refused holds.
pub(super) const POISON: &str = "poison";

impl FakeInflux {
    pub(super) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ledger = Ledger {
            lines: Vec::new(),
            writes: 0,
            next: VecDeque::new(),
            mood,
            max_body: usize::MAX,
            has_database: true,
            may_make: true,
        };
        let fake = Self { port, ledger: Arc::new(Mutex::new(ledger)) };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = serving.clone();
                // A client that goes away ends its connection.
                tokio::spawn(async move { fake.serve(stream).await });
            }
        });
        fake
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(head) = Head::read(&mut stream).await? {
            let mood = if head.is_write() { self.begin_write() } else { Mood::Good };
            if matches!(mood, Mood::Cuts) {
                return stream.get_ref().set_zero_linger();
            }
            let body = head.body(&mut stream).await?;
            let answer = match mood {
                Mood::Hangs => return std::future::pending().await,
                Mood::HangsInItsAnswer => {
                    stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 99\r\n\r\n{\"mess").await?;
                    stream.flush().await?;
                    return std::future::pending().await;
                }
                Mood::Says(status, words, pause) => {
                    let pause = pause.map_or_else(String::new, |pause| format!("retry-after: {pause}\r\n"));
                    answer(status, &pause, &json!({"message": words}).to_string())
                }
                _ if head.is_write() => self.take(&body),
                _ => self.administer(&head, &body),
            };
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
        Ok(())
    }

    fn begin_write(&self) -> Mood {
        let mut ledger = self.lock();
        ledger.writes += 1;
        ledger.next.pop_front().unwrap_or_else(|| ledger.mood.clone())
    }

    fn take(&self, body: &str) -> String {
        let mut ledger = self.lock();
        let error = |status, words: String| answer(status, "", &json!({"error": words}).to_string());
        if !ledger.has_database {
            return error(404, "database not found: \"tidemark\"".into());
        }
        if body.len() > ledger.max_body {
            return error(413, "request entity too large".into());
        }
        if let Some(line) = body.lines().find(|line| line.contains(POISON)) {
            return error(400, format!("unable to parse '{line}': invalid number"));
        }
        ledger.lines.extend(body.lines().map(str::to_owned));
        answer(204, "", "")
    }

    /// Enough of both versions' administration to look for a database or bucket and to make it.
    fn administer(&self, head: &Head, body: &str) -> String {
        let mut ledger = self.lock();
        let makes = body.contains("CREATE") || head.line.starts_with("POST /api/v2/buckets");
        if makes && !ledger.may_make {
            return answer(403, "", &json!({"message": "may not make it"}).to_string());
        }
        ledger.has_database |= makes;
        let there = |value| if ledger.has_database { vec![value] } else { Vec::new() };
        let bucket = json!({"id": "b", "orgID": "o", "name": "tidemark", "retentionRules": []});
        let (status, found) = match head.line.split(['?', ' ']).nth(1).unwrap_or_default() {
            "/query" if makes => (200, json!({"results": [{"statement_id": 0}]})),
            "/query" => {
                let series =
                    json!({"name": "databases", "columns": ["name"], "values": there(json!(["tidemark"]))});
                (200, json!({"results": [{"statement_id": 0, "series": [series]}]}))
            }
            "/api/v2/orgs" => (200, json!({"orgs": [{"id": "o", "name": "tidemark"}]})),
            "/api/v2/buckets" if makes => (201, bucket),
            "/api/v2/buckets" => (200, json!({"buckets": there(bucket)})),
            "/api/v2/dbrps" => (200, json!({"content": [{"database": "tidemark"}]})),
            _ => (404, json!({"message": "no such place"})),
        };
        answer(status, "", &found.to_string())
    }
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a request.
struct Head {
    line: String,
    length: usize,
    is_packed: bool,
}

impl Head {
    /// `None` when the connection was closed.
    async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Self>> {
        let mut head = Self { line: String::new(), length: 0, is_packed: false };
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            let text = line.trim_end().to_owned();
            let lower = text.to_ascii_lowercase();
            match lower.strip_prefix("content-length:") {
                _ if text.is_empty() => return Ok(Some(head)),
                Some(length) => head.length = length.trim().parse().unwrap(),
                None if head.line.is_empty() => head.line = text,
                None => head.is_packed |= lower == "content-encoding: gzip",
            }
            line.clear();
        }
        Ok(None)
    }

    fn is_write(&self) -> bool {
        self.line.split(['?', ' ']).nth(1).is_some_and(|path| path.ends_with("/write"))
    }

    async fn body(&self, stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
        let mut bytes = vec![0; self.length];
        stream.read_exact(&mut bytes).await?;
        let mut text = String::new();
        if self.is_packed {
            GzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        Ok(text)
    }
}
