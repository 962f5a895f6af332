//! From a database to a mail and a signed webhook, with the real binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::path::Path;

use support::fake_smtp::FakeSmtp;
use support::fake_webhook::FakeWebhook;
use support::{Running, level, ready_address, wait_for, write};

fn configure(dir: &Path, smtp: &FakeSmtp, webhook: &FakeWebhook) {
    let metric = level::metric("orders", "SELECT n AS value FROM level");
    let text = format!("{}metrics:\n{metric}{}", level::head(), level::receivers(smtp, webhook));
    write(dir, "tidemark.yaml", &text);
}

#[test]
fn a_drop_is_told_once_by_every_channel_and_so_is_its_end() {
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    level::create(dir.path(), 100);
    configure(dir.path(), &smtp, &webhook);
    let mut running = Running::start(dir.path(), &["run"]);
    let address = ready_address(&dir.path().join("data"));

    level::set(dir.path(), 3);
    wait_for("the mail of the drop", || smtp.ledger().first().cloned());
    wait_for("the webhook of the drop", || webhook.ledger().first().cloned());
    level::set(dir.path(), 100);
    wait_for("the mail of the recovery", || smtp.ledger().get(1).cloned());
    wait_for("the webhook of the recovery", || webhook.ledger().get(1).cloned());

    let (mails, hooks) = (smtp.ledger(), webhook.ledger());
    assert_eq!((mails.len(), hooks.len()), (2, 2), "{mails:?}\n{hooks:?}");
    assert!(hooks.iter().all(|hook| hook.signed), "{hooks:?}");
    assert_eq!((&hooks[0].body["status"], &hooks[1].body["status"]), (&"firing".into(), &"resolved".into()));
    let subject = mails[0].header("subject").unwrap();
    assert!(subject.contains("Made orders") && subject.contains('3'), "{subject}");

    let alerts = support::get(&address, "/api/v1/alerts").unwrap();
    assert!(alerts.contains("resolved") && alerts.contains("Made orders"), "{alerts}");
    let metrics = support::get(&address, "/metrics").unwrap();
    assert!(metrics.contains("tidemark_sampler_ticks_total"), "{metrics}");

    let ready = support::tidemark(dir.path(), &["ready"]);
    assert!(ready.status.success() && ready.stdout.starts_with(b"ready: "), "{ready:?}");
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());
}

#[test]
fn alerts_are_listed_since_when_and_so_many_with_a_process_and_without() {
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    level::create(dir.path(), 3);
    let metrics: String = ["orders", "logins", "loans"]
        .map(|name| level::metric(name, "SELECT n AS value FROM level"))
        .concat();
    let text = format!("{}metrics:\n{metrics}{}", level::head(), level::receivers(&smtp, &webhook));
    write(dir.path(), "tidemark.yaml", &text);
    let listed = |args: &[&str]| {
        let ran = support::tidemark(dir.path(), &[&["alerts", "ls", "-o", "json"], args].concat());
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        let list: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        list["alerts"].as_array().unwrap().len()
    };
    let check = || {
        assert_eq!((listed(&["--limit", "2"]), listed(&["--limit", "1", "--state", "firing"])), (2, 1));
        assert_eq!((listed(&["--since", "1h"]), listed(&["--since", "2020-01-01T00:00:00Z"])), (3, 3));
        assert_eq!(listed(&["--since", "2999-01-01T00:00:00Z"]), 0, "of a time to come");
    };
    let mut running = Running::start(dir.path(), &["run"]);
    ready_address(&dir.path().join("data"));
    wait_for("three alerts", || (listed(&["--state", "firing"]) == 3).then_some(()));
    check();
    for wrong in [["--since", "yesterday"], ["--limit", "0"], ["--limit", "1001"]] {
        let ran = support::tidemark(dir.path(), &[&["alerts", "ls"][..], &wrong].concat());
        assert_eq!(ran.status.code(), Some(2), "{wrong:?}");
    }
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());
    check();
}

#[test]
fn what_was_not_delivered_before_the_stop_is_delivered_after_the_next_start() {
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    smtp.refuse(true);
    webhook.answer(503);
    level::create(dir.path(), 3);
    configure(dir.path(), &smtp, &webhook);
    let mut running = Running::start(dir.path(), &["run"]);
    let first = wait_for("a refused webhook", || webhook.ledger().first().cloned());
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());
    assert!(smtp.ledger().is_empty());

    smtp.refuse(false);
    webhook.answer(204);
    let before = webhook.ledger().len();
    let _again = Running::start(dir.path(), &["run"]);
    wait_for("the mail after the restart", || smtp.ledger().first().cloned());
    let second = wait_for("the webhook after the restart", || webhook.ledger().get(before).cloned());
    assert_eq!(first.id, second.id, "the same message has the same key");
}

#[test]
fn promise_4_a_bad_configuration_never_replaces_a_good_one() {
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    level::create(dir.path(), 100);
    configure(dir.path(), &smtp, &webhook);
    let running = Running::start(dir.path(), &["run"]);
    let address = ready_address(&dir.path().join("data"));
    let good = std::fs::read_to_string(dir.path().join("tidemark.yaml")).unwrap();

    write(dir.path(), "tidemark.yaml", &good.replace("threshold", "treshold"));
    let refused = support::tidemark(dir.path(), &["reload"]);
    let said =
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("threshold"), "{said}");

    // The old one goes on: its limit still holds.
    level::set(dir.path(), 3);
    wait_for("the webhook of the old limit", || webhook.ledger().first().cloned());

    write(dir.path(), "tidemark.yaml", &good.replace("name: orders", "name: sales"));
    let taken = support::tidemark(dir.path(), &["reload"]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    wait_for("the new metric", || {
        support::get(&address, "/api/v1/metrics")
            .filter(|list| list.contains(r#""metric":"sales""#) && !list.contains(r#""metric":"orders""#))
    });
    drop(running);
}

/// What each process of a folder left for the commands: its roles and its address.
fn addresses(data: &Path) -> Vec<(String, String)> {
    let names = ["process-collector.json", "process.json", "process-detector.json"];
    let read = |name: &str| {
        let note: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join(name)).ok()?).ok()?;
        let roles: Vec<_> = note["roles"].as_array()?.iter().filter_map(|role| role.as_str()).collect();
        Some((roles.join(","), note["address"].as_str()?.to_owned()))
    };
    names.into_iter().filter_map(read).collect()
}

#[test]
fn roles_split_over_processes_work_as_one_and_each_tells_its_health() {
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    level::create(dir.path(), 100);
    configure(dir.path(), &smtp, &webhook);
    let port = support::free_port();
    let own = format!("127.0.0.1:{port}");
    let split: [&[&str]; 3] = [
        &["run", "--role", "collector", "--listen", &own],
        &["run", "--role", "store,console"],
        &["run", "--role", "detector,notifier"],
    ];
    let mut processes: Vec<_> = split.iter().map(|args| Running::start(dir.path(), args)).collect();
    let data = dir.path().join("data");
    let all = wait_for("three processes", || Some(addresses(&data)).filter(|all| all.len() == 3));
    let roles: Vec<_> = all.iter().map(|(roles, _)| roles.as_str()).collect();
    assert_eq!(roles, ["collector", "store,console", "detector,notifier"]);
    assert_eq!(all[0].1, own);
    let says = |args: &[&str], code: i32| {
        let ran = support::tidemark(dir.path(), args);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{said}");
        said
    };
    for ((_, address), own) in
        all.iter().zip(["tidemark_sampler_ticks", "tidemark_replica", "tidemark_detector"])
    {
        wait_for("readiness", || support::get(address, "/readyz"));
        wait_for(own, || support::get(address, "/metrics").filter(|page| page.contains(own)));
    }
    assert_eq!(says(&["ready"], 0).lines().count(), 3);

    level::set(dir.path(), 3);
    wait_for("the webhook of the drop", || webhook.ledger().first().cloned());

    let good = std::fs::read_to_string(dir.path().join("tidemark.yaml")).unwrap();
    write(dir.path(), "tidemark.yaml", &good.replace("below: 10", "below: 2"));
    let reloaded = says(&["reload"], 0);
    for roles in ["collector", "store, console", "detector, notifier"] {
        assert!(reloaded.contains(&format!("{roles}: reloaded: revision ")), "{reloaded}");
    }
    wait_for("the webhook of the recovery, by the new limit", || webhook.ledger().get(1).cloned());
    write(dir.path(), "tidemark.yaml", &good.replace("threshold", "treshold"));
    let refused = says(&["reload"], 78);
    assert!(
        refused.contains("refused by detector, notifier") && refused.contains("refused by collector"),
        "{refused}"
    );

    let tested = says(&["notify", "test", "--receiver", "ops"], 0);
    assert!(tested.contains("webhook"), "{tested}");
    processes[2].signal("TERM");
    assert!(processes[2].wait().success(), "{}", processes[2].said());
    assert_eq!(says(&["ready"], 0).lines().count(), 2);
    let nobody = says(&["notify", "test", "--receiver", "ops"], 1);
    assert!(nobody.contains("no tidemark with the role `notifier` runs on"), "{nobody}");
    processes[1].kill();
    assert_eq!(says(&["ready"], 0).lines().count(), 1, "a process that died is none");
}
