//! From the command line to the command.

use std::process::ExitCode;

use clap::Parser;

use crate::commands;

/// An instant-messaging platform in one binary.
#[derive(Parser)]
#[command(name = "anser", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("anser: {error:#}");
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
