//! `tidemark reload`: the running process reads its configuration again.

use super::{CommandError, Context, run};
use crate::api::{RELOAD, ReloadAnswer};
use crate::cli::OutputFormat;
use crate::client::{Client, ClientError};
use crate::exit::Exit;

/// Reloads; exit code 78 when the process refused, and the old configuration goes on.
pub(crate) fn run(context: &Context) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let answer = run::executor()?.block_on(async {
        Client::need(&folder, "reload").map_err(ClientError::Failed)?.post::<ReloadAnswer>(RELOAD, &()).await
    });
    match answer {
        Ok(answer) => {
            answer.warnings.iter().for_each(|line| eprintln!("{line}"));
            context.print_one(&answer, |answer| match answer.changed {
                true => format!("reloaded: revision {} runs now", answer.revision),
                false => format!("nothing changed: revision {} runs on", answer.revision),
            })?;
            Ok(Exit::Ok)
        }
        Err(ClientError::Refused(refused)) => {
            if context.output.format != OutputFormat::Table {
                context.print_one(&refused, |_| String::new())?;
            }
            refused.errors.iter().for_each(|line| eprintln!("{line}"));
            eprintln!("error: the configuration was refused; the old one goes on");
            Ok(Exit::Config)
        }
        Err(ClientError::Failed(error)) => Err(error),
    }
}
