//! The kills harness: kill -9 of the real binary under load, again and again, at random and at chosen
//! moments. After each, whatever was acknowledged must be there, once, where it was acknowledged.

mod stored;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anser_model::ConversationId;
use anser_proto::v1::Target;
use anyhow::Context as _;
use clap::Args;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::audit::Audit;
use crate::book::{Book, Message};
use crate::cast::{Member, all_devices, check_member, converge, gather, waiting};
use crate::corpus::Corpus;
use crate::random::{Random, fresh_seed};
use crate::report::{Report, percentile};
use crate::server::{Server, ServerPlan};
use crate::watch::{Hit, Moment, kill_at};

/// Accounts; the first device of each speaks over one connection.
const ACCOUNTS: usize = 64;
/// Devices of each account.
const DEVICES: usize = 3;
/// Groups of each account: so many sends of one connection are under way.
const GROUPS_EACH: usize = 8;
/// Who is in group g: g + each of these.
const SPREAD: [usize; GROUPS_EACH] = [0, 1, 3, 7, 12, 20, 30, 41];
/// Sends in flight at each kill, at least.
const IN_FLIGHT_LEAST: usize = 256;
/// Bytes of a log segment: small, so that segments change often.
const SEGMENT_BYTES: u64 = 512 * 1024;
/// Kills on one data folder: then a new one, so that a long run does not fill the disk.
const KILLS_PER_FOLDER: usize = 100;
/// How long anything may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Restarts measured under load, and as many at rest, where there is much behind the server.
const RESTARTS: usize = 5;
/// Milliseconds of load before a kill.
const LOAD_MS: (usize, usize) = (100, 1_200);
/// Of a hundred listening devices, so many are switched off or on between two kills.
const SWITCHED_PERCENT: usize = 25;

/// What the harness is told.
#[derive(Debug, Args)]
pub struct Options {
    /// The size of the test run, which is 20 kills
    #[arg(long)]
    quick: bool,
    /// Kills
    #[arg(long)]
    count: Option<usize>,
    /// Then measure how soon a server with so many million stored messages serves again
    #[arg(long, value_name = "MILLIONS")]
    stored: Option<u64>,
    /// Where the stored messages are, to measure again without storing them anew
    #[arg(long, hide = true)]
    stored_in: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the same plan again; the machine decides the rest
    #[arg(long)]
    seed: Option<u64>,
}

/// What a run found.
#[derive(Debug, Default)]
struct Tally {
    hits: Vec<Hit>,
    recoveries_ms: Vec<u64>,
    acknowledged: usize,
    reconnects: u64,
    audit: Audit,
}

/// Runs it. Whether everything was right.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let count = options.count.unwrap_or(20);
    let again = format!("again: cargo xtask prove kills --count {count} --seed {seed}");
    let began = Instant::now();
    let corpus = Arc::new(Corpus::load(seed)?);
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    while tally.hits.len() < count {
        let kills = KILLS_PER_FOLDER.min(count - tally.hits.len());
        let plan = ServerPlan { segment_bytes: Some(SEGMENT_BYTES), ..ServerPlan::from_environment()? };
        let mut server = Server::start(plan).await?;
        let round = round(&mut server, kills, &corpus, &mut random, &mut tally).await;
        if round.is_err() || !tally.audit.verdict.is_clean() {
            let log = server.log_tail();
            eprintln!("{again}\ndata kept in {}; the log ends:\n{log}", server.keep_folder().display());
            round?;
            break;
        }
        server.stop().await?;
    }
    report(&tally, corpus.source.clone(), (seed, began.elapsed().as_secs()), options.json);
    let verdict = &tally.audit.verdict;
    verdict.faults.first.iter().for_each(|fault| eprintln!("  {fault}"));
    let clean = verdict.is_clean();
    let in_time = match options.stored {
        Some(millions) => {
            let plan = ServerPlan { data: options.stored_in, ..ServerPlan::from_environment()? };
            stored::run(plan, millions * 1_000_000, RESTARTS, options.json).await?
        }
        None => true,
    };
    Ok(clean && in_time)
}

/// What the speakers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cue {
    Speak,
    /// While what they said is read back: it would grow faster than it is read.
    Pause,
    Stop,
}

/// The load of a run: every account says something in every one of its groups, all the time.
struct Load {
    cast: Vec<Arc<Member>>,
    groups: Vec<ConversationId>,
    book: Arc<Book>,
    cue: watch::Sender<Cue>,
    speakers: JoinSet<()>,
}

/// Kills one server on one folder, again and again.
async fn round(
    server: &mut Server,
    kills: usize,
    corpus: &Arc<Corpus>,
    random: &mut Random,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut load = Load::start(server, corpus).await?;
    let mut audit = Audit::default();
    for number in 0..kills {
        load.cue.send_replace(Cue::Speak);
        load.wait_until_flying().await?;
        load.switch_listeners(random).await?;
        let moment = Moment::ALL[(tally.hits.len()) % Moment::ALL.len()];
        sleep(Duration::from_millis(random.between(LOAD_MS.0, LOAD_MS.1) as u64)).await;
        let hit = load.kill(server, (moment, random.below(6))).await;
        tally.hits.push(hit.with_context(|| format!("kill {number}"))?);
        server.reap_killed().await?;
        load.wait_until_cut_off().await?;
        let before = load.book.len();
        let started = server.start_again().await?;
        load.book.wait_for_count(before + 1, PATIENCE).await?;
        tally.recoveries_ms.push(started.elapsed().as_millis() as u64);
        load.cue.send_replace(Cue::Pause);
        load.wait_until_silent().await?;
        load.audit(&mut audit).await?;
        if let (Some(hit), Some(recovery)) = (tally.hits.last(), tally.recoveries_ms.last()) {
            let (moment, in_flight, all) = (hit.moment, hit.in_flight, load.book.len());
            eprintln!(
                "kill {number}: {moment:?}, {in_flight} in flight, back in {recovery} ms, {all} acknowledged"
            );
        }
    }
    load.finish(&mut audit).await?;
    tally.acknowledged += load.book.len();
    tally.reconnects +=
        all_devices(&load.cast).map(|device| device.recorder().seen().attached - 1).sum::<u64>();
    let (all, found) = (&mut tally.audit.verdict, audit.verdict);
    all.lost += found.lost;
    all.doubled += found.doubled;
    all.reordered += found.reordered;
    all.unread_mismatches += found.unread_mismatches;
    all.faults.take(found.faults);
    Ok(())
}

impl Load {
    async fn start(server: &Server, corpus: &Arc<Corpus>) -> anyhow::Result<Load> {
        let book = Arc::new(Book::default());
        let cast = gather(&server.address(), (ACCOUNTS, DEVICES), &book).await?;
        let mut groups = Vec::new();
        for number in 0..ACCOUNTS {
            let members = SPREAD.map(|step| cast[(number + step) % ACCOUNTS].account);
            let client = cast[number].devices[0].client().await;
            let accepted = client.create_group(format!("Group {number}"), &members[1..], true).await?;
            groups.push(anser_proto::wire::cid(&accepted.cid)?);
        }
        let cue = watch::Sender::new(Cue::Pause);
        let mut load = Load { cast, groups, book, cue, speakers: JoinSet::new() };
        let next = Arc::new(AtomicU64::new(1));
        for number in 0..ACCOUNTS {
            for step in SPREAD {
                let member = load.cast[(number + step) % ACCOUNTS].clone();
                let cue = load.cue.subscribe();
                let speaking = speak(member, load.groups[number], corpus.clone(), next.clone(), cue);
                load.speakers.spawn(speaking);
            }
        }
        Ok(load)
    }

    fn in_flight(cast: &[Arc<Member>]) -> usize {
        cast.iter().map(|member| member.devices[0].recorder().in_flight()).sum()
    }

    async fn wait_until_flying(&self) -> anyhow::Result<()> {
        let most = ACCOUNTS * GROUPS_EACH * 3 / 4;
        let reached = until(|| Self::in_flight(&self.cast) >= most).await;
        reached.with_context(|| format!("{} sends in flight, {most} wanted", Self::in_flight(&self.cast)))
    }

    async fn wait_until_silent(&self) -> anyhow::Result<()> {
        let waits = || self.cast.iter().any(|member| member.devices[0].recorder().waits_for().is_some());
        until(|| !waits()).await.with_context(|| format!("the speakers wait: {:?}", waiting(&self.cast)))
    }

    async fn wait_until_cut_off(&self) -> anyhow::Result<()> {
        let attached = || all_devices(&self.cast).any(|device| device.recorder().is_attached());
        until(|| !attached()).await.context("devices think that they are attached to a server that is dead")
    }

    /// Switches some of the devices that only listen off, or on again.
    async fn switch_listeners(&self, random: &mut Random) -> anyhow::Result<()> {
        for device in self.cast.iter().flat_map(|member| &member.devices[1..]) {
            match (random.percent(SWITCHED_PERCENT), device.is_on()) {
                (true, true) => device.cut().await,
                (true, false) => device.connect().await?,
                (false, _) => {}
            }
        }
        Ok(())
    }

    async fn kill(&self, server: &Server, (moment, skip): (Moment, usize)) -> anyhow::Result<Hit> {
        let (pid, data): (_, PathBuf) = (server.pid().context("the server is gone")?, server.data());
        let cast = self.cast.clone();
        // A roll is told by two or three names; a write to a store by dozens of notices.
        let skip = if moment == Moment::Roll { skip % 2 } else { skip };
        let flying = move || Self::in_flight(&cast);
        spawn_blocking(move || kill_at((moment, skip), (pid, &data), (flying, IN_FLIGHT_LEAST), PATIENCE))
            .await?
    }

    /// Reads what came since the last time, and compares it with what was acknowledged before.
    async fn audit(&self, audit: &mut Audit) -> anyhow::Result<()> {
        let entries = self.book.drain_new();
        for (number, &cid) in self.groups.iter().enumerate() {
            let client = self.cast[number].devices[0].client().await;
            audit.read(&client, cid).await?;
        }
        audit.check_entries(&entries);
        Ok(())
    }

    /// Lets everybody finish, brings all devices back, and compares everything.
    async fn finish(&mut self, audit: &mut Audit) -> anyhow::Result<()> {
        self.cue.send_replace(Cue::Stop);
        while let Some(done) = tokio::time::timeout(PATIENCE, self.speakers.join_next())
            .await
            .with_context(|| format!("the speakers wait: {:?}", waiting(&self.cast)))?
        {
            done?;
        }
        for member in &self.cast {
            member.come().await?;
        }
        self.audit(audit).await?;
        audit.check_nothing_else(&self.book);
        let conversations = (0..ACCOUNTS).map(|account| {
            let is_in = |group: &usize| SPREAD.iter().any(|step| (group + step) % ACCOUNTS == account);
            (0..ACCOUNTS).filter(is_in).map(|group| self.groups[group]).collect::<Vec<_>>()
        });
        let conversations = conversations.collect::<Vec<_>>();
        let newest =
            conversations.iter().map(|cids| cids.iter().map(|&cid| (cid, audit.newest(cid))).collect());
        converge(&self.cast, &newest.collect::<Vec<_>>()).await?;
        for (member, conversations) in self.cast.iter().zip(&conversations) {
            check_member(audit, member, conversations, &self.book).await?;
        }
        audit.verdict.faults.take(self.book.faults());
        Ok(())
    }
}

/// Says one thing after another in one conversation.
async fn speak(
    member: Arc<Member>,
    cid: ConversationId,
    corpus: Arc<Corpus>,
    next: Arc<AtomicU64>,
    mut cue: watch::Receiver<Cue>,
) {
    // An error means that the load is gone.
    while let Ok(Cue::Speak) = cue.wait_for(|cue| *cue != Cue::Pause).await.map(|cue| *cue) {
        let tag = next.fetch_add(1, Ordering::Relaxed);
        let text = corpus.lines[tag as usize % corpus.lines.len()].text.clone();
        let message = Message { tag, author: member.account, cid, text };
        member.devices[0].send(Target::cid(cid), &message).await;
    }
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        anyhow::ensure!(Instant::now() < deadline, "not within {PATIENCE:?}");
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

fn report(tally: &Tally, source: String, (seed, seconds): (u64, u64), json: bool) {
    let mut in_flight = tally.hits.iter().map(|hit| hit.in_flight as u64).collect::<Vec<_>>();
    in_flight.sort_unstable();
    let mut recoveries = tally.recoveries_ms.clone();
    recoveries.sort_unstable();
    let of = |moment| tally.hits.iter().filter(|hit| hit.moment == moment).count();
    let verdict = &tally.audit.verdict;
    let mut report = Report::default();
    report.add("source", source);
    report.add("kills", tally.hits.len());
    report.add("at_random", of(Moment::Random));
    report.add("at_segment_roll", of(Moment::Roll));
    report.add("at_flush", of(Moment::Flush));
    report.add("at_checkpoint", of(Moment::Checkpoint));
    report.add(
        "told_by",
        "a name appearing in the log's folder; writes to index.sqlite-wal; to history.sqlite-wal",
    );
    report.add("devices", ACCOUNTS * DEVICES);
    report.add("in_flight_min", in_flight.first().copied().unwrap_or_default());
    report.add("in_flight_median", percentile(&in_flight, 50));
    report.add("acknowledged", tally.acknowledged);
    report.add("reconnects", tally.reconnects);
    report.add("lost", verdict.lost);
    report.add("doubled", verdict.doubled);
    report.add("reordered", verdict.reordered);
    report.add("unread_mismatches", verdict.unread_mismatches);
    report.add("faults", verdict.faults.count);
    report.add("recovery_ms_p50", percentile(&recoveries, 50));
    report.add("recovery_ms_p99", percentile(&recoveries, 99));
    report.add("recovery_ms_max", recoveries.last().copied().unwrap_or_default());
    report.add("seed", seed);
    report.add("seconds", seconds);
    report.print("kills", json);
}
