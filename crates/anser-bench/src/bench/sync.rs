//! Somebody with 500 conversations, of which 20 have changed, asks what is new: on a connection that is there, and by
//! coming back with a new one.

use anser_model::ConversationId;
use anser_proto::v1::{client_frame::Request, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use tokio::time::Instant;

use super::back::Known;
use super::caller::Caller;
use super::figures::{Figure, Goal, Unit};
use super::options::Options;
use super::questions;
use super::stage::Stage;
use super::storm;
use crate::load::{self, Next, Wire};
use crate::socket::{self, CLOSE};

const NAME: &str = "sync";

/// Measures.
///
/// # Errors
/// The server fails, or a sync tells of other changes than there were.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let (conversations, changed) = options.size.pick((30, 5), (500, 20), (500, 20));
    let people = 20;
    let stage = Stage::open(options, people)?;
    let known = everybody_knows(&stage, people, conversations, changed)?;
    let connections = options.size.pick(4, 100, 100);
    options.step("what is new, on connections that are there")?;
    let (mut ends, _) = stage.ends((0..connections).map(|at| at % people), |_| 1)?;
    let mut wire =
        Syncing { known: &known, ids: vec![1; connections], waits: vec![Waits::default(); connections] };
    let ours = load::run(&mut ends, &mut wire, options.sustained().of(stage.pid()?))?;
    drop(ends);
    let limit = questions::limit(ours.bytes_each, connections, options.brief())?;
    let name = format!("syncs of {changed} changed among {conversations}");
    let figure = Figure::new(NAME, name, ours.rate, Unit::PerSecond)
        .beside(limit.rate)
        .goal(Goal::AtLeast(10_000.0))
        .latency(ours.latency, Some(limit.latency))
        .note(format!("answers of {} B", ours.bytes_each.1))
        .intact()
        .used(&ours, ours.answers, &stage)?;
    figures.push(figure);
    let clients = options.size.pick(20, 1_000, 2_000);
    options.step(&format!("{clients} clients come back for it"))?;
    let authority = stage.authority();
    let (back, first_answer) = storm::come(&authority, &known, clients)?;
    let (rate, latency, received_each, errors) =
        (back.rate(), back.latency, back.received_each, back.put_off);
    drop(back);
    let limit = storm::limit(options, &authority, clients, (first_answer, received_each))?;
    let name = format!("the same by coming back, {clients} clients");
    let figure = Figure::new(NAME, name, rate, Unit::PerSecond)
        .beside(limit.rate())
        .latency(latency, Some(limit.latency))
        .note("connecting, handshake and hello included")
        .intact();
    figures.push(Figure { errors, ..figure });
    stage.close()
}

/// Everybody is in all the groups, and something is said in some of them since they came to know of them.
fn everybody_knows(
    stage: &Stage<'_>,
    people: usize,
    conversations: usize,
    changed: usize,
) -> anyhow::Result<Vec<Known>> {
    stage.options.step("making conversations")?;
    let members: Vec<u64> = (1..people).map(|person| stage.account(person).0).collect();
    let mut owner = Caller::new(stage, 0)?;
    let cids = owner.groups(conversations, &members)?;
    let mut say = |cids: &[ConversationId]| {
        let pen = &mut owner.pen;
        let requests: Vec<Request> =
            cids.iter().map(|&cid| pen.send(v1::Target::cid(cid), "what is new".to_owned())).collect();
        owner.ask_all(requests)
    };
    say(&cids)?;
    let mut known = Vec::new();
    for person in 0..people {
        let cursor = Caller::new(stage, person)?.cursor()?;
        known.push(Known { token: stage.token(person).to_owned(), cursor, changed });
    }
    say(&cids[..changed])?;
    Ok(known)
}

struct Syncing<'a> {
    known: &'a [Known],
    ids: Vec<u64>,
    waits: Vec<Waits>,
}

/// For what a connection waits.
#[derive(Clone, Default)]
struct Waits {
    is_started: bool,
    owing: Vec<u32>,
    heads: usize,
}

impl Wire for Syncing<'_> {
    fn ask(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        self.ids[at] += 1;
        let cursor = Some(self.known[at % self.known.len()].cursor.clone());
        socket::push_request(out, self.ids[at], Request::Sync(v1::Sync { cursor }));
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let (mut taken, waits) = (0, &mut self.waits[at]);
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed connection {at}");
            match decode_server(payload, Encoding::Binary)?.frame {
                Some(server_frame::Frame::Response(v1::Response {
                    id,
                    result: Some(response::Result::SyncStarted(started)),
                })) if id == self.ids[at] => {
                    *waits = Waits { is_started: true, owing: started.owing, heads: 0 };
                }
                Some(server_frame::Frame::Response(answer)) if socket::is_put_off(answer.result.as_ref()) => {
                    next.put_off.push(at);
                }
                Some(server_frame::Frame::SyncHeads(heads)) => {
                    waits.heads += heads.heads.len();
                    if heads.done {
                        waits.owing.retain(|&slot| slot != heads.slot);
                    }
                }
                other => anyhow::bail!("a sync was answered with {other:?}"),
            }
            if waits.is_started && waits.owing.is_empty() {
                let expected = self.known[at % self.known.len()].changed;
                let heads = waits.heads;
                anyhow::ensure!(
                    heads == expected,
                    "a sync told of {heads} changes, and there were {expected}"
                );
                waits.is_started = false;
                next.done.push(at);
            }
        }
        Ok(taken)
    }
}
