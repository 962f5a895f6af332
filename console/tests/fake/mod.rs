//! A fake backend: a lending business with every state there is, computed from the clock, which a test may make slow
//! or failing.

// The example and the tests share this module.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use console::dto::*;
use console::{Anomaly, AnomalyPhase, Backend, BackendError, Bilingual, InboxMessage, Showcase, Story};
use model::{
    AlertId, Clock, Direction, Evidence, Labels, ManualClock, Reason, ReasonCode, SeriesKey, Severity,
    TimeRange, Timestamp, Transition, VerdictState,
};
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

/// How the fake behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mood {
    /// Answers.
    Well,
    /// Answers with an error.
    Failing,
    /// Never answers.
    Hanging,
    /// Answers that there is nothing yet.
    Empty,
}

/// The fake.
pub(crate) struct FakeBackend {
    clock: ManualClock,
    mood: AtomicU8,
    overviews: AtomicUsize,
}

struct Metric {
    name: &'static str,
    channel: Option<&'static str>,
    title: &'static str,
    unit: &'static str,
    level: f64,
    state: VerdictState,
}

const fn metric(
    name: &'static str,
    channel: Option<&'static str>,
    title: &'static str,
    unit: &'static str,
    level: f64,
) -> Metric {
    Metric { name, channel, title, unit, level, state: VerdictState::Normal }
}

fn metrics() -> Vec<Metric> {
    let mut all = vec![
        metric("registrations", None, "Registrations", "/min", 18.0),
        metric("logins", None, "Logins", "/min", 121.0),
        metric("applications", Some("app"), "Credit applications", "/min", 9.0),
        metric("applications", Some("partner"), "Credit applications", "/min", 1.2),
        metric("pass_rate", None, "Credit pass rate", "ratio", 0.62),
        metric("orders", Some("app"), "Orders", "/min", 41.0),
        metric("orders", Some("web"), "Orders", "/min", 16.0),
        metric("orders", Some("partner"), "Orders", "/min", 0.9),
        metric("loans.count", None, "Loans paid out", "/min", 12.0),
        metric("loans.amount", None, "Amount paid out", "CNY/min", 184_000.0),
        metric("repayments.count", None, "Repayments", "/min", 22.0),
        metric("risk_api_latency", None, "Risk API, 95th percentile", "ms", 182.0),
        metric(
            "nasty",
            Some("<img src=x onerror=alert(1)>"),
            "</script><script>alert(\"1\")</script>",
            "<b>",
            7.0,
        ),
        metric(
            "a_new_metric_with_a_rather_long_name.and_a_value",
            None,
            "A rather long title that does not fit into one line",
            "",
            5.0,
        ),
    ];
    let states = [
        (5, VerdictState::Firing),
        (6, VerdictState::Outside),
        (10, VerdictState::Missing),
        (13, VerdictState::Learning),
    ];
    for (at, state) in states {
        all[at].state = state;
    }
    all
}

impl Metric {
    fn key(&self) -> SeriesKey {
        SeriesKey::new(self.name, Labels::new(self.channel.map(|channel| ("channel", channel))))
    }

    fn id(&self) -> String {
        format!("{:016x}", self.key().fingerprint())
    }

    /// Deterministic and smooth enough to look real.
    fn point(&self, at: Timestamp, now: Timestamp) -> Point {
        let minute = at.as_secs() / 60;
        let phase = minute as f64 / 1440.0 * std::f64::consts::TAU;
        let expected = self.level * (1.0 + 0.25 * (phase + 0.4).sin());
        let noise = ((minute * 2_654_435_761 + self.name.len() as i64 * 97) % 1009) as f64 / 1009.0 - 0.5;
        let width =
            if self.unit == "ratio" { 0.06 } else { 0.9 * expected.sqrt().max(0.04 * expected) + 0.3 };
        let recent = now.since(at) < MINUTE * 9;
        let mut value = Some((expected + noise * width * 1.5).max(0.0));
        let mut state = VerdictState::Normal;
        match (self.state, recent) {
            (VerdictState::Firing, true) => (value, state) = (Some(expected * 0.2), VerdictState::Firing),
            (VerdictState::Outside, true) if now.since(at) < MINUTE * 2 => {
                (value, state) = (Some(expected * 1.6), VerdictState::Outside)
            }
            (VerdictState::Missing, true) => (value, state) = (None, VerdictState::Missing),
            (VerdictState::Learning, _) => state = VerdictState::Learning,
            _ => {}
        }
        let known = (state != VerdictState::Learning).then_some(());
        Point {
            at,
            value: if self.unit == "/min" { value.map(f64::round) } else { value },
            expected: known.map(|()| expected),
            lower: known.map(|()| (expected - 2.2 * width).max(0.0)),
            upper: known.map(|()| expected + 2.2 * width),
            state,
            forecast: known.map(|()| expected * 1.01 + noise * width * 0.3),
            prev_week: known.map(|()| (expected * 0.96 - noise * width).max(0.0)),
        }
    }

    fn points(&self, range: TimeRange) -> Vec<Point> {
        let first = range.start.align_down(MINUTE);
        let windows = (range.end.since(first).as_secs() / 60).saturating_sub(1);
        (1..=windows).map(|i| self.point(first + MINUTE * i as u32, range.end)).collect()
    }

    fn card(&self, now: Timestamp, span: Duration) -> MetricCard {
        let points = self.points(TimeRange { start: now - span, end: now });
        let last = points[points.len() - 1];
        let deviation_pct = last.value.zip(last.expected).map(|(v, e)| 100.0 * (v - e) / e);
        MetricCard {
            id: self.id(),
            metric: self.name.into(),
            labels: self.key().labels.into(),
            title: self.title.into(),
            unit: self.unit.into(),
            owner: "risk team".into(),
            state: last.state,
            severity: (last.state == VerdictState::Firing).then_some(Severity::P0),
            value: last.value,
            expected: last.expected,
            lower: last.lower,
            upper: last.upper,
            deviation_pct,
            score: if last.state == VerdictState::Firing { 3.4 } else { 0.4 },
            since: Some(now.align_down(MINUTE) - MINUTE * 8),
            alert: (last.state == VerdictState::Firing).then(|| self.alert_id(now).to_string()),
            interval_ms: 60_000,
            points,
        }
    }

    fn alert_id(&self, now: Timestamp) -> AlertId {
        AlertId { fingerprint: self.key().fingerprint(), starts_at: now.align_down(MINUTE * 30) }
    }

    fn alert(
        &self,
        now: Timestamp,
        status: AlertStatus,
        severity: Severity,
        sentence: Bilingual,
    ) -> AlertRow {
        let starts_at = now.align_down(MINUTE) - MINUTE * 8;
        AlertRow {
            id: self.alert_id(now).to_string(),
            series: self.id(),
            metric: self.name.into(),
            title: self.title.into(),
            unit: self.unit.into(),
            labels: self.key().labels.into(),
            severity,
            status,
            starts_at,
            fired_at: Some(starts_at + MINUTE),
            ended_at: (status == AlertStatus::Resolved).then_some(starts_at + MINUTE * 6),
            code: ReasonCode::BelowBand,
            sentence,
            value: Some(8.0),
            expected: Some(41.3),
            deviation_pct: Some(-80.6),
            suppressed_by: None,
            acknowledged: None,
        }
    }
}

impl FakeBackend {
    /// A fake that answers, by this clock.
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self { clock, mood: AtomicU8::new(Mood::Well as u8), overviews: AtomicUsize::new(0) }
    }

    /// Changes how it behaves from now on.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    /// How often the overview was asked for.
    pub(crate) fn overviews(&self) -> usize {
        self.overviews.load(Ordering::Relaxed)
    }

    /// The id of an alert it knows.
    pub(crate) fn known_alert(&self) -> String {
        metrics()[5].alert_id(self.clock.domain_now()).to_string()
    }

    /// The fingerprints of the series it knows.
    pub(crate) fn known_series(&self) -> Vec<String> {
        metrics().iter().map(Metric::id).collect()
    }

    async fn behave(&self) -> Result<bool, BackendError> {
        let mood = self.mood.load(Ordering::Relaxed);
        if mood == Mood::Hanging as u8 {
            std::future::pending::<()>().await;
        }
        if mood == Mood::Failing as u8 {
            return Err(BackendError::Failed { what: "series", message: "the store is closed".into() });
        }
        Ok(mood != Mood::Empty as u8)
    }

    fn moment(&self) -> Moment {
        Moment { now: self.clock.domain_now(), speed: 60.0, timezone: "Asia/Shanghai".into() }
    }
}

fn alerts(now: Timestamp) -> Vec<AlertRow> {
    let all = metrics();
    vec![
        all[5].alert(
            now,
            AlertStatus::Firing,
            Severity::P0,
            Bilingual::new(
                "Orders (app) fell to 8 per minute, 81% below the 41 expected at this time, since 09:38.",
                "订单（app）降至每分钟 8 单，比此时预期的 41 低 81%，始于 09:38。",
            ),
        ),
        all[10].alert(
            now,
            AlertStatus::Firing,
            Severity::P1,
            Bilingual::new(
                "Repayments: no data since 09:38; the source does not answer (timeout).",
                "还款：自 09:38 起无数据，数据源没有应答（超时）。",
            ),
        ),
        all[12].alert(
            now,
            AlertStatus::Resolved,
            Severity::P2,
            Bilingual::new(
                "<script>alert(1)</script> was 30× above its band.",
                "<script>alert(1)</script> 曾超出区间 30 倍。",
            ),
        ),
    ]
}

fn messages(now: Timestamp) -> Vec<MessageRow> {
    let alert = alerts(now)[0].id.clone();
    let row = |minutes: u32, channel: &str, subject: &str, kind, status| MessageRow {
        at: now - MINUTE * minutes,
        channel: channel.into(),
        receiver: "on-call@lending.example".into(),
        subject: subject.into(),
        body: format!(
            "{subject}\n\nvalue      8 /min\nexpected  41 /min\nsince     09:38\n\n<b>not bold</b>"
        ),
        kind,
        status,
        detail: "250 queued as 4XyZ".into(),
        alert: Some(alert.clone()),
    };
    vec![
        row(7, "email", "[P0] Orders (app) 81% below expected", MessageKind::Firing, MessageStatus::Received),
        row(7, "webhook", "[P0] Orders (app) 81% below expected", MessageKind::Firing, MessageStatus::Queued),
        row(
            95,
            "email",
            "[resolved] Logins back in their band",
            MessageKind::Resolved,
            MessageStatus::Failed,
        ),
    ]
}

fn health(now: Timestamp) -> Health {
    let sampler = |name: &str, source: &str, error: &str| SamplerRow {
        name: name.into(),
        source: source.into(),
        ok: error.is_empty(),
        last_tick: Some(now.align_down(MINUTE)),
        interval_ms: 60_000,
        duration_ms: 3,
        rows: 3,
        missed: if error.is_empty() { 0 } else { 9 },
        failures: if error.is_empty() { 0 } else { 9 },
        error: error.into(),
    };
    let consumer =
        |name: &str| ConsumerRow { name: name.into(), ok: true, lag_bytes: 512, ..ConsumerRow::default() };
    Health {
        samplers: vec![
            sampler("registrations", "shop", ""),
            sampler("orders", "shop", ""),
            sampler("repayments", "risk", "no answer within 5s from http://127.0.0.1:8123/v1/repayments"),
        ],
        consumers: vec![consumer("store/embedded"), consumer("detector"), consumer("notifier")],
        channels: vec![
            ChannelRow { name: "ops/email".into(), delivered: 12, ..ChannelRow::default() },
            ChannelRow { name: "ops/webhook".into(), delivered: 9, queued: 1, ..ChannelRow::default() },
        ],
        log_bytes: 48_340_112,
        log_max_bytes: 4 << 30,
        version: "0.1.0".into(),
        config_revision: "9f86d081".into(),
        uptime_secs: 4_210,
    }
}

#[async_trait]
impl Backend for FakeBackend {
    async fn overview(&self) -> Result<Overview, BackendError> {
        self.overviews.fetch_add(1, Ordering::Relaxed);
        let full = self.behave().await?;
        let moment = self.moment();
        let now = moment.now;
        let empty = Overview {
            moment,
            short: None,
            title: Bilingual::new("Example lending", "示例信贷"),
            metrics: Vec::new(),
            alerts: Vec::new(),
            messages: Vec::new(),
            health: Health {
                version: "0.1.0".into(),
                config_revision: "9f86d081".into(),
                ..Health::default()
            },
        };
        if !full {
            return Ok(empty);
        }
        let cards = metrics().iter().map(|metric| metric.card(now, MINUTE * 120)).collect();
        Ok(Overview {
            metrics: cards,
            alerts: alerts(now),
            messages: messages(now),
            health: health(now),
            ..empty
        })
    }

    async fn series(&self, fingerprint: u64, range: TimeRange) -> Result<Option<SeriesDetail>, BackendError> {
        self.behave().await?;
        let moment = self.moment();
        let found = metrics().into_iter().find(|metric| metric.key().fingerprint() == fingerprint);
        Ok(found.map(|metric| SeriesDetail {
            card: metric.card(moment.now, range.end.since(range.start)),
            runbook_url: if metric.name == "nasty" {
                "javascript:alert(1)"
            } else {
                "https://runbooks.example/orders"
            }
            .into(),
            origin: "shop".into(),
            short: None,
            alerts: alerts(moment.now).into_iter().filter(|alert| alert.series == metric.id()).collect(),
            moment,
        }))
    }

    async fn alert(&self, id: AlertId) -> Result<Option<AlertDetail>, BackendError> {
        self.behave().await?;
        let moment = self.moment();
        let now = moment.now;
        let Some(row) = alerts(now).into_iter().find(|row| row.id == id.to_string()) else { return Ok(None) };
        let Some(metric) = metrics().into_iter().find(|metric| metric.id() == row.series) else {
            return Ok(None);
        };
        let start = row.starts_at;
        let transition = |minutes: u32, transition, score| TransitionRow {
            at: start + MINUTE * minutes,
            transition,
            severity: row.severity,
            value: Some(8.0),
            expected: Some(41.3),
            score,
        };
        let delivery = |channel: &str, status, detail: &str| DeliveryRow {
            at: Some(start + MINUTE * 2),
            receiver: "on-call".into(),
            channel: channel.into(),
            kind: MessageKind::Firing,
            status,
            attempts: 1,
            detail: detail.into(),
        };
        Ok(Some(AlertDetail {
            short: None,
            moment,
            owner: "risk team".into(),
            runbook_url: "https://runbooks.example/orders".into(),
            lower: Some(28.0),
            upper: Some(56.0),
            score: 3.41,
            reason: Arc::new(reason()),
            config_revision: 0x9f86_d081_884c_7d65,
            transitions: vec![
                transition(1, Transition::Pending, 1.4),
                transition(2, Transition::Firing, 3.41),
            ],
            deliveries: vec![
                delivery("email", MessageStatus::Sent, "250 queued as 4XyZ"),
                delivery("webhook", MessageStatus::Failed, "HTTP 500 from http://127.0.0.1:9/hook <b>"),
            ],
            points: metric.points(TimeRange { start: now - MINUTE * 90, end: now }),
            interval_ms: 60_000,
            row,
        }))
    }
}

fn reason() -> Reason {
    let numbers = |value: serde_json::Value| -> BTreeMap<Arc<str>, serde_json::Value> {
        serde_json::from_value::<BTreeMap<String, serde_json::Value>>(value)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect()
    };
    Reason {
        version: 1,
        code: ReasonCode::BelowBand,
        decided_by: Some("baseline".into()),
        expected_by: Some("baseline".into()),
        evidence: vec![
            Evidence {
                algorithm: "grey".into(),
                admitted: false,
                abstained: Some("its recent forecasts were no better than the baseline".into()),
                score: 0.0,
                direction: None,
                numbers: numbers(json!({ "a": -0.0021, "b": 40.9, "forecast": 41.9, "grade": 3 })),
            },
            Evidence {
                algorithm: "baseline".into(),
                admitted: true,
                abstained: None,
                score: 3.41,
                direction: Some(Direction::Below),
                numbers: numbers(json!({
                    "samples": [39, 44, 41, 38, 61, 42, 43], "trimmed": 41.8, "scale": 4.1, "limit": 3.3,
                    "z": -7.46, "n": 7, "scale_from": "mad"
                })),
            },
            Evidence {
                algorithm: "<i>unknown</i>".into(),
                admitted: true,
                abstained: None,
                score: 0.2,
                direction: None,
                numbers: numbers(json!({ "<u>": "<s>", "nested": { "k": [1, 2.5] }, "nothing": null })),
            },
        ],
        notes: vec!["promotion:double11".into(), "new_level?".into(), "<em>".into()],
        message: None,
    }
}

/// A showcase with every phase of an anomaly.
pub(crate) struct FakeShowcase;

impl Showcase for FakeShowcase {
    fn story(&self, now: Timestamp, alerts: &[AlertRow]) -> Story {
        let start = now.align_down(MINUTE);
        let anomaly = |en: &str, zh: &str, phase, begins: i64| {
            let starts_at = Timestamp::from_secs(start.as_secs() + begins * 60);
            let past = phase == AnomalyPhase::Past;
            Anomaly {
                title: Bilingual::new(en, zh),
                phase,
                starts_at,
                ends_at: starts_at + MINUTE * 12,
                detected_at: (phase != AnomalyPhase::Planned && begins != -60)
                    .then_some(starts_at + MINUTE * 2),
                notified: past,
                resolved_at: past.then_some(starts_at + MINUTE * 16),
                alert: (phase == AnomalyPhase::Now)
                    .then(|| alerts.first().map(|alert| alert.id.clone()))
                    .flatten(),
            }
        };
        Story {
            summary: Bilingual::new(
                "A made-up lending business runs at 60 times life; four mishaps are planted every three hours.",
                "一家虚构的信贷公司以 60 倍速运行，每三小时植入四种异常。",
            ),
            anomalies: vec![
                anomaly("Logins come four times as often", "登录量升至四倍", AnomalyPhase::Past, -100),
                anomaly("The risk API is silent", "风控接口无应答", AnomalyPhase::Past, -60),
                anomaly("Orders fall to a fifth", "订单跌至五分之一", AnomalyPhase::Now, -9),
                anomaly("The pass rate sinks slowly", "通过率缓慢下滑", AnomalyPhase::Planned, 40),
            ],
        }
    }

    fn inbox(&self) -> Vec<InboxMessage> {
        messages(Timestamp::from_secs(1_790_040_000))
    }
}
