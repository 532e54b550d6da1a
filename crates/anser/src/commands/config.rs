//! `anser config`: what a configuration may say, and whether one is right.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::commands::connect::say;
use crate::config::{Given, Sources, example};

#[derive(Subcommand)]
pub enum Config {
    /// Write out a configuration file with every key, what it means, and its default
    Example,
    /// Check a configuration file, with the certificate that it names
    Check(Check),
}

#[derive(Args)]
pub struct Check {
    /// The file
    file: PathBuf,
}

impl Config {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Config::Example => {
                say(example().trim_end())?;
            }
            Config::Check(check) => check.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Check {
    fn run(self) -> anyhow::Result<()> {
        let data = self.file.parent().map(PathBuf::from).unwrap_or_default();
        let file = self.file.display().to_string();
        let sources = Sources { data, config: Some(self.file), given: Given::default(), rates: Vec::new() };
        let configured = sources.read()?;
        if let Some(files) = configured.settings.named_tls_files() {
            files.load()?;
        }
        let defaults = Given::default().settled();
        let mut keys: Vec<_> = defaults.changed(&configured.settings).iter().map(|key| key.name).collect();
        if configured.rates != Default::default() {
            keys.push("rates");
        }
        let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
        say(&format!("{file} is right; it changes {keys}"))?;
        Ok(())
    }
}
