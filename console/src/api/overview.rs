//! The overview: read once for all open pages, and to each page only what is new to it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use model::{Monotonic, VerdictState};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Shared, from_millis, refused};
use crate::assets::{etag_of, matches_etag};
use crate::backend::BackendError;
use crate::dto::{AlertRow, MetricCard, Overview};
use crate::showcase::Story;

/// For how long one reading serves every page.
const FRESH_FOR: Duration = Duration::from_millis(400);
/// Cards on one page. What is not normal is never left out before what is.
const MAX_CARDS: usize = 240;
/// Windows before a page's last point that are sent again, since a late sample may have changed them.
const OVERLAP: Duration = Duration::from_secs(15 * 60);
/// Domain time, on answers without a body too.
const NOW: HeaderName = HeaderName::from_static("tidemark-now");

/// The last overview, for less than a second; whoever comes while it is being read waits for that reading.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<(Monotonic, Arc<Page>)>>);

/// The overview as the page gets it.
#[derive(Clone, Serialize)]
pub(crate) struct Page {
    #[serde(flatten)]
    overview: Overview,
    story: Option<Story>,
    /// Series there are, cards or not.
    series_total: usize,
    /// Points at or before this instant were left out: the page has them.
    after: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Ask {
    after: Option<i64>,
}

pub(super) async fn overview(
    State(shared): State<Shared>,
    Query(ask): Query<Ask>,
    headers: HeaderMap,
) -> Response {
    let page = match shared.page().await {
        Ok(page) => page,
        Err(error) => return refused(&error),
    };
    let now = page.overview.moment.now.as_millis().to_string();
    let body = match serde_json::to_string(&trimmed(&page, ask.after)) {
        Ok(body) => body,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    // The moment itself travels in a header, so that an overview in which nothing happened is not sent again.
    let etag = etag_of(&[&body.replacen(&now, "", 1)]);
    let common = [(ETAG, etag.as_str()), (CACHE_CONTROL, "no-cache"), (NOW, &now)];
    if matches_etag(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, "application/json")], body).into_response()
}

impl Shared {
    /// The overview, at most [`FRESH_FOR`] old. Waiting for another's reading counts towards the deadline too.
    pub(crate) async fn page(&self) -> Result<Arc<Page>, BackendError> {
        self.within_deadline(self.read_or_share()).await
    }

    async fn read_or_share(&self) -> Result<Arc<Page>, BackendError> {
        let clock = &self.options().clock;
        let mut held = self.0.overview.0.lock().await;
        let now = clock.monotonic_now();
        if let Some((read_at, page)) = &*held
            && now.saturating_sub(*read_at) < FRESH_FOR
        {
            return Ok(page.clone());
        }
        let overview = self.backend().overview().await?;
        let page = Arc::new(self.dress(overview));
        *held = Some((clock.monotonic_now(), page.clone()));
        Ok(page)
    }

    fn dress(&self, mut overview: Overview) -> Page {
        overview.alerts.retain(AlertRow::is_news);
        let showcase = self.options().showcase.as_ref();
        let story = showcase.map(|showcase| showcase.story(overview.moment.now, &overview.alerts));
        if let Some(showcase) = showcase {
            overview.messages = showcase.inbox();
        }
        let series_total = overview.metrics.len();
        overview.metrics = most_urgent(overview.metrics, MAX_CARDS);
        Page { overview, story, series_total, after: None }
    }
}

/// At most `limit` cards: what is not normal first; order within is kept.
fn most_urgent(mut cards: Vec<MetricCard>, limit: usize) -> Vec<MetricCard> {
    if cards.len() > limit {
        cards.sort_by_key(|card| urgency(card.state));
        cards.truncate(limit);
    }
    cards
}

fn urgency(state: VerdictState) -> u8 {
    match state {
        VerdictState::Firing => 0,
        VerdictState::Outside => 1,
        VerdictState::Missing => 2,
        VerdictState::Learning => 3,
        VerdictState::Normal => 4,
    }
}

/// Leaves out the points the page says it has, but for an overlap.
fn trimmed(page: &Page, after: Option<i64>) -> Page {
    let mut page = page.clone();
    if let Some(after) = after {
        let from = from_millis(after) - OVERLAP;
        page.after = Some(from.as_millis());
        for card in &mut page.overview.metrics {
            card.points.retain(|point| point.at > from);
        }
    }
    page
}
