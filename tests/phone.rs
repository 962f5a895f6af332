//! From a database to a phone and back: SMS, a call, and key 1, with the real binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;
use support::fake_twilio::{ACCOUNT, FROM, FakeTwilio, Mood, TOKEN, Taken, encode_form, sign};
use support::{DEADLINE, Running, get, http, level, ready_address, tidemark, wait_for, write};

const TO: &str = "+8613800138000";

fn configure(dir: &Path, twilio: &FakeTwilio) {
    write(dir, "token", &format!("{TOKEN}\n"));
    let account = format!(
        "{{to: ['{TO}'], from: '{FROM}', account_sid: {ACCOUNT}, auth_token_file: token, url: '{}'}}",
        twilio.url()
    );
    let text = format!(
        "{}metrics:\n{}receivers:\n  - name: ops\n    channels:\n      - twilio_sms: {account}\n      - twilio_call: {account}\n\
         route: {{receiver: ops, group_by: [metric], group_wait: 1s, group_interval: 1s, repeat_interval: 4s}}\n",
        level::head(),
        level::metric("orders", "SELECT n AS value FROM level"),
    );
    write(dir, "tidemark.yaml", &text);
}

/// Where the call's script sends a pressed key: the path at this process.
fn action(call: &Taken) -> String {
    let script = call.get("Twiml").unwrap();
    let from = script.find("action=\"").unwrap() + "action=\"".len();
    let url = script[from..].split('"').next().unwrap();
    url.strip_prefix("http://tidemark.test").unwrap().to_owned()
}

fn press(address: &str, path: &str, digit: &str, signature: Option<&str>) -> (u16, String) {
    let form = [("CallSid", "CA00000000000000000000000000000001"), ("Digits", digit), ("To", TO)];
    let right = sign(&format!("http://tidemark.test{path}"), &form);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-twilio-signature", signature.unwrap_or(&right)),
    ];
    http("POST", address, path, &headers, &encode_form(&form)).unwrap()
}

fn alert(address: &str) -> Value {
    let list: Value = serde_json::from_str(&get(address, "/api/v1/alerts").unwrap()).unwrap();
    list["alerts"][0].clone()
}

#[test]
fn key_1_on_the_phone_takes_it_in_hand() {
    let (dir, twilio) = (tempfile::tempdir().unwrap(), FakeTwilio::start());
    level::create(dir.path(), 100);
    configure(dir.path(), &twilio);
    let mut running = Running::start(dir.path(), &["run"]);
    let address = ready_address(&dir.path().join("data"));

    level::set(dir.path(), 3);
    let call = wait_for("the call", || twilio.of("Calls").first().cloned());
    let sms = wait_for("the SMS", || twilio.of("Messages").first().cloned());
    assert!(sms.get("Body").unwrap().contains("Made orders is 3"), "{sms:?}");
    wait_for("a repeat while nobody has it", || (twilio.of("Messages").len() > 1).then_some(()));

    let path = action(&call);
    let forged = path.replace("msg_", "msg-");
    assert_eq!(press(&address, &forged, "1", None).0, 403, "another link");
    assert_eq!(press(&address, &path, "1", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")).0, 403, "another signature");
    assert_eq!(press(&address, &path, "1", Some("")).0, 403, "no signature");
    let huge = "x".repeat(20_000);
    assert_eq!(http("POST", &address, &path, &[], &huge).unwrap().0, 413, "a large body");
    let (status, script) = press(&address, &path, "7", None);
    assert!(status == 200 && script.contains("not understood") && script.contains("<Gather"), "{script}");
    assert!(alert(&address)["acknowledged"].is_null(), "{}", alert(&address));
    let (status, script) = press(&address, &path, "1", None);
    assert!(status == 200 && script.contains(">Acknowledged. Thank you.<"), "{script}");
    assert_eq!(alert(&address)["acknowledged"]["by"], TO);
    assert_eq!(alert(&address)["acknowledged"]["via"], "ops/twilio_call/0");
    assert!(press(&address, &path, "1", None).1.contains("Acknowledged"), "said again it changes nothing");

    // Durable, and shown everywhere.
    running.kill();
    let mut running = Running::start(dir.path(), &["run"]);
    let address = ready_address(&dir.path().join("data"));
    assert_eq!(alert(&address)["acknowledged"]["by"], TO);
    let id = alert(&address)["id"].as_str().unwrap().to_owned();
    let explained = String::from_utf8(tidemark(dir.path(), &["explain", &id]).stdout).unwrap();
    assert!(explained.contains(&format!("by {TO} (ops/twilio_call/0) as P1")), "{explained}");
    let again = tidemark(dir.path(), &["alerts", "ack", &id, "--by", "lena"]);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && said.contains("was acknowledged before"), "{said}");
    let page = get(&address, &format!("/alerts/{id}")).unwrap();
    assert!(page.contains("Acknowledged by") && page.contains(TO), "{page}");

    let told = (twilio.of("Messages").len(), twilio.of("Calls").len());
    level::set(dir.path(), 100);
    let body = |taken: &Taken| taken.get("Body").unwrap_or_default().to_owned();
    wait_for("the SMS of the recovery", || {
        twilio.of("Messages").iter().map(body).find(|b| b.contains("[Resolved]"))
    });
    wait_for("the call of the recovery", || (twilio.of("Calls").len() > told.1).then_some(()));
    assert_eq!(
        (twilio.of("Messages").len(), twilio.of("Calls").len()),
        (told.0 + 1, told.1 + 1),
        "no repeat after it"
    );
    let (_, script) = press(&address, &path, "1", None);
    assert!(script.contains("already resolved"), "{script}");
    let refused = tidemark(dir.path(), &["alerts", "ack", &id]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("is already resolved"), "{said}");

    let metrics = get(&address, "/metrics").unwrap();
    assert!(metrics.contains("tidemark_notifier_parts_total{channel=\"twilio_sms\"}"), "{metrics}");
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());
    let shown = format!("{metrics}{}{explained}{page}", running.said());
    assert!(!shown.contains(TOKEN), "the token is shown");
    assert!(
        !running.said().contains(TO) && !metrics.contains(TO),
        "numbers stay out of logs: {}",
        running.said()
    );
}

/// The head and body of an answer, as they came.
fn raw(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let asked = format!("GET {path} HTTP/1.1\r\nhost: tidemark.test\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn links_lead_to_the_console_and_work_though_another_process_notifies() {
    let (dir, twilio) = (tempfile::tempdir().unwrap(), FakeTwilio::start());
    level::create(dir.path(), 3);
    configure(dir.path(), &twilio);
    // It starts before there is a notifier, and before the notifier's database.
    let console = Running::start(dir.path(), &["run", "--role", "store,console"]);
    let address = ready_address(&dir.path().join("data"));
    let (status, why) = press(&address, "/hooks/twilio/key/msg.1.00", "1", None);
    assert!(status == 503 && why.contains("no process that notifies runs"), "{why}");
    assert_eq!(http("GET", &address, "/api/v1/alerts", &[], "").unwrap().0, 503);
    assert!(get(&address, "/api/v1/console/overview").is_some(), "the page shows no alert");

    let notifying = ["run", "--role", "collector,detector,notifier"];
    let mut notifier = Running::start(dir.path(), &notifying);
    let path = action(&wait_for("the call", || twilio.of("Calls").first().cloned()));
    assert_eq!(press(&address, &path.replace("msg_", "msg-"), "1", None).0, 403, "another link");
    assert_eq!(press(&address, &path, "1", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")).0, 403, "another signature");
    assert_eq!(http("POST", &address, &path, &[], &"x".repeat(20_000)).unwrap().0, 413, "a large body");
    assert!(alert(&address)["acknowledged"].is_null(), "{}", alert(&address));
    let link = path.replace("/hooks/twilio/key/", "/ack/");
    let page = raw(&address, &link);
    for part in
        ["HTTP/1.1 200", "text/html", "default-src 'none'", "no-store", "no-referrer", "<button>Acknowledge"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (status, script) = press(&address, &path, "1", None);
    assert!(status == 200 && script.contains(">Acknowledged. Thank you.<"), "{script}");
    assert_eq!(alert(&address)["acknowledged"]["by"], TO);
    let (status, page) = http("POST", &address, &link, &[], "").unwrap();
    assert!(status == 200 && page.contains("Acknowledged. Thank you."), "{page}");
    let id = alert(&address)["id"].as_str().unwrap().to_owned();
    let again = String::from_utf8(tidemark(dir.path(), &["alerts", "ack", &id]).stdout).unwrap();
    assert!(again.contains("was acknowledged before"), "{again}");

    let acknowledge = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        let path = format!("/api/v1/alerts/{id}/ack");
        http("POST", &address, &path, &headers, "{\"by\": \"lena\", \"via\": \"\"}").unwrap()
    };
    let note = std::fs::read(dir.path().join("data/process.json")).unwrap();
    let note: Value = serde_json::from_slice(&note).unwrap();
    let token = note["token"].as_str().unwrap();
    assert_eq!(acknowledge("guessed").0, 401);
    let (status, answer) = acknowledge(token);
    assert!(status == 200 && answer.contains("already_acknowledged"), "{answer}");

    notifier.kill();
    assert_eq!(press(&address, &path, "1", None).0, 503);
    let (status, answer) = acknowledge(token);
    assert!(status == 503 && answer.contains("\"error\":\"no process that notifies runs"), "{answer}");
    let _again = Running::start(dir.path(), &notifying);
    wait_for("links to work again", || (raw(&address, &link).starts_with("HTTP/1.1 200")).then_some(()));
    let said = console.said();
    assert_eq!(said.matches("no alerts can be read until").count(), 1, "{said}");
    assert!(!said.contains(path.rsplit('.').next().unwrap()), "a link is in the log: {said}");
}

#[test]
fn a_kill_while_the_provider_is_silent_sends_nothing_twice() {
    let (dir, twilio) = (tempfile::tempdir().unwrap(), FakeTwilio::start());
    level::create(dir.path(), 3);
    configure(dir.path(), &twilio);
    twilio.next(&[Mood::SilentAfterTaking, Mood::SilentAfterTaking]);
    let mut running = Running::start(dir.path(), &["run"]);
    wait_for("both taken", || (twilio.taken().len() == 2).then_some(()));
    running.kill();
    let running = Running::start(dir.path(), &["run"]);
    let address = ready_address(&dir.path().join("data"));
    let id = wait_for("the alert", || alert(&address)["id"].as_str().map(str::to_owned));
    let done = tidemark(dir.path(), &["alerts", "ack", &id, "--by", "lena"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let states = || -> Option<Vec<(String, String)>> {
        let detail: Value = serde_json::from_str(&get(&address, &format!("/api/v1/alerts/{id}"))?).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut states: Vec<_> = detail["deliveries"]
            .as_array()?
            .iter()
            .map(|one| (text(&one["channel"]), text(&one["state"]) + " " + &text(&one["detail"])))
            .collect();
        states.sort();
        Some(states)
    };
    wait_for("an SMS that was found and a call that was dropped", || {
        let states = states()?;
        let [(_, call), (_, sms)] = &states[..] else { return None };
        (sms.contains("found at the provider") && call.starts_with("suppressed")).then_some(())
    });
    assert_eq!((twilio.of("Messages").len(), twilio.of("Calls").len()), (1, 1), "{:?}", twilio.taken());
    drop(running);
}
