//! Panels: the kinds that are used, with the options that are not Grafana's own defaults.

use serde::Serialize;

use super::query::{DataSource, Target};
use super::style;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Panel {
    id: u32,
    title: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    grid_pos: GridPos,
    datasource: DataSource,
    /// The smallest `$__interval`: no window is shorter.
    interval: &'static str,
    #[serde(flatten)]
    kind: Kind,
    field_config: FieldConfig,
    targets: Vec<Target>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transformations: Vec<Transformation>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    repeat: Option<Repeat>,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct GridPos {
    pub(super) h: u32,
    pub(super) w: u32,
    pub(super) x: u32,
    pub(super) y: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Repeat {
    repeat: &'static str,
    repeat_direction: &'static str,
    max_per_row: u32,
}

/// What draws the panel.
#[derive(Serialize)]
#[serde(tag = "type", content = "options", rename_all = "kebab-case")]
pub(super) enum Kind {
    Timeseries(TimeseriesOptions),
    StateTimeline(StateTimelineOptions),
    Table(TableOptions),
    Stat(StatOptions),
}

#[derive(Serialize)]
pub(super) struct TimeseriesOptions {
    pub(super) legend: Legend,
    pub(super) tooltip: Tooltip,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Legend {
    pub(super) show_legend: bool,
    pub(super) display_mode: &'static str,
    pub(super) placement: &'static str,
    pub(super) calcs: Vec<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Tooltip {
    pub(super) mode: &'static str,
    pub(super) sort: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateTimelineOptions {
    pub(super) merge_values: bool,
    pub(super) show_value: &'static str,
    pub(super) row_height: f64,
    pub(super) align_value: &'static str,
    pub(super) legend: Legend,
    pub(super) tooltip: Tooltip,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableOptions {
    pub(super) show_header: bool,
    pub(super) cell_height: &'static str,
    pub(super) sort_by: Vec<SortBy>,
    pub(super) footer: Footer,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SortBy {
    pub(super) display_name: &'static str,
    pub(super) desc: bool,
}

#[derive(Serialize)]
pub(super) struct Footer {
    pub(super) show: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatOptions {
    pub(super) reduce_options: Reduce,
    pub(super) orientation: &'static str,
    pub(super) color_mode: &'static str,
    pub(super) graph_mode: &'static str,
    pub(super) justify_mode: &'static str,
    pub(super) text_mode: &'static str,
}

#[derive(Serialize)]
pub(super) struct Reduce {
    pub(super) calcs: [&'static str; 1],
    pub(super) fields: &'static str,
    pub(super) values: bool,
}

/// How values look: for all fields, and for fields by their names.
#[derive(Serialize)]
pub(super) struct FieldConfig {
    pub(super) defaults: FieldDefaults,
    pub(super) overrides: Vec<Override>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FieldDefaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decimals: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_value: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) color: Option<Color>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thresholds: Option<Thresholds>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mappings: Vec<Mapping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<Custom>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Color {
    pub(super) mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixed_color: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Thresholds {
    pub(super) mode: &'static str,
    pub(super) steps: Vec<Step>,
}

#[derive(Serialize)]
pub(super) struct Step {
    /// From here on; nothing is from the very least on.
    pub(super) value: Option<f64>,
    pub(super) color: &'static str,
}

/// Words for values.
#[derive(Serialize)]
#[serde(tag = "type", content = "options", rename_all = "lowercase")]
pub(super) enum Mapping {
    Value(serde_json::Map<String, serde_json::Value>),
}

/// How lines of a time series panel are drawn, and cells of a table.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Custom {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line_width: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fill_opacity: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) span_nulls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) show_points: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thresholds_style: Option<ThresholdsStyle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filterable: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct ThresholdsStyle {
    pub(super) mode: &'static str,
}

/// What is different for some fields.
#[derive(Serialize)]
pub(super) struct Override {
    matcher: Matcher,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Matcher {
    id: &'static str,
    options: &'static str,
}

#[derive(Serialize)]
struct Property {
    id: &'static str,
    value: serde_json::Value,
}

impl Override {
    /// For the field of this name.
    pub(super) const fn named(name: &'static str) -> Self {
        let matcher = Matcher { id: "byName", options: name };
        Self { matcher, properties: Vec::new() }
    }

    /// For the fields whose names match.
    pub(super) const fn matching(pattern: &'static str) -> Self {
        let matcher = Matcher { id: "byRegexp", options: pattern };
        Self { matcher, properties: Vec::new() }
    }

    pub(super) fn set(mut self, id: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.properties.push(Property { id, value: value.into() });
        self
    }
}

/// A step between the answers and the panel; only such as every Grafana since 8 knows.
#[derive(Serialize)]
#[serde(tag = "id", content = "options")]
pub(super) enum Transformation {
    /// Drops columns of every table.
    #[serde(rename = "filterFieldsByName")]
    Without { exclude: Names },
    /// Makes one table of several: rows that agree in all columns they share become one.
    #[serde(rename = "merge")]
    Merge {},
}

#[derive(Serialize)]
pub(super) struct Names {
    names: Vec<&'static str>,
}

impl Transformation {
    pub(super) fn without(names: &[&'static str]) -> Self {
        Self::Without { exclude: Names { names: names.to_vec() } }
    }
}

impl Panel {
    pub(super) fn new(title: impl Into<String>, kind: Kind, defaults: FieldDefaults) -> Self {
        Self {
            id: 0,
            title: title.into(),
            description: "",
            grid_pos: GridPos { h: 0, w: 0, x: 0, y: 0 },
            datasource: DataSource::TIDEMARK,
            interval: style::SHORTEST_WINDOW,
            kind,
            field_config: FieldConfig { defaults, overrides: Vec::new() },
            targets: Vec::new(),
            transformations: Vec::new(),
            repeat: None,
        }
    }

    pub(super) const fn described(mut self, text: &'static str) -> Self {
        self.description = text;
        self
    }

    pub(super) fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    pub(super) fn overrides(mut self, overrides: impl IntoIterator<Item = Override>) -> Self {
        self.field_config.overrides.extend(overrides);
        self
    }

    pub(super) fn then(mut self, transformation: Transformation) -> Self {
        self.transformations.push(transformation);
        self
    }

    /// One such panel for each value chosen of a variable.
    pub(super) fn for_each(mut self, variable: &'static str, max_per_row: u32) -> Self {
        self.repeat = Some(Repeat { repeat: variable, repeat_direction: "h", max_per_row });
        self
    }

    pub(super) const fn at(mut self, id: u32, grid_pos: GridPos) -> Self {
        (self.id, self.grid_pos) = (id, grid_pos);
        self
    }

    pub(super) const fn bottom(&self) -> u32 {
        self.grid_pos.y + self.grid_pos.h
    }
}
