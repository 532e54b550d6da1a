//! `anser-planted`: the binary with the bug that `ANSER_PLANTED` names, for harnesses that must find it. Built with
//! the feature `planted` alone: no other binary has a bug to plant.

mod chat;
mod commands;
mod config;
mod entry;
mod profile;

use std::process::ExitCode;

use anser_model::planted::{Bug, plant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// In place of a bug: names those that the authorisation matrix must find.
const LIST: &str = "list";

fn main() -> ExitCode {
    match std::env::var("ANSER_PLANTED").as_deref() {
        Ok(LIST) => {
            Bug::OF_ACCESS.iter().for_each(|bug| println!("{}", bug.name()));
            return ExitCode::SUCCESS;
        }
        Ok(name) => match Bug::named(name) {
            Some(bug) => plant(Some(bug)),
            None => {
                eprintln!("anser-planted: there is no bug {name:?}");
                return ExitCode::FAILURE;
            }
        },
        Err(_) => {}
    }
    entry::main()
}
