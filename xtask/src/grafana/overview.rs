//! The Overview dashboard: every series' newest verdict, states over time, the latest alerts, and Tidemark's own health.

use super::dashboard::{Dashboard, Link, QueryVariable, TextVariable, Variable};
use super::panel::{FieldDefaults, Panel, Transformation};
use super::query::{Annotation, Fold, Target, identifier, one_of, string};
use super::style;

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "tidemark-overview",
        "Tidemark: overview",
        "What every metric is worth, and what is not as it should be.",
    )
    .link(Link::dashboard("Metric", "/d/tidemark-metric"))
    .link(Link::page("Tidemark", "${tidemark}/"))
    .variable(Variable::Query(metrics()))
    .variable(Variable::Textbox(tidemark()))
    .annotation(Annotation::new("Alerts", "red", alerts_that_fired()))
    .line(4, counts())
    .line(11, vec![(24, newest())])
    .line(9, vec![(24, states())])
    .line(8, vec![(24, latest_alerts())])
    .line(4, health())
    .line(8, vec![(12, trouble()), (12, lag())])
}

/// The metric that the tables and lines are narrowed to.
fn metrics() -> QueryVariable {
    let query = format!("SHOW TAG VALUES FROM {} WITH KEY = {}", identifier("verdict"), identifier("metric"));
    QueryVariable::new("metric", "Metric", query).several()
}

/// Where links to Tidemark's own pages lead.
pub(super) fn tidemark() -> TextVariable {
    TextVariable::new(
        "tidemark",
        "Tidemark's address",
        "Where links to Tidemark's pages lead",
        "http://localhost:9680",
    )
}

fn alerts_that_fired() -> String {
    format!(
        "SELECT {}, {} FROM {} WHERE {} =~ {} AND {} = {} AND $timeFilter",
        identifier("text"),
        identifier("severity"),
        identifier("alert"),
        identifier("metric"),
        one_of("metric"),
        identifier("state"),
        string("firing"),
    )
}

fn counts() -> Vec<(u32, Panel)> {
    let count = |title: &str, state: Option<u8>, color: &'static str| {
        let steps = [(None, "text"), (Some(1.0), color)];
        let panel = style::stat(title, None, &steps).target(Target::written("A", series_in(state)));
        panel.described("Series whose newest verdict in the time range says so")
    };
    vec![
        (5, count("Firing", Some(4), "red")),
        (5, count("Outside their band", Some(3), "orange")),
        (5, count("Missing", Some(2), "purple")),
        (5, count("Learning", Some(1), "blue")),
        (4, count("Series", None, "green")),
    ]
}

/// How many series are in a state by their newest verdict; in any when none is named.
fn series_in(state: Option<u8>) -> String {
    let (state_field, metric) = (identifier("state"), identifier("metric"));
    let newest = format!(
        "SELECT last({state_field}) AS {state_field} FROM {} WHERE {metric} =~ {} AND $timeFilter GROUP BY *",
        identifier("verdict"),
        one_of("metric"),
    );
    let only = state.map_or_else(String::new, |state| format!(" WHERE {state_field} = {state}"));
    format!("SELECT count({state_field}) AS {} FROM ({newest}){only}", identifier("series"))
}

fn newest() -> Panel {
    let verdicts = Target::table("A", "verdict")
        .fold(Fold::Last, "state", "status")
        .field("value", "value")
        .field("expected", "expected")
        .field("deviation_pct", "deviation")
        .field("score", "score")
        .tag_in("metric", "metric")
        .by("*");
    let alerts = Target::table("B", "alert")
        .fold(Fold::Last, "text", "last alert")
        .tag_in("metric", "metric")
        .has_tag("metric")
        .tag_is("state", "firing")
        .by("*");
    Panel::new(
        "Every series",
        style::table("State"),
        FieldDefaults { unit: Some("short"), ..FieldDefaults::default() },
    )
    .described("The newest verdict of every series in the time range, and the last alert that began in it")
    .target(verdicts)
    .target(alerts)
    // What the two tables share is then the series alone: its metric and labels.
    .then(Transformation::without(&["Time", "alertname", "state"]))
    .then(Transformation::Merge {})
    .overrides(style::verdict_columns())
    .overrides([super::panel::Override::named("last alert")
        .set("displayName", "Last alert")
        .set("custom.width", 560)])
}

fn states() -> Panel {
    let worst = Target::over_time("A", "verdict")
        .fold(Fold::Max, "state", "state")
        .tag_in("metric", "metric")
        .by("metric")
        .called("$tag_metric");
    Panel::new("State of every metric", style::state_timeline(), style::of_states())
        .described("The worst state of the metric's series in each interval")
        .target(worst)
}

fn latest_alerts() -> Panel {
    let fired = Target::table("A", "alert")
        .field("text", "text")
        .field("severity", "severity")
        .field("id", "id")
        .tag_is("state", "firing")
        .newest("100");
    let ended = Target::table("B", "alert")
        .field("end_ms", "end_ms")
        .field("id", "id")
        .tag_is("state", "resolved")
        .newest("100");
    Panel::new("Alerts", style::table("Began"), FieldDefaults::default())
        .target(fired)
        .target(ended)
        .then(Transformation::Merge {})
        .overrides(style::alert_columns())
}

fn health() -> Vec<(u32, Panel)> {
    let of = |kind: &str, field: &'static str, fold: Fold| {
        Target::total("A", "pipeline").fold(fold, field, field).tag_is("kind", kind)
    };
    let none_is_good = [(None, "green"), (Some(1.0), "red")];
    let filling = [(None, "green"), (Some(70.0), "orange"), (Some(90.0), "red")];
    let lag = [(None, "green"), (Some(60.0), "orange"), (Some(600.0), "red")];
    vec![
        (5, style::stat("Missed ticks", None, &none_is_good).target(of("sampler", "missed", Fold::Sum))),
        (5, style::stat("Errors of sources", None, &none_is_good).target(of("sampler", "errors", Fold::Sum))),
        (
            5,
            style::stat("Replica lag", Some("s"), &lag)
                .target(of("consumer", "lag_secs", Fold::Last).by("component").called("$tag_component")),
        ),
        (
            5,
            style::stat("Deliveries that failed", None, &none_is_good).target(of(
                "channel",
                "failed",
                Fold::Sum,
            )),
        ),
        (4, style::stat("Log in use", Some("percent"), &filling).target(of("log", "depth_pct", Fold::Last))),
    ]
}

fn trouble() -> Panel {
    let target = Target::over_time("A", "pipeline")
        .fold(Fold::Sum, "missed", "missed")
        .fold(Fold::Sum, "errors", "errors")
        .tag_is("kind", "sampler")
        .by("component")
        .called("$tag_component $col");
    Panel::new("Missed ticks and errors by sampler", style::timeseries(), style::lines()).target(target)
}

fn lag() -> Panel {
    let target = Target::over_time("A", "pipeline")
        .fold(Fold::Max, "lag_secs", "lag")
        .tag_is("kind", "consumer")
        .by("component")
        .called("$tag_component");
    let seconds = FieldDefaults { unit: Some("s"), min: Some(0.0), ..style::lines() };
    Panel::new("Lag of every reader of the log", style::timeseries(), seconds).target(target)
}
