//! Whether the numbers arrive at all.

use std::collections::BTreeMap;

use collector::SamplerHealth;
use console::dto::{ChannelRow, ConsumerRow, Health, SamplerRow, StoreTrouble};
use notifier::view::ChannelHealth;
use tsdb::{Repairing, Standing};

use super::super::Parts;
use super::super::replicas::copied_down_to;
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
    let standings = super::super::replicas::standings(parts).into_iter();
    let stores: BTreeMap<_, _> =
        standings.map(|(name, standing)| (format!("replica/{name}"), standing)).collect();
    let overflow = |name: &str| {
        let detector = parts.detector.as_ref().filter(|_| name == "detector");
        detector.map(|detector| detector.borrow().overflow.clone()).unwrap_or_default()
    };
    let row = |(name, lag): (&String, &u64)| {
        let task = tasks.get(name);
        let row = ConsumerRow {
            name: name.clone(),
            lag_bytes: *lag,
            lag_entries: None,
            ok: task.is_none_or(|task| task.running),
            detail: task
                .filter(|task| !task.running)
                .map_or_else(|| overflow(name), |task| task.error.clone()),
            store: None,
        };
        match stores.get(name) {
            Some(standing) if row.ok => of_store(row, standing),
            _ => row,
        }
    };
    lags.iter().map(row).collect()
}

/// A store's row with what is wrong with it.
fn of_store(row: ConsumerRow, standing: &Standing) -> ConsumerRow {
    let store = match &standing.repair {
        _ if standing.trouble.is_some() => StoreTrouble::Down,
        _ if standing.missed.is_none() => return row,
        Repairing::Idle | Repairing::Waiting => StoreTrouble::Waiting,
        Repairing::Copying { from, left, .. } => {
            StoreTrouble::Copying { from: from.clone(), at: copied_down_to(*left) }
        }
        Repairing::Hopeless => StoreTrouble::Hopeless,
    };
    let detail = standing.trouble.clone().unwrap_or_default();
    ConsumerRow { ok: false, detail, store: Some(store), ..row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Missed, TimeRange, Timestamp};

    #[test]
    fn the_page_gets_a_time_of_a_copy_only_when_there_is_one() {
        let shown = |end| {
            let left = TimeRange { end, ..TimeRange::ALL };
            let repair = Repairing::Copying { from: "b".into(), left, points: 0 };
            let standing =
                Standing { missed: Some(Missed { bytes: 1, span: None }), repair, ..Standing::default() };
            serde_json::to_value(of_store(ConsumerRow::default(), &standing).store).unwrap()
        };
        assert_eq!(shown(Timestamp::MAX), serde_json::json!({"kind": "copying", "from": "b"}));
        let dated = serde_json::json!({"kind": "copying", "from": "b", "at": 5});
        assert_eq!(shown(Timestamp::from_nanos(5_000_000)), dated);
    }
}
