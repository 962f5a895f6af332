//! E-mail against a server that misbehaves.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, ManualClock};
use notifier::Language;
use notifier::channel::{Channel, Notification, Outcome, ProbeError};
use notifier::channels::email::{Email, EmailConfig};
use notifier::message::MessageKind;
use notifier::message::compose::{Draft, compose};
use serde_json::json;

use crate::bench::at;
use crate::fake_smtp::{FakeSmtp, Mood};
use crate::twilio::wait_until;

fn notification(thread: Option<&str>) -> Notification {
    let message = compose(Draft {
        kind: MessageKind::Test,
        incident: "inc-1".into(),
        group_key: "g".into(),
        receiver: "运维",
        language: Language::Zh,
        zone: chrono_tz::Tz::UTC,
        group_labels: model::Labels::default(),
        notes: Vec::new(),
        firing: 0,
        resolved: 0,
        at: at(0),
        created_at: at(1),
        external_url: None,
    });
    Notification {
        key: "msg_00000000000000000000000000000001".into(),
        thread: thread.map(str::to_owned),
        recipient: "Ops <ops@example.com>".into(),
        attempt_at: at(2),
        message,
        acknowledge: None,
    }
}

fn channel(port: u16, clock: &ManualClock, login: bool) -> Email {
    let mut config = json!({"to": ["Ops <ops@example.com>"], "from": "Tidemark <t@example.com>", "host": "127.0.0.1",
        "port": port, "timeout": "10s"});
    if login {
        config["username"] = "u".into();
        config["password"] = "hunter2".into();
    }
    let config: EmailConfig = serde_json::from_value(config).unwrap();
    Email::new(config, Arc::new(clock.clone()) as Arc<dyn Clock>).unwrap()
}

/// Delivers, and lets the deadline pass when the server keeps it waiting.
async fn deliver(mood: Mood, login: bool) -> Outcome {
    let server = FakeSmtp::start_in(mood);
    let clock = ManualClock::new(at(0));
    let channel = channel(server.port, &clock, login);
    let task = tokio::spawn(async move { channel.deliver(&notification(None)).await });
    let stuck = || match mood {
        Mood::Silent => server.guests() == 1,
        _ => server.hung() == 1,
    };
    if matches!(mood, Mood::Silent | Mood::HangsAfterData) {
        wait_until(stuck).await;
        clock.advance(Duration::from_secs(11));
    }
    tokio::time::timeout(Duration::from_secs(20), task).await.unwrap().unwrap()
}

fn kind(outcome: &Outcome) -> &'static str {
    outcome.as_str()
}

#[tokio::test]
async fn what_the_server_answers_decides() {
    let table = [
        (Mood::Good, false, "accepted"),
        (Mood::Good, true, "accepted"),
        (Mood::Closes, false, "transient"),
        (Mood::Silent, false, "transient"),
        (Mood::Refuses("450 4.2.1 try later"), false, "transient"),
        (Mood::Refuses("550 5.1.1 no such user"), false, "permanent"),
        (Mood::RefusesLogin, true, "transient"),
        (Mood::HangsAfterData, false, "unknown"),
        (Mood::ClosesAfterData, false, "unknown"),
        (Mood::AnswersData("451 4.3.0 disk full"), false, "transient"),
        (Mood::AnswersData("554 5.7.1 spam"), false, "permanent"),
    ];
    for (mood, login, expected) in table {
        let outcome = deliver(mood, login).await;
        assert_eq!(kind(&outcome), expected, "{mood:?}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let clock = ManualClock::new(at(0));
    let outcome = channel(1, &clock, false).deliver(&notification(None)).await;
    assert_eq!(kind(&outcome), "transient", "{outcome:?}");
}

#[tokio::test]
async fn a_mail_is_the_same_to_the_last_byte_and_knows_its_thread() {
    let server = FakeSmtp::start();
    let clock = ManualClock::new(at(0));
    let channel = channel(server.port, &clock, false);
    for _ in 0..2 {
        channel.deliver(&notification(Some("msg_first"))).await;
    }
    let ledger = server.ledger();
    assert_eq!(ledger[0].data, ledger[1].data);
    assert_eq!((ledger[0].to[0].as_str(), ledger[0].from.as_str()), ("ops@example.com", "t@example.com"));
    let text = ledger[0].text();
    for header in [
        "Message-ID: <msg_00000000000000000000000000000001@example.com>",
        "In-Reply-To: <msg_first@example.com>",
        "References: <msg_first@example.com>",
        "Auto-Submitted: auto-generated",
        "X-Tidemark-Incident: inc-1",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "Date: Mon, 02 Mar 2026 08:00:01",
    ] {
        assert!(text.contains(header), "{header} is missing in {text}");
    }
}

#[tokio::test]
async fn a_probe_sends_nothing() {
    let server = FakeSmtp::start();
    let clock = ManualClock::new(at(0));
    assert_eq!(channel(server.port, &clock, true).probe().await.as_deref(), Ok("fake answers"));
    server.set(Mood::RefusesLogin);
    let said = channel(server.port, &clock, true).probe().await.unwrap_err();
    assert!(matches!(&said, ProbeError::Wrong(said) if said.contains("refused the login")), "{said:?}");
    let nobody = channel(1, &clock, true).probe().await;
    assert!(matches!(nobody, Err(ProbeError::Unreachable(_))), "{nobody:?}");
    assert!(server.ledger().is_empty());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    for key in ["password_file", "tls_ca_file"] {
        let config = json!({"to": ["a@b.cc"], "tls": "tls", "username": "u", key: "/no/such/file"});
        let error = Email::new(serde_json::from_value(config).unwrap(), Arc::clone(&clock)).err().unwrap();
        assert!(error.contains("/no/such/file"), "{error}");
    }
}

#[tokio::test]
async fn a_mail_carries_its_recipients_own_link() {
    let server = FakeSmtp::start();
    let mut told = notification(None);
    told.message.external_url = "https://tidemark.example.com/".into();
    told.acknowledge = Some("msg_1.2.abc".into());
    let sent = channel(server.port, &ManualClock::new(at(0)), false);
    assert_eq!(kind(&sent.deliver(&told).await), "accepted");
    told.acknowledge = None;
    assert_eq!(kind(&sent.deliver(&told).await), "accepted");
    let shown: Vec<bool> = server
        .ledger()
        .iter()
        .map(|mail| {
            let whole = mail.text();
            let mut text = whole.replace("=\n", "");
            for part in whole.split("\n\n") {
                let decoded = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    part.split("\n--").next().unwrap_or_default().replace('\n', ""),
                );
                text.push_str(&String::from_utf8_lossy(&decoded.unwrap_or_default()));
            }
            text.matches("https://tidemark.example.com/ack/msg_1.2.abc").count() == 2
        })
        .collect();
    assert_eq!(shown, [true, false], "in the text and in the HTML: {:?}", server.ledger());
}
