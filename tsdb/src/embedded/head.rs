//! The head: what was written and is not in the file yet.
//!
//! `active` takes writes. A flush freezes it: the frozen half is written to the file while writes go on, and stays
//! readable until it is there. When the file cannot be written the frozen half is kept and tried again; the head's
//! size then stops writes, so memory stays bounded.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Labels, Measurement, Point, Positions, Written};

use super::block::{Block, FieldId};
use super::catalog::{Catalog, FieldEntry, SeriesId};

/// Everything in memory, under one lock.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) catalog: Catalog,
    active: HashMap<SeriesId, Block>,
    active_bytes: usize,
    frozen: Option<Arc<Frozen>>,
    /// What `active`, `frozen` and the file cover together.
    covered: Positions,
    /// What the file covers.
    durable: Positions,
}

/// The half of the head that is on its way to the file.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) blocks: HashMap<SeriesId, Block>,
    pub(super) covered: Positions,
    pub(super) new_series: Vec<(SeriesId, Measurement, Labels)>,
    pub(super) new_fields: Vec<(FieldId, FieldEntry)>,
    bytes: usize,
}

impl Head {
    pub(super) fn new(catalog: Catalog, durable: Positions) -> Self {
        Self { catalog, covered: durable.clone(), durable, ..Self::default() }
    }

    /// Takes points, and the positions they cover if they are from the log; those that can never be stored are refused
    /// with a sentence.
    pub(super) fn put(&mut self, points: &[Point], covered: Option<&Positions>) -> Written {
        let mut written = Written::default();
        let mut ids = Vec::with_capacity(16);
        for point in points {
            if let Err(reason) = self.catalog.field_ids(point, &mut ids) {
                written.refused.push(reason);
                continue;
            }
            let series = self.catalog.series_id(point.measurement, &point.tags);
            let block = self.active.entry(series).or_default();
            let values = point.fields.iter().map(|(_, value)| value);
            self.active_bytes += block.push(point.time.as_nanos(), ids.iter().copied().zip(values));
            written.points += 1;
        }
        if let Some(covered) = covered {
            self.covered = covered.clone();
        }
        written
    }

    /// Size in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.active_bytes + self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    pub(super) fn durable(&self) -> &Positions {
        &self.durable
    }

    /// What must go to the file next: an earlier frozen half that failed, else the active one; `None` when the file
    /// has everything.
    pub(super) fn freeze(&mut self) -> Option<Arc<Frozen>> {
        if self.frozen.is_none() && (!self.active.is_empty() || self.covered != self.durable) {
            let blocks = std::mem::take(&mut self.active);
            self.frozen = Some(Arc::new(Frozen {
                covered: self.covered.clone(),
                new_series: self.catalog.new_series(blocks.keys().copied()),
                new_fields: self.catalog.new_fields(),
                bytes: std::mem::take(&mut self.active_bytes),
                blocks,
            }));
        }
        self.frozen.clone()
    }

    /// The frozen half is durable.
    pub(super) fn thaw(&mut self, frozen: &Frozen) {
        let series = frozen.new_series.iter().map(|(id, _, _)| *id);
        self.catalog.set_durable(series, frozen.new_fields.iter().map(|(id, _)| *id));
        self.durable = frozen.covered.clone();
        self.frozen = None;
    }

    /// Whether a series has rows in the head.
    pub(super) fn holds(&self, id: SeriesId) -> bool {
        self.active.contains_key(&id) || self.frozen.as_ref().is_some_and(|f| f.blocks.contains_key(&id))
    }

    /// Rows of a series in the head, older half first, cut to the asked time and fields.
    pub(super) fn rows(
        &self,
        id: SeriesId,
        start: i64,
        end: i64,
        wanted: impl Fn(FieldId) -> bool + Copy,
    ) -> Vec<Block> {
        let frozen = self.frozen.as_ref().and_then(|frozen| frozen.blocks.get(&id));
        let halves = frozen.into_iter().chain(self.active.get(&id));
        halves.map(|block| block.within(start, end, wanted)).filter(|block| !block.is_empty()).collect()
    }
}
