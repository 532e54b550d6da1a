//! One thread that keeps requests in flight on many sockets, by epoll: the same loop for the server and for
//! the raw limit, so that the client costs the same in both.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::Pid;
use tokio::time::Instant;

use crate::carrier::Line;
use crate::process::{self, Used};
use crate::report::Percentiles;

/// Events that one wait returns at most.
const EVENTS: usize = 1_024;
/// Bytes read off a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How long what is under way may take after the last request.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one wait lasts at most, so that the end of a run is noticed.
const WAIT_MOST: Duration = Duration::from_millis(50);

/// What is said on the sockets.
pub trait Wire {
    /// Appends the next request of a socket.
    fn ask(&mut self, at: usize, now: Instant, out: &mut Vec<u8>);

    /// Takes what is whole at the front of what a socket received. How many bytes that was.
    ///
    /// # Errors
    /// The run is void.
    fn take(&mut self, at: usize, now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize>;

    /// Appends what a socket says of itself, having been told something.
    fn react(&mut self, _at: usize, _now: Instant, _out: &mut Vec<u8>) {}

    /// Whether nothing but answers is still to come.
    fn is_settled(&self) -> bool {
        true
    }

    /// Whether there is nothing more to ask: the run ends.
    fn is_over(&self) -> bool {
        false
    }

    /// The warm-up is over: what comes now is measured.
    fn begin(&mut self) {}

    /// What comes now is no longer measured.
    fn end(&mut self) {}
}

/// What follows from what was taken.
#[derive(Debug, Default)]
pub struct Next {
    /// Sockets whose oldest request is done, each once for each request: the next one is due.
    pub done: Vec<usize>,
    /// Sockets whose oldest request was put off: nothing came of it, and the next one is due.
    pub put_off: Vec<usize>,
    /// Sockets that say something of themselves.
    pub reactions: Vec<usize>,
}

/// How long a run is, and how much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub run: Duration,
    /// Requests each second, begun when they are due and timed from then; else as fast as answers come.
    pub pace: Option<f64>,
    /// Whose processor time is measured.
    pub server: Option<Pid>,
}

impl Plan {
    /// As fast as answers come.
    pub const fn new(warm_up: Duration, run: Duration) -> Plan {
        Plan { warm_up, run, pace: None, server: None }
    }

    /// The same, measuring a process.
    pub fn of(self, server: Pid) -> Plan {
        Plan { server: Some(server), ..self }
    }

    /// The same at so many requests each second.
    pub fn at(self, pace: f64) -> Plan {
        Plan { pace: Some(pace), ..self }
    }
}

/// What came out of a run.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Requests answered in the measured time.
    pub answers: u64,
    /// Per second.
    pub rate: f64,
    /// Requests that were put off in that time, which are no answers.
    pub put_off: u64,
    /// From a request to its answer.
    pub latency: Percentiles,
    /// What the server used in the measured time.
    pub used: Used,
    /// Bytes of requests, and of what came in answer, for each answer; the warm-up included.
    pub bytes_each: (usize, usize),
}

/// A socket, with what was received and not taken yet.
pub struct End {
    /// The socket.
    pub stream: Line,
    /// What was received.
    pub received: Vec<u8>,
    /// Requests in flight at once; 0: it only receives.
    pub in_flight: usize,
}

/// Runs.
///
/// # Errors
/// A socket fails, something is not answered, or the wire finds a fault.
pub fn run(ends: &mut [End], wire: &mut impl Wire, plan: Plan) -> anyhow::Result<Outcome> {
    let mut run = Run::new(ends, wire, plan)?;
    run.start()?;
    let mut events = Vec::with_capacity(EVENTS);
    while run.keep_time()? {
        let timeout = run.timeout();
        epoll::wait(&run.epoll, spare_capacity(&mut events), Some(&timeout))?;
        for event in events.drain(..) {
            run.receive(event.data.u64() as usize)?;
        }
    }
    Ok(run.outcome())
}

/// A run under way.
struct Run<'a, W> {
    ends: &'a mut [End],
    wire: &'a mut W,
    plan: Plan,
    epoll: rustix::fd::OwnedFd,
    begin: Instant,
    end: Instant,
    /// When the requests in flight of each socket were due.
    asked: Vec<VecDeque<Instant>>,
    under_way: usize,
    /// With a pace: sockets that could ask, and when the next request is due.
    idle: VecDeque<usize>,
    due: Instant,
    measuring: bool,
    measured: Duration,
    latencies_us: Vec<u64>,
    used: Used,
    answers: usize,
    put_off: u64,
    bytes: (usize, usize),
    next: Next,
    out: Vec<u8>,
    scratch: Vec<u8>,
}

impl<'a, W: Wire> Run<'a, W> {
    fn new(ends: &'a mut [End], wire: &'a mut W, plan: Plan) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (at, end) in ends.iter().enumerate() {
            end.stream.set_nonblocking()?;
            epoll::add(&epoll, &end.stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        }
        let started = Instant::now();
        let begin = started + plan.warm_up;
        Ok(Run {
            asked: vec![VecDeque::new(); ends.len()],
            ends,
            wire,
            plan,
            epoll,
            begin,
            end: begin + plan.run,
            under_way: 0,
            idle: VecDeque::new(),
            due: started,
            measuring: false,
            measured: Duration::ZERO,
            latencies_us: Vec::with_capacity(1 << 20),
            used: Used::default(),
            answers: 0,
            put_off: 0,
            bytes: (0, 0),
            next: Next::default(),
            out: Vec::new(),
            scratch: vec![0; READ_BYTES],
        })
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let most = self.ends.iter().map(|end| end.in_flight).max().unwrap_or_default();
        // Round by round, so that nobody's second request comes before somebody's first.
        for round in 0..most {
            for at in 0..self.ends.len() {
                if round >= self.ends[at].in_flight {
                    continue;
                }
                match self.plan.pace {
                    Some(_) => self.idle.push_back(at),
                    None => self.ask(at, Instant::now())?,
                }
            }
        }
        Ok(())
    }

    /// Begins and ends what is measured, and asks what is due. Whether the run goes on.
    fn keep_time(&mut self) -> anyhow::Result<bool> {
        let now = Instant::now();
        if self.wire.is_over() {
            self.end = self.end.min(now);
        }
        if !self.measuring && now >= self.begin && self.measured.is_zero() {
            self.measuring = true;
            self.begin = now;
            self.used = self.used_so_far()?;
            self.wire.begin();
        }
        if self.measuring && now >= self.end {
            self.measuring = false;
            self.measured = now - self.begin;
            self.used = self.used_so_far()?.since(self.used);
            self.wire.end();
        }
        self.ask_what_is_due(now)?;
        if now >= self.end && self.under_way == 0 && self.wire.is_settled() {
            return Ok(false);
        }
        let late = now >= self.end + PATIENCE;
        anyhow::ensure!(!late, "{} requests, or deliveries, did not come to an end", self.under_way);
        Ok(true)
    }

    fn ask_what_is_due(&mut self, now: Instant) -> anyhow::Result<()> {
        let Some(pace) = self.plan.pace else { return Ok(()) };
        while self.due <= now && self.due < self.end {
            // Where nobody can ask, the request stays due: it is timed from when it should have been made.
            let Some(at) = self.idle.pop_front() else { break };
            self.ask(at, self.due)?;
            self.due += Duration::from_secs_f64(1.0 / pace);
        }
        Ok(())
    }

    fn timeout(&self) -> Timespec {
        let until = match self.plan.pace {
            Some(_) if !self.idle.is_empty() => self.due.saturating_duration_since(Instant::now()),
            _ => WAIT_MOST,
        };
        let nanoseconds = until.min(WAIT_MOST).subsec_nanos();
        Timespec { tv_sec: 0, tv_nsec: nanoseconds.into() }
    }

    fn used_so_far(&self) -> anyhow::Result<Used> {
        self.plan.server.map_or(Ok(Used::default()), process::used)
    }

    fn ask(&mut self, at: usize, due: Instant) -> anyhow::Result<()> {
        if self.wire.is_over() {
            return Ok(());
        }
        self.out.clear();
        self.wire.ask(at, due, &mut self.out);
        self.asked[at].push_back(due);
        self.under_way += 1;
        self.bytes.0 += self.out.len();
        // What is in flight is far below what a socket's buffer holds.
        self.ends[at].stream.write_all(&self.out).context("a socket takes no request")
    }

    /// Reads a socket once, and does what follows.
    fn receive(&mut self, at: usize) -> anyhow::Result<()> {
        let end = &mut self.ends[at];
        let count = match end.stream.read(&mut self.scratch) {
            Ok(0) => anyhow::bail!("the server hung up on connection {at}"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        self.bytes.1 += count;
        if end.received.is_empty() {
            let taken = self.wire.take(at, now, &self.scratch[..count], &mut self.next)?;
            end.received.extend_from_slice(&self.scratch[taken..count]);
        } else {
            end.received.extend_from_slice(&self.scratch[..count]);
            let taken = self.wire.take(at, now, &end.received, &mut self.next)?;
            end.received.drain(..taken);
        }
        while let Some(other) = self.next.reactions.pop() {
            self.out.clear();
            self.wire.react(other, Instant::now(), &mut self.out);
            self.ends[other].stream.write_all(&self.out).context("a socket takes no reaction")?;
        }
        while let Some(other) = self.next.done.pop() {
            self.done(other, now, true)?;
        }
        while let Some(other) = self.next.put_off.pop() {
            self.done(other, now, false)?;
        }
        Ok(())
    }

    fn done(&mut self, at: usize, now: Instant, is_answered: bool) -> anyhow::Result<()> {
        let asked = self.asked[at].pop_front().context("what was never asked is done")?;
        self.under_way -= 1;
        self.answers += usize::from(is_answered);
        if self.measuring {
            self.put_off += u64::from(!is_answered);
            if is_answered {
                self.latencies_us.push(now.saturating_duration_since(asked).as_micros() as u64);
            }
        }
        match self.plan.pace {
            Some(_) => self.idle.push_back(at),
            None if now < self.end => self.ask(at, Instant::now())?,
            None => {}
        }
        Ok(())
    }

    fn outcome(mut self) -> Outcome {
        let answers = self.latencies_us.len() as u64;
        let each = |bytes: usize| bytes / self.answers.max(1);
        Outcome {
            answers,
            put_off: self.put_off,
            rate: answers as f64 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE),
            bytes_each: (each(self.bytes.0), each(self.bytes.1)),
            latency: Percentiles::of(&mut self.latencies_us),
            used: self.used,
        }
    }
}
