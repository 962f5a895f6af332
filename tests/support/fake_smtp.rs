//! An SMTP server with a ledger that behaves badly on request. Plain SMTP on loopback, no extension but SIZE.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One mail it took.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Headers and body as they came.
    pub data: String,
}

impl Mail {
    /// A header's value, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let wanted = format!("{}:", name.to_ascii_lowercase());
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&wanted))?;
        Some(line[wanted.len()..].trim().to_owned())
    }
}

/// The server.
#[derive(Clone)]
pub struct FakeSmtp {
    /// Its port.
    pub port: u16,
    ledger: Arc<Mutex<Vec<Mail>>>,
    refusing: Arc<AtomicBool>,
}

impl FakeSmtp {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let this = Self { port, ledger: Arc::default(), refusing: Arc::default() };
        let server = this.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        this
    }

    /// Every mail it accepted.
    pub fn ledger(&self) -> Vec<Mail> {
        self.ledger.lock().unwrap().clone()
    }

    /// Answers 451 to every mail from now on.
    pub fn refuse(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::SeqCst);
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        stream.write_all(b"220 fake_smtp\r\n").ok()?;
        let mut to = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let command = line.trim_end().to_ascii_uppercase();
            let answer = match command.get(..4).unwrap_or(&command) {
                "EHLO" | "HELO" => "250-fake_smtp\r\n250 SIZE 10000000".to_owned(),
                "MAIL" if self.refusing.load(Ordering::SeqCst) => "451 not now".to_owned(),
                "RCPT" => {
                    to.push(line.trim_end()[8..].trim_matches(['<', '>', ' ']).to_owned());
                    "250 ok".to_owned()
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").ok()?;
                    let data = read_data(&mut reader)?;
                    self.ledger.lock().unwrap().push(Mail { to: std::mem::take(&mut to), data });
                    "250 taken".to_owned()
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").ok()?;
                    return Some(());
                }
                _ => "250 ok".to_owned(),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
        }
    }
}

fn read_data(reader: &mut impl BufRead) -> Option<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
