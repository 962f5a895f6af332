//! `tidemark check`: every mistake in the configuration at once; with `--online` every source, store and receiver is
//! tried too.
//!
//! Findings go to stderr as `FILE:LINE:COL: error: ..`, on a terminal with the line and a caret; `-o json` gives them
//! on stdout instead. Nothing is stored and no message is sent.

mod online;

use std::io::IsTerminal;
use std::path::Path;

use comfy_table::Cell;
use serde::Serialize;

use self::online::Trial;
use super::{CommandError, Context};
use crate::cli::{CheckArgs, OutputFormat};
use crate::config::{Config, Findings, Level};
use crate::exit::Exit;
use crate::output::{Output, Present, counted, table};

/// What `check` found.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    valid: bool,
    errors: usize,
    warnings: usize,
    findings: Vec<Row>,
}

/// One finding of the file, or one trial of `--online`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Row {
    Finding { file: String, line: usize, column: usize, level: Level, message: String },
    Trial(Trial),
}

/// Checks.
pub(crate) fn run(context: &Context, args: &CheckArgs) -> Result<Exit, CommandError> {
    let path = args.file.as_deref().unwrap_or(context.config_path());
    let (config, findings) = match Config::check(path) {
        Ok((config, findings)) => (Some(config), findings),
        Err(findings) => (None, findings),
    };
    let people = context.output.format == OutputFormat::Table;
    if people {
        eprint!("{}", findings.shown(std::io::stderr().is_terminal()));
    }
    let trials = match &config {
        Some(config) if args.online => online::try_all(context, config)?,
        _ => Vec::new(),
    };
    let exit = exit_code(&findings, &trials);
    let passed = args.online.then(|| passed(&trials));
    context.print(&report(path, &findings, trials))?;
    if let Some(config) = config.filter(|_| people) {
        context.print_text(&summary(path, &config, findings.warnings(), passed.as_deref()))?;
    }
    Ok(exit)
}

fn exit_code(findings: &Findings, trials: &[Trial]) -> Exit {
    if findings.errors() > 0 {
        Exit::Config
    } else if trials.iter().any(|trial| trial.is_unreachable()) {
        Exit::Unreachable
    } else if findings.warnings() > 0 || trials.iter().any(|trial| !trial.is_ok()) {
        Exit::Findings
    } else {
        Exit::Ok
    }
}

/// How the trials went as a whole.
fn passed(trials: &[Trial]) -> String {
    let (all, bad) = (trials.len(), trials.iter().filter(|trial| !trial.is_ok()).count());
    if bad == 0 { format!("all {all} passed") } else { format!("{bad} of {all} did not pass") }
}

fn summary(path: &Path, config: &Config, warnings: usize, online: Option<&str>) -> String {
    let file = config.file();
    let parts = [
        counted(file.sources.len(), "source"),
        counted(config.judging().len(), "metric"),
        counted(file.receivers.len(), "receiver"),
        counted(warnings, "warning"),
    ];
    let online = online.map_or_else(String::new, |online| format!("; online: {online}"));
    format!("{} is valid: {}{online}", path.display(), parts.join(", "))
}

fn report(path: &Path, findings: &Findings, trials: Vec<Trial>) -> Report {
    let file = path.display().to_string();
    let rows = findings.all.iter().map(|finding| Row::Finding {
        file: file.clone(),
        line: finding.place.line,
        column: finding.place.column,
        level: finding.level,
        message: finding.message.clone(),
    });
    let rows = rows.collect::<Vec<_>>().into_iter().chain(trials.into_iter().map(Row::Trial)).collect();
    Report {
        valid: findings.errors() == 0,
        errors: findings.errors(),
        warnings: findings.warnings(),
        findings: rows,
        file,
    }
}

impl Present for Report {
    type Row = Row;

    fn rows(&self) -> &[Row] {
        &self.findings
    }

    /// The trials; findings of the file went to stderr.
    fn table(&self, _: Output) -> String {
        let mut table = table(&["", "name", "result", "ms", "detail"]);
        for row in &self.findings {
            if let Row::Trial(trial) = row {
                table.add_row([
                    Cell::new(trial.kind),
                    Cell::new(&trial.name),
                    Cell::new(trial.outcome.word()),
                    Cell::new(trial.duration_ms),
                    Cell::new(&trial.detail),
                ]);
            }
        }
        if table.is_empty() { String::new() } else { table.to_string() }
    }
}
