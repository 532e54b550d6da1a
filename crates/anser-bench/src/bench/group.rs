//! One says something in a group, and everybody is told: groups of 10 and of 500, beside a bare epoll that writes
//! one buffer to as many sockets.

use anser_model::ConversationId;
use anser_proto::v1::{event, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};

use super::caller::Caller;
use super::circles::{Circles, Counting, Speaker};
use super::figures::{Figure, Goal, Unit};
use super::options::Options;
use super::pen::{Pen, Sizes, number_of, padded};
use super::plot::{self, Series};
use super::stage::{Lag, Stage};
use super::tally::Tally;
use super::witness::Witness;
use crate::load::{self, Outcome, Plan};
use crate::raw::fanout;
use crate::socket::{is_put_off, push_request};
use crate::talk::Faults;

/// Receivers of each group that decode and verify what comes; the others count it. In the first group there is a
/// whole client too.
const SAMPLE: usize = 8;
const NAME: &str = "group";
/// Messages in flight of which times are plotted.
const DEPTHS: [usize; 5] = [1, 2, 4, 8, 16];

/// Measures.
///
/// # Errors
/// The server fails, or a message was lost, doubled or reordered.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let of_500 = Circles { count: 1, size: options.size.pick(20, 500, 500) };
    let of_10 = Circles { count: options.size.pick(2, 50, 50), size: options.size.pick(5, 10, 10) };
    let stage = Stage::open(options, of_500.sockets().max(of_10.sockets()))?;
    if options.wants("500") {
        let group = Group::open(&stage, of_500)?;
        let name = format!("fan-out to {}, lock-step", of_500.size);
        figures.push(group.measure(&name, 1, Goal::OfLimitAtLeast(0.8))?);
        let name = format!("fan-out to {}, 4 in flight", of_500.size);
        figures.push(group.measure(&name, 4, Goal::OfLimitAtLeast(0.7))?);
        if let Some(folder) = &options.svg {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join("group.svg"), group.plot()?)?;
        }
    }
    if options.wants("10") {
        let name = format!("{} groups of {}, lock-step", of_10.count, of_10.size);
        let figure = Group::open(&stage, of_10)?.measure(&name, 1, Goal::OfLimitAtLeast(0.0))?;
        figures.push(Figure { goal: None, ..figure });
    }
    stage.close()
}

/// Groups that were made, the first of each being its owner.
struct Group<'a> {
    stage: &'a Stage<'a>,
    circles: Circles,
    cids: Vec<ConversationId>,
}

impl<'a> Group<'a> {
    fn open(stage: &'a Stage<'a>, circles: Circles) -> anyhow::Result<Group<'a>> {
        stage.options.step("making groups")?;
        let mut cids = Vec::new();
        for first in (0..circles.sockets()).step_by(circles.size) {
            let members: Vec<u64> = circles.others(first).map(|person| stage.account(person).0).collect();
            cids.extend(Caller::new(stage, first)?.groups(1, &members)?);
        }
        Ok(Group { stage, circles, cids })
    }

    fn measure(&self, name: &str, in_flight: usize, goal: Goal) -> anyhow::Result<Figure> {
        let options = self.stage.options;
        options.step(&format!("{name}, the limit"))?;
        let before = self.limit(in_flight)?;
        options.step(name)?;
        let (ours, lag) = self.ours(in_flight, options.sustained())?;
        options.step(&format!("{name}, the limit again"))?;
        let after = self.limit(in_flight)?;
        let limit = if before.rate > after.rate { before } else { after };
        let each = self.told_each();
        let figure = Figure::new(NAME, name, ours.rate * each as f64, Unit::PerSecond)
            .beside(limit.rate * each as f64)
            .goal(goal)
            .latency(ours.latency, Some(limit.latency))
            .note("deliveries; times are until the last one has it");
        let figure = figure.used(&ours, ours.answers * each, self.stage)?;
        Ok(Figure { lag: Some(lag), ..figure }.intact())
    }

    /// How many are told of a message.
    fn told_each(&self) -> u64 {
        self.circles.size as u64 - 1
    }

    fn limit(&self, in_flight: usize) -> anyhow::Result<Outcome> {
        fanout::measure(self.circles, (in_flight, Sizes::usual().event), self.stage.options.brief())
    }

    fn ours(&self, in_flight: usize, plan: Plan) -> anyhow::Result<(Outcome, Lag)> {
        let asks = |at| if self.circles.is_first(at) { in_flight } else { 0 };
        let (mut ends, server_time_ms) = self.stage.ends(0..self.circles.sockets(), asks)?;
        let verified = (SAMPLE + 1).min(self.circles.size);
        let speaker = InGroups {
            cids: &self.cids,
            pen: Pen::new(server_time_ms),
            tallies: vec![Tally::new(verified); self.circles.count],
            verified,
        };
        let mut wire = Counting::new(self.circles, speaker);
        // On a connection of its own: not counted, but judged.
        let witness = Witness::start(self.stage, self.circles.size - 1, self.cids[0])?;
        let lag = self.stage.watch_lag()?;
        let outcome = load::run(&mut ends, &mut wire, plan.of(self.stage.pid()?))?;
        let lag = lag.stop()?;
        for tally in &wire.speaker.tallies {
            let faults = tally.faults();
            anyhow::ensure!(faults == Faults::default(), "{faults:?}");
        }
        witness.testify(wire.accepted(0))?;
        Ok((outcome, lag))
    }

    fn plot(&self) -> anyhow::Result<String> {
        let options = self.stage.options;
        let mut series = ["p50", "p99", "limit p50", "limit p99"]
            .map(|name| Series { name: name.to_owned(), points: Vec::new() });
        for depth in DEPTHS {
            options.step(&format!("{depth} in flight, for the plot"))?;
            let limit = self.limit(depth)?;
            let (ours, _) = self.ours(depth, options.brief())?;
            for (place, outcome) in [ours, limit].into_iter().enumerate() {
                series[2 * place].points.push((depth as f64, outcome.latency.p50));
                series[2 * place + 1].points.push((depth as f64, outcome.latency.p99));
            }
        }
        let title = format!("Send to the last of {} in a group", self.circles.size);
        Ok(plot::draw(&title, "messages in flight", &series))
    }
}

struct InGroups<'a> {
    cids: &'a [ConversationId],
    pen: Pen,
    tallies: Vec<Tally>,
    /// Members of each group who verify, the first included.
    verified: usize,
}

impl Speaker for InGroups<'_> {
    fn ask(&mut self, circle: usize, number: u64, out: &mut Vec<u8>) {
        let text = padded(format_args!("{number}"));
        let request = self.pen.send(v1::Target::cid(self.cids[circle]), text);
        // The hello was 1.
        push_request(out, number + 2, request);
    }

    fn answer(&mut self, circle: usize, payload: &[u8]) -> anyhow::Result<bool> {
        let frame = decode_server(payload, Encoding::Binary)?.frame;
        if matches!(&frame, Some(server_frame::Frame::Response(answer)) if is_put_off(answer.result.as_ref()))
        {
            return Ok(false);
        }
        let Some(server_frame::Frame::Response(v1::Response {
            id,
            result: Some(response::Result::Accepted(accepted)),
        })) = frame
        else {
            anyhow::bail!("a message was answered with {frame:?}");
        };
        self.tallies[circle].acknowledge(0, id - 2, accepted.seq);
        Ok(true)
    }

    fn told(&mut self, circle: usize, member: usize, payload: &[u8]) -> anyhow::Result<()> {
        if member >= self.verified {
            return Ok(());
        }
        let frame = decode_server(payload, Encoding::Binary)?.frame;
        if let Some(server_frame::Frame::Event(v1::Event {
            seq,
            change: Some(event::Change::Message(message)),
            ..
        })) = &frame
            && let Some(number) = number_of(&message.text)
            && message.text == padded(format_args!("{number}"))
        {
            self.tallies[circle].deliver(member, number, *seq);
            return Ok(());
        }
        anyhow::bail!("a member was told {frame:?}")
    }
}
