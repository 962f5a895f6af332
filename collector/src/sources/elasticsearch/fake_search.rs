//! A search server that answers as told and keeps a ledger of what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// One entry of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `POST /orders-*/_search?..`.
    pub(super) line: String,
    /// The `Authorization` header.
    pub(super) authorization: Option<String>,
    /// The body as JSON; null without one.
    pub(super) body: Value,
}

/// The server; it ends when it is dropped.
pub(super) struct FakeSearch {
    server: MockServer,
    script: Script,
}

#[derive(Clone)]
struct Script {
    /// The `Authorization` header it lets in; anybody without.
    lets_in: Option<String>,
    answers: Arc<Mutex<VecDeque<ResponseTemplate>>>,
    ledger: Arc<Mutex<Vec<Asked>>>,
}

impl FakeSearch {
    /// A server that gives these answers one after the other, the last again and again.
    pub(super) async fn start(answers: impl IntoIterator<Item = ResponseTemplate>) -> Self {
        Self::start_for(None, answers).await
    }

    /// The same for those with this `Authorization` header; for others 401.
    pub(super) async fn start_for(
        lets_in: Option<&str>,
        answers: impl IntoIterator<Item = ResponseTemplate>,
    ) -> Self {
        let script = Script {
            lets_in: lets_in.map(str::to_owned),
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ledger: Arc::default(),
        };
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(script.clone()).mount(&server).await;
        Self { server, script }
    }

    pub(super) fn url(&self) -> String {
        self.server.uri()
    }

    /// Everything it was asked, refused or not.
    pub(super) fn ledger(&self) -> Vec<Asked> {
        self.script.ledger.lock().unwrap().clone()
    }
}

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let header = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        self.ledger.lock().unwrap().push(Asked {
            line: format!("{} {}{query}", request.method, request.url.path()),
            authorization: header.clone(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        });
        if self.lets_in.is_some() && self.lets_in != header {
            return refusal(401, "security_exception", &format!("unable to authenticate {header:?}"));
        }
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers.front().unwrap().clone() }
    }
}

/// A whole answer with these members beside what every one has.
pub(super) fn answer(members: Value) -> ResponseTemplate {
    let mut body = json!({
        "took": 3, "timed_out": false, "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": 0, "relation": "eq"}, "max_score": null, "hits": []},
    });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    ResponseTemplate::new(200).set_body_json(body)
}

/// An error as the server tells it.
pub(super) fn refusal(status: u16, kind: &str, reason: &str) -> ResponseTemplate {
    let cause = json!({"type": kind, "reason": reason});
    let error = json!({"root_cause": [cause], "type": kind, "reason": reason});
    ResponseTemplate::new(status).set_body_json(json!({"error": error, "status": status}))
}

/// An answer of groups, and where the next page begins.
pub(super) fn groups(buckets: Value, after: Value) -> ResponseTemplate {
    let mut groups = json!({"buckets": buckets});
    if !after.is_null() {
        groups["after_key"] = after;
    }
    answer(json!({"aggregations": {"groups": groups}}))
}
