//! InfluxDB 1.x.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::{Clock, HumanDuration, Secret, StoreError, TlsConfig};
use reqwest::{Method, RequestBuilder, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{ContentEncoding, Section, secret};
use super::http::Http;
use super::influxql::{identifier, parameters};
use super::trouble::{Trouble, supported};
use super::{InfluxStore, Server, rows};
use crate::stores::{Problem, Store, StoreType};

/// An InfluxDB 1.x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InfluxdbConfig {
    /// Its name in metrics and messages.
    pub name: String,
    /// Address, such as `http://influxdb:8086`.
    pub url: String,
    /// Database; made when it is not there.
    pub database: String,
    /// Retention policy; made when it is not there. Default: the database's own.
    pub retention_policy: Option<String>,
    /// How long numbers are kept, for a database or retention policy that is made; without it for ever.
    pub retention: Option<HumanDuration>,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// File that holds the password; read again for each request.
    pub password_file: Option<String>,
    /// How bodies travel.
    pub content_encoding: ContentEncoding,
    /// How long one answer may take.
    pub timeout: HumanDuration,
    /// Certificates.
    pub tls: TlsConfig,
}

impl Default for InfluxdbConfig {
    fn default() -> Self {
        Self {
            name: "influxdb".into(),
            url: "http://127.0.0.1:8086".into(),
            database: "tidemark".into(),
            retention_policy: None,
            retention: None,
            username: None,
            password: None,
            password_file: None,
            content_encoding: ContentEncoding::Gzip,
            timeout: HumanDuration::from_secs(10),
            tls: TlsConfig::default(),
        }
    }
}

impl InfluxdbConfig {
    /// What both versions share.
    fn section(&self) -> Section<'_> {
        Section {
            kind: "influxdb",
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
impl StoreType for InfluxdbConfig {
    fn kind(&self) -> &'static str {
        "influxdb"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn validate(&self) -> Vec<Problem> {
        let kind = self.kind();
        let mut problems = self.section().validate();
        if self.database.is_empty() {
            problems.push(Problem::new([kind, "database"], "the database has no name"));
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.password.is_some() && self.password_file.is_some() {
            let message = "`password` is given too: write one of them";
            problems.push(Problem::new([kind, "password_file"], message));
        }
        if has_password && self.username.is_none() {
            problems.push(Problem::new([kind], "a password needs a `username`"));
        }
        problems
    }

    async fn open(&self, _data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
        let timeout = self.timeout.into();
        let http = self.section().http(Arc::clone(&clock))?;
        let server = Box::new(Influxdb { config: self.clone(), http });
        Ok(Arc::new(InfluxStore::new(&self.name, clock, timeout, server)))
    }
}

struct Influxdb {
    config: InfluxdbConfig,
    http: Http,
}

impl Influxdb {
    async fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, Trouble> {
        let Some(username) = &self.config.username else { return Ok(request) };
        let password = secret(self.config.password.as_ref(), self.config.password_file.as_deref()).await;
        let password = password.map_err(Trouble::Denied)?;
        Ok(request.basic_auth(username, password.as_ref().map(Secret::expose)))
    }

    /// Asks for names: the first column of the answer.
    async fn names(&self, statement: &str) -> Result<Vec<String>, Trouble> {
        let response = self.query(statement).await?;
        self.http.within(rows::first_column(response)).await?
    }

    fn duration(&self) -> String {
        self.config.retention.map_or_else(|| "INF".into(), |retention| format!("{}s", retention.0.as_secs()))
    }

    async fn has_database(&self) -> Result<bool, Trouble> {
        Ok(self.names("SHOW DATABASES").await?.contains(&self.config.database))
    }
}

#[async_trait]
impl Server for Influxdb {
    async fn prepare(&self) -> Result<bool, Trouble> {
        let database = identifier(&self.config.database);
        let mut made = !self.has_database().await?;
        if made {
            let how = match &self.config.retention_policy {
                Some(policy) => {
                    let (duration, policy) = (self.duration(), identifier(policy));
                    format!(" WITH DURATION {duration} REPLICATION 1 NAME {policy}")
                }
                None if self.config.retention.is_some() => format!(" WITH DURATION {}", self.duration()),
                None => String::new(),
            };
            self.names(&format!("CREATE DATABASE {database}{how}")).await?;
        }
        if let Some(policy) = &self.config.retention_policy
            && !self.names(&format!("SHOW RETENTION POLICIES ON {database}")).await?.contains(policy)
        {
            let (duration, policy) = (self.duration(), identifier(policy));
            let create =
                format!("CREATE RETENTION POLICY {policy} ON {database} DURATION {duration} REPLICATION 1");
            self.names(&create).await?;
            made = true;
        }
        Ok(made)
    }

    async fn write(&self, lines: String) -> Result<(), Trouble> {
        let mut query = vec![("db", self.config.database.as_str()), ("precision", "ns")];
        query.extend(self.config.retention_policy.as_deref().map(|policy| ("rp", policy)));
        let path = format!("/write?{}", parameters(&query));
        let request = self.signed(self.http.request(Method::POST, &path)).await?;
        self.http.send_short(self.http.with_lines(request, lines)?).await.map(drop)
    }

    async fn query(&self, statements: &str) -> Result<Response, Trouble> {
        let mut query = vec![("db", self.config.database.as_str())];
        query.extend(self.config.retention_policy.as_deref().map(|policy| ("rp", policy)));
        query.extend([("epoch", "ns"), ("chunked", "true"), ("chunk_size", "5000")]);
        let path = format!("/query?{}", parameters(&query));
        let request = self.signed(self.http.request(Method::POST, &path)).await?;
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.http.send(request.body(parameters(&[("q", statements)]))).await
    }

    fn place(&self) -> String {
        self.http.base.to_string()
    }

    async fn probe(&self) -> Result<String, Trouble> {
        let ping = self.http.send(self.http.request(Method::GET, "/ping")).await?;
        let version = ping.headers().get("x-influxdb-version").and_then(|version| version.to_str().ok());
        let version = version.unwrap_or("of unknown version").to_owned();
        supported(&version, 1)?;
        let word = match self.write(String::new()).await {
            Ok(()) => {
                self.names("SHOW MEASUREMENTS LIMIT 1").await?;
                "is there"
            }
            // Only who may see the users may make it.
            Err(Trouble::Missing(_)) => {
                self.names("SHOW USERS").await?;
                "will be made"
            }
            Err(trouble) => return Err(trouble),
        };
        let (url, database) = (self.http.base.as_str(), &self.config.database);
        Ok(format!("InfluxDB {version} at {url}: database `{database}` {word}"))
    }
}
