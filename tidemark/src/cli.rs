//! The command line.
//!
//! Results go to stdout, logs and progress to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 78 invalid configuration;
//! `check` also gives 3 (findings) and 4 (unreachable).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use model::{HumanDuration, Timestamp};

use crate::commands::detect::DetectArgs;
use crate::commands::forecast::ForecastArgs;

/// Watches business numbers and tells the right person when one of them leaves its normal course.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, propagate_version = true, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tidemark demo                         see it all work, in one minute, with nothing installed
  tidemark init && tidemark run         start with a configuration of your own
  tidemark check --online               find every mistake, try every source and receiver
  tidemark sample orders --once         what one sampling of `orders` brings, without storing it
  tidemark backtest orders --since 30d  what the last 30 days would have sent

Exit codes: 0 ok, 1 failure, 2 usage, 78 invalid configuration; check: 3 findings, 4 unreachable.";

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "tidemark.yaml", env = "TIDEMARK_CONFIG",
        value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
    /// How results are printed.
    #[arg(short = 'o', long = "format", global = true, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,collector=debug`. Default: info, of
    /// `demo` warn.
    #[arg(long, global = true, value_name = "FILTER", env = "TIDEMARK_LOG")]
    pub(crate) log_level: Option<String>,
    /// How logs are written.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Log only errors and show no progress.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON document a line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run: sample, store, judge and notify until stopped.
    Run(RunArgs),
    /// See the whole of it work on a made-up lending business.
    Demo(DemoArgs),
    /// Write a commented configuration that runs as written.
    Init(InitArgs),
    /// Find every mistake in the configuration.
    Check(CheckArgs),
    /// Ask a source once and show what it answers; stores nothing.
    Sample(SampleArgs),
    /// Tell the running process to read its configuration again.
    Reload,
    /// Say whether the running process is ready; exit code 0 when it is, 1 when not. For health checks.
    Ready,
    /// Replay stored history through the engine: what would have been sent.
    Backtest(BacktestArgs),
    /// Judge CSV files.
    Detect(DetectArgs),
    /// Forecast CSV files.
    Forecast(ForecastArgs),
    /// Notifications.
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Tell why an alert is what it is.
    Explain(ExplainArgs),
    /// Alerts.
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// Replicas of the time-series database.
    #[command(subcommand)]
    Replicas(ReplicasCommand),
    /// Metrics.
    #[command(subcommand)]
    Metrics(MetricsCommand),
    /// Print shell completions.
    Completions(CompletionsArgs),
    /// Print the manual, or write its pages into a folder.
    Man(ManArgs),
    /// Print the JSON schema of the configuration.
    Schema,
}

/// What `run` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
SIGHUP or `tidemark reload` reads the configuration again; a bad one is refused and the old one goes on.
SIGTERM or Ctrl-C stops sampling, lets deliveries in flight end within `shutdown_timeout`, and keeps the rest.")]
pub(crate) struct RunArgs {
    /// Roles of this process; default: all of them.
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    pub(crate) role: Vec<Role>,
    /// Where a process without role `console` serves its health and metrics; default: a free port of 127.0.0.1. The
    /// console listens on `http.listen`.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "role")]
    pub(crate) listen: Option<String>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Asks sources.
    Collector,
    /// Writes and reads the time-series stores.
    Store,
    /// Judges.
    Detector,
    /// Sends messages.
    Notifier,
    /// Serves pages and the API.
    Console,
}

impl Role {
    /// Its name, as on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Store => "store",
            Self::Detector => "detector",
            Self::Notifier => "notifier",
            Self::Console => "console",
        }
    }
}

/// What `demo` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many times faster than life; 1 is real time.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) speed: u32,
    /// Seed of the made-up business: the same seed gives the same numbers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Folder for its data; default: a folder `tidemark-demo` in the system's folder for temporary files.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of its page.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9680")]
    pub(crate) listen: String,
}

/// What `init` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write; default: `--config`.
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) path: Option<PathBuf>,
    /// Write over what is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `check` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes, the first that applies: 78 the file has an error, 4 something could not be reached (--online),
3 the file has warnings or something that answered is wrong (--online), 0 all is well.")]
pub(crate) struct CheckArgs {
    /// The file to check; default: `--config`.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Also try every source, store and receiver.
    #[arg(long)]
    pub(crate) online: bool,
}

/// What `sample` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark sample orders --once
  tidemark sample orders --once --at 2026-03-01T09:00:00+08:00")]
pub(crate) struct SampleArgs {
    /// The metric.
    #[arg(value_name = "METRIC")]
    pub(crate) metric: String,
    /// Ask once; the only way so far, and said aloud because `run` is what samples for good.
    #[arg(long, required = true)]
    pub(crate) once: bool,
    /// The window that holds this instant (RFC 3339); default: the last one that is due.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) at: Option<Timestamp>,
}

/// What `backtest` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The settings are those of the configuration file, so edit it, replay, and reload when content. A duration counts from
the running process' time, or from the newest stored window when none runs. Everything stored before is replayed first,
so that limits are what they were; --warm-up shortens that, and alerts near a limit may then differ.

Examples:
  tidemark backtest orders --since 30d
  tidemark backtest orders --since 2026-03-01T00:00:00Z -o json")]
pub(crate) struct BacktestArgs {
    /// The metric.
    #[arg(value_name = "METRIC")]
    pub(crate) metric: String,
    /// From when: a duration such as 30d, or a time (RFC 3339).
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: Since,
    /// How much of what is stored before is learned from first; default: all of it.
    #[arg(long, value_name = "DURATION")]
    pub(crate) warm_up: Option<HumanDuration>,
}

/// A time, or a duration before now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Since {
    /// That long ago.
    Ago(HumanDuration),
    /// At that time.
    At(Timestamp),
}

impl Since {
    /// The instant, seen from `now`.
    pub(crate) fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now - ago.0,
            Self::At(at) => at,
        }
    }
}

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ago(ago) => ago.fmt(f),
            Self::At(at) => at.fmt(f),
        }
    }
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ago) = text.parse() {
            return Ok(Self::Ago(ago));
        }
        let wrong =
            |_| format!("`{text}` is neither a duration such as 30d nor a time such as 2026-03-01T09:00:00Z");
        Timestamp::parse_rfc3339(text).map(Self::At).map_err(wrong)
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .map_err(|_| format!("`{text}` is not a time: write for example 2026-03-01T09:00:00+08:00"))
}

/// Commands on notifications.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a test message by every channel of a receiver.
    Test {
        /// The receiver.
        #[arg(long, value_name = "NAME")]
        receiver: String,
    },
}

/// What `explain` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The alert's id, as in messages and `tidemark alerts ls`; its first letters do when they are clear.
    #[arg(value_name = "ALERT")]
    pub(crate) alert: String,
}

/// Commands on alerts.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts.
    Ls(AlertsLsArgs),
    /// Acknowledge an alert: somebody has it in hand. It is not repeated until it gets worse, and calls that were not
    /// made yet are dropped.
    Ack {
        /// The alert's id, as in messages and `tidemark alerts ls`; its first letters do when they are clear.
        #[arg(value_name = "ALERT")]
        alert: String,
        /// Who has it; default the name of the user.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

/// What `alerts ls` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct AlertsLsArgs {
    /// Only those in this state.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<AlertStateArg>,
    /// Only those that changed since: a duration such as 1d, or a time (RFC 3339).
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Since>,
    /// At most so many, the last changed first.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
}

/// States by which alerts can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlertStateArg {
    /// Outside, not yet often enough.
    Pending,
    /// Firing.
    Firing,
    /// Over.
    Resolved,
}

impl AlertStateArg {
    /// As it stands in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Commands on metrics.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MetricsCommand {
    /// List metrics and how their series stand.
    Ls,
}

/// `tidemark replicas`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReplicasCommand {
    /// List the replicas of the running process and how each stands.
    Ls,
    /// Accept that a replica lacks numbers no other one has any more: it is read again as it is.
    Accept {
        /// Its name.
        replica: String,
    },
}

/// What `completions` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// What `man` takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page a command into this folder instead.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}
