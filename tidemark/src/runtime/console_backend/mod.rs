//! What the console shows, read from the store, the notifier's database and the parts' own health.

mod alerts;
mod cards;
mod health;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use console::dto::{AlertDetail, AlertRow, MessageRow, Moment, Overview, SeriesDetail, ShortReach};
use console::{Backend, BackendError, Bilingual};
use model::{
    AlertId, Matcher, Measurement, Reach, ReadSeries, SeriesData, SeriesKey, SeriesQuery, TimeRange,
    Timestamp,
};
use notifier::Reader;
use notifier::view::{AlertFilter, AlertState, ChannelHealth};

use super::Parts;
use crate::answers::{by_metric, without_metric};
use crate::config::Config;

/// How much of each series the overview shows.
const CARD_SPAN: Duration = Duration::from_secs(2 * 3_600);
/// How many windows of a series it shows whose windows are too long for [`CARD_SPAN`].
const SLOW_WINDOWS: u32 = 60;
/// How many alerts that fire the overview shows.
const FIRING_LENGTH: usize = 500;
/// How many ended alerts and messages the overview shows.
const LIST_LENGTH: usize = 50;

/// The console's backend in a running process.
pub(super) struct ConsoleBackend {
    parts: Arc<Parts>,
}

impl ConsoleBackend {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Self { parts }
    }

    fn store(&self) -> Result<&dyn ReadSeries, BackendError> {
        let missing = || BackendError::Failed { what: "series", message: "this process has no store".into() };
        self.parts.store.as_deref().ok_or_else(missing)
    }

    fn moment(&self, config: &Config) -> Moment {
        Moment {
            now: self.parts.clock.domain_now(),
            speed: self.parts.speed,
            timezone: config.timezone().to_string(),
        }
    }

    async fn verdicts(
        &self,
        matchers: Vec<Matcher>,
        range: TimeRange,
    ) -> Result<(Vec<SeriesData>, Option<ShortReach>), BackendError> {
        let query =
            SeriesQuery { measurement: Measurement::Verdict, matchers, fields: Vec::new(), range, last: 0 };
        let (read, reach) = self.store()?.read_with_reach(&query).await.map_err(failed("series"))?;
        Ok((read, self.short(reach)))
    }

    fn short(&self, reach: Reach) -> Option<ShortReach> {
        let Reach::Short(short) = reach else { return None };
        let until = short.until.filter(|until| *until < self.parts.clock.domain_now());
        Some(ShortReach { replica: short.replica, until, incomplete: short.incomplete })
    }

    /// Runs a reading of the notifier's database where blocking is allowed; nothing without a notifier.
    async fn of_alerts<T: Default + Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Reader) -> Result<T, notifier::NotifierError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let Some(reader) = self.parts.alerts.reader().await else { return Ok(T::default()) };
        match tokio::task::spawn_blocking(move || read(&reader)).await {
            Ok(read) => read.map_err(failed(what)),
            Err(panicked) => Err(failed(what)(panicked)),
        }
    }

    async fn alert_rows(&self, filter: AlertFilter) -> Result<Vec<AlertRow>, BackendError> {
        let views = self.of_alerts("alerts", move |reader| reader.alerts(&filter)).await?;
        Ok(views.iter().map(alerts::row).collect())
    }

    async fn alerts_in(&self, state: AlertState, limit: usize) -> Result<Vec<AlertRow>, BackendError> {
        self.alert_rows(AlertFilter { states: vec![state], limit, ..AlertFilter::default() }).await
    }

    async fn messages(&self) -> Result<Vec<MessageRow>, BackendError> {
        let views = self.of_alerts("messages", |reader| reader.deliveries(LIST_LENGTH)).await?;
        Ok(views.iter().map(alerts::message).collect())
    }

    /// How the channels fare; none without the notifier's role.
    async fn channels(&self) -> Result<Vec<ChannelHealth>, BackendError> {
        let Some(notifier) = self.parts.notifier.clone() else { return Ok(Vec::new()) };
        match tokio::task::spawn_blocking(move || notifier.channels()).await {
            Ok(read) => read.map_err(failed("channels")),
            Err(panicked) => Err(failed("channels")(panicked)),
        }
    }

    async fn series_of(&self, fingerprint: u64) -> Result<Option<SeriesKey>, BackendError> {
        let all = self.store()?.series(Measurement::Verdict, &[]).await.map_err(failed("series"))?;
        Ok(all.iter().map(key_of).find(|key| key.fingerprint() == fingerprint))
    }
}

fn failed<E: std::error::Error>(what: &'static str) -> impl FnOnce(E) -> BackendError {
    move |error| BackendError::Failed { what, message: model::causes(&error) }
}

/// The series of a tag set.
fn key_of(tags: &model::Labels) -> SeriesKey {
    SeriesKey::new(tags.get("metric").unwrap_or_default(), without_metric(tags))
}

/// Matchers that pick a series and, where it has no labels, those of its metric that have some.
fn matchers_of(key: &SeriesKey) -> Vec<Matcher> {
    let pair = |tag: &str, value: &str| Matcher { tag: tag.into(), value: value.into() };
    let labels = key.labels.iter().map(|(name, value)| pair(name, value));
    std::iter::once(pair("metric", &key.metric)).chain(labels).collect()
}

#[async_trait]
impl Backend for ConsoleBackend {
    async fn overview(&self) -> Result<Overview, BackendError> {
        let parts = &self.parts;
        let (config, now) = (parts.config(), parts.clock.domain_now());
        let (settings, timing) = (config.judging(), cards::Timing::of(&config));
        let (mut read, short) =
            self.verdicts(Vec::new(), TimeRange { start: now - CARD_SPAN, end: Timestamp::MAX }).await?;
        for metric in timing.slow(CARD_SPAN) {
            read.retain(|data| data.tags.get("metric") != Some(metric));
            let span = Duration::from_millis(timing.interval_ms(metric)) * SLOW_WINDOWS;
            let matcher = Matcher { tag: "metric".into(), value: metric.into() };
            let range = TimeRange { start: now - span, end: Timestamp::MAX };
            read.extend(self.verdicts(vec![matcher], range).await?.0);
        }
        let mut alerts = self.alerts_in(AlertState::Firing, FIRING_LENGTH).await?;
        alerts.extend(self.alerts_in(AlertState::Resolved, LIST_LENGTH).await?);
        alerts.sort_by_key(|row| std::cmp::Reverse(row.ended_at.unwrap_or(row.starts_at)));
        let messages = self.messages().await?;
        Ok(Overview {
            moment: self.moment(&config),
            short,
            title: Bilingual::default(),
            metrics: cards::all(&settings, &read, &alerts, &timing),
            alerts,
            messages,
            health: health::of(parts, &self.channels().await?),
        })
    }

    async fn series(&self, fingerprint: u64, range: TimeRange) -> Result<Option<SeriesDetail>, BackendError> {
        let Some(key) = self.series_of(fingerprint).await? else { return Ok(None) };
        let config = self.parts.config();
        let (read, short) = self.verdicts(matchers_of(&key), range).await?;
        let none = SeriesData { tags: key.labels.with([("metric", &*key.metric)]), ..SeriesData::default() };
        let data = read.iter().find(|data| key_of(&data.tags) == key).unwrap_or(&none);
        let filter = AlertFilter {
            metric: Some(key.metric.to_string()),
            states: alerts::SHOWN.to_vec(),
            ..AlertFilter::default()
        };
        let id = format!("{fingerprint:016x}");
        let mut rows = self.alert_rows(filter).await?;
        rows.retain(|row| row.series == id && row.starts_at < range.end);
        rows.retain(|row| row.ended_at.is_none_or(|ended| ended >= range.start));
        let settings = config.judging();
        let timing = cards::Timing::of(&config);
        let of_metric = by_metric(&settings);
        let card = cards::card(of_metric.get(&*key.metric).copied(), data, &rows, &timing);
        Ok(Some(SeriesDetail {
            card,
            moment: self.moment(&config),
            short,
            runbook_url: of_metric.get(&*key.metric).map_or_else(String::new, |s| s.info.runbook_url.clone()),
            origin: timing.origin(&key.metric),
            alerts: rows,
        }))
    }

    async fn alert(&self, id: AlertId) -> Result<Option<AlertDetail>, BackendError> {
        let Some(detail) = self.of_alerts("alert", move |reader| reader.alert(id)).await? else {
            return Ok(None);
        };
        let config = self.parts.config();
        let (now, timing) = (self.parts.clock.domain_now(), cards::Timing::of(&config));
        let key = detail.alert.last.series.clone();
        let end = detail.alert.resolved_at.unwrap_or(now) + CARD_SPAN / 4;
        let range = TimeRange { start: detail.alert.starts_at - CARD_SPAN, end };
        // The reason is worth showing even when the store does not answer.
        let (read, short) = self.verdicts(matchers_of(&key), range).await.unwrap_or_default();
        let data = read.iter().find(|data| key_of(&data.tags) == key);
        let points = data.map(cards::points).unwrap_or_default();
        let detail = alerts::detail(&detail, points, self.moment(&config), timing.interval_ms(&key.metric));
        Ok(Some(AlertDetail { short, ..detail }))
    }
}
