//! `anser-sim sim`: cores, edges and devices on one simulated world for each seed.

use std::process::ExitCode;

use anser_sim::sim::{Campaign, Failure, Plan, Report, run, shrink, story};

/// Seeds that the test command goes through.
const QUICK_SEEDS: u64 = 2_000;

/// What `anser-sim sim` is asked.
#[derive(clap::Args)]
pub struct Sim {
    /// Seeds to go through.
    #[arg(long, default_value_t = QUICK_SEEDS)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Replay this one seed exactly, and print its whole trace.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: shrink what fails, and tell it as a story instead.
    #[arg(long, requires = "seed")]
    story: bool,
    /// Threads; the figures do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// What the test command runs, whatever `--seeds` says.
    #[arg(long)]
    quick: bool,
    /// Print figures for machines.
    #[arg(long)]
    json: bool,
    /// Have a bug on purpose.
    #[cfg(feature = "planted")]
    #[arg(long, value_parser = crate::planted_named)]
    planted: Option<anser_model::planted::Bug>,
}

impl Sim {
    /// Goes through the seeds and prints what came of them.
    pub fn run(self) -> ExitCode {
        #[cfg(feature = "planted")]
        anser_model::planted::plant(self.planted);
        if let Some(seed) = self.seed {
            return replay(seed, self.story);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let seeds = if self.quick { QUICK_SEEDS } else { self.seeds };
        let campaign = Campaign { first: self.first, seeds, threads: self.threads.unwrap_or(threads) };
        if let Err(seed) = campaign.repeats() {
            eprintln!("seed {seed} leaves another trace the second time: the world is not deterministic");
            return ExitCode::FAILURE;
        }
        let report = campaign.run();
        if self.json {
            println!("{}", json(&campaign, &report));
        } else {
            print(&campaign, &report);
        }
        for failure in &report.failures {
            tell(failure);
        }
        if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn replay(seed: u64, as_story: bool) -> ExitCode {
    let plan = Plan::draw(seed);
    let outcome = run(&plan, !as_story);
    outcome.lines.iter().for_each(|line| println!("{line}"));
    match &outcome.breach {
        None => {
            println!("sim: seed {seed}, trace {:016x}: every promise was kept", outcome.trace);
            ExitCode::SUCCESS
        }
        Some(breach) if as_story => {
            print!("{}", story(&shrink(&plan, breach.promise)));
            ExitCode::FAILURE
        }
        Some(breach) => {
            println!("sim: seed {seed}, trace {:016x}: {}: {}", outcome.trace, breach.promise, breach.how);
            ExitCode::FAILURE
        }
    }
}

fn again(seed: u64) -> String {
    format!("cargo xtask prove sim --seed {seed}")
}

fn tell(failure: &Failure) {
    let Failure { seed, breach } = failure;
    eprintln!("{}", story(&shrink(&Plan::draw(*seed), breach.promise)));
    eprintln!("  again: {} [--story]", again(*seed));
}

fn hours(ms: u64) -> f64 {
    ms as f64 / 3_600_000.0
}

fn print(campaign: &Campaign, report: &Report) {
    let figures = &report.figures;
    let (reached, of) = figures.coverage.reached();
    println!(
        "sim: seeds {} from {}, simulated hours {:.1} (and {:.0} passed over), acts {}, facts {}, connections \
         {}, states reached {reached} of {of}, changes of owner {}, breaches {}, trace {:016x}",
        report.seeds,
        campaign.first,
        hours(figures.simulated_ms),
        hours(figures.passed_ms),
        figures.acts,
        figures.facts,
        figures.connections,
        figures.owner_changes,
        report.breaches.values().sum::<u64>(),
        report.trace
    );
    let listed = |counts: Vec<String>| counts.join(", ");
    let faults = figures.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    println!("  faults: {}", listed(faults));
    let outcomes = figures.coverage.outcomes().iter().map(|(outcome, count)| format!("{outcome} {count}"));
    println!("  deeds came to: {}", listed(outcomes.collect()));
    for state in figures.coverage.missing() {
        println!("  not reached: {state}");
    }
    for (promise, count) in &report.breaches {
        println!("  broken in {count} seeds: {promise}");
    }
}

fn json(campaign: &Campaign, report: &Report) -> serde_json::Value {
    let figures = &report.figures;
    serde_json::json!({
        "harness": "sim",
        "ok": report.is_well(),
        "first": campaign.first,
        "seeds": report.seeds,
        "simulated_hours": hours(figures.simulated_ms),
        "passed_hours": hours(figures.passed_ms),
        "acts": figures.acts,
        "facts": figures.facts,
        "connections": figures.connections,
        "faults": figures.faults,
        "states": figures.coverage.states(),
        "not_reached": figures.coverage.missing(),
        "outcomes": figures.coverage.outcomes(),
        "owner_changes": figures.owner_changes,
        "breaches": report.breaches,
        "trace": format!("{:016x}", report.trace),
        "failures": report.failures.iter().map(|failure| serde_json::json!({
            "seed": failure.seed,
            "promise": failure.breach.promise,
            "how": failure.breach.how,
            "again": again(failure.seed),
        })).collect::<Vec<_>>(),
    })
}
