use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Clock, HumanDuration, ManualClock, Secret, Timestamp, Window};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{any, body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{HttpConfig, HttpMethod, HttpQuery, HttpSource};
use crate::ask::ask;
use crate::testing::{spec, table, until};
use crate::{Cell, Query, Rows, SampleRequest, Source, SourceError};

fn config(url: &str) -> HttpConfig {
    HttpConfig {
        url: url.into(),
        headers: BTreeMap::new(),
        basic_auth: None,
        bearer_token: None,
        bearer_token_file: None,
        tls: model::TlsConfig::default(),
        proxy_url: None,
        max_response_bytes: 1 << 20,
        connect_timeout: HumanDuration::from_secs(5),
        timezone: None,
        max_concurrent: 2,
    }
}

/// 22:13 to 22:14 UTC.
fn window() -> Window {
    Window::new(Timestamp::from_secs(1_699_999_980), Duration::from_secs(60))
}

async fn fetch(config: &HttpConfig, query: HttpQuery) -> Result<Rows, SourceError> {
    let query = Query::Http(Box::new(query));
    let request =
        SampleRequest { query: &query, window: window(), max_rows: 100, timeout: Duration::from_secs(5) };
    HttpSource::new(config).unwrap().sample(&request).await
}

fn query(yaml_like: serde_json::Value) -> HttpQuery {
    serde_json::from_value(yaml_like).unwrap()
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// The error of an answer, the server's address taken out.
async fn error(answer: ResponseTemplate, asked: serde_json::Value) -> String {
    let server = answering(answer).await;
    let error = fetch(&config(&server.uri()), query(asked)).await.unwrap_err();
    format!("{:?} {:?}: {}", error.reason, error.persistence, error.message.replace(&server.uri(), ""))
}

async fn rows(body: &str, asked: serde_json::Value) -> String {
    let server = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    table(&fetch(&config(&server.uri()), query(asked)).await.unwrap())
}

#[tokio::test]
async fn the_request_carries_the_window_and_who_asks() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v1/2023-11-14%2022:13:00/stats"))
        .and(query_param("from", "2023-11-14T22:13:00Z"))
        .and(query_param("q", "a&b=1699999980000"))
        .and(header("x-api-key", "k3y-of-the-source"))
        .and(header("x-until", "1700000040"))
        .and(header("authorization", "Basic dGlkZTptYXJrIQ=="))
        .and(header("content-type", "application/json"))
        .and(body_string(r#"{"end": "2023-11-14T22:14:00Z"}"#))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"n": 4}"#))
        .mount(&server)
        .await;
    let mut config = config(&format!("{}/api/", server.uri()));
    config.headers = [("X-Api-Key".to_owned(), Secret::new("k3y-of-the-source"))].into();
    config.basic_auth = Some(super::BasicAuth {
        username: "tide".into(),
        password: Some(Secret::new("mark!")),
        password_file: None,
    });
    let asked = query(serde_json::json!({
        "method": "POST", "path": "/v1/{{ start_text }}/stats",
        "params": {"from": "{{ start }}", "q": "a&b={{start_ms}}"},
        "headers": {"X-Until": "{{ end_s }}"}, "body": r#"{"end": "{{ end }}"}"#,
    }));
    assert_eq!(asked.method, HttpMethod::Post);
    assert_eq!(table(&fetch(&config, asked).await.unwrap()), "n: 1 | 4");
}

#[tokio::test]
async fn a_token_file_is_read_again_for_each_request() {
    let server = MockServer::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut config = config(&server.uri());
    config.bearer_token_file = Some(file.path().display().to_string());
    let source = HttpSource::new(&config).unwrap();
    let asked = Query::Http(Box::new(query(serde_json::json!({"number": true}))));
    let request =
        SampleRequest { query: &asked, window: window(), max_rows: 1, timeout: Duration::from_secs(5) };
    for (token, number) in [("first", "1"), ("second", "2")] {
        let wanted = format!("Bearer {token}");
        let answer = ResponseTemplate::new(200).set_body_string(number);
        Mock::given(header("authorization", wanted.as_str())).respond_with(answer).mount(&server).await;
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        assert_eq!(source.sample(&request).await.unwrap().rows, [[Cell::Text(number.into())]]);
    }
    drop(file);
    let missing = source.sample(&request).await.unwrap_err();
    assert!(missing.message.contains("cannot read the secret file"), "{missing}");
}

#[tokio::test]
async fn rows_come_out_of_json_csv_and_plain_numbers() {
    let nested = r#"{"data": [{"ch": "app", "s": {"n": 3, "a": 1.5}}, {"ch": "web", "s": {"n": null}}]}"#;
    let columns = serde_json::json!({"channel": "$.ch", "n": "$.s.n", "a": "$.s.a"});
    let json = |rows: &str| serde_json::json!({"json": {"rows": rows}});
    let shown = [
        rows(nested, serde_json::json!({"json": {"rows": "$.data[*]", "columns": columns}})).await,
        rows(nested, serde_json::json!({"json": {"rows": "$.data", "columns": {"n": "$.s.n"}}})).await,
        rows(nested, json("$.data[?@.ch == 'app']")).await,
        rows(
            r#"[[1700000000, "3.5"]]"#,
            serde_json::json!({"json": {"rows": "$[*]", "columns": {"v": "$[1]"}}}),
        )
        .await,
        rows("[1, 2.5, 18446744073709551615]", serde_json::json!({})).await,
        rows("7", serde_json::json!({})).await,
        rows("[]", serde_json::json!({})).await,
        rows(r#"[{"a": 1}, {"b": true, "deep": {"x": 1}}]"#, serde_json::json!({})).await,
        rows(r#"{"code": 0, "error": null, "n": 2}"#, serde_json::json!({"error_path": "$['code','error']"}))
            .await,
        rows("\u{feff}channel;n\napp;3\n\"we;b\";\n", serde_json::json!({"csv": {"delimiter": ";"}})).await,
        rows("app,3\nweb,4\n", serde_json::json!({"csv": {"header": false}})).await,
        rows("app,3\n", serde_json::json!({"csv": {"header": false, "columns": ["channel", "n"]}})).await,
        rows("", serde_json::json!({"csv": {}})).await,
        rows(" 42.5 \n", serde_json::json!({"number": true})).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
        a channel n: 2 | 1.5 "app" 3 / - "web" -
        n: 2 | 3 / -
        ch: 1 | "app"
        v: 1 | "3.5"
        value: 3 | 1 / 2.5 / u18446744073709551615
        value: 1 | 7
        : 0 | 
        a b: 2 | 1 - / - true
        code error n: 1 | 0 - 2
        channel n: 2 | "app" "3" / "we;b" -
        c1 c2: 2 | "app" "3" / "web" "4"
        channel n: 1 | "app" "3"
        : 0 | 
        value: 1 | "42.5"
        "#);
}

#[tokio::test]
async fn what_is_no_answer_says_why() {
    let ok = |body: &str| ResponseTemplate::new(200).set_body_string(body);
    let raw = |body: &[u8]| ResponseTemplate::new(200).set_body_bytes(body);
    let code = |code: u16, body: &str| ResponseTemplate::new(code).set_body_string(body);
    let none = || serde_json::json!({});
    let many: Vec<u32> = (0..200).collect();
    let redirect = |to: &str| ResponseTemplate::new(302).insert_header("Location", to);
    let shown = [
        error(code(500, "<h1>broken</h1>\n\u{1b}[31mred"), none()).await,
        error(code(404, ""), none()).await,
        error(code(401, "who is k3y-secret?"), serde_json::json!({"headers": {"X-Key": "k3y-secret"}})).await,
        error(ok("<html>login</html>"), none()).await,
        error(ok("{\"n\": 1e999}"), none()).await,
        error(raw(b"{\"n\": \"\xff\"}"), none()).await,
        error(ok(&"[".repeat(100_000)), none()).await,
        error(ok("[[1, 2]]"), none()).await,
        error(ok(r#"{"a": {"b": 1}}"#), serde_json::json!({"json": {"columns": {"a": "$.a"}}})).await,
        error(ok(r#"{"a": [1, 2]}"#), serde_json::json!({"json": {"columns": {"a": "$.a[*]"}}})).await,
        error(ok(&serde_json::to_string(&many).unwrap()), none()).await,
        error(ok(r#"{"error": {"type": "overload"}}"#), serde_json::json!({"error_path": "$.error"})).await,
        error(ok("a,b\n1\n"), serde_json::json!({"csv": {}})).await,
        error(ok("1,2\n"), serde_json::json!({"csv": {"header": false, "columns": ["a"]}})).await,
        error(ok(&"x".repeat(2 << 20)), none()).await,
        error(redirect("/again"), none()).await,
        error(redirect("http://127.0.0.2:9/steal"), none()).await,
        error(ok("1"), serde_json::json!({"path": "/{{ begin }}"})).await,
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
        Error Transient: /: HTTP 500 Internal Server Error: <h1>broken</h1> \u{1b}[31mred
        Error Permanent: /: HTTP 404 Not Found
        Error Permanent: /: HTTP 401 Unauthorized: who is <secret>?
        Invalid Permanent: /: answer is not JSON: expected value at line 1 column 1; it begins with `<html>login</html>`
        Invalid Permanent: /: answer is not JSON: number out of range at line 1 column 11; it begins with `{"n": 1e999}`
        Invalid Permanent: /: answer is not UTF-8: byte 8 is wrong
        Invalid Permanent: /: answer is not JSON: recursion limit exceeded at line 1 column 128; it begins with `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…`
        Invalid Permanent: /: row 1 is a list: name its cells under `columns`
        Invalid Permanent: /: column `a`, row 1: an object is no scalar
        Invalid Permanent: /: column `a`, row 1: its path finds 2 values
        Invalid Permanent: /: more than 100 rows: aggregate in the API or raise max_rows
        Error Transient: /: answer says at $.error: {"type":"overload"}
        Invalid Permanent: /: answer is not CSV: CSV error: record 1 (line: 2, byte: 4): found record with 1 fields, but the previous record has 2 fields
        Invalid Permanent: /: row 1 has 2 fields instead of 1
        Invalid Permanent: /: answer is larger than 1048576 bytes (max_response_bytes)
        Error Permanent: /: error following redirect: more than 5 redirects
        Error Permanent: /: error following redirect: redirected to http://127.0.0.2:9, which is another host: write its address
        Error Permanent: unknown placeholder `begin`: there are start, end, start_ms, end_ms, start_s, end_s, start_text, end_text
        "#);
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_heard() {
    for (name, value, expected) in [
        ("Retry-After", "7", Some(7)),
        ("Retry-After", "Mon, 02 Mar 2026 10:00:30 GMT", Some(30)),
        ("Retry-After", "soon", None),
        ("Retry-After", "999999999", Some(3_600)),
    ] {
        let answer = ResponseTemplate::new(503)
            .insert_header(name, value)
            .insert_header("Date", "Mon, 02 Mar 2026 10:00:00 GMT");
        let server = answering(answer).await;
        let error = fetch(&config(&server.uri()), HttpQuery::default()).await.unwrap_err();
        assert_eq!(error.retry_after, expected.map(Duration::from_secs), "{value}");
        assert!(error.is_transient());
    }
}

/// What a server does after its head.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// Nothing, for ever.
    Silence,
    /// A byte now and then.
    Drip,
    /// Bytes without end, as fast as they are read.
    Flood,
}

/// A server that answers one request without end.
async fn endless(body: Body) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let flood = format!("10000\r\n{}\r\n", "0".repeat(0x10000));
        loop {
            let sent = match body {
                Body::Silence => std::future::pending().await,
                Body::Drip => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    stream.write_all(b"1\r\n0\r\n").await
                }
                Body::Flood => stream.write_all(flood.as_bytes()).await,
            };
            if sent.is_err() {
                return;
            }
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_never_ends_costs_its_deadline_and_its_place_is_freed() {
    for body in [Body::Silence, Body::Drip] {
        let source = HttpSource::new(&config(&endless(body).await)).unwrap();
        let mut hung = spec("hung");
        hung.query = Query::Http(Box::default());
        let manual = ManualClock::new(Timestamp::from_secs(0));
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let places = source.server.places();
        let driver = tokio::spawn(async move {
            until("the request runs", || places.available_permits() == 1 && manual.sleepers() > 0).await;
            manual.advance(Duration::from_secs(10));
        });
        let asked = ask(&source, &hung, window(), &clock).await;
        driver.await.unwrap();
        assert_eq!(
            asked.result.unwrap_err().to_string(),
            "source `shop` did not answer within 10s",
            "{body:?}"
        );
        until("the place is free", || source.server.places().available_permits() == 2).await;
    }
}

#[tokio::test]
async fn an_answer_without_end_and_a_bomb_are_cut_at_the_limit_of_what_comes_out() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, &vec![b'0'; 32 << 20]).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let answer = ResponseTemplate::new(200).insert_header("Content-Encoding", "gzip").set_body_bytes(bomb);
    let server = answering(answer).await;
    for address in [server.uri(), endless(Body::Flood).await] {
        let error = fetch(&config(&address), HttpQuery::default()).await.unwrap_err();
        assert!(
            error.message.ends_with("answer is larger than 1048576 bytes (max_response_bytes)"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = fetch(&config(&address), HttpQuery::default()).await.unwrap_err();
    assert_eq!(error.reason, model::MissedReason::Unreachable);
    let message = error.message.replace(&address, "");
    insta::assert_snapshot!(message, @"/: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)");
    assert!(HttpSource::new(&config(&address)).unwrap().probe().await.is_err());
}

#[tokio::test]
async fn parameters_that_a_server_echoes_are_not_shown() {
    let asked = serde_json::json!({
        "path": "stats?key=p4th/s3cret", "params": {"token": "p4r4m s3cret", "from": "{{ start }}"}
    });
    let echo = "wrong: /stats?key=p4th%2Fs3cret&token=p4r4m+s3cret&from=2023-11-14T22%3A13%3A00Z, that is p4r4m s3cret";
    for (code, body) in
        [(400, echo.to_owned()), (200, echo.to_owned()), (400, "x".repeat(190) + "p4r4m s3cret")]
    {
        let told = error(ResponseTemplate::new(code).set_body_string(body), asked.clone()).await;
        assert!(!told.contains("s3cr") && !told.contains("p4r4m") && !told.contains("p4th"), "{told}");
    }
    let told = error(ResponseTemplate::new(400).set_body_string(echo), asked).await;
    insta::assert_snapshot!(told, @"Error Permanent: /stats: HTTP 400 Bad Request: wrong: /stats?key=<secret>&token=<secret>&from=2023-11-14T22%3A13%3A00Z, that is <secret>");
}

#[tokio::test]
async fn a_probe_tells_whether_we_are_let_in() {
    let good = [200, 204, 400, 405, 429].map(|code| (code, true));
    for (code, good) in good.into_iter().chain([401, 403, 404, 410, 500, 503].map(|code| (code, false))) {
        let server = answering(ResponseTemplate::new(code)).await;
        let report = HttpSource::new(&config(&server.uri())).unwrap().probe().await;
        assert_eq!(report.is_ok(), good, "{code}: {report:?}");
    }
}

#[test]
fn wrong_sections_and_queries_say_what_is_wrong() {
    let mut wrong = config("ftp://user@host/x?y");
    wrong.headers = [("bad name".to_owned(), Secret::new("x")), ("X".to_owned(), Secret::new("a\nb"))].into();
    wrong.bearer_token = Some(Secret::new("t"));
    wrong.bearer_token_file = Some("t".into());
    wrong.basic_auth = Some(super::BasicAuth { username: "u".into(), password: None, password_file: None });
    wrong.timezone = Some("Nowhere".into());
    wrong.max_response_bytes = 0;
    let asked = query(serde_json::json!({
        "path": "http://elsewhere/", "params": {"a": "{{ begin }}"}, "headers": {"X": "{{"}, "body": "{{ x }}",
        "error_path": "error", "json": {"rows": "$[", "columns": {"n": "$..a..b..c"}},
        "csv": {"delimiter": "，", "columns": ["a"]}, "number": true,
    }));
    let mut problems = super::validate(&wrong);
    for url in ["http://user:pw@host", "http://host/?a=b", "nothing", "http://"] {
        problems.extend(super::validate(&config(url)));
    }
    problems.extend(super::validate_query(&asked));
    let shown: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.path.join("."), problem.message)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
        http.url: scheme `ftp` is neither http nor https
        http.headers.X: the value of header `X` holds characters that cannot be sent
        http.headers.bad name: `bad name` is not a header name
        http.max_response_bytes: max_response_bytes is not between 1 and 1073741824
        http.basic_auth: there is a bearer token too: keep one
        http.bearer_token_file: there is a bearer_token too: keep one
        http.timezone: `Nowhere` is not a time zone: write for example Asia/Shanghai or UTC
        http.url: user name and password have keys of their own, they do not belong into the address
        http.url: parameters belong into the query, not into the address
        http.url: `nothing` is not an address: relative URL without a base
        http.url: `http://` is not an address: empty host
        query.http.path: path is an address of its own: the host belongs into the source's url
        query.http.params.a: unknown placeholder `begin`: there are start, end, start_ms, end_ms, start_s, end_s, start_text, end_text
        query.http.headers.X: `{{` is not closed by `}}`
        query.http.body: unknown placeholder `x`: there are start, end, start_ms, end_ms, start_s, end_s, start_text, end_text
        query.http.error_path: `error` is not a JSONPath: at character 1: parser error
        query.http: `json`, `csv` and `number` exclude each other: keep one
        query.http.json.rows: `$[` is not a JSONPath: at character 2: parser error
        query.http.json.columns.n: JSONPath has more than 2 `..`
        query.http.csv.delimiter: delimiter is not one ASCII character other than a quote
        query.http.csv.columns: columns are named by the header: write `header: false` or leave them
        "#);
}
