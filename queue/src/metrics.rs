//! The log's own health for `/metrics`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::LogDir;

/// Reads a log folder's health when it is asked for: `registry.register_collector(Box::new(LogCollector::new(dir)))`.
#[derive(Debug)]
pub struct LogCollector {
    dir: LogDir,
}

impl LogCollector {
    /// The collector of a folder.
    pub fn new(dir: LogDir) -> Self {
        Self { dir }
    }
}

impl Collector for LogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counters = &self.dir.shared.counters;
        let totals: [(&str, &str, &AtomicU64); 8] = [
            ("tidemark_queue_appended_entries", "Entries appended", &counters.appended_entries),
            ("tidemark_queue_skipped_entries", "Entries skipped: appended before", &counters.skipped_entries),
            (
                "tidemark_queue_duplicate_samples",
                "Samples dropped: equal to what was there",
                &counters.duplicate_samples,
            ),
            (
                "tidemark_queue_revised_samples",
                "Samples that became a later revision",
                &counters.revised_samples,
            ),
            ("tidemark_queue_refused_appends", "Appends refused", &counters.refused_appends),
            ("tidemark_queue_syncs", "Syncs of the log to disk", &counters.syncs),
            (
                "tidemark_queue_unknown_entries",
                "Entries of unknown kinds skipped by readers",
                &counters.unknown_entries,
            ),
            ("tidemark_queue_deleted_segments", "Segments deleted by retention", &counters.deleted_segments),
        ];
        for (name, help, counter) in totals {
            total(&mut encoder, name, help, None, read(counter))?;
        }
        total(
            &mut encoder,
            "tidemark_queue_appended",
            "Bytes appended",
            Some(&Unit::Bytes),
            read(&counters.appended_bytes),
        )?;
        let sync_seconds = read(&counters.sync_micros) as f64 / 1e6;
        let metric = ConstCounter::new(sync_seconds);
        let out = encoder.encode_descriptor(
            "tidemark_queue_sync",
            "Time spent writing and syncing",
            Some(&Unit::Seconds),
            metric.metric_type(),
        )?;
        metric.encode(out)?;
        self.encode_stats(&mut encoder)
    }
}

impl LogCollector {
    fn encode_stats(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.dir.stats();
        let gauges = [
            ("tidemark_queue_used_bytes", "Bytes of all segments", stats.bytes),
            ("tidemark_queue_max_bytes", "Most bytes the segments may take", stats.max_bytes),
            ("tidemark_queue_segments", "Segments on disk", stats.segments as u64),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(value.cast_signed());
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let lags = (
            "tidemark_queue_consumer_lag_bytes",
            "Bytes between a consumer's cursor and the end",
            stats.lag_bytes,
        );
        let missed = (
            "tidemark_queue_consumer_missed_bytes",
            "Bytes released before a replica read them",
            stats.incomplete,
        );
        for (name, help, by_consumer) in [lags, missed] {
            let kind = prometheus_client::metrics::MetricType::Gauge;
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (consumer, bytes) in by_consumer {
                let metric = ConstGauge::new(bytes.cast_signed());
                metric.encode(family.encode_family(&[("consumer", consumer)])?)?;
            }
        }
        Ok(())
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn total(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}
