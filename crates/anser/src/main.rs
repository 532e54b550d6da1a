//! `anser`: the server, the terminal client, and the tools around them, in one binary.

mod chat;
mod commands;
mod profile;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An instant-messaging platform in one binary.
#[derive(Parser)]
#[command(name = "anser", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("anser: {error:#}");
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
