//! What is told when: tables of scripts and of what a recipient gets.

use crate::bench::{Bench, config};
use notifier::view::AlertFilter;
use serde_json::json;

fn one_group() -> Bench {
    Bench::new(config(&["ops"], json!({"receiver": "ops"}), json!({})))
}

#[test]
fn a_group_waits_tells_changes_and_ends() {
    let said = one_group().play(
        "0 fire a P2
         10 fire b P1
         60 fire c P2
         400 resolve a
         1200 resolve b
         1200 resolve c
         4000 end",
    );
    insta::assert_snapshot!(said, @r##"
    30s ops firing: b:P1 a:P2
    330s ops firing: b:P1 c:P2 a:P2
    630s ops resolved: b:P1 c:P2 over[a]
    1230s ops resolved:  over[b c]
    "##);
}

#[test]
fn what_still_fires_is_repeated_and_only_then() {
    let said = one_group().play("0 fire a P2\n 40000 resolve a\n 80000 end");
    insta::assert_snapshot!(said, @r##"
    30s ops firing: a:P2
    14430s ops repeat: a:P2
    28830s ops repeat: a:P2
    40030s ops resolved:  over[a]
    "##);
}

#[test]
fn what_was_over_before_it_was_told_is_not_told() {
    let mut bench = one_group();
    let said = bench.play("0 pending z\n 0 fire a P2\n 20 resolve a\n 21 resolve z\n 100 end");
    insta::assert_snapshot!(said, @"");
    let listed = |never_fired| {
        let alerts = bench.reader().alerts(&AlertFilter { never_fired, ..AlertFilter::default() }).unwrap();
        alerts.into_iter().map(|a| (a.metric, a.suppressed_by)).collect::<Vec<_>>()
    };
    let a = ("a".to_owned(), Some("resolved_before_notice".to_owned()));
    assert_eq!(listed(false), std::slice::from_ref(&a));
    assert_eq!(listed(true), [("z".to_owned(), None), a]);
}

#[test]
fn a_rise_is_told_at_once_and_a_fall_with_the_next_flush() {
    let said = one_group().play(
        "0 fire a P2
         5 change a P1
         40 change a P0
         60 change a P2
         1000 resolve a
         2000 end",
    );
    insta::assert_snapshot!(said, @r##"
    5s ops firing: a:P1
    40s ops firing: a:P0
    340s ops firing: a:P2
    1030s ops resolved:  over[a]
    "##);
}

#[test]
fn groups_are_told_apart_by_their_labels() {
    let route = json!({"receiver": "ops", "group_by": ["metric"], "group_wait": "10s"});
    let mut bench = Bench::new(config(&["ops"], route, json!({})));
    let said = bench.play(
        "0 fire orders.app P1
         1 fire orders.web P1
         2 fire logins.app P1
         500 resolve orders.app
         500 resolve orders.web
         500 resolve logins.app
         2000 end",
    );
    insta::assert_snapshot!(said, @r##"
    10s ops firing: orders.app:P1 orders.web:P1
    12s ops firing: logins.app:P1
    510s ops resolved:  over[logins.app]
    510s ops resolved:  over[orders.app orders.web]
    "##);
}

#[test]
fn a_severity_that_routes_elsewhere_is_told_there_and_its_end_at_both() {
    let route = json!({
        "receiver": "chat",
        "routes": [{"receiver": "pager", "matchers": ["severity=\"P0\""], "group_wait": "0s"}],
    });
    let mut bench = Bench::new(config(&["chat", "pager"], route, json!({})));
    let said = bench.play(
        "0 fire a P2
         100 change a P0
         20000 resolve a P0
         40000 end",
    );
    insta::assert_snapshot!(said, @r##"
    30s chat firing: a:P2
    100s pager firing: a:P0
    14500s pager repeat: a:P0
    20000s pager resolved:  over[a]
    20030s chat resolved:  over[a]
    "##);
}

#[test]
fn the_same_receiver_on_another_route_is_not_told_twice() {
    let route = json!({
        "receiver": "ops",
        "routes": [{"matchers": ["severity=\"P0\""], "group_wait": "0s", "continue": true},
                   {"matchers": ["severity=\"P0\""], "receiver": "boss"}],
    });
    let mut bench = Bench::new(config(&["boss", "ops"], route, json!({})));
    let said = bench.play("0 fire a P1\n 100 change a P0\n 1000 resolve a P0\n 4000 end");
    insta::assert_snapshot!(said, @r##"
    30s ops firing: a:P1
    100s boss firing: a:P0
    100s ops firing: a:P0
    1000s ops resolved:  over[a]
    1030s boss resolved:  over[a]
    "##);
}

#[test]
fn a_muted_route_speaks_when_its_time_has_come() {
    let route = json!({
        "receiver": "ops", "routes": [{"receiver": "ops", "matchers": ["metric=~\".+\""], "mute_time_intervals": ["morning"]}],
    });
    let intervals = json!([{"name": "morning", "time_intervals":
        [{"times": [{"start_time": "08:00", "end_time": "09:00"}]}]}]);
    let mut bench = Bench::new(config(&["ops"], route, json!({"time_intervals": intervals})));
    let said = bench.play("10 fire a P1\n 10 fire b P1\n 600 resolve b\n 5000 end");
    insta::assert_snapshot!(said, @r##"3600s ops firing: a:P1"##);
    let detail = bench.reader().alerts(&Default::default()).unwrap();
    let b = detail.iter().find(|alert| alert.metric == "b").unwrap();
    assert_eq!(b.suppressed_by.as_deref(), Some("muted:morning"));
}

#[test]
fn an_end_during_a_mute_is_told_after_it() {
    let route = json!({
        "receiver": "ops", "routes": [{"receiver": "ops", "matchers": ["metric=~\".+\""], "mute_time_intervals": ["nine"]}],
    });
    let intervals = json!([{"name": "nine", "time_intervals":
        [{"times": [{"start_time": "09:00", "end_time": "10:00"}]}]}]);
    let mut bench = Bench::new(config(&["ops"], route, json!({"time_intervals": intervals})));
    let said = bench.play("10 fire a P1\n 4000 resolve a\n 9000 end");
    insta::assert_snapshot!(said, @r##"
    40s ops firing: a:P1
    7200s ops resolved:  over[a]
    "##);
}

#[test]
fn what_another_alert_explains_waits_for_its_end() {
    let rules =
        json!([{"source_matchers": ["metric=\"database\""], "target_matchers": ["metric!=\"database\""]}]);
    let route = json!({"receiver": "ops", "group_by": ["metric"]});
    let mut bench = Bench::new(config(&["ops"], route, json!({"inhibit_rules": rules})));
    let said = bench.play(
        "0 fire database P0
         5 fire orders P1
         5 fire logins P1
         500 resolve logins
         1000 resolve database
         3000 resolve orders
         9000 end",
    );
    insta::assert_snapshot!(said, @r##"
    30s ops firing: database:P0
    1030s ops resolved:  over[database]
    1030s ops firing: orders:P1
    3030s ops resolved:  over[orders]
    "##);
    let alerts = bench.reader().alerts(&Default::default()).unwrap();
    let logins = alerts.iter().find(|alert| alert.metric == "logins").unwrap();
    assert!(logins.suppressed_by.as_deref().unwrap().starts_with("inhibited:"), "{:?}", logins.suppressed_by);
}

#[test]
fn history_never_notifies_but_is_recorded() {
    let mut bench = one_group();
    let said = bench.play("0 backfill a P0\n 0 backfill b P2\n 100 resolve a\n 100 change b P1\n 200 end");
    insta::assert_snapshot!(said, @r##"130s ops firing: b:P1"##);
    let alerts = bench.reader().alerts(&Default::default()).unwrap();
    assert_eq!(alerts.len(), 2);
    let a = alerts.iter().find(|alert| alert.metric == "a").unwrap();
    assert_eq!(a.suppressed_by.as_deref(), Some("backfill"));
}

#[test]
fn a_receiver_without_channels_is_the_reason() {
    let mut settings = config(&["ops"], json!({"receiver": "ops"}), json!({}));
    settings.receivers[0].channels.clear();
    let mut bench = Bench::new(settings);
    assert_eq!(bench.play("0 fire a P1\n 500 resolve a\n 1000 end"), "");
    let alerts = bench.reader().alerts(&Default::default()).unwrap();
    assert_eq!(alerts[0].suppressed_by.as_deref(), Some("no_channel:ops"));
}

#[test]
fn a_new_life_ends_the_one_before() {
    let said = one_group().play(
        "0 fire a P1
         1000 fire a P1 900
         3000 resolve a P1 900
         9000 end",
    );
    insta::assert_snapshot!(said, @r##"
    30s ops firing: a:P1
    1030s ops firing: a:P1 over[a]
    3030s ops resolved:  over[a]
    "##);
}

#[test]
fn a_flood_becomes_summaries_that_name_everything() {
    let route = json!({"receiver": "ops", "group_by": ["..."], "group_wait": "0s"});
    let mut settings = config(&["ops"], route, json!({}));
    settings.receivers[0].rate_limit.messages = 5;
    let mut bench = Bench::new(settings);
    let fires: Vec<String> = (0..40).map(|n| format!("10 fire m{n} P1")).collect();
    let said = bench.play(&format!("{}\n 3000 end", fires.join("\n")));
    let kinds: Vec<&str> = bench.ledger.iter().map(|sent| sent.kind).collect();
    assert_eq!(kinds, ["firing", "firing", "firing", "firing", "summary"], "{said}");
    let told: usize = bench.ledger.iter().map(|sent| sent.firing.len()).sum();
    assert_eq!(told, 40);
    let merged =
        bench.reader().deliveries(100).unwrap().into_iter().filter(|d| d.merged_into.is_some()).count();
    assert_eq!(merged, 36);
}

#[test]
fn one_outage_of_28000_alerts_is_one_message() {
    let mut bench = one_group();
    for n in 0..28_000 {
        bench.append(crate::bench::transition(
            &format!("m{n}"),
            0,
            0,
            model::Transition::Firing,
            model::Severity::P1,
            model::Origin::Live,
        ));
    }
    bench.advance_to(400);
    assert_eq!(bench.ledger.len(), 1);
    let delivery = bench.reader().deliveries(1).unwrap().remove(0);
    insta::assert_snapshot!(delivery.subject, @r##"[P1] 28,000 alerts, first m19698 is 412, 67% below expected"##);
    bench.assert_accounted();
}
