//! From a batch to a frame: skips what was appended before, gives samples their revisions, and can be taken back.
//!
//! All of it happens on the writer's thread, one batch after the other, so that two appends never decide about the same
//! sample at once.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::sync::Arc;

use model::{AppendError, Body, NewEntry, ProducerState, SeriesKey, Tick, TickOutcome, Timestamp};

use crate::OlderSamples;
use crate::encode::{FrameBuilder, Identity};
use crate::index::{Index, Key, Slot, value_crc};

/// Why a batch cannot be staged.
pub(crate) enum StageError {
    /// The index failed.
    Index(io::Error),
    /// What is older than the index could not be looked up; the batch may be tried again.
    Older(AppendError),
}

impl From<io::Error> for StageError {
    fn from(error: io::Error) -> Self {
        Self::Index(error)
    }
}

/// A batch ready to be written.
pub(crate) struct Staged {
    /// The frame.
    pub(crate) frame: FrameBuilder,
    /// Entries skipped because their sequence had been there.
    pub(crate) skipped: usize,
    /// Samples dropped because an equal one had been there.
    pub(crate) duplicates: usize,
    /// Samples that became a later revision.
    pub(crate) revised: usize,
    undo: Undo,
}

/// What the batch changed, with what was there before (or, while withdrawn, what the batch made of it).
#[derive(Default)]
struct Undo {
    producers: Vec<(Arc<str>, Option<ProducerState>)>,
    slots: Vec<(Key, Option<Slot>)>,
}

/// What the writer knows: of durable frames, and of those it is about to write.
pub(crate) struct Knowledge {
    /// The last word of each producer, of frames not yet durable too.
    pub(crate) producers: HashMap<Arc<str>, ProducerState>,
    /// Producers whose state changed with frames that are not durable yet, with the state before, in order.
    changed_producers: Vec<(Arc<str>, Option<ProducerState>)>,
    /// Of durable frames.
    pub(crate) index: Index,
    /// Samples of frames that are not durable yet, or that the index could not be told.
    pending: HashMap<u64, (Key, Slot), BuildHasherDefault<Identity>>,
    older: Option<Arc<dyn OlderSamples>>,
}

impl Knowledge {
    /// What recovery found.
    pub(crate) fn new(
        producers: HashMap<Arc<str>, ProducerState>,
        index: Index,
        older: Option<Arc<dyn OlderSamples>>,
    ) -> Self {
        Self { producers, changed_producers: Vec::new(), index, pending: HashMap::default(), older }
    }

    /// Turns a batch into a frame.
    ///
    /// # Errors
    /// [`StageError`]; nothing is changed then.
    pub(crate) fn stage(
        &mut self,
        entries: Vec<NewEntry>,
        now: Timestamp,
        appended_at: Timestamp,
    ) -> Result<Staged, StageError> {
        let mut staged = Staged {
            frame: FrameBuilder::new(appended_at),
            skipped: 0,
            duplicates: 0,
            revised: 0,
            undo: Undo::default(),
        };
        for mut entry in entries {
            if !self.note_producer(&entry, &mut staged.undo) {
                staged.skipped += 1;
                continue;
            }
            if let Body::Tick(tick) = &mut entry.body
                && let Err(error) = self.revise(tick, now, &mut staged)
            {
                self.withdraw(&mut staged);
                return Err(error);
            }
            staged.frame.push(&entry);
        }
        Ok(staged)
    }

    /// Takes what a staged batch changed out of the knowledge; [`Knowledge::restore`] puts it in again.
    pub(crate) fn withdraw(&mut self, staged: &mut Staged) {
        for change in staged.undo.producers.iter_mut().rev() {
            self.swap_producer(change);
        }
        for change in staged.undo.slots.iter_mut().rev() {
            self.swap_slot(change);
        }
    }

    /// Puts in again what [`Knowledge::withdraw`] took out.
    pub(crate) fn restore(&mut self, staged: &mut Staged) {
        for change in &mut staged.undo.producers {
            self.swap_producer(change);
            self.changed_producers.push(change.clone());
        }
        for change in &mut staged.undo.slots {
            self.swap_slot(change);
        }
    }

    fn swap_producer(&mut self, (name, other): &mut (Arc<str>, Option<ProducerState>)) {
        *other = match other.take() {
            Some(state) => self.producers.insert(Arc::clone(name), state),
            None => self.producers.remove(name),
        };
    }

    fn swap_slot(&mut self, (key, other): &mut (Key, Option<Slot>)) {
        let before = match other.take() {
            Some(slot) => self.pending.insert(key.hash(), (*key, slot)),
            None => self.pending.remove(&key.hash()),
        };
        *other = before.map(|(_, slot)| slot);
    }

    /// No staged frame was written: forgets them all. Nothing may be withdrawn from it afterwards.
    pub(crate) fn roll_back(&mut self) {
        self.pending.clear();
        for mut change in std::mem::take(&mut self.changed_producers).into_iter().rev() {
            self.swap_producer(&mut change);
        }
    }

    /// Every staged frame is durable now: the producers whose state changed.
    pub(crate) fn take_changed(&mut self) -> Vec<(Arc<str>, ProducerState)> {
        let changed = std::mem::take(&mut self.changed_producers);
        let mut names: Vec<Arc<str>> = changed.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let states = names.into_iter().filter_map(|name| {
            let state = self.producers.get(&name)?.clone();
            Some((name, state))
        });
        states.collect()
    }

    /// Every staged frame is durable now: its samples go into the index.
    ///
    /// # Errors
    /// When the index cannot be written; the samples are known all the same, and it can be tried again.
    pub(crate) fn index_pending(&mut self) -> io::Result<()> {
        // Day by day, since the index has only a few days open at once.
        let mut settled: Vec<_> = self.pending.values().copied().collect();
        settled.sort_unstable_by_key(|(key, _)| key.day());
        settled.into_iter().try_for_each(|(key, slot)| self.index.set(key, slot))?;
        self.pending.clear();
        Ok(())
    }

    /// Whether the entry is new; notes it as its producer's last then.
    fn note_producer(&mut self, entry: &NewEntry, undo: &mut Undo) -> bool {
        if let Some(state) = self.producers.get_mut(&entry.producer) {
            if entry.sequence <= state.sequence {
                return false;
            }
            if !undo.producers.iter().any(|(name, _)| *name == entry.producer) {
                let change = (Arc::clone(&entry.producer), Some(state.clone()));
                undo.producers.push(change.clone());
                self.changed_producers.push(change);
            }
            state.sequence = entry.sequence;
            state.source_position.clone_from(&entry.source_position);
        } else {
            undo.producers.push((Arc::clone(&entry.producer), None));
            self.changed_producers.push((Arc::clone(&entry.producer), None));
            let (sequence, source_position) = (entry.sequence, entry.source_position.clone());
            self.producers.insert(Arc::clone(&entry.producer), ProducerState { sequence, source_position });
        }
        true
    }

    /// Drops the tick's samples that are known and numbers the others.
    fn revise(&mut self, tick: &mut Tick, now: Timestamp, staged: &mut Staged) -> Result<(), StageError> {
        let start = tick.window.start;
        let TickOutcome::Rows(samples) = &mut tick.outcome else { return Ok(()) };
        let mut failed = None;
        samples.retain_mut(|sample| {
            if failed.is_some() {
                return true;
            }
            let key = Key::new(&sample.series, start);
            let crc = value_crc(sample.value, sample.ratio);
            let known = match self.known(key, now, &sample.series, start) {
                Ok(known) => known,
                Err(error) => {
                    failed = Some(error);
                    return true;
                }
            };
            sample.revision = match known {
                Some(slot) if slot.crc == crc => {
                    staged.duplicates += 1;
                    return false;
                }
                Some(slot) => slot.revision.saturating_add(1),
                None => 0,
            };
            staged.revised += usize::from(sample.revision > 0);
            let slot = Slot { revision: sample.revision, crc };
            let before = self.pending.insert(key.hash(), (key, slot)).map(|(_, slot)| slot);
            staged.undo.slots.push((key, before));
            true
        });
        failed.map_or(Ok(()), Err)
    }

    fn known(
        &mut self,
        key: Key,
        now: Timestamp,
        series: &SeriesKey,
        start: Timestamp,
    ) -> Result<Option<Slot>, StageError> {
        if let Some((_, slot)) = self.pending.get(&key.hash()) {
            return Ok(Some(*slot));
        }
        let known = self.index.get(key)?;
        if known.is_some() || !key.is_older_than_kept(now) {
            return Ok(known);
        }
        let Some(older) = &self.older else { return Ok(None) };
        let older = older.latest(series, start).map_err(|message| {
            StageError::Older(AppendError::Older { series: series.clone(), window_start: start, message })
        })?;
        Ok(older.map(|sample| Slot { revision: sample.revision, crc: value_crc(sample.value, sample.ratio) }))
    }
}
