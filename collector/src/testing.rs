//! Builders and stand-ins for this crate's tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono_tz::Tz;
use model::{Body, Entry, TickOutcome, Timestamp, Window};

use crate::{
    Cell, ProbeReport, Query, Rows, SampleRequest, SamplerSpec, Schedule, Source, SourceError, ValueSpec,
};

/// A sampler of one value, every minute, without delay.
pub(crate) fn spec(name: &str) -> SamplerSpec {
    SamplerSpec {
        name: name.into(),
        source: "shop".into(),
        query: Query::Sql("SELECT 1".into()),
        schedule: Schedule::Interval(Duration::from_secs(60)),
        delay: Duration::ZERO,
        timeout: Duration::from_secs(10),
        timezone: Tz::UTC,
        labels: Vec::new(),
        static_labels: Vec::new(),
        values: vec![ValueSpec { metric: name.into(), column: None, numerator: None, denominator: None }],
        max_rows: 10_000,
    }
}

/// A value of its own column.
pub(crate) fn value(metric: &str, column: &str) -> ValueSpec {
    ValueSpec { metric: metric.into(), column: Some(column.into()), numerator: None, denominator: None }
}

/// Lets other tasks run until `reached`; panics when that takes ten seconds.
pub(crate) async fn until(what: &str, reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), wait).await.is_err() {
        panic!("never came: {what}");
    }
}

/// The same for what only waiting tells; panics when that takes a minute.
pub(crate) async fn until_true(what: &str, reached: impl AsyncFn() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), wait).await.is_err() {
        panic!("never came: {what}");
    }
}

/// Columns, how many rows, and the rows, in one line.
pub(crate) fn table(rows: &Rows) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) => format!("{text:?}"),
        Cell::Null => "-".to_owned(),
        Cell::Int(n) => n.to_string(),
        Cell::UInt(n) => format!("u{n}"),
        Cell::Float(n) => format!("{n:?}"),
        Cell::Bool(is) => is.to_string(),
    };
    let lines = rows.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" "));
    format!("{}: {} | {}", rows.columns.join(" "), rows.rows.len(), lines.collect::<Vec<_>>().join(" / "))
}

/// What a [`FakeSource`] does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers with one row of one number.
    Number(i64),
    /// Answers with no row.
    Nothing,
    /// Fails.
    Fail(SourceError),
    /// Never answers.
    Hang,
    /// Panics.
    Panic,
}

/// A source that behaves as told and keeps a ledger of what it was asked.
pub(crate) struct FakeSource {
    /// What it does next; the last one goes on.
    pub(crate) script: Mutex<VecDeque<Behaviour>>,
    /// Every window it was asked for.
    pub(crate) asked: Mutex<Vec<Window>>,
}

impl FakeSource {
    pub(crate) fn new(script: impl IntoIterator<Item = Behaviour>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into_iter().collect()), asked: Mutex::default() })
    }
}

#[async_trait]
impl Source for FakeSource {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        self.asked.lock().unwrap().push(request.window);
        let next = {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        match next.unwrap_or(Behaviour::Number(1)) {
            Behaviour::Number(number) => {
                Ok(Rows { columns: vec!["n".into()], rows: vec![vec![Cell::Int(number)]] })
            }
            Behaviour::Nothing => Ok(Rows::default()),
            Behaviour::Fail(error) => Err(error),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Panic => panic!("as told"),
        }
    }

    async fn probe(&self) -> Result<ProbeReport, SourceError> {
        Ok(ProbeReport { detail: "fake".into() })
    }
}

/// One line for each entry of a sampler: when, how many ticks, what.
pub(crate) fn shown(entries: &[Entry]) -> String {
    let line = |entry: &Entry| match &entry.body {
        Body::Tick(tick) => {
            let clock = |at: Timestamp| at.to_utc().format("%d %H:%M:%S").to_string();
            let what = match &tick.outcome {
                TickOutcome::Rows(samples) => {
                    format!(
                        "rows {}",
                        samples.iter().map(|s| s.value.to_string()).collect::<Vec<_>>().join(" ")
                    )
                }
                TickOutcome::Empty => "empty".to_owned(),
                TickOutcome::Missed { reason, message } => format!("{}: {message}", reason.as_str()),
            };
            Some(format!("{} - {} x{} {what}", clock(tick.window.start), clock(tick.window.end), tick.ticks))
        }
        _ => None,
    };
    entries.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}
