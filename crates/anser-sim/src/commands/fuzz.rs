//! `anser-sim fuzz`: every decoder, fed what was well formed once.

use std::process::ExitCode;

use anser_sim::fuzz::{
    FuzzConfig, FuzzReport, QUICK_EXECUTIONS, TARGETS, Target, give, hex, named, run, unhex,
};

/// Longer inputs go to a file: a command line has its limits.
const SHOWN_BYTES: usize = 4_096;

/// What `anser-sim fuzz` is asked.
#[derive(clap::Args)]
pub struct Fuzz {
    /// Executions in all.
    #[arg(long, default_value_t = QUICK_EXECUTIONS)]
    executions: u64,
    /// Every execution is a function of this, its target and its number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fuzz this target alone.
    #[arg(long, value_parser = target)]
    target: Option<&'static Target>,
    /// Give the target this input alone: hexadecimal digits, or a file of them.
    #[arg(long, requires = "target")]
    input: Option<String>,
    /// What the test command runs, whatever `--executions` says.
    #[arg(long)]
    quick: bool,
    /// Print figures for machines.
    #[arg(long)]
    json: bool,
    /// Threads; the figures do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Fuzz {
    /// Fuzzes and prints what came of it.
    pub fn run(self) -> ExitCode {
        if let (Some(target), Some(input)) = (self.target, &self.input) {
            return show(target, input);
        }
        let mut config = FuzzConfig { seed: self.seed, target: self.target, ..FuzzConfig::quick() };
        config.threads = self.threads.unwrap_or(config.threads);
        if !self.quick {
            config.executions = self.executions;
        }
        let report = run(&config);
        if self.json {
            println!("{}", json(&report));
        } else {
            println!("{}", line(&report));
        }
        for fault in report.faults() {
            eprintln!("{}: {}", fault.target, fault.what);
            if fault.input.len() <= SHOWN_BYTES {
                eprintln!("  again: {}", fault.command());
                continue;
            }
            let path = std::env::temp_dir().join(format!("anser-fuzz-{}.hex", fault.target));
            match std::fs::write(&path, hex(&fault.input)) {
                Ok(()) => {
                    eprintln!("  again: anser-sim fuzz --target {} --input {}", fault.target, path.display())
                }
                Err(error) => eprintln!("  its input of {} bytes: {error}", fault.input.len()),
            }
        }
        if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn show(target: &Target, input: &str) -> ExitCode {
    let text = std::fs::read_to_string(input).unwrap_or_else(|_| input.to_owned());
    let Some(bytes) = unhex(&text) else {
        eprintln!("fuzz: {input:?} is neither a file of hexadecimal digits nor such digits");
        return ExitCode::FAILURE;
    };
    match give(target, &bytes) {
        Ok(read) => {
            println!("fuzz: {} {} it", target.name, if read { "reads" } else { "refuses" });
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("fuzz: {}: {what}", target.name);
            ExitCode::FAILURE
        }
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    named(name).ok_or_else(|| format!("one of {}", names()))
}

fn line(report: &FuzzReport) -> String {
    let targets: Vec<String> = report
        .targets
        .iter()
        .map(|target| format!("{} {} ({} read)", target.name, target.executions, target.read))
        .collect();
    format!(
        "fuzz: executions {}, faults {}, peak {} MiB; {}",
        report.targets.iter().map(|target| target.executions).sum::<u64>(),
        report.faults().count(),
        report.peak_kib / 1024,
        targets.join(", ")
    )
}

fn json(report: &FuzzReport) -> serde_json::Value {
    serde_json::json!({
        "harness": "fuzz",
        "ok": report.is_well(),
        "peak_kib": report.peak_kib,
        "targets": report.targets.iter().map(|target| serde_json::json!({
            "name": target.name,
            "executions": target.executions,
            "read": target.read,
            "faults": target.faults.len(),
        })).collect::<Vec<_>>(),
        "faults": report.faults().map(|fault| serde_json::json!({
            "target": fault.target,
            "what": fault.what,
            "input": hex(&fault.input),
            "again": fault.command(),
        })).collect::<Vec<_>>(),
    })
}
