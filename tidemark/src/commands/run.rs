//! `tidemark run`.

use super::{CommandError, Context};
use crate::cli::RunArgs;
use crate::exit::Exit;

/// Runs it.
pub(crate) fn run(_context: &Context, _args: &RunArgs) -> Result<Exit, CommandError> {
    Err(CommandError::new("`tidemark run` is not built yet"))
}
