//! `anser`: the server, the terminal client, and the tools around them, in one binary.

mod chat;
mod commands;
mod config;
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
    #[cfg(feature = "planted")]
    if let Err(error) = plant() {
        eprintln!("anser: {error}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    match commands::run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("anser: {error:#}");
            ExitCode::from(commands::exit_code(&error))
        }
    }
}

/// Plants the bug that `ANSER_PLANTED` names, for harnesses that must find it.
#[cfg(feature = "planted")]
fn plant() -> Result<(), String> {
    use anser_model::planted::{Bug, plant};
    let Ok(name) = std::env::var("ANSER_PLANTED") else { return Ok(()) };
    let bug = Bug::named(&name).ok_or_else(|| format!("ANSER_PLANTED: there is no bug {name:?}"))?;
    plant(Some(bug));
    Ok(())
}
