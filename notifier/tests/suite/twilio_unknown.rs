//! Nobody answered: the provider is asked before anything is sent again.

use std::sync::Arc;
use std::time::Duration;

use model::testing::MemoryLog;
use model::{Clock, ManualClock, Origin, SampleLog, Severity, Transition};
use notifier::channel::{Channel, Found, Notification, Unanswered};
use notifier::message::MessageKind;
use notifier::view::{DeliveryState, DeliveryView};
use notifier::{Language, Notifier, NotifierConfig, NotifierError, NotifierMetrics};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::bench::{at, config, entry, transition};
use crate::fake_twilio::{FROM, FakeTwilio, Mood};
use crate::twilio::{TO, call, call_config, notification, sms, wait_until};

fn unanswered() -> Unanswered {
    Unanswered { since: at(61), until: at(76), claimed: Vec::new() }
}

fn later() -> Notification {
    Notification { attempt_at: at(100), ..notification(MessageKind::Firing, Language::En, 1) }
}

/// The fake and the channel at one instant; the SMS with the text of `later` was taken at `taken_at`.
async fn searched(
    taken_at: i64,
    change: impl Fn(&FakeTwilio),
    unanswered: &Unanswered,
) -> (Found, FakeTwilio) {
    let fake = FakeTwilio::start();
    fake.set_now(at(taken_at).as_secs());
    let clock = ManualClock::new(at(taken_at));
    let channel = sms(call_config(&fake.url()), &clock);
    channel.deliver(&notification(MessageKind::Firing, Language::En, 1)).await;
    clock.advance(at(100).since(clock.civil_now()));
    fake.set_now(at(100).as_secs());
    change(&fake);
    let found = channel.find(&later(), unanswered).await;
    assert_eq!(fake.of("Messages").len(), 1, "asking sends nothing");
    (found, fake)
}

fn name(found: &Found) -> &'static str {
    match found {
        Found::Yes(_) => "yes",
        Found::Dead { .. } => "dead",
        Found::No => "no",
        Found::CannotTell { .. } => "cannot tell",
    }
}

#[tokio::test]
async fn a_message_is_found_by_its_text_its_number_and_its_time() {
    let claimed = Unanswered { claimed: vec![format!("SM{:032x}", 1)], ..unanswered() };
    type Row<'a> = (&'a str, i64, &'a dyn Fn(&FakeTwilio), &'a Unanswered, &'a str);
    let rows: [Row<'_>; 8] = [
        ("it waits there", 62, &|_| {}, &unanswered(), "yes"),
        ("it has gone out", 62, &FakeTwilio::send_out, &unanswered(), "yes"),
        ("it died and will again", 62, &|fake| fake.give_up(30_006), &unanswered(), "dead"),
        ("it died of what passes", 62, &|fake| fake.give_up(30_003), &unanswered(), "no"),
        ("the same text long before", 0, &|_| {}, &unanswered(), "no"),
        ("another delivery's", 62, &|_| {}, &claimed, "no"),
        ("the provider is busy", 62, &|fake| fake.always(Mood::TooMany(40)), &unanswered(), "cannot tell"),
        ("its list is rubbish", 62, &|fake| fake.always(Mood::Rubbish), &unanswered(), "cannot tell"),
    ];
    for (what, taken_at, change, unanswered, expected) in rows {
        let (found, _) = searched(taken_at, change, unanswered).await;
        assert_eq!(name(&found), expected, "{what}: {found:?}");
        match found {
            Found::Yes(receipt) => {
                assert_eq!((receipt.provider_id, receipt.parts), (format!("SM{:032x}", 1), 2));
            }
            Found::CannotTell { retry_after, .. } if what.contains("busy") => {
                assert_eq!(retry_after, Some(Duration::from_secs(40)));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_provider_whose_clock_is_wrong_is_understood() {
    let fake = FakeTwilio::start();
    let clock = ManualClock::new(at(62));
    fake.set_now(at(62).as_secs() - 7_200);
    let channel = sms(call_config(&fake.url()), &clock);
    channel.deliver(&notification(MessageKind::Firing, Language::En, 1)).await;
    clock.advance(Duration::from_secs(38));
    fake.set_now(at(100).as_secs() - 7_200);
    assert_eq!(name(&channel.find(&later(), &unanswered()).await), "yes");
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_not_for_ever() {
    for (others, expected, requests) in [(7, "yes", 4), (60, "cannot tell", 5)] {
        let crowd = |fake: &FakeTwilio| {
            fake.set_now(at(63).as_secs());
            for n in 0..others {
                fake.plant("Messages", &[("To", TO), ("Body", &format!("another {n}"))]);
            }
            fake.page_size(2);
            fake.send_out();
            fake.set_now(at(100).as_secs());
        };
        let fake = FakeTwilio::start();
        fake.set_now(at(62).as_secs());
        let clock = ManualClock::new(at(62));
        let channel = sms(call_config(&fake.url()), &clock);
        channel.deliver(&notification(MessageKind::Firing, Language::En, 1)).await;
        clock.advance(Duration::from_secs(38));
        crowd(&fake);
        let found = channel.find(&later(), &unanswered()).await;
        assert_eq!(name(&found), expected, "{others}: {found:?}");
        assert_eq!(fake.asked().iter().filter(|asked| asked.method == "GET").count(), requests, "{others}");
    }
}

#[tokio::test]
async fn it_is_not_asked_before_it_can_know() {
    let fake = FakeTwilio::start();
    let channel = sms(call_config(&fake.url()), &ManualClock::new(at(78)));
    let soon = Notification { attempt_at: at(78), ..later() };
    let found = channel.find(&soon, &unanswered()).await;
    assert!(
        matches!(&found, Found::CannotTell { retry_after: Some(after), .. } if *after == Duration::from_secs(8)),
        "{found:?}"
    );
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_call_is_found_by_both_numbers_and_its_time() {
    type Row =
        (&'static str, i64, &'static [(&'static str, &'static str)], &'static [&'static str], &'static str);
    let rows: [Row; 5] = [
        ("ours", 62, &[("To", TO), ("From", FROM)], &[], "yes"),
        ("too early", 30, &[("To", TO), ("From", FROM)], &[], "no"),
        ("after we had given up", 99, &[("To", TO), ("From", FROM)], &[], "no"),
        ("from another number", 62, &[("To", TO), ("From", "+14155550199")], &[], "no"),
        (
            "another delivery's",
            62,
            &[("To", TO), ("From", FROM)],
            &["CA00000000000000000000000000000001"],
            "no",
        ),
    ];
    for (what, made_at, form, claimed, expected) in rows {
        let fake = FakeTwilio::start();
        fake.set_now(at(made_at).as_secs());
        fake.plant("Calls", form);
        fake.set_now(at(100).as_secs());
        let channel = call(call_config(&fake.url()), &ManualClock::new(at(100)));
        let claimed = claimed.iter().map(|sid| (*sid).to_owned()).collect();
        let found = channel.find(&later(), &Unanswered { claimed, ..unanswered() }).await;
        assert_eq!(name(&found), expected, "{what}: {found:?}");
    }
}

/// A whole notifier with one SMS and one call.
struct Running {
    dir: TempDir,
    clock: ManualClock,
    log: Arc<MemoryLog>,
    fake: FakeTwilio,
}

impl Running {
    fn new() -> Self {
        let fake = FakeTwilio::start();
        fake.set_now(at(0).as_secs());
        let clock = ManualClock::new(at(0));
        Self { dir: tempfile::tempdir().unwrap(), clock, log: Arc::new(MemoryLog::new("detector")), fake }
    }

    fn config(&self) -> NotifierConfig {
        let route = json!({"receiver": "ops", "group_wait": "0s", "group_interval": "1s"});
        let mut config = config(&["ops"], route, json!({}));
        let channels: Value = json!([{"twilio_sms": call_config(&self.fake.url())}]);
        config.receivers[0].channels = serde_json::from_value(channels).unwrap();
        config
    }

    fn open(&self) -> Result<Notifier, NotifierError> {
        let log = Arc::clone(&self.log) as Arc<dyn SampleLog>;
        let clock = Arc::new(self.clock.clone()) as Arc<dyn Clock>;
        let path = self.dir.path().join("notifier.db");
        Notifier::open(&path, self.config(), log, clock, NotifierMetrics::default())
    }

    fn start(&self) -> (Arc<Notifier>, CancellationToken, tokio::task::JoinHandle<()>) {
        let notifier = self.open().unwrap();
        let (notifier, stop) = (Arc::new(notifier), CancellationToken::new());
        let task = tokio::spawn(Arc::clone(&notifier).run(stop.clone()));
        (notifier, stop, task)
    }

    async fn fire(&self) {
        let fired = transition("orders", 0, 0, Transition::Firing, Severity::P1, Origin::Live);
        self.log.append(vec![entry(1, fired)]).await.unwrap();
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.fake.set_now(self.clock.civil_now().as_secs());
    }

    fn now(&self, secs: i64) {
        self.pass(at(secs).since(self.clock.civil_now()));
    }
}

fn only(notifier: &Notifier) -> Option<DeliveryView> {
    notifier.reader().deliveries(10).unwrap().into_iter().next()
}

/// Passes time until the delivery is over.
async fn ended(bench: &Running, notifier: &Notifier) -> DeliveryView {
    wait_until(|| {
        bench.pass(Duration::from_secs(1));
        only(notifier).is_some_and(|d| !matches!(d.state, DeliveryState::Queued | DeliveryState::Leased))
    })
    .await;
    only(notifier).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_in_silence_is_not_sent_twice_and_what_was_not_is_sent_again() {
    for (mood, takes) in [
        (Mood::SilentAfterTaking, true),
        (Mood::HangsUpAfterTaking, true),
        (Mood::BreaksAfterTaking, true),
        (Mood::Truncates, true),
        (Mood::SilentBeforeTaking, false),
        (Mood::HangsUpBeforeTaking, false),
        (Mood::Breaks, false),
    ] {
        let bench = Running::new();
        bench.fake.next(&[mood]);
        let (notifier, stop, task) = bench.start();
        bench.fire().await;
        wait_until(|| bench.fake.asked().iter().any(|asked| asked.method == "POST")).await;
        if matches!(mood, Mood::SilentAfterTaking | Mood::SilentBeforeTaking) {
            wait_until(|| bench.fake.taken().len() == usize::from(takes)).await;
            bench.now(16);
        }
        wait_until(|| only(&notifier).is_some_and(|d| d.state == DeliveryState::Queued && d.attempts == 1))
            .await;
        let delivery = ended(&bench, &notifier).await;
        assert_eq!(delivery.state, DeliveryState::Accepted, "{mood:?} {delivery:?}");
        assert_eq!(bench.fake.taken().len(), 1, "{mood:?}: {:?}", bench.fake.taken());
        assert_eq!(delivery.provider_id, bench.fake.taken()[0].sid(), "{mood:?}");
        assert_eq!(delivery.detail.contains("found at the provider"), takes, "{mood:?} {}", delivery.detail);
        let lists = bench.fake.asked().iter().filter(|asked| asked.method == "GET").count();
        assert!((1..=4).contains(&lists), "{mood:?}: asked {lists} times");
        stop.cancel();
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_the_request_and_its_answer_sends_nothing_twice() {
    let bench = Running::new();
    bench.fake.next(&[Mood::SilentAfterTaking]);
    let (notifier, _stop, task) = bench.start();
    bench.fire().await;
    wait_until(|| bench.fake.taken().len() == 1).await;
    // As `kill -9` leaves it: leased, and nobody to hear the answer.
    task.abort();
    drop(notifier);
    // A thread of the aborted one may still be at work in the database.
    wait_until(|| bench.open().is_ok()).await;
    bench.now(30);
    let (notifier, stop, task) = bench.start();
    let delivery = ended(&bench, &notifier).await;
    assert_eq!((delivery.state, bench.fake.taken().len()), (DeliveryState::Accepted, 1), "{delivery:?}");
    assert_eq!(delivery.provider_id, bench.fake.taken()[0].sid());
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_while_the_provider_cannot_say() {
    let bench = Running::new();
    bench.fake.next(&[Mood::HangsUpAfterTaking]);
    let (notifier, stop, task) = bench.start();
    bench.fire().await;
    wait_until(|| only(&notifier).is_some_and(|d| d.state == DeliveryState::Queued && d.attempts == 1)).await;
    bench.fake.always(Mood::TooMany(60));
    // The search may find the fake's clock a moment behind and come back later: time must go on.
    bench.now(20);
    wait_until(|| {
        let asked = bench.fake.asked().iter().any(|asked| asked.method == "GET");
        if !asked && only(&notifier).is_some_and(|d| d.state == DeliveryState::Queued) {
            bench.pass(Duration::from_secs(1));
        }
        asked
    })
    .await;
    wait_until(|| only(&notifier).is_some_and(|d| d.attempts >= 2 && d.state == DeliveryState::Queued)).await;
    let asked_at = bench.clock.civil_now();
    bench.fake.always(Mood::Good);
    let delivery = ended(&bench, &notifier).await;
    assert_eq!((delivery.state, bench.fake.taken().len()), (DeliveryState::Accepted, 1), "{delivery:?}");
    let waited = delivery.finished_at.unwrap().since(asked_at);
    // Seconds that passed while the attempt began are not known; without Retry-After it would be far less.
    assert!(waited >= Duration::from_secs(55), "Retry-After is honoured: {waited:?}");
    stop.cancel();
    task.await.unwrap();
}
