//! `anser bench`: what this machine does with Anser, beside what it does at most.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    what: anser_bench::bench::Bench,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.what.run(&["bench"])?;
        Ok(ExitCode::SUCCESS)
    }
}
