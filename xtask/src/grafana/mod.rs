//! Grafana's dashboards and provisioning, from typed code.
//!
//! `dashboard` and `panel` are the part of Grafana's dashboard JSON that is used here, as it is understood from 9.4 on; `query` is
//! what its InfluxDB data source expands to InfluxQL; `style` is what all panels have in common. `overview` and `metric`
//! are the two dashboards. What a measurement holds is said in `tsdb/src/points.rs`.

mod dashboard;
mod metric;
mod overview;
mod panel;
mod provisioning;
mod query;
mod style;

use dashboard::Dashboard;

/// Path in the checkout and text of every file below `grafana/` that is generated.
pub(crate) fn files() -> Result<Vec<(&'static str, String)>, String> {
    Ok(vec![
        ("grafana/dashboards/overview.json", json(&overview::dashboard())?),
        ("grafana/dashboards/metric.json", json(&metric::dashboard())?),
        ("grafana/provisioning/datasources/tidemark.yaml", provisioning::data_source()),
        ("grafana/provisioning/dashboards/tidemark.yaml", provisioning::dashboards()),
    ])
}

fn json(dashboard: &Dashboard) -> Result<String, String> {
    let text = serde_json::to_string_pretty(dashboard);
    text.map(|text| text + "\n").map_err(|error| format!("cannot write dashboard {}: {error}", dashboard.uid))
}

#[cfg(test)]
mod tests;
