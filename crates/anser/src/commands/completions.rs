//! `anser completions`: what a shell needs to complete this program's words.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::commands::connect::write_out;
use crate::entry::Arguments;

#[derive(Args)]
#[command(
    after_help = "For bash:  anser completions bash > ~/.local/share/bash-completion/completions/anser\n\
    For zsh:   anser completions zsh > \"${fpath[1]}/_anser\"\n\
    For fish:  anser completions fish > ~/.config/fish/completions/anser.fish"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "anser", &mut script);
        write_out(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
