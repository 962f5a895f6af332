//! Configuration of HTTP sources and their queries.

use std::collections::BTreeMap;

use model::{HumanDuration, Secret, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json_path::JsonPathText;
use crate::sources::web::{
    Authorization, SecretFrom, Settings, default_connect_timeout, default_max_concurrent,
    default_max_response_bytes,
};

/// An HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Base address, such as `https://risk.example.com/api`; the path of each query is appended to it.
    pub url: String,
    /// Headers of every request. Values are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// User name and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Token sent as `Authorization: Bearer ..`.
    #[serde(default)]
    pub bearer_token: Option<Secret>,
    /// File that holds the token; read again for each request, so that it may be rotated.
    #[serde(default)]
    pub bearer_token_file: Option<String>,
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
    /// Zone of `{{ start_text }}`; default UTC.
    #[serde(default)]
    pub timezone: Option<String>,
    /// How many requests may run at once; further ones wait within their timeout.
    #[serde(default = "default_max_concurrent")]
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrent: usize,
}

impl HttpConfig {
    /// What it shares with the other types that speak HTTP.
    pub(super) fn settings(&self) -> Settings {
        let basic = self.basic_auth.as_ref().map(|auth| Authorization::Basic {
            username: auth.username.clone(),
            password: SecretFrom::new(auth.password.as_ref(), auth.password_file.as_ref()),
        });
        let token = SecretFrom::given(self.bearer_token.as_ref(), self.bearer_token_file.as_ref());
        Settings {
            url: self.url.clone(),
            headers: self.headers.clone(),
            authorization: basic.or(token.map(Authorization::Bearer)),
            tls: self.tls.clone(),
            proxy_url: self.proxy_url.clone(),
            max_response_bytes: self.max_response_bytes,
            connect_timeout: self.connect_timeout,
            max_concurrent: self.max_concurrent,
        }
    }
}

/// User name and password of HTTP basic authentication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// Password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; read again for each request.
    #[serde(default)]
    pub password_file: Option<String>,
}

/// A request and what to take from its answer: one of `json`, `csv`, `number`; none of them means `json: {}`.
///
/// `path`, `params`, `headers` and `body` may hold `{{ start }}`, `{{ end }}` (RFC 3339) and `start_ms`, `end_ms`,
/// `start_s`, `end_s`, `start_text`, `end_text` of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpQuery {
    /// Method.
    pub method: HttpMethod,
    /// Path, appended to the source's address.
    pub path: String,
    /// Parameters of the address; values are encoded.
    pub params: BTreeMap<String, String>,
    /// Further headers. Values are never shown.
    pub headers: BTreeMap<String, Secret>,
    /// Body; JSON unless a `Content-Type` header says otherwise.
    pub body: Option<String>,
    /// Where a successful answer hides an error (`$.error`): when it finds anything but null, false, 0 or an empty
    /// text, list or object, the tick is an error with that text.
    pub error_path: Option<JsonPathText>,
    /// Take rows from a JSON answer.
    pub json: Option<JsonExtract>,
    /// Take rows from a CSV answer.
    pub csv: Option<CsvExtract>,
    /// The answer is one number in plain text.
    pub number: bool,
}

/// Request methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET
    #[default]
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
}

/// How to take rows from JSON. Paths are JSONPath (RFC 9535).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonExtract {
    /// Finds the rows, `$.data[*]`; default `$`, the whole answer as one row (each element a row when it is a list).
    pub rows: Option<JsonPathText>,
    /// Column name to the path of its cell within a row (`$` is the row). Without it the columns are the scalar
    /// members of the rows, or one column `value` when the rows are scalars themselves.
    pub columns: BTreeMap<String, JsonPathText>,
}

/// How to take rows from CSV.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvExtract {
    /// Separator, one ASCII character.
    pub delimiter: char,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Column names, when there is no header; default `c1`, `c2`, ...
    pub columns: Vec<String>,
}

impl Default for CsvExtract {
    fn default() -> Self {
        Self { delimiter: ',', header: true, columns: Vec::new() }
    }
}
