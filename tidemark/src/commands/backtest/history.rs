//! What is stored of a metric, read slice by slice from its beginning: by the running process, or from the folder when
//! none runs.
//!
//! The store keeps no tick entries, but it keeps a verdict of every window that was judged: a window without a sample
//! was missed where its verdict has no value, and an answer without rows where its verdict is of a zero. A value that
//! came late or was corrected is replayed as if it had come in time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use collector::{SamplerSpec, Timetable};
use detector::settings::Settings;
use model::{
    FieldValue, MissedReason, Origin, Ratio, ReadSeries, Sample, SeriesData, SeriesKey, Tick, TickOutcome,
    TimeRange, Timestamp, VerdictState, Window,
};

use super::CommandError;
use crate::answers::{self, without_metric};
use crate::api::{SERIES, SeriesAnswer, SeriesOf, ShortAnswer};
use crate::cli::{Role, Since};
use crate::client::Client;
use crate::commands::offline;
use crate::config::Config;
use crate::runtime::clock::SystemClock;

/// About so many rows are read at once.
const ROWS_AT_ONCE: u32 = 400_000;
/// The longest slice.
const LONGEST_SLICE: Duration = Duration::from_secs(30 * 86_400);
/// Nothing is stored of before.
const BEGINNING: Timestamp = Timestamp::from_secs(0);

/// Where a metric's history is read.
pub(super) struct History {
    from: Place,
    settings: Arc<Settings>,
    timetable: Timetable,
    /// Why what was read may not be all there is.
    short: Mutex<Option<ShortAnswer>>,
}

enum Place {
    Process(Client),
    Store(Arc<dyn ReadSeries>),
}

/// What is to be replayed.
#[derive(Debug)]
pub(super) struct Plan {
    /// The stretch asked for.
    pub(super) asked: TimeRange,
    /// What its end is.
    pub(super) end_is: &'static str,
    /// What is read, oldest first.
    pub(super) slices: Vec<TimeRange>,
}

impl History {
    /// The history of a metric on the configuration's data folder.
    pub(super) async fn open(config: &Config, settings: &Arc<Settings>) -> Result<Self, CommandError> {
        let from = match Client::find(&config.data_dir(), Role::Store)? {
            Some(client) => Place::Process(client),
            None => Place::Store(offline::store(config).await?),
        };
        Self::of(config, settings, from)
    }

    /// The same, of a store.
    #[cfg(test)]
    pub(super) fn in_store(
        config: &Config,
        settings: &Arc<Settings>,
        store: Arc<dyn ReadSeries>,
    ) -> Result<Self, CommandError> {
        Self::of(config, settings, Place::Store(store))
    }

    fn of(config: &Config, settings: &Arc<Settings>, from: Place) -> Result<Self, CommandError> {
        let metric = &settings.metric;
        let feeds = |spec: &&SamplerSpec| spec.values.iter().any(|value| value.metric == *metric);
        let samplers = config.samplers();
        let spec = samplers.iter().find(feeds);
        let spec = spec.ok_or_else(|| CommandError::new(format!("no sampler feeds `{metric}`")))?;
        let timetable = Timetable::new(&spec.schedule, spec.timezone)
            .map_err(|error| CommandError::because(format!("metric `{metric}` has no schedule"), error))?;
        Ok(Self { from, settings: Arc::clone(settings), timetable, short: Mutex::default() })
    }

    /// Why what was read so far may not be all there is, when it may not.
    pub(super) fn short(&self) -> Option<ShortAnswer> {
        self.short.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds what there is: the end first, then slices back to the beginning, or to `warm_up` before the time asked for.
    pub(super) async fn plan(&self, since: Since, warm_up: Option<Duration>) -> Result<Plan, CommandError> {
        let nothing = || CommandError::new(format!("nothing is stored of `{}` yet", self.settings.metric));
        let newest = self.newest(Timestamp::MAX).await?.ok_or_else(nothing)?;
        let (end, end_is) = match newest.now {
            Some(now) => (now, "the running process' time"),
            None => (newest.start + self.step(), "the end of the newest stored window"),
        };
        let from = since.instant(end);
        let bound = warm_up.map_or(BEGINNING, |warm_up| from - warm_up);
        let span = (self.step() * ROWS_AT_ONCE / u32::try_from(newest.series.max(1)).unwrap_or(u32::MAX))
            .clamp(self.step() * 2, LONGEST_SLICE.max(self.step() * 2));
        let (mut slices, mut end_of_slice) = (Vec::new(), end);
        while let Some(newest) = self.newest(end_of_slice).await?.filter(|newest| newest.start >= bound) {
            let start = (newest.start - span).max(bound);
            slices.push(TimeRange { start, end: end_of_slice });
            end_of_slice = start;
        }
        slices.reverse();
        Ok(Plan { asked: TimeRange { start: from, end }, end_is, slices })
    }

    /// The ticks of a slice, oldest first.
    pub(super) async fn ticks(&self, slice: TimeRange) -> Result<Vec<Tick>, CommandError> {
        let samples = self.read(SeriesOf::Sample, slice, 0).await?;
        let verdicts = self.read(SeriesOf::Verdict, slice, 0).await?;
        let mut windows: BTreeMap<Timestamp, Found> = BTreeMap::new();
        for data in samples.series.into_iter().map(SeriesData::from) {
            self.add_samples(&data, &mut windows);
        }
        for data in verdicts.series.into_iter().map(SeriesData::from) {
            for (i, start) in data.times.iter().enumerate() {
                let code = number(&data, "state", i).unwrap_or_default();
                let answered = VerdictState::from_code(code as i64) != Some(VerdictState::Missing);
                windows.entry(*start).or_default().answered |= answered;
            }
        }
        Ok(windows.into_iter().map(|(start, found)| self.tick(start, found)).collect())
    }

    fn add_samples(&self, data: &SeriesData, windows: &mut BTreeMap<Timestamp, Found>) {
        let series = SeriesKey::new(Arc::clone(&self.settings.metric), without_metric(&data.tags));
        for (i, start) in data.times.iter().enumerate() {
            let Some(value) = number(data, "value", i) else { continue };
            let parts = number(data, "numerator", i).zip(number(data, "denominator", i));
            let ratio = parts.map(|(numerator, denominator)| Ratio { numerator, denominator });
            let sample = Sample { series: series.clone(), value, ratio, revision: 0 };
            windows.entry(*start).or_default().samples.push(sample);
        }
    }

    fn tick(&self, start: Timestamp, found: Found) -> Tick {
        let due = self.timetable.next_tick_after(start).filter(|window| window.start == start);
        let outcome = match found {
            Found { samples, .. } if !samples.is_empty() => TickOutcome::Rows(samples),
            Found { answered: true, .. } => TickOutcome::Empty,
            Found { .. } => TickOutcome::Missed { reason: MissedReason::Down, message: String::new() },
        };
        Tick {
            sampler: Arc::clone(&self.settings.metric),
            metrics: vec![Arc::clone(&self.settings.metric)],
            window: due.unwrap_or_else(|| Window::new(start, self.step())),
            ticks: 1,
            origin: Origin::Live,
            outcome,
            duration_ms: 0,
        }
    }

    fn step(&self) -> Duration {
        self.settings.interval.unwrap_or(Duration::from_secs(60))
    }

    /// The newest window before an instant; `None` when there is none.
    async fn newest(&self, before: Timestamp) -> Result<Option<Newest>, CommandError> {
        let range = TimeRange { start: BEGINNING, end: before };
        let mut newest: Option<Newest> = None;
        for of in [SeriesOf::Sample, SeriesOf::Verdict] {
            let answer = self.read(of, range, 1).await?;
            let series = answer.series.len();
            let last = answer.series.iter().filter_map(|points| points.times_ns.last().copied()).max();
            let Some(start) = last.map(Timestamp::from_nanos) else { continue };
            let before = newest.map_or((start, series), |newest| (newest.start, newest.series));
            let (start, series) = (start.max(before.0), series.max(before.1));
            newest = Some(Newest { start, series, now: answer.now });
        }
        Ok(newest)
    }

    async fn read(&self, of: SeriesOf, range: TimeRange, last: usize) -> Result<SeriesAnswer, CommandError> {
        let answer = self.ask(of, range, last).await?;
        if answer.short.is_some() {
            self.short.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.short);
        }
        Ok(answer)
    }

    async fn ask(&self, of: SeriesOf, range: TimeRange, last: usize) -> Result<SeriesAnswer, CommandError> {
        let metric = &self.settings.metric;
        match &self.from {
            Place::Process(client) => {
                let query = [
                    ("metric", metric.to_string()),
                    ("of", of.as_str().to_owned()),
                    ("from", range.start.to_rfc3339()),
                    ("to", range.end.to_rfc3339()),
                    ("last", last.to_string()),
                ];
                client.get(SERIES, &query).await
            }
            Place::Store(store) => {
                let now = model::Clock::domain_now(&SystemClock::new());
                answers::series(&**store, metric, of, range, last, now)
                    .await
                    .map_err(|error| CommandError::because("cannot read the store", error))
            }
        }
    }
}

/// What is stored of a window.
#[derive(Default)]
struct Found {
    samples: Vec<Sample>,
    /// Whether some series had a value, if only a zero that was filled in.
    answered: bool,
}

/// The newest window and how many series there are.
#[derive(Clone, Copy)]
struct Newest {
    start: Timestamp,
    series: usize,
    now: Option<Timestamp>,
}

fn number(data: &SeriesData, field: &str, i: usize) -> Option<f64> {
    data.columns.get(field)?.get(i)?.as_ref().and_then(FieldValue::as_f64)
}
