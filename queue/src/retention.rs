//! What may be deleted, and when.
//!
//! * A segment every consumer has passed goes once the log exceeds `keep_bytes`; with no consumer registered, only once it
//!   would exceed `max_bytes`.
//! * At `max_bytes` a segment that only lagging replicas still want goes too, provided another replica has passed it; the
//!   lagging ones are marked incomplete, durably, before the segment goes.
//! * A segment a keeper wants, or that no replica has passed, never goes: append refuses.
//!
//! Segments go oldest first and only from the front of a partition that this process writes.

use std::io;
use std::sync::{Arc, PoisonError};

use model::{Missed, TimeRange, Topic, Topics};

use crate::ConsumerKind;
use crate::cursors::Cursor;
use crate::partition::{Partition, Segment, readable};
use crate::scan::Go;
use crate::shared::{Shared, count};

/// Who still wants a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hold {
    /// No consumer is registered at all.
    Unasked,
    /// Every consumer has passed it.
    Passed,
    /// Only these replicas, and another replica has it.
    Lagging(Vec<String>),
    /// This consumer, for good.
    Held(String),
}

/// Who still wants what ends at `end` of a partition.
fn hold<'a>(cursors: impl Iterator<Item = &'a Cursor>, partition: &str, end: u64) -> Hold {
    let (passed, behind): (Vec<_>, Vec<_>) = cursors.partition(|cursor| cursor.next(partition) >= end);
    if let Some(keeper) = behind.iter().find(|cursor| cursor.kind == ConsumerKind::Keeper) {
        return Hold::Held(keeper.consumer.clone());
    }
    match behind.first() {
        None if passed.is_empty() => Hold::Unasked,
        None => Hold::Passed,
        Some(_) if passed.iter().any(|cursor| cursor.kind == ConsumerKind::Replica) => {
            Hold::Lagging(behind.iter().map(|cursor| cursor.consumer.clone()).collect())
        }
        Some(first) => Hold::Held(first.consumer.clone()),
    }
}

impl Shared {
    /// Deletes history beyond `keep_bytes` that every consumer has passed.
    pub(crate) fn trim_history(&self) -> io::Result<()> {
        let _one_at_a_time = self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        if self.used_bytes() <= self.options.keep_bytes {
            return Ok(());
        }
        self.cursors().reload()?;
        while self.used_bytes() > self.options.keep_bytes {
            if !self.delete_oldest(|hold| *hold == Hold::Passed)? {
                break;
            }
        }
        Ok(())
    }

    /// Deletes until `needed` more bytes fit in `max_bytes`. `Ok(false)` when they still do not.
    pub(crate) fn make_room(&self, needed: u64) -> io::Result<bool> {
        let _one_at_a_time = self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fits(needed) {
            return Ok(true);
        }
        self.cursors().reload()?;
        while !self.fits(needed) {
            let freed = self.delete_oldest(|hold| matches!(hold, Hold::Passed | Hold::Unasked))?
                || self.delete_oldest(|hold| matches!(hold, Hold::Lagging(_)))?;
            if !freed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fits(&self, needed: u64) -> bool {
        self.used_bytes().saturating_add(needed) <= self.options.max_bytes
    }

    /// Whether no consumer holds what a partition has written so far.
    pub(crate) fn is_passed(&self, partition: &Partition) -> bool {
        let cursors = self.cursors();
        !matches!(hold(cursors.iter(), &partition.name, partition.end()), Hold::Held(_))
    }

    /// The consumer that holds the oldest segment which may not go; in words when there is none.
    pub(crate) fn holder(&self) -> String {
        let cursors = self.cursors();
        let mut oldest: Vec<(Arc<Partition>, Segment)> = self.fronts().collect();
        oldest.sort_by_key(|(_, segment)| segment.created_at);
        let held = oldest.iter().find_map(|(partition, segment)| {
            match hold(cursors.iter(), &partition.name, segment.end) {
                Hold::Held(consumer) => Some(consumer),
                _ => None,
            }
        });
        held.unwrap_or_else(|| "the batch being written".to_owned())
    }

    /// The oldest segment of each partition this process writes.
    fn fronts(&self) -> impl Iterator<Item = (Arc<Partition>, Segment)> {
        let own = self.partitions().into_iter().filter(|partition| partition.is_own());
        own.filter_map(|partition| {
            let oldest = partition.segments().into_iter().next()?;
            Some((partition, oldest))
        })
    }

    /// Deletes the oldest segment whose hold is fine with `may_go`; whether there was one.
    fn delete_oldest(&self, may_go: impl Fn(&Hold) -> bool) -> io::Result<bool> {
        let Some((partition, segment, hold)) = self.oldest(may_go) else { return Ok(false) };
        if let Hold::Lagging(replicas) = hold {
            self.leave_behind(&replicas, &partition, &segment)?;
        }
        // Out of view first, so that nobody begins to read it; who has it open reads on.
        if partition.remove_oldest(segment.base) {
            std::fs::remove_file(&segment.path)?;
            count(&self.counters.deleted_segments, 1);
            tracing::debug!(path = %segment.path.display(), "segment deleted");
        }
        Ok(true)
    }

    fn oldest(&self, may_go: impl Fn(&Hold) -> bool) -> Option<(Arc<Partition>, Segment, Hold)> {
        let cursors = self.cursors();
        let candidates = self.fronts().filter(|(partition, _)| partition.segments().len() > 1);
        let weighed = candidates.map(|(partition, segment)| {
            let hold = hold(cursors.iter(), &partition.name, segment.end);
            (partition, segment, hold)
        });
        weighed.filter(|(_, _, hold)| may_go(hold)).min_by_key(|(_, segment, _)| segment.created_at)
    }

    /// Marks replicas that have not passed a segment which is about to go.
    fn leave_behind(&self, replicas: &[String], partition: &Partition, segment: &Segment) -> io::Result<()> {
        let span = self.span(partition, segment);
        let mut cursors = self.cursors();
        for replica in replicas {
            let mut bytes = 0;
            cursors.change(replica, |cursor| {
                // It may have come further since the decision.
                let from = cursor.next(&partition.name).max(segment.base);
                bytes = segment.end.saturating_sub(from);
                if bytes > 0 {
                    cursor.miss(Missed { bytes, span });
                    cursor.noted.add(&partition.name, from..segment.end);
                }
            })?;
            tracing::warn!(replica, bytes, "log is full: segment released before the replica read it");
        }
        Ok(())
    }

    /// The times of the points in a segment; `None` when it cannot be read, so that they are not known. A segment
    /// without points has an empty span.
    fn span(&self, partition: &Partition, segment: &Segment) -> Option<TimeRange> {
        let (mut entries, mut span) = (Vec::new(), None::<TimeRange>);
        let read = partition.walk(segment.base, readable, |header, body| {
            if header.offset >= segment.end {
                return Ok(Go::Stop);
            }
            let Some(body) = body else { return Ok(Go::On) };
            self.decoder.frame(
                &partition.name,
                header.offset,
                body,
                Topics::of(&Topic::ALL),
                &mut entries,
            )?;
            let spans = entries.drain(..).filter_map(|entry| entry.body.span());
            span = spans.chain(span).reduce(|a, b| a.and(b));
            Ok(Go::On)
        });
        match read {
            Ok(_) => Some(span.unwrap_or_default()),
            Err(error) => {
                tracing::warn!(%error, "cannot tell what a replica misses: everything is to be copied to it");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Positions;

    fn cursor(consumer: &str, kind: ConsumerKind, at: u64) -> Cursor {
        let positions = Some(Positions([("p".into(), at)].into()));
        Cursor { consumer: consumer.into(), kind, positions, ..Cursor::default() }
    }

    #[test]
    fn who_holds_a_segment() {
        use ConsumerKind::{Keeper, Replica};
        let check = |cursors: &[(&str, ConsumerKind, u64)], expected: Hold| {
            let all: Vec<Cursor> = cursors.iter().map(|(name, kind, at)| cursor(name, *kind, *at)).collect();
            assert_eq!(hold(all.iter(), "p", 100), expected, "{cursors:?}");
        };
        check(&[], Hold::Unasked);
        check(&[("d", Keeper, 100), ("a", Replica, 200)], Hold::Passed);
        check(&[("d", Keeper, 99), ("a", Replica, 200)], Hold::Held("d".into()));
        check(&[("d", Keeper, 100), ("a", Replica, 50)], Hold::Held("a".into()));
        check(&[("d", Keeper, 100), ("a", Replica, 50), ("b", Replica, 0)], Hold::Held("a".into()));
        check(
            &[("d", Keeper, 100), ("a", Replica, 50), ("b", Replica, 100)],
            Hold::Lagging(vec!["a".into()]),
        );
        check(&[("d", Keeper, 0), ("a", Replica, 50), ("b", Replica, 100)], Hold::Held("d".into()));
    }
}
