//! Tidemark: the command line, the configuration, and the one place where everything is wired together.

mod answers;
mod api;
mod cli;
mod client;
mod commands;
mod config;
mod csv_io;
mod demo;
mod exit;
mod output;
mod runtime;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
