//! Runs the harnesses: `anser-sim crashes [--history] [--points N] [--seed S] [--point P] [--quick] [--json]`,
//! `anser-sim model [--cases N] [--seed S] [--case C] [--quick] [--json]`,
//! `anser-sim sim [--seeds N] [--first N] [--seed N [--story]] [--quick] [--json]`,
//! `anser-sim fuzz [--executions N] [--seed S] [--target NAME] [--input HEX] [--quick] [--json]`,
//! `anser-sim instructions [--work NAME --times N]`.

mod commands;

use std::process::ExitCode;

use anser_sim::crashes::{Breach, CrashConfig, CrashReport, Of, Point, enumerate, show};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Harnesses that drive the real code through every fault on a simulated machine")]
struct Arguments {
    #[command(subcommand)]
    harness: Harness,
}

#[derive(Subcommand)]
enum Harness {
    /// After every I/O operation of the log, or of the history: crash, kill, tear, I/O error, full disk, rot; then recover.
    Crashes(Crashes),
    /// Every decoder, fed what was well formed once.
    Fuzz(commands::fuzz::Fuzz),
    /// One piece of the message path, so often, for somebody who counts the instructions that it takes.
    Instructions(commands::instructions::Instructions),
    /// Random commands against the rules, beside a plain reading of rules and facts.
    Model(commands::model::Model),
    /// Cores, edges and devices on simulated roads, disks and clocks, from seeds.
    Sim(commands::sim::Sim),
}

#[derive(clap::Args)]
struct Crashes {
    /// Of the history; without it, of the log.
    #[arg(long)]
    history: bool,
    /// Points to go through at least, instead of what the test command runs.
    #[arg(long)]
    points: Option<u64>,
    /// The first life's seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go through this one point of the seed alone, as a failure printed it.
    #[arg(long)]
    point: Option<Point>,
    /// What the test command runs, whatever `--points` says.
    #[arg(long)]
    quick: bool,
    /// Print figures for machines.
    #[arg(long)]
    json: bool,
    /// Threads; the figures do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Have a bug on purpose.
    #[cfg(feature = "planted")]
    #[arg(long, value_parser = planted_named)]
    planted: Option<anser_model::planted::Bug>,
}

fn main() -> ExitCode {
    match Arguments::parse().harness {
        Harness::Crashes(arguments) => crashes(arguments),
        Harness::Fuzz(arguments) => arguments.run(),
        Harness::Instructions(arguments) => arguments.run(),
        Harness::Model(arguments) => arguments.run(),
        Harness::Sim(arguments) => arguments.run(),
    }
}

fn crashes(arguments: Crashes) -> ExitCode {
    let mut config = if arguments.history { CrashConfig::quick_history() } else { CrashConfig::quick() };
    config.seed = arguments.seed;
    config.threads = arguments.threads.unwrap_or(config.threads);
    if !arguments.quick {
        config.points = arguments.points.unwrap_or(config.points);
    }
    #[cfg(feature = "planted")]
    {
        anser_model::planted::plant(arguments.planted);
    }
    if arguments.point.is_some() {
        return show_point(&config, arguments.point);
    }
    let report = enumerate(&config);
    if arguments.json {
        println!("{}", json(&report, config.of));
    } else {
        println!("{}", line(&report));
    }
    for failure in &report.failures {
        eprintln!("seed {} {}\n  again: {}", failure.seed, failure.finding, failure.command());
    }
    if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_point(config: &CrashConfig, point: Option<Point>) -> ExitCode {
    match show(config, point) {
        Ok(()) => {
            println!("crashes: every promise was kept");
            ExitCode::SUCCESS
        }
        Err(finding) => {
            println!("crashes: {finding}");
            ExitCode::FAILURE
        }
    }
}

const BREACHES: [(Breach, &str); 8] = [
    (Breach::Lost, "lost"),
    (Breach::Duplicated, "duplicated"),
    (Breach::Invented, "invented"),
    (Breach::Altered, "altered"),
    (Breach::Undetected, "undetected"),
    (Breach::Unerased, "unerased"),
    (Breach::Refused, "refused"),
    (Breach::Misjudged, "misjudged"),
];

fn line(report: &CrashReport) -> String {
    let breaches: Vec<String> =
        BREACHES.iter().map(|(breach, name)| format!("{name} {}", report.count(*breach))).collect();
    let faults: Vec<String> =
        report.by_fault.iter().map(|(fault, points)| format!("{fault} {points}")).collect();
    format!(
        "crashes: points {}, {} (lives {}, operations {}; {})",
        report.points,
        breaches.join(", "),
        report.lives,
        report.operations,
        faults.join(", ")
    )
}

fn json(report: &CrashReport, of: Of) -> serde_json::Value {
    let mut figures = serde_json::json!({
        "harness": "crashes",
        "of": format!("{of:?}").to_lowercase(),
        "ok": report.is_well(),
        "points": report.points,
        "lives": report.lives,
        "operations": report.operations,
        "by_fault": report.by_fault,
        "failures": report.failures.iter().map(|failure| serde_json::json!({
            "seed": failure.seed,
            "finding": failure.finding.to_string(),
            "again": failure.command(),
        })).collect::<Vec<_>>(),
    });
    for (breach, name) in BREACHES {
        figures[name] = report.count(breach).into();
    }
    figures
}

#[cfg(feature = "planted")]
fn planted_named(name: &str) -> Result<anser_model::planted::Bug, String> {
    use anser_model::planted::Bug;
    let names = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    Bug::named(name).ok_or_else(|| format!("one of {}", names()))
}
