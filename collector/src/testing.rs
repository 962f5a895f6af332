//! Builders and stand-ins for this crate's tests.

use std::time::Duration;

use chrono_tz::Tz;

use crate::{Query, SamplerSpec, Schedule, ValueSpec};

/// A sampler of one value, every minute, without delay.
pub(crate) fn spec(name: &str) -> SamplerSpec {
    SamplerSpec {
        name: name.into(),
        source: "shop".into(),
        query: Query::Sql("SELECT 1".into()),
        schedule: Schedule::Interval(Duration::from_secs(60)),
        delay: Duration::ZERO,
        timeout: Duration::from_secs(10),
        timezone: Tz::UTC,
        labels: Vec::new(),
        static_labels: Vec::new(),
        values: vec![ValueSpec { metric: name.into(), column: None, numerator: None, denominator: None }],
        max_rows: 10_000,
    }
}

/// A value of its own column.
pub(crate) fn value(metric: &str, column: &str) -> ValueSpec {
    ValueSpec { metric: metric.into(), column: Some(column.into()), numerator: None, denominator: None }
}
