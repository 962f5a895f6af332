//! Against real servers. Each test has a database and a bucket of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use components::Component;
use model::{
    Clock, FieldValue, Labels, ManualClock, Matcher, Measurement, Point, Positions, SeriesQuery, TimeRange,
    Timestamp, WriteError, Written,
};
use serde_json::json;

use super::fake_influx::{FakeInflux, Mood};
use crate::stores::{ProbeError, Store, StoreConfig};
use crate::{EmbeddedOptions, EmbeddedStore};

static ONE: LazyLock<Component> = LazyLock::new(|| Component::start("influxdb1"));
static TWO: LazyLock<Component> = LazyLock::new(|| Component::start("influxdb2"));

async fn open(config: serde_json::Value) -> Arc<dyn Store> {
    let config: StoreConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.validate(), []);
    // A clock that stands still: no deadline comes, and a server that hangs is a test that does not end.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
    config.open(std::path::Path::new("/nowhere"), clock).await.unwrap()
}

async fn one(database: &str) -> Arc<dyn Store> {
    let url = format!("http://{}", ONE.address());
    let (username, password) = (ONE.detail("username"), ONE.detail("password"));
    open(json!({"influxdb": {"url": url, "database": database, "username": username, "password": password}}))
        .await
}

async fn two(bucket: &str) -> Arc<dyn Store> {
    two_with(bucket, TWO.detail("token"), json!({})).await
}

async fn two_with(bucket: &str, token: &str, more: serde_json::Value) -> Arc<dyn Store> {
    let mut config = json!({"url": format!("http://{}", TWO.address()), "org": TWO.detail("org"),
        "bucket": bucket, "token": token});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open(json!({"influxdb_v2": config})).await
}

pub(crate) async fn both(name: &str) -> Vec<Arc<dyn Store>> {
    vec![one(name).await, two(name).await]
}

fn point(measurement: Measurement, tags: &[(&str, &str)], fields: &[(&str, FieldValue)], secs: i64) -> Point {
    Point {
        measurement,
        tags: Labels::new(tags.iter().copied()),
        time: Timestamp::from_secs(secs),
        fields: fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
    }
}

fn sample(metric: &str, value: f64, secs: i64) -> Point {
    point(Measurement::Sample, &[("metric", metric)], &[("value", FieldValue::Float(value))], secs)
}

async fn write(store: &dyn Store, points: &[Point]) -> Written {
    store.write(points, &Positions::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

fn query(measurement: Measurement, matchers: &[(&str, &str)], fields: &[&str], last: usize) -> SeriesQuery {
    let matcher = |(tag, value): &(&str, &str)| Matcher { tag: (*tag).into(), value: (*value).into() };
    SeriesQuery {
        measurement,
        matchers: matchers.iter().map(matcher).collect(),
        fields: fields.iter().map(|field| (*field).into()).collect(),
        range: TimeRange { start: Timestamp::from_secs(-1_000), end: Timestamp::from_secs(2_000_000_000) },
        last,
    }
}

/// Texts that would break out of line protocol or InfluxQL, numbers at their limits, revisions over first values.
fn hard_points() -> Vec<Point> {
    let (float, int) = (FieldValue::Float, FieldValue::Integer);
    let text = |text: &str| FieldValue::Text(text.into());
    let verdict = Measurement::Verdict;
    let state = |n| ("state", int(n));
    let mut points = vec![
        sample("shop.orders", 1.0, 60),
        sample("shop.orders", 1e300, 120),
        sample("shop.orders", -0.125, -60),
        sample("shop.orders", 9_007_199_254_740_993.0, 180),
        point(verdict, &[("metric", "m")], &[("value", float(1.0)), ("score", float(0.5)), state(0)], 60),
        point(verdict, &[("metric", "m")], &[("value", float(2.0)), ("lower", float(0.5)), state(3)], 120),
        point(verdict, &[("metric", "m")], &[("score", float(0.0)), state(2)], 180),
        point(
            Measurement::Alert,
            &[("metric", "m"), ("state", "firing")],
            &[("text", text("say \"no\" \\ now,\nsample value=1 1")), ("end_ms", int(9_007_199_254_740_993))],
            60,
        ),
        point(Measurement::Alert, &[("metric", "m"), ("state", "resolved")], &[("text", text("end\\"))], 61),
    ];
    for (nth, value) in
        ["a b,c=d", "x\nsample value=666 1", "C:\\temp\\", "'; DROP \"x\"", "t\\ a\"b", "中文 😀"]
            .into_iter()
            .enumerate()
    {
        points.push(point(
            Measurement::Sample,
            &[("metric", "hard"), ("place", value)],
            &[("value", float(nth as f64))],
            60,
        ));
    }
    for (revision, secs, value) in [("1", 60, 7.0), ("2", 60, 8.0), ("10", 60, 9.0), ("1", 240, 5.0)] {
        points.push(point(
            Measurement::SampleRevision,
            &[("metric", "shop.orders"), ("revision", revision)],
            &[("value", float(value))],
            secs,
        ));
    }
    points.push(point(
        Measurement::VerdictRevision,
        &[("metric", "m"), ("revision", "1")],
        &[("score", float(2.0)), state(2)],
        120,
    ));
    points
}

#[tokio::test]
async fn both_answer_what_the_embedded_store_answers_and_a_replay_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::open(dir.path(), EmbeddedOptions::default()).unwrap();
    let points = hard_points();
    write(&*embedded, &points).await;
    let mut queries = Vec::new();
    for measurement in [Measurement::Sample, Measurement::Verdict, Measurement::Alert] {
        for matchers in [
            &[][..],
            &[("metric", "shop.orders")],
            &[("metric", "hard"), ("place", "x\nsample value=666 1")],
            &[("place", "'; DROP \"x\"")],
            &[("place", "C:\\temp\\")],
            &[("place", "")],
            &[("nobody", "x")],
        ] {
            for fields in [&[][..], &["value"], &["text", "end_ms"], &["nothing"]] {
                queries.extend([0, 1, 2].map(|last| query(measurement, matchers, fields, last)));
            }
        }
    }
    for store in both("differential").await {
        for round in 0..2 {
            let written = write(&*store, &points).await;
            assert_eq!(written, Written { points: points.len(), refused: Vec::new() }, "{}", store.name());
            for query in &queries {
                let expected = model::ReadSeries::read(&*embedded, query).await.unwrap();
                let answered = store.read(query).await.unwrap_or_else(|error| panic!("{error}: {query:?}"));
                assert_eq!(answered, expected, "{} in round {round}: {query:?}", store.name());
                let series = store.series(query.measurement, &query.matchers).await.unwrap();
                let expected =
                    model::ReadSeries::series(&*embedded, query.measurement, &query.matchers).await.unwrap();
                assert_eq!(series, expected, "{}: {query:?}", store.name());
            }
        }
    }
}

#[tokio::test]
async fn points_at_fault_are_named_and_the_others_stored() {
    for store in both("refusals").await {
        write(&*store, &[sample("m", 1.0, 0)]).await;
        let mut points: Vec<_> = (1..40).map(|n| sample("m", n as f64, n)).collect();
        points[7].fields = vec![("value".into(), FieldValue::Text("seven".into()))];
        points[30].fields = vec![("value".into(), FieldValue::Integer(30))];
        points[20].fields = vec![("value".into(), FieldValue::Float(f64::NAN))];
        let written = write(&*store, &points).await;
        assert_eq!((written.points, written.refused.len()), (36, 3), "{}: {written:?}", store.name());
        let named = |secs: i64| {
            let at = Timestamp::from_secs(secs).to_string();
            written.refused.iter().any(|reason| reason.contains(&at))
        };
        assert!([8, 21, 31].into_iter().all(named), "{}: {written:?}", store.name());
        let stored = store.read(&query(Measurement::Sample, &[], &[], 0)).await.unwrap();
        assert_eq!(stored[0].times.len(), 37, "{}", store.name());
    }
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_left_out_once() {
    let url = format!("http://{}", ONE.address());
    let one = open(
        json!({"influxdb": {"url": url, "database": "old", "retention_policy": "short", "retention": "1d",
        "username": ONE.detail("username"), "password": ONE.detail("password")}}),
    )
    .await;
    let two = two_with("old", TWO.detail("token"), json!({"retention": "1d"})).await;
    #[expect(clippy::disallowed_methods, reason = "the servers read the wall clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    for store in [one, two] {
        let points = [sample("m", 1.0, 1), sample("m", 2.0, now - 60), sample("m", 3.0, 2)];
        let written = write(&*store, &points).await;
        assert_eq!((written.points, written.refused.len()), (1, 2), "{}: {written:?}", store.name());
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_without_it_and_tried_again_slowly() {
    let url = format!("http://{}", ONE.address());
    let one = open(json!({"influxdb": {"url": url, "username": "admin", "password": "hush-hush"}})).await;
    let mut told = Vec::new();
    for store in [one, two_with("wrong", "hush-hush", json!({})).await] {
        let error = store.write(&[sample("m", 1.0, 0)], &Positions::default()).await.unwrap_err();
        let WriteError::Transient { retry_after, .. } = &error else { panic!("{error}") };
        assert_eq!(*retry_after, Some(Duration::from_secs(60)));
        told.push(error.to_string());
        told.push(store.probe().await.unwrap_err().to_string());
    }
    let told = told.join("\n").replace(&ONE.address(), "ONE").replace(&TWO.address(), "TWO");
    assert!(!told.contains("hush"), "{told}");
    insta::assert_snapshot!(told, @r"
    store influxdb cannot take the batch now: http://ONE/: HTTP 401: authorization failed
    store influxdb cannot be used: http://ONE/: HTTP 401: authorization failed
    store influxdb_v2 cannot take the batch now: http://TWO/: HTTP 401: unauthorized access
    store influxdb_v2 cannot be used: http://TWO/: HTTP 401: unauthorized access
    ");
}

/// A token of the second that may only do this to a bucket.
async fn token_that_may(action: &str, bucket: &str) -> String {
    let (client, base) = (reqwest::Client::new(), format!("http://{}/api/v2", TWO.address()));
    let token = format!("Token {}", TWO.detail("token"));
    let found = client.get(format!("{base}/buckets?name={bucket}")).header("authorization", &token).send();
    let found: serde_json::Value = found.await.unwrap().json().await.unwrap();
    let (org, id) = (&found["buckets"][0]["orgID"], &found["buckets"][0]["id"]);
    let resource = json!({"type": "buckets", "id": id, "orgID": org});
    let body = json!({"orgID": org, "permissions": [{"action": action, "resource": resource}]});
    let made =
        client.post(format!("{base}/authorizations")).header("authorization", &token).json(&body).send();
    let made: serde_json::Value = made.await.unwrap().json().await.unwrap();
    made["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_probe_says_which_permission_is_missing() {
    for store in both("probed").await {
        write(&*store, &[sample("m", 1.0, 0)]).await;
    }
    let admin = (ONE.detail("username"), ONE.detail("password"));
    for statement in ["CREATE USER reader WITH PASSWORD 'hush-hush'", "GRANT READ ON probed TO reader"] {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", statement).finish();
        let asked = reqwest::Client::new().post(format!("http://{}/query?{query}", ONE.address()));
        assert!(asked.basic_auth(admin.0, Some(admin.1)).send().await.unwrap().status().is_success());
    }
    let reader = |database: &str| {
        json!({"influxdb": {"url": format!("http://{}", ONE.address()), "database": database, "username": "reader",
            "password": "hush-hush"}})
    };
    let stores = [
        one("probed").await,
        one("nowhere").await,
        open(reader("probed")).await,
        open(reader("nowhere")).await,
        two("probed").await,
        two("nowhere").await,
        two_with("probed", &token_that_may("read", "probed").await, json!({})).await,
        two_with("probed", &token_that_may("write", "probed").await, json!({})).await,
        two_with("probed", TWO.detail("token"), json!({"org": "nobody"})).await,
    ];
    let mut told = Vec::new();
    for store in stores {
        told.push(match store.probe().await {
            Ok(found) => found,
            Err(ProbeError::Wrong(error)) => error.to_string(),
            Err(ProbeError::Unreachable(error)) => panic!("{error}"),
        });
    }
    let told = told.join("\n").replace(&ONE.address(), "ONE").replace(&TWO.address(), "TWO");
    assert!(!told.contains("hush"), "{told}");
    insta::assert_snapshot!(told, @r#"
    InfluxDB unknown at http://ONE/: database `probed` is there
    InfluxDB unknown at http://ONE/: database `nowhere` will be made
    store influxdb cannot be used: http://ONE/: HTTP 403: "reader" user is not authorized to write to database "probed"
    store influxdb cannot be used: http://ONE/: HTTP 403: error authorizing query: reader not authorized to execute statement 'SHOW USERS', requires admin privilege
    InfluxDB dev at http://TWO/: bucket `probed` is there
    InfluxDB dev at http://TWO/: bucket `nowhere` will be made
    store influxdb_v2 cannot be used: http://TWO/: HTTP 403: insufficient permissions for write
    store influxdb_v2 cannot be used: http://TWO/: the token may write bucket `probed`, but not read it
    store influxdb_v2 cannot be used: http://TWO/: HTTP 404: organization name "nobody" not found
    "#);
    // One that may write and see nothing still writes.
    let writer = two_with("probed", &token_that_may("write", "probed").await, json!({})).await;
    assert_eq!(write(&*writer, &[sample("m", 2.0, 60)]).await.points, 1);
}

#[tokio::test]
async fn a_bucket_or_database_dropped_in_the_middle_is_made_again() {
    for store in both("dropped").await {
        write(&*store, &[sample("m", 1.0, 0)]).await;
    }
    let client = reqwest::Client::new();
    let (username, password) = (ONE.detail("username"), ONE.detail("password"));
    let drop = client.post(format!("http://{}/query?q=DROP+DATABASE+dropped", ONE.address()));
    assert!(drop.basic_auth(username, Some(password)).send().await.unwrap().status().is_success());
    let buckets = format!("http://{}/api/v2/buckets", TWO.address());
    let token = format!("Token {}", TWO.detail("token"));
    let found = client.get(format!("{buckets}?name=dropped")).header("authorization", &token).send().await;
    let found: serde_json::Value = found.unwrap().json().await.unwrap();
    let id = found.pointer("/buckets/0/id").unwrap().as_str().unwrap();
    let gone = client.delete(format!("{buckets}/{id}")).header("authorization", &token).send().await;
    assert!(gone.unwrap().status().is_success());
    for store in both("dropped").await {
        write(&*store, &[sample("m", 2.0, 60)]).await;
        let stored = store.read(&query(Measurement::Sample, &[], &[], 0)).await.unwrap();
        assert_eq!(stored[0].times.len(), 1, "{}", store.name());
        let said = [store.position().await.unwrap(), store.position().await.unwrap()];
        assert_eq!(
            said,
            [Some(Positions::default()), None],
            "{} says once that it was emptied",
            store.name()
        );
        let told = store.probe().await.unwrap();
        assert!(told.contains("`dropped` is there"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_holds_what_it_acknowledged() {
    let mut one = Component::start("influxdb1");
    let mut two = Component::start("influxdb2");
    let stores = [
        open(json!({"influxdb": {"url": format!("http://{}", one.address()), "username": one.detail("username"),
            "password": one.detail("password")}}))
        .await,
        open(json!({"influxdb_v2": {"url": format!("http://{}", two.address()), "org": two.detail("org"),
            "token": two.detail("token")}}))
        .await,
    ];
    for (store, server) in stores.iter().zip([&mut one, &mut two]) {
        write(&**store, &[sample("m", 1.0, 0)]).await;
        server.kill();
        let error = store.write(&[sample("m", 2.0, 60)], &Positions::default()).await.unwrap_err();
        assert!(matches!(error, WriteError::Transient { retry_after: None, .. }), "{error}");
        server.start_again();
        write(&**store, &[sample("m", 2.0, 60)]).await;
        let stored = store.read(&query(Measurement::Sample, &[], &[], 0)).await.unwrap();
        assert_eq!(stored[0].times.len(), 2, "{}", store.name());
    }
}

async fn pauses_asked(status: u16) -> Vec<Option<Duration>> {
    let mut asked = Vec::new();
    let fake = FakeInflux::start(Mood::Says(status, "busy", Some("7"))).await;
    for config in [
        json!({"influxdb": {"url": fake.url()}}),
        json!({"influxdb_v2": {"url": fake.url(), "token": "hush"}}),
        json!({"influxdb_v2": {"url": fake.url(), "token": "hush", "content_encoding": "gzip"}}),
    ] {
        let store = open(config).await;
        for _ in 0..2 {
            let error = store.write(&[sample("m", 1.0, 0)], &Positions::default()).await.unwrap_err();
            let WriteError::Transient { retry_after, .. } = error else { panic!("{error}") };
            asked.push(retry_after);
        }
    }
    asked
}

#[tokio::test]
async fn a_pause_a_busy_server_asks_for_is_honoured() {
    let secs = |secs| Some(Duration::from_secs(secs));
    // The crate of the second hides the pause, so that the batch is sent again another way, which reads it.
    for status in [429, 503] {
        let expected = [secs(7), secs(7), None, secs(7), secs(7), secs(7)];
        assert_eq!(pauses_asked(status).await, expected, "{status}");
    }
    assert_eq!(pauses_asked(401).await, [secs(60); 6]);
}

#[tokio::test]
async fn a_body_too_large_is_halved_until_a_point_stands_alone() {
    let fake = FakeInflux::start(Mood::Says(413, "too large", None)).await;
    let store = open(json!({"influxdb_v2": {"url": fake.url(), "token": "hush"}})).await;
    let points: Vec<_> = (0..4).map(|n| sample("m", 1.0, n)).collect();
    let written = write(&*store, &points).await;
    assert_eq!((written.points, written.refused.len()), (0, 4));
}
