//! Webhooks against a server that checks their signatures and misbehaves.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::{Clock, ManualClock};
use notifier::Language;
use notifier::channel::{Channel, Notification, Outcome, ProbeError};
use notifier::channels::webhook::Webhook;
use notifier::message::MessageKind;
use notifier::message::compose::{Draft, compose};
use serde_json::json;
use sha2::Sha256;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::bench::at;

const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn notification() -> Notification {
    let message = compose(Draft {
        kind: MessageKind::Test,
        incident: "inc-1".into(),
        group_key: "g".into(),
        receiver: "ops",
        language: Language::En,
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
        key: "msg_1".into(),
        thread: None,
        recipient: "x".into(),
        attempt_at: at(2),
        message,
        acknowledge: None,
    }
}

fn channel(url: &str, clock: &ManualClock) -> Webhook {
    let config =
        json!({"url": url, "secret": format!("whsec_{KEY}"), "headers": {"Authorization": "Bearer hunter2"}});
    Webhook::new(serde_json::from_value(config).unwrap(), Arc::new(clock.clone()) as Arc<dyn Clock>).unwrap()
}

async fn answered(template: ResponseTemplate) -> Outcome {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(template).mount(&server).await;
    channel(&format!("{}/hunter2", server.uri()), &ManualClock::new(at(2))).deliver(&notification()).await
}

/// As the receiver of a Standard Webhook does it.
pub(crate) fn is_signed(request: &Request) -> bool {
    let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&request.body);
    header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn what_the_receiver_answers_decides() {
    let date = "Mon, 02 Mar 2026 08:02:02 GMT";
    let secs = |n| Some(Duration::from_secs(n));
    let answer = ResponseTemplate::new;
    let table = [
        (answer(200), "delivered", None),
        (answer(204), "delivered", None),
        (answer(302).insert_header("location", "http://127.0.0.1:1/"), "permanent", None),
        (answer(400), "permanent", None),
        (answer(401), "transient", None),
        (answer(404), "transient", None),
        (answer(410), "permanent", None),
        (answer(429).insert_header("retry-after", "17"), "transient", secs(17)),
        (answer(503).insert_header("retry-after", date), "transient", secs(120)),
        (answer(500).set_body_string("x".repeat(1_000_000)), "transient", None),
    ];
    for (template, expected, wish) in table {
        let outcome = answered(template).await;
        assert_eq!(outcome.as_str(), expected, "{outcome:?}");
        if let Outcome::Transient { retry_after, .. } = &outcome {
            assert_eq!(*retry_after, wish, "{outcome:?}");
        }
        let shown = format!("{outcome:?}");
        assert!(!shown.contains("hunter2") && shown.len() < 1_000, "{shown}");
    }
}

#[tokio::test]
async fn a_receipt_keeps_the_receivers_id() {
    let outcome = answered(ResponseTemplate::new(200).set_body_string(r#"{"id": "abc"}"#)).await;
    let Outcome::Receipt(receipt) = outcome else { panic!("{outcome:?}") };
    assert_eq!((receipt.provider_id.as_str(), receipt.delivered), ("abc", true));
}

#[tokio::test]
async fn requests_are_signed_and_the_body_is_the_same_each_time() {
    let server = MockServer::start().await;
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let channel = channel(&format!("{}/hook", server.uri()), &ManualClock::new(at(2)));
    channel.deliver(&notification()).await;
    channel.deliver(&Notification { attempt_at: at(99), ..notification() }).await;
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(is_signed));
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[0].headers["webhook-id"], requests[1].headers["webhook-id"]);
    assert_ne!(requests[0].headers["webhook-timestamp"], requests[1].headers["webhook-timestamp"]);
    assert_eq!(requests[0].headers["authorization"], "Bearer hunter2");
}

#[tokio::test]
async fn nobody_there_is_transient_and_silence_is_unknown() {
    let clock = ManualClock::new(at(2));
    let outcome = channel("http://127.0.0.1:1/hunter2", &clock).deliver(&notification()).await;
    assert_eq!(outcome.as_str(), "transient", "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");

    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(method("POST")).respond_with(slow).mount(&server).await;
    let channel = channel(&server.uri(), &clock);
    let task = tokio::spawn(async move { channel.deliver(&notification()).await });
    let asked = async {
        while server.received_requests().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    clock.advance(Duration::from_secs(11));
    assert_eq!(task.await.unwrap().as_str(), "unknown");
}

#[tokio::test]
async fn a_probe_posts_nothing() {
    let server = MockServer::start().await;
    let probe = async || channel(&server.uri(), &ManualClock::new(at(2))).probe().await;
    let said = probe().await.unwrap_err().to_string();
    assert!(said.ends_with("answers (404): nothing is at the path of `url`"), "{said}");
    for (status, good) in [(200, true), (401, true), (405, true), (501, true), (410, false), (503, false)] {
        server.reset().await;
        Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        let probed = probe().await;
        assert_eq!(probed.is_ok(), good, "{status}");
        assert!(good || matches!(probed, Err(ProbeError::Wrong(_))), "{status}: it answered");
    }
    let nobody = channel("http://127.0.0.1:1", &ManualClock::new(at(2))).probe().await;
    assert!(matches!(nobody, Err(ProbeError::Unreachable(_))), "{nobody:?}");
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| request.method.as_str() == "HEAD"));
}

#[tokio::test]
async fn redirects_are_followed_within_the_origin_and_as_a_post_alone() {
    for (status, elsewhere, expected) in [
        (307, false, "delivered"),
        (308, false, "delivered"),
        (302, false, "permanent"),
        (303, false, "permanent"),
        (307, true, "permanent"),
        (308, true, "permanent"),
    ] {
        let (server, other) = (MockServer::start().await, MockServer::start().await);
        let target = if elsewhere { other.uri() } else { server.uri() };
        let moved = ResponseTemplate::new(status).insert_header("location", format!("{target}/new"));
        Mock::given(path("/old")).respond_with(moved).mount(&server).await;
        for server in [&server, &other] {
            Mock::given(path("/new")).respond_with(ResponseTemplate::new(200)).mount(server).await;
        }
        let config = json!({"url": format!("{}/old", server.uri()), "secret": format!("whsec_{KEY}"),
            "follow_redirects": true});
        let clock = Arc::new(ManualClock::new(at(2))) as Arc<dyn Clock>;
        let channel = Webhook::new(serde_json::from_value(config).unwrap(), clock).unwrap();
        let outcome = channel.deliver(&notification()).await;
        assert_eq!(outcome.as_str(), expected, "{status} elsewhere={elsewhere} {outcome:?}");
        assert_eq!(other.received_requests().await.unwrap().len(), 0);
        assert!(server.received_requests().await.unwrap().iter().all(is_signed));
    }
}
