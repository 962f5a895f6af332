//! The commands: one file each. This one finds the right one, sets up logs, and turns errors into exit codes.

mod demo;
pub(crate) mod detect;
pub(crate) mod forecast;
mod run;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, GlobalArgs, LogFormat};
use crate::config::{Config, Findings};
use crate::exit::Exit;
use crate::output::{Output, wants_color};

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

    /// The configuration file.
    pub(crate) fn config_path(&self) -> &Path {
        &self.global.config
    }

    /// Whether progress bars are wanted: stderr is a terminal and nobody asked for quiet.
    pub(crate) fn progress(&self) -> bool {
        !self.global.quiet && io::stderr().is_terminal()
    }
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
    if let Err(message) = start_logs(&context.global) {
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
        _ => Err(CommandError::new("not wired yet")),
    }
}

fn tell(error: &CommandError) {
    if let CommandError::Config(findings) = error {
        findings.lines().iter().for_each(|line| eprintln!("{line}"));
    }
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    eprintln!("{text}");
}

/// Logs go to stderr.
fn start_logs(global: &GlobalArgs) -> Result<(), String> {
    let level = if global.quiet { "error" } else { &global.log_level };
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
