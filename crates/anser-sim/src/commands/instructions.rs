//! `anser-sim instructions`: one piece of the message path, again and again.

use std::process::ExitCode;

use anser_sim::instructions::{WORKS, Work, named};

/// What `anser-sim instructions` is asked.
#[derive(clap::Args)]
pub struct Instructions {
    /// Which piece; without it, all of them are listed.
    #[arg(long, value_parser = work)]
    work: Option<&'static Work>,
    /// How often it is done.
    #[arg(long, default_value_t = 1_024)]
    times: u64,
}

impl Instructions {
    /// Does it, without a word.
    pub fn run(self) -> ExitCode {
        match self.work {
            Some(work) => (work.run)(self.times),
            None => WORKS.iter().for_each(|work| println!("{}\t{}", work.name, work.what)),
        }
        ExitCode::SUCCESS
    }
}

fn work(name: &str) -> Result<&'static Work, String> {
    named(name).ok_or_else(|| {
        let names: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
        format!("one of {}", names.join(", "))
    })
}
