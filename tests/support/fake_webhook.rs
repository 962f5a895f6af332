//! A webhook receiver with a ledger that checks signatures and behaves badly on request.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};

use super::accept::{accept, listen};

/// The signing secret it expects.
pub const SECRET: &str = "whsec_dGlkZW1hcmstdGVzdC1zZWNyZXQtMDEyMzQ1Njc=";

/// One request it took.
#[derive(Clone, Debug)]
pub struct Received {
    /// `webhook-id`: the idempotency key.
    pub id: String,
    /// Whether the signature was right.
    pub signed: bool,
    /// The JSON body.
    pub body: serde_json::Value,
}

/// The receiver.
#[derive(Clone)]
pub struct FakeWebhook {
    /// Its port.
    pub port: u16,
    ledger: Arc<Mutex<Vec<Received>>>,
    status: Arc<AtomicU16>,
    silent: Arc<AtomicBool>,
}

impl FakeWebhook {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let (listener, port) = listen();
        let this = Self {
            port,
            ledger: Arc::default(),
            status: Arc::new(AtomicU16::new(204)),
            silent: Arc::default(),
        };
        accept(listener, &this, Self::serve);
        this
    }

    /// Where to POST.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Everything it acknowledged or, while badly behaved, merely received.
    pub fn ledger(&self) -> Vec<Received> {
        self.ledger.lock().unwrap().clone()
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Takes requests and never answers, from now on.
    pub fn fall_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let headers = read_headers(&mut reader)?;
            let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            self.note(&headers, &body);
            while self.silent.load(Ordering::SeqCst) {
                super::pause();
            }
            let status = self.status.load(Ordering::SeqCst);
            stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()?;
        }
    }

    fn note(&self, headers: &HashMap<String, String>, body: &[u8]) {
        let id = headers.get("webhook-id").cloned().unwrap_or_default();
        let signed = signature_is_right(&id, headers, body);
        let body = serde_json::from_slice(body).unwrap_or_default();
        self.ledger.lock().unwrap().push(Received { id, signed, body });
    }
}

fn read_headers(reader: &mut impl BufRead) -> Option<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Some(headers) };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

fn signature_is_right(id: &str, headers: &HashMap<String, String>, body: &[u8]) -> bool {
    let Some(timestamp) = headers.get("webhook-timestamp") else { return false };
    let key = base64::engine::general_purpose::STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    headers
        .get("webhook-signature")
        .is_some_and(|given| given.split(' ').any(|one| one == format!("v1,{expected}")))
}
