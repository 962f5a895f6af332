//! From what the algorithms found to one score, one band, one reason.
//!
//! The score is the largest of the admitted ones after the metric's own conditions (`direction`, `min_deviation_pct`,
//! `min_value`), each of which sets a finding below 1. The first admitted finding that expects a value gives the
//! verdict its expectation and band. The reason names the largest finding, but a drift only where nothing else is outside.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use model::{Direction, Evidence, Reason, ReasonCode, Severity};

use crate::algorithm::Finding;
use crate::algorithms::{self, ALGORITHMS, Compares, Limit, Registered};
use crate::settings::Settings;

/// A finding with every number finite: what is not is left out, whatever an algorithm made of strange values.
pub fn finite(mut finding: Finding) -> Finding {
    for number in [&mut finding.value, &mut finding.expected, &mut finding.lower, &mut finding.upper] {
        *number = number.filter(|n| n.is_finite());
    }
    if let (Some(lower), Some(upper)) = (finding.lower, finding.upper)
        && lower > upper
    {
        (finding.lower, finding.upper) = (Some(upper), Some(lower));
    }
    finding.score = algorithms::bounded(finding.score);
    finding
}

/// What a forbidden finding's score is lowered to.
const BELOW_LIMIT: f64 = 0.99;

/// A finding and who made it.
#[derive(Debug)]
pub struct Found {
    /// The algorithm.
    pub by: &'static Registered,
    /// What it found.
    pub finding: Finding,
}

impl Found {
    fn admitted(&self) -> bool {
        self.finding.abstained.is_none()
    }
}

/// The judgement before it meets the alert's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Largest admitted score after the metric's conditions; 0 when nobody can judge or there is no value.
    pub score: f64,
    /// The same over the findings an alert may rest on alone.
    pub paging_score: f64,
    /// Whether some admitted algorithm can judge.
    pub can_judge: bool,
    /// The value judged: the sample's, or per interval that of a widened window.
    pub value: Option<f64>,
    /// Expected value and band.
    pub expected: Option<f64>,
    /// Lower end.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// What the algorithm that forecasts expects, admitted or not.
    pub forecast: Option<f64>,
    /// `100 (value - expected) / |expected|`.
    pub deviation_pct: Option<f64>,
    decided: Option<usize>,
    expected_from: Option<usize>,
    held_back: Vec<&'static str>,
}

/// Combines findings for a value (`None`: missing); `firing`: the severity the series' alert fires with.
pub fn evaluate(
    found: &[Found],
    value: Option<f64>,
    settings: &Settings,
    firing: Option<Severity>,
) -> Evaluation {
    let expected_from = found.iter().position(|f| f.admitted() && f.finding.expected.is_some());
    let mut result = Evaluation { expected_from, ..Evaluation::default() };
    if let Some(from) = result.expected_from {
        let finding = &found[from].finding;
        (result.expected, result.lower, result.upper) = (finding.expected, finding.lower, finding.upper);
    }
    result.forecast = found.iter().find(|f| f.by.forecasts).and_then(|f| f.finding.expected);
    result.can_judge = found.iter().any(Found::admitted);
    let Some(value) = value else { return result };
    let widened = result.expected_from.and_then(|from| found[from].finding.value);
    let value = widened.unwrap_or(value);
    result.value = Some(value);
    result.deviation_pct = result.expected.and_then(|expected| deviation_pct(value, expected));
    let news_from = news_from(settings, firing);
    let accompanied = found.iter().any(|f| f.by.compares == Compares::LastRows && f.admitted());
    let mut decided: Option<(usize, (bool, f64))> = None;
    for (i, each) in found.iter().enumerate().filter(|(_, f)| f.admitted()) {
        let held = held_back(each, value, &result, settings);
        let held = held.or_else(|| unripe(each, news_from).filter(|_| accompanied));
        let score = algorithms::bounded(each.finding.score);
        let score = if held.is_some() { score.min(BELOW_LIMIT) } else { score };
        if let Some(note) = held.filter(|note| each.finding.score >= 1.0 && !result.held_back.contains(note))
        {
            result.held_back.push(note);
        }
        if !each.finding.silent {
            result.paging_score = result.paging_score.max(score);
        }
        result.score = result.score.max(score);
        let weight = (decides(each, score), score);
        if decided.is_none_or(|(_, most)| weight > most) {
            decided = Some((i, weight));
        }
    }
    result.decided = decided.map(|(i, _)| i);
    result
}

/// A drift is what it is called only where no single value is outside: a sudden drop makes a large sum too.
fn decides(each: &Found, score: f64) -> bool {
    score >= 1.0 && each.by.limit != Limit::Drift
}

/// The score from which a finding is news: the next severity while an alert fires, anything while none does.
fn news_from(settings: &Settings, firing: Option<Severity>) -> f64 {
    match (firing, settings.severity) {
        (None, _) => 0.0,
        (Some(Severity::P2), None) => settings.layers.p1,
        (Some(Severity::P1), None) => settings.layers.p0,
        (Some(_), _) => f64::INFINITY,
    }
}

/// Why an algorithm that compares with the usual day does not make this row abnormal by itself, while one that
/// compares with the last rows judges too: its limit is not earned yet, or it would only repeat of every row of a long
/// incident what the alert says already (a score of [`BELOW_LIMIT`] keeps the alert firing).
fn unripe(each: &Found, news_from: f64) -> Option<&'static str> {
    match each.by.compares {
        Compares::UsualDay if each.finding.score < news_from => Some("alert_holds"),
        Compares::UsualDay if each.finding.extrapolated => Some("limit_not_earned"),
        _ => None,
    }
}

fn deviation_pct(value: f64, expected: f64) -> Option<f64> {
    let pct = 100.0 * (value - expected) / expected.abs();
    (expected != 0.0 && pct.is_finite()).then_some(pct)
}

/// The condition of the metric that forbids a finding to be outside.
fn held_back(each: &Found, value: f64, result: &Evaluation, settings: &Settings) -> Option<&'static str> {
    if each.by.limit == Limit::Written {
        return None;
    }
    if !algorithms::counts(settings.direction, each.finding.direction) {
        return Some("other_direction");
    }
    if result.deviation_pct.is_some_and(|pct| pct.abs() < settings.min_deviation_pct) {
        return Some("below_min_deviation");
    }
    let small = |least: f64| value < least && result.expected.is_none_or(|expected| expected < least);
    settings.min_value.is_some_and(small).then_some("below_min_value")
}

impl Evaluation {
    /// What the reason says, in one word.
    pub fn code(&self, found: &[Found], has_value: bool) -> ReasonCode {
        let decided = self.decided.map(|i| &found[i]).filter(|_| self.score >= 1.0);
        let Some(decided) = decided else {
            return match (has_value, self.can_judge) {
                (false, _) => ReasonCode::NoData,
                (true, false) => ReasonCode::Learning,
                (true, true) => ReasonCode::Normal,
            };
        };
        match (decided.by.limit, decided.finding.direction) {
            (Limit::Written, Some(Direction::Below)) => ReasonCode::BelowThreshold,
            (Limit::Written, _) => ReasonCode::AboveThreshold,
            (Limit::Drift, Some(Direction::Below)) => ReasonCode::DriftDown,
            (Limit::Drift, _) => ReasonCode::DriftUp,
            (Limit::Band, Some(Direction::Below)) => ReasonCode::BelowBand,
            (Limit::Band, _) => ReasonCode::AboveBand,
        }
    }

    /// The short reason: what it says and who decided, without evidence.
    pub fn brief(&self, found: &[Found], has_value: bool) -> Reason {
        let decided = self.decided.filter(|_| self.score > 0.0);
        Reason {
            version: 1,
            code: self.code(found, has_value),
            decided_by: decided.map(|i| interned(found[i].by.name)),
            expected_by: self.expected_from.map(|i| interned(found[i].by.name)),
            ..Reason::default()
        }
    }

    /// The whole reason, with what each algorithm found. Takes the findings' numbers and notes.
    pub fn reason(&self, found: Vec<Found>, has_value: bool) -> Reason {
        let mut reason = self.brief(&found, has_value);
        reason.notes.extend(self.held_back.iter().map(|note| (*note).to_owned()));
        for Found { by, finding } in found {
            for note in finding.notes {
                if !reason.notes.contains(&note) {
                    reason.notes.push(note);
                }
            }
            reason.evidence.push(Evidence {
                algorithm: interned(by.name),
                admitted: finding.abstained.is_none(),
                abstained: finding.abstained.map(Cow::into_owned),
                score: algorithms::bounded(finding.score),
                direction: finding.direction,
                numbers: finding.numbers,
            });
        }
        reason
    }
}

/// The shared text of a registered name: verdicts are many, names few.
fn interned(name: &'static str) -> Arc<str> {
    static NAMES: LazyLock<Vec<Arc<str>>> =
        LazyLock::new(|| ALGORITHMS.iter().map(|entry| entry.name.into()).collect());
    NAMES.iter().find(|have| ***have == *name).cloned().unwrap_or_else(|| name.into())
}
