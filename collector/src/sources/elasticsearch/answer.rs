//! Rows out of an answer, and nothing out of an answer that is not whole. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::columns::{self, Shape};
use super::config::{Aggregation, ElasticsearchQuery};
use super::failure::Reason;
use super::request::GROUPS;
use crate::sources::web::json::{parse, scalar, text};
use crate::text::shown;
use crate::{Cell, SourceError};

/// One answer's share of the rows.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    /// Rows, their cells as `columns::names` says.
    pub(super) rows: Vec<Vec<Cell>>,
    /// Where the next page begins; `None` where the server says that there is none.
    pub(super) after: Option<Value>,
    /// Whether any document was found.
    pub(super) found: bool,
}

#[derive(Deserialize)]
struct Answer {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    /// Only where other clusters were asked too.
    #[serde(rename = "_clusters", default)]
    clusters: Clusters,
    hits: Hits,
    #[serde(default)]
    aggregations: Map<String, Value>,
}

#[derive(Deserialize)]
struct Shards {
    total: u64,
    failed: u64,
    #[serde(default)]
    failures: Vec<ShardFailure>,
}

#[derive(Deserialize)]
struct ShardFailure {
    #[serde(default)]
    index: Option<String>,
    reason: Reason,
}

impl ShardFailure {
    fn words(&self) -> String {
        let index = shown(self.index.as_deref().unwrap_or("unknown"), 60);
        format!("; the first, of `{index}`: {}", shown(&self.reason.words(), 200))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Clusters {
    total: u64,
    skipped: u64,
    partial: u64,
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    #[serde(default)]
    total: Option<Total>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
    relation: String,
}

/// Takes the rows of a whole answer.
pub(super) fn page(query: &ElasticsearchQuery, body: &[u8]) -> Result<Page, SourceError> {
    let answer: Answer = parse(text(body)?)?;
    check_whole(&answer)?;
    let page = match query.by.is_empty() {
        _ if answer.shards.total == 0 => Ok(nothing(query)),
        true => one_row(query, &answer),
        false => groups(query, &answer),
    };
    page.map_err(|what| SourceError::invalid(format!("answer {what}")))
}

fn check_whole(answer: &Answer) -> Result<(), SourceError> {
    if answer.timed_out {
        return Err(SourceError::timeout(
            "the server ran out of time and answered with what it had until then",
        ));
    }
    let (shards, clusters) = (&answer.shards, &answer.clusters);
    if shards.failed > 0 {
        let why = shards.failures.first().map(ShardFailure::words).unwrap_or_default();
        let message = format!("{} of {} shards failed{why}", shards.failed, shards.total);
        return Err(SourceError::transient(message));
    }
    let missing = clusters.skipped + clusters.partial + clusters.failed;
    if missing > 0 {
        let message = format!("{missing} of {} clusters did not answer in full", clusters.total);
        return Err(SourceError::transient(message));
    }
    Ok(())
}

/// Where no index was asked nothing was computed either.
fn nothing(query: &ElasticsearchQuery) -> Page {
    let metrics = columns::names(query).len() - query.by.len() - 1;
    let row = || [count(0)].into_iter().chain(vec![Cell::Null; metrics]).collect();
    let rows = if query.by.is_empty() { vec![row()] } else { Vec::new() };
    Page { rows, after: None, found: false }
}

fn one_row(query: &ElasticsearchQuery, answer: &Answer) -> Result<Page, String> {
    let documents = match &answer.hits.total {
        Some(total) if total.relation == "eq" => total.value,
        Some(_) => return Err("counts the documents only about".to_owned()),
        None => return Err("does not count the documents".to_owned()),
    };
    let row = with_metrics(query, vec![count(documents)], &answer.aggregations)?;
    Ok(Page { rows: vec![row], after: None, found: documents > 0 })
}

fn groups(query: &ElasticsearchQuery, answer: &Answer) -> Result<Page, String> {
    let missing = || "has no groups".to_owned();
    let groups = answer.aggregations.get(GROUPS).ok_or_else(missing)?;
    let buckets = groups["buckets"].as_array().ok_or_else(missing)?;
    let rows = buckets.iter().map(|bucket| group(query, bucket)).collect::<Result<Vec<_>, String>>()?;
    let found = !rows.is_empty();
    Ok(Page { rows, after: groups.get("after_key").cloned(), found })
}

fn group(query: &ElasticsearchQuery, bucket: &Value) -> Result<Vec<Cell>, String> {
    let documents = bucket["doc_count"].as_u64().ok_or("has a group without `doc_count`")?;
    let members = bucket.as_object().ok_or("has a group that is no object")?;
    let key = |name: &str| match bucket["key"].get(name).map(scalar) {
        Some(Some(cell)) => Ok(cell),
        _ => Err(format!("has a group whose key lacks `{name}`")),
    };
    let mut row = query.by.iter().map(|group| key(group.name())).collect::<Result<Vec<_>, String>>()?;
    row.push(count(documents));
    with_metrics(query, row, members)
}

/// The row with the cells of the metrics after what it has.
fn with_metrics(
    query: &ElasticsearchQuery,
    mut row: Vec<Cell>,
    found: &Map<String, Value>,
) -> Result<Vec<Cell>, String> {
    for (name, metric) in &query.metrics {
        let node = found.get(name).ok_or_else(|| format!("lacks the metric `{name}`"))?;
        row.extend(cells(metric, node).ok_or_else(|| format!("has no numbers for the metric `{name}`"))?);
    }
    Ok(row)
}

fn cells(metric: &Aggregation, node: &Value) -> Option<Vec<Cell>> {
    match metric.shape() {
        Shape::Members(members) => members.iter().map(|member| number(node.get(member)?)).collect(),
        Shape::Percents(percents) => {
            let values = node["values"].as_array()?;
            let of = |percent: &f64| {
                values
                    .iter()
                    .find(|value| value["key"].as_f64().is_some_and(|key| (key - percent).abs() < 1e-9))
            };
            percents.iter().map(|percent| number(of(percent)?.get("value")?)).collect()
        }
    }
}

/// What there was nothing to compute of is null, in some answers the text `NaN`.
fn number(value: &Value) -> Option<Cell> {
    match value {
        Value::String(text) if text == "NaN" => Some(Cell::Null),
        value => scalar(value),
    }
}

fn count(documents: u64) -> Cell {
    i64::try_from(documents).map_or(Cell::UInt(documents), Cell::Int)
}
