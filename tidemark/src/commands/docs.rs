//! `tidemark completions`, `man` and `schema`: what Tidemark says of itself.

use std::io;
use std::path::Path;

use clap::CommandFactory;

use super::{CommandError, Context};
use crate::cli::{Cli, CompletionsArgs, ManArgs, OutputFormat};
use crate::config::schema as config_schema;
use crate::exit::Exit;

/// Prints shell completions.
pub(crate) fn completions(context: &Context, args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidemark", &mut script);
    context.print_text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Prints the manual, or writes one page a command.
pub(crate) fn man(context: &Context, args: &ManArgs) -> Result<Exit, CommandError> {
    let mut command = Cli::command();
    command.build();
    match &args.dir {
        Some(dir) => {
            let count = pages(&command, dir).map_err(|error| {
                CommandError::because(format!("cannot write into {}", dir.display()), error)
            })?;
            context.print_text(&format!("{count} pages written to {}", dir.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|error| CommandError::because("cannot render the manual", error))?;
            context.print_text(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Ok)
}

/// Writes a command's page and those of its subcommands; gives how many.
fn pages(command: &clap::Command, dir: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let man = clap_mangen::Man::new(command.clone());
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut page = Vec::new();
    man.render(&mut page)?;
    std::fs::write(dir.join(format!("{name}.1")), page)?;
    let mut count = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        count += pages(inner, dir)?;
    }
    Ok(count)
}

/// Prints the JSON schema of the configuration.
pub(crate) fn schema(context: &Context) -> Result<Exit, CommandError> {
    let schema = config_schema();
    let text = match context.output.format {
        OutputFormat::Table | OutputFormat::Json => serde_json::to_string_pretty(&schema),
        OutputFormat::Ndjson => serde_json::to_string(&schema),
    };
    context.print_text(&text.map_err(|error| CommandError::because("cannot write the schema", error))?)?;
    Ok(Exit::Ok)
}
