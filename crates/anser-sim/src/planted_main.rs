//! `anser-sim-planted`: plants one bug after the other, and shows which harness catches it, and where.
//!
//! Built with the feature `planted` alone: no other binary has a bug to plant.

use std::process::ExitCode;

use anser_model::planted::{Bug, plant};
use anser_sim::crashes::{CrashConfig, enumerate, show};
use anser_sim::sim::{Plan, run};
use clap::Parser;

/// Seeds of the simulator that a bug may hide from.
const SEEDS: u64 = 4_000;
/// Points of the crash enumerator that a bug may hide from.
const POINTS: u64 = 5_000;
/// Seeds that must be green without any bug.
const GREEN_SEEDS: u64 = 40;

#[derive(Parser)]
#[command(about = "Plants bugs one after the other, and shows which harness catches each")]
struct Arguments {
    /// This one alone.
    #[arg(long, value_parser = named)]
    bug: Option<Bug>,
    /// What the test command runs: the same.
    #[arg(long)]
    quick: bool,
    /// Print figures for machines.
    #[arg(long)]
    json: bool,
}

/// Where a bug was caught.
struct Catch {
    harness: &'static str,
    /// The seed, and the point of it.
    at: String,
    /// The promise that it breaks.
    promise: String,
    /// Without the bug, the same is well.
    is_green_without: bool,
}

fn named(name: &str) -> Result<Bug, String> {
    let names = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    Bug::named(name).ok_or_else(|| format!("one of {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The others let somebody learn or do what is not theirs: the authorisation matrix must find them.
    let ours = || Bug::ALL.iter().copied().filter(|bug| !Bug::OF_ACCESS.contains(bug)).collect();
    let bugs: Vec<Bug> = arguments.bug.map_or_else(ours, |bug| vec![bug]);
    let mut caught = 0;
    let mut all_are_green = is_green();
    if !all_are_green {
        eprintln!("without any bug, the simulator or the enumerator finds something");
    }
    let mut told = Vec::new();
    for &bug in &bugs {
        let found = catch(bug);
        caught += usize::from(found.is_some());
        all_are_green &= found.as_ref().is_none_or(|found| found.is_green_without);
        if arguments.json {
            told.push(serde_json::json!({
                "bug": bug.name(),
                "harness": found.as_ref().map(|found| found.harness),
                "at": found.as_ref().map(|found| &found.at),
                "promise": found.as_ref().map(|found| &found.promise),
            }));
        } else {
            println!("{}", line(bug, found.as_ref()));
        }
    }
    if arguments.json {
        let of = bugs.len();
        let ok = caught == of && all_are_green;
        println!(
            "{}",
            serde_json::json!({ "harness": "planted", "ok": ok, "caught": caught, "of": of, "bugs": told })
        );
    } else {
        let green = if all_are_green { "green" } else { "NOT GREEN" };
        println!("planted: caught {caught} of {}, {green} without them", bugs.len());
    }
    if caught == bugs.len() && all_are_green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(bug: Bug, found: Option<&Catch>) -> String {
    match found {
        Some(Catch { harness, at, promise, is_green_without }) => {
            let red = if *is_green_without { "" } else { " BUT NOT GREEN WITHOUT IT" };
            format!("  {:<26} {harness:<8} {at:<28} {promise}{red}", bug.name())
        }
        None => format!("  {:<26} NOT CAUGHT: {}", bug.name(), bug.what()),
    }
}

fn is_green() -> bool {
    plant(None);
    let seeds_are = (1..=GREEN_SEEDS).all(|seed| run(&Plan::draw(seed), false).breach.is_none());
    let is_well = |config| enumerate(&CrashConfig { points: POINTS, ..config }).is_well();
    seeds_are && is_well(CrashConfig::quick()) && is_well(CrashConfig::quick_history())
}

fn catch(bug: Bug) -> Option<Catch> {
    match bug {
        Bug::SkipFsync | Bug::TrustBytes | Bug::CutDamage | Bug::RetryFailedSync => {
            catch_by_crashes(bug, CrashConfig::quick())
        }
        Bug::ManifestBeforeSegments | Bug::EraseTheNewest | Bug::SkipErasure => {
            catch_by_crashes(bug, CrashConfig::quick_history())
        }
        _ => catch_by_sim(bug),
    }
}

fn catch_by_crashes(bug: Bug, config: CrashConfig) -> Option<Catch> {
    let config = CrashConfig { points: POINTS, ..config };
    plant(Some(bug));
    let report = enumerate(&config);
    plant(None);
    let failure = report.failures.first()?;
    let at = match failure.point {
        Some(point) => format!("seed {} point {point}", failure.seed),
        None => format!("seed {}", failure.seed),
    };
    let again = CrashConfig { seed: failure.seed, ..config };
    let is_green_without = show(&again, failure.point).is_ok();
    Some(Catch { harness: "crashes", at, promise: failure.finding.to_string(), is_green_without })
}

fn catch_by_sim(bug: Bug) -> Option<Catch> {
    plant(Some(bug));
    let found = (1..=SEEDS).find_map(|seed| Some((seed, run(&Plan::draw(seed), false).breach?)));
    plant(None);
    let (seed, breach) = found?;
    let is_green_without = run(&Plan::draw(seed), false).breach.is_none();
    let at = format!("seed {seed}");
    Some(Catch { harness: "sim", at, promise: breach.promise.to_owned(), is_green_without })
}
