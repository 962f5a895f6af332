//! What a server's faults cost: a message that names replica and place, a count, its own lag, and nobody else anything.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use model::testing::MemoryLog;
use model::{
    Body, Clock, FieldValue, Labels, ManualClock, NewEntry, Origin, Point, Positions, Sample, SampleLog,
    SeriesKey, Tick, TickOutcome, Timestamp, Window, Written,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fake_influx::{FakeInflux, Mood, POISON};
use crate::stores::{Store, StoreConfig};
use crate::{FollowOptions, Progress, Replica, ReplicaMetrics};

/// Half a minute before the date that a server asks to wait for.
const BEGAN: Timestamp = Timestamp::from_secs(1_445_412_480);
const IN_HALF_A_MINUTE: &str = "Wed, 21 Oct 2015 07:28:30 GMT";

/// The three ways a batch travels: to 1.x, to 2.x by the crate, to 2.x packed.
fn sections(url: &str) -> [Value; 3] {
    [
        json!({"influxdb": {"name": "one", "url": url, "username": "u", "password": "hush"}}),
        json!({"influxdb_v2": {"name": "two", "url": url, "token": "hush"}}),
        json!({"influxdb_v2": {"name": "packed", "url": url, "token": "hush", "content_encoding": "gzip"}}),
    ]
}

async fn open(section: Value, clock: &ManualClock) -> Arc<dyn Store> {
    let config: StoreConfig = serde_json::from_value(section).unwrap();
    config.open(std::path::Path::new("/nowhere"), Arc::new(clock.clone())).await.unwrap()
}

/// The future's value; time passes while it is not there.
async fn driven<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let drive = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            clock.advance(Duration::from_millis(50));
        }
    };
    let raced = async {
        tokio::select! {
            done = work => done,
            () = drive => unreachable!("the drive has no end"),
        }
    };
    tokio::time::timeout(Duration::from_secs(120), raced).await.expect("within two minutes")
}

fn series(metric: &str) -> SeriesKey {
    SeriesKey::new(metric, Labels::default())
}

fn tick(number: u64, metric: &str) -> NewEntry {
    let sample = Sample { series: series(metric), value: number as f64, ratio: None, revision: 0 };
    let body = Body::Tick(Tick {
        sampler: "s".into(),
        metrics: vec![metric.into()],
        window: Window::new(BEGAN + Duration::from_secs(60 * number), Duration::from_secs(60)),
        ticks: 1,
        origin: Origin::Live,
        outcome: TickOutcome::Rows(vec![sample]),
        duration_ms: 1,
    });
    NewEntry { key: "s".into(), producer: "s".into(), sequence: number, source_position: Vec::new(), body }
}

/// A log, a clock, and replicas that follow.
struct Bench {
    log: Arc<MemoryLog>,
    clock: ManualClock,
    registry: Registry,
    metrics: ReplicaMetrics,
    stop: CancellationToken,
}

impl Bench {
    /// With these metrics' samples in the log.
    async fn new(metrics: &[&str]) -> Self {
        let (log, mut registry) = (Arc::new(MemoryLog::new("test")), Registry::default());
        for (number, metric) in (1..).zip(metrics) {
            log.append(vec![tick(number, metric)]).await.unwrap();
        }
        let metrics = ReplicaMetrics::register(&mut registry);
        Self { log, clock: ManualClock::new(BEGAN), registry, metrics, stop: CancellationToken::new() }
    }

    async fn follow(&self, section: Value) -> Progress {
        let store = open(section, &self.clock).await;
        let (options, clock) = (FollowOptions::default(), Arc::new(self.clock.clone()));
        let replica = Replica::new(Arc::clone(&self.log) as _, store, options, clock, self.metrics.clone());
        let progress = replica.progress();
        tokio::spawn(replica.follow(self.stop.clone()));
        progress
    }

    async fn arrives(&self, progress: &Progress) {
        driven(&self.clock, progress.wait_until(&self.log.end())).await.unwrap();
    }

    fn metric(&self, name: &str, replica: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let begin = format!("tidemark_replica_{name}{{replica=\"{replica}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&begin)).unwrap().parse().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn name(section: &Value) -> String {
    let sections = section.as_object().unwrap();
    sections.values().next().unwrap()["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whatever_befalls_a_write_it_is_counted_tried_again_and_delays_no_other_replica() {
    let faults = [
        Mood::Hangs,
        Mood::HangsInItsAnswer,
        Mood::Cuts,
        Mood::Says(401, "unauthorized", None),
        Mood::Says(429, "slow down", Some("7")),
        Mood::Says(500, "broken", None),
        Mood::Says(503, "busy", Some(IN_HALF_A_MINUTE)),
    ];
    for fault in faults {
        futures_util::future::join_all((0..3).map(|nth| befalls(nth, &fault))).await;
    }
}

/// A fault befalls the first two writes, by one of the three ways, while another replica is sound.
async fn befalls(nth: usize, fault: &Mood) {
    let (lame, sound) = (FakeInflux::start(Mood::Good).await, FakeInflux::start(Mood::Good).await);
    lame.lock().next = [fault.clone(), fault.clone()].into();
    let (bench, section) = (Bench::new(&["m"; 20]).await, sections(&lame.url())[nth].clone());
    let name = name(&section);
    let waits = bench.follow(section).await;
    let good = bench.follow(json!({"influxdb": {"name": "sound", "url": sound.url()}})).await;
    // Time stands still: the other needs none.
    let end = bench.log.end();
    let arriving = good.wait_until(&end);
    tokio::time::timeout(Duration::from_secs(60), arriving).await.expect("not delayed").unwrap();
    assert_eq!(lame.lock().lines.len(), 0, "{name} {fault:?}");
    bench.arrives(&waits).await;
    assert_eq!(lame.lock().lines.len(), 20, "{name} {fault:?}");
    assert_eq!(bench.metric("points_total", &name), 20);
    assert!(bench.metric("errors_total", &name) >= 2, "{name} {fault:?}");
    assert_eq!((bench.metric("errors_total", "sound"), bench.metric("refused_total", &name)), (0, 0));
}

#[tokio::test]
async fn a_refused_line_is_named_and_counted_and_the_rest_gets_in() {
    for nth in 0..3 {
        let fake = FakeInflux::start(Mood::Good).await;
        let section = sections(&fake.url())[nth].clone();
        let store = open(section.clone(), &ManualClock::new(BEGAN)).await;
        let points: Vec<_> = ["a", "b", POISON, "c"].into_iter().map(sample).collect();
        let written = store.write(&points, &Positions::default()).await.unwrap();
        let refused = "sample{metric=\"poison\"} at 2015-10-21T07:28:00Z: HTTP 400: unable to parse \
            'sample,metric=poison value=1.0 1445412480000000000': invalid number";
        assert_eq!(written, Written { points: 3, refused: vec![refused.to_owned()] });

        let bench = Bench::new(&["a", POISON, "b", "c", POISON]).await;
        fake.lock().lines.clear();
        bench.arrives(&bench.follow(section.clone()).await).await;
        let name = name(&section);
        assert_eq!((bench.metric("points_total", &name), bench.metric("refused_total", &name)), (3, 2));
        assert_eq!(fake.lock().lines.len(), 3);
    }
}

fn sample(metric: &str) -> Point {
    let fields = vec![("value".into(), FieldValue::Float(1.0))];
    let tags = Labels::new([("metric", metric)]);
    Point { measurement: model::Measurement::Sample, tags, time: BEGAN, fields }
}

#[tokio::test]
async fn a_body_too_large_is_sent_in_halves() {
    for nth in 0..3 {
        let fake = FakeInflux::start(Mood::Good).await;
        fake.lock().max_body = 200;
        let bench = Bench::new(&["m"; 40]).await;
        bench.arrives(&bench.follow(sections(&fake.url())[nth].clone()).await).await;
        assert_eq!(fake.lock().lines.len(), 40);
    }
}

#[tokio::test]
async fn what_is_missing_is_made_again_and_named_when_it_may_not_be() {
    for nth in 0..3 {
        let fake = FakeInflux::start(Mood::Good).await;
        let section = sections(&fake.url())[nth].clone();
        let bench = Bench::new(&["m"; 4]).await;
        let progress = bench.follow(section.clone()).await;
        bench.arrives(&progress).await;
        fake.lock().has_database = false;
        bench.log.append(vec![tick(5, "m")]).await.unwrap();
        bench.arrives(&progress).await;
        assert_eq!(fake.lock().lines.len(), 5);
        fake.lock().has_database = false;
        fake.lock().may_make = false;
        let store = open(section, &bench.clock).await;
        let error = store.write(&[sample("m")], &Positions::default()).await.unwrap_err().to_string();
        assert!(error.contains(&fake.url()) && error.contains("403: may not make it"), "{error}");
    }
}

#[tokio::test]
async fn a_pause_is_kept_whether_asked_for_in_seconds_or_by_date() {
    for (pause, least) in [("7", 7), (IN_HALF_A_MINUTE, 30)] {
        for status in [429, 503] {
            for nth in [0, 2] {
                let fake = FakeInflux::start(Mood::Good).await;
                fake.lock().next = [Mood::Says(status, "busy", Some(pause))].into();
                let bench = Bench::new(&["m"]).await;
                bench.arrives(&bench.follow(sections(&fake.url())[nth].clone()).await).await;
                let took = bench.clock.civil_now().since(BEGAN);
                assert!(took >= Duration::from_secs(least), "{status} {pause}: {took:?}");
            }
        }
    }
}

/// The messages of one write that fails, by each of the three ways, without the port.
async fn told(mood: Mood) -> String {
    let mut told = Vec::new();
    let fake = FakeInflux::start(mood).await;
    for section in sections(&fake.url()) {
        let clock = ManualClock::new(BEGAN);
        let store = open(section, &clock).await;
        let error = driven(&clock, store.write(&[sample("m")], &Positions::default())).await.unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
        told.push(error.to_string().replace(&fake.url(), "http://SERVER"));
    }
    told.join("\n")
}

#[tokio::test]
async fn messages_name_replica_and_place() {
    let mut all = Vec::new();
    for mood in [
        Mood::Hangs,
        Mood::HangsInItsAnswer,
        Mood::Says(401, "unauthorized", None),
        Mood::Says(503, "busy", None),
    ] {
        all.push(told(mood).await);
    }
    insta::assert_snapshot!(all.join("\n"), @r"
    store one cannot take the batch now: http://SERVER/: no answer within 10 s
    store two cannot take the batch now: http://SERVER/: no answer within 10 s
    store packed cannot take the batch now: http://SERVER/: no answer within 10 s
    store one cannot take the batch now: http://SERVER/: no answer within 10 s
    store two cannot take the batch now: http://SERVER/: no answer within 10 s
    store packed cannot take the batch now: http://SERVER/: no answer within 10 s
    store one cannot take the batch now: http://SERVER/: HTTP 401: unauthorized
    store two cannot take the batch now: http://SERVER/: HTTP 401: unauthorized
    store packed cannot take the batch now: http://SERVER/: HTTP 401: unauthorized
    store one cannot take the batch now: http://SERVER/: HTTP 503: busy
    store two cannot take the batch now: http://SERVER/: HTTP 503: busy
    store packed cannot take the batch now: http://SERVER/: HTTP 503: busy
    ");
    let cut = told(Mood::Cuts).await;
    assert!(cut.lines().all(|line| line.contains("now: http://SERVER/: ")), "{cut}");
}

/// A server whose certificate ended in 2021; the folder holds its authority's.
fn expired() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 12, 31));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    let (config, listener) = (Arc::new(config.unwrap()), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client hangs up.
            let _ = rustls::Stream::new(&mut connection, &mut stream).read(&mut [0]);
        }
    });
    (folder, url)
}

#[tokio::test]
async fn an_expired_certificate_is_called_so() {
    let (folder, url) = expired();
    for mut section in sections(&url) {
        let clock = ManualClock::new(BEGAN);
        for own in section.as_object_mut().unwrap().values_mut() {
            own["tls"] = json!({"ca_file": folder.path().join("ca.pem")});
        }
        let store = open(section, &clock).await;
        let error = store.write(&[sample("m")], &Positions::default()).await.unwrap_err().to_string();
        assert!(error.contains(&url) && error.contains("certificate expired"), "{error}");
    }
}
