//! `tidemark backtest`: stored history through the engine that judges live, with the settings of the configuration
//! file as it stands now.
//!
//! Four weeks before the asked time are replayed too, so that what is reported was judged by an engine that had learned
//! by then, as production's had. Nothing is stored and nobody is told.

mod replay;

use std::sync::Arc;
use std::time::Duration;

use comfy_table::Cell;
use detector::settings::Settings;
use model::{Clock, SeriesData, TimeRange, Timestamp};

use self::replay::{AlertFound, Replay};
use super::metrics::{series_name, state};
use super::{CommandError, Context, offline, run};
use crate::answers;
use crate::api::{SERIES, SeriesAnswer};
use crate::cli::{BacktestArgs, Since};
use crate::client::Client;
use crate::config::{Config, hint};
use crate::exit::Exit;
use crate::output::{Output, Present, number, table};
use crate::runtime::clock::SystemClock;

/// How much is replayed before the asked time.
const WARM_UP: Duration = Duration::from_secs(28 * 86_400);

/// Replays.
pub(crate) fn run(context: &Context, args: &BacktestArgs) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let settings = find(&config, &args.metric)?;
    let (data, now) = run::executor()?.block_on(stored(&config, &args.metric, args.since))?;
    let from = since(args.since, now);
    if data.iter().all(|series| series.times.is_empty()) {
        return Err(CommandError::new(format!("nothing is stored of `{}` since {from}", args.metric)));
    }
    let replay = Replay::of(&config, &settings, data, TimeRange { start: from, end: now })?;
    context.print(&replay)?;
    Ok(Exit::Ok)
}

fn find(config: &Config, name: &str) -> Result<Arc<Settings>, CommandError> {
    let all = config.judging();
    all.iter().find(|settings| &*settings.metric == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|settings| &*settings.metric).collect();
        CommandError::new(format!("unknown metric `{name}`{}", hint(name, &names)))
    })
}

fn since(since: Since, now: Timestamp) -> Timestamp {
    match since {
        Since::Ago(ago) => now - ago.0,
        Since::At(at) => at,
    }
}

/// The metric's samples, from the running process or from the folder, and the last instant they may reach.
async fn stored(
    config: &Config,
    metric: &str,
    asked: Since,
) -> Result<(Vec<SeriesData>, Timestamp), CommandError> {
    let now = SystemClock::new().domain_now().align_down(Duration::from_secs(1));
    let start = since(asked, now) - WARM_UP;
    let answer: SeriesAnswer = if let Some(client) = Client::find(&config.data_dir())? {
        let query = [("metric", metric.to_owned()), ("from", start.to_rfc3339()), ("to", now.to_rfc3339())];
        client.get(SERIES, &query).await?
    } else {
        let store = offline::store(config)?;
        answers::series(&*store, metric, TimeRange { start, end: now })
            .await
            .map_err(|error| CommandError::because("cannot read the store", error))?
    };
    Ok((answer.series.into_iter().map(SeriesData::from).collect(), now))
}

impl Present for Replay {
    type Row = AlertFound;

    fn rows(&self) -> &[AlertFound] {
        &self.alerts
    }

    fn table(&self, output: Output) -> String {
        let mut out = format!("{} from {} to {}\n", self.metric, self.from, self.to);
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
