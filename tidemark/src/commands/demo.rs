//! `tidemark demo`.

use super::{CommandError, Context};
use crate::cli::DemoArgs;
use crate::exit::Exit;

/// Runs it.
pub(crate) fn run(_context: &Context, _args: &DemoArgs) -> Result<Exit, CommandError> {
    Err(CommandError::new("`tidemark demo` is not built yet"))
}
