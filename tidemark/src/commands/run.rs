//! `tidemark run`: the whole of it, until a signal.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CommandError, Context};
use crate::cli::{Role, RunArgs};
use crate::config::Config;
use crate::exit::Exit;
use crate::runtime::clock::SystemClock;
use crate::runtime::{Roles, Running, RuntimeOptions, start};

/// Runs until SIGTERM or SIGINT; a second one ends it at once.
pub(crate) fn run(context: &Context, args: &RunArgs) -> Result<Exit, CommandError> {
    let checked = Config::check(context.config_path());
    let (config, warnings) = checked.map_err(|findings| CommandError::Config(Box::new(findings)))?;
    warnings.lines().iter().take(WARNINGS).for_each(|warning| tracing::warn!("{warning}"));
    let roles = Roles::of(&args.role).map_err(CommandError::new)?;
    if args.listen.is_some() && roles.has(Role::Console) {
        return Err(CommandError::new("role `console` listens on `http.listen`: leave `--listen` out"));
    }
    let runtime = executor()?;
    let ended = runtime.block_on(async {
        let signals = Signals::install()?;
        let options = RuntimeOptions {
            roles,
            listen: args.listen.clone(),
            ..RuntimeOptions::new(Arc::new(SystemClock::new()))
        };
        let metrics = config.samplers().len();
        let running =
            start(config, options).await.map_err(|e| CommandError::because("tidemark did not start", e))?;
        tracing::info!(samplers = metrics, "running: http://{}/", running.address());
        until_told(running, signals).await
    });
    // A file system that hangs must not keep the process.
    runtime.shutdown_timeout(LAST_GRACE);
    ended
}

/// Most warnings of the configuration that are logged; `check` shows all.
const WARNINGS: usize = 10;

/// How long threads that hang in the file system may take to end once everything else has.
pub(crate) const LAST_GRACE: Duration = Duration::from_secs(2);

/// The executor of a long-running command.
pub(crate) fn executor() -> Result<tokio::runtime::Runtime, CommandError> {
    // Installed once; a second time is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::because("cannot start the executor", error))
}

/// The signals a running process answers to.
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; installed before anything is started, so that none is lost.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn install() -> Result<Self, CommandError> {
        let take = |kind| signal(kind).map_err(|error| CommandError::because("cannot take signals", error));
        Ok(Self {
            hangup: take(SignalKind::hangup())?,
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Completes at SIGTERM or SIGINT.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Keeps it running until a signal, reloading at SIGHUP; then stops it in order.
///
/// # Errors
/// When it could not go on by itself.
pub(crate) async fn until_told(running: Running, mut signals: Signals) -> Result<Exit, CommandError> {
    let gave_up = loop {
        tokio::select! {
            _ = signals.hangup.recv() => running.reload(),
            _ = signals.terminate.recv() => break None,
            _ = signals.interrupt.recv() => break None,
            why = running.failed() => break Some(why),
        }
    };
    tokio::select! {
        () = running.stop() => {}
        () = signals.stop() => return Err(CommandError::new("stopped at once by a second signal")),
    }
    gave_up.map_or(Ok(Exit::Ok), |why| Err(CommandError::new(why)))
}
