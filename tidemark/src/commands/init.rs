//! `tidemark init`: a commented configuration that passes `check` unedited and runs as written, and the example
//! database it samples. Writes nothing over what is there unless told to.

mod example;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::{CommandError, Context};
use crate::cli::InitArgs;
use crate::exit::Exit;

const TEMPLATE: &str = include_str!("init/tidemark.yaml");
/// Name of the example database, as the template has it.
const EXAMPLE: &str = "tidemark-example.db";

/// Writes both files.
pub(crate) fn run(context: &Context, args: &InitArgs) -> Result<Exit, CommandError> {
    let path = args.path.as_deref().unwrap_or(context.config_path());
    let database = path.with_file_name(EXAMPLE);
    for file in [path, &database] {
        if file.exists() && !args.force {
            let message = format!("{} is there already: --force writes over it", file.display());
            return Err(CommandError::new(message));
        }
    }
    let cannot = |file: &Path, error: Box<dyn std::error::Error + Send + Sync>| {
        CommandError::because(format!("cannot write {}", file.display()), error)
    };
    example::write(&database).map_err(|error| cannot(&database, error))?;
    write(path, args.force).map_err(|error| cannot(path, error.into()))?;
    let (shown, file) = (path.display(), database.display());
    context.print_text(&format!(
        "wrote {shown}, and {file} with a made-up week of orders for it to sample\n\n\
         next:\n  tidemark check {shown}\n  tidemark run --config {shown}"
    ))?;
    Ok(Exit::Ok)
}

fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path)?.write_all(TEMPLATE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::findings_of;

    /// The template with every commented-out key in force.
    fn everything() -> String {
        let uncomment = |line: &'static str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with("  ") && !rest.starts_with("   tidemark") => rest,
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        };
        TEMPLATE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_template_is_valid_without_a_warning() {
        assert_eq!(findings_of(TEMPLATE), Vec::<String>::new());
    }

    #[test]
    fn what_the_template_comments_out_is_valid_too() {
        let text = everything();
        assert!(text.contains("\n  - name: pass_rate") && text.contains("\ncalendar:"), "{text}");
        assert_eq!(findings_of(&text), Vec::<String>::new());
    }
}
