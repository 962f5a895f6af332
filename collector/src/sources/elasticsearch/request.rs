//! The search that asks a query for one window.

use std::time::Duration;

use model::Window;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde_json::{Map, Value, json};
use url::Url;

use super::config::ElasticsearchQuery;

/// The name of the aggregation that makes the groups.
pub(super) const GROUPS: &str = "groups";
/// Groups of one page: well below what a server makes in one answer (`search.max_buckets`).
const PAGE: usize = 1_000;

/// Groups of one page, where `max_rows` are allowed: one more, to see that there are too many.
pub(super) fn page_size(max_rows: usize) -> usize {
    max_rows.saturating_add(1).min(PAGE)
}

/// A search: one page of groups, those after `after`, when the query has any.
pub(super) struct Search<'a> {
    pub(super) query: &'a ElasticsearchQuery,
    pub(super) window: Window,
    /// The server gives up after this long by itself.
    pub(super) timeout: Duration,
    pub(super) page_size: usize,
    pub(super) after: Option<&'a Value>,
}

impl Search<'_> {
    /// The request. It asks for a whole answer or an error.
    pub(super) fn request(&self, base: &Url) -> Result<Request, String> {
        let mut url = address(base, &[&self.query.index, "_search"])?;
        append_choice(&mut url, self.query);
        url.query_pairs_mut().append_pair("allow_partial_search_results", "false");
        let mut request = Request::new(Method::POST, url);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(self.body().to_string().into());
        Ok(request)
    }

    fn body(&self) -> Value {
        let grouped = !self.query.by.is_empty();
        let mut body = json!({
            "size": 0,
            // Groups are counted one by one; without them the hits are, all of them and not about ten thousand.
            "track_total_hits": !grouped,
            "timeout": format!("{}ms", self.timeout.as_millis().max(1)),
            "query": {"bool": {"filter": self.filters()}},
        });
        let metrics = self.metrics();
        if grouped {
            let mut groups = json!({"composite": self.composite()});
            if !metrics.is_empty() {
                groups["aggs"] = Value::Object(metrics);
            }
            body["aggs"] = json!({ GROUPS: groups });
        } else if !metrics.is_empty() {
            body["aggs"] = Value::Object(metrics);
        }
        body
    }

    fn filters(&self) -> Vec<Value> {
        let window = self.query.time_field.as_ref().map(|field| {
            let (start, end) = (self.window.start.as_millis(), self.window.end.as_millis());
            json!({"range": {field: {"gte": start, "lt": end, "format": "epoch_millis"}}})
        });
        window.into_iter().chain(self.query.query.as_ref().map(super::Filter::dsl)).collect()
    }

    fn composite(&self) -> Value {
        let sources: Vec<Value> = self
            .query
            .by
            .iter()
            .map(|group| {
                let terms = json!({"field": group.field(), "missing_bucket": group.missing_bucket()});
                json!({group.name(): {"terms": terms}})
            })
            .collect();
        let mut composite = json!({"size": self.page_size, "sources": sources});
        if let Some(after) = self.after {
            composite["after"] = after.clone();
        }
        composite
    }

    fn metrics(&self) -> Map<String, Value> {
        self.query.metrics.iter().map(|(name, metric)| (name.clone(), metric.dsl())).collect()
    }
}

/// Says what a missing index means.
pub(super) fn append_choice(url: &mut Url, query: &ElasticsearchQuery) {
    let fine = if query.ignore_unavailable { "true" } else { "false" };
    url.query_pairs_mut().append_pair("ignore_unavailable", fine).append_pair("allow_no_indices", fine);
}

/// The address of something behind the base address; each part is one step, whatever it holds.
pub(super) fn address(base: &Url, parts: &[&str]) -> Result<Url, String> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => drop(segments.pop_if_empty().extend(parts)),
        Err(()) => return Err("url has no path".to_owned()),
    }
    Ok(url)
}
