//! Reading from several replicas as if they were one.
//!
//! An answer comes from the first listed replica that is not incomplete and has passed the asked range (see
//! `Status` for what that means); failing that from the one that lags least, and the answer says how far it reaches.
//! A replica that fails, or does not answer within its deadline while another is there to be asked, is passed over, and
//! for a while asked last. Each change is logged once and counted.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::{
    Clock, Labels, Matcher, Measurement, Monotonic, Reach, ReadSeries, SeriesData, SeriesQuery, Shortfall,
    StoreError, Timestamp,
};

use super::metrics::ReplicaMetrics;
use super::status::Status;

/// How several replicas are read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// How long a replica may take while another is there to be asked.
    pub timeout: Duration,
    /// How long the last one to be asked may take.
    pub last_timeout: Duration,
    /// For how long a replica that failed is asked last.
    pub memory: Duration,
    /// A replica is current while the oldest entry it lacks is younger than this (civil time).
    pub fresh: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            last_timeout: Duration::from_secs(30),
            memory: Duration::from_secs(15),
            fresh: Duration::from_secs(5),
        }
    }
}

/// One replica to read from.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) store: Arc<dyn ReadSeries>,
    pub(super) status: Arc<Status>,
    /// Until when it is asked last, since it failed; `None` while it answers.
    failing: Mutex<Option<Monotonic>>,
}

impl Member {
    /// Whether it failed a moment ago.
    pub(super) fn is_failing(&self, now: Monotonic) -> bool {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.is_some_and(|until| now < until)
    }
}

/// Several replicas, read as one. Cheap to clone by its `Arc`.
pub struct Replicas {
    members: Vec<Member>,
    clock: Arc<dyn Clock>,
    options: ReadOptions,
    metrics: ReplicaMetrics,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members.iter().map(|member| &member.name)).finish()
    }
}

/// Why one is asked before another; the smallest first, those alike in the order of the list.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    failing: bool,
    incomplete: bool,
    short: bool,
    reach: Reverse<Option<Timestamp>>,
}

impl Replicas {
    /// No replica yet.
    pub fn new(clock: Arc<dyn Clock>, options: ReadOptions, metrics: ReplicaMetrics) -> Self {
        Self { members: Vec::new(), clock, options, metrics }
    }

    /// Adds a replica at the end of the list.
    pub fn push(&mut self, name: &str, store: Arc<dyn ReadSeries>, status: Arc<Status>) {
        let name = name.to_owned();
        self.members.push(Member { name, store, status, failing: Mutex::default() });
    }

    /// All but one.
    pub(super) fn others<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |member| member.name != name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The names and statuses of all, in order of the list.
    pub fn statuses(&self) -> impl Iterator<Item = (&str, &Arc<Status>)> {
        self.members.iter().map(|member| (member.name.as_str(), &member.status))
    }

    /// The replicas in the order in which they are asked, each with how far its answer reaches.
    fn order(&self, metric: Option<&str>, end: Timestamp) -> Vec<(&Member, Reach)> {
        let (now, civil) = (self.clock.monotonic_now(), self.clock.civil_now());
        let mut ranked: Vec<_> = self
            .members
            .iter()
            .map(|member| {
                let incomplete = member.status.is_incomplete();
                let current = member.status.lag(civil).is_some_and(|lag| lag <= self.options.fresh);
                let until = member.status.reach(metric);
                let short = !current && until.is_none_or(|until| until < end);
                let until = until.filter(|_| short);
                let rank = Rank { failing: member.is_failing(now), incomplete, short, reach: Reverse(until) };
                let shortfall = Shortfall { replica: member.name.clone(), until, incomplete };
                let reach = if short || incomplete { Reach::Short(shortfall) } else { Reach::Whole };
                (rank, member, reach)
            })
            .collect();
        ranked.sort_by(|a, b| a.0.cmp(&b.0));
        ranked.into_iter().map(|(_, member, reach)| (member, reach)).collect()
    }

    /// Asks one after the other until one answers.
    async fn ask<'a, R, F: Future<Output = Result<R, StoreError>>>(
        &'a self,
        metric: Option<&str>,
        end: Timestamp,
        ask: impl Fn(&'a dyn ReadSeries) -> F,
    ) -> Result<(R, Reach), StoreError> {
        let order = self.order(metric, end);
        let mut first_error = None;
        for (nth, (member, reach)) in order.iter().enumerate() {
            let last = nth + 1 == order.len();
            let limit = if last { self.options.last_timeout } else { self.options.timeout };
            let answer = tokio::select! {
                answer = ask(&*member.store) => answer,
                () = self.clock.sleep(limit) => Err(too_slow(&member.name, limit)),
            };
            match answer {
                Ok(answer) => {
                    self.metrics.read(&member.name);
                    self.answered(member);
                    return Ok((answer, reach.clone()));
                }
                Err(error) => {
                    self.failed(member, &error, last);
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| StoreError {
            replica: "all".into(),
            operation: "read series",
            message: "there is no replica".into(),
        }))
    }

    fn answered(&self, member: &Member) {
        if member.failing.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(replica = member.name, "replica answers again");
        }
    }

    fn failed(&self, member: &Member, error: &StoreError, last: bool) {
        self.metrics.read_failed(&member.name);
        let until = self.clock.monotonic_now() + self.options.memory;
        let mut failing = member.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.replace(until).is_none() {
            let word = if last { "no other is left" } else { "passed over for the next one" };
            tracing::warn!(replica = member.name, %error, "replica does not answer: {word}");
        }
    }
}

pub(super) fn too_slow(replica: &str, limit: Duration) -> StoreError {
    StoreError {
        replica: replica.to_owned(),
        operation: "read series",
        message: format!("no answer within {} s", limit.as_secs_f64()),
    }
}

/// The metric that is asked for, when it is one.
fn metric_of(matchers: &[Matcher]) -> Option<&str> {
    matchers.iter().find(|matcher| &*matcher.tag == "metric").map(|matcher| &*matcher.value)
}

#[async_trait]
impl ReadSeries for Replicas {
    async fn read(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        Ok(self.read_with_reach(query).await?.0)
    }

    async fn series(
        &self,
        measurement: Measurement,
        matchers: &[Matcher],
    ) -> Result<Vec<Labels>, StoreError> {
        let ask = |store| ReadSeries::series(store, measurement, matchers);
        Ok(self.ask(metric_of(matchers), Timestamp::MAX, ask).await?.0)
    }

    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        let ask = |store| ReadSeries::read_stored(store, query);
        Ok(self.ask(metric_of(&query.matchers), query.range.end, ask).await?.0)
    }

    async fn read_with_reach(&self, query: &SeriesQuery) -> Result<(Vec<SeriesData>, Reach), StoreError> {
        let ask = |store| ReadSeries::read(store, query);
        self.ask(metric_of(&query.matchers), query.range.end, ask).await
    }
}

#[cfg(test)]
mod tests;
