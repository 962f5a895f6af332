//! The strip on the page: what the demo plants, when, and what Tidemark made of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::dto::{AlertRow, AlertStatus};
use console::{Anomaly, AnomalyPhase, Bilingual, InboxMessage, Showcase, Story};
use model::Timestamp;

use super::catcher::Inbox;
use super::script::{Plant, Planted, Script};

/// Steps on the strip.
const SHOWN: usize = 4;
/// Of them over, when enough are.
const SHOWN_PAST: usize = 2;
/// A sampler may ask for a window after the anomaly began, so that the window lies before it.
const SLACK: Duration = Duration::from_secs(2 * 60);
/// An alert that fires up to this long after an anomaly's end is still taken for its.
const AFTERMATH: Duration = Duration::from_secs(5 * 60);
/// Findings remembered; older ones are forgotten.
const REMEMBERED: usize = 32;

/// The demo, as the page shows it.
pub(crate) struct DemoShowcase {
    script: Script,
    speed: f64,
    inbox: Inbox,
    /// What was found of each planted anomaly; kept here, since the page's list of alerts is short.
    found: Mutex<BTreeMap<Planted, Finding>>,
}

#[derive(Clone, Debug)]
struct Finding {
    alert: String,
    detected_at: Timestamp,
    resolved_at: Option<Timestamp>,
}

impl DemoShowcase {
    /// The showcase of a demo.
    pub(crate) fn new(script: Script, speed: f64, inbox: Inbox) -> Arc<Self> {
        Arc::new(Self { script, speed, inbox, found: Mutex::default() })
    }

    fn anomaly(&self, planted: Planted, now: Timestamp, alerts: &[AlertRow]) -> Anomaly {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(finding) = finding(planted, alerts) {
            found.insert(planted, finding);
        }
        while found.len() > REMEMBERED {
            found.pop_first();
        }
        let finding = found.get(&planted).cloned();
        drop(found);
        Anomaly {
            title: title(planted.plant),
            phase: phase(planted, now),
            starts_at: planted.window.start,
            ends_at: planted.window.end,
            detected_at: finding.as_ref().map(|finding| finding.detected_at),
            notified: finding.as_ref().is_some_and(|finding| self.inbox.names(&finding.alert)),
            resolved_at: finding.as_ref().and_then(|finding| finding.resolved_at),
            alert: finding.map(|finding| finding.alert),
        }
    }
}

impl Showcase for DemoShowcase {
    fn story(&self, now: Timestamp, alerts: &[AlertRow]) -> Story {
        let plan = self.script.around(now, 1, 1);
        let next = plan.iter().position(|planted| planted.window.end > now).unwrap_or(plan.len());
        let first = next.saturating_sub(SHOWN_PAST);
        let shown = plan.into_iter().skip(first).take(SHOWN);
        let anomalies = shown.map(|planted| self.anomaly(planted, now, alerts)).collect();
        Story { summary: summary(self.speed), anomalies }
    }

    fn inbox(&self) -> Vec<InboxMessage> {
        self.inbox.all()
    }
}

fn phase(planted: Planted, now: Timestamp) -> AnomalyPhase {
    match planted.window {
        window if now < window.start => AnomalyPhase::Planned,
        window if now < window.end => AnomalyPhase::Now,
        _ => AnomalyPhase::Past,
    }
}

/// The first alert to fire on a metric of the anomaly, in its time; resolved when the last of them is.
fn finding(planted: Planted, alerts: &[AlertRow]) -> Option<Finding> {
    let (from, until) = (planted.window.start, planted.window.end + AFTERMATH);
    let of_it = |alert: &&AlertRow| {
        let its_time =
            alert.fired_at.is_some_and(|at| from <= at && at < until) && alert.starts_at >= from - SLACK;
        its_time && planted.plant.metrics().contains(&alert.metric.as_str())
    };
    let mine: Vec<&AlertRow> = alerts.iter().filter(of_it).collect();
    let first = mine.iter().min_by_key(|alert| alert.fired_at)?;
    let all_over = mine.iter().all(|alert| alert.status == AlertStatus::Resolved);
    Some(Finding {
        alert: first.id.clone(),
        detected_at: first.fired_at?,
        resolved_at: if all_over { mine.iter().filter_map(|alert| alert.ended_at).max() } else { None },
    })
}

fn title(plant: Plant) -> Bilingual {
    match plant {
        Plant::OrdersDrop => Bilingual::new("Orders fall to a fifth", "订单跌至五分之一"),
        Plant::LoginsSpike => Bilingual::new("Logins come four times as often", "登录量升至四倍"),
        Plant::ApiSilence => Bilingual::new("The risk API falls silent", "风控接口失去应答"),
        Plant::PassRateDrift => Bilingual::new("The pass rate sinks slowly", "通过率缓慢下滑"),
    }
}

fn summary(speed: f64) -> Bilingual {
    if speed == 1.0 {
        return Bilingual::new(
            "A made-up lending business in real time. Four mishaps come about every three hours; Tidemark is not told of them.",
            "一家虚构信贷公司的实时运行。约每三小时植入四种异常，Tidemark 事先并不知情。",
        );
    }
    Bilingual::new(
        format!(
            "A made-up lending business at {speed} times life. Four mishaps come about every three hours of its \
             time; Tidemark is not told of them."
        ),
        format!(
            "一家虚构的信贷公司，以 {speed} 倍速运行。约每三小时（业务时间）植入四种异常，Tidemark 事先并不知情。"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ManualClock, ReasonCode, Severity};

    const START: Timestamp = Timestamp::from_secs(1_790_040_600);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(START.as_secs() + minute * 60)
    }

    fn alert(metric: &str, from: i64, until: Option<i64>) -> AlertRow {
        AlertRow {
            id: "9f86d081884c7d65-2oxk1c".into(),
            series: String::new(),
            metric: metric.into(),
            title: metric.into(),
            unit: String::new(),
            labels: BTreeMap::new(),
            severity: Severity::P0,
            status: if until.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
            starts_at: at(from),
            fired_at: Some(at(from + 1)),
            ended_at: until.map(at),
            code: ReasonCode::BelowBand,
            sentence: Bilingual::default(),
            value: None,
            expected: None,
            deviation_pct: None,
            suppressed_by: None,
            acknowledged: None,
        }
    }

    fn showcase() -> (Arc<DemoShowcase>, Inbox) {
        let inbox = Inbox::new(Arc::new(ManualClock::new(START)));
        (DemoShowcase::new(Script::new(START), 60.0, inbox.clone()), inbox)
    }

    #[test]
    fn the_strip_shows_what_is_planned_found_told_and_over() {
        let (showcase, inbox) = showcase();
        let steps = showcase.story(at(0), &[]).anomalies;
        assert_eq!(steps.len(), SHOWN);
        assert!(steps.iter().all(|step| step.phase == AnomalyPhase::Planned && step.detected_at.is_none()));

        let step = showcase.story(at(11), &[alert("orders", 8, None)]).anomalies.remove(0);
        assert_eq!((step.phase, step.detected_at, step.notified), (AnomalyPhase::Now, Some(at(9)), false));

        let body = "http://h/alerts/9f86d081884c7d65-2oxk1c".to_owned();
        inbox.put(super::super::catcher::Caught { body, ..Default::default() });
        let step = showcase.story(at(30), &[alert("orders", 8, Some(25))]).anomalies.remove(0);
        assert_eq!((step.phase, step.notified, step.resolved_at), (AnomalyPhase::Past, true, Some(at(25))));

        // Remembered, though the list of alerts no longer holds it.
        let step = showcase.story(at(31), &[]).anomalies.remove(0);
        assert_eq!(step.detected_at, Some(at(9)));
    }

    #[test]
    fn other_alerts_are_not_taken_for_the_planted_one() {
        let (showcase, _) = showcase();
        let late = AlertRow { fired_at: Some(at(60)), ..alert("orders", 8, None) };
        let alerts = [late, alert("logins", 9, None), alert("orders", -30, None), alert("orders", 60, None)];
        assert_eq!(showcase.story(at(70), &alerts).anomalies[0].detected_at, None);
    }
}
