//! The consumer after a long outage, on a log with a small frame and on a disk that is full.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detector::consumer::{DetectorMetrics, DetectorOptions, Progress, run};
use detector::engine::{Engine, JudgingConfig};
use detector::settings::Kind;
use model::testing::MemoryLog;
use model::{
    AlertTransition, AppendError, Appended, Body, Clock, Labels, LogStats, ManualClock, MissedReason,
    NewEntry, Origin, Positions, ProducerState, ReadBatch, ReadError, ReadLimit, Sample, SampleLog,
    SeriesKey, Tick, TickOutcome, Timestamp, Topics, Transition, Verdict, Window,
};
use prometheus_client::registry::Registry;
use support::start;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const METRICS: [&str; 2] = ["orders", "refunds"];

/// A log in memory whose frames hold few verdicts and transitions, whose disk can be full, and that can be killed.
struct FakeLog {
    inner: MemoryLog,
    frame: usize,
    largest: AtomicUsize,
    full_disk: AtomicUsize,
    /// The append, counted down, that ends it, and whether that one is written.
    kill: Mutex<Option<(usize, bool)>>,
    killed: AtomicBool,
}

impl FakeLog {
    fn kill_now(&self) -> Option<bool> {
        let mut kill = self.kill.lock().expect("lock");
        let (left, written) = kill.as_mut()?;
        *left -= 1;
        let now = (*left == 0).then_some(*written);
        if now.is_some() {
            *kill = None;
            self.killed.store(true, Ordering::SeqCst);
        }
        now
    }
}

fn units(body: &Body) -> usize {
    if let Body::Verdicts(verdicts) = body { verdicts.len() } else { 1 }
}

#[async_trait]
impl SampleLog for FakeLog {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        if self.full_disk.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(AppendError::Io { path: "log".into(), source });
        }
        let bytes: usize = entries.iter().map(|entry| units(&entry.body)).sum();
        self.largest.fetch_max(bytes, Ordering::SeqCst);
        if bytes > self.frame {
            return Err(AppendError::TooLarge { bytes: bytes as u64, limit: self.frame as u64 });
        }
        match self.kill_now() {
            Some(false) => Err(AppendError::Closed),
            Some(true) => self.inner.append(entries).await.and(Err(AppendError::Closed)),
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

/// An outage between ticks that answered.
struct Scene {
    minutes: i64,
    windows: u32,
    series: usize,
}

impl Scene {
    fn tick(&self, minute: i64, ticks: u32, outcome: TickOutcome) -> Tick {
        let length = Duration::from_secs(60 * self.minutes.unsigned_abs() * u64::from(ticks));
        Tick {
            sampler: "shop".into(),
            metrics: METRICS.map(Into::into).to_vec(),
            window: Window::new(start(minute), length),
            ticks,
            origin: Origin::Live,
            outcome,
            duration_ms: 1,
        }
    }

    fn rows(&self) -> TickOutcome {
        let key =
            |metric: &str, i: usize| SeriesKey::new(metric, Labels::new([("shop", format!("s{i:03}"))]));
        let each = METRICS.iter().flat_map(|metric| (0..self.series).map(move |i| key(metric, i)));
        TickOutcome::Rows(
            each.map(|series| Sample { series, value: 7.0, ratio: None, revision: 0 }).collect(),
        )
    }

    /// Two answers, the outage, two answers, all in one frame.
    fn ticks(&self) -> Vec<Tick> {
        let down = TickOutcome::Missed { reason: MissedReason::Down, message: "down".into() };
        let after = self.minutes * (2 + i64::from(self.windows));
        vec![
            self.tick(0, 1, self.rows()),
            self.tick(self.minutes, 1, self.rows()),
            self.tick(2 * self.minutes, self.windows, down),
            self.tick(after, 1, self.rows()),
            self.tick(after + self.minutes, 1, self.rows()),
        ]
    }

    fn config(&self) -> JudgingConfig {
        let settings = METRICS.map(|metric| {
            let mut settings = support::settings(Kind::Gauge);
            settings.metric = metric.into();
            settings.algorithms = vec!["baseline".to_owned()];
            settings.interval = Some(Duration::from_secs(60 * self.minutes.unsigned_abs()));
            Arc::new(settings)
        });
        JudgingConfig { metrics: settings.to_vec(), ..JudgingConfig::default() }
    }
}

async fn filled(ticks: Vec<Tick>, frame: usize) -> Arc<FakeLog> {
    let inner = MemoryLog::new("main");
    let entry = |(i, tick)| NewEntry {
        key: "shop".into(),
        producer: "sampler/shop".into(),
        sequence: 1 + i as u64,
        source_position: Vec::new(),
        body: Body::Tick(tick),
    };
    inner.append(ticks.into_iter().enumerate().map(entry).collect()).await.expect("append");
    Arc::new(FakeLog {
        inner,
        frame,
        largest: AtomicUsize::new(0),
        full_disk: AtomicUsize::new(0),
        kill: Mutex::new(None),
        killed: AtomicBool::new(false),
    })
}

struct Life {
    log: Arc<FakeLog>,
    folder: tempfile::TempDir,
    progress: watch::Sender<Progress>,
    registry: Registry,
    metrics: DetectorMetrics,
    most: usize,
}

impl Life {
    fn new(log: &Arc<FakeLog>, most: usize) -> Self {
        let mut registry = Registry::default();
        let metrics = DetectorMetrics::register(&mut registry);
        let (progress, _) = watch::channel(Progress::default());
        Self {
            log: log.clone(),
            folder: tempfile::tempdir().expect("folder"),
            progress,
            registry,
            metrics,
            most,
        }
    }

    /// Runs until everything is judged, or it breaks off; time passes as fast as it can.
    async fn live(&self, judging: JudgingConfig) -> Result<(), detector::DetectorError> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(support::MONDAY)));
        self.progress.send_modify(|progress| progress.caught_up = false);
        let (shutdown, mut progress) = (CancellationToken::new(), self.progress.subscribe());
        let (_config, receiver) = watch::channel(Arc::new(judging));
        let options = DetectorOptions { max_verdicts: self.most, ..DetectorOptions::new(self.folder.path()) };
        let (log, own): (Arc<dyn SampleLog>, Arc<dyn Clock>) = (self.log.clone(), clock.clone());
        let (metrics, sender) = (self.metrics.clone(), self.progress.clone());
        let mut task = tokio::spawn(run(log, own, receiver, options, metrics, sender, shutdown.clone()));
        let settled = async {
            while !progress.borrow_and_update().caught_up {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        };
        let either = async {
            tokio::select! {
                ended = &mut task => Some(ended),
                () = settled => None,
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(120), either).await.expect("the detector hangs");
        shutdown.cancel();
        if let Some(ended) = ended { ended.expect("joined") } else { task.await.expect("joined") }
    }

    fn count(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("tidemark_detector_{name} ")));
        line.expect("a metric").parse().expect("a number")
    }
}

type Said = (Vec<Verdict>, Vec<AlertTransition>);

fn said(bodies: impl IntoIterator<Item = Body>) -> Said {
    let (mut verdicts, mut alerts) = (Vec::new(), Vec::new());
    for body in bodies {
        match body {
            Body::Verdicts(some) => verdicts.extend(some),
            Body::Alert(alert) => alerts.push(*alert),
            _ => {}
        }
    }
    verdicts.sort_by_key(|v| (v.series.clone(), v.window.start));
    alerts.sort_by_key(|a| (a.series.clone(), a.window.start));
    (verdicts, alerts)
}

fn output(log: &FakeLog) -> Said {
    said(log.inner.entries().into_iter().map(|entry| entry.body))
}

/// What the engine says of whole ticks.
fn expected(scene: &Scene) -> Said {
    let mut engine = Engine::new(scene.config());
    let judged = scene.ticks().into_iter().flat_map(|tick| engine.tick(&tick)).collect::<Vec<_>>();
    said(judged.into_iter().flat_map(|judged| {
        let alerts = judged.transitions.into_iter().map(|alert| Body::Alert(Box::new(alert)));
        std::iter::once(Body::Verdicts(vec![judged.verdict])).chain(alerts).collect::<Vec<_>>()
    }))
}

#[tokio::test]
async fn four_weeks_down_are_written_in_frames_the_log_takes() {
    let scene = Scene { minutes: 1, windows: 28 * 1_440, series: 25 };
    let log = filled(scene.ticks(), 4_000).await;
    Life::new(&log, 3_000).live(scene.config()).await.unwrap();
    let largest = log.largest.load(Ordering::SeqCst);
    assert!((3_000..4_000).contains(&largest), "judged at once: {largest}");
    let (verdicts, alerts) = output(&log);
    let wanted = expected(&scene);
    assert!(wanted.0.len() > 50 * 7 * 1_440 && wanted.1.len() > 100);
    assert!(verdicts == wanted.0, "{} of {} verdicts", verdicts.len(), wanted.0.len());
    assert!(alerts == wanted.1, "{} of {} transitions", alerts.len(), wanted.1.len());
}

#[tokio::test]
async fn killed_at_every_append_of_an_outage_everything_is_written_once() {
    let scene = Scene { minutes: 60, windows: 8 * 24, series: 6 };
    let wanted = expected(&scene);
    // Small frames cut in the middle of a window, and of a metric's verdicts.
    for (frame, most, every, written) in
        [(7, 100, 2, false), (7, 100, 1, true), (40, 100, 1, true), (200, 100, 1, true), (5, 5, 3, true)]
    {
        let log = filled(scene.ticks(), frame).await;
        let life = Life::new(&log, most);
        for lives in 0.. {
            *log.kill.lock().unwrap() = Some((every, written));
            if life.live(scene.config()).await.is_ok() {
                break;
            }
            assert!(lives < 2_000, "it does not get on");
        }
        assert!(log.killed.load(Ordering::SeqCst));
        let got = output(&log);
        assert_eq!((got.0.len(), got.1.len()), (wanted.0.len(), wanted.1.len()), "frame {frame}");
        assert!(got == wanted, "frame {frame}, every {every}, written {written}");
    }
}

#[tokio::test]
async fn many_alerts_that_end_together_are_cut_and_each_ends_once() {
    let scene = Scene { minutes: 60, windows: 24, series: 10 };
    let log = filled(scene.ticks()[..3].to_vec(), 100).await;
    Life::new(&log, 50).live(scene.config()).await.unwrap();
    let firing = output(&log).1.iter().filter(|alert| alert.transition == Transition::Firing).count();
    assert_eq!(firing, 20);
    let log = filled(scene.ticks()[..3].to_vec(), 6).await;
    let life = Life::new(&log, 50);
    life.live(scene.config()).await.unwrap();
    for _ in 0..50 {
        *log.kill.lock().unwrap() = Some((1, true));
        if life.live(JudgingConfig::default()).await.is_ok() {
            break;
        }
    }
    let ended = output(&log).1.into_iter().filter(|alert| alert.transition == Transition::Resolved);
    let mut ended: Vec<SeriesKey> = ended.map(|alert| alert.series).collect();
    assert_eq!(ended.len(), 20);
    ended.dedup();
    assert_eq!(ended.len(), 20);
}

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    let scene = Scene { minutes: 60, windows: 24, series: 2 };
    let log = filled(scene.ticks(), 1_000).await;
    log.full_disk.store(9, Ordering::SeqCst);
    let life = Life::new(&log, 1_000);
    life.live(scene.config()).await.unwrap();
    assert_eq!((life.count("append_failed_total"), life.count("log_full_total")), (9, 0));
    assert_eq!(output(&log), expected(&scene));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_stops_nothing() {
    let scene = Scene { minutes: 60, windows: 24, series: 2 };
    let log = filled(scene.ticks(), 1_000).await;
    let life = Life::new(&log, 1_000);
    std::fs::remove_dir(life.folder.path()).unwrap();
    std::fs::write(life.folder.path(), b"a file where the folder should be").unwrap();
    life.live(scene.config()).await.unwrap();
    assert!(life.count("snapshot_failed_total") > 0);
    assert_eq!(output(&log), expected(&scene));
}

#[tokio::test]
async fn a_restart_is_not_caught_up_before_it_is() {
    let scene = Scene { minutes: 60, windows: 24, series: 2 };
    let log = filled(scene.ticks()[..3].to_vec(), 1_000).await;
    let life = Life::new(&log, 1_000);
    life.live(scene.config()).await.unwrap();
    assert!(life.progress.borrow().caught_up);
    // The start itself breaks off: the alerts of metrics that are gone cannot be ended.
    *log.kill.lock().unwrap() = Some((1, false));
    let (_config, receiver) = watch::channel(Arc::new(JudgingConfig::default()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(support::MONDAY)));
    let options = DetectorOptions::new(life.folder.path());
    let (metrics, progress) = (life.metrics.clone(), life.progress.clone());
    let ended = run(log.clone(), clock, receiver, options, metrics, progress, CancellationToken::new()).await;
    assert!(ended.is_err() && !life.progress.borrow().caught_up);
}
