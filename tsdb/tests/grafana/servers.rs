//! The two InfluxDB, with the history in their database `tidemark`.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use components::Component;
use model::{ManualClock, Positions, Timestamp};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tsdb::StoreConfig;
use url::Url;

use crate::history;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    component: Component,
    /// As Grafana's provisioned data source sends it.
    authorization: String,
    /// The same server as a replica of the configuration.
    store: Value,
}

static ONE: LazyLock<Server> = LazyLock::new(|| {
    let component = Component::start("influxdb1");
    let (username, password) = (component.detail("username"), component.detail("password"));
    let authorization = format!("Token {username}:{password}");
    let url = format!("http://{}", component.address());
    let store = json!({"influxdb": {"url": url, "username": username, "password": password}});
    Server { name: "InfluxDB 1.13", component, authorization, store }
});

static TWO: LazyLock<Server> = LazyLock::new(|| {
    let component = Component::start("influxdb2");
    let token = component.detail("token");
    let authorization = format!("Token {token}");
    let url = format!("http://{}", component.address());
    let store = json!({"influxdb_v2": {"url": url, "org": component.detail("org"), "token": token}});
    Server { name: "InfluxDB 2.7", component, authorization, store }
});

static FILLED: OnceCell<()> = OnceCell::const_new();

/// Both, filled once.
pub(crate) async fn servers() -> [&'static Server; 2] {
    FILLED.get_or_init(fill).await;
    [&ONE, &TWO]
}

async fn fill() {
    let points = history::points();
    for server in [&*ONE, &*TWO] {
        let config: StoreConfig = serde_json::from_value(server.store.clone()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
        let store = config.open(Path::new("."), clock).await.unwrap();
        let written = store.write(&points, &Positions::default()).await.unwrap();
        assert_eq!((written.points, written.refused), (points.len(), Vec::new()), "{}", server.name);
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

    fn url(&self, path: &str, parameters: &[(&str, &str)]) -> Url {
        let url = format!("http://{}/{path}", self.component.address());
        Url::parse_with_params(&url, parameters).unwrap()
    }
}
