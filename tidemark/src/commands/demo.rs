//! `tidemark demo`: sets the stage, starts the same runtime as `run`, takes the history in, and lets time go.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{Clock, HumanDuration};

use super::run::{Signals, executor};
use super::{CommandError, Context};
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::demo::{Stage, StageOptions, cycle_length, history_bar};
use crate::exit::Exit;
use crate::runtime::clock::SystemClock;
use crate::runtime::{Running, RuntimeOptions, start};

/// Signals this soon after the first are echoes of it.
const ECHO: Duration = Duration::from_millis(500);

/// Runs until SIGINT or SIGTERM; a second one ends it at once.
pub(crate) fn run(context: &Context, args: &DemoArgs) -> Result<Exit, CommandError> {
    let options = options(args)?;
    executor()?.block_on(play(context, options))
}

fn options(args: &DemoArgs) -> Result<StageOptions, CommandError> {
    let folder = args.data_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("tidemark-demo"));
    let folder = std::path::absolute(&folder)
        .map_err(|error| CommandError::because(format!("cannot use folder {}", folder.display()), error))?;
    let listen = args.listen.replace("localhost", "127.0.0.1");
    let listen: SocketAddr = listen.parse().map_err(|_| {
        let asked = &args.listen;
        CommandError::new(format!(
            "`{asked}` is not an address to listen on: write for example 127.0.0.1:9680"
        ))
    })?;
    Ok(StageOptions { speed: f64::from(args.speed), seed: args.seed, folder, listen })
}

async fn play(context: &Context, options: StageOptions) -> Result<Exit, CommandError> {
    let mut signals = Signals::install()?;
    let machine: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let failed = |error| CommandError::because("the demo cannot be set up", error);
    let mut stage = Stage::set(&options, Arc::clone(&machine)).await.map_err(failed)?;
    let config: PathBuf = stage.config().to_owned();
    let config = Config::load(&config).map_err(|findings| CommandError::Config(Box::new(findings)))?;
    let runtime_options = RuntimeOptions {
        speed: options.speed,
        showcase: Some(stage.showcase()),
        ..RuntimeOptions::new(stage.clock())
    };
    let running = start(config, runtime_options)
        .await
        .map_err(|error| CommandError::because("tidemark did not start", error))?;
    announce(&options, &running, stage.resumed());
    let done = tokio::select! {
        done = live(context, &mut stage, &running, &*machine) => done,
        () = signals.stop() => Ok(()),
    };
    let held_at = stage.hold();
    tokio::select! {
        () = running.stop() => {}
        () = insisted(&mut signals, &*machine) => return Err(CommandError::new("stopped at once by a second signal")),
    }
    stage.take_down(held_at).map_err(failed)?;
    done?;
    say("\nStopped. The next `tidemark demo` goes on from here.\n");
    Ok(Exit::Ok)
}

/// A second signal. One right after the first is the same word said twice: `timeout`, for one, tells the process and
/// its group.
async fn insisted(signals: &mut Signals, machine: &dyn Clock) {
    let echo = machine.sleep(ECHO);
    tokio::pin!(echo);
    loop {
        tokio::select! {
            biased;
            () = &mut echo => break,
            () = signals.stop() => {}
        }
    }
    signals.stop().await;
}

/// Takes the history in, lets time go, and stays until Tidemark cannot go on.
async fn live(
    context: &Context,
    stage: &mut Stage,
    running: &Running,
    machine: &dyn Clock,
) -> Result<(), CommandError> {
    if !stage.resumed() {
        let started = machine.monotonic_now();
        let bar = history_bar(context.progress());
        let failed = |error| CommandError::because("the history cannot be taken in", error);
        let samples = stage.take_in_history(&*running.log(), &bar).await.map_err(failed)?;
        bar.set_message("learning from it");
        running.catch_up().await;
        bar.finish_and_clear();
        let took = machine.monotonic_now().saturating_sub(started).as_secs_f64();
        say(&format!("  History: {samples} samples of 30 days taken in and judged in {took:.1} s.\n"));
    }
    stage.go_live().map_err(|error| CommandError::because("the demo cannot go on", error))?;
    if let Some((mishap, wait)) = stage.next_mishap() {
        say(&format!("  Live. In {:.0} s {mishap}; look at the page.\n", wait.as_secs_f64()));
    }
    Err(CommandError::new(running.failed().await))
}

fn announce(options: &StageOptions, running: &Running, resumed: bool) {
    let StageOptions { speed, folder, .. } = options;
    let begins = if resumed { "It goes on where it stopped." } else { "It begins with 30 days of history." };
    say(&format!(
        "\n  Tidemark demo: a made-up lending business at {speed} times life. {begins}\n\n  \
         Page      http://{address}/   (中文: http://{address}/?lang=zh)\n  \
         Mishaps   orders fall, logins spike, the risk API falls silent, the pass rate sinks:\n            \
         all four every {cycle}; the page tells which is next and whether it was found\n  \
         Messages  mails and webhooks go to catchers of the demo; the page shows them\n  \
         Folder    {folder} (its tidemark.yaml is an ordinary configuration)\n  \
         Stop      Ctrl-C\n\n",
        address = running.address(),
        cycle = HumanDuration::from_secs((cycle_length().as_secs_f64() / speed).round() as u64),
        folder = folder.display(),
    ));
}

/// Tells the person in front of it. Nobody there is no error.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
