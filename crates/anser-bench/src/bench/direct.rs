//! One writes to another: from a send to its durable acknowledgement, to its delivery, and to the read mark that
//! comes back, beside what one thread with a bare epoll and one fdatasync for each group does here.

use std::sync::Arc;

use anser_model::AccountId;
use anyhow::Context as _;
use rustls::ClientConfig;

use super::figures::{Figure, Goal, Unit, median};
use super::new_pairs::Strangers;
use super::options::Options;
use super::pen::Sizes;
use super::plot::{self, Series};
use super::read_marks::ReadMarks;
use super::stage::{Lag, Stage};
use crate::carrier::Bare;
use crate::load::{self, End, Outcome, Plan, Wire};
use crate::raw::echo::{self, Work};
use crate::report::Percentiles;
use crate::talk::{Faults, Talk};

/// The limit and the server take turns so often where a single time is measured; the median counts.
const ROUNDS: usize = 3;
/// Shares of what is done at most at which times are plotted.
const SHARES: [f64; 6] = [0.1, 0.25, 0.5, 0.7, 0.85, 0.95];
const NAME: &str = "direct";

/// Who sends to whom.
#[derive(Clone, Copy)]
struct Shape {
    connections: usize,
    /// Both ends of a pair send; else the first.
    both: bool,
}

impl Shape {
    fn sends(self, at: usize) -> bool {
        self.both || at.is_multiple_of(2)
    }
}

/// What one round of the server came to.
struct Round {
    outcome: Outcome,
    delivered_rate: f64,
    deliveries: Percentiles,
    lag: Lag,
}

/// Measures.
///
/// # Errors
/// The server fails, or an acknowledged message was lost, doubled or reordered.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let many = options.size.pick(12, 1_000, 1_000);
    let mut direct = Direct { stage: Stage::open(options, many)?, sizes: Sizes::usual(), rounds: 0 };
    if options.wants("pair") {
        figures.extend(direct.pair()?);
    }
    if options.wants("new") {
        figures.push(direct.someone_new()?);
    }
    if options.wants("read") {
        figures.push(direct.read_marks()?);
    }
    if options.wants("pairs") {
        figures.extend(direct.pairs()?);
    }
    if options.wants("many") {
        figures.push(direct.many(many)?);
    }
    if let Some(folder) = &options.svg {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("direct.svg"), direct.plot()?)?;
    }
    if options.wants("tcp") {
        figures.push(direct.over(None, "bare TCP")?);
    }
    // Last: from then on the server speaks nothing else.
    if options.wants("tls") {
        let trust = direct.stage.turn_to_tls()?;
        figures.push(direct.over(Some(&trust), "TLS")?);
    }
    direct.stage.close()
}

struct Direct<'a> {
    stage: Stage<'a>,
    sizes: Sizes,
    /// Talks so far: told apart by their number.
    rounds: u8,
}

impl Direct<'_> {
    fn pair(&mut self) -> anyhow::Result<[Figure; 2]> {
        let shape = Shape { connections: 2, both: false };
        let (mut raw, mut ours) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            self.stage.options.step(&format!("pair, turn {} of {ROUNDS}", round + 1))?;
            raw.push(self.limit(shape, false, self.stage.options.brief())?.latency);
            ours.push(self.talk(shape, self.stage.options.brief())?);
        }
        let middle = |times: &[Percentiles]| {
            let of = |value: fn(&Percentiles) -> u64| {
                median(times.iter().map(|it| value(it) as f64).collect()) as u64
            };
            Percentiles {
                p50: of(|it| it.p50),
                p90: of(|it| it.p90),
                p99: of(|it| it.p99),
                most: of(|it| it.most),
            }
        };
        let limit = middle(&raw);
        let acknowledged = middle(&ours.iter().map(|round| round.outcome.latency).collect::<Vec<_>>());
        let delivered = middle(&ours.iter().map(|round| round.deliveries).collect::<Vec<_>>());
        let figure = |name: &str, times: Percentiles| {
            Figure::new(NAME, name, times.p50 as f64, Unit::Microseconds)
                .beside(limit.p50 as f64)
                .latency(times, Some(limit))
        };
        let acknowledged =
            figure("one pair, send to durable answer, p50", acknowledged).goal(Goal::OfLimitAtMost(2.0));
        let delivered = figure("one pair, send to delivery, p50", delivered);
        Ok([self.finished(acknowledged, &ours[0])?, self.finished(delivered, &ours[0])?])
    }

    fn pairs(&mut self) -> anyhow::Result<[Figure; 2]> {
        let shape = Shape { connections: self.stage.options.size.pick(8, 200, 200), both: false };
        let pairs = shape.connections / 2;
        let (ours, limit) = self.between(shape, true, &format!("{pairs} pairs"))?;
        let name = format!("{pairs} pairs, delivered and durable");
        let rate = Figure::new(NAME, name, ours.delivered_rate, Unit::PerSecond)
            .beside(limit.rate)
            .goal(Goal::AtLeast(65_000.0))
            .latency(ours.deliveries, Some(limit.latency));
        let p99 = ours.deliveries.p99 as f64 / 1e3;
        let name = format!("{pairs} pairs, send to delivery, p99");
        let late = Figure::new(NAME, name, p99, Unit::Milliseconds)
            .beside(limit.latency.p99 as f64 / 1e3)
            .goal(Goal::AtMost(20.0));
        Ok([self.finished(rate, &ours)?, self.finished(late, &ours)?])
    }

    /// Pairs over something else than a plain WebSocket, beside the limit of plain sockets.
    fn over(&mut self, trust: Option<&Arc<ClientConfig>>, carrier: &str) -> anyhow::Result<Figure> {
        let options = self.stage.options;
        let shape = Shape { connections: options.size.pick(8, 200, 200), both: false };
        let name = format!("{} pairs over {carrier}, delivered and durable", shape.connections / 2);
        options.step(&name)?;
        let limit = self.limit(shape, true, options.brief())?;
        self.rounds += 1;
        let sends = |at| usize::from(shape.sends(at));
        let (ends, server_time_ms) = self.stage.ends_over(trust, 0..shape.connections, sends)?;
        let talk = Talk::new(&self.accounts(shape), self.rounds, server_time_ms);
        let ours = match trust {
            Some(_) => self.listen(ends, talk, options.brief(), |talk| talk)?,
            None => self.listen(ends, Bare::new(talk), options.brief(), Bare::into_inner)?,
        };
        let figure = Figure::new(NAME, name, ours.delivered_rate, Unit::PerSecond)
            .beside(limit.rate)
            .latency(ours.deliveries, Some(limit.latency))
            .note("beside plain sockets");
        self.finished(figure, &ours)
    }

    fn many(&mut self, connections: usize) -> anyhow::Result<Figure> {
        let (ours, limit) =
            self.between(Shape { connections, both: true }, false, &format!("{connections} connections"))?;
        let name = format!("{connections} connections, one in flight, durable");
        let figure = Figure::new(NAME, name, ours.outcome.rate, Unit::PerSecond)
            .beside(limit.rate)
            .goal(Goal::OfLimitAtLeast(0.5))
            .latency(ours.outcome.latency, Some(limit.latency));
        self.finished(figure, &ours)
    }

    fn someone_new(&mut self) -> anyhow::Result<Figure> {
        let options = self.stage.options;
        options.step("first messages to people one never wrote to")?;
        let limit = self.limit(Shape { connections: 2, both: false }, false, options.brief())?;
        let count = options.size.pick(8, 500, 998);
        // Person 1 has heard from person 0 already.
        let people = std::iter::once(0).chain(2..count + 2);
        let (mut ends, server_time_ms) = self.stage.ends(people, |at| usize::from(at == 0))?;
        let accounts = (2..count + 2).rev().map(|person| self.stage.account(person)).collect();
        let mut wire = Strangers::new(accounts, server_time_ms);
        let plan = Plan::new(std::time::Duration::ZERO, options.sustained().run);
        let outcome = load::run(&mut ends, &mut wire, plan.of(self.stage.pid()?))?;
        let faults = wire.faults();
        anyhow::ensure!(faults == Faults::default(), "{faults:?}");
        let p50 = outcome.latency.p50 as f64 / 1e3;
        let figure = Figure::new(NAME, "first message to someone new, p50", p50, Unit::Milliseconds)
            .beside(limit.latency.p50 as f64 / 1e3)
            .goal(Goal::AtMost(5.0))
            .latency(outcome.latency, Some(limit.latency))
            .note(format!("until it is durable and delivered; {} people", outcome.answers));
        Ok(self.used(figure, &outcome)?.intact())
    }

    fn read_marks(&mut self) -> anyhow::Result<Figure> {
        let options = self.stage.options;
        options.step("messages that are read")?;
        let connections = options.size.pick(4, 200, 200);
        let work = Work { and_back: true, forward_bytes: Some(self.sizes.event), ..self.work() };
        let folder = self.stage.folder();
        let work = Work { durable_in: Some(&folder), ..work };
        let limit = echo::measure(work, (connections, |at: usize| at.is_multiple_of(2)), options.brief())?;
        let first = |at: usize| usize::from(at.is_multiple_of(2));
        let (mut ends, server_time_ms) = self.stage.ends(0..connections, first)?;
        let accounts: Vec<_> = (0..connections).map(|person| self.stage.account(person)).collect();
        let timeline = self.stage.attach(0)?.timeline;
        let mut wire = ReadMarks::new(&accounts, timeline, server_time_ms);
        let outcome = load::run(&mut ends, &mut wire, options.brief().of(self.stage.pid()?))?;
        let name = format!("{} pairs, send to its read mark coming back", connections / 2);
        let figure = Figure::new(NAME, name, outcome.rate, Unit::PerSecond)
            .beside(limit.rate)
            .latency(outcome.latency, Some(limit.latency))
            .note("two durable facts each");
        Ok(self.used(figure, &outcome)?.intact())
    }

    fn plot(&mut self) -> anyhow::Result<String> {
        let options = self.stage.options;
        let shape = Shape { connections: options.size.pick(8, 200, 200), both: false };
        let most = self.talk(shape, options.brief())?.outcome.rate;
        let most_limit = self.limit(shape, true, options.brief())?.rate;
        let mut series = ["p50", "p99", "limit p50", "limit p99"]
            .map(|name| Series { name: name.to_owned(), points: Vec::new() });
        for share in SHARES {
            options.step(&format!("at {share} of what it bears, for the plot"))?;
            let ours = self.talk(shape, options.brief().at(most * share))?;
            let limit = self.limit(shape, true, options.brief().at(most_limit * share))?;
            series[0].points.push((most * share, ours.deliveries.p50));
            series[1].points.push((most * share, ours.deliveries.p99));
            series[2].points.push((most_limit * share, limit.latency.p50));
            series[3].points.push((most_limit * share, limit.latency.p99));
        }
        Ok(plot::draw("Send to delivery, durable, 100 pairs", "messages offered each second", &series))
    }

    /// The server between two runs of the limit.
    fn between(&mut self, shape: Shape, is_delivered: bool, what: &str) -> anyhow::Result<(Round, Outcome)> {
        let options = self.stage.options;
        options.step(&format!("{what}, the limit"))?;
        let before = self.limit(shape, is_delivered, options.brief())?;
        options.step(what)?;
        let ours = self.talk(shape, options.sustained())?;
        options.step(&format!("{what}, the limit again"))?;
        let after = self.limit(shape, is_delivered, options.brief())?;
        Ok((ours, if before.rate > after.rate { before } else { after }))
    }

    fn work(&self) -> Work<'static> {
        Work {
            request_bytes: self.sizes.send,
            answer_bytes: self.sizes.accepted,
            durable_in: None,
            forward_bytes: None,
            and_back: false,
        }
    }

    fn limit(&self, shape: Shape, is_delivered: bool, plan: Plan) -> anyhow::Result<Outcome> {
        let folder = self.stage.folder();
        let work = Work { durable_in: Some(&folder), ..self.work() };
        if is_delivered {
            let work = Work { forward_bytes: Some(self.sizes.event), ..work };
            return echo::measure(work, (shape.connections, |at| shape.sends(at)), plan);
        }
        let senders = (0..shape.connections).filter(|&at| shape.sends(at)).count();
        echo::measure(work, (senders, |_| true), plan).context("measuring the raw limit")
    }

    fn talk(&mut self, shape: Shape, plan: Plan) -> anyhow::Result<Round> {
        self.rounds += 1;
        let sends = |at| usize::from(shape.sends(at));
        let (ends, server_time_ms) = self.stage.ends(0..shape.connections, sends)?;
        let talk = Talk::new(&self.accounts(shape), self.rounds, server_time_ms);
        self.listen(ends, talk, plan, |talk| talk)
    }

    fn accounts(&self, shape: Shape) -> Vec<AccountId> {
        (0..shape.connections).map(|person| self.stage.account(person)).collect()
    }

    /// Has a talk on these connections, and looks what came of it.
    fn listen<W: Wire>(
        &self,
        mut ends: Vec<End>,
        mut wire: W,
        plan: Plan,
        talk_of: impl FnOnce(W) -> Talk,
    ) -> anyhow::Result<Round> {
        let lag = self.stage.watch_lag()?;
        let outcome = load::run(&mut ends, &mut wire, plan.of(self.stage.pid()?))?;
        let lag = lag.stop()?;
        let mut talk = talk_of(wire);
        let faults = talk.faults();
        anyhow::ensure!(faults == Faults::default(), "{faults:?}");
        let (delivered, deliveries) = talk.deliveries();
        let delivered_rate = delivered as f64 * outcome.rate / outcome.answers.max(1) as f64;
        Ok(Round { outcome, delivered_rate, deliveries, lag })
    }

    fn finished(&self, figure: Figure, round: &Round) -> anyhow::Result<Figure> {
        let figure = self.used(figure, &round.outcome)?;
        Ok(Figure { lag: Some(round.lag), ..figure }.intact())
    }

    fn used(&self, figure: Figure, outcome: &Outcome) -> anyhow::Result<Figure> {
        figure.used(outcome, outcome.answers, &self.stage)
    }
}
