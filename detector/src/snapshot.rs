//! The engine's state as bytes.
//!
//! ```text
//! magic "TMDETSN2" | u32 LE CRC-32 of the rest | postcard: [series] | postcard: [(index of a series, shifts)]
//! ```
//!
//! A series carries the sampling it was learned under, so that under a changed interval, kind or zone it starts anew. The shifts
//! (see [`crate::engine::ledger`]) of those that have any came later: a snapshot without them is one of none.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::Judging;
use crate::engine::ledger::{Ledger, Shifts};
use crate::settings::{Kind, Settings};

const MAGIC: &[u8; 8] = b"TMDETSN2";

/// What of the settings decides whether a learned state still fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sampling {
    interval: Option<Duration>,
    kind: Kind,
    zone: String,
}

impl Sampling {
    pub(crate) fn of(settings: &Settings) -> Self {
        let zone = settings.timezone.name().to_owned();
        Self { interval: settings.interval, kind: settings.kind, zone }
    }
}

/// One series as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedSeries {
    pub(crate) metric: Arc<str>,
    pub(crate) labels: Labels,
    pub(crate) sampling: Sampling,
    pub(crate) newest: Timestamp,
    pub(crate) ledger: Ledger,
    pub(crate) judge: Vec<u8>,
}

impl SavedSeries {
    /// Settings to load it under when the metric is configured no more.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        let sampling = self.sampling.clone();
        let timezone = sampling.zone.parse().unwrap_or(chrono_tz::Tz::UTC);
        let shipped = Settings::shipped(self.metric.clone());
        Arc::new(Settings { interval: sampling.interval, kind: sampling.kind, timezone, ..shipped })
    }
}

/// Encodes series.
pub(crate) fn encode<'a>(
    series: impl Iterator<Item = (&'a Arc<Settings>, Timestamp, &'a Judging)>,
) -> Vec<u8> {
    let saved: Vec<SavedSeries> = series
        .map(|(settings, newest, judging)| SavedSeries {
            metric: settings.metric.clone(),
            labels: judging.judge.series().labels.clone(),
            sampling: Sampling::of(settings),
            newest,
            ledger: judging.ledger.clone(),
            judge: judging.judge.save(),
        })
        .collect();
    let shifts: Vec<(usize, &Shifts)> =
        saved.iter().enumerate().filter_map(|(at, series)| Some((at, series.ledger.shifts()?))).collect();
    let body = postcard::to_allocvec(&saved).unwrap_or_default();
    seal(postcard::to_extend(&shifts, body).unwrap_or_default())
}

/// Decodes series.
///
/// # Errors
/// When the bytes are no snapshot of this version, or damaged.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<SavedSeries>, String> {
    let damaged = |error| format!("snapshot is damaged: {error}");
    let (mut saved, rest): (Vec<SavedSeries>, _) =
        postcard::take_from_bytes(open(bytes)?).map_err(damaged)?;
    let shifts: Vec<(usize, Shifts)> =
        if rest.is_empty() { Vec::new() } else { postcard::from_bytes(rest).map_err(damaged)? };
    for (at, shifts) in shifts {
        let series: &mut SavedSeries = saved.get_mut(at).ok_or("snapshot is damaged: shifts of no series")?;
        series.ledger.set_shifts(shifts);
    }
    Ok(saved)
}

/// Puts magic and CRC before a body.
pub(crate) fn seal(body: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 12);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The body behind magic and CRC, when both are right.
pub(crate) fn open(bytes: &[u8]) -> Result<&[u8], String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("not a detector snapshot of this version")?;
    let (crc, body) = rest.split_at_checked(4).ok_or("snapshot is cut off")?;
    if crc32fast::hash(body).to_le_bytes() != *crc {
        return Err("snapshot is damaged: its checksum is wrong".into());
    }
    Ok(body)
}
