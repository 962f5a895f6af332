//! Queries as Grafana's InfluxDB data source keeps them.
//!
//! A [`Target`] is kept in the parts of the data source's query editor, from which Grafana makes the InfluxQL: so people
//! can change it there, and label filters reach it. What the editor cannot say (a query over a query) is a
//! [`Target::written`].

use serde::Serialize;

/// Which data source a panel, variable or annotation asks.
#[derive(Clone, Copy, Serialize)]
pub(super) struct DataSource {
    r#type: &'static str,
    pub(super) uid: &'static str,
}

impl DataSource {
    /// The provisioned one.
    pub(super) const TIDEMARK: Self = Self { r#type: "influxdb", uid: "tidemark" };
}

/// What a query's answer becomes: a frame for each column of each series, or one table with tags as columns.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum ResultFormat {
    TimeSeries,
    Table,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Order {
    Asc,
    Desc,
}

/// How the values of one field become one.
#[derive(Clone, Copy)]
pub(super) enum Fold {
    Last,
    Max,
    Mean,
    Sum,
}

impl Fold {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Sum => "sum",
        }
    }
}

/// A word of the query editor: a field, function, alias, or a part of GROUP BY.
#[derive(Serialize)]
struct Part {
    r#type: &'static str,
    params: Vec<&'static str>,
}

impl Part {
    fn new(kind: &'static str, params: &[&'static str]) -> Self {
        Self { r#type: kind, params: params.to_vec() }
    }

    /// A name the data source puts between double quotes as it is.
    fn named(kind: &'static str, name: &'static str) -> Self {
        assert!(!name.contains(['"', '\\', '\n']), "`{name}` cannot be a name in a query");
        Self::new(kind, &[name])
    }
}

#[derive(Serialize)]
struct TagFilter {
    key: &'static str,
    operator: &'static str,
    value: String,
    condition: &'static str,
}

/// One query of a panel.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    ref_id: &'static str,
    datasource: DataSource,
    policy: &'static str,
    measurement: &'static str,
    select: Vec<Vec<Part>>,
    tags: Vec<TagFilter>,
    group_by: Vec<Part>,
    order_by_time: Order,
    result_format: ResultFormat,
    alias: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    raw_query: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

impl Target {
    fn new(ref_id: &'static str, measurement: &'static str, result_format: ResultFormat) -> Self {
        Self {
            ref_id,
            datasource: DataSource::TIDEMARK,
            policy: "default",
            measurement,
            select: Vec::new(),
            tags: Vec::new(),
            group_by: Vec::new(),
            order_by_time: Order::Asc,
            result_format,
            alias: "",
            limit: None,
            raw_query: false,
            query: None,
        }
    }

    /// Values over time, one for each of the panel's intervals that has any: an interval without points is left out,
    /// so that an hourly metric is a line at every zoom; one that has a verdict but no value is an empty value, a gap.
    pub(super) fn over_time(ref_id: &'static str, measurement: &'static str) -> Self {
        let mut target = Self::new(ref_id, measurement, ResultFormat::TimeSeries);
        target.group_by.push(Part::new("time", &["$__interval"]));
        target.group_by.push(Part::new("fill", &["none"]));
        target
    }

    /// A table of points, the tags they are grouped by as columns.
    pub(super) fn table(ref_id: &'static str, measurement: &'static str) -> Self {
        Self::new(ref_id, measurement, ResultFormat::Table)
    }

    /// One number of the whole range for each group.
    pub(super) fn total(ref_id: &'static str, measurement: &'static str) -> Self {
        Self::new(ref_id, measurement, ResultFormat::TimeSeries)
    }

    /// InfluxQL as it stands, with Grafana's variables.
    pub(super) fn written(ref_id: &'static str, query: String) -> Self {
        let mut target = Self::new(ref_id, "", ResultFormat::TimeSeries);
        (target.raw_query, target.query) = (true, Some(query));
        target
    }

    /// `fold("field") AS "name"`.
    pub(super) fn fold(mut self, fold: Fold, field: &'static str, name: &'static str) -> Self {
        let function = Part::new(fold.as_str(), &[]);
        self.select.push(vec![Part::named("field", field), function, Part::named("alias", name)]);
        self
    }

    /// `"field" AS "name"`: beside a `last`, the field of that same point.
    pub(super) fn field(mut self, field: &'static str, name: &'static str) -> Self {
        self.select.push(vec![Part::named("field", field), Part::named("alias", name)]);
        self
    }

    /// Only points whose tag is this word or variable.
    pub(super) fn tag_is(self, key: &'static str, value: impl Into<String>) -> Self {
        self.filter(key, "=", value.into())
    }

    /// Only points that have the tag.
    pub(super) fn has_tag(self, key: &'static str) -> Self {
        self.filter(key, "!=", String::new())
    }

    /// Only points whose tag is one of a variable's values.
    pub(super) fn tag_in(self, key: &'static str, variable: &str) -> Self {
        self.filter(key, "=~", one_of(variable))
    }

    fn filter(mut self, key: &'static str, operator: &'static str, value: String) -> Self {
        assert!(!key.contains(['"', '\\']), "`{key}` cannot be a tag in a query");
        self.tags.push(TagFilter { key, operator, value, condition: "AND" });
        self
    }

    /// A series for each value of a tag, or of every set of tags: `*`.
    pub(super) fn by(mut self, tag: &'static str) -> Self {
        let fill = self.group_by.pop_if(|part| part.r#type == "fill");
        self.group_by.push(Part::named("tag", tag));
        self.group_by.extend(fill);
        self
    }

    /// How a series is called: `$col` its column, `$tag_NAME` a tag.
    pub(super) const fn called(mut self, alias: &'static str) -> Self {
        self.alias = alias;
        self
    }

    /// Newest first, at most so many.
    pub(super) const fn newest(mut self, limit: &'static str) -> Self {
        (self.order_by_time, self.limit) = (Order::Desc, Some(limit));
        self
    }
}

/// Points of time or spans with a text, drawn over every panel.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Annotation {
    name: &'static str,
    enable: bool,
    hide: bool,
    icon_color: &'static str,
    datasource: DataSource,
    target: AnnotationTarget,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnnotationTarget {
    ref_id: &'static str,
    name: &'static str,
    query: String,
    query_type: &'static str,
    from_annotations: bool,
    raw_query: bool,
    title_column: &'static str,
    text_column: &'static str,
    tags_column: &'static str,
    time_end_column: &'static str,
}

impl Annotation {
    /// The columns `text`, `severity` and, for the end of a span, `end_ms` of the answer.
    pub(super) fn new(name: &'static str, icon_color: &'static str, query: String) -> Self {
        let target = AnnotationTarget {
            ref_id: "Anno",
            name,
            query,
            query_type: "tags",
            from_annotations: true,
            raw_query: true,
            title_column: "",
            text_column: "text",
            tags_column: "severity",
            time_end_column: "end_ms",
        };
        Self { name, enable: true, hide: false, icon_color, datasource: DataSource::TIDEMARK, target }
    }

    /// Shown only when people switch it on.
    pub(super) const fn off(mut self) -> Self {
        self.enable = false;
        self
    }
}

/// A pattern for the values chosen of a variable; Grafana quotes what is special in them.
pub(super) fn one_of(variable: &str) -> String {
    format!("/^${{{variable}:regex}}$/")
}

/// The one value of a variable as it is, to stand between quotes: metric names and label names hold nothing special.
pub(super) fn value_of(variable: &str) -> String {
    format!("${{{variable}:raw}}")
}

/// A name between double quotes.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// A text between single quotes.
pub(super) fn string(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'").replace('\n', r"\n"))
}
