use std::time::Duration;

use model::{Timestamp, Window};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake_search::{Asked, FakeSearch, answer, groups, refusal};
use super::{ElasticsearchConfig, ElasticsearchQuery, ElasticsearchSource};
use crate::testing::table;
use crate::{Query, Rows, SampleRequest, Source, SourceError};

fn config(url: &str, more: Value) -> ElasticsearchConfig {
    let mut config = json!({"url": url, "max_response_bytes": 1 << 20, "max_concurrent": 2});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn query(query: Value) -> ElasticsearchQuery {
    serde_json::from_value(query).unwrap()
}

/// 22:13 to 22:14 UTC.
fn window() -> Window {
    Window::new(Timestamp::from_secs(1_699_999_980), Duration::from_secs(60))
}

/// What the source makes of the server's answers, at most `max_rows` rows.
async fn sample_rows(fake: &FakeSearch, asked: Value, max_rows: usize) -> Result<Rows, SourceError> {
    let source = ElasticsearchSource::new(&config(&fake.url(), json!({}))).unwrap();
    let query = Query::Elasticsearch(Box::new(query(asked)));
    let request =
        SampleRequest { query: &query, window: window(), max_rows, timeout: Duration::from_secs(5) };
    source.sample(&request).await
}

async fn sample(answers: Vec<ResponseTemplate>, asked: Value) -> Result<Rows, SourceError> {
    sample_rows(&FakeSearch::start(answers).await, asked, 2_000).await
}

/// The error of an answer, the server's address taken out.
async fn error(answer: ResponseTemplate, asked: Value) -> String {
    let fake = FakeSearch::start([answer]).await;
    let error = sample_rows(&fake, asked, 3).await.unwrap_err();
    told(&error, &fake.url())
}

fn told(error: &SourceError, url: &str) -> String {
    let wait = error.retry_after.map(|wait| format!(" in {wait:?}")).unwrap_or_default();
    format!("{:?} {:?}{wait}: {}", error.reason, error.persistence, error.message.replace(url, "SERVER"))
}

fn line(asked: &Asked) -> String {
    format!("{}\n{}", asked.line, asked.body)
}

#[tokio::test]
async fn a_search_counts_everything_in_the_window_and_asks_for_all_or_nothing() {
    let total = json!({"hits": {"total": {"value": 12_345, "relation": "eq"}}});
    let fake = FakeSearch::start([answer(total)]).await;
    let rows = sample_rows(&fake, json!({"index": "orders-*,<old-{now/d}>"}), 1).await.unwrap();
    insta::assert_snapshot!(table(&rows), @"count: 1 | 12345");
    insta::assert_snapshot!(line(&fake.ledger()[0]), @r#"
    POST /orders-*,%3Cold-%7Bnow%2Fd%7D%3E/_search?ignore_unavailable=false&allow_no_indices=false&allow_partial_search_results=false
    {"size":0,"track_total_hits":true,"timeout":"5000ms","query":{"bool":{"filter":[{"range":{"@timestamp":{"gte":1699999980000,"lt":1700000040000,"format":"epoch_millis"}}}]}}}
    "#);
}

#[tokio::test]
async fn groups_come_page_by_page_until_there_are_no_more() {
    let bucket = |channel: &str, paid: Value, count: u64, amount: Value| {
        json!({
            "key": {"channel": channel, "paid": paid}, "doc_count": count, "amount": {"value": amount},
            "wait": {"values": [{"key": 50.0, "value": 1.5}, {"key": 99.9, "value": "NaN"}]},
            "failed": {"doc_count": 1}, "n": {"count": 2, "min": 1.0, "max": 2.0, "avg": 1.5, "sum": 3.0},
        })
    };
    let after = json!({"channel": "app", "paid": null});
    let full = (0..999).map(|n| bucket(&format!("c{n:03}"), json!(false), 1, Value::Null));
    let full: Vec<Value> = full.chain([bucket("app", Value::Null, 3, json!(10.25))]).collect();
    let rest = json!([bucket("web", json!(true), 4, json!(7))]);
    let fake =
        FakeSearch::start([groups(json!(full), after.clone()), groups(rest, json!({"channel": "web"}))])
            .await;
    let asked = json!({
        "index": "orders", "query": {"term": {"test": false}}, "time_field": "at",
        "by": ["channel", {"name": "paid", "field": "is_paid", "missing_bucket": false}],
        "metrics": {
            "amount": {"sum": {"field": "amount", "missing": 0}}, "failed": {"filter": "status:failed"},
            "n": {"stats": "n"}, "wait": {"percentiles": {"field": "wait", "percents": [50, 99.9]}},
        },
    });
    let rows = sample_rows(&fake, asked, 2_000).await.unwrap();
    assert_eq!(rows.rows.len(), 1_001);
    let last = Rows { columns: rows.columns, rows: rows.rows[999..].to_vec() };
    insta::assert_snapshot!(table(&last), @r#"channel paid count amount failed n_count n_min n_max n_avg n_sum wait_p50 wait_p99_9: 2 | "app" - 3 10.25 1 2 1.0 2.0 1.5 3.0 1.5 - / "web" true 4 7 1 2 1.0 2.0 1.5 3.0 1.5 -"#);
    let ledger = fake.ledger();
    assert_eq!(ledger.len(), 2, "{ledger:?}");
    insta::assert_snapshot!(line(&ledger[0]), @r#"
    POST /orders/_search?ignore_unavailable=false&allow_no_indices=false&allow_partial_search_results=false
    {"size":0,"track_total_hits":false,"timeout":"5000ms","query":{"bool":{"filter":[{"range":{"at":{"gte":1699999980000,"lt":1700000040000,"format":"epoch_millis"}}},{"term":{"test":false}}]}},"aggs":{"groups":{"composite":{"size":1000,"sources":[{"channel":{"terms":{"field":"channel","missing_bucket":true}}},{"paid":{"terms":{"field":"is_paid","missing_bucket":false}}}]},"aggs":{"amount":{"sum":{"field":"amount","missing":0}},"failed":{"filter":{"query_string":{"query":"status:failed"}}},"n":{"stats":{"field":"n"}},"wait":{"percentiles":{"field":"wait","percents":[50.0,99.9],"keyed":false}}}}}}
    "#);
    assert_eq!(ledger[1].body["aggs"]["groups"]["composite"]["after"], after);
}

#[tokio::test]
async fn a_snapshot_has_no_window_and_missing_indices_may_be_fine() {
    let fake = FakeSearch::start([answer(json!({}))]).await;
    let asked =
        json!({"index": "carts", "time_field": null, "query": "open:true", "ignore_unavailable": true});
    assert_eq!(sample_rows(&fake, asked, 1).await.unwrap().rows.len(), 1);
    insta::assert_snapshot!(line(&fake.ledger()[0]), @r#"
    POST /carts/_search?ignore_unavailable=true&allow_no_indices=true&allow_partial_search_results=false
    {"size":0,"track_total_hits":true,"timeout":"5000ms","query":{"bool":{"filter":[{"query_string":{"query":"open:true"}}]}}}
    "#);
}

#[tokio::test]
async fn more_rows_than_allowed_are_an_error_soon() {
    let buckets: Vec<Value> = (0..4).map(|n| json!({"key": {"n": n}, "doc_count": 1})).collect();
    let fake = FakeSearch::start([groups(json!(buckets), json!({"n": 3}))]).await;
    let error = sample_rows(&fake, json!({"index": "orders", "by": ["n"]}), 3).await.unwrap_err();
    insta::assert_snapshot!(told(&error, &fake.url()), @"Invalid Permanent: SERVER/: index `orders`: more than 3 rows: group by less, choose fewer documents or raise max_rows");
    assert_eq!(fake.ledger()[0].body["aggs"]["groups"]["composite"]["size"], 4);
    // A server that says for ever that there is more.
    let fake = FakeSearch::start([groups(json!(vec![&buckets[0]; 1_000]), json!({"n": 0}))]).await;
    let error = sample_rows(&fake, json!({"index": "orders", "by": ["n"]}), 2_500).await.unwrap_err();
    assert!(error.message.contains("more than 2500 rows"), "{error}");
    assert_eq!(fake.ledger().len(), 3);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let plain = || json!({"index": "orders"});
    let grouped = || json!({"index": "orders", "by": ["n"]});
    let failed = json!({"total": 5, "successful": 4, "failed": 1, "failures": [
        {"shard": 3, "index": "orders-7", "reason": {"type": "circuit_breaking_exception", "reason": "Data too large"}},
    ]});
    let sum = json!({"index": "orders", "metrics": {"amount": {"sum": "amount"}}});
    let wait =
        json!({"index": "orders", "metrics": {"wait": {"percentiles": {"field": "wait", "percents": [95]}}}});
    let aggregations = |of: Value| answer(json!({"aggregations": of}));
    let about = json!({"hits": {"total": {"value": 10_000, "relation": "gte"}}});
    let clusters = json!({"total": 2, "successful": 1, "skipped": 1});
    let raw = |text: &str| ResponseTemplate::new(200).set_body_string(text);
    let shown = [
        error(answer(json!({ "_shards": failed })), plain()).await,
        error(answer(json!({"_shards": {"total": 5, "failed": 5}})), plain()).await,
        error(answer(json!({"timed_out": true})), plain()).await,
        error(answer(json!({"_clusters": clusters})), plain()).await,
        error(answer(about), plain()).await,
        error(answer(json!({"hits": {}})), plain()).await,
        error(answer(json!({"hits": {"total": 7}})), plain()).await,
        error(answer(json!({})), grouped()).await,
        error(groups(json!([{"doc_count": 1, "key": {}}]), Value::Null), grouped()).await,
        error(groups(json!([{"key": {"n": 1}}]), Value::Null), grouped()).await,
        error(answer(json!({})), sum.clone()).await,
        error(aggregations(json!({"amount": {"sum": 1}})), sum).await,
        error(aggregations(json!({"wait": {"values": [{"key": 50.0, "value": 1}]}})), wait).await,
        error(raw(r#"{"took": 1, "timed_out": false, "_shards": {"total": 1, "fai"#), plain()).await,
        error(raw(r#"{"ok": true}"#), plain()).await,
        error(raw("<html>login</html>"), plain()).await,
        error(raw(""), plain()).await,
        error(raw(&"[".repeat(100_000)), plain()).await,
        error(raw(&"x".repeat(2 << 20)), plain()).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    Error Transient: SERVER/: index `orders`: 1 of 5 shards failed; the first, of `orders-7`: circuit_breaking_exception: Data too large
    Error Transient: SERVER/: index `orders`: 5 of 5 shards failed
    Timeout Permanent: SERVER/: index `orders`: the server ran out of time and answered with what it had until then
    Error Transient: SERVER/: index `orders`: 1 of 2 clusters did not answer in full
    Invalid Permanent: SERVER/: index `orders`: answer counts the documents only about
    Invalid Permanent: SERVER/: index `orders`: answer does not count the documents
    Invalid Permanent: SERVER/: index `orders`: answer is not what it should be: invalid type: integer `7`, expected struct Total at line 1 column 105; it begins with `{"took":3,"timed_out":false,"_shards":{"total":2,"successful…`
    Invalid Permanent: SERVER/: index `orders`: answer has no groups
    Invalid Permanent: SERVER/: index `orders`: answer has a group whose key lacks `n`
    Invalid Permanent: SERVER/: index `orders`: answer has a group without `doc_count`
    Invalid Permanent: SERVER/: index `orders`: answer lacks the metric `amount`
    Invalid Permanent: SERVER/: index `orders`: answer has no numbers for the metric `amount`
    Invalid Permanent: SERVER/: index `orders`: answer has no numbers for the metric `wait`
    Invalid Permanent: SERVER/: index `orders`: answer is not JSON: EOF while parsing a string at line 1 column 60; it begins with `{"took": 1, "timed_out": false, "_shards": {"total": 1, "fai`
    Invalid Permanent: SERVER/: index `orders`: answer is not what it should be: missing field `timed_out` at line 1 column 12; it begins with `{"ok": true}`
    Invalid Permanent: SERVER/: index `orders`: answer is not JSON: expected value at line 1 column 1; it begins with `<html>login</html>`
    Invalid Permanent: SERVER/: index `orders`: answer is not JSON: EOF while parsing a value at line 1 column 0; it begins with ``
    Invalid Permanent: SERVER/: index `orders`: answer is not what it should be: invalid type: sequence, expected a boolean at line 1 column 1; it begins with `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…`
    Invalid Permanent: SERVER/: index `orders`: answer is larger than 1048576 bytes (max_response_bytes)
    "#);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_with_its_reason() {
    let plain = || json!({"index": "orders-*"});
    let busy = |status: u16| {
        let kind = "es_rejected_execution_exception";
        refusal(status, kind, "rejected execution of search").insert_header("Retry-After", "7")
    };
    let shards = json!({"error": {
        "root_cause": [{"type": "query_shard_exception", "reason": "Failed to parse query [a AND (]"}],
        "type": "search_phase_execution_exception", "reason": "all shards failed",
        "failed_shards": [{"shard": 0, "index": "orders-1", "reason": {
            "type": "query_shard_exception", "reason": "Failed to parse query [a AND (]",
            "caused_by": {"type": "parse_exception", "reason": "Cannot parse",
                "caused_by": {"type": "parse_exception", "reason": "Encountered \"<EOF>\" at line 1"}},
        }}],
    }, "status": 400});
    let buckets = json!({"error": {
        "root_cause": [], "type": "search_phase_execution_exception", "reason": "", "failed_shards": [],
        "caused_by": {"type": "too_many_buckets_exception", "reason": "Trying to create too many buckets"},
    }, "status": 503});
    let json = |status: u16, body: Value| ResponseTemplate::new(status).set_body_json(body);
    let text = |status: u16, text: &str| ResponseTemplate::new(status).set_body_string(text);
    let long = "x".repeat(100_000);
    let shown = [
        error(busy(429), plain()).await,
        error(busy(503), plain()).await,
        error(json(400, shards), plain()).await,
        error(json(503, buckets), plain()).await,
        error(refusal(404, "index_not_found_exception", "no such index [orders-*]"), plain()).await,
        error(refusal(401, "security_exception", "missing authentication credentials"), plain()).await,
        error(refusal(403, "security_exception", "action [search] is unauthorized for user [tide]"), plain())
            .await,
        error(refusal(400, "parsing_exception", &format!("unknown\nquery\u{1b}[31m {long}")), plain()).await,
        error(json(405, json!({"error": "Incorrect HTTP method", "status": 405})), plain()).await,
        error(text(401, "Unauthorized"), plain()).await,
        error(text(502, &format!("<html>{long}")), plain()).await,
        error(text(500, r#"{"error": {"type": "#), plain()).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    Error Transient in 7s: SERVER/: index `orders-*`: HTTP 429 Too Many Requests: es_rejected_execution_exception: rejected execution of search
    Error Transient in 7s: SERVER/: index `orders-*`: HTTP 503 Service Unavailable: es_rejected_execution_exception: rejected execution of search
    Error Permanent: SERVER/: index `orders-*`: HTTP 400 Bad Request: query_shard_exception: Failed to parse query [a AND (], caused by parse_exception: Encountered "<EOF>" at line 1
    Error Permanent: SERVER/: index `orders-*`: HTTP 503 Service Unavailable: too_many_buckets_exception: Trying to create too many buckets
    Error Permanent: SERVER/: index `orders-*`: HTTP 404 Not Found: index_not_found_exception: no such index [orders-*]
    Error Permanent: SERVER/: index `orders-*`: HTTP 401 Unauthorized: security_exception: missing authentication credentials
    Error Permanent: SERVER/: index `orders-*`: HTTP 403 Forbidden: security_exception: action [search] is unauthorized for user [tide]
    Error Permanent: SERVER/: index `orders-*`: HTTP 400 Bad Request: parsing_exception: unknown query\u{1b}[31m xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    Error Permanent: SERVER/: index `orders-*`: HTTP 405 Method Not Allowed: Incorrect HTTP method
    Error Permanent: SERVER/: index `orders-*`: HTTP 401 Unauthorized: Unauthorized
    Error Transient: SERVER/: index `orders-*`: HTTP 502 Bad Gateway: <html>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    Error Transient: SERVER/: index `orders-*`: HTTP 500 Internal Server Error: {"error": {"type":
    "#);
}

#[tokio::test]
async fn who_we_are_is_said_as_the_server_wants_it_and_nowhere_else() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret-in-file\n").unwrap();
    let path = file.path().display().to_string();
    let table = [
        (json!({"username": "tide", "password": "mark!-s3cret"}), "Basic dGlkZTptYXJrIS1zM2NyZXQ="),
        (json!({"username": "tide", "password_file": path}), "Basic dGlkZTpzM2NyZXQtaW4tZmlsZQ=="),
        (json!({"api_key": "aWQ6czNjcmV0"}), "ApiKey aWQ6czNjcmV0"),
        (json!({"api_key": "id:s3cret"}), "ApiKey aWQ6czNjcmV0"),
        (json!({"api_key_file": path}), "ApiKey s3cret-in-file"),
        (json!({"bearer_token": "s3cret"}), "Bearer s3cret"),
        (json!({"bearer_token_file": path}), "Bearer s3cret-in-file"),
        (json!({"headers": {"Authorization": "Other s3cret"}}), "Other s3cret"),
    ];
    for (credentials, header) in table {
        let found = answer(json!({"hits": {"total": {"value": 1, "relation": "eq"}}}));
        let fake = FakeSearch::start_for(Some(header), [found]).await;
        let query = Query::Elasticsearch(Box::new(query(json!({"index": "orders"}))));
        let request =
            SampleRequest { query: &query, window: window(), max_rows: 1, timeout: Duration::from_secs(5) };
        let source = ElasticsearchSource::new(&config(&fake.url(), credentials.clone())).unwrap();
        assert!(source.sample(&request).await.is_ok(), "{credentials}: {:?}", fake.ledger());

        // The refusal repeats what was sent.
        let stranger = FakeSearch::start_for(Some("Basic somebody"), [answer(json!({}))]).await;
        let config = config(&stranger.url(), credentials.clone());
        let source = ElasticsearchSource::new(&config).unwrap();
        let refused = source.sample(&request).await.unwrap_err();
        assert_eq!(stranger.ledger()[0].authorization.as_deref(), Some(header));
        assert!(refused.message.contains("HTTP 401") && refused.message.contains("<secret>"), "{refused}");
        for text in
            [refused.to_string(), format!("{config:?}"), source.probe().await.unwrap_err().to_string()]
        {
            assert!(!text.contains("s3cret") && !text.contains("czNjcmV0"), "{credentials}: {text}");
        }
    }
}

#[tokio::test]
async fn what_finds_nothing_asks_whether_its_time_field_is_there() {
    let fields = |fields: Value| {
        let body = json!({"indices": ["orders-1"], "fields": fields});
        ResponseTemplate::new(200).set_body_json(body)
    };
    let asked = || json!({"index": "orders-*", "time_field": "att", "by": ["n"]});
    let none = || groups(json!([]), Value::Null);
    let no_index = ResponseTemplate::new(200).set_body_json(json!({"indices": [], "fields": {}}));
    let told = async |capabilities: ResponseTemplate| match sample(vec![none(), capabilities], asked()).await
    {
        Ok(rows) => format!("{} rows", rows.rows.len()),
        Err(error) => error.message.split(": ").skip(1).collect::<Vec<_>>().join(": "),
    };
    let shown = [
        told(fields(json!({}))).await,
        told(fields(json!({"att": {"keyword": {}}}))).await,
        told(fields(json!({"att": {"date": {}, "keyword": {}}}))).await,
        told(fields(json!({"att": {"date_nanos": {}}}))).await,
        told(no_index).await,
        told(refusal(403, "security_exception", "no")).await,
        told(ResponseTemplate::new(200)).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    index `orders-*`: there is no time field `att`: name one that is a date
    index `orders-*`: the time field `att` is of the type keyword, which is no date
    0 rows
    0 rows
    0 rows
    0 rows
    0 rows
    "#);

    let script = [none(), fields(json!({"att": {"date": {}}})), none()];
    let fake = FakeSearch::start(script).await;
    let source = ElasticsearchSource::new(&config(&fake.url(), json!({}))).unwrap();
    let query = Query::Elasticsearch(Box::new(query(asked())));
    let request =
        SampleRequest { query: &query, window: window(), max_rows: 1, timeout: Duration::from_secs(5) };
    for _ in 0..3 {
        assert!(source.sample(&request).await.unwrap().rows.is_empty());
    }
    let lines: Vec<String> =
        fake.ledger().iter().map(|asked| asked.line.split('?').next().unwrap().to_owned()).collect();
    let search = "POST /orders-*/_search";
    assert_eq!(lines, [search, "GET /orders-*/_field_caps", search, search]);
}

#[tokio::test]
async fn a_probe_tells_the_version_where_it_can() {
    let root = |version: Value| {
        ResponseTemplate::new(200).set_body_json(json!({"cluster_name": "shop", "version": version}))
    };
    let nodes = json!({"cluster_name": "shop", "nodes": {"a1": {"version": "8.19.4"}}});
    let nodes = || ResponseTemplate::new(200).set_body_json(&nodes);
    let gone = |status: u16| ResponseTemplate::new(status);
    let mut shown = Vec::new();
    for answers in [
        vec![root(json!({"number": "7.17.9"}))],
        vec![root(json!({"number": "2.19.1", "distribution": "opensearch"}))],
        vec![gone(404), nodes()],
        vec![gone(405), nodes()],
        vec![gone(404)],
        vec![gone(405), ResponseTemplate::new(200).set_body_json(json!({}))],
        vec![refusal(403, "security_exception", "action [cluster:monitor/main] is unauthorized")],
        vec![gone(404), refusal(403, "security_exception", "no permissions")],
        vec![gone(403)],
        vec![refusal(401, "security_exception", "unable to authenticate")],
        vec![gone(503)],
        vec![ResponseTemplate::new(200).set_body_string("<html>a page</html>")],
    ] {
        let fake = FakeSearch::start(answers).await;
        let report = ElasticsearchSource::new(&config(&fake.url(), json!({}))).unwrap().probe().await;
        shown.push(match report {
            Ok(report) => format!("ok {}", report.detail.replace(&fake.url(), "SERVER")),
            Err(error) => told(&error, &fake.url()),
        });
    }
    insta::assert_snapshot!(shown.join("\n"), @r#"
    ok SERVER/: Elasticsearch 7.17.9, cluster `shop`
    ok SERVER/: OpenSearch 2.19.1, cluster `shop`
    ok SERVER/: version 8.19.4, cluster `shop`
    ok SERVER/: version 8.19.4, cluster `shop`
    Error Permanent: SERVER/: neither `/` nor `/_nodes` is there: is it a search server?
    Invalid Permanent: SERVER/: answer names no cluster: is it a search server?
    ok SERVER/: lets us in, but tells its version to those with the privilege `monitor` only
    ok SERVER/: lets us in, but does not tell its version
    Error Permanent: SERVER/: HTTP 403 Forbidden
    Error Permanent: SERVER/: HTTP 401 Unauthorized: security_exception: unable to authenticate
    Error Transient: SERVER/: HTTP 503 Service Unavailable
    Invalid Permanent: SERVER/: answer is not JSON: expected value at line 1 column 1; it begins with `<html>a page</html>`
    "#);
}

#[test]
fn wrong_sections_and_queries_say_what_is_wrong() {
    let section = |more: Value| super::check::validate(&config("https://search", more));
    let asked = |value: Value| super::check::validate_query(&query(value));
    let problems = [
        super::check::validate(&config("ftp://u:p@host/?a", json!({"max_concurrent": 0}))),
        section(json!({"username": "u"})),
        section(json!({"password": "p"})),
        section(json!({"username": "u", "password": "p", "password_file": "f", "api_key": "k"})),
        section(json!({"api_key": "k", "api_key_file": "f", "bearer_token": "t", "bearer_token_file": "f"})),
        asked(json!({"index": ""})),
        asked(json!({"index": ".."})),
        asked(json!({"index": "_cluster"})),
        asked(json!({"index": "a, b", "query": " ", "time_field": ""})),
        asked(
            json!({"index": "a", "query": {"term": {}, "bool": {}}, "by": ["channel.keyword", "channel", ""]}),
        ),
        asked(json!({"index": "a", "by": [{"name": "9", "field": "f"}], "metrics": {
            "a b": {"sum": "n"}, "b": {"avg": ""}, "c": {"max": {}}, "d": {"filter": {}},
            "e": {"percentiles": {"field": "n", "percents": []}},
            "f": {"percentiles": {"field": "n", "percents": [101]}},
        }})),
        asked(json!({"index": "a", "by": ["n"], "metrics": {"n": {"sum": "n"}}})),
        asked(json!({"index": "a", "metrics": {"count": {"sum": "n"}}})),
        asked(
            json!({"index": "_all", "time_field": null, "by": ["a", {"name": "b", "field": "b.keyword"}], "metrics": {
                "n": {"sum": {"field": "n", "missing": 0}}, "p": {"percentiles": {"field": "n"}}, "f": {"filter": "a:1"},
            }}),
        ),
    ];
    let line = |problem: &crate::Problem| format!("{}: {}", problem.path.join("."), problem.message);
    let shown: Vec<String> = problems.iter().flatten().map(line).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    elasticsearch.url: scheme `ftp` is neither http nor https
    elasticsearch.max_concurrent: max_concurrent is not between 1 and 256
    elasticsearch.username: username has no `password` or `password_file`
    elasticsearch.username: there is a password, but no `username`
    elasticsearch.api_key: `username`, `api_key` and `bearer_token` exclude each other: keep one
    elasticsearch.password_file: there is a `password` too: keep one
    elasticsearch.bearer_token: `username`, `api_key` and `bearer_token` exclude each other: keep one
    elasticsearch.api_key_file: there is an `api_key` too: keep one
    elasticsearch.bearer_token_file: there is a `bearer_token` too: keep one
    query.elasticsearch.index: index is empty: name one, or a pattern such as `orders-*`
    query.elasticsearch.index: `..` is no index
    query.elasticsearch.index: no index begins with `_`: `_cluster`
    query.elasticsearch.index: index `a, b` holds blanks
    query.elasticsearch.query: query is empty: leave it out to count all documents
    query.elasticsearch.time_field: name of the field is empty
    query.elasticsearch.query: query DSL has one key, such as `term` or `bool`, and not 2: put several into `bool: {filter: [..]}`
    query.elasticsearch.by.0: `channel.keyword` is not a label name: letters, digits and `_`, not starting with a digit: write {name: .., field: channel.keyword}
    query.elasticsearch.by.2: name of the field is empty
    query.elasticsearch.by.0: `9` is not a label name: letters, digits and `_`, not starting with a digit
    query.elasticsearch.metrics.a b: `a b` is not a column name: letters, digits, `_` and `.`
    query.elasticsearch.metrics.b: name of the field is empty
    query.elasticsearch.metrics.c: settings are empty: name at least the `field`
    query.elasticsearch.metrics.d: query DSL has one key, such as `term` or `bool`, and not 0: put several into `bool: {filter: [..]}`
    query.elasticsearch.metrics.e: percents are empty: name some, such as [95]
    query.elasticsearch.metrics.f: 101 is not between 0 and 100
    query.elasticsearch: two columns are called `n`: the columns are n, count, n
    query.elasticsearch: two columns are called `count`: the columns are count, count
    "#);
}
