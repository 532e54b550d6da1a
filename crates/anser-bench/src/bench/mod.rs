//! The benches, the same in every binary that offers them: each scenario measures the server, and in the same run what
//! the machine does at most for the same work.
//!
//! | part | does |
//! |---|---|
//! | [`direct`], [`group`], [`mixed`] | messages: sent, durable, delivered, read |
//! | [`storm`], [`sync`], [`history`], [`lists`], [`login`] | coming back, and asking |
//! | [`idle`], [`rest`] | what it costs that nobody does anything |
//! | [`figures`], [`plot`], [`progress`] | what is printed |
//! | [`options`], [`stage`], [`caller`], [`pen`] | how much, on which server, and what is said there |
//! | [`circles`], [`questions`], [`back`], [`new_pairs`], [`read_marks`] | what is said on many sockets, by [`crate::load`] |
//! | [`tally`], [`witness`], [`zipf`] | whether all of it came, and who says it where |

pub mod back;
pub mod caller;
pub mod circles;
pub mod direct;
pub mod figures;
pub mod filled;
pub mod group;
pub mod history;
pub mod idle;
pub mod lists;
pub mod login;
pub mod mixed;
pub mod new_pairs;
pub mod options;
pub mod pen;
pub mod plot;
pub mod progress;
pub mod questions;
pub mod read_marks;
pub mod rest;
pub mod stage;
pub mod storm;
pub mod sync;
pub mod tally;
pub mod witness;
pub mod zipf;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::Instant;

use self::figures::Figure;
use self::options::{Options, Size};
use self::progress::Progress;
use crate::raw::{held, returns};

/// How long one scenario may take.
const BOUND_TINY: Duration = Duration::from_secs(60);
const BOUND_QUICK: Duration = Duration::from_secs(100);
/// All of them end within this and what is under way then: in less than ten minutes.
const BOUND_ALL_QUICK: Duration = Duration::from_secs(510);
const BOUND_FULL: Duration = Duration::from_secs(20 * 60);

/// What to measure. Each figure stands beside what the machine does at most for the same work, with the ratio, its
/// goal, and whether anything was lost, doubled or reordered: then it is void.
#[derive(Subcommand)]
pub enum Bench {
    /// Every scenario, one after the other
    All(Flags),
    /// A server that nobody uses: memory, how soon it is ready, size; and memory after ten million messages (parts: start, filled)
    Rest(Flags),
    /// Memory of a session that is attached and says nothing
    Idle(Flags),
    /// From a send to its durable acknowledgement, its delivery, its read mark (parts: pair, new, read, pairs, many, tcp,
    /// tls)
    Direct(Flags),
    /// One says it, all in the group are told (parts: 500, 10)
    Group(Flags),
    /// Real short messages, half direct, most of them in few conversations
    Mixed(Flags),
    /// Up to 18,000 clients come back at once
    Storm(Flags),
    /// What is new in 20 of 500 conversations
    Sync(Flags),
    /// Pages of 50 of a long conversation (parts: near, far)
    History(Flags),
    /// Lists of 20, read before (parts: conversations, contacts, members)
    Lists(Flags),
    /// Signing in over HTTP (parts: cheap, real)
    Login(Flags),
    /// Holds connections: the limit of `idle`
    #[command(hide = true)]
    RawHeld,
    /// Answers so many bytes to what is said first, second and so on: the limit of `storm`
    #[command(hide = true)]
    RawReturns {
        /// Bytes of each answer
        bytes: Vec<usize>,
    },
}

/// How it is measured.
#[derive(Args)]
pub struct Flags {
    /// Minutes instead of a quarter of an hour and more
    #[arg(long)]
    quick: bool,
    /// Seconds: whether it works at all
    #[arg(long, hide = true, conflicts_with = "quick")]
    tiny: bool,
    /// One JSON object for each figure
    #[arg(long)]
    json: bool,
    /// Draws latency against load into this folder, as SVG (direct and group)
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,
    /// Seconds of one run that is to hold [default: 60, quick 4]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// Only this part of the scenario
    #[arg(long)]
    only: Option<String>,
}

/// A scenario: what it measured stands, even if it fails later.
pub type Scenario = fn(&Options, &mut Vec<Figure>) -> anyhow::Result<()>;

/// All of them, in the order in which they are measured.
pub const SCENARIOS: [(&str, Scenario); 10] = [
    ("rest", rest::run),
    ("idle", idle::run),
    ("direct", direct::run),
    ("group", group::run),
    ("mixed", mixed::run),
    ("storm", storm::run),
    ("sync", sync::run),
    ("history", history::run),
    ("lists", lists::run),
    ("login", login::run),
];

impl Bench {
    /// Measures and prints. `place` is what stands before these commands on the command line.
    ///
    /// # Errors
    /// Nothing could be measured, or what was measured is void.
    pub fn run(self, place: &[&str]) -> anyhow::Result<()> {
        let (name, flags) = match self {
            Bench::RawHeld => return held::hold(),
            Bench::RawReturns { bytes } => return returns::serve(&bytes),
            Bench::All(flags) => (None, flags),
            Bench::Rest(flags) => (Some("rest"), flags),
            Bench::Idle(flags) => (Some("idle"), flags),
            Bench::Direct(flags) => (Some("direct"), flags),
            Bench::Group(flags) => (Some("group"), flags),
            Bench::Mixed(flags) => (Some("mixed"), flags),
            Bench::Storm(flags) => (Some("storm"), flags),
            Bench::Sync(flags) => (Some("sync"), flags),
            Bench::History(flags) => (Some("history"), flags),
            Bench::Lists(flags) => (Some("lists"), flags),
            Bench::Login(flags) => (Some("login"), flags),
        };
        let mut raw_command: Vec<OsString> = vec![std::env::current_exe()?.into()];
        raw_command.extend(place.iter().map(OsString::from));
        let chosen = SCENARIOS.iter().filter(|(scenario, _)| name.is_none_or(|name| name == *scenario));
        flags.measure(&chosen.collect::<Vec<_>>(), raw_command)
    }
}

impl Flags {
    fn measure(self, chosen: &[&(&'static str, Scenario)], raw_command: Vec<OsString>) -> anyhow::Result<()> {
        let size = if self.tiny { Size::Tiny } else { [Size::Full, Size::Quick][usize::from(self.quick)] };
        let mut options = Options {
            size,
            seconds: self.seconds,
            only: self.only,
            svg: self.svg,
            raw_command,
            progress: Progress::on_standard_error(),
            until: Instant::now(),
        };
        if let Some(load) = others_load() {
            eprintln!("this machine is busy (load {load:.1}): what comes out says little of it");
        }
        let all_until = Instant::now() + if size == Size::Full { BOUND_FULL * 10 } else { BOUND_ALL_QUICK };
        let mut void = Vec::new();
        for (number, &&(name, scenario)) in chosen.iter().enumerate() {
            options.progress.enter(format!("[{}/{}] {name}:", number + 1, chosen.len()));
            let until = Instant::now() + size.pick(BOUND_TINY, BOUND_QUICK, BOUND_FULL);
            options.until = until.min(all_until);
            // What went wrong in one scenario says nothing about the others.
            let mut figures = Vec::new();
            let ended = scenario(&options, &mut figures);
            figures.extend(ended.err().map(|error| Figure::void(name, &error)));
            options.progress.clear();
            for figure in &figures {
                println!("{}", figure.shown(self.json));
            }
            void.extend(figures.iter().any(Figure::is_void).then_some(name));
        }
        anyhow::ensure!(void.is_empty(), "void: {}", void.join(", "));
        Ok(())
    }
}

/// The load of the last minute, where it is more than some other program's idling.
fn others_load() -> Option<f64> {
    let told = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = told.split(' ').next()?.parse().ok()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (load > 0.3 * cores as f64).then_some(load)
}
