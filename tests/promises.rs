//! Promises 2 and 6 with the real binary. The others stand where their means are: 1 in `kill.rs`, 3 in `replicas.rs`, 4
//! in `end_to_end.rs`, 5 beside `backtest`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use model::{MissedReason, Tick, TickOutcome};
use notifier::view::{AlertDetail, DeliveryState};
use support::fake_smtp::FakeSmtp;
use support::fake_webhook::FakeWebhook;
use support::ledger::read_log;
use support::{Running, get, level, ready_address, wait_for, write};

/// The metrics of a page: how many ticks of a sampler had this outcome.
fn ticks(page: &str, sampler: &str, outcome: &str) -> u64 {
    let of = |line: &&str| {
        line.starts_with("tidemark_sampler_ticks_total")
            && line.contains(&format!("\"{sampler}\""))
            && line.contains(&format!("\"{outcome}\""))
    };
    page.lines().find(of).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn promise_2_a_hung_source_costs_itself_its_ticks_and_nobody_else_anything() {
    let (dir, hung) = (tempfile::tempdir().unwrap(), FakeWebhook::start());
    hung.fall_silent(true);
    level::create(dir.path(), 100);
    let endless =
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) AS value FROM c";
    let text = format!(
        "{}  hung: {{http: {{url: '{}'}}}}\n  busy: {{sqlite: {{path: level.db}}}}\nmetrics:\n{}  - {{name: silent, source: hung, query: {{http: {{json: {{rows: '$'}}}}}}, interval: 1s, delay: 0s, timeout: 500ms}}\n  - {{name: endless, source: busy, query: {{sql: '{endless}'}}, interval: 2s, delay: 0s, timeout: 500ms}}\n",
        level::head(),
        hung.url(),
        // Asks for its window, so that a machine that is held up costs no tick.
        level::metric("orders", "SELECT n + 0 * :start_s AS value FROM level"),
    );
    write(dir.path(), "tidemark.yaml", &text);
    let mut running = Running::start(dir.path(), &["run"]);
    let address = ready_address(&dir.path().join("data"));
    wait_for("ticks of all three", || {
        let page = get(&address, "/metrics")?;
        let missed = |sampler| ticks(&page, sampler, "missed");
        (ticks(&page, "orders", "rows") >= 10 && missed("silent") >= 5 && missed("endless") >= 3)
            .then_some(())
    });
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());

    let ledger = read_log(&dir.path().join("data"));
    assert_eq!(ledger.assert_ticks_are_whole(), 3);
    let of = |sampler: &'static str| ledger.ticks.iter().filter(move |tick| &*tick.sampler == sampler);
    assert!(of("orders").all(Tick::answered), "{:?}", of("orders").find(|tick| !tick.answered()));
    let own = |tick: &Tick| matches!(tick.outcome, TickOutcome::Missed { reason: MissedReason::Timeout, .. });
    for sampler in ["silent", "endless"] {
        assert!(of(sampler).all(own), "{:?}", of(sampler).find(|tick| !own(tick)));
    }
}

/// `orders` is told, `returns` is muted at any time of day.
fn configure(dir: &Path, smtp: &FakeSmtp, webhook: &FakeWebhook) {
    let text = format!(
        "{}metrics:\n{}{}{}  routes:\n    - matchers: ['metric=\"returns\"']\n      mute_time_intervals: [always]\n\
         time_intervals:\n  - {{name: always, time_intervals: [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]}}\n",
        level::head(),
        level::metric("orders", "SELECT n AS value FROM level"),
        level::metric("returns", "SELECT n AS value FROM level"),
        block(&level::receivers(smtp, webhook)),
    );
    write(dir, "tidemark.yaml", &text);
}

/// The route of [`level::receivers`] as a block, so that others can stand below it.
fn block(receivers: &str) -> String {
    let (above, route) = receivers.split_once("route: {").unwrap();
    let keys = route.trim_end().trim_end_matches('}').replace("group_by: [metric]", "group_by: ['metric']");
    format!("{above}route:\n  {}\n", keys.split(", ").collect::<Vec<_>>().join("\n  "))
}

#[test]
fn promise_6_nobody_is_told_twice_and_nobody_is_forgotten() {
    let (dir, smtp, webhook) = (tempfile::tempdir().unwrap(), FakeSmtp::start(), FakeWebhook::start());
    let data = dir.path().join("data");
    level::create(dir.path(), 100);
    configure(dir.path(), &smtp, &webhook);
    // One channel is broken while it fires; the process is killed before it can be told.
    webhook.answer(503);
    let mut running = Running::start(dir.path(), &["run"]);
    ready_address(&data);
    level::set(dir.path(), 3);
    wait_for("the mail", || smtp.ledger().first().cloned());
    wait_for("a refused webhook", || webhook.ledger().first().cloned());
    running.kill();
    webhook.answer(204);
    let refused = webhook.ledger().len();
    let mut running = Running::start(dir.path(), &["run"]);
    wait_for("the webhook after all", || webhook.ledger().get(refused).cloned());
    level::set(dir.path(), 100);
    let resolved = |subject: Option<String>| subject.is_some_and(|subject| subject.contains("Resolved"));
    wait_for("the mail of the recovery", || {
        smtp.ledger().into_iter().find(|mail| resolved(mail.header("subject")))
    });
    wait_for("the webhook of the recovery", || {
        webhook.ledger().iter().find(|hook| hook.body["status"] == "resolved").cloned()
    });
    running.signal("TERM");
    assert!(running.wait().success(), "{}", running.said());

    let taken: Vec<_> = webhook.ledger().split_off(refused);
    // What was on its way at the kill may come again, as the same message.
    let mails: BTreeSet<_> = smtp.ledger().iter().map(|mail| mail.header("message-id")).collect();
    assert_eq!((mails.len(), taken.len()), (2, 2), "told twice: {mails:?} {taken:?}");
    let reader = notifier::open_read_only(&data.join("notifier.db")).unwrap();
    assert_eq!(reader.unaccounted().unwrap(), Vec::new());
    let fired = read_log(&data).transitions;
    let detail = |metric: &str| -> AlertDetail {
        let transition = fired.iter().find(|transition| &*transition.series.metric == metric).unwrap();
        reader.alert(transition.id).unwrap().unwrap()
    };
    let ends: Vec<_> = detail("orders").deliveries.iter().map(|delivery| delivery.state).collect();
    assert!(
        ends.iter().all(|end| matches!(end, DeliveryState::Delivered | DeliveryState::Accepted)),
        "{ends:?}"
    );
    assert_eq!(ends.len(), 4, "two channels, the drop and its end");
    let muted = detail("returns");
    assert!(muted.deliveries.is_empty());
    let reasons = format!("{:?}", muted.suppressions);
    assert!(reasons.contains("always"), "the reason names the interval: {reasons}");
}
