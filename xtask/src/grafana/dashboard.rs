//! A dashboard: what stands around its panels.

use serde::Serialize;

use super::panel::{GridPos, Panel};
use super::query::{Annotation, DataSource};

/// The layout of the JSON, as Grafana 9.4 writes it; later ones read it and migrate it themselves.
const SCHEMA_VERSION: u32 = 37;

/// Panels stand on a grid so many columns wide.
pub(super) const COLUMNS: u32 = 24;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dashboard {
    pub(super) uid: &'static str,
    title: &'static str,
    description: &'static str,
    tags: [&'static str; 1],
    schema_version: u32,
    version: u32,
    editable: bool,
    /// 1: the crosshair is shared by all panels.
    graph_tooltip: u8,
    refresh: &'static str,
    timezone: &'static str,
    time: Time,
    links: Vec<Link>,
    templating: List<Variable>,
    annotations: List<Annotation>,
    panels: Vec<Panel>,
}

#[derive(Serialize)]
struct Time {
    from: &'static str,
    to: &'static str,
}

#[derive(Serialize)]
struct List<T> {
    list: Vec<T>,
}

impl Dashboard {
    pub(super) fn new(uid: &'static str, title: &'static str, description: &'static str) -> Self {
        Self {
            uid,
            title,
            description,
            tags: ["tidemark"],
            schema_version: SCHEMA_VERSION,
            version: 1,
            editable: true,
            graph_tooltip: 1,
            refresh: "1m",
            timezone: "browser",
            time: Time { from: "now-24h", to: "now" },
            links: Vec::new(),
            templating: List { list: Vec::new() },
            annotations: List { list: Vec::new() },
            panels: Vec::new(),
        }
    }

    pub(super) fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    pub(super) fn variable(mut self, variable: Variable) -> Self {
        self.templating.list.push(variable);
        self
    }

    pub(super) fn annotation(mut self, annotation: Annotation) -> Self {
        self.annotations.list.push(annotation);
        self
    }

    /// Adds a line of panels of one height below what is there; their widths make up the whole grid.
    pub(super) fn line(mut self, height: u32, panels: Vec<(u32, Panel)>) -> Self {
        let top = self.panels.iter().map(Panel::bottom).max().unwrap_or(0);
        let mut left = 0;
        for (width, panel) in panels {
            let id = u32::try_from(self.panels.len()).unwrap_or(u32::MAX).saturating_add(1);
            self.panels.push(panel.at(id, GridPos { h: height, w: width, x: left, y: top }));
            left += width;
        }
        assert_eq!(left, COLUMNS, "a line of {} does not fill the grid", self.title);
        self
    }
}

/// A link at the top of a dashboard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Link {
    r#type: &'static str,
    title: &'static str,
    icon: &'static str,
    url: &'static str,
    tags: Vec<&'static str>,
    as_dropdown: bool,
    target_blank: bool,
    keep_time: bool,
    include_vars: bool,
}

impl Link {
    /// To a page; variables of the dashboard are filled in.
    pub(super) const fn page(title: &'static str, url: &'static str) -> Self {
        Self {
            r#type: "link",
            title,
            icon: "external link",
            url,
            tags: Vec::new(),
            as_dropdown: false,
            target_blank: true,
            keep_time: false,
            include_vars: false,
        }
    }

    /// To another dashboard, with the same time range.
    pub(super) fn dashboard(title: &'static str, url: &'static str) -> Self {
        Self { icon: "dashboard", target_blank: false, keep_time: true, ..Self::page(title, url) }
    }
}

/// A value people choose at the top of a dashboard.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Variable {
    Query(QueryVariable),
    Textbox(TextVariable),
    Adhoc(FilterVariable),
}

/// One or more answers of a query.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryVariable {
    name: &'static str,
    label: &'static str,
    description: &'static str,
    datasource: DataSource,
    query: String,
    definition: String,
    /// Answers that match are offered.
    regex: &'static str,
    /// 1: asked when the dashboard is loaded.
    refresh: u8,
    sort: u8,
    multi: bool,
    include_all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    all_value: Option<&'static str>,
    hide: u8,
    current: Current,
    options: [(); 0],
}

#[derive(Serialize)]
struct Current {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'static str>,
}

impl QueryVariable {
    pub(super) fn new(name: &'static str, label: &'static str, query: String) -> Self {
        Self {
            name,
            label,
            description: "",
            datasource: DataSource::TIDEMARK,
            definition: query.clone(),
            query,
            regex: "",
            refresh: 1,
            sort: 1,
            multi: false,
            include_all: false,
            all_value: None,
            hide: 0,
            current: Current { text: None, value: None },
            options: [],
        }
    }

    /// Offers only answers that match.
    pub(super) const fn only(mut self, regex: &'static str) -> Self {
        self.regex = regex;
        self
    }

    pub(super) const fn described(mut self, text: &'static str) -> Self {
        self.description = text;
        self
    }

    /// Takes several answers, and all of them at first: a pattern that also matches series without the tag.
    pub(super) fn several(mut self) -> Self {
        (self.multi, self.include_all, self.all_value) = (true, true, Some(".*"));
        self.current = Current { text: Some("All"), value: Some("$__all") };
        self
    }
}

/// A text people type.
#[derive(Serialize)]
pub(super) struct TextVariable {
    name: &'static str,
    label: &'static str,
    description: &'static str,
    query: &'static str,
    current: Current,
    options: [(); 0],
    hide: u8,
}

impl TextVariable {
    pub(super) const fn new(
        name: &'static str,
        label: &'static str,
        description: &'static str,
        text: &'static str,
    ) -> Self {
        let current = Current { text: Some(text), value: Some(text) };
        Self { name, label, description, query: text, current, options: [], hide: 0 }
    }
}

/// Filters by any tag, which Grafana adds to every query of the data source that is not written by hand.
#[derive(Serialize)]
pub(super) struct FilterVariable {
    name: &'static str,
    label: &'static str,
    description: &'static str,
    datasource: DataSource,
    filters: [(); 0],
    hide: u8,
}

impl FilterVariable {
    pub(super) const fn new(name: &'static str, label: &'static str, description: &'static str) -> Self {
        Self { name, label, description, datasource: DataSource::TIDEMARK, filters: [], hide: 0 }
    }
}
