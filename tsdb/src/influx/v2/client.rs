//! The crate `influxdb2` behind a fence: plain HTTP to an address that was checked, a deadline around every call, and
//! a panic of its own taken for an answer that could not be read. It hides `Retry-After`; see [`super`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::models::{PostBucketRequest, RetentionRule};
use influxdb2::{Client, RequestError};
use model::{Clock, Secret};
use url::Url;

use super::super::http::{Answer, within};
use super::super::trouble::Trouble;

pub(super) struct PlainClient {
    /// Without a token; each call takes the one of now.
    base: String,
    org: String,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    /// The last token and its client, whose connections stay open.
    last: std::sync::Mutex<Option<(Secret, Client)>>,
}

impl PlainClient {
    pub(super) fn new(base: &Url, org: &str, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        let last = std::sync::Mutex::new(None);
        Self { base: base.as_str().to_owned(), org: org.to_owned(), timeout, clock, last }
    }

    fn client(&self, token: &Secret) -> Client {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, client)) = last.as_ref().filter(|(have, _)| have == token) {
            return client.clone();
        }
        let client = Client::new(&*self.base, &*self.org, token.expose());
        *last = Some((token.clone(), client.clone()));
        client
    }

    /// Runs a call within the deadline.
    async fn call<T>(&self, work: impl Future<Output = Result<T, RequestError>>) -> Result<T, Trouble> {
        let guarded = AssertUnwindSafe(work).catch_unwind();
        match within(&*self.clock, self.timeout, guarded).await? {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(RequestError::Http { status, text })) => {
                Err(Trouble::of(&Answer { status: status.as_u16(), retry_after: None, body: text }))
            }
            Ok(Err(error)) => Err(Trouble::transient(model::causes(&error))),
            Err(_) => Err(Trouble::transient("answer could not be read")),
        }
    }

    pub(super) async fn version(&self) -> Result<Option<String>, Trouble> {
        Ok(self.call(self.client(&Secret::default()).health()).await?.version)
    }

    pub(super) async fn org_id(&self, token: &Secret, org: &str) -> Result<Option<String>, Trouble> {
        let request =
            ListOrganizationRequest { org: Some(org.to_owned()), ..ListOrganizationRequest::default() };
        let found = self.call(self.client(token).list_organizations(request)).await?;
        Ok(found.orgs.into_iter().find(|found| found.name == org).and_then(|found| found.id))
    }

    pub(super) async fn bucket_id(
        &self,
        token: &Secret,
        org_id: &str,
        bucket: &str,
    ) -> Result<Option<String>, Trouble> {
        let request = ListBucketsRequest {
            name: Some(bucket.to_owned()),
            org_id: Some(org_id.to_owned()),
            ..ListBucketsRequest::default()
        };
        let found = self.call(self.client(token).list_buckets(Some(request))).await;
        match found {
            Ok(found) => {
                Ok(found.buckets.into_iter().find(|found| found.name == bucket).and_then(|found| found.id))
            }
            Err(Trouble::Missing(_)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    pub(super) async fn create_bucket(
        &self,
        token: &Secret,
        org_id: &str,
        bucket: &str,
        retention_secs: Option<u64>,
    ) -> Result<(), Trouble> {
        let mut request = PostBucketRequest::new(org_id.to_owned(), bucket.to_owned());
        if let Some(secs) = retention_secs {
            let secs = i64::try_from(secs).unwrap_or(i64::MAX);
            request.retention_rules = vec![RetentionRule::new(
                influxdb2::models::retention_rule::Type::Expire,
                secs.try_into().unwrap_or(i32::MAX),
            )];
        }
        self.call(self.client(token).create_bucket(Some(request))).await
    }

    pub(super) async fn write(
        &self,
        token: &Secret,
        org: &str,
        bucket: &str,
        lines: String,
    ) -> Result<(), Trouble> {
        let client = self.client(token);
        let precision = TimestampPrecision::Nanoseconds;
        self.call(client.write_line_protocol_with_precision(org, bucket, lines, precision)).await
    }
}
