//! What opening makes of a folder that a crash, or worse, left behind.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use model::{Positions, SampleLog};
use queue::{LogOptions, OpenError, Recovery};

use crate::common::*;

/// A closed log of four frames, and where the last one begins.
fn four_frames(dir: &Path) -> u64 {
    let log = open(dir);
    for sequence in 1..=3 {
        block(log.append(one(sequence))).unwrap();
    }
    let last = log.end().next("collector");
    block(log.append(one(4))).unwrap();
    last
}

fn reopen(dir: &Path) -> Result<(Vec<u64>, Recovery), OpenError> {
    let (log, recovery) = crate::common::dir(dir).partition("collector")?;
    Ok((sequences(&read_all(&log)), recovery))
}

fn remove_derived(dir: &Path) {
    for name in ["checkpoint", "end"] {
        std::fs::remove_file(dir.join("collector").join(name)).unwrap();
    }
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_torn_tail_is_cut_wherever_the_last_frame_was_torn() {
    let origin = tempfile::tempdir().unwrap();
    let last = four_frames(origin.path());
    remove_derived(origin.path());
    let whole = segments(origin.path())[0].metadata().unwrap().len();
    for length in last..whole {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(origin.path(), dir.path());
        cut(&segments(dir.path())[0], length);
        let (found, recovery) = reopen(dir.path()).unwrap();
        assert_eq!(found, [1, 2, 3], "cut at {length}");
        let torn = recovery.cut.map(|cut| (cut.offset, cut.bytes, cut.acknowledged_lost));
        assert_eq!(torn, (length > last).then_some((last, length - last, false)), "cut at {length}");
        let log = open(dir.path());
        assert_eq!(block(log.append(one(4))).unwrap().written, 1);
        assert_eq!(sequences(&read_all(&log)), [1, 2, 3, 4]);
    }
}

#[test]
fn rubbish_after_the_last_frame_is_cut() {
    for rubbish in [&b"\0"[..], &[0; 4096], b"TMF1", &[0xff; 100]] {
        let dir = tempfile::tempdir().unwrap();
        four_frames(dir.path());
        let path = segments(dir.path()).remove(0);
        OpenOptions::new().append(true).open(path).unwrap().write_all(rubbish).unwrap();
        let (found, recovery) = reopen(dir.path()).unwrap();
        assert_eq!(found, [1, 2, 3, 4]);
        assert_eq!(recovery.cut.unwrap().bytes, rubbish.len() as u64);
    }
}

#[test]
fn a_flipped_byte_in_what_was_acknowledged_is_an_error_naming_file_and_offset() {
    let origin = tempfile::tempdir().unwrap();
    let last = four_frames(origin.path());
    let whole = segments(origin.path())[0].metadata().unwrap().len();
    for at in (0..whole).step_by(7) {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(origin.path(), dir.path());
        let path = segments(dir.path()).remove(0);
        flip(&path, at);
        match reopen(dir.path()) {
            Err(OpenError::Damaged { path: named, offset, .. }) => {
                assert_eq!(named, path);
                assert!(offset <= at && (offset == 0) == (at < 40), "{offset} for {at}");
            }
            // The header's last four bytes are not used.
            other => assert!((36..40).contains(&at), "byte {at}: {:?}", other.map(|found| found.0)),
        }
        // Without what stands outside the segment, later frames are the proof; the last frame has none.
        remove_derived(dir.path());
        let proven = reopen(dir.path());
        assert_eq!(proven.is_err(), at < last && !(36..40).contains(&at), "byte {at} of {last}");
    }
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// A closed log of several segments.
fn many_segments(dir: &Path) {
    let options = LogOptions { segment_bytes: 400, ..options(dir) };
    let (log, _) = queue::Log::open(options, "collector", clock()).unwrap();
    for sequence in 1..=12 {
        block(log.append(one(sequence))).unwrap();
    }
    assert!(segments(dir).len() >= 3);
}

#[test]
fn damage_in_an_older_segment_fails_the_read_and_names_it() {
    let dir = tempfile::tempdir().unwrap();
    many_segments(dir.path());
    let path = segments(dir.path()).remove(1);
    flip(&path, 80);
    let log = open(dir.path());
    let error = log.read(&Positions::default(), ALL, model::ReadLimit::default()).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()) && error.contains("offset"), "{error}");
}

#[test]
fn a_missing_or_short_segment_in_the_middle_is_an_error() {
    for spoil in [|path: &Path| std::fs::remove_file(path).unwrap(), |path: &Path| cut(path, 100)] {
        let dir = tempfile::tempdir().unwrap();
        many_segments(dir.path());
        spoil(&segments(dir.path())[1]);
        let error = reopen(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("the segment before it ends at"), "{error}");
    }
}

#[test]
fn a_segment_begun_but_not_written_is_begun_again() {
    for length in [0, 1, 39, 40] {
        let dir = tempfile::tempdir().unwrap();
        four_frames(dir.path());
        let end = segments(dir.path())[0].metadata().unwrap().len();
        let next = dir.path().join("collector").join(format!("{end:020}.seg"));
        std::fs::write(&next, vec![0; length]).unwrap();
        let (found, recovery) = reopen(dir.path()).unwrap();
        assert_eq!((found, recovery.cut), (vec![1, 2, 3, 4], None), "{length}");
        let log = open(dir.path());
        block(log.append(one(5))).unwrap();
        assert_eq!(sequences(&read_all(&log)), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn offsets_of_lost_acknowledged_frames_are_not_used_again() {
    for length in [0, 40, 41, 150] {
        let dir = tempfile::tempdir().unwrap();
        four_frames(dir.path());
        let before = open(dir.path()).end();
        cut(&segments(dir.path())[0], length);
        let (log, recovery) = crate::common::dir(dir.path()).partition("collector").unwrap();
        assert!(recovery.cut.unwrap().acknowledged_lost, "{length}");
        assert!(log.end().covers(&before));
        assert!(read_from(&log, &before).0.is_empty());
        let kept = read_all(&log).len() as u64;
        assert!(kept < 4);
        // The producers know what is left, so what is lost can be appended again.
        assert_eq!(
            log.last("sampler/orders").map_or(0, |state| state.sequence),
            if kept == 0 { 4 } else { kept }
        );
        block(log.append(one(5))).unwrap();
        assert_eq!(sequences(&read_from(&log, &before).0), [5]);
        drop(log);
        let (found, recovery) = reopen(dir.path()).unwrap();
        assert_eq!((found.len() as u64, recovery.cut), (kept + 1, None));
    }
}

#[test]
fn what_is_derived_is_made_anew_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    many_segments(dir.path());
    assert_eq!(reopen(dir.path()).unwrap().1.replayed_frames, 0);
    let partition = dir.path().join("collector");
    let spoils: [(&str, &dyn Fn()); 4] = [
        ("checkpoint", &|| std::fs::remove_file(partition.join("checkpoint")).unwrap()),
        ("checkpoint", &|| flip(&partition.join("checkpoint"), 20)),
        ("index", &|| std::fs::remove_dir_all(partition.join("index")).unwrap()),
        ("end", &|| flip(&partition.join("end"), 3)),
    ];
    for (what, spoil) in spoils {
        spoil();
        let (log, recovery) = crate::common::dir(dir.path()).partition("collector").unwrap();
        assert_eq!(recovery.index_rebuilt, what != "end", "{what}");
        assert_eq!(recovery.replayed_frames, if what == "end" { 0 } else { 12 }, "{what}");
        assert_eq!(log.last("sampler/orders").unwrap().sequence, 12);
        let known = tick(3, vec![sample("app", 3.0)]);
        let done = block(log.append(vec![entry("other", 1, known)])).unwrap();
        assert_eq!(done.duplicate_samples + done.skipped, 1, "{what}");
        // So that each round begins with the same twelve frames and the one of this round.
        drop(log);
        std::fs::remove_dir_all(dir.path()).unwrap();
        many_segments(dir.path());
    }
}
