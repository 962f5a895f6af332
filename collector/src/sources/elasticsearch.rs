//! Elasticsearch and OpenSearch.
//!
//! A query is one search without hits: counted, aggregated, and where it is grouped, page by page by a composite
//! aggregation until there are no more groups or too many rows. Between pages nothing is held on the server: documents
//! that arrive late may be in one page and not in another. A search ends on the server soon after the future is
//! dropped: the connection is closed, and that cancels its task.

mod answer;
mod check;
mod columns;
mod config;
mod failure;
#[cfg(test)]
mod fake_search;
mod probe;
#[cfg(test)]
mod real_tests;
mod request;
#[cfg(test)]
mod tests;
mod time_field;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;

pub use config::{
    Aggregation, ElasticsearchConfig, ElasticsearchQuery, Filter, Group, GroupSettings, Percentiles, Values,
};

use self::answer::Page;
use self::request::{Search, page_size};
use super::{QueryType, SourceType, wrong_query};
use crate::sources::web::answer::Refusal;
use crate::sources::web::{self, Server, shown_address, told};
use crate::text::shown;
use crate::validate::Problem;
use crate::{ProbeReport, Query, Rows, SampleRequest, Source, SourceError};

impl SourceType for ElasticsearchConfig {
    fn kind(&self) -> &'static str {
        "elasticsearch"
    }

    fn language(&self) -> &'static str {
        "elasticsearch"
    }

    fn validate(&self) -> Vec<Problem> {
        check::validate(self)
    }

    fn build(&self) -> Result<Box<dyn Source>, String> {
        Ok(Box::new(ElasticsearchSource::new(self)?))
    }
}

impl QueryType for ElasticsearchQuery {
    fn language(&self) -> &'static str {
        "elasticsearch"
    }

    fn validate(&self) -> Vec<Problem> {
        check::validate_query(self)
    }

    fn asks_for_window(&self) -> bool {
        self.time_field.is_some()
    }
}

/// A search cluster as a source.
pub struct ElasticsearchSource {
    server: Server,
    time_fields: time_field::Known,
}

impl ElasticsearchSource {
    /// Makes the source ready: reads the certificate file, connects to nothing.
    ///
    /// # Errors
    /// When address, proxy or certificate file are wrong.
    pub fn new(config: &ElasticsearchConfig) -> Result<Self, String> {
        Ok(Self { server: Server::new(config.settings())?, time_fields: time_field::Known::default() })
    }

    /// Asks for page after page; more rows than are allowed are an error.
    async fn ask(
        &self,
        query: &ElasticsearchQuery,
        request: &SampleRequest<'_>,
        secrets: &mut Vec<String>,
    ) -> Result<Rows, SourceError> {
        let place = Arc::new(self.server.place().await?);
        let page_size = page_size(request.max_rows);
        let (window, timeout) = (request.window, request.timeout);
        let mut answer = Rows { columns: columns::names(query), rows: Vec::new() };
        let mut after = None;
        loop {
            let search = Search { query, window, timeout, page_size, after: after.as_ref() };
            let page = self.page(&search, &place, secrets).await?;
            let is_last = page.after.is_none() || page.rows.len() < page_size;
            if !page.found && after.is_none() {
                self.time_fields.check(&self.server, query, secrets).await?;
            }
            answer.rows.extend(page.rows);
            if answer.rows.len() > request.max_rows {
                let message = format!(
                    "more than {} rows: group by less, choose fewer documents or raise max_rows",
                    request.max_rows
                );
                return Err(SourceError::invalid(message));
            }
            if is_last {
                return Ok(answer);
            }
            after = page.after;
        }
    }

    async fn page(
        &self,
        search: &Search<'_>,
        place: &Arc<OwnedSemaphorePermit>,
        secrets: &mut Vec<String>,
    ) -> Result<Page, SourceError> {
        let wire = search.request(self.server.base()).map_err(SourceError::permanent)?;
        let response = self.server.send(wire, secrets).await?;
        if !response.status().is_success() {
            return Err(failure::error(&Refusal::read(response, failure::BODY_BYTES).await));
        }
        let body = web::answer::body(response, self.server.max_response_bytes()).await?;
        let query = search.query.clone();
        web::aside(Arc::clone(place), move || answer::page(&query, &body)).await
    }
}

#[async_trait]
impl Source for ElasticsearchSource {
    fn kind(&self) -> &'static str {
        "elasticsearch"
    }

    async fn sample(&self, request: &SampleRequest<'_>) -> Result<Rows, SourceError> {
        let Query::Elasticsearch(query) = request.query else {
            return Err(wrong_query(self.kind(), request.query));
        };
        let mut secrets = Vec::new();
        let rows = self.ask(query, request, &mut secrets).await;
        rows.map_err(|error| {
            let place =
                format!("{}: index `{}`", shown_address(self.server.base()), shown(&query.index, 100));
            told(error, &place, &secrets)
        })
    }

    async fn probe(&self) -> Result<ProbeReport, SourceError> {
        let _place = self.server.place().await?;
        probe::probe(&self.server).await
    }
}
