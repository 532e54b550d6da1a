//! `anser`: the server, the terminal client, and the tools around them, in one binary.

mod chat;
mod commands;
mod config;
mod entry;
mod profile;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    entry::main()
}
