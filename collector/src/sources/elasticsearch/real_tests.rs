//! Against a real server: Elasticsearch 8, or the component that `TIDEMARK_TEST_SEARCH` names (`elasticsearch7`,
//! `opensearch2`, `opensearch3`).

use std::sync::LazyLock;
use std::time::Duration;

use components::Component;
use model::{Timestamp, Window};
use serde_json::{Value, json};

use super::{ElasticsearchConfig, ElasticsearchSource};
use crate::testing::{spec, table, until_true, value};
use crate::{Query, SampleRequest, Source, map_rows};

/// One server for all tests of the process, each of which has indices of its own.
static SEARCH: LazyLock<Component> = LazyLock::new(|| {
    let name = std::env::var("TIDEMARK_TEST_SEARCH").unwrap_or_else(|_| "elasticsearch8".to_owned());
    Component::start(&name)
});

const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

fn url() -> String {
    format!("http://{}", SEARCH.address())
}

fn source() -> ElasticsearchSource {
    let config: ElasticsearchConfig = serde_json::from_value(json!({"url": url()})).unwrap();
    ElasticsearchSource::new(&config).unwrap()
}

/// The answer of the server's own API.
async fn call(method: &str, path: &str, kind: &str, body: String) -> Value {
    crate::sources::provider::install_ring();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = client.request(method, format!("{}{path}", url())).header("content-type", kind).body(body);
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{path}: {status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// An index of these fields and documents.
async fn index(name: &str, fields: Value, documents: impl IntoIterator<Item = Value>) {
    let body = json!({"settings": {"number_of_shards": 2, "number_of_replicas": 0}, "mappings": {"properties": fields}});
    call("PUT", &format!("/{name}"), JSON, body.to_string()).await;
    let lines: Vec<String> =
        documents.into_iter().map(|document| format!("{{\"index\":{{}}}}\n{document}\n")).collect();
    let answer = call("POST", &format!("/{name}/_bulk?refresh=true"), NDJSON, lines.concat()).await;
    assert_eq!(answer["errors"], false, "{answer}");
}

/// 22:13 to 22:14 UTC.
fn window() -> Window {
    Window::new(Timestamp::from_secs(1_699_999_980), Duration::from_secs(60))
}

fn asked(query: Value) -> Query {
    serde_json::from_value(json!({ "elasticsearch": query })).unwrap()
}

/// What the source answers, as a table, or its error without the server's address.
async fn sample_rows(query: Value, window: Window, max_rows: usize) -> String {
    let query = asked(query);
    let request = SampleRequest { query: &query, window, max_rows, timeout: Duration::from_secs(30) };
    match source().sample(&request).await {
        Ok(rows) => table(&rows),
        Err(error) => {
            let message = error.message.replace(&url(), "SERVER");
            format!("{:?} {:?}: {message}", error.reason, error.persistence)
        }
    }
}

async fn sample(query: Value) -> String {
    sample_rows(query, window(), 10_000).await
}

fn order_fields() -> Value {
    json!({
        "@timestamp": {"type": "date"}, "at": {"type": "date_nanos"}, "day": {"type": "date"},
        "channel": {"type": "keyword"}, "paid": {"type": "boolean"}, "amount": {"type": "double"},
        "user": {"type": "long"}, "note": {"type": "text"},
    })
}

/// Orders inside the window but the first and the last, which are just outside.
fn orders() -> Vec<Value> {
    let order = |at: &str, channel: Value, paid: Value, amount: Value, user: u64| {
        json!({
            "@timestamp": at, "at": at, "day": "2023-11-14", "channel": channel, "paid": paid, "amount": amount,
            "user": user, "note": "an order",
        })
    };
    vec![
        order("2023-11-14T22:12:59.999Z", json!("app"), json!(true), json!(1_000), 9),
        order("2023-11-14T22:13:00.000Z", json!("app"), json!(true), json!(10.5), 1),
        order("2023-11-14T22:13:20Z", json!("app"), json!(false), json!(20), 2),
        order("2023-11-14T22:13:40Z", json!("web"), json!(true), Value::Null, 1),
        order("2023-11-14T22:13:50Z", Value::Null, Value::Null, json!(4), 3),
        order("2023-11-14T22:13:59.999Z", json!(["app", "web"]), json!(true), json!(8), 3),
        order("2023-11-14T22:14:00.000Z", json!("app"), json!(true), json!(1_000), 9),
    ]
}

#[tokio::test]
async fn counts_metrics_and_groups_are_what_the_documents_say() {
    index("shop-1", order_fields(), orders()).await;
    let metrics = json!({
        "amount": {"sum": "amount"}, "mean": {"avg": "amount"}, "least": {"min": "amount"}, "most": {"max": "amount"},
        "amounts": {"value_count": "amount"}, "users": {"cardinality": "user"}, "all": {"stats": "amount"},
        "more": {"extended_stats": "amount"}, "median": {"percentiles": {"field": "user", "percents": [50]}},
        "p": {"percentiles": {"field": "user", "percents": [100, 0]}}, "paid": {"filter": {"term": {"paid": true}}},
        "filled": {"sum": {"field": "amount", "missing": 1}},
    });
    let per_channel = json!({"paid": {"filter": "paid:true"}, "mean": {"avg": "amount"}});
    let by = |by: Value| json!({"index": "shop-*", "by": by});
    let shown = [
        sample(json!({"index": "shop-1"})).await,
        sample(json!({"index": "shop-1", "time_field": null})).await,
        sample(json!({"index": "shop-1", "time_field": "at"})).await,
        sample(json!({"index": "shop-1", "query": "channel:app AND amount:>9"})).await,
        sample(json!({"index": "shop-1", "query": {"exists": {"field": "amount"}}})).await,
        sample(json!({"index": "shop-1", "metrics": metrics})).await,
        sample(json!({"index": "shop-1", "query": "channel:none", "metrics": metrics})).await,
        sample(json!({"index": "shop-1", "by": ["channel"], "metrics": per_channel})).await,
        sample(json!({"index": "shop-1", "query": "channel:none", "by": ["channel"]})).await,
        sample(by(json!([{"name": "channel", "missing_bucket": false}]))).await,
        sample(by(json!(["channel", {"name": "is_paid", "field": "paid"}]))).await,
        sample(by(json!(["user"]))).await,
        sample(by(json!(["amount"]))).await,
        sample(by(json!(["day"]))).await,
        sample(by(json!(["nosuch"]))).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    count: 1 | 5
    count: 1 | 7
    count: 1 | 5
    count: 1 | 2
    count: 1 | 4
    count all_count all_min all_max all_avg all_sum amount amounts filled least mean median more_count more_min more_max more_avg more_sum more_sum_of_squares more_variance more_std_deviation most p_p100 p_p0 paid users: 1 | 5 4 4.0 20.0 10.625 42.5 42.5 4 43.5 4.0 10.625 2.0 4 4.0 20.0 10.625 42.5 590.25 34.671875 5.8882828566569385 20.0 3.0 1.0 3 3
    count all_count all_min all_max all_avg all_sum amount amounts filled least mean median more_count more_min more_max more_avg more_sum more_sum_of_squares more_variance more_std_deviation most p_p100 p_p0 paid users: 1 | 0 0 - - - 0.0 0.0 0 0.0 - - - 0 - - - 0.0 - - - - - - 0 0
    channel count mean paid: 3 | - 1 4.0 0 / "app" 3 12.833333333333334 2 / "web" 2 8.0 2
    channel count: 0 | 
    channel count: 2 | "app" 3 / "web" 2
    channel is_paid count: 4 | - - 1 / "app" false 1 / "app" true 2 / "web" true 2
    user count: 3 | 1 2 / 2 1 / 3 2
    amount count: 5 | - 1 / 4.0 1 / 8.0 1 / 10.5 1 / 20.0 1
    day count: 1 | 1699920000000 5
    nosuch count: 1 | - 5
    "#);
}

#[tokio::test]
async fn a_document_is_in_one_window_only_to_the_nanosecond() {
    let fields = || json!({"@timestamp": {"type": "date"}, "at": {"type": "date_nanos"}});
    let edges = ["22:12:59.999999999", "22:13:00", "22:13:59.999999999", "22:14:00", "22:14:59.999999999"];
    let documents = edges.map(
        |time| json!({"at": format!("2023-11-14T{time}Z"), "@timestamp": format!("2023-11-14T{time}Z")}),
    );
    index("edges", fields(), documents).await;
    for field in ["at", "@timestamp"] {
        let mut counts = Vec::new();
        for minute in 12..16 {
            let start = Timestamp::from_secs(1_699_999_200 + minute * 60);
            let window = Window::new(start, Duration::from_secs(60));
            counts.push(sample_rows(json!({"index": "edges", "time_field": field}), window, 1).await);
        }
        let expected = ["count: 1 | 1", "count: 1 | 2", "count: 1 | 2", "count: 1 | 0"];
        assert_eq!(counts, expected, "{field}");
    }
}

#[tokio::test]
async fn more_groups_than_a_page_come_whole_or_not_at_all() {
    let fields =
        json!({"@timestamp": {"type": "date"}, "user": {"type": "keyword"}, "n": {"type": "integer"}});
    let documents = (0..5_100)
        .map(|i| json!({"@timestamp": "2023-11-14T22:13:30Z", "user": format!("u{:04}", i % 2_550), "n": i}));
    index("many", fields, documents).await;
    let query = json!({"index": "many", "by": ["user"], "metrics": {"n": {"sum": "n"}}});
    let mut users = spec("orders");
    users.labels = vec!["user".into()];
    users.values = vec![value("orders.count", "count"), value("orders.n", "n")];
    let asked = asked(query.clone());
    let request =
        SampleRequest { query: &asked, window: window(), max_rows: 2_550, timeout: Duration::from_secs(30) };
    let rows = source().sample(&request).await.unwrap();
    let mapped = map_rows(&users, &rows).unwrap();
    assert_eq!((rows.rows.len(), mapped.samples.len(), mapped.missing), (2_550, 5_100, 0));
    let sum = |metric: &str| -> f64 {
        let of = mapped.samples.iter().filter(|sample| &*sample.series.metric == metric);
        of.map(|sample| sample.value).sum()
    };
    assert_eq!((sum("orders.count"), sum("orders.n")), (5_100.0, 13_002_450.0));
    insta::assert_snapshot!(sample_rows(query, window(), 2_549).await, @"Invalid Permanent: SERVER/: index `many`: more than 2549 rows: group by less, choose fewer documents or raise max_rows");
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    index("told", order_fields(), orders()).await;
    let of = |more: Value| {
        let mut query = json!({"index": "told"});
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        query
    };
    let shown = [
        sample(json!({"index": "nowhere"})).await,
        sample(json!({"index": "nowhere-*"})).await,
        sample(json!({"index": "told,nowhere", "ignore_unavailable": true})).await,
        sample(json!({"index": "nowhere-*", "ignore_unavailable": true, "by": ["channel"]})).await,
        sample(json!({"index": "nowhere-*", "ignore_unavailable": true, "metrics": {"n": {"sum": "n"}}}))
            .await,
        sample(of(json!({"query": {"trem": {"a": 1}}}))).await,
        sample(of(json!({"time_field": "@timstamp"}))).await,
        sample(of(json!({"time_field": "channel", "by": ["paid"]}))).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    Error Permanent: SERVER/: index `nowhere`: HTTP 404 Not Found: index_not_found_exception: no such index [nowhere]
    Error Permanent: SERVER/: index `nowhere-*`: HTTP 404 Not Found: index_not_found_exception: no such index [nowhere-*]
    count: 1 | 5
    channel count: 0 | 
    count n: 1 | 0 -
    Error Permanent: SERVER/: index `told`: HTTP 400 Bad Request: parsing_exception: unknown query [trem]
    Error Permanent: SERVER/: index `told`: there is no time field `@timstamp`: name one that is a date
    Error Permanent: SERVER/: index `told`: the time field `channel` is of the type keyword, which is no date
    "#);
    // In the server's own words, which differ from version to version.
    for (more, words) in [
        (json!({"query": "a AND ("}), &["HTTP 400", "Failed to parse query [a AND (]", "Encountered"][..]),
        (json!({"metrics": {"a": {"sum": "note"}}}), &["HTTP 400", "Text fields are not optimised"]),
        (json!({"by": ["note"]}), &["HTTP 400", "Text fields are not optimised"]),
        (
            json!({"metrics": {"a": {"sum": {"field": "amount", "nosuch": 1}}}}),
            &["HTTP 400", "unknown field [nosuch]"],
        ),
    ] {
        let message = sample(of(more.clone())).await;
        assert!(message.starts_with("Error Permanent: SERVER/: index `told`: "), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{more}: {message}");
    }
}

#[tokio::test]
async fn a_probe_tells_the_version() {
    let report = source().probe().await.unwrap();
    assert!(report.detail.contains(SEARCH.detail("version")), "{report:?}");
}

/// A search that takes the server long: each of its filters looks at every term.
fn endless(index: &str) -> Value {
    let filter =
        |i: usize| json!({"filter": {"wildcard": {"text": {"value": format!("*a*b*c*d*e*f*g*h*z{i}*")}}}});
    let metrics: serde_json::Map<String, Value> = (0..500).map(|i| (format!("m{i}"), filter(i))).collect();
    json!({"index": index, "time_field": null, "metrics": metrics})
}

/// Of each search of the index that runs on the server, whether it has been told to stop.
async fn cancelled(index: &str) -> Vec<bool> {
    let tasks = call("GET", "/_tasks?detailed=true&actions=*data/read/search", JSON, String::new()).await;
    let nodes = tasks["nodes"].as_object().unwrap().values();
    let tasks = nodes.flat_map(|node| node["tasks"].as_object().unwrap().values());
    let named = format!("indices[{index}]");
    let of = |task: &&Value| task["description"].as_str().is_some_and(|text| text.contains(&named));
    tasks.filter(of).map(|task| task["cancelled"] == true).collect()
}

#[tokio::test]
async fn a_dropped_future_ends_the_search_on_the_server() {
    // Always the same letters, in another order each time.
    let letters = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + u8::try_from(state >> 61).unwrap())
        };
        (0..1_000).map(|_| next()).collect::<String>()
    };
    let fields = json!({"text": {"type": "keyword"}});
    index("slow", fields, (0..1_000).map(|i| json!({"text": letters(i)}))).await;
    let search = tokio::spawn(async {
        let query = asked(endless("slow"));
        let request =
            SampleRequest { query: &query, window: window(), max_rows: 1, timeout: Duration::from_secs(600) };
        source().sample(&request).await
    });
    until_true("the search runs", async || cancelled("slow").await == [false]).await;
    search.abort();
    until_true("the search is cancelled", async || cancelled("slow").await == [true]).await;
    assert!(search.await.unwrap_err().is_cancelled());
}
