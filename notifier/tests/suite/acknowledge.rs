//! Somebody has it in hand: what is still told, and what is not.

use model::{AlertId, Severity};
use notifier::NotifierConfig;
use notifier::link::LinkError;
use notifier::view::{Acknowledged, DeliveryState};
use serde_json::json;

use crate::bench::{Bench, at, config, transition};
use crate::fake_twilio::{ACCOUNT, FROM, TOKEN};

fn settings() -> NotifierConfig {
    let route = json!({"receiver": "ops", "group_by": ["metric"], "group_wait": "10s", "group_interval": "60s",
        "repeat_interval": "1h"});
    config(&["ops"], route, json!({}))
}

/// The same with a phone beside the webhook.
fn with_phone() -> NotifierConfig {
    let mut settings = settings();
    let call = json!({"twilio_call": {"account_sid": ACCOUNT, "auth_token": TOKEN, "from": FROM, "to": ["+8613800138000"]}});
    settings.receivers[0].channels.push(serde_json::from_value(call).unwrap());
    settings
}

fn id(name: &str) -> AlertId {
    transition(name, 0, 0, model::Transition::Firing, Severity::P1, model::Origin::Live).id
}

fn acknowledge(bench: &Bench, name: &str) -> Acknowledged {
    bench.engine().acknowledge_alert(id(name), "lena", "cli").unwrap()
}

#[test]
fn what_is_in_hand_is_not_repeated_and_its_end_is_told() {
    let mut bench = Bench::new(settings());
    bench.play("0 fire orders P1\n60 end");
    assert_eq!(acknowledge(&bench, "orders"), Acknowledged::Done);
    assert_eq!(acknowledge(&bench, "orders"), Acknowledged::Already);
    bench.restart();
    let lines = bench.play("20000 resolve orders P1\n21000 end");
    insta::assert_snapshot!(lines, @r"
    10s ops firing: orders:P1
    20010s ops resolved:  over[orders]
    ");
    let detail = bench.reader().alert(id("orders")).unwrap().unwrap();
    assert_eq!(detail.acknowledgements.len(), 1);
    let ack = detail.alert.acknowledged.unwrap();
    assert_eq!(
        (ack.by.as_str(), ack.via.as_str(), ack.at, ack.severity),
        ("lena", "cli", at(60), Severity::P1)
    );
}

#[test]
fn what_gets_worse_is_told_and_repeated_again() {
    let mut bench = Bench::new(settings());
    bench.play("0 fire orders.app P1\n60 end");
    assert_eq!(acknowledge(&bench, "orders.app"), Acknowledged::Done);
    let lines = bench.play("5000 change orders.app P0\n9000 end");
    insta::assert_snapshot!(lines, @r"
    10s ops firing: orders.app:P1
    5000s ops firing: orders.app:P0
    8600s ops repeat: orders.app:P0
    ");
    assert_eq!(bench.reader().alert(id("orders.app")).unwrap().unwrap().alert.acknowledged, None);
    assert_eq!(acknowledge(&bench, "orders.app"), Acknowledged::Done);
    let lines = bench.play("15000 fire orders.web P2\n20000 end");
    assert!(
        lines.ends_with(
            "15010s ops firing: orders.app:P0 orders.web:P2\n18610s ops repeat: orders.app:P0 orders.web:P2"
        ),
        "{lines}"
    );
}

#[test]
fn what_falls_while_it_is_in_hand_is_no_news() {
    let mut bench = Bench::new(settings());
    bench.play("0 fire orders P0\n60 end");
    acknowledge(&bench, "orders");
    let lines = bench.play("5000 change orders P2\n9000 change orders P0\n12000 end");
    assert_eq!(lines, "10s ops firing: orders:P0", "down and up to where it was acknowledged");
}

#[test]
fn a_resolve_beats_an_acknowledgement_and_what_is_unknown_is_not_acknowledged() {
    let mut bench = Bench::new(settings());
    bench.play("0 pending logins P1\n0 fire orders P1\n60 resolve orders P1\n61 end");
    assert_eq!(acknowledge(&bench, "orders"), Acknowledged::Resolved);
    assert_eq!(acknowledge(&bench, "logins"), Acknowledged::NotFiring);
    assert_eq!(acknowledge(&bench, "nothing"), Acknowledged::Resolved);
    bench.play("500 end");
    assert!(bench.lines().ends_with("over[orders]"), "{}", bench.lines());
    let detail = bench.reader().alert(id("orders")).unwrap().unwrap();
    assert!(detail.acknowledgements.is_empty() && detail.alert.acknowledged.is_none());
}

/// Takes in and flushes, delivers nothing.
fn flush(bench: &mut Bench, name: &str, severity: Severity) {
    let fired =
        transition(name, 0, bench.now_secs(), model::Transition::Firing, severity, model::Origin::Live);
    bench.append(fired);
    bench.engine().consume().unwrap();
    bench.clock.advance(std::time::Duration::from_secs(10));
    bench.engine().keep_timers().unwrap();
}

fn states(bench: &Bench) -> Vec<(String, DeliveryState, String)> {
    let mut all = bench.reader().deliveries(20).unwrap();
    all.reverse();
    all.into_iter().map(|d| (d.channel, d.state, d.detail)).collect()
}

#[test]
fn a_call_that_was_not_made_yet_is_dropped_and_the_record_goes_out() {
    let mut bench = Bench::new(with_phone());
    flush(&mut bench, "orders", Severity::P0);
    assert_eq!(acknowledge(&bench, "orders"), Acknowledged::Done);
    let call = ("ops/twilio_call/0".to_owned(), DeliveryState::Suppressed, "acknowledged".to_owned());
    let hook = ("ops/webhook/0".to_owned(), DeliveryState::Queued, String::new());
    assert_eq!(states(&bench), [hook, call]);
    bench.assert_accounted();
}

#[test]
fn a_call_under_way_is_not_made_again_once_it_is_acknowledged() {
    let mut bench = Bench::new(with_phone());
    flush(&mut bench, "orders", Severity::P0);
    let lease = bench.engine().lease("ops/twilio_call/0").unwrap().unwrap();
    acknowledge(&bench, "orders");
    assert_eq!(states(&bench)[1].1, DeliveryState::Leased);
    bench.end(&lease, DeliveryState::Queued);
    assert_eq!(
        (states(&bench)[1].1, states(&bench)[1].2.as_str()),
        (DeliveryState::Suppressed, "acknowledged")
    );
}

#[test]
fn a_call_left_by_a_kill_is_not_made_again_either() {
    let mut bench = Bench::new(with_phone());
    flush(&mut bench, "orders", Severity::P0);
    bench.engine().lease("ops/twilio_call/0").unwrap().unwrap();
    acknowledge(&bench, "orders");
    bench.restart();
    assert_eq!(states(&bench)[1].1, DeliveryState::Suppressed);
}

#[test]
fn a_rise_calls_again() {
    let mut bench = Bench::new(with_phone());
    flush(&mut bench, "orders", Severity::P1);
    acknowledge(&bench, "orders");
    bench.play("20 change orders P0\n21 end");
    let calls: Vec<DeliveryState> = states(&bench)
        .into_iter()
        .filter(|(name, ..)| name.contains("call"))
        .map(|(_, state, _)| state)
        .collect();
    assert_eq!(calls, [DeliveryState::Suppressed, DeliveryState::Delivered]);
}

/// The link of the only message that is queued for the phone.
fn link(bench: &Bench) -> String {
    let delivery =
        bench.reader().deliveries(20).unwrap().into_iter().find(|d| d.channel.contains("call")).unwrap();
    bench.engine().link_to(&delivery.key, delivery.created_at).unwrap()
}

#[test]
fn a_link_acknowledges_what_its_message_told_as_bad_as_it_told_it() {
    let mut bench = Bench::new(with_phone());
    flush(&mut bench, "orders.app", Severity::P1);
    let token = link(&bench);
    let open = |bench: &Bench, token: &str| bench.engine().open_link(token).unwrap();
    let press = |bench: &Bench| {
        let told = open(bench, &token).unwrap();
        bench.engine().acknowledge(&told.firing, &told.recipient, &told.channel).unwrap()
    };
    assert_eq!(open(&bench, &token.replace("msg_", "msg-")).unwrap_err(), LinkError::Forged);
    assert_eq!(press(&bench), Acknowledged::Done);
    assert_eq!(press(&bench), Acknowledged::Already, "a replay changes nothing");
    let detail = bench.reader().alert(id("orders.app")).unwrap().unwrap();
    assert_eq!(detail.acknowledgements.len(), 1);
    assert_eq!(detail.acknowledgements[0].by, "+8613800138000");

    // A replay takes nothing in hand that came or rose after the message.
    bench.play("100 fire orders.web P1\n200 change orders.app P0\n300 end");
    assert_eq!(press(&bench), Acknowledged::Worse);
    let acknowledged =
        |name: &str| bench.reader().alert(id(name)).unwrap().unwrap().alert.acknowledged.is_some();
    assert!(!acknowledged("orders.app") && !acknowledged("orders.web"));

    bench.play("400 resolve orders.app P0\n600 end");
    assert_eq!(press(&bench), Acknowledged::Resolved);
    bench.clock.advance(notifier::link::LIFE);
    assert_eq!(open(&bench, &token).unwrap_err(), LinkError::Expired);
}
