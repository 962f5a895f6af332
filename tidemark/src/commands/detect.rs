//! `tidemark detect`: judges CSV files with the engine that judges live.
//!
//! One output row per input row, in order, each from nothing later than itself. `label` and other columns are never
//! read. Rows are not aligned: each is its own window, as long as the interval found so far.

mod fold;

use std::path::PathBuf;
use std::sync::Arc;

use chrono_tz::Tz;
use clap::Args;
use csv::ByteRecord;
use detector::settings::{NoDataSetting, Settings};
use detector::{Calendar, SeriesJudge};
use indicatif::ProgressBar;
use model::{Labels, SeriesKey};

use super::{CommandError, Context, unknown_metric};
use crate::csv_io::{self, CsvError, InstantReader, Job, Sink};
use crate::exit::Exit;
use fold::{Fold, RowOut};

/// What `detect` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Reads the columns `timestamp` and `value`; writes
  timestamp,anomaly_score,is_anomaly,alert,expected,lower,upper
under the same relative path. anomaly_score: 1 is the limit; is_anomaly: this row is abnormal; alert: a message
would go out at this row.

Examples:
  tidemark detect --input orders.csv --output orders.judged.csv
  tidemark detect --input history/ --output judged/ --timezone Asia/Shanghai
  tidemark detect --input orders.csv --output judged.csv --config tidemark.yaml --metric orders")]
pub(crate) struct DetectArgs {
    /// A .csv or .csv.gz file, or a folder of them.
    #[arg(long, value_name = "IN")]
    pub(crate) input: PathBuf,
    /// Where the result goes: a file, or a folder for a folder.
    #[arg(long = "output", id = "result", value_name = "OUT")]
    pub(crate) result: PathBuf,
    /// Zone of times without an offset, and of the days.
    #[arg(long, value_name = "ZONE", value_parser = crate::config::zone_argument)]
    pub(crate) timezone: Option<Tz>,
    /// Judge by the settings of this metric of the configuration; without it, by the shipped ones.
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Option<String>,
    /// How many cores; 0 takes all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
}

/// How rows are judged: the same for every file.
#[derive(Clone, Debug)]
struct Judging {
    settings: Arc<Settings>,
    calendar: Arc<Calendar>,
}

impl Judging {
    /// The shipped settings, or those of the metric asked for. Gaps are no news: a file has no dead source.
    fn of(context: &Context, args: &DetectArgs) -> Result<Self, CommandError> {
        let (mut settings, calendar) = match &args.metric {
            Some(name) => configured(context, name)?,
            None => (Settings::shipped("detect"), Calendar::default()),
        };
        settings.no_data = NoDataSetting::Ignore;
        if let Some(zone) = args.timezone {
            settings.timezone = zone;
        }
        Ok(Self { settings: Arc::new(settings), calendar: Arc::new(calendar) })
    }
}

/// A metric's settings and the calendar of the configuration.
fn configured(context: &Context, name: &str) -> Result<(Settings, Calendar), CommandError> {
    let config = context.config()?;
    let all = config.judging();
    let found =
        all.iter().find(|settings| *settings.metric == *name).ok_or_else(|| unknown_metric(name, &all))?;
    let calendar = Calendar::from_config(config.calendar()).map_err(|errors| {
        CommandError::new(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    Ok((Settings::clone(found), calendar))
}

/// Judges every file. Exit code 1 when one of them failed; the others are done.
///
/// # Errors
/// When the input cannot be found, the metric is unknown, or threads cannot be started.
pub(crate) fn run(context: &Context, args: &DetectArgs) -> Result<Exit, CommandError> {
    let judging = Judging::of(context, args)?;
    let failed = |error: CsvError| CommandError::new(error.to_string());
    let jobs = csv_io::jobs(&args.input, &args.result).map_err(failed)?;
    let one = |job: &Job, bar: &ProgressBar| detect_file(job, &judging, bar);
    let outcome = csv_io::run_all(&jobs, args.threads, context.global.quiet, one).map_err(failed)?;
    Ok(if outcome.failed == 0 { Exit::Ok } else { Exit::Failure })
}

fn detect_file(job: &Job, judging: &Judging, bar: &ProgressBar) -> Result<u64, CsvError> {
    let path = job.input.as_path();
    let syntax = |source| CsvError::Syntax { path: path.to_owned(), source };
    let mut rows = csv_io::open(path, bar)?;
    let header = rows.byte_headers().map_err(syntax)?.clone();
    let columns =
        (csv_io::need_column(&header, path, "timestamp")?, csv_io::need_column(&header, path, "value")?);
    let mut instants = InstantReader::new(judging.settings.timezone);
    let mut fold = Fold::new(judge(judging), judging.settings.interval);
    let mut sink = Sink::create(&job.output)?;
    sink.row(["timestamp", "anomaly_score", "is_anomaly", "alert", "expected", "lower", "upper"])?;
    let (mut record, mut count) = (ByteRecord::new(), 0);
    while rows.read_byte_record(&mut record).map_err(syntax)? {
        let timestamp = record.get(columns.0).unwrap_or_default();
        let value = number(record.get(columns.1).unwrap_or_default());
        let out = fold.row(instants.read(timestamp), value);
        write_row(&mut sink, timestamp, &out)?;
        count += 1;
    }
    if count > 0 && fold.judged() == 0 {
        let message = "not one row has a time and a number; times look like 2024-03-01 00:00:00".to_owned();
        return Err(CsvError::Useless { path: path.to_owned(), message });
    }
    if fold.unread() > 0 {
        let what = "rows without a usable time or out of order were not judged";
        bar.suspend(|| eprintln!("warning: {}: {} {what}", path.display(), fold.unread()));
    }
    sink.finish()?;
    Ok(count)
}

fn judge(judging: &Judging) -> SeriesJudge {
    let series = SeriesKey::new(Arc::clone(&judging.settings.metric), Labels::default());
    SeriesJudge::new(series, Arc::clone(&judging.settings), Arc::clone(&judging.calendar))
}

/// A finite number; anything else (empty, `NA`, `nan`, text) is no value.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

fn write_row(sink: &mut Sink<'_>, timestamp: &[u8], out: &RowOut) -> Result<(), CsvError> {
    let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
    let cell = |v: Option<f64>| v.map(|v| format!("{v:?}")).unwrap_or_default();
    let score = format!("{:?}", (out.score * 1e6).round() / 1e6);
    let cells =
        [score, flag(out.abnormal), flag(out.alert), cell(out.expected), cell(out.lower), cell(out.upper)];
    sink.row(std::iter::once(timestamp).chain(cells.iter().map(String::as_bytes)))
}
