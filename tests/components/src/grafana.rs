//! A small stand-in for Grafana's InfluxDB data source: from a dashboard's JSON to the InfluxQL that is sent.
//!
//! Two ways are in use. [`Mode::Browser`]: up to Grafana 10 the browser writes the query. [`Mode::Backend`]: from 11 on
//! Grafana's server does. They differ in the order of steps and in small words, and must bring the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use serde_json::Value;

/// Points that fit on a panel.
const MAX_DATA_POINTS: i64 = 1_000;

/// Who writes the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module says what they are")]
pub enum Mode {
    Browser,
    Backend,
}

/// What is chosen of a variable.
#[derive(Clone, Debug)]
pub enum Values {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
    /// Everything, by the variable's own pattern.
    All(String),
}

impl Values {
    /// One value.
    pub fn one(value: &str) -> Self {
        Self::One(value.into())
    }

    /// Several values.
    pub fn many(values: &[&str]) -> Self {
        Self::Many(values.iter().map(|&value| value.into()).collect())
    }

    /// Everything, by this pattern.
    pub fn all(pattern: &str) -> Self {
        Self::All(pattern.into())
    }

    /// The formats that Grafana knows and the dashboards use; without one, several values are a glob.
    fn format(&self, format: &str) -> String {
        match (self, format) {
            // A pattern of the variable's own is never formatted.
            (Self::All(pattern), _) => pattern.clone(),
            (Self::One(value), "regex") => escape_regex(value),
            (Self::One(value), _) => value.clone(),
            (Self::Many(values), "regex") => match &values[..] {
                [one] => escape_regex(one),
                many => format!("({})", many.iter().map(|v| escape_regex(v)).collect::<Vec<_>>().join("|")),
            },
            (Self::Many(values), "raw") => values.join(","),
            (Self::Many(values), "") => format!("{{{}}}", values.join(",")),
            (_, other) => panic!("no format {other}"),
        }
    }
}

fn escape_regex(value: &str) -> String {
    let special = |c: char| r"\^$*+?.()|[]{}/".contains(c);
    value.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// What a person looks at: the time range in ms, and what is chosen.
#[derive(Clone, Debug)]
pub struct View {
    /// Its beginning.
    pub from: i64,
    /// Its end.
    pub until: i64,
    variables: Vec<(&'static str, Values)>,
    /// Tag and value of the dashboard's filters.
    pub filters: Vec<(String, String)>,
}

impl View {
    /// A time range, and what is chosen of each variable.
    pub fn new(from: i64, until: i64, variables: &[(&'static str, Values)]) -> Self {
        Self { from, until, variables: variables.to_vec(), filters: Vec::new() }
    }

    /// `$__interval` of a panel that allows none below `least`.
    pub fn interval(&self, least: &str) -> String {
        assert_eq!(least, "1m");
        // What is below the first number is rounded to the second, in seconds.
        let steps = [
            (90, 60),
            (210, 120),
            (450, 300),
            (750, 600),
            (1_050, 900),
            (1_500, 1_200),
            (2_700, 1_800),
            (5_400, 3_600),
        ];
        let exact = (self.until - self.from) / MAX_DATA_POINTS / 1_000;
        let seconds = steps.iter().find(|(below, _)| exact < *below).expect("an interval").1;
        if seconds % 3_600 == 0 { format!("{}h", seconds / 3_600) } else { format!("{}m", seconds / 60) }
    }

    fn time_filter(&self) -> String {
        format!("time >= {}ms and time <= {}ms", self.from, self.until)
    }

    fn value(&self, name: &str) -> Option<Values> {
        let built_in = match name {
            "__from" => Some(Values::One(self.from.to_string())),
            "__to" => Some(Values::One(self.until.to_string())),
            _ => None,
        };
        built_in
            .or_else(|| self.variables.iter().find(|(own, _)| *own == name).map(|(_, values)| values.clone()))
    }

    /// Fills `$name`, `${name}` and `${name:format}` in; what is no variable stays.
    fn fill(&self, text: &str, format: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let (whole, name, own_format) = reference(after);
            match self.value(name) {
                Some(values) => {
                    out.push_str(&values.format(if own_format.is_empty() { format } else { own_format }))
                }
                None => out.push_str(&format!("${whole}")),
            }
            rest = &after[whole.len()..];
        }
        out + rest
    }
}

/// What follows a `$`: all of the reference, its name and its format.
fn reference(after: &str) -> (&str, &str, &str) {
    match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        Some((inner, _)) => {
            let (name, format) = inner.split_once(':').unwrap_or((inner, ""));
            (&after[..inner.len() + 2], name, format)
        }
        None => {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            (&after[..end], &after[..end], "")
        }
    }
}

/// A dashboard as it is checked in.
#[derive(Debug)]
pub struct Dashboard(Value);

/// One query of it.
#[derive(Debug)]
pub struct Target {
    /// The panel's title and the query's letter, or an annotation's name.
    pub title: String,
    json: Value,
    least_interval: String,
}

impl Dashboard {
    /// Reads one by its file's name.
    ///
    /// # Panics
    /// When it is not there or no dashboard.
    pub fn read(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../grafana/dashboards/{name}.json"));
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// Queries of panels and annotations.
    ///
    /// # Panics
    /// When it is no dashboard, as the others of this type.
    pub fn targets(&self) -> Vec<Target> {
        let panels = self.0["panels"].as_array().unwrap().iter().flat_map(|panel| {
            panel["targets"].as_array().unwrap().iter().map(|target| Target {
                title: format!("{} {}", text(&panel["title"]), text(&target["refId"])),
                json: target.clone(),
                least_interval: text(&panel["interval"]).to_owned(),
            })
        });
        let annotations = self.0["annotations"]["list"].as_array().unwrap().iter().map(|one| Target {
            title: format!("annotation {}", text(&one["name"])),
            json: one["target"].clone(),
            least_interval: String::new(),
        });
        panels.chain(annotations).collect()
    }

    /// The query of this title.
    ///
    /// # Panics
    /// When there is none.
    pub fn target(&self, title: &str) -> Target {
        let found = self.targets().into_iter().find(|target| target.title == title);
        found.unwrap_or_else(|| panic!("no query {title}"))
    }

    /// The query of a variable.
    pub fn variable(&self, name: &str, view: &View) -> String {
        let list = self.0["templating"]["list"].as_array().unwrap();
        let variable = list.iter().find(|variable| variable["name"] == name).unwrap();
        view.fill(text(&variable["query"]), "regex")
    }
}

impl Target {
    /// Whether it is of a panel, not of an annotation.
    pub fn is_panel(&self) -> bool {
        !self.least_interval.is_empty()
    }

    /// What it reads.
    pub fn measurement(&self) -> &str {
        text(&self.json["measurement"])
    }

    /// The InfluxQL that is sent.
    pub fn expand(&self, view: &View, mode: Mode) -> String {
        let raw = self.json["rawQuery"] == true;
        let mut time_filter = view.time_filter();
        // The browser puts the dashboard's filters behind the time, the backend between the tags of the editor.
        if mode == Mode::Browser && self.is_panel() && !view.filters.is_empty() {
            time_filter.push_str(&format!(" AND {}", filters(view)));
        }
        let query = match (raw, mode) {
            (true, _) => view.fill(text(&self.json["query"]), "regex"),
            (false, Mode::Browser) => view.fill(&self.built(view, mode), ""),
            (false, Mode::Backend) => self.built(view, mode),
        };
        let query = query.replace("$timeFilter", &time_filter);
        if !self.is_panel() {
            return query;
        }
        let interval = view.interval(&self.least_interval);
        query.replace("$interval", &interval).replace("$__interval", &interval)
    }

    /// From the parts of the query editor.
    fn built(&self, view: &View, mode: Mode) -> String {
        let fill = |text: &str| if mode == Mode::Backend { view.fill(text, "") } else { text.to_owned() };
        let select: Vec<_> = array(&self.json["select"]).map(|parts| chain(array(parts))).collect();
        let mut query = format!("SELECT {} FROM \"{}\" WHERE ", select.join(", "), self.measurement());
        let mut tags: Vec<_> = array(&self.json["tags"]).map(|tag| tag_filter(tag, view)).collect();
        if mode == Mode::Backend && !view.filters.is_empty() {
            tags.push(format!("AND {}", filters(view)));
        }
        if !tags.is_empty() {
            let all = tags.join(" ");
            query.push_str(&format!("({}) AND ", all.strip_prefix("AND ").unwrap_or(&all)));
        }
        query.push_str("$timeFilter");
        let groups = array(&self.json["groupBy"]).map(group);
        for (index, group) in groups.enumerate() {
            let word = if index == 0 {
                " GROUP BY "
            } else if group.starts_with("fill") {
                " "
            } else {
                ", "
            };
            query.push_str(word);
            query.push_str(&fill(&group));
        }
        if self.json["orderByTime"] == "DESC" || mode == Mode::Backend {
            query.push_str(&format!(" ORDER BY time {}", text(&self.json["orderByTime"])));
        }
        if let Some(limit) = self.json["limit"].as_str() {
            query.push_str(&format!(" {} {limit}", if mode == Mode::Browser { "LIMIT" } else { "limit" }));
        }
        query
    }
}

/// `mean("value") AS "actual"` from its parts.
fn chain<'v>(parts: impl Iterator<Item = &'v Value>) -> String {
    parts.fold(String::new(), |inner, part| match (text(&part["type"]), text(&part["params"][0])) {
        ("field", name) => format!("\"{name}\""),
        ("alias", name) => format!("{inner} AS \"{name}\""),
        (function, _) => format!("{function}({inner})"),
    })
}

fn group(part: &Value) -> String {
    match (text(&part["type"]), text(&part["params"][0])) {
        ("tag", "*") => "*".into(),
        ("tag", name) => format!("\"{name}\""),
        (function, parameter) => format!("{function}({parameter})"),
    }
}

fn tag_filter(tag: &Value, view: &View) -> String {
    let (key, operator) = (view.fill(text(&tag["key"]), ""), text(&tag["operator"]));
    let value = match operator {
        "=~" => view.fill(text(&tag["value"]), "regex"),
        _ => quoted(&view.fill(text(&tag["value"]), "")),
    };
    format!("{} \"{key}\" {operator} {value}", text(&tag["condition"]))
}

fn filters(view: &View) -> String {
    let one = |(tag, value): &(String, String)| format!("\"{tag}\" = {}", quoted(value));
    view.filters.iter().map(one).collect::<Vec<_>>().join(" AND ")
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
