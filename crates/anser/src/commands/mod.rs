//! One file for each command.

mod log;
mod serve;

use std::process::ExitCode;

use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the whole product from a data folder
    Serve(serve::Serve),
    /// Look into the log of a data folder
    #[command(subcommand)]
    Log(log::Log),
}

/// Does it. An error is for people to read.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(serve) => serve.run(),
        Command::Log(log) => log.run(),
    }
}
