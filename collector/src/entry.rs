//! How a tick becomes an entry of the log: one scheme for live samplers and for history taken in afterwards.

use std::sync::Arc;

use model::{Body, NewEntry, Tick, Timestamp};

/// The producer's name of a sampler's ticks, `sampler/orders`.
pub fn producer(sampler: &str) -> Arc<str> {
    format!("sampler/{sampler}").into()
}

/// The entry of a tick. Its sequence is the window's end in milliseconds since the epoch, so that it grows with time,
/// is the same after a restart, and no window is ever appended twice; its source position is that end in nanoseconds,
/// eight bytes, big-endian.
pub fn tick_entry(tick: Tick) -> NewEntry {
    let end = tick.window.end;
    NewEntry {
        key: Arc::clone(&tick.sampler),
        producer: producer(&tick.sampler),
        sequence: sequence(end),
        source_position: end.as_nanos().to_be_bytes().to_vec(),
        body: Body::Tick(tick),
    }
}

/// The end of the window of a sampler's last entry, from its source position.
pub fn last_window_end(source_position: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_nanos(i64::from_be_bytes(source_position.try_into().ok()?)))
}

fn sequence(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0)
}
