//! `anser-sim model`: the rules of conversations beside a plain reading of them.

use std::process::ExitCode;

use anser_sim::model::{ModelConfig, ModelReport, QUICK_CASES, run};

/// What `anser-sim model` is asked.
#[derive(clap::Args)]
pub struct Model {
    /// Cases to go through.
    #[arg(long, default_value_t = QUICK_CASES)]
    cases: u64,
    /// Every case is a function of this and its number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go through this one case alone, as a failure printed it.
    #[arg(long)]
    case: Option<u64>,
    /// What the test command runs, whatever `--cases` says.
    #[arg(long)]
    quick: bool,
    /// Print figures for machines.
    #[arg(long)]
    json: bool,
    /// Threads; the figures do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Model {
    /// Goes through the cases and prints what came of them.
    pub fn run(self) -> ExitCode {
        let mut config = ModelConfig { seed: self.seed, ..ModelConfig::quick() };
        config.threads = self.threads.unwrap_or(config.threads);
        match self.case {
            Some(case) => (config.first, config.cases) = (case, 1),
            None if self.quick => {}
            None => config.cases = self.cases,
        }
        let report = run(&config);
        if self.json {
            println!("{}", json(&report));
        } else {
            println!("{}", line(&report));
        }
        for fault in &report.faults {
            eprintln!("seed {} case {}: {}", fault.seed, fault.case, fault.what);
            for (number, command) in fault.commands.iter().enumerate() {
                eprintln!("  {:>3}. {command}", number + 1);
            }
            eprintln!("  again: {}", fault.command());
        }
        if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn line(report: &ModelReport) -> String {
    let refused: Vec<String> = report.refused.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "model: cases {}, operations {}, accepted {}, unchanged {}, refused {} ({}), faults {}",
        report.cases,
        report.operations,
        report.accepted,
        report.unchanged,
        report.refused.values().sum::<u64>(),
        refused.join(", "),
        report.faults.len()
    )
}

fn json(report: &ModelReport) -> serde_json::Value {
    serde_json::json!({
        "harness": "model",
        "ok": report.is_well(),
        "cases": report.cases,
        "operations": report.operations,
        "accepted": report.accepted,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "faults": report.faults.iter().map(|fault| serde_json::json!({
            "seed": fault.seed,
            "case": fault.case,
            "what": fault.what,
            "commands": fault.commands,
            "again": fault.command(),
        })).collect::<Vec<_>>(),
    })
}
