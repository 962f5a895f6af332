//! The whole process beside a real InfluxDB, asked what Grafana asks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use components::Component;
use components::grafana::{Dashboard, Mode, Target, View};
use console::Backend as _;
use model::{
    AlertId, AlertInfo, AlertTransition, Body, Labels, ManualClock, NewEntry, Origin, Reason, ReasonCode,
    SampleLog, SeriesKey, Severity, Timestamp, Transition, Window,
};
use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::cli::Role;
use crate::config::Config;
use crate::runtime::console_backend::ConsoleBackend;
use crate::runtime::{Running, RuntimeOptions, roles, start};

const BEGAN: Timestamp = Timestamp::from_secs(1_700_002_800);

/// A shop whose table is gone, two replicas, and a receiver that takes nothing.
fn config(folder: &Path, influx: &Component, hook: &str) -> Config {
    let (address, org, token) = (influx.address(), influx.detail("org"), influx.detail("token"));
    let text = format!(
        r#"
version: 1
data_dir: data
http: {{listen: "127.0.0.1:0"}}
storage:
  replicas:
    - embedded: {{}}
    - influxdb_v2: {{name: grafana, url: "http://{address}", org: "{org}", token: "{token}"}}
sources: {{shop: {{sqlite: {{path: shop.db}}}}}}
metrics:
  - {{name: orders, source: shop, interval: 1m, query: {{sql: "SELECT count(*) AS value FROM gone WHERE at >= :start_s"}}}}
receivers: [{{name: ops, channels: [{{webhook: {{url: "{hook}", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}}}]}}]
route: {{receiver: ops}}
"#
    );
    std::fs::write(folder.join("shop.db"), "").unwrap();
    std::fs::write(folder.join("tidemark.yaml"), text).unwrap();
    Config::load(&folder.join("tidemark.yaml")).unwrap_or_else(|found| panic!("{:?}", found.lines()))
}

fn firing() -> NewEntry {
    let series = SeriesKey::new("orders", Labels::default());
    let alert = AlertTransition {
        id: AlertId { fingerprint: series.fingerprint(), starts_at: BEGAN },
        labels: Labels::new([("alertname", "orders"), ("metric", "orders")]),
        series,
        transition: Transition::Firing,
        severity: Severity::P0,
        window: Window::new(BEGAN, Duration::from_secs(60)),
        origin: Origin::Live,
        value: Some(1.0),
        expected: Some(10.0),
        lower: Some(8.0),
        upper: Some(12.0),
        deviation_pct: Some(-90.0),
        score: 4.5,
        info: AlertInfo::default(),
        reason: Arc::new(Reason { code: ReasonCode::BelowBand, ..Reason::default() }),
        config_revision: 1,
    };
    let body = Body::Alert(Box::new(alert));
    NewEntry { key: "orders".into(), producer: "test".into(), sequence: 1, source_position: Vec::new(), body }
}

/// The rows a panel shows, each as columns and values.
async fn rows(influx: &Component, target: &Target) -> Vec<Value> {
    let (day, began) = (86_400_000, BEGAN.as_millis());
    let query = target.expand(&View::new(began - day, began + day, &[]), Mode::Backend);
    let url = format!("http://{}/query", influx.address());
    let url = url::Url::parse_with_params(&url, [("db", "tidemark"), ("q", &*query)]).unwrap();
    let request = reqwest::Client::new().get(url);
    let request = request.header("Authorization", format!("Token {}", influx.detail("token")));
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    assert!(answer["results"][0]["error"].is_null(), "{query}: {answer}");
    answer["results"][0]["series"].as_array().cloned().unwrap_or_default()
}

/// Lets time pass, a second for ten milliseconds, until every panel shows something and the last delivery has failed.
async fn filled(running: &Running, influx: &Component, clock: &ManualClock, targets: &[Target]) {
    let failed = |series: &[Value]| series[0]["values"][0][1].as_f64().is_some_and(|failed| failed > 0.0);
    loop {
        for _ in 0..100 {
            clock.advance(Duration::from_millis(200));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut empty = 0;
        for target in targets {
            let series = rows(influx, target).await;
            let told = target.title.starts_with("Deliveries that failed");
            empty += usize::from(series.is_empty() || told && !failed(&series));
        }
        assert!(running.parts.tasks.health().values().all(|task| task.failures == 0));
        if empty == 0 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_panel_of_tidemarks_own_health_is_empty() {
    let hook = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(400)).mount(&hook).await;
    let (influx, folder) = (Component::start("influxdb2"), tempfile::tempdir().unwrap());
    let clock = ManualClock::new(BEGAN);
    let options = RuntimeOptions::new(Arc::new(clock.clone()));
    let running = start(config(folder.path(), &influx, &hook.uri()), options).await.unwrap();
    let detector = roles::partition_of(&running.logs, Role::Detector).unwrap();
    detector.append(vec![firing()]).await.unwrap();

    let targets = Dashboard::read("overview").targets();
    let targets: Vec<_> = targets.into_iter().filter(|target| target.measurement() == "pipeline").collect();
    assert_eq!(targets.len(), 7);
    let waiting = filled(&running, &influx, &clock, &targets);
    tokio::time::timeout(Duration::from_secs(180), waiting).await.expect("every panel is filled");

    let lag = targets.iter().find(|target| target.title.starts_with("Lag of every reader")).unwrap();
    let readers = rows(&influx, lag).await;
    let readers: Vec<_> = readers.iter().map(|one| one["tags"]["component"].as_str().unwrap()).collect();
    assert_eq!(readers, ["detector", "notifier", "replica/embedded", "replica/grafana"]);
    let shown = ConsoleBackend::new(Arc::clone(&running.parts)).overview().await.unwrap().health;
    let (sampler, channel) = (&shown.samplers[0], &shown.channels[0]);
    assert_eq!((channel.name.as_str(), channel.delivered, channel.failed), ("ops/webhook/0", 0, 1));
    assert!(channel.error.contains("400"), "{}", channel.error);
    assert!(sampler.missed > 0 && sampler.missed <= sampler.failures, "{sampler:?}");
    for (role, producer) in [
        (Role::Collector, "log/log/health"),
        (Role::Detector, "consumer/detector/health"),
        (Role::Store, "consumer/replica/grafana/health"),
        (Role::Notifier, "channel/ops/webhook/0/health"),
    ] {
        let entries = of_partition(&running, role);
        assert!(entries.iter().any(|own| own == producer), "{role:?}: {entries:?}");
    }
    let stopping = running.stop();
    tokio::select! {
        () = stopping => {}
        () = async { loop { clock.advance(Duration::from_secs(1)); tokio::task::yield_now().await } } => {}
    }
}

/// Producers of the readings in a role's partition.
fn of_partition(running: &Running, role: Role) -> Vec<String> {
    let (_, name) = roles::PARTITIONS.into_iter().find(|(own, _)| *own == role).unwrap();
    let topics = model::Topics::of(&[model::Topic::Pipeline]);
    let limit = model::ReadLimit::default();
    let read = running.parts.log.read(&model::Positions::default(), topics, limit).unwrap();
    let mine = read.entries.iter().filter(|entry| &*entry.position.partition == name);
    mine.map(|entry| entry.producer.to_string()).collect()
}
