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
    // The allocator asks for huge pages, and then a few bytes in a new place cost two megabytes to clear and to hold. Where the
    // system does not know them there are none.
    _ = rustix::thread::disable_transparent_huge_pages(true);
    let arguments = Arguments::parse();
    match commands::run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("anser: {error:#}");
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
