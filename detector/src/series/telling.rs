//! What a judge says: verdicts, transitions and the reasons they carry.

use std::sync::Arc;

use model::{
    AlertId, AlertTransition, Labels, Origin, Reason, ReasonCode, SeriesKey, Severity, Verdict, VerdictState,
    Window,
};

use super::scene::Scene;
use super::{Judged, NO_DATA_SEVERITY, SeriesJudge};
use crate::alert_state::Change;
use crate::algorithm::{Observation, Observed};
use crate::evaluator::{Evaluation, Found};
use crate::settings::Settings;

impl SeriesJudge {
    /// The alert as it stands, told as the transition that would bring a newcomer up to date; `None` when nothing is
    /// pending or fires.
    pub fn standing(&self) -> Option<AlertTransition> {
        let change = self.memory.alert.standing()?;
        let start = self.memory.newest.unwrap_or(change.starts_at);
        let window = Window::new(start, self.interval().unwrap_or_default());
        let observation = Observation { window, origin: Origin::Live, revision: 0, value: Observed::Absent };
        let reason = Reason { version: 1, code: ReasonCode::NoData, ..Reason::default() };
        Some(self.transition(&self.blank(&observation, reason), change))
    }

    /// Ends whatever is pending or fires, because the series is judged no more; `None` when nothing is. `revision` is
    /// that of the verdict, `note` says why where people should be told.
    pub fn retire(
        &mut self,
        window: Window,
        origin: Origin,
        revision: u32,
        note: Option<&str>,
    ) -> Option<Judged> {
        let change = self.memory.alert.end()?;
        let observation = Observation { window, origin, revision, value: Observed::Absent };
        let notes = note.map(str::to_owned).into_iter().collect();
        let reason = Reason { version: 1, code: ReasonCode::NoData, notes, ..Reason::default() };
        let verdict = self.blank(&observation, reason);
        let transitions = vec![self.transition(&verdict, change)];
        Some(Judged { verdict, transitions })
    }

    /// The severity of a score.
    pub(super) fn severity(&self, score: f64) -> Severity {
        let layers = self.settings.layers;
        self.settings.severity.unwrap_or(match score {
            s if s >= layers.p0 => Severity::P0,
            s if s >= layers.p1 => Severity::P1,
            _ => Severity::P2,
        })
    }

    /// The verdict of an observation, and the transition it led to.
    pub(super) fn verdict(
        &self,
        scene: &Scene,
        observation: &Observation,
        evaluation: &Evaluation,
        found: Vec<Found>,
        change: Option<Change>,
        (do_not_learn, late): (bool, bool),
    ) -> Judged {
        let has_value = observation.number().is_some();
        let firing = !late && self.memory.alert.firing_windows().is_some();
        let told = self.explain || change.is_some() || firing || evaluation.score >= 0.8;
        let mut reason = if told {
            let found =
                if self.explain { found } else { self.judge(scene, observation, do_not_learn, late, true) };
            evaluation.reason(found, has_value)
        } else {
            evaluation.brief(&found, has_value)
        };
        self.annotate(&mut reason, scene, observation.window, firing, late);
        let verdict = Verdict {
            state: state_of(has_value, firing, evaluation),
            value: evaluation.value,
            expected: evaluation.expected,
            lower: evaluation.lower,
            upper: evaluation.upper,
            forecast: evaluation.forecast,
            prev_week: self.memory.history.seen(scene.place.day - 7, scene.place.phase).map(f64::from),
            deviation_pct: evaluation.deviation_pct,
            score: evaluation.score,
            severity: change.map_or_else(|| self.severity_now(has_value, evaluation.score), |c| c.severity),
            ..self.blank(observation, reason)
        };
        let mut transitions = Vec::new();
        if let Some(change) = change {
            let newest = self.memory.newest.filter(|_| late).unwrap_or(verdict.window.start);
            let window = Window::new(newest, verdict.window.length());
            transitions.push(AlertTransition { window, ..self.transition(&verdict, change) });
        }
        Judged { verdict, transitions }
    }

    fn severity_now(&self, has_value: bool, score: f64) -> Severity {
        if has_value { self.severity(score) } else { self.settings.severity.unwrap_or(NO_DATA_SEVERITY) }
    }

    fn annotate(&self, reason: &mut Reason, scene: &Scene, window: Window, firing: bool, late: bool) {
        let mark = &scene.mark;
        reason.notes.extend(mark.promotion.as_ref().map(|p| format!("promotion:{}", p.name)));
        reason.notes.extend(mark.excluded.as_ref().map(|name| format!("excluded:{name}")));
        if firing && !self.frozen(window) {
            reason.notes.push("new_level?".into());
        }
        if late {
            reason.notes.push("late".into());
        }
    }

    /// A verdict of a window of which nothing is known.
    fn blank(&self, observation: &Observation, reason: Reason) -> Verdict {
        Verdict {
            series: self.series.clone(),
            window: observation.window,
            revision: observation.revision,
            origin: observation.origin,
            state: VerdictState::Missing,
            value: None,
            expected: None,
            lower: None,
            upper: None,
            forecast: None,
            prev_week: None,
            deviation_pct: None,
            score: 0.0,
            severity: self.severity(0.0),
            reason,
            config_revision: self.settings.config_revision,
        }
    }

    fn transition(&self, verdict: &Verdict, change: Change) -> AlertTransition {
        let mut reason = verdict.reason.clone();
        if change.never_fired {
            reason.notes.push("never_fired".into());
        }
        let fingerprint = SeriesKey::new(self.series.metric.clone(), self.labels.clone()).fingerprint();
        AlertTransition {
            id: AlertId { fingerprint, starts_at: change.starts_at },
            series: self.series.clone(),
            labels: self.labels.clone(),
            transition: change.transition,
            severity: change.severity,
            window: verdict.window,
            origin: verdict.origin,
            value: verdict.value,
            expected: verdict.expected,
            lower: verdict.lower,
            upper: verdict.upper,
            deviation_pct: verdict.deviation_pct,
            score: verdict.score,
            info: self.settings.info.clone(),
            reason: Arc::new(reason),
            config_revision: verdict.config_revision,
        }
    }
}

fn state_of(has_value: bool, firing: bool, evaluation: &Evaluation) -> VerdictState {
    match (has_value, firing) {
        (false, _) => VerdictState::Missing,
        (true, true) => VerdictState::Firing,
        (true, false) if !evaluation.can_judge => VerdictState::Learning,
        (true, false) if evaluation.score >= 1.0 => VerdictState::Outside,
        (true, false) => VerdictState::Normal,
    }
}

/// The label set matchers see: `alertname` (the metric's name), `metric`, the series' labels, `owner` when set.
pub(super) fn alert_labels(series: &SeriesKey, settings: &Settings) -> Labels {
    let metric = series.metric.clone();
    let own =
        [("alertname", metric.clone()), ("metric", metric), ("owner", settings.info.owner.as_str().into())];
    series.labels.with(own)
}
