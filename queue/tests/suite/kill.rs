//! A process that appends is killed with SIGKILL at random moments: every acknowledged entry is there exactly once.
//!
//! `TIDEMARK_KILLS=200 cargo test -p queue kill` for more rounds than the usual ten.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use model::SampleLog;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use queue::{Log, LogOptions};

use crate::common::*;

const FOLDER: &str = "TIDEMARK_KILL_FOLDER";
const TASKS: u64 = 4;

/// The killed process: appends in several tasks as fast as it can and says what was acknowledged. Does nothing in an
/// ordinary run of the tests.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let options =
        LogOptions { segment_bytes: 20_000, checkpoint_bytes: 30_000, ..options(Path::new(&folder)) };
    let (log, _) = Log::open(options, "collector", clock()).unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(append_for_ever(Arc::clone(&log), task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn append_for_ever(log: Arc<Log>, task: u64) {
    let producer = format!("p{task}");
    let mut next = log.last(&producer).map_or(0, |state| state.sequence) + 1;
    loop {
        let batch = (next % 7 + 1) as i64;
        let entries = (0..batch).map(|i| {
            let minute = (next as i64 + i) % 30_000;
            let value = sample(&producer, minute as f64);
            entry(&producer, next + i as u64, tick(minute, vec![value]))
        });
        log.append(entries.collect()).await.unwrap();
        next += batch as u64;
        // One write, so that a line is never torn by another task's.
        std::io::stdout().write_all(format!("ack {task} {}\n", next - 1).as_bytes()).unwrap();
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_exactly_once() {
    let kills = std::env::var("TIDEMARK_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10);
    let dir = tempfile::tempdir().unwrap();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 0..kills {
        let lines = 1 + random.next_u32() % 120;
        run_and_kill(dir.path(), lines, &mut acknowledged);
        check(dir.path(), &acknowledged, round);
    }
    assert!(acknowledged.values().sum::<u64>() > kills, "{acknowledged:?}");
}

/// Starts the child, kills it after so many acknowledgements, notes all it had said.
fn run_and_kill(folder: &Path, lines: u32, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_appends_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut said = 0;
    for line in output.lines().map_while(Result::ok) {
        // A line the kill cut off has no meaning; the test runner's own lines neither.
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["ack", task, sequence] = words[..] else { continue };
        let (Ok(task), Ok(sequence)) = (task.parse(), sequence.parse::<u64>()) else { continue };
        let known = acknowledged.entry(task).or_default();
        *known = sequence.max(*known);
        said += 1;
        if said == lines {
            kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        }
    }
    assert!(said >= lines, "the child ended by itself after {said} of {lines}");
    child.wait().unwrap();
}

fn check(folder: &Path, acknowledged: &BTreeMap<u64, u64>, round: u64) {
    let log = open(folder);
    let all = read_all(&log);
    for (task, last) in acknowledged {
        let producer = format!("p{task}");
        let own: Vec<u64> = all.iter().filter(|e| *e.producer == *producer).map(|e| e.sequence).collect();
        assert_eq!(own, (1..=own.len() as u64).collect::<Vec<_>>(), "round {round}: each once, in order");
        assert!(
            own.len() as u64 >= *last,
            "round {round}: {producer} was told {last}, the log has {}",
            own.len()
        );
        assert_eq!(log.last(&producer).unwrap().sequence, own.len() as u64);
    }
    let samples = all.iter().filter_map(|e| match &e.body {
        model::Body::Tick(tick) => Some(tick.samples()),
        _ => None,
    });
    assert!(samples.flatten().all(|sample| sample.revision == 0), "equal samples never become revisions");
}
