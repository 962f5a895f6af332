//! The reason of an alert in words: what each algorithm found, with the numbers that made it.
//!
//! Nothing is computed here: names of algorithms, numbers and notes (the detector documents them) become words, and a
//! name that has none yet is shown as it is.

use model::{Direction, Evidence, Reason, ReasonCode};
use serde::Serialize;
use serde_json::Value;

use crate::format;
use crate::i18n::Language;

/// A reason, ready for the page.
#[derive(Debug, Serialize)]
pub(crate) struct ReasonView {
    /// The gist in a sentence.
    lead: String,
    /// What the source said, when there is no data.
    message: Option<String>,
    notes: Vec<String>,
    evidence: Vec<EvidenceView>,
}

#[derive(Debug, Serialize)]
struct EvidenceView {
    title: String,
    words: String,
    admitted: bool,
    decided: bool,
    supplies: bool,
    score: String,
    /// The score, cut to what the meter can show.
    meter: f64,
    samples: Vec<SampleView>,
    numbers: Vec<NumberView>,
}

#[derive(Debug, Serialize)]
struct SampleView {
    text: String,
    trimmed: bool,
}

#[derive(Debug, Serialize)]
struct NumberView {
    label: String,
    text: String,
}

/// What stands behind numbers: their unit and the language they are read in.
#[derive(Clone, Copy)]
struct Style<'a> {
    language: Language,
    unit: &'a str,
}

/// The meter ends at three times the limit.
const METER_MAX: f64 = 3.0;

/// Turns a reason into words.
pub(crate) fn view(reason: &Reason, unit: &str, language: Language) -> ReasonView {
    let style = Style { language, unit };
    let mut evidence: Vec<&Evidence> = reason.evidence.iter().collect();
    // What decided first, then what took part, then the rest; each by score.
    evidence.sort_by(|a, b| rank(reason, b).partial_cmp(&rank(reason, a)).unwrap_or(std::cmp::Ordering::Equal));
    ReasonView {
        lead: language.text(lead_key(reason.code)).to_owned(),
        message: reason.message.clone(),
        notes: reason.notes.iter().map(|note| note_words(note, language)).collect(),
        evidence: evidence.into_iter().map(|one| evidence_view(reason, one, style)).collect(),
    }
}

fn rank(reason: &Reason, evidence: &Evidence) -> (bool, bool, f64) {
    (reason.decided_by.as_ref() == Some(&evidence.algorithm), evidence.admitted, evidence.score)
}

const fn lead_key(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Normal => "lead_normal",
        ReasonCode::Learning => "lead_learning",
        ReasonCode::NoData => "lead_no_data",
        ReasonCode::AboveBand => "lead_above_band",
        ReasonCode::BelowBand => "lead_below_band",
        ReasonCode::AboveThreshold => "lead_above_threshold",
        ReasonCode::BelowThreshold => "lead_below_threshold",
        ReasonCode::DriftUp => "lead_drift_up",
        ReasonCode::DriftDown => "lead_drift_down",
    }
}

fn evidence_view(reason: &Reason, evidence: &Evidence, style: Style<'_>) -> EvidenceView {
    let samples = evidence.numbers.get("samples").and_then(Value::as_array);
    let trimmed = evidence.numbers.get("trimmed").and_then(Value::as_array);
    let numbers = evidence.numbers.iter().filter(|(name, value)| {
        !(value.is_array() && matches!(&***name, "samples" | "trimmed") && samples.is_some())
    });
    EvidenceView {
        title: worded("algorithm", &evidence.algorithm, style.language),
        words: evidence_words(evidence, style),
        admitted: evidence.admitted,
        decided: reason.decided_by.as_ref() == Some(&evidence.algorithm),
        supplies: reason.expected_by.as_ref() == Some(&evidence.algorithm),
        score: format::plain((evidence.score * 100.0).round() / 100.0),
        meter: evidence.score.clamp(0.0, METER_MAX),
        samples: samples.map(|all| sample_views(all, trimmed, style)).unwrap_or_default(),
        numbers: numbers.map(|(name, value)| number_view(name, value, style)).collect(),
    }
}

/// The samples, those left out marked. A trimmed value is marked once for each time it is listed.
fn sample_views(samples: &[Value], trimmed: Option<&Vec<Value>>, style: Style<'_>) -> Vec<SampleView> {
    let mut left_out: Vec<&Value> = trimmed.into_iter().flatten().collect();
    let view = |sample: &Value| {
        let at = left_out.iter().position(|one| *one == sample);
        let trimmed = at.map(|at| left_out.swap_remove(at)).is_some();
        SampleView { text: shown("samples", sample, style), trimmed }
    };
    samples.iter().map(view).collect()
}

fn number_view(name: &str, value: &Value, style: Style<'_>) -> NumberView {
    NumberView { label: worded("number", name, style.language), text: shown(name, value, style) }
}

/// Numbers that are of the metric's own kind and carry its unit.
const IN_UNIT: [&str; 12] = [
    "samples", "trimmed", "expected", "lower", "upper", "median", "mean", "baseline", "value", "forecast", "above", "below",
];

fn shown(name: &str, value: &Value, style: Style<'_>) -> String {
    let unit = if IN_UNIT.contains(&name) { style.unit } else { "" };
    match value {
        Value::Null => format::NONE.into(),
        Value::Bool(true) => style.language.text("yes").into(),
        Value::Bool(false) => style.language.text("no").into(),
        Value::Number(number) => format::number(number.as_f64(), unit),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(|one| shown(name, one, style)).collect::<Vec<_>>().join(", "),
        Value::Object(all) => {
            let pair = |(key, value): (&String, &Value)| format!("{key} {}", shown(key, value, style));
            all.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
    }
}

fn evidence_words(evidence: &Evidence, style: Style<'_>) -> String {
    if let Some(why) = &evidence.abstained {
        let why = worded("abstained", why, style.language);
        return style.language.text("abstained_because").replace("{why}", &why);
    }
    let key = match (evidence.score >= 1.0, evidence.direction) {
        (true, Some(Direction::Above)) => "found_above",
        (true, Some(Direction::Below)) => "found_below",
        (true, None) => "found_outside",
        (false, _) => "found_inside",
    };
    let about = worded("about", &evidence.algorithm, style.language);
    let found = style.language.text(key);
    if about == *evidence.algorithm { found.to_owned() } else { format!("{about} {found}") }
}

/// A note such as `promotion:double11` in words; what follows the colon stays as it is.
fn note_words(note: &str, language: Language) -> String {
    let (code, rest) = note.split_once(':').map_or((note, None), |(code, rest)| (code, Some(rest)));
    let words = worded("note", code.trim_end_matches('?'), language);
    match rest {
        Some(rest) => format!("{words}: {rest}"),
        None => words,
    }
}

/// The text of `kind_name`; the bare name when there is none.
fn worded(kind: &str, name: &str, language: Language) -> String {
    let key = format!("{kind}_{name}");
    match language.text(&key) {
        text if text == key => name.to_owned(),
        text => text.to_owned(),
    }
}
