//! What happened to an alert, and why it was judged so: one sentence each, in words.

use std::sync::OnceLock;

use chrono_tz::Tz;
use minijinja::{Environment, Value, context};
use model::{AlertTransition, Labels, ReasonCode, Timestamp};

use super::{NoteStatus, numbers};
use crate::Language;
use crate::view::Sentences;

/// What a sentence is made of.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The transition that made it fire, or the last one when it never did.
    pub fired: &'a AlertTransition,
    /// The last transition: of a resolved alert the one that resolved it.
    pub last: &'a AlertTransition,
    /// Whether it fires.
    pub status: NoteStatus,
    /// From when it is read: times of another day carry their date.
    pub seen_from: Timestamp,
    /// Zone of its times.
    pub zone: Tz,
}

impl Told<'_> {
    /// The whole in one line.
    pub fn sentence(&self, language: Language) -> String {
        self.render("sentence", language, false)
    }

    /// The same without times and bands, for subjects.
    pub fn headline(&self, language: Language) -> String {
        self.render("sentence", language, true)
    }

    /// Why it was judged so.
    pub fn why(&self, language: Language) -> String {
        self.render("why", language, false)
    }

    fn render(&self, template: &str, language: Language, short: bool) -> String {
        let name = format!("{template}.{}.txt", language.as_str());
        let rendered =
            environment().get_template(&name).and_then(|t| t.render(self.context(language, short)));
        rendered.unwrap_or_else(|error| {
            // The templates are part of the program and tested; an alert is told whatever happens to them.
            tracing::error!(template = name, %error, "cannot write a sentence");
            display_name(self.fired, language)
        })
    }

    fn context(&self, language: Language, short: bool) -> Value {
        let (fired, last) = (self.fired, self.last);
        let numbers_of = if self.status == NoteStatus::Resolved { last } else { fired };
        let unit = fired.info.unit.as_str();
        let show = |value: Option<f64>| value.map(|v| numbers::value(v, unit));
        let time = |at| numbers::time_of_day(at, self.seen_from, self.zone, language);
        context! {
            short,
            resolved => self.status == NoteStatus::Resolved,
            name => display_name(fired, language),
            code => code_name(fired.reason.code),
            value => show(numbers_of.value),
            expected => show(numbers_of.expected),
            lower => show(numbers_of.lower),
            upper => show(numbers_of.upper),
            deviation => fired.deviation_pct.map(numbers::percent),
            since => time(fired.id.starts_at),
            until => time(last.window.end),
            lasted => numbers::duration(last.window.end.since(fired.id.starts_at), language),
            message => fired.reason.message.as_deref(),
            score => numbers::number((fired.score * 10.0).round() / 10.0),
            decided_by => fired.reason.decided_by.as_deref(),
            samples => evidence_number(fired, "samples").map(numbers::number),
            contrary => is_contrary(fired),
            notes => notes(fired),
            limit => show(limit(fired)),
            collection => has_note(fired, COLLECTION_SILENT),
            ended_by => ["series_gone", "reconfigured"].into_iter().find(|note| has_note(last, note)),
        }
    }
}

/// A sentence in every language.
pub fn in_every_language(write: impl Fn(Language) -> String) -> Sentences {
    Sentences { en: write(Language::En), zh: write(Language::Zh) }
}

/// Title (or name) and labels: `Orders per minute (channel=app)`.
pub fn display_name(transition: &AlertTransition, language: Language) -> String {
    let title = title(transition);
    let labels = label_list(&transition.series.labels);
    match (labels.is_empty(), language) {
        (true, _) => title.to_owned(),
        (false, Language::En) => format!("{title} ({labels})"),
        (false, Language::Zh) => format!("{title}（{labels}）"),
    }
}

/// The metric's title, or its name.
pub fn title(transition: &AlertTransition) -> &str {
    let title = transition.info.title.as_str();
    if title.is_empty() { &transition.series.metric } else { title }
}

/// `channel=app, city=shanghai`.
pub fn label_list(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

fn evidence_number(transition: &AlertTransition, name: &str) -> Option<f64> {
    let reason = &transition.reason;
    let by = reason.decided_by.as_deref()?;
    reason.evidence.iter().find(|e| *e.algorithm == *by)?.numbers.get(name)?.as_f64()
}

/// The fixed limit that was passed: as the threshold names it, else the end of the band on that side.
fn limit(transition: &AlertTransition) -> Option<f64> {
    match transition.reason.code {
        ReasonCode::AboveThreshold => evidence_number(transition, "above").or(transition.upper),
        ReasonCode::BelowThreshold => evidence_number(transition, "below").or(transition.lower),
        _ => None,
    }
}

/// Whether the last value lies on the other side than the drift that was found.
fn is_contrary(transition: &AlertTransition) -> bool {
    let deviation = transition.deviation_pct.unwrap_or_default();
    match transition.reason.code {
        ReasonCode::DriftDown => deviation > 0.0,
        ReasonCode::DriftUp => deviation < 0.0,
        _ => false,
    }
}

fn has_note(transition: &AlertTransition, note: &str) -> bool {
    transition.reason.notes.iter().any(|have| have == note)
}

/// Notes that say nothing to people.
const SILENT_NOTES: [&str; 7] = [
    "grey_in",
    "never_fired",
    "reconfigured",
    "series_gone",
    "alert_holds",
    "limit_not_earned",
    COLLECTION_SILENT,
];

/// The note of the alert that nothing is collected any more.
const COLLECTION_SILENT: &str = "collection_silent";

/// Notes as kind and detail: `promotion:double11` -> (`promotion`, `double11`).
fn notes(transition: &AlertTransition) -> Vec<Value> {
    let split = |note: &String| match note.split_once(':') {
        Some((kind, detail)) => context! { kind, detail, text => note },
        None => context! { kind => note.as_str(), detail => "", text => note },
    };
    transition.reason.notes.iter().filter(|note| !SILENT_NOTES.contains(&note.as_str())).map(split).collect()
}

/// Name of a reason's code, as the templates compare it.
pub fn code_name(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Normal => "normal",
        ReasonCode::Learning => "learning",
        ReasonCode::NoData => "no_data",
        ReasonCode::AboveBand => "above_band",
        ReasonCode::BelowBand => "below_band",
        ReasonCode::AboveThreshold => "above_threshold",
        ReasonCode::BelowThreshold => "below_threshold",
        ReasonCode::DriftUp => "drift_up",
        ReasonCode::DriftDown => "drift_down",
    }
}

/// Every text template there is, compiled once.
pub(super) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            if let Err(error) = environment.add_template(name, source) {
                tracing::error!(template = name, %error, "template is not valid");
            }
        }
        environment
    })
}

const TEMPLATES: [(&str, &str); 8] = [
    ("sentence.en.txt", include_str!("templates/sentence.en.txt")),
    ("sentence.zh.txt", include_str!("templates/sentence.zh.txt")),
    ("why.en.txt", include_str!("templates/why.en.txt")),
    ("why.zh.txt", include_str!("templates/why.zh.txt")),
    ("subject.en.txt", include_str!("templates/subject.en.txt")),
    ("subject.zh.txt", include_str!("templates/subject.zh.txt")),
    ("message.txt", include_str!("templates/message.txt")),
    ("message.html", include_str!("templates/message.html")),
];
