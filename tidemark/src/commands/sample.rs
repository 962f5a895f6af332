//! `tidemark sample METRIC --once`: asks the source for one window and shows what it answers; stores nothing.

use std::sync::Arc;

use collector::{Cell as RowCell, OnceReport, SamplerSpec, Timetable};
use comfy_table::Cell;
use model::{Clock, Sample, Timestamp, Window};
use serde::Serialize;

use super::metrics::series_name;
use super::{CommandError, Context, run};
use crate::cli::SampleArgs;
use crate::config::{Config, hint};
use crate::exit::Exit;
use crate::output::{Output, Present, counted, number, table};
use crate::runtime::clock::SystemClock;

/// What one sampling brought.
#[derive(Debug, Serialize)]
struct Sampled {
    metric: String,
    start: String,
    end: String,
    rows: usize,
    missing: usize,
    rounded: usize,
    duration_ms: f64,
    samples: Vec<SampledRow>,
    #[serde(skip)]
    raw: String,
}

/// One number.
#[derive(Debug, Serialize)]
struct SampledRow {
    metric: String,
    labels: model::Labels,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    numerator: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denominator: Option<f64>,
}

/// Samples once.
pub(crate) fn run(context: &Context, args: &SampleArgs) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let spec = find(&config, &args.metric)?;
    let source = config.sources().remove(&spec.source).ok_or_else(|| {
        CommandError::new(format!("metric `{}` has the unknown source `{}`", spec.name, spec.source))
    })?;
    let clock = Arc::new(SystemClock::new());
    let window = window(&spec, args.at, clock.domain_now())?;
    let report = run::executor()?.block_on(collector::sample_once(&source, &spec, window, clock)).map_err(
        |error| CommandError::because(format!("cannot sample `{}` of {window}", spec.name), error),
    )?;
    context.print(&sampled(&spec, window, report))?;
    Ok(Exit::Ok)
}

/// The sampler of this name, or the one that feeds the metric of this name.
fn find(config: &Config, name: &str) -> Result<SamplerSpec, CommandError> {
    let samplers = config.samplers();
    let fits = |spec: &&SamplerSpec| &*spec.name == name || spec.values.iter().any(|v| &*v.metric == name);
    samplers.iter().find(fits).cloned().ok_or_else(|| {
        let names: Vec<&str> = samplers.iter().map(|spec| &*spec.name).collect();
        CommandError::new(format!("unknown metric `{name}`{}", hint(name, &names)))
    })
}

/// The window that holds `at`, or the last one that is due.
pub(super) fn window(
    spec: &SamplerSpec,
    at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Window, CommandError> {
    let timetable = Timetable::new(&spec.schedule, spec.timezone)
        .map_err(|error| CommandError::because(format!("metric `{}` has no schedule", spec.name), error))?;
    let never = || CommandError::new(format!("the schedule of `{}` never comes", spec.name));
    if let Some(at) = at {
        let window = timetable.next_tick_after(at).ok_or_else(never)?;
        if window.start > at {
            let message = format!("no window of `{}` holds {at}: the next one is {window}", spec.name);
            return Err(CommandError::new(message));
        }
        return Ok(window);
    }
    let due = now - spec.delay;
    let back = [3_600, 2 * 86_400, 40 * 86_400, 400 * 86_400].map(std::time::Duration::from_secs);
    let last = back.into_iter().find_map(|back| timetable.windows_between(due - back, due).last());
    last.or_else(|| timetable.next_tick_after(due)).ok_or_else(never)
}

fn sampled(spec: &SamplerSpec, window: Window, report: OnceReport) -> Sampled {
    let row = |sample: &Sample| SampledRow {
        metric: sample.series.metric.to_string(),
        labels: sample.series.labels.clone(),
        value: sample.value,
        numerator: sample.ratio.map(|ratio| ratio.numerator),
        denominator: sample.ratio.map(|ratio| ratio.denominator),
    };
    Sampled {
        metric: spec.name.to_string(),
        start: window.start.to_rfc3339(),
        end: window.end.to_rfc3339(),
        rows: report.rows.rows.len(),
        missing: report.missing,
        rounded: report.rounded,
        duration_ms: (report.duration.as_secs_f64() * 1e6).round() / 1e3,
        samples: report.samples.iter().map(row).collect(),
        raw: raw(&report),
    }
}

/// Most rows of the source's own answer that are shown.
const RAW_ROWS: usize = 20;

/// The rows as the source gave them.
fn raw(report: &OnceReport) -> String {
    let headings: Vec<&str> = report.rows.columns.iter().map(String::as_str).collect();
    let mut rows = table(&headings);
    for row in report.rows.rows.iter().take(RAW_ROWS) {
        rows.add_row(row.iter().map(|cell| Cell::new(shown(cell))));
    }
    let more = report.rows.rows.len().saturating_sub(RAW_ROWS);
    let more = if more > 0 { format!("\n.. and {more} more") } else { String::new() };
    format!("{rows}{more}")
}

fn shown(cell: &RowCell) -> String {
    match cell {
        RowCell::Null => "NULL".to_owned(),
        RowCell::Int(value) => value.to_string(),
        RowCell::UInt(value) => value.to_string(),
        RowCell::Float(value) => value.to_string(),
        RowCell::Text(text) => text.chars().take(80).collect(),
        RowCell::Bool(value) => value.to_string(),
    }
}

impl Present for Sampled {
    type Row = SampledRow;

    fn rows(&self) -> &[SampledRow] {
        &self.samples
    }

    fn table(&self, _: Output) -> String {
        let mut out = format!(
            "{} from {} to {}: {} in {} ms\n",
            self.metric,
            self.start,
            self.end,
            counted(self.rows, "row"),
            self.duration_ms
        );
        if self.rows > 0 {
            out.push_str(&format!("\nThe source answers\n{}\n\nwhich would be stored as\n", self.raw));
            let mut series = table(&["series", "value", "of"]);
            for row in &self.samples {
                let of = match (row.numerator, row.denominator) {
                    (Some(n), Some(d)) => format!("{} / {}", number(Some(n)), number(Some(d))),
                    _ => String::new(),
                };
                series.add_row([
                    Cell::new(series_name(&row.metric, &row.labels)),
                    Cell::new(number(Some(row.value))),
                    Cell::new(of),
                ]);
            }
            out.push_str(&series.to_string());
        } else {
            out.push_str("the source answers: there is nothing");
        }
        if self.missing > 0 {
            out.push_str(&format!(
                "\nmissing (NULL, or a denominator of 0): {}",
                counted(self.missing, "number")
            ));
        }
        if self.rounded > 0 {
            out.push_str(&format!("\nrounded, being beyond 2^53: {}", counted(self.rounded, "whole number")));
        }
        out
    }
}
