//! The whole notifier with its tasks: log in, webhook and mail out.

use std::sync::Arc;
use std::time::Duration;

use model::testing::MemoryLog;
use model::{AlertTransition, Body, Clock, ManualClock, NewEntry, Origin, SampleLog, Severity, Transition};
use notifier::view::{ChannelHealth, DeliveryState};
use notifier::{Notifier, NotifierConfig, NotifierError, NotifierMetrics};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::bench::{at, config, transition};
use crate::fake_smtp::{FakeSmtp, Mood};
use crate::webhook::is_signed;

struct Running {
    notifier: Arc<Notifier>,
    clock: ManualClock,
    log: Arc<MemoryLog>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn settings(hook: &str, smtp_port: u16) -> NotifierConfig {
    let mut config = config(&["ops"], json!({"receiver": "ops"}), json!({}));
    config.receivers = vec![
        serde_json::from_value(json!({"name": "ops", "channels": [
            {"webhook": {"url": hook, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
            {"email": {"to": ["a@example.com", "b@example.com"], "host": "127.0.0.1", "port": smtp_port}},
        ]}))
        .unwrap(),
    ];
    config
}

impl Running {
    fn start(
        folder: &std::path::Path,
        config: NotifierConfig,
        clock: ManualClock,
        log: Arc<MemoryLog>,
    ) -> Self {
        let notifier = Notifier::open(
            &folder.join("notifier.db"),
            config,
            Arc::clone(&log) as Arc<dyn SampleLog>,
            Arc::new(clock.clone()) as Arc<dyn Clock>,
            NotifierMetrics::default(),
        );
        let notifier = Arc::new(notifier.unwrap());
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&notifier).run(stop.clone()));
        Self { notifier, clock, log, stop, task }
    }

    async fn say(&self, sequence: u64, transition: AlertTransition) {
        let entry = NewEntry {
            key: "orders".into(),
            producer: "detector".into(),
            sequence,
            source_position: Vec::new(),
            body: Body::Alert(Box::new(transition)),
        };
        self.log.append(vec![entry]).await.unwrap();
    }

    /// Lets time pass until the condition holds, in steps so small that an attempt under way, whose answer takes real
    /// time, has many of them before its deadline.
    async fn until(&self, what: &str, holds: impl Fn(&Notifier) -> bool) {
        let waiting = async {
            while !holds(&self.notifier) {
                let _ = tokio::time::timeout(Duration::from_millis(50), self.attempts_end()).await;
                self.clock.advance(Duration::from_millis(200));
                tokio::task::yield_now().await;
            }
        };
        let patience = Duration::from_secs(180);
        assert!(tokio::time::timeout(patience, waiting).await.is_ok(), "waited in vain: {what}");
    }

    async fn attempts_end(&self) {
        let under_way = || {
            let deliveries = self.notifier.reader().deliveries(100).unwrap();
            deliveries.iter().any(|delivery| delivery.state == DeliveryState::Leased)
        };
        while under_way() {
            tokio::task::yield_now().await;
        }
    }

    fn delivered(notifier: &Notifier, count: usize) -> bool {
        let deliveries = notifier.reader().deliveries(100).unwrap();
        deliveries
            .iter()
            .filter(|d| matches!(d.state, DeliveryState::Delivered | DeliveryState::Accepted))
            .count()
            == count
    }
}

async fn hook() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    // As a receiver that knows POST alone.
    Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(405)).mount(&server).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_reaches_every_channel_and_so_does_its_end() {
    let (server, smtp) = (hook().await, FakeSmtp::start());
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at(0));
    let log = Arc::new(MemoryLog::new("detector"));
    let running = Running::start(folder.path(), settings(&server.uri(), smtp.port), clock, log);
    running.say(1, transition("orders", 0, 0, Transition::Firing, Severity::P0, Origin::Live)).await;
    running.until("the alert is told", |n| Running::delivered(n, 3)).await;
    running.say(2, transition("orders", 0, 60, Transition::Resolved, Severity::P0, Origin::Live)).await;
    running.until("its end is told", |n| Running::delivered(n, 6)).await;
    let health = |channel: &str, delivered| ChannelHealth {
        channel: channel.into(),
        delivered,
        ..ChannelHealth::default()
    };
    assert_eq!(running.notifier.channels().unwrap(), [health("ops/webhook/0", 2), health("ops/email/0", 4)]);
    running.stop.cancel();
    running.task.await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(is_signed));
    let mails = smtp.ledger();
    assert_eq!(mails.len(), 4);
    assert_eq!(mails.iter().filter(|mail| mail.text().contains("In-Reply-To: <msg_")).count(), 2);
    assert_eq!(running.notifier.reader().unaccounted().unwrap(), []);
    assert!(running.log.committed("notifier").unwrap().covers(&running.log.end()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_hangs_holds_back_nobody_else_and_is_tried_again() {
    let (server, smtp) = (hook().await, FakeSmtp::start_in(Mood::HangsAfterData));
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at(0));
    let log = Arc::new(MemoryLog::new("detector"));
    let running = Running::start(folder.path(), settings(&server.uri(), smtp.port), clock, log);
    running.say(1, transition("orders", 0, 0, Transition::Firing, Severity::P0, Origin::Live)).await;
    running.until("the webhook is told", |n| Running::delivered(n, 1)).await;
    running.until("both mails hang", |_| smtp.hung() == 2).await;
    let of_mail = |n: &Notifier| n.channels().unwrap().pop().unwrap();
    running.until("they are counted as unknown", |n| of_mail(n).unknown == 2).await;
    let hung = of_mail(&running.notifier);
    assert_eq!((hung.delivered, hung.failed, hung.queued), (0, 0, 2));
    assert!(!hung.error.is_empty());
    smtp.set(Mood::Good);
    running.until("the mails come in the end", |n| Running::delivered(n, 3)).await;
    let deliveries = running.notifier.reader().deliveries(10).unwrap();
    assert!(deliveries.iter().filter(|d| d.channel == "ops/email/0").all(|d| d.attempts >= 2));
    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_delivered_at_the_end_waits_for_the_next_start() {
    let (server, smtp) = (hook().await, FakeSmtp::start_in(Mood::Closes));
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at(0));
    let log = Arc::new(MemoryLog::new("detector"));
    let config = settings(&server.uri(), smtp.port);
    let first = Running::start(folder.path(), config.clone(), clock.clone(), Arc::clone(&log));
    first.say(1, transition("orders", 0, 0, Transition::Firing, Severity::P0, Origin::Live)).await;
    first.until("the webhook is told", |n| Running::delivered(n, 1)).await;
    first.stop.cancel();
    first.task.await.unwrap();
    drop(first.notifier);
    let reader = notifier::open_read_only(&folder.path().join("notifier.db")).unwrap();
    let queued = reader.deliveries(10).unwrap();
    assert_eq!(queued.iter().filter(|d| d.state == DeliveryState::Queued).count(), 2, "{queued:?}");
    smtp.set(Mood::Good);
    let second = Running::start(folder.path(), config, clock, log);
    second.until("the mails come", |n| Running::delivered(n, 3)).await;
    assert_eq!(server.received_requests().await.unwrap().len(), 1, "nobody is told twice");
    second.stop.cancel();
    second.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_can_be_tried_and_probed() {
    let (server, smtp) = (hook().await, FakeSmtp::start());
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new("detector"));
    let running =
        Running::start(folder.path(), settings(&server.uri(), smtp.port), ManualClock::new(at(0)), log);
    let tests = running.notifier.test_receiver("ops").await.unwrap();
    let said: Vec<String> =
        tests.iter().map(|t| format!("{} {} {}", t.channel, t.recipient, t.outcome)).collect();
    let host = server.address();
    let expected = [
        "ops/email/0 a@example.com accepted".to_owned(),
        "ops/email/0 b@example.com accepted".to_owned(),
        format!("ops/webhook/0 {host} delivered"),
    ];
    assert_eq!(said, expected);
    assert!(running.notifier.probe().await.iter().all(|test| test.ok));
    let error = running.notifier.test_receiver("opps").await.unwrap_err();
    assert_eq!(error.to_string(), "unknown receiver `opps`, valid are: ops");
    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_never_replaces_a_good_one() {
    let (server, smtp) = (hook().await, FakeSmtp::start());
    let other = hook().await;
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new("detector"));
    let running =
        Running::start(folder.path(), settings(&server.uri(), smtp.port), ManualClock::new(at(0)), log);
    let mut bad = settings(&server.uri(), smtp.port);
    bad.route.receiver = Some("nobody-knows".into());
    assert!(matches!(running.notifier.apply(bad).await, Err(NotifierError::Config(_))));
    assert_eq!(running.notifier.route_for(&model::Labels::default()), ["ops"]);
    running.notifier.apply(settings(&other.uri(), smtp.port)).await.unwrap();
    running.say(1, transition("orders", 0, 0, Transition::Firing, Severity::P0, Origin::Live)).await;
    running.until("the alert is told", |n| Running::delivered(n, 3)).await;
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
    assert_eq!(other.received_requests().await.unwrap().len(), 1);
    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_alerts_wait_until_what_writes_them_has_caught_up() {
    let (server, smtp) = (hook().await, FakeSmtp::start());
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new("detector"));
    let clock = ManualClock::new(at(20_000));
    let running = Running::start(folder.path(), settings(&server.uri(), smtp.port), clock, log);
    let (caught_up, upstream) = tokio::sync::watch::channel(false);
    running.notifier.set_upstream(upstream);
    running.say(1, transition("orders", 0, 0, Transition::Firing, Severity::P0, Origin::Live)).await;
    let end = running.log.end();
    running.until("it is consumed", |n| n.positions().covers(&end)).await;
    for _ in 0..100 {
        running.clock.advance(Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(running.notifier.reader().deliveries(1).unwrap(), []);
    caught_up.send(true).unwrap();
    running.until("it is told", |n| Running::delivered(n, 3)).await;
    running.stop.cancel();
    running.task.await.unwrap();
}
