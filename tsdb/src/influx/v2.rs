//! InfluxDB 2.x. Over plain HTTP its administration, health and writing go through the crate `influxdb2`
//! ([`client`]); what that cannot do well goes through [`Http`]: TLS, packed bodies, an address with a path, mappings,
//! reading, and every write after a 429 or 503 until one succeeds, since it reads `Retry-After`.

mod client;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use model::{Clock, HumanDuration, Secret, StoreError, TlsConfig};
use reqwest::{Method, RequestBuilder, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::client::PlainClient;
use super::config::{ContentEncoding, Section, secret};
use super::http::Http;
use super::influxql::parameters;
use super::trouble::{Trouble, supported};
use super::{InfluxStore, Server};
use crate::stores::{Problem, Store, StoreType};

/// An InfluxDB 2.x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InfluxdbV2Config {
    /// Its name in metrics and messages.
    pub name: String,
    /// Address, such as `http://influxdb:8086`.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket; made when it is not there. InfluxQL finds it as a database of the same name.
    pub bucket: String,
    /// Token.
    pub token: Option<Secret>,
    /// File that holds the token; read again for each request.
    pub token_file: Option<String>,
    /// How long numbers are kept, for a bucket that is made; without it for ever.
    pub retention: Option<HumanDuration>,
    /// How bodies travel.
    pub content_encoding: ContentEncoding,
    /// How long one answer may take.
    pub timeout: HumanDuration,
    /// Certificates.
    pub tls: TlsConfig,
}

impl Default for InfluxdbV2Config {
    fn default() -> Self {
        Self {
            name: "influxdb_v2".into(),
            url: "http://127.0.0.1:8086".into(),
            org: "tidemark".into(),
            bucket: "tidemark".into(),
            token: None,
            token_file: None,
            retention: None,
            content_encoding: ContentEncoding::Identity,
            timeout: HumanDuration::from_secs(10),
            tls: TlsConfig::default(),
        }
    }
}

impl InfluxdbV2Config {
    /// What both versions share.
    fn section(&self) -> Section<'_> {
        Section {
            kind: "influxdb_v2",
            name: &self.name,
            url: &self.url,
            retention: self.retention,
            content_encoding: self.content_encoding,
            timeout: self.timeout,
            tls: &self.tls,
        }
    }
}

#[async_trait]
impl StoreType for InfluxdbV2Config {
    fn kind(&self) -> &'static str {
        "influxdb_v2"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn validate(&self) -> Vec<Problem> {
        let kind = self.kind();
        let mut problems = self.section().validate();
        for (key, text) in [("org", &self.org), ("bucket", &self.bucket)] {
            if text.is_empty() {
                problems.push(Problem::new([kind, key], format!("`{key}` is empty")));
            }
        }
        match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                problems.push(Problem::new([kind, "token_file"], "`token` is given too: write one of them"));
            }
            (None, None) => problems.push(Problem::new([kind], "`token` or `token_file` is missing")),
            _ => {}
        }
        problems
    }

    async fn open(&self, _data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
        let timeout = self.timeout.into();
        let http = self.section().http(Arc::clone(&clock))?;
        let plain = http.base.scheme() == "http"
            && http.base.path() == "/"
            && self.content_encoding == ContentEncoding::Identity;
        let plain = plain.then(|| PlainClient::new(&http.base, &self.org, timeout, Arc::clone(&clock)));
        let server =
            Box::new(InfluxdbV2 { config: self.clone(), http, plain, pressed: AtomicBool::new(false) });
        Ok(Arc::new(InfluxStore::new(&self.name, clock, timeout, server)))
    }
}

struct InfluxdbV2 {
    config: InfluxdbV2Config,
    http: Http,
    /// Where the crate is able to.
    plain: Option<PlainClient>,
    /// Whether the server asked for a pause and has taken nothing since.
    pressed: AtomicBool,
}

impl InfluxdbV2 {
    async fn token(&self) -> Result<Secret, Trouble> {
        let token = secret(self.config.token.as_ref(), self.config.token_file.as_deref()).await;
        token.map_err(Trouble::Denied)?.ok_or_else(|| Trouble::Denied("there is no token".into()))
    }

    fn signed(&self, request: RequestBuilder, token: &Secret) -> RequestBuilder {
        request.header("authorization", format!("Token {}", token.expose()))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Trouble> {
        let request = self.signed(self.http.request(method, path), &self.token().await?);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let text = self.http.send_short(request).await?;
        serde_json::from_str(&text).map_err(|e| Trouble::transient(format!("answer is no JSON: {e}")))
    }

    async fn org_id(&self) -> Result<String, Trouble> {
        let found = match &self.plain {
            Some(plain) => plain.org_id(&self.token().await?, &self.config.org).await?,
            None => {
                let path = format!("/api/v2/orgs?{}", parameters(&[("org", &self.config.org)]));
                text_at(&self.ask(Method::GET, &path, None).await?, "/orgs/0/id")
            }
        };
        found.ok_or_else(|| Trouble::Missing(format!("organisation `{}` is not there", self.config.org)))
    }

    async fn bucket_id(&self, org_id: &str) -> Result<Option<String>, Trouble> {
        if let Some(plain) = &self.plain {
            return plain.bucket_id(&self.token().await?, org_id, &self.config.bucket).await;
        }
        let query = parameters(&[("orgID", org_id), ("name", &self.config.bucket)]);
        Ok(text_at(&self.ask(Method::GET, &format!("/api/v2/buckets?{query}"), None).await?, "/buckets/0/id"))
    }

    async fn create_bucket(&self, org_id: &str) -> Result<(), Trouble> {
        let secs = self.config.retention.map(|retention| retention.0.as_secs());
        if let Some(plain) = &self.plain {
            return plain.create_bucket(&self.token().await?, org_id, &self.config.bucket, secs).await;
        }
        let rules: Vec<Value> = secs.iter().map(|s| json!({"type": "expire", "everySeconds": s})).collect();
        let body = json!({"orgID": org_id, "name": self.config.bucket, "retentionRules": rules});
        self.ask(Method::POST, "/api/v2/buckets", Some(body)).await.map(drop)
    }

    /// InfluxQL finds a bucket through a mapping; newer servers have a virtual one for every bucket.
    async fn ensure_mapping(&self, org_id: &str, bucket_id: &str) -> Result<(), Trouble> {
        let query = parameters(&[("orgID", org_id), ("bucketID", bucket_id)]);
        let found = self.ask(Method::GET, &format!("/api/v2/dbrps?{query}"), None).await?;
        let mappings = found.get("content").and_then(Value::as_array);
        let ours = |mapping: &Value| text_at(mapping, "/database").as_ref() == Some(&self.config.bucket);
        if mappings.is_some_and(|mappings| mappings.iter().any(ours)) {
            return Ok(());
        }
        let body = json!({"orgID": org_id, "bucketID": bucket_id, "database": self.config.bucket,
            "retention_policy": "autogen", "default": true});
        self.ask(Method::POST, "/api/v2/dbrps", Some(body)).await.map(drop)
    }
}

fn text_at(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

#[async_trait]
impl Server for InfluxdbV2 {
    async fn prepare(&self) -> Result<bool, Trouble> {
        let org_id = self.org_id().await?;
        let made = self.bucket_id(&org_id).await?.is_none();
        if made {
            self.create_bucket(&org_id).await?;
        }
        match self.bucket_id(&org_id).await? {
            Some(bucket_id) => self.ensure_mapping(&org_id, &bucket_id).await.map(|()| made),
            None => Err(Trouble::transient("bucket was made but is not shown")),
        }
    }

    async fn write(&self, lines: String) -> Result<(), Trouble> {
        let token = self.token().await?;
        if let Some(plain) = self.plain.as_ref().filter(|_| !self.pressed.load(Ordering::Acquire)) {
            let written = plain.write(&token, &self.config.org, &self.config.bucket, lines).await;
            if let Err(Trouble::Transient { message, .. }) = &written
                && (message.starts_with("HTTP 429") || message.starts_with("HTTP 503"))
            {
                self.pressed.store(true, Ordering::Release);
            }
            return written;
        }
        let query = [("org", &*self.config.org), ("bucket", &*self.config.bucket), ("precision", "ns")];
        let path = format!("/api/v2/write?{}", parameters(&query));
        let request = self.signed(self.http.request(Method::POST, &path), &token);
        self.http.send_short(self.http.with_lines(request, lines)?).await?;
        self.pressed.store(false, Ordering::Release);
        Ok(())
    }

    async fn query(&self, statements: &str) -> Result<Response, Trouble> {
        let bucket = &*self.config.bucket;
        let query = [("db", bucket), ("epoch", "ns"), ("chunked", "true"), ("chunk_size", "5000")];
        let path = format!("/query?{}", parameters(&query));
        let request = self.signed(self.http.request(Method::POST, &path), &self.token().await?);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.http.send(request.body(parameters(&[("q", statements)]))).await
    }

    fn place(&self) -> String {
        self.http.base.to_string()
    }

    async fn probe(&self) -> Result<String, Trouble> {
        let version = match &self.plain {
            Some(plain) => plain.version().await?,
            None => {
                let health = self.http.send_short(self.http.request(Method::GET, "/health")).await?;
                serde_json::from_str(&health).ok().and_then(|health| text_at(&health, "/version"))
            }
        };
        let version = version.unwrap_or_else(|| "of unknown version".into());
        supported(&version, 2)?;
        let (url, bucket) = (self.http.base.as_str(), &self.config.bucket);
        let word = match self.write(String::new()).await {
            Ok(()) => {
                let path = format!("/api/v2/buckets?{}", parameters(&[("name", bucket)]));
                let seen = self.ask(Method::GET, &path, None).await?;
                text_at(&seen, "/buckets/0/id").ok_or_else(|| {
                    Trouble::Denied(format!("the token may write bucket `{bucket}`, but not read it"))
                })?;
                "is there"
            }
            Err(Trouble::Missing(_)) => {
                self.org_id().await?;
                "will be made"
            }
            Err(trouble) => return Err(trouble),
        };
        Ok(format!("InfluxDB {version} at {url}: bucket `{bucket}` {word}"))
    }
}
