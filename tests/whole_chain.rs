//! The whole chain on real components: PostgreSQL, MariaDB, Elasticsearch and an HTTP API, two InfluxDB of different
//! versions, mail, webhook, SMS and telephone. One replica is stopped and the collector killed in the middle.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use components::Component;
use model::SeriesKey;
use support::fake_api::FakeApi;
use support::fake_smtp::FakeSmtp;
use support::fake_twilio::{ACCOUNT, FROM, FakeTwilio, TOKEN};
use support::fake_webhook::{FakeWebhook, Received, SECRET};
use support::influx::{Fields, Place, points};
use support::ledger::{Ledger, read_log};
use support::{Running, http, ready_address, tidemark, wait_for, wait_for_within, write};

/// How far ahead of now the business has its rows: longer than the test lasts.
const AHEAD_SECS: i64 = 900;

/// Rows of each channel in each second.
const CHANNELS: [(&str, i64); 2] = [("app", 10), ("web", 8)];

/// What a replica holds of what was sampled and judged.
const MEASUREMENTS: [&str; 5] = ["sample", "sample_revision", "verdict", "verdict_revision", "alert"];

/// Everything outside of Tidemark.
struct World {
    postgres: Component,
    mariadb: Component,
    search: Component,
    first: Component,
    second: Component,
    api: FakeApi,
    smtp: FakeSmtp,
    webhook: FakeWebhook,
    twilio: FakeTwilio,
}

impl World {
    fn start() -> Self {
        let names = ["postgres", "mariadb", "elasticsearch8", "influxdb1", "influxdb2"];
        let starting = names.map(|name| std::thread::spawn(move || Component::start(name)));
        let [postgres, mariadb, search, first, second] = starting.map(|thread| thread.join().unwrap());
        let (smtp, webhook, twilio) = (FakeSmtp::start(), FakeWebhook::start(), FakeTwilio::start());
        let api = FakeApi::start(
            r#"{"rows": [{"channel": "app", "value": 12.5}, {"channel": "web", "value": 7}]}"#,
        );
        Self { postgres, mariadb, search, first, second, api, smtp, webhook, twilio }
    }

    fn configure(&self, dir: &Path) {
        write(dir, "twilio-token", TOKEN);
        let account = format!(
            "{{to: ['+8613800138000'], from: '{FROM}', account_sid: {ACCOUNT}, auth_token_file: twilio-token, url: '{}'}}",
            self.twilio.url()
        );
        let text = format!(
            "version: 1
data_dir: data
http: {{listen: '127.0.0.1:0', external_url: 'http://tidemark.test'}}
storage:
  replicas:
    - influxdb: {{name: first, url: 'http://{first}', username: admin, password: tidemark-test}}
    - influxdb_v2: {{name: second, url: 'http://{second}', token: tidemark-test-token}}
sources:
  shop: {{postgres: {{host: 127.0.0.1, port: {postgres}, database: postgres, user: postgres, tls: {{mode: disable}}}}}}
  accounts: {{mysql: {{host: 127.0.0.1, port: {mariadb}, database: accounts, user: root, password: tidemark, tls: {{mode: disable}}}}}}
  search: {{elasticsearch: {{url: 'http://{search}'}}}}
  bank: {{http: {{url: '{bank}'}}}}
metrics:
  - {{name: orders, title: Orders, source: shop, query: {{sql: \"{sql} orders {of_window}\"}},
     threshold: {{below: 5}}, severity: P0, {common}}}
  - {{name: logins, source: accounts, query: {{sql: \"{sql} logins {of_window}\"}}, {common}}}
  - {{name: applications, source: search, query: {{elasticsearch: {{index: applications, by: [channel]}}}}, values: [count], {common}}}
  - {{name: repayments, source: bank, query: {{http: {{path: /repayments, params: {{from: '{{{{ start }}}}'}}, json: {{rows: '$.rows[*]'}}}}}}, {common}}}
receivers:
  - name: ops
    channels:
      - email: {{to: [ops@example.com], host: 127.0.0.1, port: {smtp}}}
      - webhook: {{url: '{hook}', secret: {SECRET}}}
      - twilio_sms: {account}
      - twilio_call: {account}
route: {{receiver: ops, group_by: [metric], group_wait: 1s, group_interval: 1s, repeat_interval: 4h}}
",
            first = self.first.address(),
            second = self.second.address(),
            postgres = self.postgres.port(),
            mariadb = self.mariadb.port(),
            search = self.search.address(),
            bank = self.api.url(),
            smtp = self.smtp.port,
            hook = self.webhook.url(),
            sql = "SELECT channel, count(*) AS value FROM",
            of_window = "WHERE created_at >= :start AND created_at < :end GROUP BY channel",
            common = "labels: [channel], interval: 2s, delay: 1s, timeout: 1900ms, missing: zero, for: {m: 1, n: 1}, no_data: ignore, owner: tests",
        );
        write(dir, "tidemark.yaml", &text);
    }

    /// The rows and documents of the past minute and of what is ahead.
    fn fill(&self) {
        let (from, until) = (now_secs() - 60, now_secs() + AHEAD_SECS);
        self.psql("CREATE TABLE orders (created_at timestamptz NOT NULL, channel text NOT NULL)");
        let create = "CREATE DATABASE accounts; CREATE TABLE accounts.logins (created_at datetime(3) NOT NULL, channel varchar(9) NOT NULL)";
        self.mariadb(create);
        for (channel, rows) in CHANNELS {
            self.sell(from, until, channel, rows);
            self.mariadb(&format!(
                "USE accounts; INSERT INTO logins SELECT timestamp'1970-01-01 00:00:00.5' + INTERVAL ({from} + s.seq) SECOND, '{channel}' \
                 FROM seq_0_to_{} s, seq_1_to_{rows}",
                until - from
            ));
        }
        self.psql("CREATE INDEX ON orders (created_at)");
        self.mariadb("CREATE INDEX of_time ON accounts.logins (created_at)");
        let mapping = r#"{"mappings": {"properties": {"@timestamp": {"type": "date"}, "channel": {"type": "keyword"}}}}"#;
        self.search("PUT", "/applications", mapping);
        let document = |(second, (channel, _)): (i64, (&str, i64))| {
            format!(
                "{{\"index\":{{}}}}\n{{\"@timestamp\": {}, \"channel\": \"{channel}\"}}\n",
                second * 1_000 + 500
            )
        };
        let documents = (from..until).flat_map(|second| CHANNELS.map(|channel| document((second, channel))));
        self.search("POST", "/applications/_bulk?refresh=true", &documents.collect::<String>());
    }

    fn sell(&self, from: i64, until: i64, channel: &str, rows: i64) {
        self.psql(&format!(
            "INSERT INTO orders SELECT to_timestamp(s + 0.5), '{channel}' FROM generate_series({from}, {until}) s, generate_series(1, {rows})"
        ));
    }

    /// From five seconds ahead on the application sells nothing.
    fn drop_orders(&self) {
        let from = now_secs() + 5;
        self.psql(&format!(
            "DELETE FROM orders WHERE channel = 'app' AND created_at >= to_timestamp({from})"
        ));
    }

    /// From five seconds ahead on it sells again.
    fn restore_orders(&self) {
        let (channel, rows) = CHANNELS[0];
        self.sell(now_secs() + 5, now_secs() + AHEAD_SECS, channel, rows);
    }

    fn psql(&self, sql: &str) {
        let port = self.postgres.port().to_string();
        run(
            "psql",
            &["-qX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-c", sql],
        );
    }

    fn mariadb(&self, sql: &str) {
        let port = self.mariadb.port().to_string();
        run(
            "mariadb",
            &[
                "--no-defaults",
                "--protocol=tcp",
                "-h",
                "127.0.0.1",
                "-P",
                &port,
                "-uroot",
                "-ptidemark",
                "-e",
                sql,
            ],
        );
    }

    fn search(&self, method: &str, path: &str, body: &str) {
        let headers = [(
            "content-type",
            if path.contains("_bulk") { "application/x-ndjson" } else { "application/json" },
        )];
        let (status, answer) = http(method, &self.search.address(), path, &headers, body).unwrap();
        assert!(status < 300 && !answer.contains("\"errors\":true"), "{path}: {status}: {answer}");
    }

    /// Messages taken so far: mails, webhooks, SMS, calls.
    fn told(&self) -> [usize; 4] {
        let twilio = |list| self.twilio.of(list).len();
        [self.smtp.ledger().len(), self.hooks().len(), twilio("Messages"), twilio("Calls")]
    }

    /// Webhooks without what `check --online` asks.
    fn hooks(&self) -> Vec<Received> {
        self.webhook.ledger().into_iter().filter(|hook| !hook.id.is_empty()).collect()
    }
}

fn run(program: &str, args: &[&str]) {
    let ran = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[expect(clippy::disallowed_methods, reason = "the rows of the real databases are of real time")]
fn now_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// The samples a replica holds: series and window start to value.
fn samples_of(points: &BTreeMap<Place, Fields>) -> BTreeMap<(String, i64), String> {
    let samples = points.iter().filter(|((measurement, _, _), _)| measurement == "sample");
    let series = |tags: &BTreeMap<String, String>| {
        tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    samples.map(|((_, tags, time), fields)| ((series(tags), *time), fields["value"].clone())).collect()
}

/// The same of the log.
fn samples_of_log(ledger: &Ledger) -> BTreeMap<(String, i64), String> {
    let series = |key: &SeriesKey| {
        let labels = key.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let mut tags: Vec<_> = labels.chain([("metric".to_owned(), key.metric.to_string())]).collect();
        tags.sort();
        tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    let mut all = BTreeMap::new();
    for tick in &ledger.ticks {
        for sample in tick.samples() {
            assert_eq!(sample.revision, 0, "nothing was revised: {sample:?}");
            let before =
                all.insert((series(&sample.series), tick.window.start.as_nanos()), sample.value.to_string());
            assert!(before.is_none(), "sampled twice: {} at {}", sample.series, tick.window);
        }
    }
    all
}

#[test]
fn a_drop_in_a_real_database_reaches_every_phone_while_a_replica_is_down_and_the_collector_is_killed() {
    let (dir, mut world) = (tempfile::tempdir().unwrap(), World::start());
    let dir = dir.path();
    world.fill();
    world.configure(dir);
    let data = dir.join("data");
    assert_commands_see_it(dir);

    let mut rest = Running::start(dir, &["run", "--role", "detector,notifier,store,console"]);
    let mut collector = Running::start(dir, &["run", "--role", "collector", "--listen", "127.0.0.1:0"]);
    let address = ready_address(&data);
    let all_sampled = |server: &Component| {
        let samples = samples_of(&points(server, &["sample"])?);
        let metrics = ["orders", "logins", "applications", "repayments"];
        let has =
            |metric: &&str| samples.keys().any(|(series, _)| series.contains(&format!("metric={metric}")));
        metrics.iter().all(has).then_some(())
    };
    for server in [&world.first, &world.second] {
        wait_for("samples of all sources in both", || all_sampled(server));
    }

    world.second.stop();
    world.drop_orders();
    wait_for("the drop told once by every channel", || (world.told() == [1; 4]).then_some(()));
    world.restore_orders();
    collector.kill();
    let mut collector = Running::start(dir, &["run", "--role", "collector", "--listen", "127.0.0.1:0"]);
    wait_for("the recovery told once by every channel", || {
        let told = world.told();
        assert!(told.iter().all(|told| *told <= 2), "{told:?}\n{}", rest.said());
        (told == [2; 4]).then_some(())
    });
    assert_messages(&world);
    world.second.start_again();

    collector.signal("TERM");
    assert!(collector.wait().success(), "{}", collector.said());
    let expected = samples_of_log(&read_log(&data));
    let whole = |server: &Component| {
        let points = points(server, &MEASUREMENTS)?;
        let verdicts = points.keys().filter(|(measurement, _, _)| measurement == "verdict").count();
        (samples_of(&points) == expected && verdicts >= expected.len()).then_some(points)
    };
    let first = wait_for("every sample of the log in the first", || whole(&world.first));
    let deadline = Duration::from_secs(120);
    wait_for_within(deadline, "the second, caught up: the same points", || {
        (points(&world.second, &MEASUREMENTS)? == first).then_some(())
    });

    let metrics = support::get(&address, "/metrics").unwrap();
    assert!(metrics.contains("replica=\"second\""), "{metrics}");
    rest.signal("TERM");
    assert!(rest.wait().success(), "{}", rest.said());
    assert_eq!(world.told(), [2; 4], "nothing after the recovery");
    let ledger = read_log(&data);
    assert_eq!(ledger.assert_ticks_are_whole(), 4);
    assert!(world.api.asked() > 0);
}

/// The commands of somebody who looks before anything runs.
fn assert_commands_see_it(dir: &Path) {
    let checked = tidemark(dir, &["check", "--online"]);
    let said =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    for (metric, row) in [("orders", "20"), ("logins", "20"), ("applications", "2"), ("repayments", "12.5")] {
        let sampled = tidemark(dir, &["sample", metric, "--once", "-o", "json"]);
        let said = String::from_utf8_lossy(&sampled.stdout).into_owned();
        assert!(
            sampled.status.success() && said.contains("app") && said.contains(row),
            "{metric}: {sampled:?}"
        );
    }
}

/// Each channel told the drop and then its end.
fn assert_messages(world: &World) {
    let mails = world.smtp.ledger();
    let subjects: Vec<_> = mails.iter().map(|mail| mail.header("subject").unwrap()).collect();
    assert!(subjects[0].contains("Orders") && subjects[0].contains('0'), "{subjects:?}");
    let hooks = world.hooks();
    let states: Vec<_> = hooks.iter().map(|hook| hook.body["status"].clone()).collect();
    assert!(hooks.iter().all(|hook| hook.signed) && states == ["firing", "resolved"], "{hooks:?}");
    let bodies: Vec<_> =
        world.twilio.of("Messages").iter().map(|sms| sms.get("Body").unwrap().to_owned()).collect();
    assert!(bodies[0].contains("Orders") && bodies[1].contains("[Resolved]"), "{bodies:?}");
}
