//! `tidemark reload`: the running processes read their configuration again.

use model::causes;
use serde::Serialize;

use super::{CommandError, Context, run};
use crate::api::{RELOAD, ReloadAnswer, ReloadRefused};
use crate::client::{Client, ClientError};
use crate::exit::Exit;

/// Reloads in every process of the folder; exit code 78 when one refused, and the old configuration goes on there, 1
/// when one could not be asked.
pub(crate) fn run(context: &Context) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let reloads = run::executor()?.block_on(async {
        let mut processes = Vec::new();
        for client in Client::all(&folder, "reload")? {
            processes.push(one(&client).await);
        }
        Ok::<_, CommandError>(Reloads { processes })
    })?;
    context.print_one(&reloads, Reloads::in_words)?;
    reloads.complaints().iter().for_each(|line| eprintln!("{line}"));
    Ok(reloads.exit())
}

async fn one(client: &Client) -> ProcessReload {
    let note = client.note();
    let outcome = match client.post::<ReloadAnswer>(RELOAD, &()).await {
        Ok(answer) => Outcome::Done(answer),
        Err(ClientError::Refused(refused)) => Outcome::Refused(refused),
        Err(ClientError::Failed(error)) => Outcome::Failed { error: causes(&error) },
    };
    ProcessReload { pid: note.pid, roles: note.roles.clone(), outcome }
}

/// What came of it, process by process.
#[derive(Serialize)]
struct Reloads {
    processes: Vec<ProcessReload>,
}

#[derive(Serialize)]
struct ProcessReload {
    pid: u32,
    roles: Vec<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Done(ReloadAnswer),
    Refused(ReloadRefused),
    Failed { error: String },
}

impl Reloads {
    /// Those that reloaded, a line each; named by their roles where there are several processes.
    fn in_words(&self) -> String {
        let line = |process: &ProcessReload| {
            let Outcome::Done(answer) = &process.outcome else { return None };
            let who = self.who(process).map(|roles| format!("{roles}: ")).unwrap_or_default();
            Some(match answer.changed {
                true => format!("{who}reloaded: revision {} runs now", answer.revision),
                false => format!("{who}nothing changed: revision {} runs on", answer.revision),
            })
        };
        self.processes.iter().filter_map(line).collect::<Vec<_>>().join("\n")
    }

    /// Warnings and errors; what several processes say is said once.
    fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for process in &self.processes {
            let roles = self.who(process);
            let at = roles.map(|roles| format!(" by {roles}")).unwrap_or_default();
            match &process.outcome {
                Outcome::Done(answer) => lines.extend(answer.warnings.iter().cloned()),
                Outcome::Refused(refused) => {
                    lines.extend(refused.errors.iter().cloned());
                    lines.push(format!("error: the configuration was refused{at}; the old one goes on"));
                }
                Outcome::Failed { error } => lines.push(format!("error: {error}")),
            }
        }
        let mut seen = std::collections::HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        lines
    }

    fn who(&self, process: &ProcessReload) -> Option<String> {
        (self.processes.len() > 1).then(|| process.roles.join(", "))
    }

    fn exit(&self) -> Exit {
        let any = |is: fn(&Outcome) -> bool| self.processes.iter().any(|process| is(&process.outcome));
        if any(|outcome| matches!(outcome, Outcome::Refused(_))) {
            Exit::Config
        } else if any(|outcome| matches!(outcome, Outcome::Failed { .. })) {
            Exit::Failure
        } else {
            Exit::Ok
        }
    }
}
