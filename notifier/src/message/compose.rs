//! Puts the notes of a group together into one message: subject, plain text, HTML.

use std::time::Duration;

use chrono_tz::Tz;
use minijinja::{Value, context};
use model::{AlertId, Labels, Severity, Timestamp};

use super::sentence::{Told, environment, title};
use super::{AlertNote, MAX_NOTES, Message, MessageKind, NoteStatus, numbers};
use crate::Language;

/// How many alerts the text names one by one; the rest is counted. P0 come first.
const SHOWN: usize = 20;

/// How many a digest or a summary names: there the names are the message.
const SHOWN_IN_DIGEST: usize = 50;

/// A count as people read it; none is nothing.
fn count(count: usize) -> Option<String> {
    (count > 0).then(|| numbers::number(count as f64))
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Why it is sent.
    pub kind: MessageKind,
    /// Which incident.
    pub incident: String,
    /// The group's key.
    pub group_key: String,
    /// The receiver's name.
    pub receiver: &'a str,
    /// Its language.
    pub language: Language,
    /// Zone of its times.
    pub zone: Tz,
    /// What its alerts were grouped by.
    pub group_labels: Labels,
    /// Its alerts, the worst first; at most [`MAX_NOTES`] are kept.
    pub notes: Vec<AlertNote>,
    /// How many alerts fire, whether noted or not.
    pub firing: usize,
    /// How many are over.
    pub resolved: usize,
    /// Domain time.
    pub at: Timestamp,
    /// Civil time.
    pub created_at: Timestamp,
    /// Where this Tidemark is.
    pub external_url: Option<&'a str>,
}

/// An alert as a message notes it.
pub fn note(
    told: &Told<'_>,
    id: AlertId,
    severity: Severity,
    labels: &Labels,
    language: Language,
    external_url: Option<&str>,
) -> AlertNote {
    let numbers_of = if told.status == NoteStatus::Resolved { told.last } else { told.fired };
    let info = &told.fired.info;
    AlertNote {
        id,
        status: told.status,
        severity,
        labels: labels.clone(),
        title: title(told.fired).to_owned(),
        unit: info.unit.clone(),
        owner: info.owner.clone(),
        runbook_url: info.runbook_url.clone(),
        starts_at: id.starts_at,
        ends_at: (told.status == NoteStatus::Resolved).then_some(told.last.window.end),
        value: numbers_of.value,
        expected: numbers_of.expected,
        lower: numbers_of.lower,
        upper: numbers_of.upper,
        deviation_pct: told.fired.deviation_pct,
        score: told.fired.score,
        code: told.fired.reason.code,
        headline: told.headline(language),
        sentence: told.sentence(language),
        why: told.why(language),
        url: external_url
            .map(|base| format!("{}/alerts/{id}", base.trim_end_matches('/')))
            .unwrap_or_default(),
    }
}

/// Orders notes as people want them: what fires first, then the worst, then the furthest out.
pub fn worst_first(a: &AlertNote, b: &AlertNote) -> std::cmp::Ordering {
    let key = |note: &AlertNote| (note.status == NoteStatus::Resolved, note.severity);
    key(a).cmp(&key(b)).then(b.score.total_cmp(&a.score)).then_with(|| a.id.cmp(&b.id))
}

/// Writes the message.
pub fn compose(mut draft: Draft<'_>) -> Message {
    draft.notes.sort_by(worst_first);
    draft.notes.truncate(MAX_NOTES);
    let subject = one_line(&render("subject", &draft, None));
    let text = render("message.txt", &draft, Some(&subject));
    let html = render("message.html", &draft, Some(&subject));
    Message {
        version: 1,
        kind: draft.kind,
        incident: draft.incident,
        group_key: draft.group_key,
        receiver: draft.receiver.to_owned(),
        language: draft.language,
        group_labels: draft.group_labels,
        subject,
        text,
        html,
        firing: draft.firing,
        resolved: draft.resolved,
        alerts: draft.notes,
        at: draft.at,
        created_at: draft.created_at,
        external_url: draft.external_url.unwrap_or_default().to_owned(),
    }
}

fn render(template: &str, draft: &Draft<'_>, subject: Option<&str>) -> String {
    let name = match template {
        "subject" => format!("subject.{}.txt", draft.language.as_str()),
        other => other.to_owned(),
    };
    let context = subject.map_or_else(|| subject_context(draft), |subject| message_context(draft, subject));
    environment().get_template(&name).and_then(|t| t.render(context)).unwrap_or_else(|error| {
        // The templates are part of the program and tested; an alert is told whatever happens to them.
        tracing::error!(template = name, %error, "cannot write a message");
        draft.notes.iter().map(|note| note.sentence.as_str()).collect::<Vec<_>>().join("\n")
    })
}

fn subject_context(draft: &Draft<'_>) -> Value {
    let worst = draft.notes.iter().map(|note| note.severity).min().unwrap_or_default();
    let first = match draft.kind {
        MessageKind::Resolved => draft.notes.iter().find(|note| note.status == NoteStatus::Resolved),
        _ => draft.notes.first(),
    };
    context! {
        kind => draft.kind.as_str(),
        receiver => draft.receiver,
        worst => worst.as_str(),
        total => count(draft.firing + draft.resolved),
        firing => count(draft.firing),
        resolved => count(draft.resolved),
        headline => first.map(|note| note.headline.as_str()).unwrap_or_default(),
    }
}

fn message_context(draft: &Draft<'_>, subject: &str) -> Value {
    let limit = if matches!(draft.kind, MessageKind::Digest | MessageKind::Summary) {
        SHOWN_IN_DIGEST
    } else {
        SHOWN
    };
    let notes: Vec<Value> = draft.notes.iter().take(limit).map(|note| note_context(note, draft)).collect();
    let more = (draft.firing + draft.resolved).saturating_sub(notes.len());
    context! {
        kind => draft.kind.as_str(),
        lang => draft.language.as_str(),
        subject,
        notes,
        more,
        t => words(draft, more),
    }
}

fn note_context(note: &AlertNote, draft: &Draft<'_>) -> Value {
    let resolved = note.status == NoteStatus::Resolved;
    let mark = match (resolved, draft.language) {
        (false, _) => format!("[{}]", note.severity),
        (true, Language::En) => "[Resolved]".to_owned(),
        (true, Language::Zh) => "[已恢复]".to_owned(),
    };
    let colour = match (resolved, note.severity) {
        (true, _) => "#2e9e5b",
        (false, Severity::P0) => "#d0342c",
        (false, Severity::P1) => "#e07b00",
        (false, Severity::P2) => "#b8a200",
    };
    let link = |url: &str| {
        if url.starts_with("http://") || url.starts_with("https://") { url.to_owned() } else { String::new() }
    };
    context! {
        mark,
        colour,
        sentence => note.sentence.as_str(),
        why => if resolved { "" } else { note.why.as_str() },
        owner => note.owner.as_str(),
        runbook_url => link(&note.runbook_url),
        url => link(&note.url),
        rows => rows(note, draft),
    }
}

/// The numbers of an alert as a table.
fn rows(note: &AlertNote, draft: &Draft<'_>) -> Vec<(&'static str, String)> {
    let zh = draft.language == Language::Zh;
    let word = |en, translated| if zh { translated } else { en };
    let show = |value: f64| numbers::value(value, &note.unit);
    let time = |at| numbers::time_of_day(at, draft.at, draft.zone, draft.language);
    let lasted: Duration = note.ends_at.unwrap_or(draft.at).since(note.starts_at);
    let mut rows = Vec::new();
    let mut row = |name, text: Option<String>| rows.extend(text.map(|text| (name, text)));
    row(word("Value", "当前值"), note.value.map(show));
    row(word("Expected", "预期"), note.expected.map(show));
    let band = note.lower.zip(note.upper).map(|(lower, upper)| format!("{} – {}", show(lower), show(upper)));
    row(word("Usual range", "正常范围"), band);
    let deviation = note.deviation_pct.filter(|_| note.status == NoteStatus::Firing);
    row(
        word("Deviation", "偏差"),
        deviation.map(|d| format!("{}{}", if d < 0.0 { "-" } else { "+" }, numbers::percent(d))),
    );
    row(word("Since", "开始于"), Some(time(note.starts_at)));
    row(word("Until", "结束于"), note.ends_at.map(time));
    row(word("Duration", "持续"), Some(numbers::duration(lasted, draft.language)));
    row(word("Why", "原因"), (note.status == NoteStatus::Firing).then(|| note.why.clone()));
    row(word("Owner", "负责人"), (!note.owner.is_empty()).then(|| note.owner.clone()));
    rows
}

/// The words of the frame, in the draft's language.
fn words(draft: &Draft<'_>, more: usize) -> Value {
    let at = draft.at.in_zone(draft.zone).format("%Y-%m-%d %H:%M:%S").to_string();
    let zone = draft.zone.name();
    let (receiver, incident) = (draft.receiver, &draft.incident);
    match draft.language {
        Language::En => context! {
            why => "Why: ", owner => "Owner: ", runbook => "What to do: ", runbook_link => "What to do", open => "Open the alert",
            test => "This is a test: this receiver works.",
            digest => "Tidemark was not able to tell these when they happened. They are over now.",
            summary => "There were more messages than this receiver takes in its time; these were merged into one.",
            more => format!("... and {} more", numbers::number(more as f64)),
            footer => format!("Tidemark, {at} ({zone}), receiver {receiver}, incident {incident}"),
        },
        Language::Zh => context! {
            why => "原因：", owner => "负责人：", runbook => "处理办法：", runbook_link => "处理办法", open => "查看告警",
            test => "这是一条测试消息：该接收人可以收到通知。",
            digest => "这些告警发生时 Tidemark 无法通知，现已结束。",
            summary => "消息数量超过该接收人的上限，以下已合并为一条。",
            more => format!("……另有 {} 条", numbers::number(more as f64)),
            footer => format!("Tidemark，{at}（{zone}），接收人 {receiver}，事件 {incident}"),
        },
    }
}

fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= 200 { flat } else { flat.chars().take(199).chain(['…']).collect() }
}
