//! `tidemark forecast`: forecasts CSV files.
//!
//! `--horizon H` reads one series a row (`id,v1,v2,..`, rows of any length, any header) and writes `id,yhat1..yhatH`.
//! `--rolling 1d` reads `timestamp,value` and writes for every row what was forecast a day before.

use std::path::PathBuf;

use chrono_tz::Tz;
use clap::Args;
use csv::ByteRecord;
use detector::forecast::{Rolling, forecast_horizon};
use indicatif::ProgressBar;
use model::{HumanDuration, Timestamp};

use super::{CommandError, Context};
use crate::csv_io::{self, CsvError, InstantReader, Job, Sink};
use crate::exit::Exit;

/// What `forecast` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark forecast --input daily.csv --horizon 56 --season 7 --output forecast.csv
  tidemark forecast --rolling 1d --input history/ --output forecasts/")]
pub(crate) struct ForecastArgs {
    /// A .csv or .csv.gz file, or a folder of them.
    #[arg(long, value_name = "IN")]
    pub(crate) input: PathBuf,
    /// Where the result goes: a file, or a folder for a folder.
    #[arg(long = "output", id = "result", value_name = "OUT")]
    pub(crate) result: PathBuf,
    /// How many values ahead, for files of one series a row.
    #[arg(long, value_name = "H", required_unless_present = "rolling", conflicts_with = "rolling",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) horizon: Option<u32>,
    /// Values in a season (24 for hourly, 7 for daily); found from each history when not given.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) season: Option<u32>,
    /// Forecast every row of `timestamp,value` files from rows at least this much older.
    #[arg(long, value_name = "AGE")]
    pub(crate) rolling: Option<HumanDuration>,
    /// Zone of times without an offset, and of the days.
    #[arg(long, value_name = "ZONE", value_parser = crate::config::zone_argument, default_value = "UTC")]
    pub(crate) timezone: Tz,
    /// How many cores; 0 takes all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
}

/// Forecasts every file. Exit code 1 when one of them failed; the others are done.
///
/// # Errors
/// When the input cannot be found or threads cannot be started.
pub(crate) fn run(context: &Context, args: &ForecastArgs) -> Result<Exit, CommandError> {
    let failed = |error: CsvError| CommandError::new(error.to_string());
    let jobs = csv_io::jobs(&args.input, &args.result).map_err(failed)?;
    let one = |job: &Job, bar: &ProgressBar| match args.rolling {
        Some(age) => rolling_file(job, args, age, bar),
        None => wide_file(job, args, bar),
    };
    let outcome = csv_io::run_all(&jobs, args.threads, context.global.quiet, one).map_err(failed)?;
    Ok(if outcome.failed == 0 { Exit::Ok } else { Exit::Failure })
}

fn wide_file(job: &Job, args: &ForecastArgs, bar: &ProgressBar) -> Result<u64, CsvError> {
    use rayon::prelude::*;
    let path = job.input.as_path();
    let syntax = |source| CsvError::Syntax { path: path.to_owned(), source };
    let horizon = args.horizon.unwrap_or(1) as usize;
    let season = args.season.map(|s| s as usize);
    let mut rows = csv_io::open(path, bar)?;
    let header = rows.byte_headers().map_err(syntax)?.clone();
    let series = rows.byte_records().collect::<Result<Vec<_>, _>>().map_err(syntax)?;
    if one_value_a_row(&header, &series, args.timezone) {
        let message = "each row is one `timestamp,value`, and `--horizon` reads one series a row: \
            forecast it with `--rolling 1d`, or write its values behind each other in one row";
        return Err(CsvError::Useless { path: path.to_owned(), message: message.to_owned() });
    }
    let forecasts: Vec<Vec<f64>> =
        series.par_iter().map(|row| forecast_horizon(&history(row), horizon, season)).collect();
    let mut sink = Sink::create(&job.output)?;
    sink.row(std::iter::once("id".to_owned()).chain((1..=horizon).map(|h| format!("yhat{h}"))))?;
    for (row, forecast) in series.iter().zip(&forecasts) {
        let id = row.get(0).unwrap_or_default().to_vec();
        let cells = forecast.iter().map(|v| format!("{v:?}").into_bytes());
        sink.row(std::iter::once(id).chain(cells))?;
    }
    sink.finish()?;
    Ok(series.iter().map(|row| row.len().saturating_sub(1) as u64).sum())
}

/// Whether a file is one series with a time and a value in each row. A header alone says nothing: series a row are read
/// under any, so the rows must be like it too.
fn one_value_a_row(header: &ByteRecord, rows: &[ByteRecord], zone: Tz) -> bool {
    let column = |name| csv_io::column(header, name);
    let (Some(at), Some(value)) = (column("timestamp"), column("value")) else { return false };
    let mut instants = InstantReader::new(zone);
    let like_it = |row: &ByteRecord| {
        let is_time = row.get(at).is_some_and(|cell| instants.read(cell).is_some());
        is_time && row.len() > value && row.len() <= header.len()
    };
    !rows.is_empty() && rows.iter().all(like_it)
}

/// The values of a row, oldest first; a cell inside without a number is a missing value, those at the end are not
/// there.
fn history(row: &ByteRecord) -> Vec<f64> {
    let number = |cell: &[u8]| {
        let value = std::str::from_utf8(cell).ok().and_then(|text| text.trim().parse::<f64>().ok());
        value.filter(|v| v.is_finite()).unwrap_or(f64::NAN)
    };
    let mut values: Vec<f64> = row.iter().skip(1).map(number).collect();
    let used = values.iter().rposition(|v| !v.is_nan()).map_or(0, |last| last + 1);
    values.truncate(used);
    values
}

fn rolling_file(
    job: &Job,
    args: &ForecastArgs,
    age: HumanDuration,
    bar: &ProgressBar,
) -> Result<u64, CsvError> {
    let path = job.input.as_path();
    let syntax = |source| CsvError::Syntax { path: path.to_owned(), source };
    let mut rows = csv_io::open(path, bar)?;
    let header = rows.byte_headers().map_err(syntax)?.clone();
    let columns =
        (csv_io::need_column(&header, path, "timestamp")?, csv_io::need_column(&header, path, "value")?);
    let mut instants = InstantReader::new(args.timezone);
    let age_secs = i64::try_from(std::time::Duration::from(age).as_secs()).unwrap_or(i64::MAX);
    let mut rolling = Rolling::new(age_secs);
    let mut sink = Sink::create(&job.output)?;
    sink.row(["timestamp", "yhat", "yhat_lower", "yhat_upper"])?;
    let (mut record, mut count) = (ByteRecord::new(), 0);
    while rows.read_byte_record(&mut record).map_err(syntax)? {
        let timestamp = record.get(columns.0).unwrap_or_default();
        let value = super::detect::number(record.get(columns.1).unwrap_or_default());
        let said = instants.read(timestamp).and_then(|at| rolling.step(local_secs(at, args.timezone), value));
        let cells =
            said.map_or_else(Default::default, |f| [f.expected, f.lower, f.upper].map(|v| format!("{v:?}")));
        sink.row(std::iter::once(timestamp).chain(cells.iter().map(String::as_bytes)))?;
        count += 1;
    }
    sink.finish()?;
    Ok(count)
}

/// Civil seconds of an instant, so that days are the zone's days.
fn local_secs(at: Timestamp, zone: Tz) -> i64 {
    if zone == Tz::UTC { at.as_secs() } else { at.in_zone(zone).naive_local().and_utc().timestamp() }
}
