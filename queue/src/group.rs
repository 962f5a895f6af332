//! Frames that are written, synced and answered together.

use model::{AppendError, Appended, NewEntry};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::failure::Failure;
use crate::frame::{FRAME_HEADER, FRAME_VERSION, FrameHeader};
use crate::shared::{Counters, count};
use crate::stage::Staged;

/// An append on its way to the writer.
pub(crate) struct Request {
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
    /// Its share of the bytes that may be under way, given back with the answer.
    pub(crate) share: OwnedSemaphorePermit,
}

/// An append whose frame is in a group.
struct Waiting {
    reply: oneshot::Sender<Result<Appended, AppendError>>,
    answer: Appended,
    _share: OwnedSemaphorePermit,
}

/// Frames to be written and synced together.
#[derive(Default)]
pub(crate) struct Group {
    /// The frames.
    pub(crate) bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    revised: usize,
}

impl Group {
    /// Bytes it has so far.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Adds a batch's frame; the group begins at `start` of the partition.
    pub(crate) fn add(&mut self, staged: &Staged, length: usize, start: u64) {
        let begin = self.bytes.len();
        self.bytes.reserve(FRAME_HEADER + length);
        self.bytes.resize(begin + FRAME_HEADER, 0);
        staged.frame.encode(&mut self.bytes);
        let header = FrameHeader {
            length: length as u32,
            version: FRAME_VERSION,
            topics: staged.frame.topics(),
            offset: start + begin as u64,
            back: begin as u32,
            entries: staged.frame.entries() as u32,
        };
        let head = header.encode(&self.bytes[begin + FRAME_HEADER..]);
        self.bytes[begin..begin + FRAME_HEADER].copy_from_slice(&head);
        self.revised += staged.revised;
    }

    /// Has somebody wait for the group, with this answer once it is durable.
    pub(crate) fn wait(
        &mut self,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
        answer: Appended,
        share: OwnedSemaphorePermit,
    ) {
        self.waiting.push(Waiting { reply, answer, _share: share });
    }

    /// Answers everybody, and counts what became of the group.
    pub(crate) fn answer(self, result: &Result<(), Failure>, counters: &Counters) {
        if result.is_ok() {
            let sum = |of: fn(&Appended) -> usize| self.waiting.iter().map(|w| of(&w.answer) as u64).sum();
            count(&counters.appended_entries, sum(|answer| answer.written));
            count(&counters.skipped_entries, sum(|answer| answer.skipped));
            count(&counters.duplicate_samples, sum(|answer| answer.duplicate_samples));
            count(&counters.revised_samples, self.revised as u64);
            count(&counters.appended_bytes, self.bytes.len() as u64);
        } else {
            count(&counters.refused_appends, self.waiting.len() as u64);
        }
        for Waiting { reply, answer, _share } in self.waiting {
            // Whoever asked may have gone; what it asked for is done all the same.
            let _ = reply.send(result.as_ref().map(|()| answer).map_err(Failure::error));
        }
    }
}
