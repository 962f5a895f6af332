//! The console over its fake backend, asked through a real socket.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use console::{Language, Options, router};
use fake::{FakeBackend, FakeShowcase, Mood};
use model::{ManualClock, Timestamp};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NOW: Timestamp = Timestamp::from_secs(1_790_040_010);

struct Console {
    address: std::net::SocketAddr,
    clock: ManualClock,
    backend: Arc<FakeBackend>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Console {
    async fn start() -> Self {
        let clock = ManualClock::new(NOW);
        let backend = Arc::new(FakeBackend::new(clock.clone()));
        let options =
            Options::new(Arc::new(clock.clone()), Language::En).with_showcase(Arc::new(FakeShowcase));
        let app = router(Arc::clone(&backend) as _, options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let address = listener.local_addr().expect("a bound socket has an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, clock, backend }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, "").await
    }

    async fn get_with(&self, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("the console listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("the request is taken");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(30), read).await.expect(path).expect("the answer is text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn pages(&self) -> Vec<String> {
        let mut pages = vec!["/".to_owned(), format!("/alerts/{}", self.backend.known_alert())];
        pages.extend(self.backend.known_series().into_iter().map(|id| format!("/series/{id}")));
        pages
    }
}

/// Nothing of what the fake puts into names and values has become markup, and no script or style stands in the page.
fn assert_harmless(html: &str, page: &str) {
    for script in html.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap_or_default();
        let file = tag.contains("src=\"/assets/");
        assert!(file || tag.contains("type=\"application/json\""), "{page}: inline script `{tag}`");
    }
    for bad in [
        "<script>",
        " style=",
        " onerror=alert(1)>\n",
        "<img",
        "<i>unknown",
        "<b>",
        "<u>",
        "<em>",
        "href=\"javascript:",
    ] {
        assert!(!html.contains(bad), "{page}: `{bad}`");
    }
}

#[tokio::test]
async fn every_page_is_whole_harmless_and_in_the_visitor_s_language() {
    let console = Console::start().await;
    for page in console.pages() {
        for (language, tag, word) in [("en", "en", "Overview"), ("zh", "zh-CN", "总览")] {
            let answer = console.get(&format!("{page}?lang={language}")).await;
            assert_eq!(answer.status, 200, "{page}: {}", answer.body);
            assert!(answer.body.contains(&format!("<html lang=\"{tag}\">")), "{page}");
            assert!(answer.body.contains(word), "{page}");
            assert!(!answer.body.contains("undefined") && !answer.body.contains("none</"), "{page}");
            assert_harmless(&answer.body, &page);
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            let cookie = answer.header("set-cookie").unwrap();
            assert!(cookie.starts_with(&format!("tidemark_lang={language}; ")), "{cookie}");
        }
    }
}

#[tokio::test]
async fn the_chosen_language_is_remembered_and_the_browser_s_wish_heard() {
    let console = Console::start().await;
    let remembered = console.get_with("/", "Cookie: tidemark_lang=zh\r\n").await;
    assert!(remembered.body.contains("lang=\"zh-CN\"") && remembered.header("set-cookie").is_none());
    let wished = console.get_with("/", "Accept-Language: zh-TW,zh;q=0.9\r\n").await;
    assert!(wished.body.contains("lang=\"zh-CN\""));
    assert!(console.get("/").await.body.contains("<html lang=\"en\">"));
}

#[tokio::test]
async fn an_alert_s_page_says_the_whole_reason_without_a_script() {
    let console = Console::start().await;
    let page = console.get(&format!("/alerts/{}?lang=en", console.backend.known_alert())).await.body;
    for words in [
        "Orders (app) fell to 8 per minute",
        "Same time on earlier days",
        "Grey forecast GM(1,1)",
        "Did not take part: its recent forecasts were no better than the baseline",
        "<s>38</s>",
        "<s>61</s>",
        "−7.46",
        "A promotion is on; the band is wider: double11",
        "Is it a new level?",
        "250 queued as 4XyZ",
        "runbooks.example",
    ] {
        assert!(page.contains(words), "{words} is not on the page");
    }
}

#[tokio::test]
async fn the_overview_has_everything_and_later_only_what_is_new() {
    let console = Console::start().await;
    let all = console.get("/api/v1/console/overview").await.json();
    let mut keys: Vec<&String> = all.as_object().unwrap().keys().collect();
    keys.sort();
    insta::assert_snapshot!(keys.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(" "), @"after alerts health messages metrics now series_total short speed story timezone title");
    assert_eq!(all["now"], NOW.as_millis());
    assert_eq!((all["series_total"].as_u64(), all["after"].is_null()), (Some(14), true));
    let points = |overview: &Value| overview["metrics"][0]["points"].as_array().unwrap().clone();
    let full = points(&all);
    assert_eq!(full.len(), 119);
    assert_eq!(full[0].as_array().unwrap().len(), 8);
    let newest = full[118][0].as_i64().unwrap();
    let later = console.get(&format!("/api/v1/console/overview?after={newest}")).await.json();
    assert_eq!(points(&later).len(), 15);
    assert_eq!(later["after"], newest - 15 * 60_000);
}

#[tokio::test]
async fn an_overview_in_which_nothing_happened_is_not_sent_again() {
    let console = Console::start().await;
    let first = console.get("/api/v1/console/overview").await;
    let etag = format!("If-None-Match: {}\r\n", first.header("etag").unwrap());
    console.clock.advance(Duration::from_secs(5));
    let second = console.get_with("/api/v1/console/overview", &etag).await;
    assert_eq!((second.status, second.body.as_str()), (304, ""));
    let now = (NOW + Duration::from_secs(5)).as_millis().to_string();
    assert_eq!(second.header("tidemark-now"), Some(now.as_str()));
    console.clock.advance(Duration::from_secs(60));
    assert_eq!(console.get_with("/api/v1/console/overview", &etag).await.status, 200);
}

#[tokio::test]
async fn many_pages_cost_one_reading() {
    let console = Console::start().await;
    for _ in 0..20 {
        assert_eq!(console.get("/api/v1/console/overview").await.status, 200);
    }
    assert_eq!(console.backend.overviews(), 1);
    console.clock.advance(Duration::from_millis(401));
    console.get("/api/v1/console/overview").await;
    assert_eq!(console.backend.overviews(), 2);
}

#[tokio::test]
async fn a_backend_that_fails_or_hangs_is_said_and_forgotten() {
    let console = Console::start().await;
    console.backend.set_mood(Mood::Failing);
    let answer = console.get("/api/v1/console/overview").await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (503, Some("cannot read series: the store is closed"))
    );
    let page = console.get(&console.pages()[2]).await;
    assert!(page.status == 503 && page.body.contains("the store is closed"), "{}", page.status);

    console.backend.set_mood(Mood::Hanging);
    let hanging = console.get("/api/v1/console/overview");
    let (clock, before) = (console.clock.clone(), console.backend.overviews());
    let waiter = async {
        while console.backend.overviews() == before {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(5));
    };
    let (answer, ()) = tokio::join!(hanging, waiter);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (503, Some("no answer within 5s")));

    console.backend.set_mood(Mood::Well);
    assert_eq!(console.get("/api/v1/console/overview").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let console = Console::start().await;
    for (path, status, words) in [
        ("/alerts/nonsense", 404, "There is no such alert"),
        ("/alerts/0123456789abcdef-1", 404, "There is no such alert"),
        ("/series/0123456789abcdef", 404, "There is no such series"),
        ("/series/%3Cscript%3E", 404, "There is no such series"),
        ("/api/v1/console/series/zz", 404, "not found"),
        ("/api/v1/console/alerts/zz", 404, "not found"),
        ("/assets/../Cargo.toml", 404, ""),
        ("/assets/none.js", 404, "no such asset"),
    ] {
        let answer = console.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(words), "{path}: {}", answer.body);
    }
    let alerts = console.get("/alerts").await;
    assert_eq!((alerts.status, alerts.header("location")), (307, Some("/#alerts")));
    let wrong_span = console.get(&format!("{}?span=9y", console.pages()[2])).await;
    assert_eq!(wrong_span.status, 200);
}

#[tokio::test]
async fn assets_are_asked_for_again_and_sent_once() {
    let console = Console::start().await;
    let first = console.get("/assets/app.css").await;
    assert_eq!((first.status, first.header("content-type")), (200, Some("text/css; charset=utf-8")));
    let etag = format!("If-None-Match: {}\r\n", first.header("etag").unwrap());
    assert_eq!(console.get_with("/assets/app.css", &etag).await.status, 304);
    assert_eq!(console.get("/favicon.ico").await.header("content-type"), Some("image/svg+xml"));
}

#[tokio::test]
async fn an_empty_tidemark_has_an_overview_too() {
    let console = Console::start().await;
    console.backend.set_mood(Mood::Empty);
    let overview = console.get("/api/v1/console/overview").await.json();
    assert_eq!(overview["metrics"].as_array().map(Vec::len), Some(0));
}
