//! Configuration of Elasticsearch and OpenSearch sources and their queries.

use std::collections::BTreeMap;

use model::{HumanDuration, Secret, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sources::web::{
    Authorization, SecretFrom, Settings, default_connect_timeout, default_max_concurrent,
    default_max_response_bytes,
};

/// A cluster of Elasticsearch 7 or 8, or of OpenSearch 2 or 3; Elasticsearch 9 is untried.
///
/// Who we are: `username` with its password, or `api_key`, or `bearer_token`. Searching needs the privilege `read` on
/// the indices; trying the source tells the version when `monitor` is given too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticsearchConfig {
    /// Address, such as `https://search.example.com:9200`.
    pub url: String,
    /// User name.
    #[serde(default)]
    pub username: Option<String>,
    /// Password of the user.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; read again for each request, so that it may be changed.
    #[serde(default)]
    pub password_file: Option<String>,
    /// API key, encoded as the server gave it out, or as `id:key`.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// File that holds the API key; read again for each request.
    #[serde(default)]
    pub api_key_file: Option<String>,
    /// Token sent as `Authorization: Bearer ..`.
    #[serde(default)]
    pub bearer_token: Option<Secret>,
    /// File that holds the token; read again for each request.
    #[serde(default)]
    pub bearer_token_file: Option<String>,
    /// Headers of every request. Values are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Certificates.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Proxy for every request; without it none is used, whatever the environment says.
    #[serde(default)]
    pub proxy_url: Option<Secret>,
    /// Answers larger than this many bytes (unpacked) are an error; no more is read.
    #[serde(default = "default_max_response_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_response_bytes: u64,
    /// How long connecting may take; the metric's `timeout` covers the whole.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// How many searches may run at once; further ones wait within their timeout.
    #[serde(default = "default_max_concurrent")]
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrent: usize,
}

impl ElasticsearchConfig {
    /// What it shares with the other types that speak HTTP.
    pub(super) fn settings(&self) -> Settings {
        let basic = self.username.as_ref().map(|username| Authorization::Basic {
            username: username.clone(),
            password: SecretFrom::new(self.password.as_ref(), self.password_file.as_ref()),
        });
        let key = SecretFrom::given(self.api_key.as_ref(), self.api_key_file.as_ref());
        let token = SecretFrom::given(self.bearer_token.as_ref(), self.bearer_token_file.as_ref());
        Settings {
            url: self.url.clone(),
            headers: self.headers.clone(),
            authorization: basic.or(key.map(Authorization::ApiKey)).or(token.map(Authorization::Bearer)),
            tls: self.tls.clone(),
            proxy_url: self.proxy_url.clone(),
            max_response_bytes: self.max_response_bytes,
            connect_timeout: self.connect_timeout,
            max_concurrent: self.max_concurrent,
        }
    }
}

/// Which documents to count, and what to compute of them.
///
/// The answer has a column for each entry of `by`, then `count`, the number of documents, then the columns of
/// `metrics`; without `by` it is one row, with it a row for each combination that has documents. An answer that is not
/// whole (a failed shard, a search that ran out of time) is an error, never half a number. For other searches send
/// their body through a source of type `http`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticsearchQuery {
    /// Index, alias, data stream or pattern, several with commas: `orders-*`.
    pub index: String,
    /// Which documents count; default all of the window.
    #[serde(default)]
    pub query: Option<Filter>,
    /// Date field that says when a document happened: those in the window count, its start included, its end not.
    /// `null` counts all documents, whenever they happened: a snapshot.
    #[serde(default = "default_time_field")]
    pub time_field: Option<String>,
    /// Fields to group by (keywords, numbers, booleans); each is a column, to be listed under the metric's `labels`. A
    /// document with several values of a field counts for each of them.
    #[serde(default)]
    pub by: Vec<Group>,
    /// What to compute beside the count: column name to aggregation.
    #[serde(default)]
    pub metrics: BTreeMap<String, Aggregation>,
    /// An index that is missing, and a pattern that matches none, stand for no documents instead of an error.
    #[serde(default)]
    pub ignore_unavailable: bool,
}

/// A choice of documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Filter {
    /// In the query string syntax: `status:paid AND amount:>10`.
    Text(String),
    /// In the query DSL: `{term: {status: paid}}`.
    Dsl(Map<String, Value>),
}

/// A field to group by: its name, or a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Group {
    /// The field; its column has the same name.
    Field(String),
    /// A field with settings.
    Settings(GroupSettings),
}

/// A field to group by, with settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// Name of the column.
    pub name: String,
    /// The field, such as `channel.keyword`; default its name.
    #[serde(default)]
    pub field: Option<String>,
    /// Whether documents without the field make a row of their own, without this label; `false` leaves them out.
    #[serde(default = "default_missing_bucket")]
    pub missing_bucket: bool,
}

/// Something computed of documents. Where there are none to compute of, the number is missing (`sum`, `value_count`,
/// `cardinality` and `filter`: 0).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Sum of the values.
    Sum(Values),
    /// Mean of the values.
    Avg(Values),
    /// Smallest value.
    Min(Values),
    /// Largest value.
    Max(Values),
    /// How many values there are.
    ValueCount(Values),
    /// About how many different values there are.
    Cardinality(Values),
    /// The columns `NAME_count`, `NAME_min`, `NAME_max`, `NAME_avg`, `NAME_sum`.
    Stats(Values),
    /// Those of `stats`, and `NAME_sum_of_squares`, `NAME_variance`, `NAME_std_deviation`.
    ExtendedStats(Values),
    /// Percentiles, approximate: the column `NAME`, or with several percents `NAME_p50`, `NAME_p99_9` and so on.
    Percentiles(Percentiles),
    /// How many of the documents match a further choice: the numerator of a rate whose denominator is `count`.
    Filter(Filter),
}

/// The values of an aggregation: the name of their field, or a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Values {
    /// The field.
    Field(String),
    /// The aggregation's own settings, as the server takes them: `{field: amount, missing: 0}`, `{script: {..}}`.
    Settings(Map<String, Value>),
}

/// Percentiles of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// The field.
    pub field: String,
    /// Which, from 0 to 100.
    #[serde(default = "default_percents")]
    pub percents: Vec<f64>,
}

fn default_time_field() -> Option<String> {
    Some("@timestamp".to_owned())
}

fn default_missing_bucket() -> bool {
    true
}

fn default_percents() -> Vec<f64> {
    vec![50.0, 95.0, 99.0]
}
