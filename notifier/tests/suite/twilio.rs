//! SMS and calls against a fake that checks what the provider checks.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, ManualClock, Severity};
use notifier::Language;
use notifier::channel::{Callback, Channel, Notification, Outcome};
use notifier::channels::{twilio_call, twilio_sms};
use notifier::message::compose::{Draft, compose};
use notifier::message::{AlertNote, MessageKind, NoteStatus};
use serde_json::{Value, json};

use crate::bench::{at, transition};
use crate::fake_twilio::{
    ACCOUNT, API_KEY, API_SECRET, FROM, FakeTwilio, LANDLINE, Mood, TOKEN, UNSUBSCRIBED, sign,
};

pub(crate) const TO: &str = "+8613800138000";

fn note(language: Language) -> AlertNote {
    let firing =
        transition("orders.app", 0, 60, model::Transition::Firing, Severity::P0, model::Origin::Live);
    let told = notifier::message::sentence::Told {
        fired: &firing,
        last: &firing,
        status: NoteStatus::Firing,
        seen_from: at(60),
        zone: chrono_tz::Tz::UTC,
    };
    let url = Some("https://tidemark.example.com");
    notifier::message::compose::note(&told, firing.id, Severity::P0, &firing.labels, language, url)
}

pub(crate) fn notification(kind: MessageKind, language: Language, alerts: usize) -> Notification {
    let mut notes = Vec::new();
    for index in 0..alerts {
        let mut note = note(language);
        note.id.fingerprint += index as u64;
        notes.push(note);
    }
    let message = compose(Draft {
        kind,
        incident: "inc-1".into(),
        group_key: "g".into(),
        receiver: "ops",
        language,
        zone: chrono_tz::Tz::UTC,
        group_labels: model::Labels::default(),
        firing: notes.len(),
        notes,
        resolved: 0,
        at: at(60),
        created_at: at(60),
        external_url: Some("https://tidemark.example.com"),
    });
    Notification {
        key: "msg_00000000000000000000000000000001".into(),
        thread: None,
        recipient: TO.into(),
        attempt_at: at(61),
        message,
        acknowledge: Some("msg_1.2.abc".into()),
    }
}

fn sms_config(url: &str) -> Value {
    json!({"account_sid": ACCOUNT, "auth_token": TOKEN, "from": FROM, "to": [TO], "url": url})
}

pub(crate) fn sms(config: Value, clock: &ManualClock) -> twilio_sms::TwilioSms {
    let clock = Arc::new(clock.clone()) as Arc<dyn Clock>;
    twilio_sms::TwilioSms::new(serde_json::from_value(config).unwrap(), clock).unwrap()
}

pub(crate) fn call(config: Value, clock: &ManualClock) -> twilio_call::TwilioCall {
    let clock = Arc::new(clock.clone()) as Arc<dyn Clock>;
    twilio_call::TwilioCall::new(serde_json::from_value(config).unwrap(), clock).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::new(at(61))
}

async fn sent(config: Value, notification: &Notification) -> Outcome {
    sms(config, &clock()).deliver(notification).await
}

#[tokio::test]
async fn an_sms_is_requested_as_documented() {
    let fake = FakeTwilio::start();
    let outcome = sent(sms_config(&fake.url()), &notification(MessageKind::Firing, Language::En, 1)).await;
    let Outcome::Receipt(receipt) = outcome else { panic!("{outcome:?}") };
    let taken = fake.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(
        (receipt.provider_id.as_str(), receipt.delivered, receipt.parts),
        (taken[0].sid(), false, 2),
        "{receipt:?}"
    );
    assert_eq!(receipt.detail, "queued, 2 segments GSM-7");
    let asked = &fake.asked()[0];
    assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"));
    let header = |name: &str| asked.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(header("content-type"), Some("application/x-www-form-urlencoded"));
    let form: Vec<String> = asked.form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    insta::assert_snapshot!(form.join("\n"), @r##"
    To=+8613800138000
    Body=[P0] orders (channel=app) is 412, 67% below the expected 1,240 (usual: 1,050 to 1,430), since 08:00 https://tidemark.example.com/alerts/caa55e073dba2421-mm8w2680
    From=+14155550100
    SmartEncoded=false
    StatusCallback=https://tidemark.example.com/hooks/twilio/status/msg_00000000000000000000000000000001
    "##);
}

#[tokio::test]
async fn chinese_is_sent_and_counted_as_ucs2() {
    let fake = FakeTwilio::start();
    let outcome = sent(sms_config(&fake.url()), &notification(MessageKind::Firing, Language::Zh, 1)).await;
    assert!(outcome.detail().ends_with("UCS-2"), "{outcome:?}");
    insta::assert_snapshot!(fake.taken()[0].get("Body").unwrap(), @r#"[P0] orders（channel=app）为 412，比预期 1,240 低 67%（正常范围 1,050 到 1,430），自 08:00 起 https://tidemark.example.com/alerts/caa55e073dba2421-mm8w2680"#);
}

#[tokio::test]
async fn a_text_that_is_too_long_keeps_its_link() {
    let fake = FakeTwilio::start();
    let mut config = sms_config(&fake.url());
    config["max_segments"] = json!(1);
    let outcome = sent(config, &notification(MessageKind::Firing, Language::En, 3)).await;
    assert_eq!(outcome.detail(), "queued, 1 segment GSM-7");
    insta::assert_snapshot!(fake.taken()[0].get("Body").unwrap(), @r#"[P0] 3 alerts, first orders (channel=app) is 412, 67% below expected https://tidemark.example.com"#);
}

#[tokio::test]
async fn a_service_chooses_the_sender_and_a_key_logs_in() {
    let fake = FakeTwilio::start();
    let service = "MG0123456789abcdef0123456789abcdef";
    let config = json!({"account_sid": ACCOUNT, "api_key_sid": API_KEY, "api_key_secret": API_SECRET,
        "messaging_service_sid": service, "to": [TO], "url": fake.url()});
    let outcome = sent(config, &notification(MessageKind::Resolved, Language::En, 1)).await;
    assert!(outcome.detail().starts_with("accepted, "), "{outcome:?}");
    let taken = &fake.taken()[0];
    assert_eq!((taken.get("MessagingServiceSid"), taken.get("From")), (Some(service), None));
    assert_eq!(taken.get("StatusCallback"), None, "without the token nobody could check who calls back");
}

#[tokio::test]
async fn what_the_provider_answers_decides() {
    let secs = |n| Some(Duration::from_secs(n));
    let table: [(Mood, &str, Option<Duration>, usize); 8] = [
        (Mood::Good, "accepted", None, 1),
        (Mood::TooMany(17), "transient", secs(17), 0),
        (Mood::Breaks, "unknown", None, 0),
        (Mood::BreaksAfterTaking, "unknown", None, 1),
        (Mood::HangsUpBeforeTaking, "unknown", None, 0),
        (Mood::Truncates, "unknown", None, 1),
        (Mood::Rubbish, "unknown", None, 0),
        (Mood::Redirects, "permanent", None, 0),
    ];
    for (mood, expected, after, taken) in table {
        let fake = FakeTwilio::start();
        fake.next(&[mood]);
        let outcome =
            sent(sms_config(&fake.url()), &notification(MessageKind::Firing, Language::En, 1)).await;
        let waits = match &outcome {
            Outcome::Transient { retry_after, .. } => *retry_after,
            _ => None,
        };
        assert_eq!(
            (outcome.as_str(), waits, fake.taken().len()),
            (expected, after, taken),
            "{mood:?} {outcome:?}"
        );
        assert_eq!(fake.asked().len(), 1, "{mood:?}: nothing is followed and nothing sent twice");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said_without_the_whole_number() {
    let fake = FakeTwilio::start();
    let (mut lines, url) = (Vec::new(), fake.url());
    for (to, change) in [
        (LANDLINE, json!({})),
        (UNSUBSCRIBED, json!({})),
        (TO, json!({"from": "+14155550199"})),
        (TO, json!({"auth_token": "hunter2-wrong"})),
        (TO, json!({"account_sid": "AC00000000000000000000000000000000"})),
        (TO, json!({"url": "http://127.0.0.1:1"})),
    ] {
        let mut config = sms_config(&url);
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        let mut message = notification(MessageKind::Firing, Language::En, 1);
        message.recipient = to.into();
        let outcome = sent(config, &message).await;
        lines.push(format!("{} {}", outcome.as_str(), outcome.detail().replace(&url[7..], "HOST")));
    }
    let text = lines.join("\n");
    assert!(!text.contains("hunter2") && !text.contains(LANDLINE) && !text.contains(TO), "{text}");
    insta::assert_snapshot!(text, @r##"
    permanent HOST answered 400 21614 'To' number +14*******22 is not a valid mobile number
    permanent HOST answered 400 21610 Attempt to send to unsubscribed recipient
    permanent HOST answered 400 21606 The From phone number +14155550199 is not a valid, SMS-capable phone number.
    transient HOST answered 401 20003 Authenticate
    transient HOST answered 401 20003 Authenticate
    transient 127.0.0.1:1: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    "##);
    assert!(fake.taken().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_unknown_at_the_deadline() {
    for (mood, taken) in [(Mood::SilentBeforeTaking, 0), (Mood::SilentAfterTaking, 1)] {
        let (fake, clock) = (FakeTwilio::start(), clock());
        fake.next(&[mood]);
        let channel = sms(sms_config(&fake.url()), &clock);
        let sending = tokio::spawn(async move {
            channel.deliver(&notification(MessageKind::Firing, Language::En, 1)).await
        });
        wait_until(|| !fake.asked().is_empty() && fake.taken().len() == taken).await;
        clock.advance(Duration::from_secs(16));
        let outcome = sending.await.unwrap();
        assert_eq!(outcome.as_str(), "unknown", "{outcome:?}");
        assert!(outcome.detail().ends_with("did not answer within 15s"), "{outcome:?}");
    }
}

/// Lets others run until a state has come.
pub(crate) async fn wait_until(mut look: impl FnMut() -> bool) {
    let looking = async {
        while !look() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.expect("the state comes within 30 s");
}

pub(crate) fn call_config(url: &str) -> Value {
    json!({"account_sid": ACCOUNT, "auth_token": TOKEN, "from": FROM, "to": [TO], "url": url})
}

#[tokio::test]
async fn a_call_says_it_twice_and_takes_a_key() {
    for language in Language::ALL {
        let fake = FakeTwilio::start();
        let message = notification(MessageKind::Firing, language, 1);
        let outcome = call(call_config(&fake.url()), &clock()).deliver(&message).await;
        let Outcome::Receipt(receipt) = outcome else { panic!("{outcome:?}") };
        let taken = fake.of("Calls");
        assert_eq!((receipt.provider_id.as_str(), receipt.detail.as_str()), (taken[0].sid(), "queued"));
        let script = taken[0].get("Twiml").unwrap().replace("><", ">\n<");
        match language {
            Language::En => insta::assert_snapshot!(script, @r##"
            <?xml version="1.0" encoding="UTF-8"?>
            <Response>
            <Gather input="dtmf" numDigits="1" timeout="10" action="https://tidemark.example.com/hooks/twilio/key/msg_1.2.abc" method="POST">
            <Say language="en-US">Tidemark alert, level P0. orders, channel app, is 412, 67 percent below expected.</Say>
            <Say language="en-US">Press 1 to acknowledge.</Say>
            <Pause length="1"/>
            <Say language="en-US">Tidemark alert, level P0. orders, channel app, is 412, 67 percent below expected.</Say>
            <Say language="en-US">Press 1 to acknowledge.</Say>
            </Gather>
            </Response>
            "##),
            Language::Zh => insta::assert_snapshot!(script, @r##"
            <?xml version="1.0" encoding="UTF-8"?>
            <Response>
            <Gather input="dtmf" numDigits="1" timeout="10" action="https://tidemark.example.com/hooks/twilio/key/msg_1.2.abc" method="POST">
            <Say language="zh-CN">Tidemark 告警，级别 P0。 orders，channel app，为 412，比预期低 百分之67。</Say>
            <Say language="zh-CN">确认请按 1。</Say>
            <Pause length="1"/>
            <Say language="zh-CN">Tidemark 告警，级别 P0。 orders，channel app，为 412，比预期低 百分之67。</Say>
            <Say language="zh-CN">确认请按 1。</Say>
            </Gather>
            </Response>
            "##),
        }
        assert_eq!(
            taken[0].get("StatusCallback"),
            Some("https://tidemark.example.com/hooks/twilio/status/msg_00000000000000000000000000000001")
        );
    }
}

#[tokio::test]
async fn without_a_way_back_no_key_is_asked_for() {
    let fake = FakeTwilio::start();
    let channel = call(call_config(&fake.url()), &clock());
    let mut local = notification(MessageKind::Firing, Language::En, 1);
    local.message.external_url = "http://127.0.0.1:9680".into();
    let mut untold = notification(MessageKind::Firing, Language::En, 1);
    untold.acknowledge = None;
    let over = notification(MessageKind::Resolved, Language::En, 1);
    for message in [local, untold, over] {
        assert_eq!(channel.deliver(&message).await.as_str(), "accepted");
    }
    for taken in fake.taken() {
        let script = taken.get("Twiml").unwrap();
        assert!(!script.contains("Gather") && script.matches("<Say").count() == 2, "{script}");
    }
}

#[tokio::test]
async fn the_longest_message_is_a_script_the_provider_takes() {
    let fake = FakeTwilio::start();
    let mut message = notification(MessageKind::Firing, Language::Zh, 1);
    message.message.subject = "<&\"'>订单=5%".repeat(400);
    let outcome = call(call_config(&fake.url()), &clock()).deliver(&message).await;
    assert_eq!(outcome.as_str(), "accepted", "{outcome:?}");
}

#[tokio::test]
async fn a_probe_reads_the_account_and_sends_nothing() {
    let fake = FakeTwilio::start();
    let said = sms(sms_config(&fake.url()), &clock()).probe().await.unwrap();
    assert!(said.ends_with("answers, the account is active"), "{said}");
    let mut wrong = call_config(&fake.url());
    wrong["auth_token"] = json!("hunter2");
    let said = call(wrong, &clock()).probe().await.unwrap_err().to_string();
    assert!(said.ends_with("answered 401 20003 Authenticate"), "{said}");
    assert!(fake.taken().is_empty());
}

#[test]
fn only_the_provider_signs_with_the_accounts_token() {
    let channel = call(call_config("http://127.0.0.1:1"), &clock());
    let (url, form) = ("https://tidemark.example.com/hooks/twilio/key/x", [("Digits", "1")]);
    let pairs = [("Digits".to_owned(), "1".to_owned())];
    let from = |signature: &str| channel.is_from_provider(&Callback { url, form: &pairs, signature });
    assert!(from(&sign(url, &form)));
    assert!(!from(&sign(url, &[("Digits", "2")])) && !from(""));
}
