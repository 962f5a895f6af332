//! `tidemark ready`: whether the running processes are ready, for health checks of containers and service managers.

use model::causes;
use serde::Serialize;

use super::{CommandError, Context, run};
use crate::api::{PartReadiness, Readiness};
use crate::client::Client;
use crate::exit::Exit;

/// Asks every process of the folder; exit code 1 when a part of one is not ready, one does not answer, or none runs.
pub(crate) fn run(context: &Context) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let ready = run::executor()?.block_on(async {
        let mut processes = Vec::new();
        for client in Client::all(&folder, "ready")? {
            processes.push(ask(&client).await);
        }
        let ready = processes.iter().all(|process| process.readiness.ready);
        Ok::<_, CommandError>(Ready { ready, processes })
    })?;
    context.print_one(&ready, Ready::in_words)?;
    Ok(if ready.ready { Exit::Ok } else { Exit::Failure })
}

async fn ask(client: &Client) -> ProcessReady {
    let note = client.note();
    let readiness = client.readiness().await.unwrap_or_else(|error| {
        let part = PartReadiness { part: "listener".into(), ready: false, detail: causes(&error) };
        Readiness { ready: false, parts: vec![part] }
    });
    ProcessReady { pid: note.pid, address: note.address.clone(), roles: note.roles.clone(), readiness }
}

/// How ready the processes of a folder are.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    processes: Vec<ProcessReady>,
}

#[derive(Serialize)]
struct ProcessReady {
    pid: u32,
    address: String,
    roles: Vec<String>,
    #[serde(flatten)]
    readiness: Readiness,
}

impl Ready {
    /// A line a process; named by roles and address where there are several.
    fn in_words(&self) -> String {
        let line = |process: &ProcessReady| match self.processes.len() {
            1 => in_words(&process.readiness),
            _ => format!(
                "{} at {}: {}",
                process.roles.join(", "),
                process.address,
                in_words(&process.readiness)
            ),
        };
        self.processes.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn in_words(readiness: &Readiness) -> String {
    let not = readiness.parts.iter().filter(|part| !part.ready);
    let not: Vec<_> = not.map(|part| format!("{}: {}", part.part, part.detail)).collect();
    let running = match readiness.parts.len() - not.len() {
        1 => "1 part runs".to_owned(),
        several => format!("{several} parts run"),
    };
    match (readiness.ready, not.is_empty()) {
        (true, true) => format!("ready: {running}"),
        (true, false) => format!("ready: {running}, but {}", not.join("; ")),
        (false, _) => format!("not ready: {}", not.join("; ")),
    }
}
