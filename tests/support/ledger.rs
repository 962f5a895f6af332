//! What the log of a data folder holds, read as nothing else runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::{
    AlertTransition, Body, ManualClock, Positions, ReadLimit, SampleLog, Tick, Timestamp, Topic, Topics,
    Verdict,
};
use queue::{Log, LogOptions};

/// Everything the log holds.
#[derive(Default)]
pub struct Ledger {
    pub ticks: Vec<Tick>,
    pub verdicts: Vec<Verdict>,
    pub transitions: Vec<AlertTransition>,
}

/// Reads all of it.
pub fn read_log(data: &Path) -> Ledger {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
    let log = Log::open_read_only(LogOptions::new(data.join("log")), clock).unwrap();
    let topics = Topics::of(&[Topic::Samples, Topic::Verdicts, Topic::Alerts]);
    let (mut ledger, mut at) = (Ledger::default(), Positions::default());
    loop {
        let batch = log.read(&at, topics, ReadLimit::default()).unwrap();
        if batch.next == at {
            return ledger;
        }
        at = batch.next;
        for entry in batch.entries {
            match entry.body {
                Body::Tick(tick) => ledger.ticks.push(tick),
                Body::Verdicts(verdicts) => ledger.verdicts.extend(verdicts),
                Body::Alert(transition) => ledger.transitions.push(*transition),
                _ => {}
            }
        }
    }
}

impl Ledger {
    /// Every due tick left exactly one entry: the windows of each sampler join without gap or overlap. Gives the
    /// number of samplers.
    pub fn assert_ticks_are_whole(&self) -> usize {
        let mut windows: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for tick in &self.ticks {
            windows.entry(&tick.sampler).or_default().extend(tick.windows());
        }
        for (sampler, windows) in &windows {
            for pair in windows.windows(2) {
                assert_eq!(pair[0].end, pair[1].start, "{sampler}: {} then {}", pair[0], pair[1]);
            }
        }
        windows.len()
    }
}
