//! `tidemark backtest`: stored history through the engine that judges live, with the settings of the configuration
//! file as it stands now.
//!
//! Everything stored before the asked time is replayed too, so that what is reported was judged by an engine that had
//! learned what production's had by then. Nothing is stored and nobody is told.

mod history;
mod replay;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use comfy_table::Cell;
use detector::settings::Settings;

use self::history::History;
use self::replay::{AlertFound, Replay};
use super::metrics::{series_name, state};
use super::{CommandError, Context, run, unknown_metric};
use crate::cli::BacktestArgs;
use crate::config::Config;
use crate::exit::Exit;
use crate::output::{Output, Present, number, table};

/// Replays.
pub(crate) fn run(context: &Context, args: &BacktestArgs) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let settings = find(&config, &args.metric)?;
    let replay = run::executor()?.block_on(async {
        let history = History::open(&config, &settings).await?;
        let plan = history.plan(args.since, args.warm_up.map(Into::into)).await?;
        Replay::of(&config, &settings, &history, &plan).await
    })?;
    if replay.series.is_empty() {
        return Err(CommandError::new(format!(
            "nothing is stored of `{}` since {}",
            args.metric, replay.from
        )));
    }
    context.print(&replay)?;
    Ok(Exit::Ok)
}

fn find(config: &Config, name: &str) -> Result<Arc<Settings>, CommandError> {
    let all = config.judging();
    all.iter().find(|settings| &*settings.metric == name).cloned().ok_or_else(|| unknown_metric(name, &all))
}

impl Present for Replay {
    type Row = AlertFound;

    fn rows(&self) -> &[AlertFound] {
        &self.alerts
    }

    fn table(&self, output: Output) -> String {
        let mut out = format!("{} from {} to {} ({})\n", self.metric, self.from, self.to, self.to_is);
        out.push_str(&format!("warmed up by {} days of what is stored before\n", self.warm_up_days));
        if let Some(short) = &self.short {
            out.push_str(&format!("{}\n", short.words()));
        }
        if self.alerts.is_empty() {
            out.push_str("\nno alert would have been sent\n");
        } else {
            let mut alerts = table(&["when", "until", "severity", "series", "what"]);
            for alert in &self.alerts {
                alerts.add_row([
                    Cell::new(&alert.at),
                    Cell::new(alert.until.as_deref().unwrap_or("still firing")),
                    state(&alert.severity, output),
                    Cell::new(series_name(&self.metric, &alert.labels)),
                    Cell::new(&alert.sentence),
                ]);
            }
            out.push_str(&format!("\n{alerts}\n"));
        }
        let a_week = self.alerts_a_week.map_or_else(
            || "nothing was judged yet: it is still learning".to_owned(),
            |rate| format!("{} a week judged", number(Some((rate * 100.0).round() / 100.0))),
        );
        let (count, night) = (self.alerts.len(), self.at_night);
        let alerts = if count == 1 { "alert" } else { "alerts" };
        out.push_str(&format!(
            "\n{count} {alerts}, {a_week}; {night} at night (22:00 to 7:00 {})\n\n",
            self.timezone
        ));
        let mut band = table(&[
            "series",
            "windows",
            "learning",
            "missing",
            "outside",
            "median value",
            "median band",
            "now",
        ]);
        for series in &self.series {
            let counts = &series.counts;
            band.add_row([
                Cell::new(series_name(&self.metric, &series.labels)),
                Cell::new(counts.windows),
                Cell::new(counts.learning),
                Cell::new(counts.missing),
                Cell::new(counts.outside),
                Cell::new(number(series.median_value)),
                Cell::new(span(series.median_lower, series.median_upper)),
                Cell::new(series.points.last().map_or_else(String::new, |p| span(p.lower, p.upper))),
            ]);
        }
        out.push_str(&format!("Band\n{band}"));
        out
    }
}

fn span(lower: Option<f64>, upper: Option<f64>) -> String {
    match (lower, upper) {
        (None, None) => "learning".to_owned(),
        (lower, upper) => format!("{} .. {}", number(lower), number(upper)),
    }
}
