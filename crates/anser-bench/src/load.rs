//! One thread that keeps one request in flight on each of many sockets, by epoll: the same loop for the
//! server and for the raw limit, so that the client costs the same in both.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use tokio::time::Instant;

use crate::report::percentile;

/// Events that one wait returns at most.
const EVENTS: usize = 1_024;
/// Bytes read off a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How long what is under way may take after the last request.
const PATIENCE: Duration = Duration::from_secs(20);
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What is said on the sockets.
pub trait Wire {
    /// Appends the next request of a socket.
    fn ask(&mut self, at: usize, now: Instant, out: &mut Vec<u8>);

    /// Takes what is whole at the front of what a socket received.
    ///
    /// # Errors
    /// The run is void.
    fn take(&mut self, at: usize, now: Instant, bytes: &[u8]) -> anyhow::Result<Taken>;

    /// Whether nothing but answers is still to come.
    fn is_settled(&self) -> bool {
        true
    }

    /// The warm-up is over: what comes now is measured.
    ///
    /// # Errors
    /// The run is void.
    fn begin(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// What comes now is no longer measured.
    ///
    /// # Errors
    /// The run is void.
    fn end(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What was taken.
#[derive(Debug, Default)]
pub struct Taken {
    /// Bytes.
    pub bytes: usize,
    /// The request of the socket is answered.
    pub answered: bool,
}

/// How long a run is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub run: Duration,
}

/// What came out of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Requests answered in the measured time.
    pub answers: u64,
    /// Per second.
    pub rate: f64,
    /// From a request to its answer: in microseconds, half were faster.
    pub p50_us: u64,
    /// 99 of 100 were faster.
    pub p99_us: u64,
}

/// A socket, with what was received and not taken yet.
pub struct End {
    /// The socket.
    pub stream: TcpStream,
    /// What was received.
    pub received: Vec<u8>,
    /// Whether it sends.
    pub sends: bool,
}

/// Runs.
///
/// # Errors
/// A socket fails, something is not answered, or the wire finds a fault.
pub fn run(ends: &mut [End], wire: &mut impl Wire, plan: Plan) -> anyhow::Result<Outcome> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (at, end) in ends.iter().enumerate() {
        end.stream.set_nonblocking(true)?;
        epoll::add(&epoll, &end.stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
    }
    let started = Instant::now();
    let (begin, end) = (started + plan.warm_up, started + plan.warm_up + plan.run);
    let mut asked: Vec<Instant> = vec![started; ends.len()];
    let mut under_way = 0usize;
    let mut out = Vec::new();
    for (at, end) in ends.iter_mut().enumerate().filter(|(_, end)| end.sends) {
        under_way += 1;
        ask(end, wire, at, started, &mut out)?;
        asked[at] = started;
    }
    let (mut measuring, mut measured, mut latencies) = (false, Duration::ZERO, Vec::with_capacity(1 << 20));
    let mut events = Vec::with_capacity(EVENTS);
    let mut scratch = vec![0; READ_BYTES];
    loop {
        let now = Instant::now();
        if !measuring && now >= begin && measured.is_zero() {
            measuring = true;
            wire.begin()?;
        }
        if measuring && now >= end {
            measuring = false;
            measured = now - begin;
            wire.end()?;
        }
        if now >= end && under_way == 0 && wire.is_settled() {
            break;
        }
        anyhow::ensure!(now < end + PATIENCE, "{under_way} requests, or deliveries, did not come to an end");
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&WAIT))?;
        for event in events.drain(..) {
            let at = event.data.u64() as usize;
            let now = Instant::now();
            if !receive(&mut ends[at], wire, at, now, &mut scratch)? {
                continue;
            }
            if measuring {
                latencies.push((now - asked[at]).as_micros() as u64);
            }
            if now < end {
                asked[at] = Instant::now();
                ask(&mut ends[at], wire, at, asked[at], &mut out)?;
            } else {
                under_way -= 1;
            }
        }
    }
    latencies.sort_unstable();
    let answers = latencies.len() as u64;
    let rate = answers as f64 / measured.as_secs_f64();
    Ok(Outcome { answers, rate, p50_us: percentile(&latencies, 50), p99_us: percentile(&latencies, 99) })
}

fn ask(
    end: &mut End,
    wire: &mut impl Wire,
    at: usize,
    now: Instant,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    out.clear();
    wire.ask(at, now, out);
    // One request in flight is far below what a socket's buffer holds.
    end.stream.write_all(out).context("a socket takes no request")
}

/// Reads once. Whether the socket's request is answered.
fn receive(
    end: &mut End,
    wire: &mut impl Wire,
    at: usize,
    now: Instant,
    scratch: &mut [u8],
) -> anyhow::Result<bool> {
    let count = match end.stream.read(scratch) {
        Ok(0) => anyhow::bail!("the server hung up"),
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if end.received.is_empty() {
        let taken = wire.take(at, now, &scratch[..count])?;
        end.received.extend_from_slice(&scratch[taken.bytes..count]);
        return Ok(taken.answered);
    }
    end.received.extend_from_slice(&scratch[..count]);
    let taken = wire.take(at, now, &end.received)?;
    end.received.drain(..taken.bytes);
    Ok(taken.answered)
}
