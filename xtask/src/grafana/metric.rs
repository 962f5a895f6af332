//! The Metric dashboard: one metric's series in their bands, how far they are off, and their alerts.

use super::dashboard::{Dashboard, FilterVariable, Link, QueryVariable, Variable};
use super::overview;
use super::panel::{FieldDefaults, Override, Panel, Transformation};
use super::query::{Annotation, Fold, Target, identifier, string, value_of};
use super::style;

use serde_json::json;

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "tidemark-metric",
        "Tidemark: metric",
        "One metric in its band, with its forecast, last week and alerts.",
    )
    .link(Link::dashboard("Overview", "/d/tidemark-overview"))
    .link(Link::page("Tidemark", "${tidemark}/"))
    .variable(Variable::Query(metric()))
    .variable(Variable::Query(label()))
    .variable(Variable::Query(value()))
    .variable(Variable::Adhoc(FilterVariable::new(
        "filters",
        "Filters",
        "Narrows to series by any label; a label's cell in the table does so too",
    )))
    .variable(Variable::Textbox(overview::tidemark()))
    // Off at first: Grafana 9 gives all annotations the columns of the first answer, and the spans would lose their end.
    .annotation(Annotation::new("Alerts", "red", alerts("firing", "$timeFilter")).off())
    .annotation(Annotation::new("Time in alert", "orange", alerts("resolved", LONG_BEFORE)))
    .line(7, vec![(24, series())])
    .line(11, vec![(24, band())])
    // Whole lines: below panels that repeat, narrower ones would be torn apart.
    .line(7, vec![(24, deviation())])
    .line(7, vec![(24, score())])
    .line(7, vec![(24, states())])
    .line(7, vec![(24, latest_alerts())])
}

/// An alert that began up to a day before what is shown may reach into it.
const LONG_BEFORE: &str = "time >= ${__from}ms - 1d AND time <= ${__to}ms";

fn metric() -> QueryVariable {
    let query = format!("SHOW TAG VALUES FROM {} WITH KEY = {}", identifier("verdict"), identifier("metric"));
    QueryVariable::new("metric", "Metric", query)
}

/// The label whose values get a panel each; a metric without labels has none, and one panel.
fn label() -> QueryVariable {
    let query = format!("SHOW TAG KEYS FROM {} WHERE {}", identifier("verdict"), is_metric());
    QueryVariable::new("label", "Panels by", query)
        .only("/^(?!metric$).+/")
        .described("The label whose values get a panel each")
}

fn value() -> QueryVariable {
    let of = identifier(&value_of("label"));
    let query =
        format!("SHOW TAG VALUES FROM {} WITH KEY = {of} WHERE {}", identifier("verdict"), is_metric());
    QueryVariable::new("value", "Values", query).several()
}

fn is_metric() -> String {
    format!("{} = {}", identifier("metric"), string(&value_of("metric")))
}

fn alerts(state: &str, time: &str) -> String {
    let columns = if state == "resolved" { ", \"end_ms\"" } else { "" };
    format!(
        "SELECT {}, {}{columns} FROM {} WHERE {} AND {} = {} AND {time}",
        identifier("text"),
        identifier("severity"),
        identifier("alert"),
        is_metric(),
        identifier("state"),
        string(state),
    )
}

/// Only what the variables say.
fn narrowed(target: Target) -> Target {
    target.tag_is("metric", value_of("metric")).tag_in("${label:raw}", "value")
}

/// A line for each value of the label.
fn by_label(target: Target) -> Target {
    narrowed(target).by("metric").by("${label:raw}").called("$tag_metric $tag_$label")
}

fn series() -> Panel {
    let newest = Target::table("A", "verdict")
        .fold(Fold::Last, "state", "status")
        .field("value", "value")
        .field("expected", "expected")
        .field("lower", "lower")
        .field("upper", "upper")
        .field("deviation_pct", "deviation")
        .field("score", "score");
    let filterable = super::panel::Custom { filterable: Some(true), ..super::panel::Custom::default() };
    let defaults =
        FieldDefaults { unit: Some("short"), custom: Some(filterable), ..FieldDefaults::default() };
    Panel::new("Series of ${metric}", style::table("Score"), defaults)
        .described("The newest verdict of every series in the time range")
        .target(narrowed(newest).by("*"))
        .overrides(style::verdict_columns())
        .overrides([
            Override::named("lower").set("displayName", "Lower"),
            Override::named("upper").set("displayName", "Upper"),
        ])
}

fn band() -> Panel {
    let target = Target::over_time("A", "verdict")
        .fold(Fold::Mean, "lower", "lower")
        .fold(Fold::Mean, "upper", "upper")
        .fold(Fold::Mean, "prev_week", "last week")
        .fold(Fold::Mean, "forecast", "forecast")
        .fold(Fold::Mean, "expected", "expected")
        .fold(Fold::Mean, "value", "actual");
    Panel::new("${metric} ${value}", style::timeseries(), style::lines())
        .described("A metric with more than one label has several series here: narrow them by Filters")
        .target(narrowed(target).by("*").called("$col"))
        .overrides(band_lines())
        .for_each("value", 2)
}

fn band_lines() -> Vec<Override> {
    let line = |name: &'static str, color: &str, width: u8| {
        let color = json!({"mode": "fixed", "fixedColor": color});
        Override::named(name).set("color", color).set("custom.lineWidth", width)
    };
    let dashes = || json!({"fill": "dash", "dash": [6, 6]});
    let dots = || json!({"fill": "dot", "dash": [2, 6]});
    vec![
        line("lower", "light-blue", 0),
        line("upper", "light-blue", 0).set("custom.fillBelowTo", "lower").set("custom.fillOpacity", 20),
        line("last week", "#8e8e8e", 1).set("custom.lineStyle", dots()),
        line("forecast", "purple", 1).set("custom.lineStyle", dashes()),
        line("expected", "blue", 1),
        line("actual", "green", 2),
    ]
}

fn deviation() -> Panel {
    // The state is there in a missing window too: with it in the answer, such a window is an empty value, a gap.
    let target = Target::over_time("A", "verdict").fold(Fold::Mean, "deviation_pct", "deviation").fold(
        Fold::Max,
        "state",
        "state",
    );
    let percent = FieldDefaults { unit: Some("percent"), ..style::lines() };
    let nowhere = json!({"legend": true, "tooltip": true, "viz": true});
    Panel::new("Deviation from what was expected", style::timeseries(), percent)
        .target(by_label(target).called("$tag_metric $tag_$label $col"))
        .overrides([Override::matching("/ state$/").set("custom.hideFrom", nowhere)])
}

fn score() -> Panel {
    let target = Target::over_time("A", "verdict").fold(Fold::Max, "score", "score");
    let limited = FieldDefaults { unit: None, min: Some(0.0), ..style::lines_with_limit(1.0) };
    Panel::new("Score: 1 is the limit", style::timeseries(), limited).target(by_label(target))
}

fn states() -> Panel {
    let target = Target::over_time("A", "verdict").fold(Fold::Max, "state", "state");
    Panel::new("State", style::state_timeline(), style::of_states()).target(by_label(target))
}

fn latest_alerts() -> Panel {
    let of_metric = |ref_id, state| {
        let target = Target::table(ref_id, "alert").field("id", "id");
        target.tag_is("metric", value_of("metric")).tag_is("state", state).newest("100")
    };
    Panel::new("Alerts of ${metric}", style::table("Began"), FieldDefaults::default())
        .target(of_metric("A", "firing").field("text", "text").field("severity", "severity"))
        .target(of_metric("B", "resolved").field("end_ms", "end_ms"))
        .then(Transformation::Merge {})
        .overrides(style::alert_columns())
}
