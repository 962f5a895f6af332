//! Judging all metrics: from ticks to verdicts.
//!
//! [`Engine::tick`] expands a tick into observations of every series of every metric it feeds and judges each in
//! window order. A series seen in the last seven days and absent from an answered tick is a zero where the metric
//! declares `missing: zero`, else absent; a missed tick is a miss of every series.
//!
//! **The stand-in.** A metric of which no series was ever seen is stood for by a bare series without labels, so that a
//! source that never answered is told of too. It is never a zero: an empty answer of a `missing: zero` metric names no
//! series, so nothing is judged. It leaves, and its alert ends as one whose data came back, before the tick is judged
//! that shows a first series with labels, or that answers where silence is a zero. A bare series of which a sample came is a series like others.
//!
//! **What a tick does not say.** The log drops samples equal to what it holds and numbers corrected ones, so that a tick
//! whose rows are all gone, or are corrections, says nothing of the series it does not name.
//!
//! **Judged once.** A (series, window start, revision) not newer than what was judged of that window is passed over:
//! of the newest [`REMEMBERED`] windows the revision is remembered, of older ones revision 0 counts as judged, and a
//! miss never follows a value. A later revision, or the first value of a window that was missing or taken as zero, is
//! judged as a late window (see [`crate::series`]).
//!
//! **Revisions of verdicts.** The first verdict of a window has revision 0 and every later one a higher number than the
//! one before: the sample's own, unless a verdict of a miss or of a zero took that number (see `ledger`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{
    AlertTransition, Labels, Origin, Reason, Sample, SeriesKey, Tick, TickOutcome, Timestamp, Transition,
    Window,
};

use crate::algorithm::{Observation, Observed};
use crate::calendar::Calendar;
use crate::series::{Judged, SeriesJudge};
use crate::settings::{MissingSetting, Settings};
use crate::snapshot;

pub(crate) mod ledger;

pub use ledger::REMEMBERED;
use ledger::{Known, Ledger};

/// A series not seen for so long is judged no more.
pub const SEEN_FOR: Duration = Duration::from_secs(7 * 86_400);

/// What is judged and how: immutable, handed out anew at every change of the configuration.
#[derive(Clone, Debug)]
pub struct JudgingConfig {
    /// The metrics.
    pub metrics: Vec<Arc<Settings>>,
    /// The calendar.
    pub calendar: Arc<Calendar>,
    /// How many series one metric may have; samples of further ones are dropped and counted.
    pub max_series_per_metric: usize,
    /// After so long without the entry of any tick the collection itself is dead; `None` when no tick is due regularly.
    pub quiet_after: Option<Duration>,
}

impl Default for JudgingConfig {
    fn default() -> Self {
        Self {
            metrics: Vec::new(),
            calendar: Arc::default(),
            max_series_per_metric: 10_000,
            quiet_after: None,
        }
    }
}

impl Judging {
    /// A judge of the same series that knows nothing but when it was seen; `None` where no sample of it ever came.
    fn anew(&self, settings: &Arc<Settings>, calendar: &Arc<Calendar>) -> Option<Self> {
        let ledger = self.ledger.anew()?;
        let judge = SeriesJudge::new(self.judge.series().clone(), settings.clone(), calendar.clone());
        Some(Self { judge, ledger })
    }

    /// Ends its alert, because the series is judged no more.
    fn retire(&mut self, window: Window, origin: Origin) -> Option<Judged> {
        self.judge.retire(window, origin, self.ledger.next_revision(window), Some("series_gone"))
    }

    /// Ends its alert, because what it stood for has come: told of the last window it stood in, so that the store's
    /// last word of it is older than that of what came.
    fn make_room(&mut self, length: Duration, origin: Origin) -> Option<Judged> {
        let last = Window::new(self.judge.newest()?, length);
        self.judge.retire(last, origin, self.ledger.next_revision(last), None)
    }
}

/// What an engine counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Series judged now.
    pub series: usize,
    /// Of them, those that cannot be judged yet.
    pub learning: usize,
    /// Of them, those whose alert fires.
    pub firing: usize,
    /// Samples dropped because their metric had too many series.
    pub dropped_series: u64,
    /// Observations passed over because they were judged before.
    pub repeated: u64,
    /// Samples of metrics that are not configured.
    pub unknown_metric: u64,
}

/// Samples left out because their metric has as many series as are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// The sampler they came from.
    pub sampler: Arc<str>,
    /// Their metric.
    pub metric: Arc<str>,
    /// How many they are.
    pub samples: u64,
    /// How many series one metric may have.
    pub limit: usize,
}

/// The judges of every series of every metric.
#[derive(Debug)]
pub struct Engine {
    config: JudgingConfig,
    metrics: BTreeMap<Arc<str>, Metric>,
    counted: EngineStats,
    /// Per metric, since it was taken last.
    overflows: BTreeMap<Arc<str>, Overflow>,
}

/// One metric and its series, in order of labels, so that verdicts come in the same order everywhere.
#[derive(Debug)]
struct Metric {
    settings: Arc<Settings>,
    series: BTreeMap<Labels, Judging>,
    /// End of the newest window of which anything was heard.
    newest: Timestamp,
}

/// A judge and what it judged.
#[derive(Debug)]
pub(crate) struct Judging {
    pub(crate) judge: SeriesJudge,
    pub(crate) ledger: Ledger,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: JudgingConfig) -> Self {
        let mut engine = Self {
            config: JudgingConfig::default(),
            metrics: BTreeMap::new(),
            counted: EngineStats::default(),
            overflows: BTreeMap::new(),
        };
        engine.apply(config);
        engine
    }

    /// What it judges by.
    pub fn config(&self) -> &JudgingConfig {
        &self.config
    }

    /// Counts and what was counted.
    pub fn stats(&self) -> EngineStats {
        let mut stats = EngineStats { series: 0, learning: 0, firing: 0, ..self.counted };
        for judging in self.metrics.values().flat_map(|metric| metric.series.values()) {
            stats.series += 1;
            stats.learning += usize::from(judging.judge.is_learning());
            stats.firing += usize::from(judging.judge.firing_windows().is_some());
        }
        stats
    }

    /// Takes a new configuration in by difference: unchanged metrics keep everything, changed judging keeps what was
    /// learned and pending alerts, changed sampling (interval, kind, zone) starts anew but for which series there are.
    /// Metrics no longer configured are forgotten. Gives the alerts that stood and are judged no more, each as its end.
    pub fn apply(&mut self, config: JudgingConfig) -> Vec<AlertTransition> {
        let calendar_changed = *config.calendar != *self.config.calendar;
        let mut metrics = BTreeMap::new();
        let mut ended = Vec::new();
        for settings in &config.metrics {
            let metric = match self.metrics.remove(&settings.metric) {
                Some(mut metric) if same_sampling(&metric.settings, settings) => {
                    metric.reconfigure(settings, &config.calendar, calendar_changed);
                    metric
                }
                old => {
                    ended.extend(old.iter().flat_map(Metric::standing));
                    Metric::anew(settings, old, &config.calendar)
                }
            };
            metrics.insert(settings.metric.clone(), metric);
        }
        ended.extend(self.metrics.values().flat_map(Metric::standing));
        (self.metrics, self.config) = (metrics, config);
        ended.into_iter().map(close).collect()
    }

    /// Every alert that is pending or fires, as the transition that tells it.
    pub fn standing(&self) -> Vec<AlertTransition> {
        self.metrics.values().flat_map(Metric::standing).collect()
    }

    /// Judges one tick: every series of every metric it feeds, in window order; series in order of labels.
    pub fn tick(&mut self, tick: &Tick) -> Vec<Judged> {
        let mut judged = Vec::new();
        let by_metric = self.group(tick);
        for name in &tick.metrics {
            let Some(metric) = self.metrics.get_mut(name) else { continue };
            let samples = by_metric.get(name).map_or(&[][..], Vec::as_slice);
            let limit = self.config.max_series_per_metric;
            metric.relieve(tick, samples, &mut judged);
            let dropped = metric.admit(tick, samples, &self.config.calendar, limit);
            if dropped > 0 {
                self.counted.dropped_series += dropped;
                let none =
                    || Overflow { sampler: tick.sampler.clone(), metric: name.clone(), samples: 0, limit };
                self.overflows.entry(name.clone()).or_insert_with(none).samples += dropped;
            }
            for window in tick.windows() {
                metric.judge(tick, window, samples, &mut self.counted, &mut judged);
            }
        }
        judged
    }

    /// What was left out since this was asked last, one for each metric.
    pub fn take_overflows(&mut self) -> Vec<Overflow> {
        std::mem::take(&mut self.overflows).into_values().collect()
    }

    /// Sorts a tick's samples to their metrics; counts those nobody configured.
    fn group<'t>(&mut self, tick: &'t Tick) -> HashMap<&'t Arc<str>, Vec<&'t Sample>> {
        let mut groups: HashMap<&Arc<str>, Vec<&Sample>> = HashMap::new();
        for sample in tick.samples() {
            if self.metrics.contains_key(&sample.series.metric)
                && tick.metrics.contains(&sample.series.metric)
            {
                groups.entry(&sample.series.metric).or_default().push(sample);
            } else {
                self.counted.unknown_metric += 1;
            }
        }
        groups
    }

    /// Everything learned, as bytes (versioned, CRC).
    pub fn save(&self) -> Vec<u8> {
        let series = self.metrics.values().flat_map(|metric| {
            metric.series.values().map(|judging| (&metric.settings, metric.newest, judging))
        });
        snapshot::encode(series)
    }

    /// Takes saved state in: series of metrics no longer configured are left out, those whose sampling changed start
    /// anew; the standing alerts of both are given back.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged; the engine is then as new.
    pub fn load(&mut self, bytes: &[u8]) -> Result<Vec<AlertTransition>, String> {
        let config = std::mem::take(&mut self.config);
        *self = Self::new(config);
        let (mut loaded, mut left_out) = (Vec::new(), Vec::new());
        for saved in snapshot::decode(bytes)? {
            let metric = self.metrics.get(&saved.metric);
            let fitting = metric.filter(|m| saved.sampling == snapshot::Sampling::of(&m.settings));
            let settings = fitting.map_or_else(|| saved.settings(), |metric| metric.settings.clone());
            let key = SeriesKey::new(saved.metric.clone(), saved.labels.clone());
            let mut judge = SeriesJudge::new(key, settings, self.config.calendar.clone());
            judge.load(&saved.judge)?;
            let (fits, configured) = (fitting.is_some(), metric.map(|metric| metric.settings.clone()));
            let mut judging = Judging { judge, ledger: saved.ledger };
            if !fits {
                left_out.extend(judging.judge.standing());
                let anew = configured.and_then(|settings| judging.anew(&settings, &self.config.calendar));
                let Some(anew) = anew else { continue };
                judging = anew;
            }
            loaded.push((saved.metric, saved.labels, saved.newest, judging));
        }
        for (name, labels, newest, judging) in loaded {
            if let Some(metric) = self.metrics.get_mut(&name) {
                metric.newest = metric.newest.max(newest);
                metric.series.insert(labels, judging);
            }
        }
        Ok(left_out)
    }
}

/// The end of an alert that is judged no more, or judged otherwise by a changed configuration.
pub(crate) fn close(standing: AlertTransition) -> AlertTransition {
    let mut reason = Reason { notes: vec!["reconfigured".to_owned()], ..(*standing.reason).clone() };
    if standing.transition == Transition::Pending {
        reason.notes.push("never_fired".to_owned());
    }
    AlertTransition { transition: Transition::Resolved, reason: Arc::new(reason), ..standing }
}

/// Whether what was learned under one setting still fits the other.
fn same_sampling(old: &Settings, new: &Settings) -> bool {
    snapshot::Sampling::of(old) == snapshot::Sampling::of(new)
}

impl Metric {
    /// A metric that learned nothing yet. The series of the one before go on being judged, so that one whose rows ended
    /// before its sampling changed is a zero, or missing, as it was.
    fn anew(settings: &Arc<Settings>, before: Option<Self>, calendar: &Arc<Calendar>) -> Self {
        let (series, newest) = before.map_or((BTreeMap::new(), Timestamp::MIN), |before| {
            let known = before.series.into_iter();
            let anew = known.filter_map(|(labels, old)| Some((labels, old.anew(settings, calendar)?)));
            (anew.collect(), before.newest)
        });
        Self { settings: settings.clone(), series, newest }
    }

    fn reconfigure(&mut self, settings: &Arc<Settings>, calendar: &Arc<Calendar>, calendar_changed: bool) {
        if !calendar_changed && (Arc::ptr_eq(&self.settings, settings) || *self.settings == **settings) {
            return;
        }
        self.settings = settings.clone();
        for judging in self.series.values_mut() {
            judging.judge.reconfigure(settings.clone(), calendar.clone());
        }
    }

    fn standing(&self) -> Vec<AlertTransition> {
        self.series.values().filter_map(|judging| judging.judge.standing()).collect()
    }

    fn start(&mut self, labels: Labels, calendar: &Arc<Calendar>) {
        let key = SeriesKey::new(self.settings.metric.clone(), labels.clone());
        let judge = SeriesJudge::new(key, self.settings.clone(), calendar.clone());
        self.series.insert(labels, Judging { judge, ledger: Ledger::default() });
    }

    /// Starts judges for series not known yet, and the stand-in where silence has to be told of; gives how many samples
    /// belong to series beyond the limit.
    fn admit(&mut self, tick: &Tick, samples: &[&Sample], calendar: &Arc<Calendar>, limit: usize) -> u64 {
        let mut dropped = 0;
        for sample in samples {
            if self.series.contains_key(&sample.series.labels) {
                continue;
            }
            if self.series.len() >= limit {
                dropped += 1;
                continue;
            }
            self.start(sample.series.labels.clone(), calendar);
        }
        if self.series.is_empty() && !self.silence_is_zero(tick) {
            self.start(Labels::default(), calendar);
        }
        dropped
    }

    /// Whether a series the tick does not name is a zero.
    fn silence_is_zero(&self, tick: &Tick) -> bool {
        let answered = !matches!(tick.outcome, TickOutcome::Missed { .. });
        answered && self.settings.missing == MissingSetting::Zero
    }

    /// Lets the stand-in go, and its alert end, where a series with labels is there or silence is a zero.
    fn relieve(&mut self, tick: &Tick, samples: &[&Sample], judged: &mut Vec<Judged>) {
        let bare = self.series.get(&Labels::default());
        let stands_in = bare.is_some_and(|judging| judging.ledger.seen().is_none());
        let becomes_real = samples.iter().any(|sample| sample.series.labels.is_empty());
        if stands_in && !becomes_real && (!samples.is_empty() || self.silence_is_zero(tick)) {
            let leaving = self.series.remove(&Labels::default());
            let length = tick.windows().next().map_or_else(|| tick.window.length(), |window| window.length());
            judged.extend(leaving.and_then(|mut judging| judging.make_room(length, tick.origin)));
        }
    }

    /// Judges one window of a tick for every series.
    fn judge(
        &mut self,
        tick: &Tick,
        window: Window,
        samples: &[&Sample],
        counted: &mut EngineStats,
        judged: &mut Vec<Judged>,
    ) {
        let mut values: HashMap<&Labels, &Sample> = HashMap::with_capacity(samples.len());
        for sample in samples {
            values.insert(&sample.series.labels, sample);
        }
        for (labels, judging) in &mut self.series {
            let sample = values.get(labels).copied();
            let Some((value, known)) = observed(tick, sample, &self.settings) else { continue };
            let Some(revision) = judging.ledger.accept(window, known) else {
                counted.repeated += 1;
                continue;
            };
            let observation = Observation { window, origin: tick.origin, revision, value };
            judged.push(judging.judge.observe(&observation));
        }
        self.newest = self.newest.max(window.end);
        self.retire(window, tick.origin, judged);
    }

    /// Ends series not seen for [`SEEN_FOR`]. The last series of a metric stays, so that a silence goes on being told.
    fn retire(&mut self, window: Window, origin: Origin, judged: &mut Vec<Judged>) {
        if self.series.len() < 2 {
            return;
        }
        let newest = self.newest;
        let gone = |judging: &Judging| match judging.ledger.seen() {
            Some(seen) => newest.since(seen) > SEEN_FOR,
            None => true,
        };
        let mut leaving: Vec<Labels> =
            self.series.iter().filter(|(_, j)| gone(j)).map(|(labels, _)| labels.clone()).collect();
        if leaving.len() == self.series.len() {
            leaving.pop();
        }
        for labels in leaving {
            if let Some(mut judging) = self.series.remove(&labels) {
                judged.extend(judging.retire(window, origin));
            }
        }
    }
}

/// What a tick says of one series in one window; `None`: nothing.
fn observed(tick: &Tick, sample: Option<&Sample>, settings: &Settings) -> Option<(Observed, Known)> {
    Some(match (&tick.outcome, sample) {
        (TickOutcome::Missed { reason, .. }, _) => (Observed::Missed(*reason), Known::Miss),
        (_, Some(sample)) => {
            let value = Observed::Value { value: sample.value, ratio: sample.ratio };
            (value, Known::Sampled(sample.revision))
        }
        (TickOutcome::Rows(rows), None) if !is_first_answer(rows) => return None,
        (_, None) if settings.missing == MissingSetting::Zero => {
            (Observed::Value { value: 0.0, ratio: None }, Known::Filled)
        }
        (_, None) => (Observed::Absent, Known::Miss),
    })
}

/// Whether rows are a window's first answer, so that a series they do not name was absent: of a later answer the log
/// keeps only what differs.
fn is_first_answer(rows: &[Sample]) -> bool {
    !rows.is_empty() && rows.iter().all(|sample| sample.revision == 0)
}
