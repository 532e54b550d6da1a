//! `anser chat`: the terminal client.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub struct Chat {}

impl Chat {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        Ok(ExitCode::SUCCESS)
    }
}
