//! The storm harness: a real server held to a share of one processor is offered what it cannot bear. What it
//! still does must be nearly as much as it does at its best, nothing that it acknowledged may be lost, and its
//! memory stays in bounds.
//!
//! - [`share`]: holds the server to its share
//! - [`open`]: offers a load that does not wait for answers
//! - [`back`]: everybody comes back at once

mod back;
mod open;
mod share;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anser_model::ConversationId;
use anyhow::Context as _;
use clap::Args;
use rustix::process::Pid;
use tokio::task::block_in_place;
use tokio::time::Instant;

use self::open::{Crowd, Load, Outcome};
use self::share::Share;
use crate::audit::Audit;
use crate::book::Book;
use crate::device::Device;
use crate::people::{self, Person};
use crate::process;
use crate::random::fresh_seed;
use crate::report::{Report, percentile};
use crate::server::{Server, ServerPlan};
use crate::socket::attach;

/// People, each on one connection.
const PEOPLE: usize = 160;
/// Members of the groups of the ordinary load.
const CIRCLE: usize = 8;
/// Members of the group with a slow reader.
const SALON: usize = 40;
/// Bytes of an ordinary text, and of one where somebody does not read: what the kernel holds for a socket must
/// be full within a second.
const TEXT_BYTES: usize = 100;
const SALON_TEXT_BYTES: usize = 4_000;
/// 99 of 100 messages are there within so many microseconds where everybody keeps up.
const CALM_DELIVERY_US: u64 = 200_000;
/// Messages each second that fill what one who does not read may leave unread, within the time of a turn.
const CALM_RATE_LEAST: f64 = 80.0;
const CALM_RATE_MOST: f64 = 20_000.0;
/// Hundredths of one processor that the server gets.
const SHARE_PERCENT: u64 = 10;
/// Useful answers under overload by five times, in hundredths of the peak, that are least.
const GOODPUT_LEAST_PERCENT: f64 = 85.0;
/// A server that does less than this of what it is offered has all that it can do.
const FULL_SHARE: f64 = 0.75;
/// Times the peak that must really be offered where five times is meant.
const OFFERED_LEAST: f64 = 4.0;
/// Mebibytes of the server's own memory at most.
const MEMORY_CAP_MIB: u64 = 512;
/// How much longer the slowest of a hundred deliveries may take beside a slow reader.
const SLOW_READER_RATIO_MOST: f64 = 1.5;

/// What the harness is told.
#[derive(Debug, Args)]
pub struct Options {
    /// Shorter, for the test run, beside which other programs may run: no goal that is a matter of time
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Hundredths of one processor that the server gets
    #[arg(long, default_value_t = SHARE_PERCENT, value_parser = clap::value_parser!(u64).range(5..=100))]
    share: u64,
    /// Only this part
    #[arg(long, value_parser = ["overload", "hot", "slow", "back"])]
    only: Option<String>,
    /// Draw the same arrivals again; the machine decides the rest
    #[arg(long)]
    seed: Option<u64>,
}

/// How long things take.
struct Times {
    step: Duration,
    level: Duration,
    peak: Duration,
    /// Overload by two, five and ten times.
    overload: [(u32, Duration); 3],
    hot: Duration,
    slow: Duration,
    slow_rounds: usize,
    come_back: usize,
}

impl Times {
    fn of(quick: bool) -> Times {
        let s = Duration::from_secs;
        if quick {
            Times {
                step: Duration::from_millis(400),
                level: s(1),
                peak: s(1),
                overload: [(2, s(2)), (5, s(5)), (10, s(2))],
                hot: s(3),
                slow: Duration::from_millis(1_500),
                slow_rounds: 1,
                come_back: 200,
            }
        } else {
            Times {
                step: s(2),
                level: s(5),
                peak: s(20),
                overload: [(2, s(20)), (5, s(60)), (10, s(20))],
                hot: s(15),
                slow: s(4),
                slow_rounds: 5,
                come_back: 1_000,
            }
        }
    }
}

/// A run, with what it found.
struct Storm {
    server: Server,
    crowd: Crowd,
    circles: Arc<Vec<(ConversationId, Vec<usize>)>>,
    hot: Arc<Vec<(ConversationId, Vec<usize>)>>,
    salon: Arc<Vec<(ConversationId, Vec<usize>)>>,
    devices: Vec<Device>,
    book: Arc<Book>,
    report: Report,
    faults: Vec<String>,
    quick: bool,
}

/// Runs it. Whether everything was right.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let times = Times::of(options.quick);
    let began = Instant::now();
    let plan = ServerPlan { backoff_cap_ms: 30_000, ..ServerPlan::from_environment()? };
    let server = Server::start(plan).await?;
    // Less would be late for reasons of the harness's own; who may not is content without.
    _ = rustix::process::nice(-10);
    let mut storm = Storm::gather(server, seed, options.quick).await?;
    let pid = storm.server.pid().context("the server runs")?;
    let share = Share::hold(pid, options.share)?;
    storm.report.add("held_by", share.name());
    storm.report.add("share_percent", options.share);
    let watch = MemoryWatch::start(pid)?;
    let wants = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    block_in_place(|| {
        if wants("overload") {
            storm.overload(&times, pid)?;
        }
        if wants("hot") {
            storm.hot_group(&times)?;
        }
        if wants("slow") {
            storm.slow_reader(&times)?;
        }
        anyhow::Ok(())
    })?;
    let most_mib = watch.stop() >> 20;
    storm.report.add("memory_mib", most_mib);
    storm.report.add("memory_cap_mib", MEMORY_CAP_MIB);
    storm.require(most_mib <= MEMORY_CAP_MIB, || format!("the server took {most_mib} MiB of its own"));
    drop(share);
    storm.audit().await?;
    if wants("back") {
        storm.come_back(times.come_back, options.share).await?;
    }
    let Storm { mut report, faults, mut server, .. } = storm;
    report.add("seed", seed);
    report.add("seconds", began.elapsed().as_secs());
    report.print("storm", options.json);
    if faults.is_empty() {
        server.stop().await?;
        return Ok(true);
    }
    faults.iter().for_each(|fault| eprintln!("  {fault}"));
    let quick = if options.quick { " --quick" } else { "" };
    eprintln!("again: cargo xtask prove storm{quick} --seed {seed}");
    eprintln!("data kept in {}", server.keep_folder().display());
    Ok(false)
}

impl Storm {
    async fn gather(server: Server, seed: u64, quick: bool) -> anyhow::Result<Storm> {
        let people = people::register(&server.address(), PEOPLE, 1).await?;
        let book = Arc::new(Book::default());
        let key = |person: &Person| person.keys.first().cloned().context("everybody has a device");
        let mut devices = Vec::with_capacity(PEOPLE);
        for person in &people {
            devices.push(Device::new(person.account, server.address(), key(person)?, book.clone()));
        }
        let mut circles = Vec::new();
        for first in (0..PEOPLE).step_by(CIRCLE) {
            circles.push(group(&devices, (first..first + CIRCLE).collect()).await?);
        }
        let hot = vec![group(&devices, (0..PEOPLE).collect()).await?];
        let salon = vec![group(&devices, (0..SALON).collect()).await?];
        let address = server.address();
        let attached = people
            .iter()
            .map(|person| Ok((person.account, attach(address.authority(), &key(person)?.access_token)?)));
        let crowd = Crowd::new(attached.collect::<anyhow::Result<_>>()?, book.clone(), seed)?;
        let (circles, hot, salon) = (Arc::new(circles), Arc::new(hot), Arc::new(salon));
        let (report, faults) = (Report::default(), Vec::new());
        Ok(Storm { server, crowd, circles, hot, salon, devices, book, report, faults, quick })
    }

    fn require(&mut self, is_so: bool, else_what: impl FnOnce() -> String) {
        if !is_so {
            self.faults.push(else_what());
        }
    }

    /// The same of what is a matter of time, which is no matter of a test run.
    fn require_pace(&mut self, is_so: bool, else_what: impl FnOnce() -> String) {
        self.require(is_so || self.quick, else_what);
    }

    /// The rate to offer at which the most is answered in time: it is offered more and more, until much of it is put off;
    /// then a little more and less than what was best.
    fn best_rate(&mut self, load: &Load, times: &Times, from: f64) -> anyhow::Result<f64> {
        let (mut rate, mut best, mut full) = (from, 0.0f64, 0);
        while full < 2 {
            let outcome = self.crowd.offer(&Load { rate, run: times.step, ..load.clone() })?;
            best = best.max(outcome.goodput());
            // Twice, since another program may have had the processor once.
            full += usize::from(outcome.goodput() < FULL_SHARE * outcome.sent_rate());
            rate *= 1.4;
        }
        let mut found = (0.0f64, best);
        for share in [1.0, 1.3, 1.6] {
            let rate = share * best;
            let goodput = self.crowd.offer(&Load { rate, run: times.level, ..load.clone() })?.goodput();
            if goodput > found.0 {
                found = (goodput, rate);
            }
        }
        Ok(found.1)
    }

    /// The peak: what is answered in time at that rate, each second, for long enough that what is put away later is paid for.
    fn peak(&mut self, load: &Load, times: &Times, rate: f64) -> anyhow::Result<f64> {
        Ok(self.crowd.offer(&Load { rate, run: times.peak, ..load.clone() })?.goodput())
    }

    fn overload(&mut self, times: &Times, pid: Pid) -> anyhow::Result<()> {
        let load = self.load(&self.circles, TEXT_BYTES);
        let best_rate = self.best_rate(&load, times, 300.0)?;
        let mut before = self.peak(&load, times, best_rate)?;
        self.report.add("peak_per_s", before.round());
        for (overload, run) in times.overload {
            let (used, before_overload) = (process::processor_time(pid)?, before);
            let outcome =
                self.crowd.offer(&Load { rate: f64::from(overload) * before, run, ..load.clone() })?;
            let used = process::processor_time(pid)?.saturating_sub(used).as_secs_f64();
            // The machine's own pace may change meanwhile.
            let after = self.peak(&load, times, best_rate)?;
            let share = 100.0 * outcome.goodput() / ((before + after) / 2.0);
            before = after;
            eprintln!(
                "  overload by {overload}: {share:.1} % of the peak, {}, processor {:.0} %",
                told(&outcome),
                100.0 * used / run.as_secs_f64()
            );
            let name = match overload {
                2 => "goodput_2x_percent",
                5 => "goodput_5x_percent",
                _ => "goodput_10x_percent",
            };
            self.report.add(name, (share * 10.0).round() / 10.0);
            if overload == 5 {
                let offered = outcome.sent_rate() / before_overload;
                self.report.add("offered_5x", (offered * 100.0).round() / 100.0);
                self.require_pace(offered >= OFFERED_LEAST, || {
                    format!(
                        "only {offered:.1} times the peak could be offered: the machine has too much to do"
                    )
                });
                self.report.add("answer_p99_5x_ms", outcome.p99_ms().round());
                self.report.add("put_off_5x", outcome.put_off);
                self.require_pace(share >= GOODPUT_LEAST_PERCENT, || {
                    format!(
                        "goodput under overload by 5 is {share:.1} % of the peak, not {GOODPUT_LEAST_PERCENT} %"
                    )
                });
            }
        }
        Ok(())
    }

    /// Everybody speaks in one group at once, five times as much as it bears.
    fn hot_group(&mut self, times: &Times) -> anyhow::Result<()> {
        let load = self.load(&self.hot, TEXT_BYTES);
        let best_rate = self.best_rate(&load, times, 20.0)?;
        let peak = self.peak(&load, times, best_rate)?;
        let outcome = self.crowd.offer(&Load { rate: 5.0 * peak, run: times.hot, ..load })?;
        let share = 100.0 * outcome.goodput() / peak;
        eprintln!("  one group of {PEOPLE}, by 5: {share:.1} % of its peak, {}", told(&outcome));
        self.report.add("hot_peak_per_s", peak.round());
        self.report.add("hot_goodput_5x_percent", share.round());
        self.require(outcome.useful > 0, || "a hot group stands still".to_owned());
        Ok(())
    }

    /// Half of the rate up to which everybody is delivered everything soon: what is accepted at the peak is more, since those who
    /// do not keep up are told to sync.
    fn calm_rate(&mut self, load: &Load, times: &Times) -> anyhow::Result<f64> {
        let (mut rate, mut calm, mut restless) = (CALM_RATE_LEAST, CALM_RATE_LEAST, 0);
        // Twice, since another program may have had the processor once.
        while restless < 2 && rate < CALM_RATE_MOST {
            let outcome = self.crowd.offer(&Load { rate, run: times.step, ..load.clone() })?;
            let took = &outcome.deliveries_us;
            let is_soon = !took.is_empty() && percentile(took, 99) <= CALM_DELIVERY_US;
            match is_soon && outcome.resyncs == 0 && outcome.put_off == 0 {
                true => calm = rate,
                false => restless += 1,
            }
            rate *= 1.2;
        }
        Ok((calm / 2.0).max(CALM_RATE_LEAST))
    }

    /// One member of a group does not read; the others, with it and without it in turns.
    fn slow_reader(&mut self, times: &Times) -> anyhow::Result<()> {
        let load = self.load(&self.salon, SALON_TEXT_BYTES);
        let rate = self.calm_rate(&load, times)?;
        let load = Load { rate, run: times.slow, ..load };
        let mut took: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
        let slow = SALON - 1;
        // Who is slow says nothing.
        let (cid, members) = &load.circles[0];
        let speakers = Arc::new(vec![(*cid, members[..slow].to_vec())]);
        let load = Load { circles: speakers, ..load };
        for round in 0..2 * times.slow_rounds {
            let is_slow = round % 2 == 1;
            self.crowd.slow(slow, is_slow)?;
            took[usize::from(is_slow)].extend(self.crowd.offer(&load)?.deliveries_us);
            self.crowd.slow(slow, false)?;
            // It reads what is there, and catches up.
            let pause = Load { rate: 20.0, run: Duration::from_millis(300), ..load.clone() };
            self.crowd.offer(&pause)?;
        }
        let [without, with] = took.each_mut().map(|took| {
            took.sort_unstable();
            percentile(took, 99) as f64 / 1e3
        });
        let (ratio, resyncs) = (with / without, self.crowd.resyncs(slow));
        self.report.add("slow_reader_rate_per_s", rate.round());
        self.report.add("slow_reader_p99_ms", with.round());
        self.report.add("without_it_p99_ms", without.round());
        self.report.add("slow_reader_ratio", (ratio * 100.0).round() / 100.0);
        self.report.add("slow_reader_resyncs", resyncs);
        self.require_pace(ratio <= SLOW_READER_RATIO_MOST, || {
            format!("a slow reader costs the others {ratio:.2} times, not {SLOW_READER_RATIO_MOST}")
        });
        self.require_pace(took.iter().all(|took| took.len() > 1_000), || {
            "hardly anything was delivered".to_owned()
        });
        self.require_pace(resyncs > 0, || "nobody was slow: no resync was told".to_owned());
        Ok(())
    }

    fn load(&self, circles: &Arc<Vec<(ConversationId, Vec<usize>)>>, text_bytes: usize) -> Load {
        let times_deliveries = text_bytes == SALON_TEXT_BYTES;
        Load { rate: 0.0, run: Duration::ZERO, circles: circles.clone(), text_bytes, times_deliveries }
    }

    /// Reads everything back, and compares it with what was acknowledged.
    async fn audit(&mut self) -> anyhow::Result<()> {
        let mut audit = Audit::default();
        let entries = self.book.drain_new();
        for (cid, members) in self.circles.iter().chain(self.hot.iter()).chain(self.salon.iter()) {
            let device = &self.devices[members[0]];
            device.connect().await?;
            audit.read(&device.client().await, *cid).await?;
            device.cut().await;
        }
        audit.check_entries(&entries, &self.book);
        audit.check_nothing_else(&self.book);
        audit.verdict.faults.take(self.book.faults());
        self.report.add("acknowledged", entries.len());
        self.report.add("lost", audit.verdict.lost);
        self.report.add("doubled", audit.verdict.doubled);
        self.report.add("reordered", audit.verdict.reordered);
        self.faults.extend(audit.verdict.faults.first);
        Ok(())
    }

    /// The server is gone at once, and everybody with it; then it is there again.
    async fn come_back(&mut self, count: usize, share_percent: u64) -> anyhow::Result<()> {
        let back = back::run(&mut self.server, &self.devices, (count, share_percent)).await?;
        self.report.add("came_back", count);
        self.report.add("back_p50_ms", percentile(&back.after_ms, 50));
        self.report.add("back_all_ms", back.after_ms.last().copied().unwrap_or_default());
        self.report.add("back_busiest_100ms_percent", back.busiest_percent());
        self.require(back.after_ms.len() == count, || {
            format!("{} of {count} came back", back.after_ms.len())
        });
        self.require_pace(back.busiest_percent() <= back::HERD_PERCENT, || {
            format!("{} % of all came back within a tenth of a second", back.busiest_percent())
        });
        Ok(())
    }
}

async fn group(devices: &[Device], members: Vec<usize>) -> anyhow::Result<(ConversationId, Vec<usize>)> {
    let creator = &devices[members[0]];
    creator.connect().await?;
    let others: Vec<_> = members[1..].iter().map(|&member| devices[member].account).collect();
    let accepted = creator.client().await.create_group("Storm", &others, true).await?;
    creator.cut().await;
    Ok((anser_proto::wire::cid(&accepted.cid)?, members))
}

fn told(outcome: &Outcome) -> String {
    format!(
        "offered {}, useful {}, late {}, put off {}, unanswered {}, resyncs {}, p99 {:.0} ms",
        outcome.offered,
        outcome.useful,
        outcome.late,
        outcome.put_off,
        outcome.unanswered,
        outcome.resyncs,
        outcome.p99_ms()
    )
}

/// Looks at a process's own memory until it is told to stop.
struct MemoryWatch {
    over: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl MemoryWatch {
    fn start(pid: Pid) -> anyhow::Result<MemoryWatch> {
        let (over, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, seen) = (over.clone(), most.clone());
        let thread = std::thread::Builder::new().name("memory".into()).spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if let Ok((_, own)) = process::resident_bytes(pid) {
                    seen.fetch_max(own, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        })?;
        Ok(MemoryWatch { over, most, thread })
    }

    /// The most that it took.
    fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        _ = self.thread.join();
        self.most.load(Ordering::Relaxed)
    }
}
