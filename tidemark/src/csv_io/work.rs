//! Which files become which, and doing them on all cores with progress.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;

use super::CsvError;

/// Folders deeper than this are not looked into, so that a loop of links ends.
const MAX_DEPTH: usize = 32;

/// One file to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// Where it is.
    pub(crate) input: PathBuf,
    /// Where its result goes.
    pub(crate) output: PathBuf,
    /// Its size on the disk.
    pub(crate) bytes: u64,
}

/// How all of it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Files that failed, each already reported.
    pub(crate) failed: usize,
}

/// The files of `input`, a file or a folder, and where their results go: same relative path and extension.
///
/// # Errors
/// When the input cannot be read, holds no CSV file, or would be replaced.
pub(crate) fn jobs(input: &Path, output: &Path) -> Result<Vec<Job>, CsvError> {
    let failed = |source| CsvError::Read { path: input.to_owned(), source };
    let meta = std::fs::metadata(input).map_err(failed)?;
    let mut all = Vec::new();
    if meta.is_dir() {
        let skip = output.canonicalize().ok();
        walk(input, output, skip.as_deref(), MAX_DEPTH, &mut all)?;
    } else {
        let inside = output.is_dir() || output.as_os_str().to_string_lossy().ends_with('/');
        let name = input.file_name().unwrap_or_default();
        let output = if inside { output.join(name) } else { output.to_owned() };
        all.push(Job { input: input.to_owned(), output, bytes: meta.len() });
    }
    if all.is_empty() {
        return Err(CsvError::Nothing { path: input.to_owned() });
    }
    if let Some(job) = all.iter().find(|job| same(&job.input, &job.output)) {
        return Err(CsvError::Same { path: job.input.clone() });
    }
    // The largest first, so that the last core to finish is not far behind.
    all.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.input.cmp(&b.input)));
    Ok(all)
}

fn same(input: &Path, output: &Path) -> bool {
    matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn walk(
    from: &Path,
    to: &Path,
    skip: Option<&Path>,
    depth: usize,
    all: &mut Vec<Job>,
) -> Result<(), CsvError> {
    let failed = |source| CsvError::Read { path: from.to_owned(), source };
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.is_dir() {
            let results = skip.is_some() && path.canonicalize().ok().as_deref() == skip;
            if depth > 0 && !results {
                walk(&path, &target, skip, depth - 1, all)?;
            }
        } else if is_csv(&path) {
            all.push(Job { input: path, output: target, bytes: meta.len() });
        }
    }
    Ok(())
}

fn is_csv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    !name.starts_with('.') && (name.ends_with(".csv") || name.ends_with(".csv.gz"))
}

/// Does every job, on `threads` cores (0 = all), with a bar on stderr unless `quiet` or stderr is no terminal.
/// `work` gives the number of rows. What fails is reported on stderr and the others go on.
///
/// # Errors
/// When threads cannot be started.
pub(crate) fn run_all(
    jobs: &[Job],
    threads: usize,
    quiet: bool,
    work: impl Fn(&Job, &ProgressBar) -> Result<u64, CsvError> + Sync,
) -> Result<Outcome, CsvError> {
    let bar = progress(jobs.iter().map(|job| job.bytes).sum(), quiet);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| CsvError::Threads { threads, source })?;
    let (rows, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let one = |job: &Job| match work(job, &bar) {
        Ok(done) => _ = rows.fetch_add(done, Ordering::Relaxed),
        Err(error) => {
            failed.fetch_add(1, Ordering::Relaxed);
            bar.suspend(|| eprintln!("error: {error}"));
        }
    };
    pool.install(|| jobs.par_iter().with_max_len(1).for_each(one));
    let (took, rows) = (bar.elapsed(), rows.into_inner());
    bar.finish_and_clear();
    let failed = usize::try_from(failed.into_inner()).unwrap_or(usize::MAX);
    if !quiet {
        let speed = (rows as f64 / took.as_secs_f64().max(1e-3)) as u64;
        let done = jobs.len() - failed;
        eprintln!(
            "{done} of {} files, {} rows in {:.1?} ({} rows/s)",
            jobs.len(),
            HumanCount(rows),
            took,
            HumanCount(speed)
        );
    }
    Ok(Outcome { failed })
}

fn progress(bytes: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let style = "{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
