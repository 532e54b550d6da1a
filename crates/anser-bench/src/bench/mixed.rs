//! People talk as people do: real short messages, half of them to one person and half to a group, most of them in
//! few conversations. Beside a bare epoll that makes as many durable, and writes each to one socket.

use std::collections::HashMap;

use anser_model::ConversationId;
use anser_proto::v1::{client_frame::Request, event, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use anyhow::Context as _;
use tokio::time::Instant;

use super::caller::{Caller, accepted};
use super::figures::{Figure, Unit};
use super::options::Options;
use super::pen::Pen;
use super::stage::Stage;
use super::tally::Tally;
use super::zipf::Weighted;
use crate::corpus::Corpus;
use crate::load::{self, Next, Wire};
use crate::random::Random;
use crate::raw::echo::{self, Work};
use crate::socket::{self, CLOSE};
use crate::talk::Faults;

const GROUP_SIZE: usize = 10;
const NAME: &str = "mixed";
const SEED: u64 = 7;

/// Measures.
///
/// # Errors
/// The server fails, or a message was lost, doubled or reordered.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let people = options.size.pick(20, 200, 200);
    let stage = Stage::open(options, people)?;
    let circles = make_circles(&stage, people, options.size.pick(10, 250, 250))?;
    let corpus = Corpus::load(SEED)?;
    options.step("people talk")?;
    let (mut ends, server_time_ms) = stage.ends(0..people, |_| 1)?;
    let mut wire = Mixed::new(circles, people, &corpus, server_time_ms);
    let lag = stage.watch_lag()?;
    let outcome = load::run(&mut ends, &mut wire, options.sustained().of(stage.pid()?))?;
    let lag = lag.stop()?;
    drop(ends);
    let faults = wire.faults();
    anyhow::ensure!(faults == Faults::default(), "{faults:?}");
    options.step("the limit")?;
    let folder = stage.folder();
    let deliveries_each = wire.delivered as f64 / wire.said.max(1) as f64;
    let work = Work {
        request_bytes: outcome.bytes_each.0,
        answer_bytes: 64,
        durable_in: Some(&folder),
        // All that comes for one message, in one write.
        forward_bytes: Some(outcome.bytes_each.1.saturating_sub(64).max(16)),
        and_back: false,
    };
    let limit = echo::measure(work, (people, |_| true), options.brief())?;
    let note = format!("{}; {deliveries_each:.1} deliveries each", corpus.source);
    let figure =
        Figure::new(NAME, "messages, half direct, half in groups of 10", outcome.rate, Unit::PerSecond)
            .beside(limit.rate)
            .latency(outcome.latency, Some(limit.latency))
            .note(note)
            .used(&outcome, outcome.answers, &stage)?;
    figures.push(Figure { lag: Some(lag), ..figure }.intact());
    stage.close()
}

/// A conversation of some people.
struct Circle {
    cid: ConversationId,
    members: Vec<usize>,
}

/// So many direct conversations, and as many groups, by rank.
fn make_circles(stage: &Stage<'_>, people: usize, count: usize) -> anyhow::Result<[Vec<Circle>; 2]> {
    let mut random = Random::new(SEED);
    let (mut direct, mut groups) = (HashMap::new(), Vec::new());
    let mut order = Vec::new();
    for rank in 0..count {
        stage.options.step(&format!("making conversations, {rank} of {count}"))?;
        // Everybody has somebody to write to.
        let one = rank % people;
        let other = (one + random.between(1, people - 1)) % people;
        let cid = ConversationId::direct(stage.account(one), stage.account(other));
        let mut caller = Caller::new(stage, one)?;
        if direct.insert(cid, [one, other]).is_none() {
            let hello = caller.pen.send(v1::Target::peer(stage.account(other)), "hello".to_owned());
            anyhow::ensure!(
                accepted(&caller.ask(hello)?)?.0 == cid,
                "the id of a direct conversation follows"
            );
            order.push(cid);
        }
        let mut members = vec![one];
        members.extend(random.choose(people, people).into_iter().filter(|&it| it != one));
        members.truncate(GROUP_SIZE.min(people));
        let others: Vec<u64> = members[1..].iter().map(|&it| stage.account(it).0).collect();
        groups.push(Circle { cid: caller.groups(1, &others)?[0], members });
    }
    let direct = order.into_iter().map(|cid| Circle { cid, members: direct[&cid].to_vec() });
    Ok([direct.collect(), groups])
}

struct Mixed<'a> {
    circles: [Vec<Circle>; 2],
    places: HashMap<ConversationId, (usize, usize)>,
    tallies: [Vec<Tally>; 2],
    /// By person: their conversations of both sorts, and how likely each is.
    choices: Vec<[(Vec<usize>, Weighted); 2]>,
    corpus: &'a Corpus,
    random: Random,
    pen: Pen,
    /// By person: the request under way, where, and which message it is.
    asked: Vec<(u64, (usize, usize), u64)>,
    said: u64,
    delivered: u64,
}

impl<'a> Mixed<'a> {
    fn new(circles: [Vec<Circle>; 2], people: usize, corpus: &'a Corpus, server_time_ms: u64) -> Mixed<'a> {
        let tally = |circle: &Circle| Tally::new(circle.members.len());
        let tallies = [0, 1].map(|sort| circles[sort].iter().map(tally).collect());
        let choices = (0..people).map(|person| {
            [0, 1].map(|sort: usize| {
                let has = |circle: &Circle| circle.members.contains(&person);
                let own: Vec<usize> =
                    (0..circles[sort].len()).filter(|&at| has(&circles[sort][at])).collect();
                let weighted = Weighted::by_rank(own.iter().copied());
                (own, weighted)
            })
        });
        let choices = choices.collect();
        let cids = |sort: usize| circles[sort].iter().enumerate().map(move |(at, it)| (it.cid, (sort, at)));
        let places = cids(0).chain(cids(1)).collect();
        Mixed {
            places,
            tallies,
            choices,
            circles,
            corpus,
            random: Random::new(SEED),
            pen: Pen::new(server_time_ms),
            asked: vec![(1, (0, 0), 0); people],
            said: 0,
            delivered: 0,
        }
    }

    fn faults(&self) -> Faults {
        let mut sum = Faults::default();
        for faults in self.tallies.iter().flatten().map(Tally::faults) {
            sum.lost += faults.lost;
            sum.doubled += faults.doubled;
            sum.reordered += faults.reordered;
        }
        sum
    }

    fn member(&self, (sort, at): (usize, usize), person: usize) -> anyhow::Result<usize> {
        let members = &self.circles[sort][at].members;
        members.iter().position(|&it| it == person).context("only members are told")
    }

    fn answer(&mut self, person: usize, answer: v1::Response, next: &mut Next) -> anyhow::Result<()> {
        let (id, place, tag) = self.asked[person];
        anyhow::ensure!(answer.id == id, "person {person} did not ask for {answer:?}");
        match answer.result {
            Some(response::Result::Accepted(accepted)) => {
                let member = self.member(place, person)?;
                self.tallies[place.0][place.1].acknowledge(member, tag, accepted.seq);
                next.done.push(person);
            }
            ref result if socket::is_put_off(result.as_ref()) => next.put_off.push(person),
            other => anyhow::bail!("message {tag} was answered with {other:?}"),
        }
        Ok(())
    }

    fn event(&mut self, person: usize, event: &v1::Event) -> anyhow::Result<()> {
        let Some(event::Change::Message(message)) = &event.change else { return Ok(()) };
        let cid = anser_proto::wire::cid(&event.cid)?;
        let place = *self.places.get(&cid).context("people are told of their conversations")?;
        let (text, tag) = message.text.rsplit_once(' ').context("a text ends with its number")?;
        let tag: u64 = tag.parse()?;
        let line = &self.corpus.lines[tag as usize % self.corpus.lines.len()];
        anyhow::ensure!(text == line.text, "message {tag} came with other words");
        let member = self.member(place, person)?;
        self.tallies[place.0][place.1].deliver(member, tag, event.seq);
        self.delivered += 1;
        Ok(())
    }
}

impl Wire for Mixed<'_> {
    fn ask(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        let sort = usize::from(self.random.percent(50));
        // Whoever has none of this sort has one of the other.
        let sort = if self.choices[at][sort].0.is_empty() { 1 - sort } else { sort };
        let (own, weighted) = &self.choices[at][sort];
        let place = (sort, own[weighted.draw(&mut self.random).expect("everybody has conversations")]);
        let tag = self.said;
        self.said += 1;
        let line = &self.corpus.lines[tag as usize % self.corpus.lines.len()];
        let to = v1::Target::cid(self.circles[place.0][place.1].cid);
        let request: Request = self.pen.send(to, format!("{} {tag}", line.text));
        let id = self.asked[at].0 + 1;
        self.asked[at] = (id, place, tag);
        socket::push_request(out, id, request);
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed connection {at}");
            match decode_server(payload, Encoding::Binary)?.frame {
                Some(server_frame::Frame::Response(answer)) => {
                    self.answer(at, answer, next)?;
                }
                Some(server_frame::Frame::Event(event)) => self.event(at, &event)?,
                Some(server_frame::Frame::Resync(_)) => anyhow::bail!("connection {at} was told to resync"),
                _ => {}
            }
        }
        Ok(taken)
    }

    fn is_settled(&self) -> bool {
        self.tallies.iter().flatten().all(|tally| tally.missing() == 0)
    }
}
