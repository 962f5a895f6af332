//! A time field that is misspelt, or no date, finds no documents and no error: the server takes it for a field that no
//! document has. What found nothing asks whether there is such a field, until it once was there.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use reqwest::{Method, Request};
use serde_json::Value;

use super::config::ElasticsearchQuery;
use super::request::{address, append_choice};
use crate::SourceError;
use crate::sources::web::json::{parse, text};
use crate::sources::web::{Server, answer};
use crate::text::shown;

/// More queries than this are asked anew.
const MAX_KNOWN: usize = 10_000;
/// What can be compared with the window.
const TYPES: [&str; 3] = ["date", "date_nanos", "long"];

/// Index and time field of queries whose field was there.
#[derive(Default)]
pub(super) struct Known(Mutex<HashSet<(String, String)>>);

impl Known {
    /// Checks the time field of a query that found nothing.
    ///
    /// # Errors
    /// When the indices have no such field, or one that is no date. A server that does not tell is believed.
    pub(super) async fn check(
        &self,
        server: &Server,
        query: &ElasticsearchQuery,
        secrets: &mut Vec<String>,
    ) -> Result<(), SourceError> {
        let Some(field) = &query.time_field else { return Ok(()) };
        let pair = (query.index.clone(), field.clone());
        if self.pairs().contains(&pair) {
            return Ok(());
        }
        let Ok(capabilities) = ask(server, query, field, secrets).await else { return Ok(()) };
        if judge(field, &capabilities)? {
            let mut pairs = self.pairs();
            if pairs.len() >= MAX_KNOWN {
                pairs.clear();
            }
            pairs.insert(pair);
        }
        Ok(())
    }

    fn pairs(&self) -> std::sync::MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(
    server: &Server,
    query: &ElasticsearchQuery,
    field: &str,
    secrets: &mut Vec<String>,
) -> Result<Value, SourceError> {
    let mut url = address(server.base(), &[&query.index, "_field_caps"]).map_err(SourceError::permanent)?;
    append_choice(&mut url, query);
    url.query_pairs_mut().append_pair("fields", field);
    let response = server.send(Request::new(Method::GET, url), secrets).await?;
    if !response.status().is_success() {
        return Err(SourceError::permanent("does not tell"));
    }
    parse(text(&answer::body(response, server.max_response_bytes()).await?)?)
}

/// Whether the field is there, as `{"indices": [..], "fields": {FIELD: {TYPE: {..}}}}` says. Without an index nothing
/// can be told.
fn judge(field: &str, capabilities: &Value) -> Result<bool, SourceError> {
    if capabilities["indices"].as_array().is_none_or(Vec::is_empty) {
        return Ok(false);
    }
    let types: Vec<&String> =
        capabilities["fields"][field].as_object().into_iter().flat_map(|types| types.keys()).collect();
    let named = shown(field, 60);
    match types.first() {
        None => {
            Err(SourceError::permanent(format!("there is no time field `{named}`: name one that is a date")))
        }
        Some(_) if types.iter().any(|kind| TYPES.contains(&kind.as_str())) => Ok(true),
        Some(kind) => Err(SourceError::permanent(format!(
            "the time field `{named}` is of the type {}, which is no date",
            shown(kind, 60)
        ))),
    }
}
