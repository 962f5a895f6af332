//! An SMTP server with a ledger that behaves badly on request. Plain SMTP on loopback; it offers AUTH and 8BITMIME.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::accept::{accept, listen};

/// How it treats its guests; looked at when a connection begins and at every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes every mail.
    Good,
    /// Closes the connection without a word.
    Closes,
    /// Never says hello.
    Silent,
    /// Answers MAIL with this.
    RefusesMail(&'static str),
    /// Answers RCPT with this.
    Refuses(&'static str),
    /// Answers the login with 535.
    RefusesLogin,
    /// Takes the text and never answers.
    HangsAfterData,
    /// Takes the text and closes.
    ClosesAfterData,
    /// Takes the text and says this.
    AnswersData(&'static str),
}

/// One mail it took.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Headers and body as they came.
    pub data: String,
    /// The command of the login, where there was one.
    pub login: Option<String>,
}

impl Mail {
    /// A header's value, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let wanted = format!("{}:", name.to_ascii_lowercase());
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&wanted))?;
        Some(line[wanted.len()..].trim().to_owned())
    }

    /// Headers and body with plain line ends.
    pub fn text(&self) -> String {
        self.data.replace("\r\n", "\n")
    }
}

/// The server.
#[derive(Clone)]
pub struct FakeSmtp {
    /// Its port.
    pub port: u16,
    ledger: Arc<Mutex<Vec<Mail>>>,
    mood: Arc<Mutex<Mood>>,
    guests: Arc<AtomicUsize>,
    hung: Arc<Mutex<BTreeSet<String>>>,
}

impl FakeSmtp {
    /// Starts it on a free port, in a good mood.
    pub fn start() -> Self {
        Self::start_in(Mood::Good)
    }

    /// Starts it on a free port.
    pub fn start_in(mood: Mood) -> Self {
        let (listener, port) = listen();
        let mood = Arc::new(Mutex::new(mood));
        let this = Self { port, ledger: Arc::default(), mood, guests: Arc::default(), hung: Arc::default() };
        accept(listener, &this, Self::serve);
        this
    }

    /// Every mail it accepted.
    pub fn ledger(&self) -> Vec<Mail> {
        self.ledger.lock().unwrap().clone()
    }

    /// How many connections it had.
    pub fn guests(&self) -> usize {
        self.guests.load(Ordering::SeqCst)
    }

    /// How many recipients' mails were taken and never answered.
    pub fn hung(&self) -> usize {
        self.hung.lock().unwrap().len()
    }

    /// Changes its mood.
    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Answers 451 to every mail from now on.
    pub fn refuse(&self, refusing: bool) {
        self.set(if refusing { Mood::RefusesMail("451 not now") } else { Mood::Good });
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        self.guests.fetch_add(1, Ordering::SeqCst);
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        match self.mood() {
            Mood::Closes => return None,
            Mood::Silent => return wait_for_the_end(&mut reader),
            _ => stream.write_all(b"220 fake ESMTP\r\n").ok()?,
        }
        let mut mail = Mail::default();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let answer = match line.get(..4).unwrap_or(line).to_ascii_uppercase().as_str() {
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").ok()?;
                    mail.data = read_data(&mut reader)?;
                    self.take(std::mem::take(&mut mail), &mut reader)?
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").ok()?;
                    return Some(());
                }
                verb => self.answer(verb, line, &mut mail),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
        }
    }

    fn answer(&self, verb: &str, line: &str, mail: &mut Mail) -> &'static str {
        let address = || line.split_once('<').unwrap_or(("", line)).1.split('>').next().unwrap_or_default();
        match (verb, self.mood()) {
            ("EHLO", _) => "250-fake\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            ("AUTH", mood) => {
                mail.login = Some(line.to_owned());
                if mood == Mood::RefusesLogin { "535 5.7.8 bad credentials" } else { "235 ok" }
            }
            ("MAIL", Mood::RefusesMail(answer)) | ("RCPT", Mood::Refuses(answer)) => answer,
            ("MAIL", _) => {
                mail.from = address().to_owned();
                "250 ok"
            }
            ("RCPT", _) => {
                mail.to.push(address().to_owned());
                "250 ok"
            }
            _ => "250 ok",
        }
    }

    fn take(&self, mail: Mail, reader: &mut impl Read) -> Option<&'static str> {
        match self.mood() {
            Mood::HangsAfterData => {
                self.hung.lock().unwrap().extend(mail.to);
                wait_for_the_end(reader)?;
                None
            }
            Mood::ClosesAfterData => None,
            Mood::AnswersData(answer) => Some(answer),
            _ => {
                self.ledger.lock().unwrap().push(mail);
                Some("250 2.0.0 queued as 42")
            }
        }
    }
}

/// Says nothing until the guest leaves.
fn wait_for_the_end(reader: &mut impl Read) -> Option<()> {
    std::io::copy(reader, &mut std::io::sink()).ok().map(drop)
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
