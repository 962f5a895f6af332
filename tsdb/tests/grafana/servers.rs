//! The two InfluxDB, with the history in their database `tidemark`.

use std::sync::LazyLock;

use components::Component;
use model::{FieldValue, Point};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

use crate::history;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    component: Component,
    /// As Grafana's provisioned data source sends it.
    authorization: String,
}

static ONE: LazyLock<Server> = LazyLock::new(|| {
    let component = Component::start("influxdb1");
    let authorization = format!("Token {}:{}", component.detail("username"), component.detail("password"));
    Server { name: "InfluxDB 1.13", component, authorization }
});

static TWO: LazyLock<Server> = LazyLock::new(|| {
    let component = Component::start("influxdb2");
    let authorization = format!("Token {}", component.detail("token"));
    Server { name: "InfluxDB 2.7", component, authorization }
});

static FILLED: OnceCell<()> = OnceCell::const_new();

/// Both, filled once.
pub(crate) async fn servers() -> [&'static Server; 2] {
    FILLED.get_or_init(fill).await;
    [&ONE, &TWO]
}

async fn fill() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ONE.post("query", &[("q", "CREATE DATABASE tidemark")], String::new()).await;
    let organisations: Value = TWO.get("api/v2/orgs", &[]).await;
    let bucket = json!({"orgID": organisations["orgs"][0]["id"], "name": "tidemark", "retentionRules": []});
    TWO.post("api/v2/buckets", &[], bucket.to_string()).await;
    let lines: Vec<_> = history::points().iter().map(line).collect();
    for server in [&*ONE, &*TWO] {
        server.post("write", &[("db", "tidemark")], lines.join("\n")).await;
    }
}

impl Server {
    /// `results[0]` of a query, times in ms.
    pub(crate) async fn query(&self, query: &str) -> Value {
        let answer = self.get("query", &[("db", "tidemark"), ("epoch", "ms"), ("q", query)]).await;
        answer["results"][0].clone()
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let request = reqwest::Client::new().get(self.url(path, parameters));
        let answer = request.header("Authorization", &self.authorization).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{}: {status} to {parameters:?}: {text}", self.name);
        serde_json::from_str(&text).unwrap()
    }

    async fn post(&self, path: &str, parameters: &[(&str, &str)], body: String) {
        let request = reqwest::Client::new().post(self.url(path, parameters)).body(body);
        let answer = request.header("Authorization", &self.authorization).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{}: {status} to {path}: {text}", self.name);
    }

    fn url(&self, path: &str, parameters: &[(&str, &str)]) -> Url {
        let url = format!("http://{}/{path}", self.component.address());
        Url::parse_with_params(&url, parameters).unwrap()
    }
}

/// One point in line protocol.
fn line(point: &Point) -> String {
    let escape =
        |text: &str| text.replace('\\', "\\\\").replace(' ', "\\ ").replace(',', "\\,").replace('=', "\\=");
    let tags: String = point.tags.iter().map(|(tag, value)| format!(",{tag}={}", escape(value))).collect();
    let field = |(name, value): &(std::sync::Arc<str>, FieldValue)| match value {
        FieldValue::Float(value) => format!("{name}={value}"),
        FieldValue::Integer(value) => format!("{name}={value}i"),
        FieldValue::Text(text) => format!("{name}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    let fields: Vec<_> = point.fields.iter().map(field).collect();
    format!("{}{tags} {} {}", point.measurement.as_str(), fields.join(","), point.time.as_nanos())
}
