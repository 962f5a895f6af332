//! What panels have in common: colours and words of the states, and the kinds with their usual options.

use serde_json::{Value, json};

use super::panel::{
    Color, Custom, FieldDefaults, Footer, Kind, Legend, Mapping, Override, Panel, Reduce, SortBy,
    StatOptions, StateTimelineOptions, Step, TableOptions, Thresholds, ThresholdsStyle, TimeseriesOptions,
    Tooltip,
};

/// No window is shorter, so no interval of a panel is either.
pub(super) const SHORTEST_WINDOW: &str = "1m";

/// The Metric dashboard with a metric filled in.
pub(super) const METRIC_URL: &str =
    "/d/tidemark-metric/metric?var-metric=${__value.raw}&${__url_time_range}&var-tidemark=${tidemark}";

/// The page of an alert in Tidemark's console.
const ALERT_URL: &str = "${tidemark}/alerts/${__value.raw}";

/// The states of a verdict: number, word, colour.
const STATES: [(u8, &str, &str); 5] = [
    (0, "normal", "green"),
    (1, "learning", "blue"),
    (2, "missing", "purple"),
    (3, "outside", "orange"),
    (4, "firing", "red"),
];

/// Numbers of states as words in their colours.
pub(super) fn states() -> Vec<Mapping> {
    let words = STATES
        .iter()
        .map(|(code, word, color)| (code.to_string(), json!({"text": word, "color": color, "index": code})));
    vec![Mapping::Value(words.collect())]
}

/// How fields of states look: in the colours of their words, which thresholds would hide in a state timeline.
pub(super) fn of_states() -> FieldDefaults {
    FieldDefaults {
        color: Some(Color { mode: "fixed", fixed_color: Some("text") }),
        mappings: states(),
        custom: Some(Custom { line_width: Some(0), fill_opacity: Some(75), ..Custom::default() }),
        ..FieldDefaults::default()
    }
}

pub(super) const fn by_thresholds() -> Color {
    Color { mode: "thresholds", fixed_color: None }
}

pub(super) fn thresholds(steps: &[(Option<f64>, &'static str)]) -> Thresholds {
    let steps = steps.iter().map(|(value, color)| Step { value: *value, color }).collect();
    Thresholds { mode: "absolute", steps }
}

/// Lines over time. A missing value is a gap, an interval without any window is not.
pub(super) fn lines() -> FieldDefaults {
    FieldDefaults {
        unit: Some("short"),
        color: Some(Color { mode: "palette-classic", fixed_color: None }),
        custom: Some(Custom {
            line_width: Some(1),
            fill_opacity: Some(0),
            span_nulls: Some(false),
            // A value between two gaps is no line, but a point.
            show_points: Some("auto"),
            ..Custom::default()
        }),
        ..FieldDefaults::default()
    }
}

/// Lines with a limit drawn across.
pub(super) fn lines_with_limit(limit: f64) -> FieldDefaults {
    let mut lines = lines();
    lines.thresholds = Some(thresholds(&[(None, "transparent"), (Some(limit), "red")]));
    lines.custom = lines
        .custom
        .map(|custom| Custom { thresholds_style: Some(ThresholdsStyle { mode: "dashed" }), ..custom });
    lines
}

pub(super) fn timeseries() -> Kind {
    let tooltip = Tooltip { mode: "multi", sort: "none" };
    Kind::Timeseries(TimeseriesOptions { legend: legend(true), tooltip })
}

pub(super) fn state_timeline() -> Kind {
    Kind::StateTimeline(StateTimelineOptions {
        merge_values: true,
        show_value: "never",
        row_height: 0.8,
        align_value: "left",
        legend: legend(true),
        tooltip: Tooltip { mode: "single", sort: "none" },
    })
}

fn legend(show_legend: bool) -> Legend {
    Legend { show_legend, display_mode: "list", placement: "bottom", calcs: Vec::new() }
}

/// A table, sorted by this column from the highest down.
pub(super) fn table(sort_by: &'static str) -> Kind {
    Kind::Table(TableOptions {
        show_header: true,
        cell_height: "sm",
        sort_by: vec![SortBy { display_name: sort_by, desc: true }],
        footer: Footer { show: false },
    })
}

/// One number: the last of the answer, each series for itself.
pub(super) fn stat(title: &str, unit: Option<&'static str>, steps: &[(Option<f64>, &'static str)]) -> Panel {
    let kind = Kind::Stat(StatOptions {
        reduce_options: Reduce { calcs: ["lastNotNull"], fields: "", values: false },
        orientation: "auto",
        color_mode: "value",
        graph_mode: "none",
        justify_mode: "center",
        text_mode: "auto",
    });
    let defaults = FieldDefaults {
        unit,
        no_value: Some("0"),
        color: Some(by_thresholds()),
        thresholds: Some(thresholds(steps)),
        ..FieldDefaults::default()
    };
    Panel::new(title, kind, defaults)
}

/// Columns of the newest verdict of each series, as a table shows them.
pub(super) fn verdict_columns() -> Vec<Override> {
    let percent = Override::named("deviation").set("unit", "percent").set("decimals", 1);
    let limit = json!({"mode": "absolute", "steps": [{"value": null, "color": "text"}, {"value": 1, "color": "red"}]});
    vec![
        Override::named("Time").set("displayName", "Window").set("custom.width", 190),
        Override::named("metric").set("displayName", "Metric").set("links", link("Metric", METRIC_URL)),
        state_column("status"),
        Override::named("value").set("displayName", "Value"),
        Override::named("expected").set("displayName", "Expected"),
        percent.set("displayName", "Deviation"),
        Override::named("score")
            .set("displayName", "Score")
            .set("decimals", 2)
            .set("thresholds", limit)
            .set("custom.cellOptions", json!({"type": "color-text"})),
    ]
}

fn state_column(name: &'static str) -> Override {
    Override::named(name)
        .set("displayName", "State")
        .set("mappings", json!(states()))
        .set("custom.cellOptions", json!({"type": "color-background", "mode": "basic"}))
        .set("custom.width", 100)
}

/// Columns of a table of alerts.
pub(super) fn alert_columns() -> Vec<Override> {
    vec![
        Override::named("Time").set("displayName", "Began").set("custom.width", 170),
        Override::named("text").set("displayName", "Alert"),
        Override::named("severity").set("displayName", "Severity").set("custom.width", 90),
        Override::named("id")
            .set("displayName", "In Tidemark")
            .set("links", link("Alert in Tidemark", ALERT_URL))
            .set("custom.width", 250),
        Override::named("end_ms")
            .set("displayName", "Ended")
            .set("unit", "dateTimeAsIso")
            .set("custom.width", 170),
    ]
}

fn link(title: &str, url: &str) -> Value {
    json!([{"title": title, "url": url}])
}
