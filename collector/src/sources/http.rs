//! HTTP APIs.

mod config;
mod json_path;

pub use config::{BasicAuth, CsvExtract, HttpConfig, HttpMethod, HttpQuery, JsonExtract, TlsConfig};
pub use json_path::JsonPathText;
