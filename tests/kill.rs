//! `kill -9` at any moment loses no acknowledged sample and no alert, judges nothing twice, and sends nothing twice
//! beyond what was in flight: the real binary is killed at random points under load, then every ledger is compared.
//!
//! `TIDEMARK_KILLS` sets how often (5; `.ci/full` uses 50), `TIDEMARK_SEED` the moments.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use model::{SeriesKey, Timestamp, Transition};
use notifier::view::AlertState;
use rand::{RngExt, SeedableRng};
use support::fake_smtp::FakeSmtp;
use support::fake_webhook::FakeWebhook;
use support::ledger::{Ledger, read_log};
use support::{Running, level, ready_address, wait_for, write};

/// Samplers, each with an alert that fires and resolves every twenty seconds.
const SAMPLERS: i64 = 20;

fn configure(dir: &Path, smtp: &FakeSmtp, webhook: &FakeWebhook) {
    let metrics: String = (0..SAMPLERS)
        .map(|i| level::metric(&format!("m{i}"), &format!("SELECT (:start_s + {i}) % 20 AS value")))
        .collect();
    let text = format!("{}metrics:\n{metrics}{}", level::head(), level::receivers(smtp, webhook));
    write(dir, "tidemark.yaml", &text);
}

/// Nothing was judged twice: the verdicts of a window are numbered from 0 without a gap. Everything sampled was judged,
/// and every window of a tick has a verdict.
fn assert_judged_once(ledger: &Ledger) {
    let mut judged: BTreeMap<_, BTreeMap<u32, Option<f64>>> = BTreeMap::new();
    for verdict in &ledger.verdicts {
        let window = judged.entry((verdict.series.clone(), verdict.window.start)).or_default();
        let before = window.insert(verdict.revision, verdict.value);
        assert!(before.is_none(), "judged twice: {} at {}", verdict.series, verdict.window);
    }
    for ((series, start), verdicts) in &judged {
        let numbers: Vec<u32> = verdicts.keys().copied().collect();
        let expected: Vec<u32> = (0..verdicts.len() as u32).collect();
        assert_eq!(numbers, expected, "revisions of {series} at {start}");
    }
    for tick in &ledger.ticks {
        for sample in tick.samples() {
            let verdicts = judged.get(&(sample.series.clone(), tick.window.start));
            let said = verdicts.is_some_and(|verdicts| verdicts.values().any(|v| *v == Some(sample.value)));
            assert!(said, "never judged: {} at {}", sample.series, tick.window);
        }
        for (metric, window) in tick.metrics.iter().flat_map(|m| tick.windows().map(move |w| (m, w))) {
            let said =
                judged.keys().any(|(series, start)| series.metric == *metric && *start == window.start);
            assert!(said, "never judged: {metric} at {window}");
        }
    }
}

/// Each alert's transitions tell one life: firing once, resolved at most once and last.
fn assert_lives_are_whole(ledger: &Ledger) {
    let mut lives: BTreeMap<String, Vec<Transition>> = BTreeMap::new();
    for transition in &ledger.transitions {
        lives.entry(transition.id.to_string()).or_default().push(transition.transition);
    }
    for (id, life) in &lives {
        let count = |wanted| life.iter().filter(|have| **have == wanted).count();
        assert_eq!(count(Transition::Firing), 1, "{id}: {life:?}");
        assert!(count(Transition::Resolved) <= 1, "{id}: {life:?}");
    }
}

fn fired(ledger: &Ledger) -> BTreeMap<String, SeriesKey> {
    let firing = ledger.transitions.iter().filter(|t| t.transition == Transition::Firing);
    firing.map(|t| (t.id.to_string(), t.series.clone())).collect()
}

/// What the webhook was told: (alert, status) and the keys of the messages that told it.
fn told_by_hook(webhook: &FakeWebhook) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut told: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for hook in webhook.ledger() {
        assert!(hook.signed, "{hook:?}");
        for alert in hook.body["alerts"].as_array().into_iter().flatten() {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let what = (text(&alert["tidemark"]["id"]), text(&alert["status"]));
            told.entry(what).or_default().insert(hook.id.clone());
        }
    }
    told
}

/// Whether some mail told of the alert: each names it in its link.
fn told_by_mail(smtp: &FakeSmtp, id: &str) -> bool {
    smtp.ledger().iter().any(|mail| mail.data.replace("=\r\n", "").contains(id))
}

#[test]
fn promise_1_survives_kill_9_exactly_once_in_effect() {
    let kills: u32 = std::env::var("TIDEMARK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let seed: u64 = std::env::var("TIDEMARK_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    println!("{kills} kills from seed {seed}");
    let mut random = rand::rngs::SmallRng::seed_from_u64(seed);
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    level::create(dir.path(), 0);
    configure(dir.path(), &smtp, &webhook);
    let data = dir.path().join("data");

    for _ in 0..kills {
        let mut running = Running::start(dir.path(), &["run"]);
        // A moment after so many deliveries or log bytes: the points differ by what the process does just then.
        let (hooks, bytes) = (webhook.ledger().len(), log_bytes(&data));
        let (more_hooks, more_bytes) = (random.random_range(0..4), random.random_range(0..60_000));
        wait_for("work before the kill", || {
            assert!(running.is_running(), "{}", running.said());
            (webhook.ledger().len() >= hooks + more_hooks && log_bytes(&data) >= bytes + more_bytes)
                .then_some(())
        });
        running.kill();
    }

    let mut running = Running::start(dir.path(), &["run"]);
    ready_address(&data);
    let before = webhook.ledger().len();
    wait_for("the backlog to be told", || (webhook.ledger().len() >= before + 4).then_some(()));
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());

    let ledger = read_log(&data);
    assert_eq!(ledger.assert_ticks_are_whole(), SAMPLERS as usize);
    assert_judged_once(&ledger);
    assert_lives_are_whole(&ledger);
    assert_told(&ledger, &data, &webhook, &smtp);
}

/// An InfluxDB 1.x that is made ready like any other and then never answers a write.
fn store_that_hangs() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_until_written(stream));
        }
    });
    port
}

fn answer_until_written(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
            request.push_str(&line);
        }
        if request.contains("/write") {
            return std::io::copy(&mut reader, &mut std::io::sink()).ok().map(drop);
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        let body = r#"{"results":[{"statement_id":0}]}"#;
        let head = "HTTP/1.1 200 OK\r\nX-Influxdb-Version: 1.8.10\r\nContent-Type: application/json";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    }
}

/// The value of a line of `/metrics`.
fn metric(address: &str, name: &str) -> Option<f64> {
    let page = support::get(address, "/metrics")?;
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn a_stop_under_load_keeps_its_time_and_loses_nothing() {
    const STOP: Duration = Duration::from_secs(4);
    let dir = tempfile::tempdir().unwrap();
    level::create(dir.path(), 100);
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
                SELECT 'c' || i AS channel, (:start_s + i) % 20 AS value FROM n";
    let metric_of = |name: &str| {
        format!(
            "  - name: {name}\n    source: made\n    query: {{sql: \"{rows}\"}}\n    labels: [channel]\n    interval: 1s\n"
        )
    };
    let metrics: String = ["a", "b", "c", "d"].map(metric_of).concat();
    let replicas = format!(
        "storage: {{replicas: [{{embedded: {{}}}}, {{influxdb: {{url: 'http://127.0.0.1:{}'}}}}]}}",
        store_that_hangs()
    );
    let head = level::head();
    write(
        dir.path(),
        "tidemark.yaml",
        &format!("{head}{replicas}\nshutdown_timeout: 4s\nmetrics:\n{metrics}"),
    );
    let data = dir.path().join("data");

    // A backlog that takes the detector a while.
    let mut collector = Running::start(dir.path(), &["run", "--role", "collector"]);
    wait_for("a backlog", || (log_bytes(&data) > 3_000_000).then_some(()));
    collector.signal("TERM");
    assert!(collector.wait().success(), "{}", collector.said());

    let mut running = Running::start(dir.path(), &["run"]);
    let address = wait_for("its address", || {
        let note: serde_json::Value =
            serde_json::from_slice(&std::fs::read(data.join("process.json")).ok()?).ok()?;
        Some(note["address"].as_str()?.to_owned())
    });
    wait_for("the detector at work, and behind", || {
        let judged = metric(&address, "tidemark_detector_verdicts_total")?;
        // Ready is who has judged all that there was.
        (judged > 0.0 && support::get(&address, "/readyz").is_none()).then_some(())
    });
    running.signal("TERM");
    // Besides its time, what the log may take to close; and the machine may be busy with something else.
    let busy = Duration::from_secs(4);
    support::wait_for_within(STOP + Duration::from_secs(4) + busy, "the end of the process", || {
        (!running.is_running()).then_some(())
    });
    assert!(running.wait().success(), "{}", running.said());

    let mut detector = Running::start(dir.path(), &["run", "--role", "detector"]);
    let note = data.join("process-detector.json");
    let address = wait_for("the detector alone", || {
        let note: serde_json::Value = serde_json::from_slice(&std::fs::read(&note).ok()?).ok()?;
        Some(note["address"].as_str()?.to_owned())
    });
    support::wait_for_within(Duration::from_secs(180), "all is judged", || {
        support::get(&address, "/readyz").map(drop)
    });
    detector.signal("TERM");
    assert!(detector.wait().success(), "{}", detector.said());
    let ledger = read_log(&data);
    assert_eq!(ledger.assert_ticks_are_whole(), 4);
    assert_judged_once(&ledger);
}

/// Every alert that fired is told by every channel, or has a reason why not; none is told under two keys.
fn assert_told(ledger: &Ledger, data: &Path, webhook: &FakeWebhook, smtp: &FakeSmtp) {
    let reader = notifier::open_read_only(&data.join("notifier.db")).unwrap();
    assert_eq!(reader.unaccounted().unwrap(), Vec::new());
    let (told, fired) = (told_by_hook(webhook), fired(ledger));
    for ((id, status), keys) in &told {
        assert!(fired.contains_key(id), "told of {id}, which the log does not know");
        assert_eq!(
            keys.len(),
            1,
            "{id} {status} was told under several keys: {keys:?}\n{}",
            messages(webhook, id)
        );
    }
    let newest = ledger.transitions.iter().map(|transition| transition.window.end).max().unwrap();
    let mut by_both = 0;
    for (id, series) in &fired {
        if told.contains_key(&(id.clone(), "firing".to_owned())) && told_by_mail(smtp, id) {
            by_both += 1;
            continue;
        }
        let detail =
            reader.alert(id.parse().unwrap()).unwrap().unwrap_or_else(|| panic!("{series} {id} forgotten"));
        let accounted = !detail.suppressions.is_empty() || !detail.deliveries.is_empty();
        // What fired or ended just before the stop waits for its group (or it were unaccounted for); the next start tells.
        let just = |end: Timestamp| newest.since(end) < Duration::from_secs(20);
        let waits = detail.alert.state == AlertState::Firing || detail.alert.resolved_at.is_some_and(just);
        assert!(
            accounted || waits || detail.alert.suppressed_by.is_some(),
            "{series} {id} neither told nor suppressed: {detail:#?}"
        );
    }
    println!("{} alerts fired, {by_both} told by both channels, {} mails", fired.len(), smtp.ledger().len());
    assert!(by_both > 10, "hardly anything was told: the test shows nothing");
}

/// The messages that spoke of an alert, for a failed assertion.
fn messages(webhook: &FakeWebhook, id: &str) -> String {
    let all = webhook.ledger();
    let of = all.iter().filter(|hook| hook.body.to_string().contains(id));
    of.map(|hook| format!("{} {}\n", hook.id, hook.body)).collect()
}

fn log_bytes(data: &Path) -> usize {
    let folders = std::fs::read_dir(data.join("log")).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len() as usize).sum()
}
