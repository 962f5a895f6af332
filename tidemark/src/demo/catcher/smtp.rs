//! A mail server that takes every mail on loopback and delivers none: the page shows them.
//!
//! One task a connection, at most [`CONNECTIONS`] at once (more wait to be accepted); a mail above [`MAX_BYTES`] is
//! refused; a silent client is dropped after [`IDLE`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Caught, Inbox, mime};

const CONNECTIONS: usize = 16;
const MAX_BYTES: usize = 1 << 20;
/// Longest command or line of a mail.
const MAX_LINE: usize = 64 << 10;
const IDLE: Duration = Duration::from_secs(60);

/// Serves until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, inbox: Inbox, clock: Arc<dyn Clock>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (inbox, clock) = (inbox.clone(), Arc::clone(&clock));
        tokio::spawn(async move {
            // A client that goes away in the middle of a mail has sent none.
            let _ = Session::new(stream, inbox, clock).run().await;
            drop(place);
        });
    }
}

struct Session {
    stream: BufReader<TcpStream>,
    inbox: Inbox,
    clock: Arc<dyn Clock>,
    recipients: Vec<String>,
    accepted: u64,
}

impl Session {
    fn new(stream: TcpStream, inbox: Inbox, clock: Arc<dyn Clock>) -> Self {
        Self { stream: BufReader::new(stream), inbox, clock, recipients: Vec::new(), accepted: 0 }
    }

    async fn run(mut self) -> io::Result<()> {
        self.say("220 tidemark demo, takes everything and delivers nothing").await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.say("250-localhost\r\n250-8BITMIME\r\n250 SMTPUTF8").await?,
                "MAIL" => {
                    self.recipients.clear();
                    self.say("250 ok").await?;
                }
                "RCPT" => {
                    self.recipients.push(address(&line));
                    self.say("250 ok").await?;
                }
                "DATA" => self.data().await?,
                "HELO" | "RSET" | "NOOP" => self.say("250 ok").await?,
                "QUIT" => return self.say("221 bye").await,
                _ => self.say("502 not known here").await?,
            }
        }
        Ok(())
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.recipients.is_empty() {
            return self.say("503 recipients first").await;
        }
        self.say("354 end with a dot").await?;
        let mut mail = Vec::new();
        while let Some(line) = self.line().await? {
            if line == b".\r\n" || line == b".\n" {
                return self.take(&mail).await;
            }
            if mail.len() <= MAX_BYTES {
                // A leading dot was doubled by the client (RFC 5321, 4.5.2).
                mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
        Ok(())
    }

    async fn take(&mut self, mail: &[u8]) -> io::Result<()> {
        if mail.len() > MAX_BYTES {
            return self.say("552 too large").await;
        }
        let mail = String::from_utf8_lossy(mail);
        self.accepted += 1;
        self.inbox.put(Caught {
            channel: "email",
            receiver: self.recipients.join(", "),
            subject: mime::header(&mail, "Subject"),
            body: mime::plain_text(&mail),
            detail: format!("Message-ID {}", mime::header(&mail, "Message-ID")),
            resolved: None,
        });
        self.say(&format!("250 kept as {}", self.accepted)).await
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await
    }

    /// The next line with its end; `None` when the client left or was silent too long.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let clock = Arc::clone(&self.clock);
        let read = async {
            loop {
                let chunk = self.stream.fill_buf().await?;
                if chunk.is_empty() {
                    return Ok(false);
                }
                let end = chunk.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
                let taken = end.unwrap_or(chunk.len());
                line.extend_from_slice(&chunk[..taken]);
                self.stream.consume(taken);
                if end.is_some() {
                    return Ok(true);
                }
                if line.len() > MAX_LINE {
                    return Err(io::Error::other("line too long"));
                }
            }
        };
        let whole = tokio::select! {
            read = read => read?,
            () = clock.sleep(IDLE) => false,
        };
        Ok(whole.then_some(line))
    }
}

/// The address in `RCPT TO:<..>`.
fn address(line: &str) -> String {
    let (_, rest) = line.split_once('<').unwrap_or(("", line));
    rest.split('>').next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ManualClock, Timestamp};

    async fn talk(script: &str) -> (String, Vec<console::InboxMessage>) {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
        let inbox = Inbox::new(Arc::clone(&clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, inbox.clone(), clock));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(script.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut client, &mut answer).await.unwrap();
        (answer, inbox.all())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_mail_is_kept() {
        let (answer, inbox) = block_on(talk(
            "EHLO me\r\nMAIL FROM:<t@localhost>\r\nRCPT TO:<ops@b.example>\r\nDATA\r\nSubject: [P0] Orders\r\n\
             Message-ID: <1@x>\r\n\r\n..dot\r\nhttp://h/alerts/9f86d081884c7d65-2oxk1c\r\n.\r\nQUIT\r\n",
        ));
        assert!(answer.contains("250 kept as 1") && answer.ends_with("221 bye\r\n"), "{answer}");
        assert_eq!(inbox.len(), 1);
        assert_eq!((inbox[0].receiver.as_str(), inbox[0].subject.as_str()), ("ops@b.example", "[P0] Orders"));
        assert_eq!(inbox[0].body, ".dot\nhttp://h/alerts/9f86d081884c7d65-2oxk1c");
        assert_eq!(inbox[0].alert.as_deref(), Some("9f86d081884c7d65-2oxk1c"));
    }

    #[test]
    fn a_mail_too_large_and_one_without_recipient_are_refused() {
        let (answer, inbox) = block_on(talk("DATA\r\nQUIT\r\n"));
        assert!(answer.contains("503") && inbox.is_empty(), "{answer}");
        let line = format!("{}\r\n", "x".repeat(60_000)).repeat(20);
        let script = format!("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n{line}.\r\nQUIT\r\n");
        let (answer, inbox) = block_on(talk(&script));
        assert!(answer.contains("552") && inbox.is_empty(), "{answer}");
    }
}
