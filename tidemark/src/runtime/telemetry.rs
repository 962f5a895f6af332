//! `/metrics`: the registry, and what is read at the moment of the scrape.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Parts;

/// A registry with what does not change.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("tidemark_build", "Version of the binary", build);
    registry
}

/// The whole page in Prometheus' (OpenMetrics) text format.
pub(super) fn page(registry: &Registry, parts: &Parts) -> String {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        return String::new();
    }
    let end = "# EOF\n";
    text.truncate(text.len().saturating_sub(if text.ends_with(end) { end.len() } else { 0 }));
    text.push_str(&task_metrics(parts));
    text.push_str(end);
    text
}

fn task_metrics(parts: &Parts) -> String {
    let health = parts.tasks.health();
    let running =
        health.iter().map(|(name, task)| (format!("{{task={name:?}}}"), f64::from(u8::from(task.running))));
    let mut text = family("tidemark_task_running", "Whether a supervised task runs", running);
    let failures = health.iter().map(|(name, task)| (format!("{{task={name:?}}}"), task.failures as f64));
    text += &family("tidemark_task_failures", "How often a supervised task failed since start", failures);
    let uptime = parts.clock.monotonic_now().saturating_sub(parts.started).as_secs_f64();
    text += &gauge("tidemark_uptime_seconds", "Seconds since start", "", uptime);
    text
}

fn gauge(name: &str, help: &str, labels: &str, value: f64) -> String {
    family(name, help, [(labels.to_owned(), value)])
}

fn family(name: &str, help: &str, values: impl IntoIterator<Item = (String, f64)>) -> String {
    let lines: String =
        values.into_iter().map(|(labels, value)| format!("{name}{labels} {value}\n")).collect();
    format!("# HELP {name} {help}.\n# TYPE {name} gauge\n{lines}")
}
