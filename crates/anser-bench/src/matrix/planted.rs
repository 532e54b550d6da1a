//! Servers with a bug that lets somebody learn or do what is not theirs: the matrix must not pass on any of them.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::Args;
use tokio::time::Instant;

use crate::random::fresh_seed;
use crate::report::Report;
use crate::server::ServerPlan;

/// Bugs, each with rows that it spoils. The last two are found by the simulator as well.
const BUGS: &[(&str, &[&str])] = &[
    ("pages-unclipped", &["get_page", "listMessages"]),
    ("newcomers-see-past", &["get_page", "listMessages"]),
    ("members-unchecked", &["get_members", "listMembers"]),
    ("strangers-told-apart", &["send", "sendMessage"]),
    ("channels-open", &["send", "sendMessage"]),
    ("expiry-unchecked", &["get_profiles", "listProfiles"]),
    ("revocation-unchecked", &["get_profiles", "listProfiles"]),
    ("admin-unchecked", &["createKey", "listKeys", "revokeKey"]),
    ("scope-unchecked", &["importAccounts", "issueTokens", "createGroupAs"]),
    ("revoked-keys-let-in", &["viewAccount"]),
    ("keys-speak-for-admins", &["createGroupAs"]),
    ("gone-are-found", &["lookUp"]),
    ("handles-told", &["signIn"]),
    ("typing-to-former", &["typing"]),
    ("channel-tells-marks", &["get_marks", "listMarks"]),
];

/// What the harness is told.
#[derive(Debug, Args)]
pub struct Options {
    /// The size of the test run, which is all of it
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// This one alone
    #[arg(long)]
    bug: Option<String>,
}

/// Runs it. Whether the matrix found each, and found nothing where none is planted.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let (plan, began) = (ServerPlan::from_environment()?, Instant::now());
    every_bug_has_rows(&plan)?;
    let chosen = |(bug, _): &&(&str, &[&str])| options.bug.as_deref().is_none_or(|only| only == *bug);
    let bugs = BUGS.iter().filter(chosen).collect::<Vec<_>>();
    anyhow::ensure!(!bugs.is_empty(), "there is no such bug");
    let rows: BTreeSet<&str> = bugs.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    let rows = rows.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let without = super::play(plan.clone(), &rows, fresh_seed()).await.context("without any bug")?;
    let mut caught = 0;
    for (bug, rows) in &bugs {
        let plan = ServerPlan { planted: Some((*bug).to_owned()), ..plan.clone() };
        let rows = rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
        let tally = super::play(plan, &rows, fresh_seed()).await.with_context(|| format!("with {bug}"))?;
        caught += usize::from(!tally.is_clean());
        let faults = tally.leaks.len() + tally.wrong.len();
        let first = tally.first_fault().unwrap_or("NOT CAUGHT");
        eprintln!("  {bug:<26} matrix   {faults:>4} of {:>4} cells   {first}", tally.cells());
    }
    let mut report = Report::default();
    report.add("caught", caught);
    report.add("of", bugs.len());
    report.add("green_without", without.is_clean());
    report.add("seconds", began.elapsed().as_secs());
    report.print("planted-access", options.json);
    Ok(caught == bugs.len() && without.is_clean())
}

/// Fails unless the binary knows these bugs, and no other of the kind.
fn every_bug_has_rows(plan: &ServerPlan) -> anyhow::Result<()> {
    let mut list = Command::new(&plan.binary);
    let list = list.env("ANSER_PLANTED", "list").stdin(Stdio::null()).output();
    let list = list.with_context(|| format!("{} cannot be run", plan.binary.display()))?;
    let names = String::from_utf8(list.stdout)?;
    anyhow::ensure!(list.status.success(), "{} has no bugs to plant", plan.binary.display());
    let known = BUGS.iter().map(|(bug, _)| *bug).collect::<BTreeSet<_>>();
    let missing = names.lines().filter(|name| !known.contains(name)).collect::<Vec<_>>();
    anyhow::ensure!(missing.is_empty(), "no rows are named that these bugs spoil: {missing:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{frames, routes};
    use super::*;

    #[test]
    fn the_rows_that_bugs_spoil_are_there() {
        let rows = frames::names().into_iter().chain(routes::names()).collect::<BTreeSet<_>>();
        for (bug, spoilt) in BUGS {
            let missing = spoilt.iter().filter(|row| !rows.contains(*row)).collect::<Vec<_>>();
            assert!(missing.is_empty() && !spoilt.is_empty(), "{bug}: {missing:?}");
        }
    }
}
