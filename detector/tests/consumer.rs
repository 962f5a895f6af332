//! The consumer on a log in memory: killed at every append, it writes each verdict and transition once.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detector::consumer::{COLLECTION_METRIC, DetectorMetrics, DetectorOptions, Progress, run};
use detector::engine::JudgingConfig;
use detector::settings::Kind;
use model::testing::MemoryLog;
use model::{
    AppendError, Appended, Body, Clock, Entry, LogStats, ManualClock, NewEntry, Origin, Positions,
    ProducerState, ReadBatch, ReadError, ReadLimit, Sample, SampleLog, SeriesKey, Tick, TickOutcome,
    Timestamp, Topics, Window,
};
use prometheus_client::registry::Registry;
use support::{Random, level, start};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const MINUTES: i64 = 6 * 1_440;
const STEP: i64 = 15;

/// Delegates to a log in memory and can be killed: before an append, or after it but before it is acknowledged.
struct FakeLog {
    inner: MemoryLog,
    kill: Mutex<Option<(usize, bool)>>,
    appends: Mutex<usize>,
}

impl FakeLog {
    fn new() -> Self {
        Self { inner: MemoryLog::new("main"), kill: Mutex::new(None), appends: Mutex::new(0) }
    }

    /// Makes the n-th append from now on fail for good, written or not.
    fn kill_at(&self, append: usize, written: bool) {
        *self.kill.lock().expect("lock") = Some((append, written));
        *self.appends.lock().expect("lock") = 0;
    }
}

#[async_trait]
impl SampleLog for FakeLog {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        let number = {
            let mut appends = self.appends.lock().expect("lock");
            *appends += 1;
            *appends
        };
        let kill = *self.kill.lock().expect("lock");
        match kill.filter(|(at, _)| *at == number) {
            Some((_, false)) => Err(AppendError::Closed),
            Some((_, true)) => self.inner.append(entries).await.and(Err(AppendError::Closed)),
            None => self.inner.append(entries).await,
        }
    }
    fn read(&self, from: &Positions, topics: Topics, limit: ReadLimit) -> Result<ReadBatch, ReadError> {
        self.inner.read(from, topics, limit)
    }
    async fn wait(&self, from: &Positions) {
        self.inner.wait(from).await;
    }
    fn last(&self, producer: &str) -> Option<ProducerState> {
        self.inner.last(producer)
    }
    fn end(&self) -> Positions {
        self.inner.end()
    }
    fn commit(&self, consumer: &str, positions: &Positions) -> Result<(), AppendError> {
        self.inner.commit(consumer, positions)
    }
    fn committed(&self, consumer: &str) -> Option<Positions> {
        self.inner.committed(consumer)
    }
    fn stats(&self) -> LogStats {
        self.inner.stats()
    }
}

/// Frames of several ticks, as a backfill leaves them; spikes and silences in them.
fn frames() -> Vec<Vec<NewEntry>> {
    let mut random = Random::new(6);
    let mut sequence = 0;
    let mut frames = Vec::new();
    let mut minute = 0;
    while minute < MINUTES {
        let mut frame = Vec::new();
        for _ in 0..7 {
            sequence += 1;
            let spike = if random.uniform() < 0.02 { 4.0 } else { 1.0 };
            let value = 100.0 * level(minute) * spike + random.gaussian();
            let series = SeriesKey::new("orders", model::Labels::default());
            let outcome = match random.uniform() {
                u if u < 0.03 => TickOutcome::Empty,
                _ => TickOutcome::Rows(vec![Sample { series, value, ratio: None, revision: 0 }]),
            };
            let body = Body::Tick(Tick {
                sampler: "orders".into(),
                metrics: vec!["orders".into()],
                window: Window::new(start(minute), Duration::from_secs(60 * STEP.unsigned_abs())),
                ticks: 1,
                origin: Origin::Live,
                outcome,
                duration_ms: 1,
            });
            let (key, producer) = ("orders".into(), "sampler/orders".into());
            frame.push(NewEntry { key, producer, sequence, source_position: Vec::new(), body });
            minute += STEP;
        }
        frames.push(frame);
    }
    frames
}

fn config() -> JudgingConfig {
    let mut settings = support::settings(Kind::Gauge);
    settings.interval = Some(Duration::from_secs(60 * STEP.unsigned_abs()));
    settings.for_ = detector::settings::ForSetting { m: 2, n: 3 };
    JudgingConfig { metrics: vec![Arc::new(settings)], ..JudgingConfig::default() }
}

fn options(folder: &tempfile::TempDir) -> DetectorOptions {
    let mut options = DetectorOptions::new(folder.path());
    (options.max_batch, options.max_verdicts) = (20, 9);
    (options.snapshot_every, options.full_retry) = (Duration::ZERO, Duration::from_millis(1));
    options
}

struct Running {
    task: tokio::task::JoinHandle<Result<(), detector::DetectorError>>,
    shutdown: CancellationToken,
    progress: watch::Receiver<Progress>,
    config: watch::Sender<Arc<JudgingConfig>>,
    registry: Registry,
}

fn begin(
    log: &Arc<FakeLog>,
    clock: &Arc<ManualClock>,
    judging: JudgingConfig,
    options: DetectorOptions,
) -> Running {
    let shutdown = CancellationToken::new();
    let (sender, progress) = watch::channel(Progress::default());
    let (config, receiver) = watch::channel(Arc::new(judging));
    let mut registry = Registry::default();
    let metrics = DetectorMetrics::register(&mut registry);
    let (log, clock): (Arc<dyn SampleLog>, Arc<dyn Clock>) = (log.clone(), clock.clone());
    let task = tokio::spawn(run(log, clock, receiver, options, metrics, sender, shutdown.clone()));
    Running { task, shutdown, progress, config, registry }
}

impl Running {
    /// Waits until everything in the log is judged, or the detector broke off.
    async fn settle(&mut self) {
        let caught_up = self.progress.wait_for(|progress| progress.caught_up && progress.lag_bytes == 0);
        tokio::time::timeout(Duration::from_secs(60), caught_up).await.expect("the detector hangs").ok();
    }

    async fn stop(self) -> Result<(), detector::DetectorError> {
        self.shutdown.cancel();
        self.task.await.expect("joined")
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_secs(support::MONDAY)))
}

/// What the detector appended, in order, without where it stands.
fn output(log: &FakeLog) -> Vec<Body> {
    let own = |entry: &Entry| &*entry.producer == "detector";
    log.inner.entries().into_iter().filter(own).map(|entry| entry.body).collect()
}

async fn filled(frames: &[Vec<NewEntry>]) -> Arc<FakeLog> {
    let log = Arc::new(FakeLog::new());
    for frame in frames {
        log.append(frame.clone()).await.expect("append");
    }
    log
}

async fn undisturbed(frames: &[Vec<NewEntry>]) -> Vec<Body> {
    let (log, folder) = (filled(frames).await, tempfile::tempdir().expect("folder"));
    let mut running = begin(&log, &clock(), config(), options(&folder));
    running.settle().await;
    running.stop().await.expect("clean end");
    output(&log)
}

#[tokio::test]
async fn killed_at_any_append_everything_is_judged_and_written_once() {
    let frames = frames();
    let expected = undisturbed(&frames).await;
    let alerts = expected.iter().filter(|body| matches!(body, Body::Alert(_))).count();
    let verdicts = expected.iter().filter(|body| matches!(body, Body::Verdicts(_))).count();
    assert!(alerts > 4 && verdicts >= (MINUTES / STEP) as usize, "{alerts} alerts, {verdicts} verdicts");
    for (every, written) in [(2, false), (3, false), (5, false), (1, true), (2, true), (3, true), (5, true)] {
        let (log, folder) = (filled(&frames).await, tempfile::tempdir().unwrap());
        let clock = clock();
        for life in 0.. {
            log.kill_at(every, written);
            let mut running = begin(&log, &clock, config(), options(&folder));
            running.settle().await;
            if running.stop().await.is_ok() {
                break;
            }
            assert!(life < 400, "it does not get on");
        }
        assert_eq!(output(&log), expected, "every {every}, written {written}");
    }
}

#[tokio::test]
async fn a_lost_snapshot_costs_time_and_nothing_else() {
    let frames = frames();
    let expected = undisturbed(&frames).await;
    let (log, folder) = (filled(&frames[..40]).await, tempfile::tempdir().unwrap());
    let mut running = begin(&log, &clock(), config(), options(&folder));
    running.settle().await;
    running.stop().await.unwrap();
    for frame in &frames[40..] {
        log.append(frame.clone()).await.unwrap();
    }
    let mut snapshots: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    snapshots.sort();
    assert_eq!(snapshots.len(), 2, "two are kept");
    std::fs::write(&snapshots[0], b"rubbish").unwrap();
    std::fs::remove_file(&snapshots[1]).unwrap();
    let mut running = begin(&log, &clock(), config(), options(&folder));
    running.settle().await;
    running.stop().await.unwrap();
    assert_eq!(output(&log), expected);
}

#[tokio::test]
async fn a_full_log_is_waited_for() {
    let frames = frames();
    let (log, folder) = (filled(&frames[..3]).await, tempfile::tempdir().unwrap());
    log.inner.fail_next_appends(3);
    let clock = clock();
    let mut running = begin(&log, &clock, config(), options(&folder));
    let driver = tokio::spawn({
        let clock = clock.clone();
        async move {
            loop {
                clock.advance(Duration::from_millis(5));
                tokio::task::yield_now().await;
            }
        }
    });
    running.settle().await;
    driver.abort();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &running.registry).unwrap();
    assert!(text.contains("tidemark_detector_log_full_total 3"), "{text}");
    assert!(text.contains("tidemark_detector_verdicts_total 21"), "{text}");
    running.stop().await.unwrap();
    assert!(log.committed("detector").is_some_and(|positions| positions.next("main") > 0));
}

#[tokio::test]
async fn a_metric_taken_away_ends_its_alert_live_and_while_down() {
    // Silence: the last frames say nothing, so that an alert stands.
    let mut frames = frames()[..20].to_vec();
    for entry in frames[19].iter_mut() {
        if let Body::Tick(tick) = &mut entry.body {
            tick.outcome = TickOutcome::Empty;
        }
    }
    let resolved = |log: &FakeLog| {
        let bodies = output(log);
        let last =
            bodies.iter().rev().find_map(|b| if let Body::Alert(a) = b { Some(a.clone()) } else { None });
        let last = last.unwrap();
        (
            last.transition == model::Transition::Resolved,
            last.reason.notes.contains(&"reconfigured".to_owned()),
        )
    };
    // Live.
    let (log, folder) = (filled(&frames).await, tempfile::tempdir().unwrap());
    let mut running = begin(&log, &clock(), config(), options(&folder));
    running.settle().await;
    assert_eq!(resolved(&log), (false, false));
    running.config.send(Arc::new(JudgingConfig::default())).unwrap();
    let gone = running.progress.wait_for(|progress| progress.caught_up && progress.series == 0);
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    running.stop().await.unwrap();
    assert_eq!(resolved(&log), (true, true));
    // While down.
    let (log, folder) = (filled(&frames).await, tempfile::tempdir().unwrap());
    let mut running = begin(&log, &clock(), config(), options(&folder));
    running.settle().await;
    running.stop().await.unwrap();
    let mut running = begin(&log, &clock(), JudgingConfig::default(), options(&folder));
    running.settle().await;
    running.stop().await.unwrap();
    assert_eq!(resolved(&log), (true, true));
    // And once only.
    let before = output(&log).len();
    let mut running = begin(&log, &clock(), JudgingConfig::default(), options(&folder));
    running.settle().await;
    running.stop().await.unwrap();
    assert_eq!(output(&log).len(), before);
}

/// The alert transitions in the log, each with its series and life.
fn told(log: &FakeLog) -> Vec<(String, model::Transition, model::AlertId)> {
    let read =
        log.inner.read(&Positions::default(), Topics::of(&[model::Topic::Alerts]), ReadLimit::default());
    let alert = |entry: Entry| match entry.body {
        Body::Alert(transition) => {
            Some((transition.series.metric.to_string(), transition.transition, transition.id))
        }
        _ => None,
    };
    read.expect("read").entries.into_iter().filter_map(alert).collect()
}

async fn until_told(
    log: &FakeLog,
    clock: &ManualClock,
    count: usize,
) -> Vec<(String, model::Transition, model::AlertId)> {
    let told_so_many = async {
        while told(log).len() < count {
            clock.advance(Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told_so_many).await.expect("nothing is told");
    told(log)
}

#[tokio::test]
async fn that_nothing_is_collected_is_told_once_over_a_restart_and_ends_with_the_next_tick() {
    let (log, clock) = (Arc::new(FakeLog::new()), Arc::new(ManualClock::new(start(0))));
    let folder = tempfile::tempdir().expect("folder");
    let judging = JudgingConfig { quiet_after: Some(Duration::from_secs(300)), ..config() };
    let mut frames = frames().into_iter();
    log.inner.append(frames.next().expect("a frame")).await.expect("append");
    let mut running = begin(&log, &clock, judging.clone(), options(&folder));
    running.settle().await;
    clock.advance(Duration::from_secs(299));
    assert_eq!(told(&log), [], "not before its time");
    let fired = until_told(&log, &clock, 1).await;
    assert_eq!((fired[0].0.as_str(), fired[0].1), (COLLECTION_METRIC, model::Transition::Firing));
    running.shutdown.cancel();
    running.task.await.expect("task").expect("detector");

    // Still silent: nothing new is said.
    let mut running = begin(&log, &clock, judging, options(&folder));
    running.settle().await;
    clock.advance(Duration::from_secs(3_000));
    running.settle().await;
    assert_eq!(told(&log).len(), 1);
    log.inner.append(frames.next().expect("a frame")).await.expect("append");
    let ended = until_told(&log, &clock, 2).await;
    assert_eq!((&ended[1].0, ended[1].1, ended[1].2), (&fired[0].0, model::Transition::Resolved, fired[0].2));
    running.shutdown.cancel();
    running.task.await.expect("task").expect("detector");
}
