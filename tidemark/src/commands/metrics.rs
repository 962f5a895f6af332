//! `tidemark metrics ls`: how every series stands.

use comfy_table::{Cell, CellAlignment, Color};

use super::{CommandError, Context, offline, run};
use crate::answers;
use crate::api::{METRICS, MetricList, MetricRow};
use crate::cli::Role;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, Present, number, table};
use crate::runtime::clock::SystemClock;

/// Lists metrics, from the running process or from the folder.
pub(crate) fn ls(context: &Context) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let list = run::executor()?.block_on(async {
        if let Some(client) = Client::find(&folder, Role::Store)? {
            return client.get(METRICS, &[]).await;
        }
        let config = context.config()?;
        let store = offline::store(&config).await?;
        let now = model::Clock::domain_now(&SystemClock::new());
        answers::metric_list(&*store, &config.judging(), now)
            .await
            .map_err(|error| CommandError::because("cannot read the store", error))
    })?;
    context.print::<MetricList>(&list)?;
    Ok(Exit::Ok)
}

impl Present for MetricList {
    type Row = MetricRow;

    fn rows(&self) -> &[MetricRow] {
        &self.metrics
    }

    fn table(&self, output: Output) -> String {
        if self.metrics.is_empty() {
            return "no metric is configured".to_owned();
        }
        let mut table = table(&["series", "state", "value", "expected", "band", "deviation", "at"]);
        for row in &self.metrics {
            table.add_row([
                Cell::new(series_name(&row.metric, &row.labels)),
                state(row.state.as_deref().unwrap_or("no data yet"), output),
                right(number(row.value)),
                right(number(row.expected)),
                right(band(row)),
                right(row.deviation_pct.map_or_else(String::new, |pct| format!("{pct:+.1} %"))),
                Cell::new(row.at.map_or_else(String::new, |at| at.to_string())),
            ]);
        }
        match &self.short {
            Some(short) => format!("{table}\n{}", short.words()),
            None => table.to_string(),
        }
    }
}

/// `orders{channel="app"}`.
pub(crate) fn series_name(metric: &str, labels: &model::Labels) -> String {
    model::SeriesKey::new(metric, labels.clone()).to_string()
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn band(row: &MetricRow) -> String {
    match (row.lower, row.upper) {
        (None, None) => String::new(),
        (lower, upper) => format!("{} .. {}", number(lower), number(upper)),
    }
}

/// A state, coloured where colours are wanted; the word says it all without.
pub(crate) fn state(name: &str, output: Output) -> Cell {
    let color = match name {
        "firing" | "P0" => Some(Color::Red),
        "outside" | "pending" | "missing" | "P1" => Some(Color::Yellow),
        "normal" | "resolved" => Some(Color::Green),
        _ => None,
    };
    match color.filter(|_| output.color) {
        Some(color) => Cell::new(name).fg(color),
        None => Cell::new(name),
    }
}
