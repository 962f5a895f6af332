//! The commands: one file each. This one finds the right one, sets up logs, and turns errors into exit codes.

mod alerts;
mod backtest;
mod check;
mod demo;
pub(crate) mod detect;
mod docs;
pub(crate) mod forecast;
mod init;
mod metrics;
mod notify;
mod offline;
mod ready;
mod reload;
mod replicas;
mod run;
mod sample;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use detector::settings::Settings;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::cli::{AlertsCommand, Cli, Command, GlobalArgs, LogFormat, MetricsCommand};
use crate::config::{Config, Findings, hint};
use crate::exit::Exit;
use crate::output::{Output, Present, wants_color};

/// What every command gets.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Options of every command.
    pub(crate) global: GlobalArgs,
    /// Where results go.
    pub(crate) output: Output,
}

impl Context {
    /// The configuration named on the command line.
    ///
    /// # Errors
    /// [`CommandError::Config`] with everything wrong with it.
    pub(crate) fn config(&self) -> Result<Config, CommandError> {
        Config::load(&self.global.config).map_err(|findings| CommandError::Config(Box::new(findings)))
    }

    /// The data folder the configuration names, whatever else is wrong in it.
    ///
    /// # Errors
    /// [`CommandError::Config`] when the file cannot be read as YAML.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, CommandError> {
        Config::data_dir_of(&self.global.config).map_err(|findings| CommandError::Config(Box::new(findings)))
    }

    /// Prints a result of several rows.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn print<T: Present>(&self, result: &T) -> Result<(), CommandError> {
        self.output.print(result).map_err(CommandError::stdout)
    }

    /// Prints a result of one piece: `words` makes the text for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn print_one<T: Serialize>(
        &self,
        result: &T,
        words: impl FnOnce(&T) -> String,
    ) -> Result<(), CommandError> {
        self.output.print_one(result, words).map_err(CommandError::stdout)
    }

    /// Prints text as it is.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn print_text(&self, text: &str) -> Result<(), CommandError> {
        self.output.text(text).map_err(CommandError::stdout)
    }

    /// The configuration file.
    pub(crate) fn config_path(&self) -> &Path {
        &self.global.config
    }

    /// Whether progress bars are wanted: stderr is a terminal and nobody asked for quiet.
    pub(crate) fn progress(&self) -> bool {
        !self.global.quiet && io::stderr().is_terminal()
    }
}

/// The error of a metric that the configuration does not have; a name of several values leads to each of them.
fn unknown_metric(name: &str, all: &[Arc<Settings>]) -> CommandError {
    let names: Vec<&str> = all.iter().map(|settings| &*settings.metric).collect();
    let is_value = |metric: &&&str| metric.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let values: Vec<String> = names.iter().filter(is_value).map(|metric| format!("`{metric}`")).collect();
    let hint = if values.is_empty() {
        hint(name, &names)
    } else {
        format!(", did you mean {}? it has several values", values.join(" or "))
    };
    CommandError::new(format!("unknown metric `{name}`{hint}"))
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The configuration has errors: exit code 78.
    #[error("configuration is invalid")]
    Config(Box<Findings>),
    /// The command could not do its work: exit code 1.
    #[error("{message}")]
    Failed {
        /// What failed and on what; lower case, no full stop.
        message: String,
        /// Why.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl CommandError {
    /// A failure that says all.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), source: None }
    }

    /// A failure and its cause.
    pub(crate) fn because(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { message: message.into(), source: Some(source.into()) }
    }

    fn stdout(error: io::Error) -> Self {
        Self::because("cannot write the result", error)
    }

    /// Its exit code.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Config,
            Self::Failed { .. } => Exit::Failure,
        }
    }
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context {
        output: Output { format: cli.global.output, color: wants_color(cli.global.color, &io::stdout()) },
        global: cli.global,
    };
    let level = if matches!(cli.command, Command::Demo(_)) { "warn" } else { "info" };
    if let Err(message) = start_logs(&context.global, level) {
        eprintln!("error: {message}");
        return Exit::Usage.into();
    }
    match dispatch(&context, &cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            tell(&error);
            error.exit().into()
        }
    }
}

fn dispatch(context: &Context, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run(args) => run::run(context, args),
        Command::Demo(args) => demo::run(context, args),
        Command::Detect(args) => detect::run(context, args),
        Command::Forecast(args) => forecast::run(context, args),
        Command::Init(args) => init::run(context, args),
        Command::Check(args) => check::run(context, args),
        Command::Sample(args) => sample::run(context, args),
        Command::Reload => reload::run(context),
        Command::Ready => ready::run(context),
        Command::Backtest(args) => backtest::run(context, args),
        Command::Notify(command) => notify::run(context, command),
        Command::Explain(args) => alerts::explain(context, args),
        Command::Alerts(AlertsCommand::Ls(args)) => alerts::ls(context, args),
        Command::Alerts(AlertsCommand::Ack { alert, by }) => {
            alerts::acknowledge(context, alert, by.as_deref())
        }
        Command::Replicas(command) => replicas::run(context, command),
        Command::Metrics(MetricsCommand::Ls) => metrics::ls(context),
        Command::Completions(args) => docs::completions(context, args),
        Command::Man(args) => docs::man(context, args),
        Command::Schema => docs::schema(context),
    }
}

fn tell(error: &CommandError) {
    if let CommandError::Config(findings) = error {
        eprint!("{}", findings.shown(io::stderr().is_terminal()));
    }
    eprintln!("error: {}", model::causes(error));
}

/// Logs go to stderr.
fn start_logs(global: &GlobalArgs, default: &str) -> Result<(), String> {
    let level = if global.quiet { "error" } else { global.log_level.as_deref().unwrap_or(default) };
    let filter = EnvFilter::try_new(level).map_err(|error| format!("--log-level `{level}`: {error}"))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(wants_color(global.color, &io::stderr()));
    match global.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_several_values_leads_to_each_of_them() {
        let names = ["loans.count", "loans.amount", "logins"];
        let all: Vec<_> = names.into_iter().map(|name| Arc::new(Settings::shipped(name))).collect();
        let said = |name: &str| unknown_metric(name, &all).to_string();
        insta::assert_snapshot!(said("loans"), @"unknown metric `loans`, did you mean `loans.count` or `loans.amount`? it has several values");
        insta::assert_snapshot!(said("login"), @"unknown metric `login`, did you mean `logins`? (valid: loans.count, loans.amount, logins)");
    }
}
