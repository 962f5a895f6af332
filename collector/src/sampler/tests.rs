use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::testing::MemoryLog;
use model::{
    AppendError, Appended, Body, LogStats, ManualClock, NewEntry, Positions, ProducerState, ReadBatch,
    ReadError, ReadLimit, SampleLog, Timestamp, Topics, Window,
};
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Resume, Sampler};
use crate::health::HealthCell;
use crate::report::Report;
use crate::testing::{Behaviour, FakeSource, shown, spec, until};
use crate::{CollectorMetrics, SamplerSpec, Schedule, SourceError, Timetable, tick_entry};

/// A sampler in a task, with everything around it in the test's hands. Time is 10:00:00 on the second of a month.
struct Bench {
    spec: SamplerSpec,
    clock: ManualClock,
    log: Arc<MemoryLog>,
    source: Arc<FakeSource>,
    health: HealthCell,
    small_frames: bool,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn ten() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T10:00:00Z").unwrap()
}

impl Bench {
    fn new(spec: SamplerSpec, script: impl IntoIterator<Item = Behaviour>) -> Self {
        Self {
            health: HealthCell::new(Arc::clone(&spec.name), spec.source.clone()),
            spec,
            clock: ManualClock::new(ten()),
            log: Arc::new(MemoryLog::new("collector")),
            source: FakeSource::new(script),
            small_frames: false,
            running: None,
        }
    }

    async fn start(&mut self, resume: Resume) {
        let log = Arc::clone(&self.log);
        let log: Arc<dyn SampleLog> = if self.small_frames { Arc::new(SmallFrames(log)) } else { log };
        let sampler = Sampler {
            spec: self.spec.clone(),
            timetable: Timetable::new(&self.spec.schedule, self.spec.timezone).unwrap(),
            source: Arc::clone(&self.source) as _,
            log,
            clock: Arc::new(self.clock.clone()),
            health: self.health.clone(),
            report: Report::new(Arc::clone(&self.spec.name), CollectorMetrics::default()),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(sampler.run(resume, stop.clone()));
        self.running = Some((stop, task));
        self.settle().await;
    }

    /// Waits until the sampler sleeps: for its next tick, or for a deadline.
    async fn settle(&self) {
        until("the sampler sleeps", || self.clock.sleepers() > 0).await;
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.settle().await;
    }

    async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
        // The stopped sampler's sleep must not be taken for its successor's.
        self.clock.advance(Duration::ZERO);
    }

    fn shown(&self) -> String {
        shown(&self.log.entries())
    }
}

#[tokio::test]
async fn each_tick_leaves_one_entry_at_its_time_and_delay() {
    let mut delayed = spec("orders");
    delayed.delay = Duration::from_secs(5);
    let script =
        [Behaviour::Number(3), Behaviour::Nothing, Behaviour::Fail(SourceError::permanent("no such table"))];
    let mut bench = Bench::new(delayed, script);
    bench.start(Resume::AfterDown).await;
    for _ in 0..13 {
        bench.advance(15 * SECOND).await;
    }
    insta::assert_snapshot!(bench.shown(), @r#"
        02 09:59:00 - 02 10:00:00 x1 rows 3
        02 10:00:00 - 02 10:01:00 x1 empty
        02 10:01:00 - 02 10:02:00 x1 error: no such table
        02 10:02:00 - 02 10:03:00 x1 error: no such table
        "#);
}

#[tokio::test]
async fn ticks_due_while_down_are_missed_once_and_the_cap_is_28_days() {
    for (away, expected) in [(Duration::from_secs(90), 1), (10 * MINUTE, 10), (40 * 24 * HOUR, 28 * 1_440)] {
        let mut bench = Bench::new(spec("orders"), []);
        bench.start(Resume::AfterDown).await;
        bench.advance(MINUTE).await;
        bench.stop().await;
        bench.clock.advance(away);
        bench.start(Resume::AfterDown).await;
        let ticks: Vec<_> = ticks(&bench.log);
        let down = ticks.last().unwrap();
        assert_eq!((down.ticks, down.answered()), (expected, false), "{away:?}");
        assert_eq!(down.window.length(), MINUTE * expected, "{away:?}");
        bench.advance(MINUTE).await;
        assert_eq!(bench.source.asked.lock().unwrap().len(), 2, "{away:?}");
    }
}

fn ticks(log: &MemoryLog) -> Vec<model::Tick> {
    let tick = |entry: model::Entry| match entry.body {
        Body::Tick(tick) => Some(tick),
        _ => None,
    };
    log.entries().into_iter().filter_map(tick).collect()
}

#[tokio::test]
async fn a_sampler_new_to_a_running_process_has_missed_nothing() {
    let mut bench = Bench::new(spec("orders"), []);
    let last = Window { start: ten() - 2 * HOUR, end: ten() - 2 * HOUR + MINUTE };
    let tick =
        crate::backlog::MissedRange::one(last, model::MissedReason::Down, "").tick(&"orders".into(), &[]);
    bench.log.append(vec![tick_entry(tick)]).await.unwrap();
    bench.start(Resume::Fresh).await;
    bench.advance(MINUTE).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 08:00:00 - 02 08:01:00 x1 down: 
        02 10:00:00 - 02 10:01:00 x1 rows 1
        "#);
}

/// A sampler that asks for its window, every minute.
fn windowed() -> SamplerSpec {
    let sql = "SELECT count(*) FROM orders WHERE at >= :start AND at < :end";
    SamplerSpec { query: crate::Query::Sql(sql.into()), ..spec("orders") }
}

#[tokio::test]
async fn a_sampler_held_up_runs_its_ticks_late_one_after_the_other() {
    let mut bench = Bench::new(windowed(), (1..20).map(Behaviour::Number));
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    // Nothing ran for four minutes and a bit, as on a machine that has no time for us.
    bench.advance(4 * MINUTE + 3 * SECOND).await;
    until("every tick has its entry", || ticks(&bench.log).len() == 5).await;
    bench.advance(57 * SECOND).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:01:00 x1 rows 1
        02 10:01:00 - 02 10:02:00 x1 rows 2
        02 10:02:00 - 02 10:03:00 x1 rows 3
        02 10:03:00 - 02 10:04:00 x1 rows 4
        02 10:04:00 - 02 10:05:00 x1 rows 5
        02 10:05:00 - 02 10:06:00 x1 rows 6
        "#);
}

#[tokio::test]
async fn ticks_due_while_late_ones_run_are_overrun() {
    let script = [Behaviour::Number(1), Behaviour::Hang, Behaviour::Number(3), Behaviour::Number(4)];
    let mut bench = Bench::new(SamplerSpec { timeout: 150 * SECOND, ..windowed() }, script);
    bench.start(Resume::AfterDown).await;
    bench.advance(3 * MINUTE).await;
    until("the second is asked", || bench.source.asked.lock().unwrap().len() == 2).await;
    bench.settle().await;
    bench.advance(150 * SECOND).await;
    until("the late ones are through", || ticks(&bench.log).len() == 4).await;
    bench.advance(30 * SECOND).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:01:00 x1 rows 1
        02 10:01:00 - 02 10:02:00 x1 timeout: source `shop` did not answer within 2m30s
        02 10:02:00 - 02 10:03:00 x1 rows 3
        02 10:03:00 - 02 10:05:00 x2 overrun: the previous tick was still running
        02 10:05:00 - 02 10:06:00 x1 rows 4
        "#);
}

#[tokio::test]
async fn a_snapshot_held_up_is_taken_once() {
    let mut bench = Bench::new(spec("orders"), [Behaviour::Number(1)]);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    bench.advance(4 * MINUTE + 3 * SECOND).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:01:00 x1 rows 1
        02 10:01:00 - 02 10:04:00 x3 overrun: the sampler was held up, and what was then cannot be asked for
        02 10:04:00 - 02 10:05:00 x1 rows 1
        "#);
}

#[tokio::test]
async fn a_source_is_not_flooded_with_late_ticks() {
    let every_second = SamplerSpec { schedule: Schedule::Interval(SECOND), ..windowed() };
    let mut bench = Bench::new(every_second, [Behaviour::Number(1)]);
    bench.start(Resume::AfterDown).await;
    bench.advance(100 * SECOND).await;
    until("the late ones are through", || ticks(&bench.log).len() == 61).await;
    bench.settle().await;
    let first = ticks(&bench.log).remove(0);
    assert_eq!((first.ticks, first.answered()), (40, false));
    assert_eq!(bench.source.asked.lock().unwrap().len(), 60);
}

#[tokio::test]
async fn a_clock_that_jumps_forward_misses_what_lies_too_far_back() {
    let mut bench = Bench::new(windowed(), [Behaviour::Number(1)]);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    bench.clock.jump_domain(ten() + 20 * MINUTE + 3 * SECOND);
    until("all are through", || ticks(&bench.log).len() == 17).await;
    bench.settle().await;
    let shown = bench.shown();
    insta::assert_snapshot!(shown.lines().take(3).collect::<Vec<_>>().join("\n"), @r#"
        02 10:00:00 - 02 10:01:00 x1 rows 1
        02 10:01:00 - 02 10:05:00 x4 down: the clock jumped over this tick, or the machine slept
        02 10:05:00 - 02 10:06:00 x1 rows 1
        "#);
}

#[tokio::test]
async fn a_tick_much_too_late_is_not_begun() {
    let mut daily = spec("orders");
    daily.schedule = Schedule::Cron { expression: "0 0 11 * * *".into(), window: HOUR };
    let mut bench = Bench::new(daily, []);
    bench.start(Resume::AfterDown).await;
    bench.clock.jump_domain(ten() + 5 * HOUR);
    bench.settle().await;
    until("the next day's tick", || bench.health.read().next_tick_at == Some(ten() + 25 * HOUR)).await;
    assert_eq!(bench.source.asked.lock().unwrap().len(), 0);
    bench.stop().await;
    insta::assert_snapshot!(bench.shown(), @"02 10:00:00 - 02 11:00:00 x1 down: the clock jumped over this tick, or the machine slept");
}

#[tokio::test]
async fn a_clock_that_jumps_back_repeats_no_tick() {
    let mut bench = Bench::new(spec("orders"), []);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    bench.advance(MINUTE).await;
    bench.clock.jump_domain(ten() - HOUR);
    bench.settle().await;
    bench.advance(HOUR).await;
    bench.stop().await;
    bench.start(Resume::AfterDown).await;
    bench.advance(3 * MINUTE).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:01:00 x1 rows 1
        02 10:01:00 - 02 10:02:00 x1 rows 1
        02 10:02:00 - 02 10:03:00 x1 rows 1
        "#);
}

#[tokio::test]
async fn a_hung_source_times_out_and_the_ticks_due_meanwhile_are_overrun() {
    let mut slow = spec("orders");
    slow.timeout = Duration::from_secs(150);
    let mut bench = Bench::new(slow, [Behaviour::Hang, Behaviour::Number(7)]);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    for _ in 0..3 {
        bench.advance(50 * SECOND).await;
    }
    bench.advance(30 * SECOND).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:01:00 x1 timeout: source `shop` did not answer within 2m30s
        02 10:01:00 - 02 10:03:00 x2 overrun: the previous tick was still running
        02 10:03:00 - 02 10:04:00 x1 rows 7
        "#);
}

#[tokio::test]
async fn what_the_log_refuses_goes_in_later_as_a_range() {
    let script = [
        Behaviour::Number(1),
        Behaviour::Number(2),
        Behaviour::Fail(SourceError::permanent("broken")),
        Behaviour::Number(4),
    ];
    let mut bench = Bench::new(spec("orders"), script);
    bench.start(Resume::AfterDown).await;
    bench.log.fail_next_appends(3);
    for _ in 0..3 {
        bench.advance(MINUTE).await;
    }
    assert_eq!((bench.shown().as_str(), bench.health.read().refused_ticks), ("", 3));
    bench.advance(MINUTE).await;
    assert_eq!(bench.health.read().refused_ticks, 0);
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:02:00 x2 full: log is full: 1 of 1 bytes, and test still needs the oldest segment
        02 10:02:00 - 02 10:03:00 x1 error: broken
        02 10:03:00 - 02 10:04:00 x1 rows 4
        "#);
}

/// A sampler whose next tick is a day away.
async fn after_its_daily_tick(refusals: usize) -> Bench {
    let mut daily = spec("orders");
    daily.schedule = Schedule::Cron { expression: "0 0 11 * * *".into(), window: HOUR };
    let mut bench = Bench::new(daily, []);
    bench.start(Resume::AfterDown).await;
    bench.log.fail_next_appends(refusals);
    bench.advance(HOUR).await;
    assert_eq!((bench.shown().as_str(), bench.health.read().refused_ticks), ("", 1));
    bench
}

#[tokio::test]
async fn a_refused_tick_does_not_wait_for_the_next_one() {
    for (refusals, expected_secs) in [(1, 5), (2, 15), (3, 35), (4, 75), (5, 135), (6, 195)] {
        let bench = after_its_daily_tick(refusals).await;
        let mut secs = 0;
        while bench.health.read().refused_ticks > 0 {
            assert!(secs < 1_000, "{refusals}");
            bench.advance(SECOND).await;
            secs += 1;
        }
        assert_eq!(secs, expected_secs, "{refusals}");
        bench.advance(HOUR).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(bench.shown(), @"02 10:00:00 - 02 11:00:00 x1 full: log is full: 1 of 1 bytes, and test still needs the oldest segment");
        }
        assert_eq!(bench.source.asked.lock().unwrap().len(), 1, "the source is not asked again");
    }
}

#[tokio::test]
async fn a_corrected_clock_does_not_change_when_the_log_is_offered_a_tick_again() {
    for jump in [-3_600, 3_600] {
        let bench = after_its_daily_tick(1).await;
        let to = Timestamp::from_secs(bench.now().as_secs() + jump);
        bench.clock.jump_domain(to);
        bench.settle().await;
        bench.advance(4 * SECOND).await;
        assert_eq!(bench.health.read().refused_ticks, 1, "{jump}");
        bench.advance(SECOND).await;
        until("the log has it", || bench.health.read().refused_ticks == 0).await;
        assert_eq!(ticks(&bench.log).len(), 1, "{jump}");
    }
}

#[tokio::test]
async fn a_full_log_is_offered_the_ticks_of_the_time_down_again() {
    let mut bench = Bench::new(spec("orders"), []);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    bench.stop().await;
    bench.clock.advance(10 * MINUTE);
    bench.log.fail_next_appends(1);
    bench.start(Resume::AfterDown).await;
    assert_eq!(bench.health.read().refused_ticks, 10);
    bench.advance(5 * SECOND).await;
    insta::assert_snapshot!(bench.shown(), @r#"
        02 10:00:00 - 02 10:01:00 x1 rows 1
        02 10:01:00 - 02 10:11:00 x10 down: Tidemark was not running
        "#);
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_within_the_deadline() {
    let down = || Behaviour::Fail(SourceError::unreachable("connection refused"));
    let wait = |secs| {
        Behaviour::Fail(SourceError::transient("HTTP 429").retry_after(Some(Duration::from_secs(secs))))
    };
    for (script, asked, expected) in [
        (vec![down(), Behaviour::Number(5)], 2, "rows 5"),
        (vec![down(), down(), down(), Behaviour::Number(5)], 3, "unreachable: connection refused"),
        (vec![wait(2), Behaviour::Number(5)], 2, "rows 5"),
        (vec![wait(60), Behaviour::Number(5)], 1, "error: HTTP 429"),
        (vec![down(), Behaviour::Hang], 2, "unreachable: connection refused"),
        (vec![Behaviour::Hang], 1, "timeout: source `shop` did not answer within 10s"),
        (vec![Behaviour::Panic], 1, "error: the source's adapter panicked: a bug in Tidemark"),
    ] {
        let mut bench = Bench::new(spec("orders"), script);
        bench.start(Resume::AfterDown).await;
        bench.advance(MINUTE).await;
        for _ in 0..60 {
            bench.advance(SECOND / 5).await;
        }
        let shown = bench.shown();
        assert!(shown.ends_with(expected), "{shown}: {expected}");
        assert_eq!(bench.source.asked.lock().unwrap().len(), asked, "{expected}");
    }
}

#[tokio::test]
async fn stopping_brings_the_tick_in_flight_to_its_end() {
    let mut bench = Bench::new(spec("orders"), [Behaviour::Hang]);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    let (stop, task) = bench.running.take().unwrap();
    stop.cancel();
    bench.clock.advance(10 * SECOND);
    task.await.unwrap();
    insta::assert_snapshot!(bench.shown(), @"02 10:00:00 - 02 10:01:00 x1 timeout: source `shop` did not answer within 10s");
}

#[tokio::test]
async fn health_goes_into_the_log_at_most_once_a_minute() {
    let mut fast = spec("orders");
    fast.schedule = Schedule::Interval(10 * SECOND);
    let failing = Behaviour::Fail(SourceError::permanent("broken"));
    let mut bench = Bench::new(fast, [Behaviour::Number(1), failing, Behaviour::Number(1)]);
    bench.start(Resume::AfterDown).await;
    for _ in 0..18 {
        bench.advance(10 * SECOND).await;
    }
    let points: Vec<String> = bench
        .log
        .entries()
        .into_iter()
        .filter_map(|entry| match entry.body {
            Body::Pipeline(point) => Some(format!("{} {} {:?}", entry.producer, point.at, point.fields)),
            _ => None,
        })
        .collect();
    insta::assert_snapshot!(points.join("\n"), @r#"
        sampler/orders/health 2026-03-02T10:00:10Z {"duration_ms": 0.0, "errors": 0.0, "missed": 0.0, "rows": 1.0}
        sampler/orders/health 2026-03-02T10:01:10Z {"duration_ms": 0.0, "errors": 1.0, "missed": 1.0, "rows": 5.0}
        sampler/orders/health 2026-03-02T10:02:10Z {"duration_ms": 0.0, "errors": 0.0, "missed": 0.0, "rows": 6.0}
        "#);
    let health = bench.health.read();
    assert_eq!((health.missed_ticks, health.consecutive_failures), (1, 0));
}

/// A log whose frames are too small for the number 999.
struct SmallFrames(Arc<MemoryLog>);

#[async_trait]
impl SampleLog for SmallFrames {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        let large = |entry: &NewEntry| matches!(&entry.body, Body::Tick(tick) if tick.samples().iter().any(|s| s.value == 999.0));
        if entries.iter().any(large) {
            return Err(AppendError::TooLarge { bytes: 999, limit: 100 });
        }
        self.0.append(entries).await
    }

    fn read(&self, from: &Positions, topics: Topics, limit: ReadLimit) -> Result<ReadBatch, ReadError> {
        self.0.read(from, topics, limit)
    }

    async fn wait(&self, from: &Positions) {
        self.0.wait(from).await;
    }

    fn last(&self, producer: &str) -> Option<ProducerState> {
        self.0.last(producer)
    }

    fn end(&self) -> Positions {
        self.0.end()
    }

    fn commit(&self, consumer: &str, positions: &Positions) -> Result<(), AppendError> {
        self.0.commit(consumer, positions)
    }

    fn committed(&self, consumer: &str) -> Option<Positions> {
        self.0.committed(consumer)
    }

    fn stats(&self) -> LogStats {
        self.0.stats()
    }
}

#[tokio::test]
async fn an_answer_too_large_for_the_log_is_recorded_at_once_as_invalid() {
    let mut bench = Bench::new(spec("orders"), [Behaviour::Number(999), Behaviour::Number(1)]);
    bench.small_frames = true;
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    insta::assert_snapshot!(bench.shown(), @"02 10:00:00 - 02 10:01:00 x1 invalid: too many rows for one entry of the log: 999 bytes, at most 100");
    bench.advance(MINUTE).await;
    assert_eq!(ticks(&bench.log).len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    JumpForward(u64),
    JumpBack(u64),
    Refuse(usize),
    Restart,
    Behave(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1u64..200).prop_map(Step::Advance),
        1 => (1u64..3_000).prop_map(Step::JumpForward),
        1 => (1u64..300).prop_map(Step::JumpBack),
        1 => (1usize..4).prop_map(Step::Refuse),
        1 => Just(Step::Restart),
        2 => (0u8..4).prop_map(Step::Behave),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens, the entries' windows follow each other without gap or repetition.
    #[test]
    fn every_due_tick_leaves_exactly_one_entry(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let log = runtime.block_on(live_through(steps));
        let windows: Vec<Window> = ticks(&log).iter().flat_map(|tick| tick.windows().collect::<Vec<_>>()).collect();
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
        prop_assert!(windows.iter().all(|window| window.length() == MINUTE));
    }
}

async fn live_through(steps: Vec<Step>) -> Arc<MemoryLog> {
    let mut bench = Bench::new(spec("orders"), [Behaviour::Number(1)]);
    bench.start(Resume::AfterDown).await;
    bench.advance(MINUTE).await;
    for step in steps {
        match step {
            Step::Advance(secs) => bench.advance(Duration::from_secs(secs)).await,
            Step::JumpForward(secs) => bench.clock.jump_domain(bench.now() + Duration::from_secs(secs)),
            Step::JumpBack(secs) => bench.clock.jump_domain(bench.now() - Duration::from_secs(secs)),
            Step::Refuse(count) => bench.log.fail_next_appends(count),
            Step::Behave(which) => bench.behave(which),
            Step::Restart => {
                bench.behave(0);
                bench.advance(20 * SECOND).await;
                bench.stop().await;
                bench.start(Resume::AfterDown).await;
            }
        }
        bench.settle().await;
    }
    Arc::clone(&bench.log)
}

impl Bench {
    fn now(&self) -> Timestamp {
        model::Clock::domain_now(&self.clock)
    }

    fn behave(&self, which: u8) {
        let behaviour = match which {
            0 => Behaviour::Number(1),
            1 => Behaviour::Nothing,
            2 => Behaviour::Hang,
            _ => Behaviour::Fail(SourceError::transient("busy")),
        };
        *self.source.script.lock().unwrap() = [behaviour].into();
    }
}
