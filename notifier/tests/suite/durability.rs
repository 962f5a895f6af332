//! Killed at any moment, with a database that fails now and then: the same ledger, nobody forgotten, nobody told twice.

use std::collections::BTreeSet;

use crate::bench::{Bench, Sent, config, transition};
use model::{Origin, Secret, Severity, Timestamp, Transition};
use notifier::NotifierConfig;
use notifier::plan::ChannelSlot;
use notifier::store::{Addressed, Finished, Lease, Loaded, SqliteStore, Step, Store, StoreError, Waiting};
use notifier::view::DeliveryState;
use proptest::prelude::*;
use serde_json::json;

/// A store whose writes fail when the coin says so.
struct Flaky {
    inner: SqliteStore,
    fails: Box<dyn FnMut() -> bool + Send>,
}

impl Flaky {
    fn toss(&mut self) -> Result<(), StoreError> {
        if (self.fails)() {
            return Err(StoreError {
                what: "pass the test",
                place: "memory".into(),
                source: "disk full".into(),
            });
        }
        Ok(())
    }
}

impl Store for Flaky {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.inner.load()
    }
    fn commit(&mut self, step: &Step) -> Result<(), StoreError> {
        self.toss()?;
        self.inner.commit(step)
    }
    fn waiting(&mut self, receiver: &str) -> Result<Vec<Waiting>, StoreError> {
        self.toss()?;
        self.inner.waiting(receiver)
    }
    fn lease(
        &mut self,
        channel: &str,
        recipients: &[String],
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        self.toss()?;
        self.inner.lease(channel, recipients, now)
    }
    fn next_due(&mut self, channel: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due(channel, now)
    }
    fn finish(&mut self, finished: &Finished) -> Result<(), StoreError> {
        self.toss()?;
        self.inner.finish(finished)
    }
    fn hush(
        &mut self,
        incidents: &[String],
        channels: &[String],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.inner.hush(incidents, channels, now)
    }
    fn addressed(&mut self, key: &str) -> Result<Option<Addressed>, StoreError> {
        self.inner.addressed(key)
    }
    fn learn(&mut self, key: &str, provider_id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.inner.learn(key, provider_id, now)
    }
    fn link_key(&mut self, fresh: &Secret) -> Result<Secret, StoreError> {
        self.inner.link_key(fresh)
    }
    fn release_leases(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        self.inner.release_leases(now)
    }
    fn release_forgotten(
        &mut self,
        channel: &str,
        before: Timestamp,
        held: &[i64],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.inner.release_forgotten(channel, before, held, now)
    }
    fn suppress_orphans(&mut self, slots: &[ChannelSlot], now: Timestamp) -> Result<usize, StoreError> {
        self.inner.suppress_orphans(slots, now)
    }
    fn set_timezone(&mut self, zone: chrono_tz::Tz) -> Result<(), StoreError> {
        self.inner.set_timezone(zone)
    }
    fn prune(&mut self, domain: Timestamp, civil: Timestamp) -> Result<usize, StoreError> {
        self.inner.prune(domain, civil)
    }
    fn queue_depth(&mut self) -> Result<u64, StoreError> {
        self.inner.queue_depth()
    }
}

fn settings() -> NotifierConfig {
    let route = json!({
        "receiver": "chat", "group_by": ["metric"],
        "routes": [{"receiver": "pager", "matchers": ["severity=\"P0\""], "group_wait": "5s", "continue": true},
                   {"receiver": "chat", "matchers": ["severity=\"P0\""], "group_wait": "0s"}],
    });
    let rules = json!([{"source_matchers": ["metric=\"m0\"", "severity=\"P0\""],
        "target_matchers": ["severity=\"P2\""], "equal": ["channel"]}]);
    let mut settings = config(&["chat", "pager"], route, json!({"inhibit_rules": rules}));
    settings.receivers[0].rate_limit.messages = 4;
    settings
}

/// One thing that happens.
#[derive(Clone, Debug)]
struct Event {
    after_secs: i64,
    metric: u8,
    kind: u8,
    severity: u8,
    channel: bool,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0i64..400, 0u8..4, 0u8..6, 0u8..3, any::<bool>()).prop_map(
        |(after_secs, metric, kind, severity, channel)| Event { after_secs, metric, kind, severity, channel },
    );
    prop::collection::vec(event, 1..25)
}

/// Turns random events into lives that make sense: an alert fires before it changes or ends.
fn lives(events: &[Event]) -> Vec<(i64, String, i64, Transition, Severity, Origin)> {
    let mut open: std::collections::BTreeMap<String, i64> = Default::default();
    let (mut now, mut script) = (0, Vec::new());
    for event in events {
        now += event.after_secs;
        let name = format!("m{}{}", event.metric, if event.channel { ".app" } else { "" });
        let severity = [Severity::P0, Severity::P1, Severity::P2][event.severity as usize];
        let origin = if event.kind == 5 { Origin::Backfill } else { Origin::Live };
        let what = match (open.get(&name), event.kind) {
            (None, _) => Transition::Firing,
            (Some(_), 0..=2) => Transition::Resolved,
            (Some(_), _) => Transition::SeverityChanged,
        };
        let began = *open.entry(name.clone()).or_insert(now);
        if what == Transition::Resolved {
            open.remove(&name);
        }
        script.push((now, name, began, what, severity, origin));
    }
    script
}

fn play(events: &[Event], mut disturb: impl FnMut(&mut Bench), mut bench: Bench) -> Bench {
    let mut last = 0;
    for (now, name, began, what, severity, origin) in lives(events) {
        bench.advance_to(now);
        disturb(&mut bench);
        bench.append(transition(&name, began, now, what, severity, origin));
        disturb(&mut bench);
        bench.settle();
        last = now;
    }
    for more in [400, 5_000, 40_000] {
        bench.advance_to(last + more);
        disturb(&mut bench);
    }
    bench
}

fn keys(ledger: &[Sent]) -> Vec<(String, String)> {
    ledger.iter().map(|sent| (sent.key.clone(), sent.line())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn killed_between_any_two_steps_the_ledger_is_the_same(events in events(), seed in any::<u64>()) {
        let calm = play(&events, |_| {}, Bench::new(settings()));
        calm.assert_accounted();
        let mut coin = seed;
        let killed = play(&events, |bench| {
            coin = coin.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match coin >> 61 {
                0..=2 => bench.restart(),
                // Killed in the middle of consuming, of the timers, of a delivery.
                3 => { let _ = bench.engine().consume(); bench.restart(); }
                4 => { let _ = bench.engine().keep_timers(); bench.restart(); }
                5 => { let _ = bench.lease("chat"); bench.restart(); }
                _ => {}
            }
        }, Bench::new(settings()));
        killed.assert_accounted();
        prop_assert_eq!(keys(&killed.ledger), keys(&calm.ledger));
        let distinct: BTreeSet<&String> = killed.ledger.iter().map(|sent| &sent.key).collect();
        prop_assert_eq!(distinct.len(), killed.ledger.len());
    }

    #[test]
    fn a_database_that_fails_now_and_then_changes_nothing(events in events(), seed in any::<u64>()) {
        let calm = play(&events, |_| {}, Bench::new(settings()));
        let wrap = move |inner| {
            let mut coin = seed | 1;
            let fails = Box::new(move || {
                coin = coin.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                coin >> 62 == 0
            });
            Box::new(Flaky { inner, fails }) as Box<dyn Store>
        };
        let failing = play(&events, |_| {}, Bench::with_store(settings(), Box::new(wrap)));
        failing.assert_accounted();
        prop_assert_eq!(keys(&failing.ledger), keys(&calm.ledger));
    }
}

fn one_group() -> Bench {
    Bench::new(config(&["ops"], json!({"receiver": "ops"}), json!({})))
}

#[test]
fn a_delivery_under_way_at_a_crash_is_sent_again_with_its_key() {
    let mut bench = one_group();
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.clock.advance(std::time::Duration::from_secs(30));
    bench.engine().keep_timers().unwrap();
    let first = bench.lease("ops").unwrap();
    assert_eq!(bench.lease("ops"), None, "one delivery is not leased twice");
    bench.restart();
    let second = bench.lease("ops").unwrap();
    assert_eq!((&second.key, second.attempt), (&first.key, 2));
    assert_eq!(second.message, first.message);
    let attempts = bench.reader().attempts(first.delivery).unwrap();
    assert_eq!(attempts.iter().map(|a| a.outcome.as_str()).collect::<Vec<_>>(), ["unknown"]);
}

/// The receiver `ops` with a webhook to each of these hosts.
fn hosts(hosts: &[&str]) -> NotifierConfig {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let channels: Vec<_> = hosts
        .iter()
        .map(|host| json!({"webhook": {"url": format!("http://{host}/"), "secret": secret}}))
        .collect();
    let mut settings = config(&["ops"], json!({"receiver": "ops"}), json!({}));
    settings.receivers = vec![serde_json::from_value(json!({"name": "ops", "channels": channels})).unwrap()];
    settings
}

/// A notifier with one message to each of these hosts in its queue.
fn queued(names: &[&str]) -> Bench {
    let mut bench = Bench::new(hosts(names));
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.clock.advance(std::time::Duration::from_secs(30));
    bench.engine().keep_timers().unwrap();
    bench
}

#[test]
fn channels_that_change_places_keep_their_messages() {
    let mut bench = queued(&["a", "b"]);
    bench.reconfigure(hosts(&["b", "a"]));
    let to = |slot| bench.engine().lease(slot).unwrap().map(|lease| lease.recipient);
    assert_eq!(to("ops/webhook/0").as_deref(), Some("b"));
    assert_eq!(to("ops/webhook/1").as_deref(), Some("a"));
}

#[test]
fn a_message_of_the_provider_stands_for_one_delivery() {
    let bench = queued(&["a", "b"]);
    let [a, b] = ["ops/webhook/0", "ops/webhook/1"].map(|slot| bench.engine().lease(slot).unwrap().unwrap());
    let end = |lease: &Lease, detail: &str| {
        let (provider_id, detail) = ("CA1".to_owned(), detail.to_owned());
        bench.finish(&Finished { provider_id, detail, ..bench.finished(lease) });
        let mut all = bench.reader().deliveries(10).unwrap();
        all.sort_by_key(|delivery| delivery.id);
        all.into_iter().map(|delivery| (delivery.state, delivery.provider_id)).collect::<Vec<_>>()
    };
    let has = |id: &str| (DeliveryState::Accepted, id.to_owned());
    let waits = || (DeliveryState::Queued, String::new());
    let found = "queued (found at the provider)";
    assert_eq!(end(&a, found), [has("CA1"), (DeliveryState::Leased, String::new())]);
    assert_eq!(end(&b, found), [has("CA1"), waits()], "found, but another's");
    let b = bench.engine().lease("ops/webhook/1").unwrap().unwrap();
    assert_eq!(end(&b, "queued"), [waits(), has("CA1")], "the answer to the message itself");
}

#[test]
fn a_channel_that_takes_the_place_of_another_does_not_get_its_messages() {
    let mut bench = queued(&["a"]);
    bench.reconfigure(hosts(&["c"]));
    assert_eq!(bench.lease("ops"), None);
    let left = bench.reader().deliveries(10).unwrap();
    assert_eq!(left.iter().map(|d| d.state).collect::<Vec<_>>(), [DeliveryState::Suppressed]);
    assert_eq!(left[0].detail, "channel `ops/webhook/0` to `a` is no longer configured");
}

#[test]
fn a_delivery_whose_channel_goes_while_it_is_under_way_ends() {
    let mut bench = queued(&["a"]);
    let lease = bench.lease("ops").unwrap();
    bench.reconfigure(hosts(&[]));
    bench.end(&lease, DeliveryState::Queued);
    let left = bench.reader().deliveries(10).unwrap();
    assert_eq!(left.iter().map(|d| d.state).collect::<Vec<_>>(), [DeliveryState::Suppressed]);
}

#[test]
fn an_overdue_timer_runs_once_after_a_restart() {
    let mut bench = one_group();
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.clock.advance(std::time::Duration::from_secs(30));
    bench.settle();
    bench.clock.advance(std::time::Duration::from_secs(50_000));
    bench.restart();
    bench.settle();
    bench.settle();
    insta::assert_snapshot!(bench.lines(), @r##"
    30s ops firing: a:P1
    50030s ops repeat: a:P1
    "##);
}

#[test]
fn after_downtime_only_what_still_fires_is_told_and_the_rest_is_in_one_digest() {
    let mut bench = one_group();
    bench.clock.advance(std::time::Duration::from_secs(20_000));
    let now = [
        ("short", 0, Some(1_000)),
        ("long", 500, None),
        ("young", 19_000, None),
        ("blip", 19_500, Some(19_990)),
    ];
    for (name, began, ended) in now {
        bench.append(transition(name, began, began, Transition::Firing, Severity::P1, Origin::Live));
        if let Some(ended) = ended {
            bench.append(transition(name, began, ended, Transition::Resolved, Severity::P1, Origin::Live));
        }
    }
    bench.advance_to(20_400);
    insta::assert_snapshot!(bench.lines(), @r##"
    20000s ops digest:  over[blip short]
    20000s ops firing: long:P1 young:P1
    "##);
    bench.assert_accounted();
}

#[test]
fn what_is_over_long_ago_but_was_told_before_the_downtime_gets_its_end() {
    let mut bench = one_group();
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.advance_to(100);
    bench.clock.advance(std::time::Duration::from_secs(20_000));
    bench.append(transition("a", 0, 200, Transition::Resolved, Severity::P1, Origin::Live));
    bench.restart();
    bench.advance_to(20_500);
    insta::assert_snapshot!(bench.lines(), @r##"
    30s ops firing: a:P1
    20100s ops resolved:  over[a]
    "##);
}

#[test]
fn a_failed_delivery_leaves_its_alert_unaccounted_for() {
    let mut bench = one_group();
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.assert_accounted();
    bench.clock.advance(std::time::Duration::from_secs(30));
    bench.engine().keep_timers().unwrap();
    bench.assert_accounted();
    let lease = bench.lease("ops").unwrap();
    bench.end(&lease, DeliveryState::Failed);
    let forgotten = bench.reader().unaccounted().unwrap();
    assert_eq!(forgotten.iter().map(|u| u.why.as_str()).collect::<Vec<_>>(), ["failed"]);
}

#[test]
fn messages_of_one_incident_keep_their_order() {
    let mut bench = one_group();
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.clock.advance(std::time::Duration::from_secs(30));
    bench.engine().keep_timers().unwrap();
    let first = bench.lease("ops").unwrap();
    bench.append(transition("a", 0, 60, Transition::Resolved, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.clock.advance(std::time::Duration::from_secs(400));
    bench.engine().keep_timers().unwrap();
    assert_eq!(bench.lease("ops"), None, "the end waits for the beginning");
    bench.end(&first, DeliveryState::Delivered);
    let second = bench.lease("ops").unwrap();
    assert_eq!((second.message.kind.as_str(), second.thread.as_ref()), ("resolved", Some(&first.key)));
}

#[test]
fn another_configuration_forgets_nobody_and_tells_nobody_twice() {
    let mut bench = one_group();
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.append(transition("b", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.advance_to(100);
    let route = json!({"receiver": "ops", "group_by": ["metric"],
        "routes": [{"receiver": "team", "matchers": ["metric=\"b\""]}]});
    bench.reconfigure(config(&["ops", "team"], route, json!({})));
    bench.advance_to(500);
    let route = json!({"receiver": "team"});
    bench.reconfigure(config(&["team"], route, json!({})));
    bench.advance_to(1_000);
    bench.append(transition("a", 0, 1_000, Transition::Resolved, Severity::P1, Origin::Live));
    bench.append(transition("b", 0, 1_000, Transition::Resolved, Severity::P1, Origin::Live));
    bench.advance_to(3_000);
    insta::assert_snapshot!(bench.lines(), @r##"
    30s ops firing: b:P1 a:P1
    130s team firing: b:P1
    530s team firing: b:P1 a:P1
    1030s team resolved:  over[b a]
    "##);
    bench.assert_accounted();
}

#[test]
fn a_clock_that_was_a_day_ahead_does_not_silence_anything_for_a_day() {
    let mut bench = one_group();
    bench.clock.jump_domain(crate::bench::at(86_400));
    bench.append(transition("a", 0, 0, Transition::Firing, Severity::P1, Origin::Live));
    bench.engine().consume().unwrap();
    bench.engine().settle().unwrap();
    bench.clock.jump_domain(crate::bench::at(10));
    bench.append(transition("b", 10, 10, Transition::Firing, Severity::P1, Origin::Live));
    bench.advance_to(500);
    assert_eq!(bench.ledger.iter().map(|sent| sent.firing.len()).max(), Some(2), "{}", bench.lines());
}

#[test]
fn old_alerts_are_deleted_and_open_ones_kept() {
    let mut bench = one_group();
    bench.play("0 fire a P1\n 0 fire b P1\n 100 resolve a\n 1000 end");
    bench.clock.advance(std::time::Duration::from_secs(100 * 86_400));
    assert!(bench.engine().prune().unwrap() > 0);
    let left = bench.reader().alerts(&Default::default()).unwrap();
    assert_eq!(left.iter().map(|alert| alert.metric.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(bench.engine().prune().unwrap(), 0);
}

#[test]
fn a_newer_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notifier.db");
    drop(SqliteStore::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(text.contains("version 99"), "{text}");
}
