//! `anser-engines`: candidates for the engine of history, each behind the `History` port, and what measures
//! them. It decides nothing and no binary that is shipped knows of it: what was chosen and why is in
//! `docs/decisions/0014-history-engine.md`.

#![expect(clippy::disallowed_methods, reason = "what is measured is the machine's own clock")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod backup;
mod engine;
mod fjall_history;
mod machine;
mod reading;
mod recover;
mod report;
mod rows;
mod sqlite_history;
mod traffic;
mod write;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures candidates for the engine of history.
#[derive(Parser)]
#[command(name = "anser-engines", version, about)]
struct Arguments {
    #[command(subcommand)]
    harness: Harness,
}

#[derive(Subcommand)]
enum Harness {
    /// Messages at a steady rate, folded as the server folds them, with reads in between
    Write(write::Options),
    /// kill -9 while it writes, again and again
    Recover(recover::Options),
    /// A consistent copy while it is written
    Backup(backup::Options),
    /// Several runs as one table
    Table(report::Options),
    /// The writer that `recover` kills
    #[command(hide = true)]
    RecoverChild(recover::ChildOptions),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().harness {
        Harness::Write(options) => report::print(&write::run(&options)?, options.json),
        Harness::Recover(options) => report::print(&recover::run(&options)?, options.json),
        Harness::Backup(options) => report::print(&backup::run(&options)?, options.json),
        Harness::Table(options) => report::table(&options)?,
        Harness::RecoverChild(options) => recover::child(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use anser_core::ports::history::History;
    use anser_core::ports::history_conformance::{HistoryFactory, check_history};

    use super::engine::Engine;

    struct Folder(Engine, PathBuf);

    impl HistoryFactory for Folder {
        fn open(&self) -> Arc<dyn History> {
            self.0.open(&self.1).unwrap().history
        }
    }

    fn conforms(engine: Engine) {
        let mut folders = Vec::new();
        check_history(&mut || {
            let folder = tempfile::tempdir().unwrap();
            let factory = Folder(engine, folder.path().join("history"));
            folders.push(folder);
            Box::new(factory)
        });
    }

    #[test]
    fn sqlite_conforms() {
        conforms(Engine::Sqlite);
    }

    #[test]
    fn fjall_conforms() {
        conforms(Engine::Fjall);
    }

    #[test]
    fn segments_conform() {
        conforms(Engine::Segments);
    }
}
