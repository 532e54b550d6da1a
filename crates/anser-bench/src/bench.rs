//! The benches as commands, the same in every binary that offers them.

use std::ffi::OsString;

use clap::Subcommand;

use crate::direct::{self, DirectOptions};
use crate::figures;
use crate::idle::{self, IdleOptions};
use crate::raw::held;

/// What to measure. Each prints one line for each figure: the figure, what the machine does at most
/// for the same work, and the ratio.
#[derive(Subcommand)]
pub enum Bench {
    /// From a send to its durable acknowledgement and to its delivery
    Direct {
        /// Fewer connections and less time
        #[arg(long)]
        quick: bool,
        /// One JSON object for each figure
        #[arg(long)]
        json: bool,
        /// Seconds of one run
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: Option<u64>,
        /// Only this part
        #[arg(long, value_parser = ["pair", "pairs", "many"])]
        only: Option<String>,
    },
    /// Memory of a session that is attached and says nothing
    Idle {
        /// Fewer sessions
        #[arg(long)]
        quick: bool,
        /// One JSON object for each figure
        #[arg(long)]
        json: bool,
    },
    /// Holds connections, for the limit that `idle` stands beside
    #[command(hide = true)]
    RawHeld,
}

impl Bench {
    /// Measures and prints. `place` is what stands before these commands on the command line.
    ///
    /// # Errors
    /// Nothing could be measured, or what was measured is void.
    pub fn run(self, place: &[&str]) -> anyhow::Result<()> {
        match self {
            Bench::Direct { quick, json, seconds, only } => {
                figures::print("direct", &direct::run(&DirectOptions { quick, seconds, only })?, json);
            }
            Bench::Idle { quick, json } => {
                let mut raw_command: Vec<OsString> = vec![std::env::current_exe()?.into()];
                raw_command.extend(place.iter().map(OsString::from));
                raw_command.push("raw-held".into());
                figures::print("idle", &idle::run(&IdleOptions { quick, raw_command })?, json);
            }
            Bench::RawHeld => held::hold()?,
        }
        Ok(())
    }
}
