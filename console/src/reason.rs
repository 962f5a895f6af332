//! The reason of an alert in words: what each algorithm found, with the numbers that made it.
//!
//! Nothing is computed here: names of algorithms, numbers and notes (the detector documents them) become words, and a
//! name that has none yet is shown as it is.

use model::{Direction, Evidence, Language, Reason, ReasonCode};
use serde::Serialize;
use serde_json::Value;

use crate::format;
use crate::i18n::Speaks;

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
    evidence
        .sort_by(|a, b| rank(reason, b).partial_cmp(&rank(reason, a)).unwrap_or(std::cmp::Ordering::Equal));
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
    let mean = evidence.numbers.get("trimmed").and_then(Value::as_f64);
    let numbers = evidence.numbers.iter().filter(|(name, _)| !(&***name == "samples" && samples.is_some()));
    EvidenceView {
        title: worded("algorithm", &evidence.algorithm, style.language),
        words: evidence_words(evidence, style),
        admitted: evidence.admitted,
        decided: reason.decided_by.as_ref() == Some(&evidence.algorithm),
        supplies: reason.expected_by.as_ref() == Some(&evidence.algorithm),
        score: format::plain((evidence.score * 100.0).round() / 100.0),
        meter: evidence.score.clamp(0.0, METER_MAX),
        samples: samples.map(|all| sample_views(all, mean, style)).unwrap_or_default(),
        numbers: numbers.map(|(name, value)| number_view(name, value, style)).collect(),
    }
}

/// The samples, those left out marked: as many extremes at each end as make the rest's mean the one that was used.
fn sample_views(samples: &[Value], mean: Option<f64>, style: Style<'_>) -> Vec<SampleView> {
    let values: Vec<f64> = samples.iter().filter_map(Value::as_f64).collect();
    let whole = values.len() == samples.len();
    let left_out = mean.filter(|_| whole).and_then(|mean| left_out(&values, mean)).unwrap_or_default();
    let view =
        |(at, sample)| SampleView { text: shown("samples", sample, style), trimmed: left_out.contains(&at) };
    samples.iter().enumerate().map(view).collect()
}

/// Indices of the extremes without which the mean is `mean`; `None` when no number of them makes it so.
fn left_out(values: &[f64], mean: f64) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let close = |kept: &[usize]| {
        let sum: f64 = kept.iter().map(|at| values[*at]).sum();
        (sum / kept.len() as f64 - mean).abs() <= mean.abs().max(1e-9) * 1e-4
    };
    let most = values.len().saturating_sub(1) / 2;
    let trim = (0..=most).find(|trim| close(&order[*trim..order.len() - trim]))?;
    Some(order[..trim].iter().chain(&order[order.len() - trim..]).copied().collect())
}

fn number_view(name: &str, value: &Value, style: Style<'_>) -> NumberView {
    NumberView { label: worded("number", name, style.language), text: shown(name, value, style) }
}

/// Numbers that are of the metric's own kind and carry its unit.
const IN_UNIT: [&str; 8] = ["samples", "trimmed", "expected", "lower", "upper", "value", "above", "below"];

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
        let why = abstained_words(why, style.language);
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

/// Why an algorithm did not take part: the detector says it in English; a sentence we know has a key made of it.
fn abstained_words(why: &str, language: Language) -> String {
    let mut key = String::from("abstained");
    let parts = why.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    for part in parts {
        key.push('_');
        key.push_str(if is_number(part) { "n" } else { part });
    }
    let number = why.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty()).unwrap_or_default();
    match language.text(&key) {
        text if text == key => why.to_owned(),
        text => text.replace("{n}", number),
    }
}

/// A note such as `promotion:double11` in words.
fn note_words(note: &str, language: Language) -> String {
    code_words("note", note, language)
}

/// Why nobody is told, such as `no_channel:night`, in words.
pub(crate) fn suppression_words(reason: &str, language: Language) -> String {
    code_words("untold", reason, language)
}

/// A code in words; what follows its colon stays as it is.
fn code_words(kind: &str, code: &str, language: Language) -> String {
    let (code, rest) = code.split_once(':').map_or((code, None), |(code, rest)| (code, Some(rest)));
    let words = worded(kind, code.trim_end_matches('?'), language);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_that_were_left_out_are_found() {
        let seven = [38.0, 44.0, 43.0, 45.0, 52.0, 38.0, 37.0];
        let mut found = left_out(&seven, 41.6).unwrap();
        found.sort_unstable();
        assert_eq!(found, [4, 6]);
        assert_eq!(left_out(&seven, 297.0 / 7.0), Some(vec![]));
        assert_eq!(left_out(&seven, 44.9), None);
        assert_eq!(left_out(&[], 1.0), None);
    }

    #[test]
    fn what_the_detector_says_of_itself_is_said_in_chinese_too() {
        let table = [
            ("fewer than 3 earlier days at this time of day", "此时刻的历史样本不足 3 天"),
            ("not a small count, or too few earlier days", "不是小数量，或历史样本不足"),
            ("counts below 30 are judged by `count`", "低于 30 的数量由小数量模型判断"),
            ("something new", "something new"),
        ];
        for (why, expected) in table {
            assert_eq!(abstained_words(why, Language::Zh), expected);
        }
        assert_eq!(
            note_words("promotion:flash-sale", Language::En),
            "A promotion is on; the band is wider: flash-sale"
        );
        assert_eq!(note_words("new_level?", Language::Zh), "已持续较久，是否为新的正常水平？");
        assert_eq!(note_words("unheard_of", Language::Zh), "unheard_of");
    }
}
