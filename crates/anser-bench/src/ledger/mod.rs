//! The ledger harness: real messages among people who come and go. When all are said, every device
//! must hold exactly what the senders wrote down, and count as unread what a recount gives.

mod plan;
mod players;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::plan::{Plan, Size};
use self::players::{come_and_go, speak};
use crate::audit::{Audit, Verdict};
use crate::book::Book;
use crate::cast::{Member, all_devices, check_member, converge, gather, settle_marks, waiting};
use crate::clubs::{Company, Going, people_for};
use crate::corpus::Corpus;
use crate::random::{Random, fresh_seed};
use crate::report::Report;
use crate::server::{Server, ServerPlan};

/// Devices of each account.
const DEVICES: usize = 2;
/// Lives of clubs beside what is said.
const LIVES: usize = 9;
/// Groups created at once.
const CREATIONS_AT_ONCE: usize = 16;
/// How long nothing may be acknowledged before the run is given up.
const STALL_PATIENCE: Duration = Duration::from_secs(30);

/// What the harness is told.
#[derive(Debug, Args)]
pub struct Options {
    /// A tenth of everything, for the test run
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the same plan again
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it. Whether everything was right.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let again = format!(
        "again: cargo xtask prove ledger{} --seed {seed}",
        if options.quick { " --quick" } else { "" }
    );
    let size = if options.quick { Size::QUICK } else { Size::FULL };
    let mut server = Server::start(ServerPlan::from_environment()?).await?;
    let finished = play(&server, size, seed).await;
    let (mut report, verdict) = match finished {
        Ok(finished) => finished,
        Err(error) => {
            let log = server.log_tail();
            let folder = server.keep_folder();
            anyhow::bail!("{error:#}\n{again}\ndata kept in {}; the log ends:\n{log}", folder.display());
        }
    };
    report.add("seed", seed);
    report.print("ledger", options.json);
    if verdict.is_clean() {
        server.stop().await?;
        return Ok(true);
    }
    eprintln!("{} faults; the first:", verdict.faults.count);
    verdict.faults.first.iter().for_each(|fault| eprintln!("  {fault}"));
    eprintln!("{again}\ndata kept in {}", server.keep_folder().display());
    Ok(false)
}

async fn play(server: &Server, size: Size, seed: u64) -> anyhow::Result<(Report, Verdict)> {
    let began = Instant::now();
    let mut random = Random::new(seed);
    let corpus = Corpus::load(seed)?;
    let mut plan = Plan::draw(size, &corpus, &mut random);
    let book = Arc::new(Book::default());
    let (cast, others) =
        gather(&server.address(), (size.accounts, people_for(LIVES), DEVICES), &book).await?;
    let mut clubs = Company::gather(&server.address(), others, &mut random).await?;
    let accounts = Arc::new(cast.iter().map(|member| member.account).collect::<Vec<_>>());
    plan.name_direct(&accounts);
    create_groups(&mut plan, &cast).await?;
    let plan = Arc::new(plan);
    let ready = began.elapsed();
    clubs.going.send_replace(Going::On);

    let mut speakers = JoinSet::new();
    let mut tag = 0;
    for (number, lines) in plan.script.iter().enumerate().filter(|(_, lines)| !lines.is_empty()) {
        let lines = lines.iter().cloned().map(|line| {
            tag += 1;
            (tag, line)
        });
        let mine = plan.circles_of[number].clone();
        let random = Random::new(random.bits());
        speakers.spawn(speak(
            cast[number].clone(),
            (plan.clone(), accounts.clone()),
            lines.collect(),
            mine,
            random,
        ));
    }
    let (most, changes) = (size.messages * 95 / 100, size.accounts * 3);
    come_and_go(&cast, &book, (most, changes), random).await?;
    let all = book.wait_for_count(size.messages, STALL_PATIENCE).await;
    all.with_context(|| format!("the speakers wait: {:?}; {:?}", waiting(&cast), book.faults().first))?;
    while let Some(done) = speakers.join_next().await {
        done?;
    }
    let said = began.elapsed();

    let (mut audit, deliveries) = verify(&plan, &cast, &book).await?;
    let lived = clubs.finish(&mut audit.verdict).await?;
    eprintln!("the clubs did {lived:?}");
    let mut report = Report::default();
    let attached = all_devices(&cast).map(|device| device.recorder().seen().attached).sum::<u64>();
    let devices = cast.len() * DEVICES;
    report.add("source", corpus.source);
    report.add("accounts", cast.len());
    report.add("devices", devices);
    report.add("groups", size.groups);
    report.add("direct", size.direct);
    report.add("messages", book.len());
    let (edited, recalled) = book.all_amendments();
    report.add("edited", edited);
    report.add("recalled", recalled);
    report.add("recalled_too_late", book.too_late());
    report.add("club_facts", clubs.facts().await);
    report.add("deliveries", deliveries);
    report.add("reconnects", attached.saturating_sub(devices as u64));
    report.add("lost", audit.verdict.lost);
    report.add("doubled", audit.verdict.doubled);
    report.add("reordered", audit.verdict.reordered);
    report.add("unread_mismatches", audit.verdict.unread_mismatches);
    report.add("altered", audit.verdict.altered);
    report.add("leaked", audit.verdict.leaked);
    report.add("other_faults", other_faults(&audit.verdict));
    report.add("sending_s", (said - ready).as_secs());
    report.add("seconds", began.elapsed().as_secs());
    Ok((report, audit.verdict))
}

fn other_faults(verdict: &Verdict) -> u64 {
    let named = verdict.lost + verdict.doubled + verdict.reordered + verdict.unread_mismatches;
    let named = named + verdict.altered + verdict.leaked;
    (verdict.faults.count as u64).saturating_sub(named)
}

async fn create_groups(plan: &mut Plan, cast: &[Arc<Member>]) -> anyhow::Result<()> {
    let mut creating = JoinSet::new();
    let mut created = Vec::new();
    for (number, circle) in plan.circles.iter().enumerate().filter(|(_, circle)| !circle.is_direct) {
        if creating.len() >= CREATIONS_AT_ONCE
            && let Some(done) = creating.join_next().await
        {
            created.push(done??);
        }
        let creator = cast[circle.members[0]].devices[0].clone();
        let others = circle.members[1..].iter().map(|&member| cast[member].account).collect::<Vec<_>>();
        creating.spawn(async move {
            let client = creator.client().await;
            let accepted = client.create_group(format!("Group {number}"), &others, true).await;
            let accepted = accepted.with_context(|| format!("creating group {number}"))?;
            anyhow::Ok((number, anser_proto::wire::cid(&accepted.cid)?))
        });
    }
    while let Some(done) = creating.join_next().await {
        created.push(done??);
    }
    for (number, cid) in created {
        plan.circles[number].cid = cid;
    }
    Ok(())
}

/// Reads everything back, waits until every device has it, and compares.
async fn verify(plan: &Plan, cast: &[Arc<Member>], book: &Book) -> anyhow::Result<(Audit, u64)> {
    let mut audit = Audit::default();
    let entries = book.drain_new();
    let live = plan.live_circles();
    for (circle, _) in plan.circles.iter().zip(&live).filter(|(_, live)| **live) {
        let client = cast[circle.members[0]].devices[0].client().await;
        audit.read(&client, circle.cid).await?;
    }
    audit.check_entries(&entries, book);
    audit.check_nothing_else(book);
    let conversations = plan.circles_of.iter().map(|circles| {
        let live = circles.iter().filter(|&&circle| live[circle]);
        live.map(|&circle| plan.circles[circle].cid).collect::<Vec<_>>()
    });
    let conversations = conversations.collect::<Vec<_>>();
    let newest = conversations.iter().map(|cids| cids.iter().map(|&cid| (cid, audit.newest(cid))).collect());
    converge(cast, &newest.collect::<Vec<_>>()).await?;
    settle_marks(cast, &conversations).await;
    let mut deliveries = 0;
    for (member, conversations) in cast.iter().zip(&conversations) {
        check_member(&mut audit, member, conversations, book).await?;
        deliveries += member.devices.iter().map(|device| device.recorder().seen().delivered).sum::<u64>();
    }
    audit.verdict.faults.take(book.faults());
    Ok((audit, deliveries))
}
