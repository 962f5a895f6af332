//! The page of one series.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use model::Language;
use serde::{Deserialize, Serialize};

use super::layout::{Fact, Visit, chips};
use crate::api::{Shared, Span};
use crate::dto::SeriesDetail;
use crate::format;
use crate::i18n::Speaks;

#[derive(Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    span: Span,
}

#[derive(Serialize)]
struct SpanChoice {
    name: &'static str,
    text: String,
    current: bool,
}

pub(super) async fn page(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    ask: Result<Query<Ask>, QueryRejection>,
    visit: Visit,
) -> Response {
    let span = ask.map(|ask| ask.0.span).unwrap_or_default();
    match shared.series(&id, span).await {
        Ok(Some(detail)) => {
            let (s, spans) = (view(&detail, visit.language), span_choices(span, visit.language));
            visit.page(
                StatusCode::OK,
                "series.html",
                context! { s => Serde(s), spans => Serde(spans), span => span.name() },
            )
        }
        Ok(None) => visit.not_found("no_such_series"),
        Err(error) => visit.unavailable(&error),
    }
}

fn span_choices(current: Span, language: Language) -> Vec<SpanChoice> {
    let choice = |span: Span| SpanChoice {
        name: span.name(),
        text: language.text(&format!("span_{}", span.name())).to_owned(),
        current: span == current,
    };
    Span::ALL.map(choice).into()
}

#[derive(Serialize)]
struct SeriesView {
    id: String,
    title: String,
    metric: String,
    labels: Vec<String>,
    state: &'static str,
    state_text: String,
    facts: Vec<Fact>,
    about: Vec<Fact>,
}

fn view(detail: &SeriesDetail, language: Language) -> SeriesView {
    let card = &detail.card;
    let unit = &card.unit;
    let zone = format::zone(&detail.moment.timezone);
    let since = card.since.map_or_else(|| format::NONE.into(), |at| format::instant(at, zone, language));
    let band = match (card.lower, card.upper) {
        (None, None) => format::NONE.into(),
        (lower, upper) => format!("{} … {}", format::number(lower, unit), format::number(upper, unit)),
    };
    SeriesView {
        id: card.id.clone(),
        title: card.title.clone(),
        metric: card.metric.clone(),
        labels: chips(&card.labels),
        state: card.state.as_str(),
        state_text: language.text(&format!("state_{}", card.state.as_str())).to_owned(),
        facts: vec![
            Fact::new(language, "value", format::with_unit(card.value, unit)),
            Fact::new(language, "expected", format::with_unit(card.expected, unit)),
            Fact::new(language, "band", band),
            Fact::new(language, "deviation", format::deviation(card.deviation_pct)),
            Fact::new(language, "score_of_limit", format::plain(card.score)),
            Fact::new(language, "in_state_since", since),
        ],
        about: about(detail, language),
    }
}

fn about(detail: &SeriesDetail, language: Language) -> Vec<Fact> {
    let mut facts = Vec::new();
    if !detail.card.owner.is_empty() {
        facts.push(Fact::new(language, "owner", &detail.card.owner));
    }
    if !detail.origin.is_empty() {
        facts.push(Fact::new(language, "origin", &detail.origin));
    }
    if detail.card.interval_ms > 0 {
        let interval = std::time::Duration::from_millis(detail.card.interval_ms);
        facts.push(Fact::new(language, "interval", format::span(interval, language)));
    }
    if !detail.runbook_url.is_empty() {
        facts.push(Fact::link(language, "runbook", &detail.runbook_url));
    }
    facts
}
