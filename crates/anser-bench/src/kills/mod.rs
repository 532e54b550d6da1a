//! The kills harness: kill -9 of the real binary under load, again and again, at random and at chosen
//! moments, on a disk that is well, slow or full. After each, whatever was acknowledged must be there,
//! once, where it was acknowledged.
//!
//! - [`load`]: what is said meanwhile
//! - [`full`]: a disk that somebody else fills
//! - [`stored`]: how soon a server with much behind it serves again

mod full;
mod load;
mod stored;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep};

use self::full::SmallDisk;
use self::load::{Cue, Load};
use crate::audit::{Audit, Verdict};
use crate::cast::all_devices;
use crate::corpus::Corpus;
use crate::random::{Random, fresh_seed};
use crate::report::{Report, percentile};
use crate::server::{Server, ServerPlan};
use crate::watch::{Hit, Moment};

/// Accounts; the first device of each speaks over one connection.
const ACCOUNTS: usize = 64;
/// Devices of each account.
const DEVICES: usize = 3;
/// Groups of each account: so many sends of one connection are under way.
const GROUPS_EACH: usize = 8;
/// Kills in the test run.
const QUICK_KILLS: usize = 20;
/// Of the kills, one in so many happens on a slow disk, and as many on a full one.
const TROUBLED_ONE_IN: usize = 8;
/// Milliseconds that each sync takes longer on a slow disk.
const SLOW_DISK_MS: u64 = 40;
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
/// How long a server is left alone with a full disk, started or killed, in milliseconds.
const FULL_MS: (usize, usize) = (0, 800);
/// Milliseconds of load before a kill.
const LOAD_MS: (usize, usize) = (100, 1_200);
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

/// What is the matter with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Slow,
    Full,
}

/// One kill, and how long it took until something was acknowledged again.
#[derive(Debug)]
struct Kill {
    trouble: Trouble,
    hit: Hit,
    recovery_ms: u64,
}

/// What a run found.
#[derive(Debug, Default)]
struct Tally {
    kills: Vec<Kill>,
    acknowledged: usize,
    edited: usize,
    recalled: usize,
    club_facts: u64,
    reconnects: u64,
    verdict: Verdict,
    /// No disk could be filled here.
    no_full_disk: bool,
}

/// What a run is made with.
struct Run {
    corpus: Arc<Corpus>,
    random: Random,
    tally: Tally,
}

/// Runs it. Whether everything was right.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let count = options.count.filter(|_| !options.quick).unwrap_or(QUICK_KILLS);
    let again = format!("again: cargo xtask prove kills --count {count} --seed {seed}");
    let began = Instant::now();
    let corpus = Arc::new(Corpus::load(seed)?);
    let mut run = Run { corpus, random: Random::new(seed), tally: Tally::default() };
    let finished = run.all(count).await;
    if finished.is_err() || !run.tally.verdict.is_clean() {
        eprintln!("{again}");
    }
    run.report((seed, began.elapsed().as_secs()), options.json);
    let verdict = &run.tally.verdict;
    verdict.faults.first.iter().for_each(|fault| eprintln!("  {fault}"));
    finished?;
    let clean = verdict.is_clean();
    let in_time = match options.stored {
        Some(millions) if clean => {
            let plan = ServerPlan { data: options.stored_in, ..ServerPlan::from_environment()? };
            stored::run(plan, millions * 1_000_000, RESTARTS, options.json).await?
        }
        _ => true,
    };
    Ok(clean && in_time)
}

impl Run {
    async fn all(&mut self, count: usize) -> anyhow::Result<()> {
        let troubled = count / TROUBLED_ONE_IN;
        let well = count - 2 * troubled;
        for (trouble, kills) in [(Trouble::None, well), (Trouble::Slow, troubled), (Trouble::Full, troubled)]
        {
            let mut left = kills;
            while left > 0 && self.tally.verdict.is_clean() {
                let now = left.min(KILLS_PER_FOLDER);
                self.folder(trouble, now).await?;
                left -= now;
            }
        }
        Ok(())
    }

    /// So many kills on a folder of their own.
    async fn folder(&mut self, trouble: Trouble, kills: usize) -> anyhow::Result<()> {
        let small = if trouble == Trouble::Full { SmallDisk::mount()? } else { None };
        if trouble == Trouble::Full && small.is_none() {
            self.tally.no_full_disk = true;
            return Ok(());
        }
        let plan = ServerPlan {
            segment_bytes: Some(SEGMENT_BYTES),
            slow_disk_ms: (trouble == Trouble::Slow).then_some(SLOW_DISK_MS),
            data: small.as_ref().map(SmallDisk::data),
            ..ServerPlan::from_environment()?
        };
        let mut server = Server::start(plan).await?;
        let mut audit = Audit::default();
        let killed =
            self.kill_again_and_again(&mut server, (trouble, kills), small.as_ref(), &mut audit).await;
        let is_clean = audit.verdict.is_clean();
        self.tally.verdict.take(audit.verdict);
        if killed.is_err() || !is_clean {
            let log = server.log_tail();
            eprintln!("data kept in {}; the log ends:\n{log}", server.keep_folder().display());
            if let Some(small) = small {
                eprintln!("the full disk is still mounted at {}", small.keep().display());
            }
            return killed;
        }
        server.stop().await
    }

    async fn kill_again_and_again(
        &mut self,
        server: &mut Server,
        (trouble, kills): (Trouble, usize),
        small: Option<&SmallDisk>,
        audit: &mut Audit,
    ) -> anyhow::Result<()> {
        let mut load = Load::start(server, &self.corpus, &mut self.random).await?;
        // The small disk is in memory: a sync of it is over before many could wait for it.
        let least_flying = if small.is_some() { 1 } else { IN_FLIGHT_LEAST };
        for number in 0..kills {
            load.give(Cue::Speak);
            load.wait_until_flying(least_flying).await?;
            load.switch_listeners(&mut self.random).await?;
            self.pause(LOAD_MS).await;
            let hit = self.kill(server, &load, small).await.with_context(|| format!("kill {number}"))?;
            load.wait_until_cut_off().await?;
            let before = load.book.len();
            let started = self.start_again(server, small).await?;
            load.book.wait_for_count(before + 1, PATIENCE).await?;
            let recovery_ms = started.elapsed().as_millis() as u64;
            load.give(Cue::Pause);
            load.wait_until_silent().await?;
            load.audit(audit).await?;
            eprintln!(
                "kill {number} (disk trouble: {trouble:?}): {:?}, {} in flight, back in {recovery_ms} ms, {} acknowledged",
                hit.moment,
                hit.in_flight,
                load.book.len()
            );
            self.tally.kills.push(Kill { trouble, hit, recovery_ms });
            if !audit.verdict.is_clean() {
                return Ok(());
            }
        }
        load.finish(audit).await?;
        self.tally.acknowledged += load.book.len();
        let (edited, recalled) = load.book.all_amendments();
        self.tally.edited += edited;
        self.tally.recalled += recalled;
        self.tally.club_facts += load.club_facts().await;
        let attached = all_devices(&load.cast).map(|device| device.recorder().seen().attached);
        self.tally.reconnects += attached.sum::<u64>() - load.devices() as u64;
        Ok(())
    }

    async fn kill(
        &mut self,
        server: &mut Server,
        load: &Load,
        small: Option<&SmallDisk>,
    ) -> anyhow::Result<Hit> {
        let hit = match small {
            Some(small) => {
                small.fill()?;
                load.wait_until_stalled().await?;
                self.pause(FULL_MS).await;
                load.kill(server, (Moment::Random, 0), 0).await?
            }
            None => {
                let moment = Moment::ALL[self.tally.kills.len() % Moment::ALL.len()];
                let skip = self.random.below(6);
                // A roll is told by two or three names; a write to a store by dozens of notices.
                let skip = if moment == Moment::Roll { skip % 2 } else { skip };
                load.kill(server, (moment, skip), IN_FLIGHT_LEAST).await?
            }
        };
        server.reap_killed().await?;
        Ok(hit)
    }

    /// Starts the server again. On a full disk it may come up or not; once there is space it must.
    async fn start_again(
        &mut self,
        server: &mut Server,
        small: Option<&SmallDisk>,
    ) -> anyhow::Result<Instant> {
        let Some(small) = small else { return server.start_again().await };
        let still_full = Duration::from_millis(self.random.between(FULL_MS.0, FULL_MS.1) as u64);
        let space = async {
            sleep(still_full).await;
            small.make_space()
        };
        let (started, space) = tokio::join!(server.start_again(), space);
        space?;
        match started {
            Ok(started) => Ok(started),
            Err(_) => server.start_again().await,
        }
    }

    async fn pause(&mut self, (least, most): (usize, usize)) {
        sleep(Duration::from_millis(self.random.between(least, most) as u64)).await;
    }

    fn report(&self, (seed, seconds): (u64, u64), json: bool) {
        let tally = &self.tally;
        let sorted = |figures: Vec<u64>| {
            let mut figures = figures;
            figures.sort_unstable();
            figures
        };
        let with = |trouble| tally.kills.iter().filter(move |kill| kill.trouble == trouble);
        let in_flight = sorted(
            with(Trouble::None).chain(with(Trouble::Slow)).map(|kill| kill.hit.in_flight as u64).collect(),
        );
        let recoveries = sorted(with(Trouble::None).map(|kill| kill.recovery_ms).collect());
        let slow_recoveries = sorted(with(Trouble::Slow).map(|kill| kill.recovery_ms).collect());
        let of = |moment| tally.kills.iter().filter(|kill| kill.hit.moment == moment).count();
        let verdict = &tally.verdict;
        let mut report = Report::default();
        report.add("source", self.corpus.source.clone());
        report.add("kills", tally.kills.len());
        report.add("on_a_slow_disk", with(Trouble::Slow).count());
        match tally.no_full_disk {
            true => report.add("on_a_full_disk", "skipped: only root can mount one"),
            false => report.add("on_a_full_disk", with(Trouble::Full).count()),
        }
        report.add("at_random", of(Moment::Random));
        report.add("at_segment_roll", of(Moment::Roll));
        report.add("at_flush", of(Moment::Flush));
        report.add("at_checkpoint", of(Moment::Checkpoint));
        report.add(
            "told_by",
            "a name appearing in the log's folder; writes to index.sqlite-wal; a name in the history's folder",
        );
        report.add("devices", ACCOUNTS * DEVICES);
        report.add("in_flight_min", in_flight.first().copied().unwrap_or_default());
        report.add("in_flight_median", percentile(&in_flight, 50));
        report.add("acknowledged", tally.acknowledged);
        report.add("edited", tally.edited);
        report.add("recalled", tally.recalled);
        report.add("club_facts", tally.club_facts);
        report.add("reconnects", tally.reconnects);
        report.add("lost", verdict.lost);
        report.add("doubled", verdict.doubled);
        report.add("reordered", verdict.reordered);
        report.add("unread_mismatches", verdict.unread_mismatches);
        report.add("altered", verdict.altered);
        report.add("leaked", verdict.leaked);
        report.add("faults", verdict.faults.count);
        report.add("recovery_ms_p50", percentile(&recoveries, 50));
        report.add("recovery_ms_p99", percentile(&recoveries, 99));
        report.add("recovery_ms_max", recoveries.last().copied().unwrap_or_default());
        report.add("slow_recovery_ms_p50", percentile(&slow_recoveries, 50));
        report.add("seed", seed);
        report.add("seconds", seconds);
        report.print("kills", json);
    }
}
