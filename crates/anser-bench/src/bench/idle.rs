//! What a session costs that is attached and says nothing: the slope of the server's own memory over the
//! number of sessions, beside a bare task that waits for a socket.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Pid;

use super::back::{self, Known, Returning};
use super::figures::{Figure, Goal, Unit};
use super::options::Options;
use super::stage::Stage;
use crate::process::resident_bytes;
use crate::raw::process::RawProcess;
use crate::server::ServerPlan;

/// People whose sessions they are.
const PEOPLE: usize = 50;
/// Connections to the raw holder at once, and how long it may take to accept them.
const AT_ONCE: usize = 250;
const ACCEPTED: Duration = Duration::from_millis(20);
/// How often memory is looked at until it rests.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// After so many looks it counts as it is.
const LOOKS_MAX: usize = 20;
/// It rests when it moved by less than this share between two looks.
const REST: f64 = 0.002;

const NAME: &str = "idle";

/// Measures.
///
/// # Errors
/// A process fails, or a session is not let in.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let (few, many) = options.size.pick((30, 60), (9_000, 18_000), (9_000, 18_000));
    options.step("the limit")?;
    let command = [options.raw_command.clone(), vec!["raw-held".into()]].concat();
    let holder = RawProcess::start(&command, &[])?;
    let raw = slope(options, holder.pid(), (few, many), |more| {
        let (address, round) = (holder.address.parse()?, back::next_round());
        let connect = |number: usize| {
            if number.is_multiple_of(AT_ONCE) {
                // More than wait at its door would be turned away, and come again a second later.
                sleep(ACCEPTED);
            }
            back::connect(address, (round, number)).context("connecting to the raw holder")
        };
        (0..more).map(connect).collect()
    })?;
    drop(holder);
    // Memory that is given back at once: otherwise what start-up and signing in left behind is as large as the
    // sessions.
    let plan = ServerPlan { frugal: true, ..ServerPlan::from_environment()? };
    let stage = Stage::open_with(options, options.size.pick(5, PEOPLE, PEOPLE), plan)?;
    let known: Vec<Known> =
        (0..stage.people.len()).map(|person| Known::nothing(stage.token(person))).collect();
    let authority = stage.authority();
    let ours = slope(options, stage.pid()?, (few, many), |more| {
        Ok(back::come(&authority, more, &mut Returning::new(&authority, &known, more))?.streams)
    })?;
    let resident_mib = Some(stage.resident_mib()?);
    stage.close()?;
    let name = format!("memory of an idle session, {few} to {many}");
    let each = Figure::new(NAME, name, ours.bytes_each, Unit::Bytes)
        .beside(raw.bytes_each)
        .goal(Goal::AtMost(1_536.0));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let all =
        Figure::new(NAME, format!("own memory with {many} sessions"), mib(ours.own_bytes), Unit::Mebibytes)
            .beside(mib(raw.own_bytes));
    figures.extend([Figure { resident_mib, ..each }, all]);
    Ok(())
}

struct Slope {
    bytes_each: f64,
    /// With all of them.
    own_bytes: u64,
}

/// What each costs, from `few` to `many`.
fn slope(
    options: &Options,
    pid: Pid,
    (few, many): (usize, usize),
    mut connect: impl FnMut(usize) -> anyhow::Result<Vec<TcpStream>>,
) -> anyhow::Result<Slope> {
    options.step(&format!("{few} sessions"))?;
    let _few = connect(few)?;
    let before = at_rest(pid)?;
    options.step(&format!("{many} sessions"))?;
    let _more = connect(many - few)?;
    let after = at_rest(pid)?;
    let bytes_each = after.saturating_sub(before) as f64 / (many - few) as f64;
    Ok(Slope { bytes_each, own_bytes: after })
}

fn at_rest(pid: Pid) -> anyhow::Result<u64> {
    let (_, mut last) = resident_bytes(pid)?;
    for _ in 0..LOOKS_MAX {
        sleep(LOOK_INTERVAL);
        let (_, own) = resident_bytes(pid)?;
        if (own.abs_diff(last) as f64) < last as f64 * REST {
            return Ok(own);
        }
        last = own;
    }
    Ok(last)
}
