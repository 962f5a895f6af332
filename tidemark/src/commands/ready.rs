//! `tidemark ready`: whether the running process is ready, for health checks of containers and service managers.

use super::{CommandError, Context, run};
use crate::api::Readiness;
use crate::client::Client;
use crate::exit::Exit;

/// Asks; exit code 1 when a part is not ready or no process runs.
pub(crate) fn run(context: &Context) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let readiness = run::executor()?.block_on(async { Client::need(&folder, "ready")?.readiness().await })?;
    context.print_one(&readiness, in_words)?;
    Ok(if readiness.ready { Exit::Ok } else { Exit::Failure })
}

fn in_words(readiness: &Readiness) -> String {
    if readiness.ready {
        return format!("ready: {} parts run", readiness.parts.len());
    }
    let not = readiness.parts.iter().filter(|part| !part.ready);
    let not: Vec<_> = not.map(|part| format!("{}: {}", part.part, part.detail)).collect();
    format!("not ready: {}", not.join("; "))
}
