//! `tidemark replicas ls` and `tidemark replicas accept`: how the replicas stand, and reading one again that lacks what
//! nobody has any more.

use comfy_table::Cell;

use super::{CommandError, Context, run};
use crate::api::{AcceptAnswer, REPLICAS, ReplicaList, ReplicaRow};
use crate::cli::{ReplicasCommand, Role};
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, Present, table};

/// Runs it.
pub(crate) fn run(context: &Context, command: &ReplicasCommand) -> Result<Exit, CommandError> {
    let folder = context.data_dir()?;
    let executor = run::executor()?;
    match command {
        ReplicasCommand::Ls => {
            let list = executor.block_on(async {
                Client::need(&folder, Role::Store, "replicas ls")?.get::<ReplicaList>(REPLICAS, &[]).await
            })?;
            context.print(&list)?;
        }
        ReplicasCommand::Accept { replica } => {
            let path = format!("{REPLICAS}/{replica}/accept");
            let answer = executor.block_on(async {
                let client = Client::need(&folder, Role::Store, "replicas accept")?;
                client.post::<AcceptAnswer>(&path, &()).await.map_err(CommandError::from)
            })?;
            context.print_one(&answer, |answer| {
                format!("replica `{}` is read again; what it lacks stays missing in it", answer.replica)
            })?;
        }
    }
    Ok(Exit::Ok)
}

impl Present for ReplicaList {
    type Row = ReplicaRow;

    fn rows(&self) -> &[ReplicaRow] {
        &self.replicas
    }

    fn table(&self, _: Output) -> String {
        let mut table = table(&["replica", "state", "behind", "reaches", "lacks", "detail"]);
        for row in &self.replicas {
            let lacks = row.lacks_from.zip(row.lacks_to).map(|(from, to)| format!("{from} to {to}"));
            table.add_row([
                Cell::new(&row.replica),
                Cell::new(&row.state),
                Cell::new(row.lag_secs.map_or_else(String::new, |secs| format!("{secs} s"))),
                Cell::new(row.reach.map_or_else(String::new, |at| at.to_string())),
                Cell::new(lacks.unwrap_or_default()),
                Cell::new(&row.detail),
            ]);
        }
        table.to_string()
    }
}
