//! What a server holds of the machine's memory after very many messages, when nobody says anything any more.

use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use super::figures::{Figure, Goal, Unit};
use super::options::Options;
use super::stage::Stage;
use crate::load::{self, Plan};
use crate::talk::{Faults, Talk};

/// How long they write until it is looked how many messages there are.
const TURN: Duration = Duration::from_secs(5);
const TURN_TINY: Duration = Duration::from_millis(200);
/// After so long without a message the memory is looked at.
const SETTLED: Duration = Duration::from_secs(12);
const MIB: f64 = (1 << 20) as f64;

/// Measures.
///
/// # Errors
/// The server fails, or an acknowledged message was lost, doubled or reordered.
pub fn measure(name: &'static str, options: &Options) -> anyhow::Result<Figure> {
    let people = options.size.pick(8, 1_000, 1_000);
    let wanted = options.size.pick(50, 400_000, 10_000_000);
    let stage = Stage::open(options, people)?;
    let (mut ends, server_time_ms) = stage.ends(0..people, |_| 1)?;
    let accounts: Vec<_> = (0..people).map(|person| stage.account(person)).collect();
    let plan = Plan::new(Duration::ZERO, options.size.pick(TURN_TINY, TURN, TURN));
    let (mut messages, mut turn, attached) = (0, 0, Instant::now());
    while messages < wanted {
        options.step(&format!("{messages} of {wanted} messages"))?;
        let now_ms = server_time_ms + attached.elapsed().as_millis() as u64;
        let mut talk = Talk::new(&accounts, turn, now_ms);
        load::run(&mut ends, &mut talk, plan)?;
        let faults = talk.faults();
        anyhow::ensure!(faults == Faults::default(), "{faults:?}");
        messages += talk.acknowledged();
        turn = turn.wrapping_add(1);
    }
    drop(ends);
    stage.settle_stores()?;
    sleep(options.size.pick(Duration::ZERO, SETTLED, SETTLED));
    let figure =
        Figure::new(name, "resident memory after many messages", stage.resident_mib()?, Unit::Mebibytes)
            .goal(Goal::AtMost(400e6 / MIB))
            .note(format!("{messages} messages, of {people} people"));
    stage.close()?;
    Ok(figure.intact())
}
