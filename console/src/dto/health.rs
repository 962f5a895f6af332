//! Health: nobody may watch numbers whose collection nobody watches.

use model::Timestamp;
use serde::Serialize;

use super::millis_opt;

/// Whether the numbers arrive at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// Every sampler.
    pub samplers: Vec<SamplerRow>,
    /// Every consumer of the log: detector, notifier, each store.
    pub consumers: Vec<ConsumerRow>,
    /// Every channel of the configuration.
    pub channels: Vec<ChannelRow>,
    /// Bytes the log takes.
    pub log_bytes: u64,
    /// Bytes it may take; 0 when unknown.
    pub log_max_bytes: u64,
    /// Version of the binary.
    pub version: String,
    /// Revision hash of the configuration, shortened.
    pub config_revision: String,
    /// Civil seconds since start.
    pub uptime_secs: u64,
}

/// One sampler.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SamplerRow {
    /// Its name.
    pub name: String,
    /// Its source's name.
    pub source: String,
    /// Whether its last tick was answered.
    pub ok: bool,
    /// End of the window of its last tick, domain time.
    #[serde(serialize_with = "millis_opt")]
    pub last_tick: Option<Timestamp>,
    /// Its sampling interval in milliseconds; 0 when it follows a cron expression.
    pub interval_ms: u64,
    /// How long the source took at last, in milliseconds.
    pub duration_ms: u64,
    /// Rows of the last tick.
    pub rows: u64,
    /// Ticks missed since start.
    pub missed: u64,
    /// Failures in a row.
    pub failures: u64,
    /// Last error in words; empty when there was none.
    pub error: String,
}

/// One consumer of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConsumerRow {
    /// Its name.
    pub name: String,
    /// Bytes of the log it has not taken.
    pub lag_bytes: u64,
    /// Entries it has not taken, where known.
    pub lag_entries: Option<u64>,
    /// Whether it works.
    pub ok: bool,
    /// Its state in words; may be empty.
    pub detail: String,
    /// What is wrong with it, when it is a store and something is.
    pub store: Option<StoreTrouble>,
}

/// What is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreTrouble {
    /// It takes nothing; the row's `detail` says why.
    Down,
    /// It lacks numbers, and no store that has them can be read now.
    Waiting,
    /// It lacks numbers that are being copied to it, the newest first.
    Copying {
        /// From which store.
        from: String,
        /// Down to where they are copied; `None` before the first of them, when nobody knows how new the newest is.
        #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// It lacks numbers that no store has any more.
    Hopeless,
}

/// One channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelRow {
    /// Receiver, kind and number, such as `ops/email/0`.
    pub name: String,
    /// Deliveries that reached it since start.
    pub delivered: u64,
    /// Deliveries given up since start.
    pub failed: u64,
    /// Deliveries waiting.
    pub queued: u64,
    /// Why the last attempt did not reach it; empty when it did.
    pub error: String,
}
