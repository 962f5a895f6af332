//! What the columns of an answer are called, and what each asks of the server.

use serde_json::{Map, Value, json};

use super::config::{Aggregation, ElasticsearchQuery, Filter, Group, Values};

/// The column of the number of documents.
pub(super) const COUNT: &str = "count";
/// Members of `stats`, each a column; `extended_stats` has all.
const STATS: [&str; 5] = ["count", "min", "max", "avg", "sum"];
const EXTENDED_STATS: [&str; 8] =
    ["count", "min", "max", "avg", "sum", "sum_of_squares", "variance", "std_deviation"];

/// Every column, in order.
pub(super) fn names(query: &ElasticsearchQuery) -> Vec<String> {
    let by = query.by.iter().map(|group| group.name().to_owned());
    let metrics = query.metrics.iter().flat_map(|(name, metric)| metric.columns(name));
    by.chain([COUNT.to_owned()]).chain(metrics).collect()
}

impl Group {
    /// Its column.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Field(field) => field,
            Self::Settings(settings) => &settings.name,
        }
    }

    /// The field it groups by.
    pub(super) fn field(&self) -> &str {
        match self {
            Self::Field(field) => field,
            Self::Settings(settings) => settings.field.as_ref().unwrap_or(&settings.name),
        }
    }

    /// Whether documents without the field count.
    pub(super) fn missing_bucket(&self) -> bool {
        match self {
            Self::Field(_) => true,
            Self::Settings(settings) => settings.missing_bucket,
        }
    }
}

impl Filter {
    /// As query DSL.
    pub(super) fn dsl(&self) -> Value {
        match self {
            Self::Text(text) => json!({"query_string": {"query": text}}),
            Self::Dsl(dsl) => Value::Object(dsl.clone()),
        }
    }
}

impl Values {
    fn settings(&self) -> Map<String, Value> {
        match self {
            Self::Field(field) => [("field".to_owned(), Value::from(field.as_str()))].into_iter().collect(),
            Self::Settings(settings) => settings.clone(),
        }
    }
}

/// Where an aggregation's numbers stand in its part of the answer.
pub(super) enum Shape {
    /// Members of the object, one column each.
    Members(&'static [&'static str]),
    /// The list `values` of keys and values, one column for each key.
    Percents(Vec<f64>),
}

impl Aggregation {
    /// As the server takes it.
    pub(super) fn dsl(&self) -> Value {
        let (kind, values) = match self {
            Self::Sum(values) => ("sum", values),
            Self::Avg(values) => ("avg", values),
            Self::Min(values) => ("min", values),
            Self::Max(values) => ("max", values),
            Self::ValueCount(values) => ("value_count", values),
            Self::Cardinality(values) => ("cardinality", values),
            Self::Stats(values) => ("stats", values),
            Self::ExtendedStats(values) => ("extended_stats", values),
            Self::Percentiles(of) => {
                return json!({"percentiles": {"field": of.field, "percents": of.percents, "keyed": false}});
            }
            Self::Filter(filter) => return json!({"filter": filter.dsl()}),
        };
        json!({kind: values.settings()})
    }

    /// Where its numbers stand.
    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Sum(_)
            | Self::Avg(_)
            | Self::Min(_)
            | Self::Max(_)
            | Self::ValueCount(_)
            | Self::Cardinality(_) => Shape::Members(&["value"]),
            Self::Stats(_) => Shape::Members(&STATS),
            Self::ExtendedStats(_) => Shape::Members(&EXTENDED_STATS),
            Self::Percentiles(of) => Shape::Percents(of.percents.clone()),
            Self::Filter(_) => Shape::Members(&["doc_count"]),
        }
    }

    fn columns(&self, name: &str) -> Vec<String> {
        match self.shape() {
            Shape::Members([_]) => vec![name.to_owned()],
            Shape::Members(members) => members.iter().map(|member| format!("{name}_{member}")).collect(),
            Shape::Percents(percents) if percents.len() == 1 => vec![name.to_owned()],
            Shape::Percents(percents) => {
                percents.iter().map(|percent| format!("{name}_p{percent}").replace('.', "_")).collect()
            }
        }
    }
}
