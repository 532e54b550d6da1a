//! From a send to its durable acknowledgement and to its delivery, over real sockets, beside what one
//! thread with a bare epoll and one fdatasync for each group does here.

use std::path::Path;
use std::time::Duration;

use anser_model::AccountId;
use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::figures::{Figure, median};
use crate::load::{self, End, Outcome, Plan};
use crate::people::{self, Person};
use crate::process;
use crate::raw::echo;
use crate::server::{Server, ServerPlan};
use crate::socket::attach;
use crate::talk::{Talk, Used};

const WARM_UP: Duration = Duration::from_millis(800);
/// The raw limit and the server take turns so often; the median counts.
const ROUNDS: usize = 3;

/// How it is measured.
#[derive(Debug, Clone)]
pub struct DirectOptions {
    /// Fewer connections and less time.
    pub quick: bool,
    /// Seconds of one run, if not the usual.
    pub seconds: Option<u64>,
    /// Only this part, if not all: `pair`, `pairs` or `many`.
    pub only: Option<String>,
}

/// Who sends to whom.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    connections: usize,
    /// Both ends of a pair send; else the first.
    both: bool,
}

/// What one round of the server came to.
struct Round {
    outcome: Outcome,
    deliveries_us: (u64, u64),
    used: Used,
}

/// Measures.
///
/// # Errors
/// The server fails, or an acknowledged message was lost, doubled or reordered.
pub fn run(options: &DirectOptions) -> anyhow::Result<Vec<Figure>> {
    let many = if options.quick { 200 } else { 1_000 };
    let shapes = [
        Shape { name: "pair", connections: 2, both: false },
        Shape { name: "pairs", connections: if options.quick { 40 } else { 200 }, both: false },
        Shape { name: "many", connections: many, both: true },
    ];
    let seconds = options.seconds.unwrap_or(if options.quick { 2 } else { 4 });
    let plan = Plan { warm_up: WARM_UP, run: Duration::from_secs(seconds) };
    let rounds = if options.quick { 1 } else { ROUNDS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut server = runtime.block_on(Server::start(ServerPlan::from_environment()?))?;
    let people = runtime.block_on(people::register(&server.address(), many, 1))?;
    let mut figures = Vec::new();
    let chosen = |shape: &&Shape| options.only.as_deref().is_none_or(|only| only == shape.name);
    for (number, shape) in shapes.iter().enumerate().filter(|(_, shape)| chosen(shape)) {
        let mut raw = Vec::new();
        let mut ours = Vec::new();
        for round in 0..rounds {
            let folder = server.data();
            raw.push(measure_raw(&folder, shape, plan)?);
            ours.push(measure(&server, &people, shape, (number * ROUNDS + round) as u8, plan)?);
        }
        figures.extend(figures_of(shape, &raw, &ours));
    }
    let pid = server.pid().context("the server runs")?;
    let (resident, own) = process::resident_bytes(pid)?;
    figures.push(Figure::alone("server_resident_mib", resident as f64 / f64::from(1 << 20)));
    figures.push(Figure::alone("server_own_memory_mib", own as f64 / f64::from(1 << 20)));
    stop(&runtime, &mut server)?;
    Ok(figures)
}

fn stop(runtime: &Runtime, server: &mut Server) -> anyhow::Result<()> {
    runtime.block_on(server.stop())
}

fn measure_raw(folder: &Path, shape: &Shape, plan: Plan) -> anyhow::Result<Outcome> {
    let senders = if shape.both { shape.connections } else { shape.connections / 2 };
    echo::measure(folder, senders, plan).context("measuring the raw limit")
}

fn measure(
    server: &Server,
    people: &[Person],
    shape: &Shape,
    round: u8,
    plan: Plan,
) -> anyhow::Result<Round> {
    let people = people.get(..shape.connections).context("there are as many people as connections")?;
    let pid = server.pid().context("the server runs")?;
    let address = server.address();
    let mut ends = Vec::with_capacity(people.len());
    let mut server_time_ms = 0;
    for (at, person) in people.iter().enumerate() {
        let key = person.keys.first().context("everybody has a device")?;
        let attached = attach(address.authority(), &key.access_token)?;
        server_time_ms = attached.server_time_ms;
        let sends = shape.both || at % 2 == 0;
        ends.push(End { stream: attached.stream, received: attached.already_read, sends });
    }
    let accounts: Vec<AccountId> = people.iter().map(|person| person.account).collect();
    let mut talk = Talk::new(&accounts, round, server_time_ms, pid);
    let outcome =
        load::run(&mut ends, &mut talk, plan).with_context(|| format!("measuring {}", shape.name))?;
    let faults = talk.faults();
    anyhow::ensure!(faults == Default::default(), "the figures are void: {faults:?}");
    Ok(Round { outcome, deliveries_us: talk.deliveries_us(), used: talk.used() })
}

fn figures_of(shape: &Shape, raw: &[Outcome], ours: &[Round]) -> Vec<Figure> {
    let raw_median = |of: fn(&Outcome) -> f64| median(raw.iter().map(of).collect());
    let our_median = |of: fn(&Round) -> f64| median(ours.iter().map(of).collect());
    let name = |figure: &str| format!("{}_{figure}", shape.name);
    let per_message = |of: fn(&Round) -> f64| {
        median(ours.iter().map(|round| of(round) / round.outcome.answers.max(1) as f64).collect())
    };
    let (rate, raw_rate) = (our_median(|round| round.outcome.rate), raw_median(|raw| raw.rate));
    let (p50, raw_p50) =
        (our_median(|round| round.outcome.p50_us as f64), raw_median(|raw| raw.p50_us as f64));
    let (p99, raw_p99) =
        (our_median(|round| round.outcome.p99_us as f64), raw_median(|raw| raw.p99_us as f64));
    vec![
        Figure::beside(name("sends_per_s"), rate, raw_rate),
        Figure::beside(name("ack_p50_us"), p50, raw_p50),
        Figure::beside(name("ack_p99_us"), p99, raw_p99),
        Figure::beside(name("delivery_p50_us"), our_median(|round| round.deliveries_us.0 as f64), raw_p50),
        Figure::beside(name("delivery_p99_us"), our_median(|round| round.deliveries_us.1 as f64), raw_p99),
        Figure::alone(
            name("processor_us_per_message"),
            per_message(|round| round.used.processor.as_secs_f64() * 1e6),
        ),
        Figure::alone(name("processor_s"), our_median(|round| round.used.processor.as_secs_f64())),
        Figure::alone(name("wake_ups_per_message"), per_message(|round| round.used.sleeps as f64)),
    ]
}
