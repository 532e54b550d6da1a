//! `anser-bench`: each subcommand is a harness that prints its figures in one line, and exits 1 when
//! something is wrong, with the command that shows it again.

use std::process::ExitCode;

use anser_bench::bench::Bench;
use anser_bench::{kills, ledger, matrix, storm, upgrade};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load and proof for Anser, through the real binary.
#[derive(Parser)]
#[command(name = "anser-bench", version, about)]
struct Arguments {
    #[command(subcommand)]
    harness: Harness,
}

#[derive(Subcommand)]
enum Harness {
    /// Real messages among people who come and go; then every device must hold exactly the ledger
    Ledger(ledger::Options),
    /// kill -9 under load, again and again; nothing acknowledged may be lost, doubled or reordered
    Kills(kills::Options),
    /// Every request by everybody who might ask it: nobody may learn what is not theirs
    Matrix(matrix::Options),
    /// Servers with a bug of access on purpose: the matrix must notice each
    Planted(matrix::planted::Options),
    /// More than the server can bear: overload, a hot group, a slow reader, everybody coming back at once
    Storm(storm::Options),
    /// Data folders of every released format, opened, served and lived in
    Upgrade(upgrade::Options),
    /// Figures beside the machine's own limit
    #[command(subcommand)]
    Bench(Bench),
}

fn main() -> ExitCode {
    let harness = match Arguments::parse().harness {
        // They have threads of their own.
        Harness::Bench(bench) => {
            return bench.run(&["bench"]).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS);
        }
        harness => harness,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let clean = match harness {
        Harness::Ledger(options) => runtime.block_on(unless_stopped(ledger::run(options))),
        Harness::Kills(options) => runtime.block_on(unless_stopped(kills::run(options))),
        Harness::Matrix(options) => runtime.block_on(unless_stopped(matrix::run(options))),
        Harness::Planted(options) => runtime.block_on(unless_stopped(matrix::planted::run(options))),
        Harness::Storm(options) => runtime.block_on(unless_stopped(storm::run(options))),
        Harness::Upgrade(options) => runtime.block_on(unless_stopped(upgrade::run(options))),
        Harness::Bench(_) => Ok(true),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

/// Ends a harness that is told to stop by dropping it, so that its server ends with it.
async fn unless_stopped(harness: impl Future<Output = anyhow::Result<bool>>) -> anyhow::Result<bool> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    tokio::select! {
        finished = harness => finished,
        _ = terminated.recv() => anyhow::bail!("stopped before it was finished"),
        _ = interrupted.recv() => anyhow::bail!("stopped before it was finished"),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("anser-bench: {error:#}");
    ExitCode::FAILURE
}
