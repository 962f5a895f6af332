//! A notifier driven step by step: a script of transitions goes in, the ledger of what was sent comes out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::testing::MemoryLog;
use model::{
    AlertId, AlertInfo, AlertTransition, Body, Clock, Labels, ManualClock, NewEntry, Origin, Reason,
    ReasonCode, SampleLog, SeriesKey, Severity, Timestamp, Transition, Window,
};
use notifier::config::ReceiverConfig;
use notifier::engine::Engine;
use notifier::message::NoteStatus;
use notifier::plan::Plan;
use notifier::store::{Finished, Lease, SqliteStore, Store};
use notifier::view::DeliveryState;
use notifier::{NotifierConfig, NotifierMetrics, Reader};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Domain time 0 of every script: a Monday, 08:00 UTC.
pub(crate) fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T08:00:00Z").unwrap()
}

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(start().as_nanos() + secs * 1_000_000_000)
}

/// A receiver that is reached by one webhook.
pub(crate) fn receiver(name: &str) -> ReceiverConfig {
    let webhook = json!({"url": "http://127.0.0.1:9/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    serde_json::from_value(json!({"name": name, "channels": [{"webhook": webhook}]})).unwrap()
}

/// A configuration of these receivers and routes.
pub(crate) fn config(receivers: &[&str], route: Value, more: Value) -> NotifierConfig {
    let part = |key: &str| more.get(key).cloned().unwrap_or_else(|| json!([]));
    NotifierConfig {
        route: serde_json::from_value(route).unwrap(),
        receivers: receivers.iter().map(|name| receiver(name)).collect(),
        inhibit_rules: serde_json::from_value(part("inhibit_rules")).unwrap(),
        time_intervals: serde_json::from_value(part("time_intervals")).unwrap(),
        external_url: Some("https://tidemark.example.com".into()),
        ..NotifierConfig::default()
    }
}

/// A transition of an alert called `name`, which began at `began`.
pub(crate) fn transition(
    name: &str,
    began: i64,
    now: i64,
    what: Transition,
    severity: Severity,
    origin: Origin,
) -> AlertTransition {
    let (metric, channel) = name.split_once('.').unwrap_or((name, ""));
    let series = SeriesKey::new(metric, Labels::new([("channel", channel)]));
    let labels = series.labels.with([("alertname", metric), ("metric", metric)]);
    AlertTransition {
        id: AlertId { fingerprint: series.fingerprint(), starts_at: at(began) },
        series,
        labels,
        transition: what,
        severity,
        window: Window { start: at(now - 60), end: at(now) },
        origin,
        value: Some(412.0),
        expected: Some(1_240.0),
        lower: Some(1_050.0),
        upper: Some(1_430.0),
        deviation_pct: Some(-66.8),
        score: 2.3,
        info: AlertInfo::default(),
        reason: Arc::new(Reason { version: 1, code: ReasonCode::BelowBand, ..Reason::default() }),
        config_revision: 1,
    }
}

/// A transition as the detector appends it.
pub(crate) fn entry(sequence: u64, transition: AlertTransition) -> NewEntry {
    NewEntry {
        key: Arc::clone(&transition.series.metric),
        producer: "detector".into(),
        sequence,
        source_position: Vec::new(),
        body: Body::Alert(Box::new(transition)),
    }
}

/// What a recipient got: when, by which channel, why, and of which alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at_secs: i64,
    pub(crate) channel: String,
    pub(crate) kind: &'static str,
    pub(crate) firing: Vec<String>,
    pub(crate) resolved: Vec<String>,
    pub(crate) key: String,
}

impl Sent {
    fn of(lease: &Lease, now: Timestamp) -> Self {
        let message = &lease.message;
        let listed = |status: NoteStatus, severity: bool| -> Vec<String> {
            let notes = message.alerts.iter().filter(|note| note.status == status);
            let name = |note: &notifier::message::AlertNote| {
                let channel = note.labels.get("channel").map(|c| format!(".{c}")).unwrap_or_default();
                let severity = if severity { format!(":{}", note.severity) } else { String::new() };
                format!("{}{channel}{severity}", note.title)
            };
            notes.map(name).collect()
        };
        Self {
            at_secs: (now.as_nanos() - start().as_nanos()) / 1_000_000_000,
            channel: lease.message.receiver.clone(),
            kind: message.kind.as_str(),
            firing: listed(NoteStatus::Firing, true),
            resolved: listed(NoteStatus::Resolved, false),
            key: lease.key.clone(),
        }
    }

    pub(crate) fn line(&self) -> String {
        let over = if self.resolved.is_empty() {
            String::new()
        } else {
            format!(" over[{}]", self.resolved.join(" "))
        };
        format!("{}s {} {}: {}{over}", self.at_secs, self.channel, self.kind, self.firing.join(" "))
            .trim_end()
            .to_owned()
    }
}

/// In memory where there is such a place: what is tested here is what is written when, not the disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

type Wrap = Box<dyn Fn(SqliteStore) -> Box<dyn Store>>;

/// A notifier that is driven by hand.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) config: NotifierConfig,
    pub(crate) ledger: Vec<Sent>,
    engine: Option<Engine>,
    wrap: Wrap,
    sequence: u64,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    pub(crate) fn new(config: NotifierConfig) -> Self {
        Self::with_store(config, Box::new(|store| Box::new(store)))
    }

    pub(crate) fn with_store(config: NotifierConfig, wrap: Wrap) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bench = Self {
            dir: folder(),
            clock: ManualClock::new(start()),
            log: Arc::new(MemoryLog::new("detector")),
            config,
            ledger: Vec::new(),
            engine: None,
            wrap,
            sequence: 0,
            runtime,
        };
        bench.restart();
        bench
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("notifier.db")
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.path()).unwrap()
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// As after `kill -9`: nothing but the database is left.
    pub(crate) fn restart(&mut self) {
        self.engine = None;
        let store = (self.wrap)(SqliteStore::open(&self.path()).unwrap());
        let plan = Arc::new(Plan::compile(self.config.clone()).unwrap());
        let log = Arc::clone(&self.log) as Arc<dyn SampleLog>;
        let clock = Arc::new(self.clock.clone()) as Arc<dyn Clock>;
        self.engine = Some(Engine::new(store, plan, log, clock, NotifierMetrics::default()).unwrap());
    }

    pub(crate) fn reconfigure(&mut self, config: NotifierConfig) {
        self.config = config;
        let plan = Arc::new(Plan::compile(self.config.clone()).unwrap());
        self.engine().apply(plan).unwrap();
    }

    pub(crate) fn append(&mut self, transition: AlertTransition) {
        self.sequence += 1;
        self.runtime.block_on(self.log.append(vec![entry(self.sequence, transition)])).unwrap();
    }

    pub(crate) fn now_secs(&self) -> i64 {
        (self.clock.domain_now().as_nanos() - start().as_nanos()) / 1_000_000_000
    }

    /// All that can be done now, everything delivered at once.
    pub(crate) fn settle(&mut self) {
        while !retried(|| self.engine().consume()).caught_up {}
        retried(|| self.engine().settle());
        retried(|| self.engine().keep_timers());
        self.deliver_all();
    }

    /// Passes time, stopping at every timer.
    pub(crate) fn advance_to(&mut self, secs: i64) {
        self.settle();
        loop {
            let target = at(secs);
            let timer = self.engine().next_timer().filter(|timer| *timer < target);
            let Some(stop) = timer else { break };
            self.clock.advance(stop.since(self.clock.domain_now()).max(Duration::from_nanos(1)));
            self.settle();
        }
        self.clock.advance(at(secs).since(self.clock.domain_now()));
        self.settle();
    }

    pub(crate) fn lease(&self, receiver: &str) -> Option<Lease> {
        retried(|| self.engine().lease(&format!("{receiver}/webhook/0")))
    }

    pub(crate) fn deliver_all(&mut self) {
        for receiver in self.config.receivers.clone() {
            for (name, _) in notifier::channels::slots(&receiver) {
                while let Some(lease) = retried(|| self.engine().lease(&name)) {
                    self.deliver(&lease);
                }
            }
        }
    }

    pub(crate) fn deliver(&mut self, lease: &Lease) {
        let sent = Sent::of(lease, self.clock.domain_now());
        if !self.ledger.iter().any(|before| before.key == sent.key) {
            self.ledger.push(sent);
        }
        self.end(lease, DeliveryState::Delivered);
    }

    pub(crate) fn end(&self, lease: &Lease, state: DeliveryState) {
        self.finish(&Finished { state, ..self.finished(lease) });
    }

    pub(crate) fn finish(&self, finished: &Finished) {
        retried(|| self.engine().finish(finished));
    }

    pub(crate) fn finished(&self, lease: &Lease) -> Finished {
        let now = self.clock.civil_now();
        Finished {
            delivery: lease.delivery,
            started_at: now,
            millis: 1,
            outcome: "delivered",
            detail: "200".into(),
            provider_id: String::new(),
            state: DeliveryState::Accepted,
            not_before: now,
            decided_at: now,
        }
    }

    pub(crate) fn lines(&self) -> String {
        self.ledger.iter().map(Sent::line).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn assert_accounted(&self) {
        assert_eq!(self.reader().unaccounted().unwrap(), Vec::new(), "somebody was forgotten");
    }

    /// Plays a script: `SECONDS VERB NAME [SEVERITY]`, a line each.
    pub(crate) fn play(&mut self, script: &str) -> String {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.play_line(line);
        }
        self.assert_accounted();
        self.lines()
    }

    fn play_line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.advance_to(words[0].parse().unwrap());
        match words[1..] {
            ["restart"] => self.restart(),
            ["end"] => {}
            [verb, name, ref rest @ ..] => self.say(verb, name, rest),
            _ => panic!("what is `{line}`?"),
        }
        self.settle();
    }

    /// `fire NAME P1 [began]`, `backfill ..`, `change ..`, `resolve ..`, `pending ..`. `began` defaults to 0.
    fn say(&mut self, verb: &str, name: &str, rest: &[&str]) {
        let severity = match rest.first() {
            Some(&"P0") => Severity::P0,
            Some(&"P1") => Severity::P1,
            _ => Severity::P2,
        };
        let began = rest.get(1).map_or(0, |text| text.parse().unwrap());
        let (what, origin) = match verb {
            "pending" => (Transition::Pending, Origin::Live),
            "fire" => (Transition::Firing, Origin::Live),
            "backfill" => (Transition::Firing, Origin::Backfill),
            "change" => (Transition::SeverityChanged, Origin::Live),
            "resolve" => (Transition::Resolved, Origin::Live),
            other => panic!("what is `{other}`?"),
        };
        self.append(transition(name, began, self.now_secs(), what, severity, origin));
    }
}

/// What a store that fails now and then gives in the end.
pub(crate) fn retried<T, E: std::fmt::Debug>(step: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..20 {
        if let Ok(value) = step() {
            return value;
        }
    }
    step().unwrap()
}
