use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::testing::MemoryLog;
use model::{Body, ManualClock, Timestamp};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{ApplyError, Collector, CollectorConfig};
use crate::sources::http::HttpQuery;
use crate::sources::sqlite::SqliteConfig;
use crate::testing::{shown, spec, until};
use crate::{CollectorMetrics, Query, SamplerHealth, SamplerSpec, Schedule, SourceConfig};

const MINUTE: Duration = Duration::from_secs(60);

struct Bench {
    clock: ManualClock,
    log: Arc<MemoryLog>,
    collector: Collector,
    registry: Registry,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-03-02T10:00:00Z").unwrap());
        let log = Arc::new(MemoryLog::new("collector"));
        let mut registry = Registry::default();
        let metrics = CollectorMetrics::register(&mut registry);
        let collector = Collector::start(Arc::clone(&log) as _, Arc::new(clock.clone()), metrics);
        let folder = TempDir::new().unwrap();
        rusqlite::Connection::open(folder.path().join("shop.db"))
            .unwrap()
            .execute_batch("CREATE TABLE orders (n); INSERT INTO orders VALUES (7);")
            .unwrap();
        Self { clock, log, collector, registry, folder }
    }

    fn apply(&self, samplers: Vec<SamplerSpec>) -> Result<(), ApplyError> {
        let sources = [("shop".to_owned(), sqlite(&self.folder.path().join("shop.db")))].into();
        self.collector.apply(CollectorConfig { sources, samplers })
    }

    /// Moves time and waits until every sampler has run the tick that came due.
    async fn advance_to_tick(&self, by: Duration) {
        let before = self.ticks();
        let samplers = self.collector.health().len();
        self.clock.advance(by);
        until("every sampler's entry", || self.ticks() == before + samplers).await;
        let now = model::Clock::domain_now(&self.clock);
        let waits =
            |health: &SamplerHealth| !health.running && health.next_tick_at.is_some_and(|at| at > now);
        until("every sampler waits", || self.collector.health().iter().all(waits)).await;
    }

    fn ticks(&self) -> usize {
        self.log.entries().iter().filter(|entry| matches!(entry.body, Body::Tick(_))).count()
    }

    async fn started(&self) {
        let ready = |health: &SamplerHealth| health.next_tick_at.is_some();
        until("every sampler waits for its tick", || self.collector.health().iter().all(ready)).await;
    }

    fn exposition(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn sqlite(path: &Path) -> SourceConfig {
    SourceConfig::Sqlite(SqliteConfig { path: path.display().to_string(), timezone: None, max_concurrent: 4 })
}

fn orders(name: &str) -> SamplerSpec {
    SamplerSpec { query: Query::Sql("SELECT n FROM orders".into()), ..spec(name) }
}

#[tokio::test]
async fn configurations_are_applied_by_difference() {
    let bench = Bench::new();
    bench.apply(vec![orders("a"), orders("b")]).unwrap();
    bench.started().await;
    bench.advance_to_tick(MINUTE).await;
    let mut faster = orders("b");
    faster.schedule = Schedule::Interval(MINUTE / 2);
    bench.apply(vec![orders("a"), faster, orders("c")]).unwrap();
    bench.started().await;
    bench.clock.advance(MINUTE / 2);
    until("b's half minute", || bench.ticks() == 3).await;
    bench.advance_to_tick(MINUTE / 2).await;
    bench.apply(vec![orders("a")]).unwrap();
    bench.advance_to_tick(MINUTE).await;
    let of = |name: &str| -> String {
        let entries: Vec<_> = bench.log.entries().into_iter().filter(|entry| &*entry.key == name).collect();
        format!("{name}\n{}", shown(&entries))
    };
    insta::assert_snapshot!([of("a"), of("b"), of("c")].join("\n"), @r#"
        a
        02 10:00:00 - 02 10:01:00 x1 rows 7
        02 10:01:00 - 02 10:02:00 x1 rows 7
        02 10:02:00 - 02 10:03:00 x1 rows 7
        b
        02 10:00:00 - 02 10:01:00 x1 rows 7
        02 10:01:00 - 02 10:01:30 x1 rows 7
        02 10:01:30 - 02 10:02:00 x1 rows 7
        c
        02 10:01:00 - 02 10:02:00 x1 rows 7
        "#);
    bench.collector.shutdown().await;
    assert_eq!(bench.apply(vec![]), Err(ApplyError::Closed));
}

#[tokio::test]
async fn a_bad_configuration_changes_nothing() {
    let bench = Bench::new();
    bench.apply(vec![orders("a")]).unwrap();
    let mut lost = orders("b");
    lost.source = "nowhere".into();
    let mut odd = orders("b");
    odd.schedule = Schedule::Interval(Duration::from_secs(7 * 60));
    let errors: Vec<String> = [vec![lost], vec![odd], vec![orders("b"), orders("b")]]
        .into_iter()
        .map(|samplers| bench.apply(samplers).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
        sampler `b` names the source `nowhere`, which is not configured
        sampler `b`: interval 7m does not divide a day: write for example 6m40s or 7m12s
        sampler `b` is configured twice
        "#);
    let health = bench.collector.health();
    assert_eq!(health.iter().map(|h| &*h.sampler).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn a_hung_source_costs_its_own_samplers_their_ticks_and_nobody_else_anything() {
    let bench = Bench::new();
    let server = MockServer::start().await;
    let hangs = ResponseTemplate::new(200).set_delay(Duration::from_secs(3_600));
    Mock::given(any()).respond_with(hangs).mount(&server).await;
    let api = serde_json::from_value(serde_json::json!({"http": {"url": server.uri(), "max_concurrent": 1}}))
        .unwrap();
    let sources = BTreeMap::from([
        ("api".to_owned(), api),
        ("shop".to_owned(), sqlite(&bench.folder.path().join("shop.db"))),
    ]);
    let hung =
        |name: &str| SamplerSpec { source: "api".into(), query: Query::Http(Box::default()), ..spec(name) };
    let samplers = vec![hung("hung1"), hung("hung2"), orders("orders")];
    bench.collector.apply(CollectorConfig { sources, samplers }).unwrap();
    bench.started().await;
    bench.clock.advance(MINUTE);
    until("orders is there, the others run", || {
        bench.ticks() == 1 && bench.collector.health().iter().filter(|h| h.running).count() == 2
    })
    .await;
    until("both deadlines and the next tick are awaited", || bench.clock.sleepers() == 3).await;
    bench.clock.advance(Duration::from_secs(10));
    until("the hung ones are recorded", || bench.ticks() == 3).await;
    let mut lines: Vec<String> = bench
        .log
        .entries()
        .iter()
        .filter(|e| matches!(e.body, Body::Tick(_)))
        .map(|e| format!("{} {}", e.key, shown(std::slice::from_ref(e))))
        .collect();
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"), @r#"
        hung1 02 10:00:00 - 02 10:01:00 x1 timeout: source `api` did not answer within 10s
        hung2 02 10:00:00 - 02 10:01:00 x1 timeout: source `api` did not answer within 10s
        orders 02 10:00:00 - 02 10:01:00 x1 rows 7
        "#);
}

/// The one test of telemetry for every source type: whatever is asked, the same is told of it.
#[tokio::test]
async fn every_source_tells_the_same_of_itself() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string(r#"{"n": 7}"#);
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let folder = TempDir::new().unwrap();
    rusqlite::Connection::open(folder.path().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (n)")
        .unwrap();
    let http = serde_json::from_value(serde_json::json!({"http": {"url": server.uri()}})).unwrap();
    let mut told = Vec::new();
    for (config, good, bad) in [
        (
            sqlite(&folder.path().join("shop.db")),
            Query::Sql("SELECT 7 AS n".into()),
            Query::Sql("SELECT * FROM nowhere".into()),
        ),
        (
            http,
            Query::Http(Box::default()),
            Query::Http(Box::new(HttpQuery { number: true, ..HttpQuery::default() })),
        ),
    ] {
        let bench = Bench::new();
        let samplers =
            vec![SamplerSpec { query: good, ..spec("good") }, SamplerSpec { query: bad, ..spec("bad") }];
        let sources = [("shop".to_owned(), config)].into();
        bench.collector.apply(CollectorConfig { sources, samplers }).unwrap();
        bench.started().await;
        bench.advance_to_tick(MINUTE).await;
        told.push(telemetry(&bench));
    }
    assert_eq!(told[0], told[1]);
    insta::assert_snapshot!(told[0], @r#"
        tidemark_sampler_duration_seconds_count{component="collector",sampler="bad"} 1
        tidemark_sampler_duration_seconds_count{component="collector",sampler="good"} 1
        tidemark_sampler_duration_seconds_sum{component="collector",sampler="bad"} 0.0
        tidemark_sampler_duration_seconds_sum{component="collector",sampler="good"} 0.0
        tidemark_sampler_last_success_timestamp_seconds{component="collector",sampler="good"} 1772445660.0
        tidemark_sampler_missed_total{component="collector",sampler="bad",reason="error"} 1
        tidemark_sampler_refused_ticks{component="collector",sampler="bad"} 0
        tidemark_sampler_refused_ticks{component="collector",sampler="good"} 0
        tidemark_sampler_rows_total{component="collector",sampler="good"} 1
        tidemark_sampler_ticks_total{component="collector",sampler="bad",outcome="missed"} 1
        tidemark_sampler_ticks_total{component="collector",sampler="good",outcome="rows"} 1
        bad: rows 0 samples 0 failures 1 failed true answered false
        good: rows 1 samples 1 failures 0 failed false answered true
        "#);
}

/// Metrics and health without what differs from run to run.
fn telemetry(bench: &Bench) -> String {
    let exposition = bench.exposition();
    let metrics = exposition.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
    let mut lines: Vec<String> = metrics.map(|line| line.replace("invalid", "error")).collect();
    lines.sort();
    lines.extend(bench.collector.health().into_iter().map(|health| {
        format!(
            "{}: rows {} samples {} failures {} failed {} answered {}",
            health.sampler,
            health.last_rows,
            health.last_samples,
            health.consecutive_failures,
            health.last_error.is_some(),
            health.last_success_at.is_some()
        )
    }));
    lines.join("\n")
}
