//! The pump against channels and databases that misbehave.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use model::testing::MemoryLog;
use model::{Labels, ManualClock, Severity};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::channel::{ProbeError, Receipt};
use crate::message::compose::{Draft, compose};
use crate::message::{Message, MessageKind};
use crate::plan::Plan;
use crate::store::{NewDelivery, NewNotification, Reader, SqliteStore, Step, Store};
use crate::view::DeliveryView;
use crate::{Language, NotifierConfig, NotifierMetrics};

const NAME: &str = "ops/webhook/0";

/// Panics at its first attempts, then takes everything.
struct FakeChannel {
    panics: AtomicU32,
    /// Further panics, where the pump asks for its deadline.
    pump_panics: AtomicU32,
}

#[async_trait]
impl Channel for FakeChannel {
    fn kind(&self) -> &'static str {
        "webhook"
    }
    fn recipients(&self) -> Vec<String> {
        vec!["127.0.0.1:9".into()]
    }
    fn timeout(&self) -> Duration {
        let left = self.pump_panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(left.is_err(), "the fake channel kills its pump as it was told");
        Duration::from_secs(10)
    }
    async fn deliver(&self, _: &Notification) -> Outcome {
        let left = self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(left.is_err(), "the fake channel panics as it was told");
        Outcome::Receipt(Receipt { delivered: true, ..Receipt::default() })
    }
    async fn probe(&self) -> Result<String, ProbeError> {
        Ok(String::new())
    }
}

fn message(n: u32) -> Message {
    compose(Draft {
        kind: MessageKind::Firing,
        incident: "inc-1".into(),
        group_key: format!("g{n}"),
        receiver: "ops",
        language: Language::En,
        zone: chrono_tz::Tz::UTC,
        group_labels: Labels::default(),
        notes: Vec::new(),
        firing: 1,
        resolved: 0,
        at: Timestamp::from_secs(0),
        created_at: Timestamp::from_secs(0),
        external_url: None,
    })
}

struct Fixture {
    folder: TempDir,
    clock: ManualClock,
    engine: Arc<Engine>,
    stop: CancellationToken,
}

impl Fixture {
    /// Two messages of one incident to one recipient.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&folder.path().join("notifier.db")).unwrap();
        let delivery = |n: u32| NewDelivery {
            key: format!("msg_{n}"),
            channel: NAME.into(),
            recipient: "127.0.0.1:9".into(),
        };
        let new = |n: u32| NewNotification {
            message: message(n),
            alerts: Vec::new(),
            deliveries: vec![delivery(n)],
            urgency: Severity::P1,
            waiting: false,
            merges: Vec::new(),
        };
        store.commit(&Step { notifications: vec![new(1), new(2)], ..Step::default() }).unwrap();
        let webhook =
            json!({"url": "http://127.0.0.1:9/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
        let receiver = json!({"name": "ops", "channels": [{"webhook": webhook}]});
        let config = NotifierConfig {
            route: serde_json::from_value(json!({"receiver": "ops"})).unwrap(),
            receivers: vec![serde_json::from_value(receiver).unwrap()],
            ..NotifierConfig::default()
        };
        let clock = ManualClock::new(Timestamp::from_secs(0));
        let engine = Engine::new(
            Box::new(store),
            Arc::new(Plan::compile(config).unwrap()),
            Arc::new(MemoryLog::new("detector")),
            Arc::new(clock.clone()),
            NotifierMetrics::default(),
        );
        Self { folder, clock, engine: Arc::new(engine.unwrap()), stop: CancellationToken::new() }
    }

    fn pump(&self, panics: u32) {
        self.start(panics, 0);
    }

    fn start(&self, panics: u32, pump_panics: u32) {
        let channel = Arc::new(FakeChannel {
            panics: AtomicU32::new(panics),
            pump_panics: AtomicU32::new(pump_panics),
        });
        let slot = Slot { name: NAME.into(), channel };
        tokio::spawn(keep_pumping(Arc::clone(&self.engine), slot, self.stop.clone()));
    }

    fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(self.folder.path().join("notifier.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.execute_batch(text).unwrap();
    }

    fn deliveries(&self) -> Vec<DeliveryView> {
        let reader = Reader::open(&self.folder.path().join("notifier.db")).unwrap();
        let mut found = reader.deliveries(10).unwrap();
        found.reverse();
        found
    }

    fn attempts(&self, delivery: i64) -> Vec<String> {
        let reader = Reader::open(&self.folder.path().join("notifier.db")).unwrap();
        reader
            .attempts(delivery)
            .unwrap()
            .into_iter()
            .map(|a| format!("{}: {}", a.outcome, a.detail))
            .collect()
    }

    /// Lets this much time pass, and then more until the condition holds.
    async fn pass(&self, secs: u32, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            let mut passed = 0;
            while passed < secs || !holds(self) {
                self.clock.advance(Duration::from_secs(1));
                passed += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(ended.is_ok(), "waited in vain: {:?}", self.deliveries());
    }

    fn all_delivered(&self) -> bool {
        self.deliveries().iter().all(|d| d.state == DeliveryState::Delivered)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_an_attempt_leaves_its_outcome_unknown_and_holds_back_nobody() {
    let fixture = Fixture::new();
    fixture.pump(1);
    fixture.pass(0, Fixture::all_delivered).await;
    // The clock goes on while the panic unwinds, so the deadline may be what is noticed first.
    let attempts = fixture.attempts(1);
    let words: Vec<_> = attempts.iter().filter_map(|attempt| attempt.split(':').next()).collect();
    assert_eq!(words, ["unknown", "delivered"], "{attempts:?}");
    fixture.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_for_minutes_still_learns_of_the_receipt() {
    let fixture = Fixture::new();
    fixture
        .sql("CREATE TRIGGER broken BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'disk full'); END");
    fixture.pump(0);
    fixture.pass(400, |f| f.deliveries()[0].state == DeliveryState::Leased).await;
    fixture.sql("DROP TRIGGER broken");
    fixture.pass(0, Fixture::all_delivered).await;
    assert_eq!(fixture.attempts(1), ["delivered: "], "who has a receipt is not sent to again");
    fixture.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_no_attempt_holds_goes_back_to_the_queue() {
    let fixture = Fixture::new();
    fixture.engine.lease(NAME).unwrap().unwrap();
    fixture.pump(0);
    fixture.pass(0, Fixture::all_delivered).await;
    assert_eq!(fixture.attempts(1), ["unknown: the attempt ended without a word", "delivered: "]);
    fixture.stop.cancel();
}

#[test]
fn pauses_grow_to_a_bound_and_spread() {
    let mut last = Duration::ZERO;
    for attempt in 1..=9 {
        let now = pause("msg_a", attempt);
        assert!(now > last, "attempt {attempt}: {now:?} after {last:?}");
        last = now;
    }
    assert!(
        (9..=4_000_000_000).step_by(400_000_000).all(|n| pause("msg_a", n) <= LONGEST_PAUSE.mul_f64(1.2))
    );
    assert_ne!(pause("msg_a", 3), pause("msg_b", 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pump_that_dies_is_started_again_and_counted() {
    let fixture = Fixture::new();
    fixture.start(0, 2);
    fixture.pass(0, Fixture::all_delivered).await;
    assert_eq!(fixture.engine.metrics().restarts.get(), 2);
    fixture.stop.cancel();
}

#[tokio::test]
async fn a_step_that_panics_is_an_error_and_the_next_one_works() {
    let fixture = Fixture::new();
    let broken = on_disk(&fixture.engine, |_| -> Result<(), crate::NotifierError> { panic!("broken") }).await;
    assert_eq!(broken.unwrap_err().to_string(), "a step of the notifier panicked: broken");
    assert!(on_disk(&fixture.engine, |engine| engine.consume()).await.is_ok());
}
