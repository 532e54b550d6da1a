//! Everybody comes back at once, to a server that has just served them: connecting, the handshake, hello with what
//! each knew, and what has changed since. Beside a bare epoll that accepts and answers as many bytes.

use std::time::Duration;

use anser_proto::v1;

use super::back::{self, Back, Bare, Known, Returning};
use super::caller::Caller;
use super::figures::{Figure, Goal, Unit};
use super::options::{Options, Size};
use super::stage::Stage;
use crate::raw::process::RawProcess;
use crate::socket::handshake;

/// Everybody is back within so long.
const GOAL_S: f64 = 5.0;
/// Members of each group.
const GROUP_SIZE: usize = 10;
const NAME: &str = "storm";
/// How long those who went may take to be gone.
const GONE: Duration = Duration::from_millis(1_500);

/// Measures.
///
/// # Errors
/// The server fails, or somebody is told of other changes than there were.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let people = options.size.pick(20, 300, 1_500);
    let clients = options.size.pick(60, 18_000, 18_000);
    let stage = Stage::open(options, people)?;
    let known = everybody_knows(&stage, people)?;
    let authority = stage.authority();
    if options.size != Size::Quick {
        // Once before, so that the server has held so many and has let them go.
        options.step(&format!("{clients} clients come for the first time"))?;
        drop(come(&authority, &known, clients)?);
        std::thread::sleep(GONE);
    }
    options.step(&format!("{clients} clients come back"))?;
    let before = crate::process::used(stage.pid()?)?;
    let (ours, first_answer) = come(&authority, &known, clients)?;
    let used = crate::process::used(stage.pid()?)?.since(before);
    let resident_mib = stage.resident_mib()?;
    let (took, latency, rate, errors) = (ours.took, ours.latency, ours.rate(), ours.put_off);
    let received_each = ours.received_each;
    drop(ours);
    options.step("the limit")?;
    let limit = limit(options, &authority, clients, (first_answer, received_each))?;
    let goal = Goal::AtLeast(18_000.0 / GOAL_S);
    let name = format!("{clients} clients back, each with a change");
    let figure = Figure::new(NAME, name, rate, Unit::PerSecond)
        .beside(limit.rate())
        .goal(goal)
        .latency(latency, Some(limit.latency))
        .note(format!("all there in {:.1} s (limit {:.1} s)", took.as_secs_f64(), limit.took.as_secs_f64()))
        .intact();
    let processor_us = used.processor.as_secs_f64() * 1e6 / clients as f64;
    figures.push(Figure {
        processor_us: Some(processor_us),
        resident_mib: Some(resident_mib),
        errors,
        ..figure
    });
    stage.close()
}

/// What a bare program does for as many bytes.
///
/// # Errors
/// It cannot be started.
pub fn limit(
    options: &Options,
    authority: &str,
    clients: usize,
    (first_answer, received_each): (usize, usize),
) -> anyhow::Result<Back> {
    let second_answer = received_each.saturating_sub(first_answer).max(1);
    let command = [options.raw_command.clone(), vec!["raw-returns".into()]].concat();
    let raw = RawProcess::start(&command, &[first_answer, second_answer].map(|bytes| bytes.to_string()))?;
    let first = handshake(authority).len();
    let has_said = vec![false; clients];
    // A hello holds a token and a cursor.
    let mut bare = Bare { first, first_answer, second: 300, second_answer, has_said };
    back::come(&raw.address, clients, &mut bare)
}

/// Has so many clients come. Also the bytes of a first answer.
///
/// # Errors
/// Somebody is not let in, or is told of other changes than there were.
pub fn come(authority: &str, known: &[Known], clients: usize) -> anyhow::Result<(Back, usize)> {
    let mut guest = Returning::new(authority, known, clients);
    let back = back::come(authority, clients, &mut guest)?;
    Ok((back, guest.first_answer))
}

/// Everybody is in a group, knows what was said there so far, and something is said since.
fn everybody_knows(stage: &Stage<'_>, people: usize) -> anyhow::Result<Vec<Known>> {
    let mut known = Vec::new();
    for first in (0..people).step_by(GROUP_SIZE) {
        stage.options.step(&format!("groups of {first} of {people} people"))?;
        let members: Vec<u64> =
            (first + 1..first + GROUP_SIZE).map(|person| stage.account(person).0).collect();
        let mut owner = Caller::new(stage, first)?;
        let cid = owner.groups(1, &members)?[0];
        for person in first..first + GROUP_SIZE {
            let cursor = Caller::new(stage, person)?.cursor()?;
            known.push(Known { token: stage.token(person).to_owned(), cursor, changed: 1 });
        }
        let news = owner.pen.send(v1::Target::cid(cid), "what is new".to_owned());
        owner.ask(news)?;
    }
    Ok(known)
}
