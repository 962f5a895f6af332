//! Whether the numbers arrive at all.

use std::collections::BTreeMap;

use collector::SamplerHealth;
use console::dto::{ChannelRow, ConsumerRow, Health, SamplerRow};
use notifier::view::ChannelHealth;

use super::super::Parts;
use super::cards::Timing;

/// The health of everything this process does.
pub(super) fn of(parts: &Parts, channels: &[ChannelHealth]) -> Health {
    let config = parts.config();
    let stats = parts.log.stats();
    let timing = Timing::of(&config);
    let samplers = parts.collector.as_ref().map(|collector| collector.health()).unwrap_or_default();
    Health {
        samplers: samplers.iter().map(|health| sampler(health, &timing)).collect(),
        consumers: consumers(parts, &stats.lag_bytes),
        channels: channels.iter().map(channel).collect(),
        log_bytes: stats.bytes,
        log_max_bytes: stats.max_bytes,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_revision: format!("{:016x}", config.revision()).chars().take(8).collect(),
        uptime_secs: parts.clock.monotonic_now().saturating_sub(parts.started).as_secs(),
    }
}

fn sampler(health: &SamplerHealth, timing: &Timing) -> SamplerRow {
    SamplerRow {
        name: health.sampler.to_string(),
        source: health.source.clone(),
        ok: health.consecutive_failures == 0,
        last_tick: health.last_window.map(|window| window.end),
        interval_ms: timing.sampler_interval_ms(&health.sampler),
        duration_ms: health.last_duration_ms,
        rows: health.last_rows as u64,
        missed: health.missed_ticks,
        failures: health.consecutive_failures,
        error: health.last_error.clone().unwrap_or_default(),
    }
}

fn channel(health: &ChannelHealth) -> ChannelRow {
    ChannelRow {
        name: health.channel.clone(),
        delivered: health.delivered,
        failed: health.failed,
        queued: health.queued,
        error: health.error.clone(),
    }
}

fn consumers(parts: &Parts, lags: &BTreeMap<String, u64>) -> Vec<ConsumerRow> {
    let tasks = parts.tasks.health();
    let row = |(name, lag): (&String, &u64)| {
        let task = tasks.get(name);
        ConsumerRow {
            name: name.clone(),
            lag_bytes: *lag,
            lag_entries: None,
            ok: task.is_none_or(|task| task.running),
            detail: task.filter(|task| !task.running).map(|task| task.error.clone()).unwrap_or_default(),
        }
    };
    lags.iter().map(row).collect()
}
