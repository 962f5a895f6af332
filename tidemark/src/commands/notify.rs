//! `tidemark notify test`: a test message by every channel of a receiver.

use comfy_table::Cell;

use super::{CommandError, Context, run};
use crate::api::{ChannelTestRow, NOTIFY_TEST, NotifyTestAnswer, NotifyTestRequest};
use crate::cli::{NotifyCommand, Role};
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::{Output, Present, table};

/// Runs it; exit code 1 when a channel failed.
pub(crate) fn run(context: &Context, command: &NotifyCommand) -> Result<Exit, CommandError> {
    let NotifyCommand::Test { receiver } = command;
    let folder = context.data_dir()?;
    let request = NotifyTestRequest { receiver: receiver.clone() };
    let answer: Result<NotifyTestAnswer, ClientError> = run::executor()?.block_on(async {
        Client::need(&folder, Role::Notifier, "notify test")
            .map_err(ClientError::Failed)?
            .post(NOTIFY_TEST, &request)
            .await
    });
    let answer = answer.map_err(CommandError::from)?;
    context.print(&answer)?;
    if answer.channels.is_empty() {
        eprintln!("receiver `{receiver}` has no channel: nothing was sent");
    }
    Ok(if answer.channels.iter().all(|channel| channel.ok) { Exit::Ok } else { Exit::Failure })
}

impl Present for NotifyTestAnswer {
    type Row = ChannelTestRow;

    fn rows(&self) -> &[ChannelTestRow] {
        &self.channels
    }

    fn table(&self, _: Output) -> String {
        if self.channels.is_empty() {
            return String::new();
        }
        let mut table = table(&["channel", "result", "ms", "detail"]);
        for row in &self.channels {
            let result = if row.ok { "sent" } else { "FAILED" };
            table.add_row([
                Cell::new(&row.channel),
                Cell::new(result),
                Cell::new(row.duration_ms),
                Cell::new(&row.detail),
            ]);
        }
        table.to_string()
    }
}
