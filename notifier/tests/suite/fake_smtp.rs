//! A small SMTP server with a ledger, which can misbehave.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How it treats its guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// Closes the connection without a word.
    Closes,
    /// Never says hello.
    Silent,
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

/// A message as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
    pub(crate) login: Option<String>,
}

#[derive(Clone)]
pub(crate) struct FakeSmtp {
    pub(crate) port: u16,
    ledger: Arc<Mutex<Vec<Mail>>>,
    mood: Arc<Mutex<Mood>>,
    hung: Arc<Mutex<BTreeSet<String>>>,
}

impl FakeSmtp {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake =
            Self { port, ledger: Arc::default(), mood: Arc::new(Mutex::new(mood)), hung: Arc::default() };
        let server = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        fake
    }

    pub(crate) fn ledger(&self) -> Vec<Mail> {
        self.ledger.lock().unwrap().clone()
    }

    /// How many recipients' mails were taken and never answered.
    pub(crate) fn hung(&self) -> usize {
        self.hung.lock().unwrap().len()
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Closes => return None,
            Mood::Silent => return std::future::pending().await,
            _ => {}
        }
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut mail = Mail::default();
        write.write_all(b"220 fake ESMTP\r\n").await.ok()?;
        while let Some(line) = lines.next_line().await.ok()? {
            let verb = line.to_ascii_uppercase();
            let answer = if verb.starts_with("EHLO") {
                "250-fake\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME"
            } else if verb.starts_with("AUTH") {
                mail.login = Some(line.clone());
                if mood == Mood::RefusesLogin { "535 5.7.8 bad credentials" } else { "235 ok" }
            } else if verb.starts_with("MAIL") {
                mail.from = line.clone();
                "250 ok"
            } else if verb.starts_with("RCPT") {
                mail.to.push(line.clone());
                if let Mood::Refuses(answer) = mood { answer } else { "250 ok" }
            } else if verb.starts_with("DATA") {
                write.write_all(b"354 go on\r\n").await.ok()?;
                while let Some(line) = lines.next_line().await.ok()? {
                    if line == "." {
                        break;
                    }
                    mail.text.push_str(&line);
                    mail.text.push('\n');
                }
                match mood {
                    Mood::HangsAfterData => {
                        self.hung.lock().unwrap().extend(mail.to);
                        return std::future::pending().await;
                    }
                    Mood::ClosesAfterData => return None,
                    Mood::AnswersData(answer) => answer,
                    _ => {
                        self.ledger.lock().unwrap().push(std::mem::take(&mut mail));
                        "250 2.0.0 queued as 42"
                    }
                }
            } else if verb.starts_with("QUIT") {
                "221 bye"
            } else {
                "250 ok"
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
        Some(())
    }
}
