//! Clients that come back: each connects, says what it says, and stays. The same loop for the server and for the
//! limit. So many are at the door at once: more would only wait in the kernel's queue, and be counted as slow.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anser_proto::v1::{client_frame::Request, response, server_frame};
use anser_proto::{Encoding, VERSION_MAX, VERSION_MIN, decode_server, v1};
use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use tokio::time::Instant;

use crate::report::Percentiles;
use crate::socket;

/// At the door at once.
const AT_ONCE: usize = 500;
/// Ports of each source address, from the first on.
const PORTS: (u16, u16) = (10_000, 10_000);
const EVENTS: usize = 1_024;
const READ_BYTES: usize = 64 * 1024;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(75);
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// Connected between two looks at those at the door.
const A_FEW: usize = 32;

/// What a client that comes does next.
pub enum Step {
    /// It waits for more.
    Wait,
    /// It says this.
    Say(Vec<u8>),
    /// It is there.
    There,
    /// It was put off: it connects again after this time.
    Again(Duration),
}

/// What clients say when they come.
pub trait Guest {
    /// A client is connected: what it says.
    fn first(&mut self, who: usize) -> Vec<u8>;

    /// A client received something: takes of it what is whole.
    ///
    /// # Errors
    /// It is not let in, or told what is not so.
    fn told(&mut self, who: usize, received: &mut Vec<u8>) -> anyhow::Result<Step>;
}

/// Clients that are there.
pub struct Back {
    /// Until the last one was there.
    pub took: Duration,
    /// Of each, from its first connecting on.
    pub latency: Percentiles,
    /// Their connections.
    pub streams: Vec<TcpStream>,
    /// Bytes that each received.
    pub received_each: usize,
    /// Times that somebody was put off.
    pub put_off: u64,
}

impl Back {
    /// Clients each second.
    pub fn rate(&self) -> f64 {
        self.streams.len() as f64 / self.took.as_secs_f64()
    }
}

/// Has so many come.
///
/// # Errors
/// Somebody is not let in.
pub fn come(address: &str, count: usize, guest: &mut impl Guest) -> anyhow::Result<Back> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let began = Instant::now();
    let mut door = Door {
        address: address.parse()?,
        round: next_round(),
        epoll,
        visits: (0..count).map(|_| Visit::default()).collect(),
        to_connect: (0..count).collect(),
        put_off: Vec::new(),
        at_door: 0,
        put_off_times: 0,
        bytes: 0,
        times_us: Vec::with_capacity(count),
    };
    let mut events = Vec::with_capacity(EVENTS);
    let mut scratch = vec![0; READ_BYTES];
    while door.times_us.len() < count {
        let left = count - door.times_us.len();
        anyhow::ensure!(began.elapsed() < PATIENCE, "{left} of {count} did not come back");
        let timeout = if door.connect(guest)? { Timespec { tv_sec: 0, tv_nsec: 0 } } else { WAIT };
        epoll::wait(&door.epoll, spare_capacity(&mut events), Some(&timeout))?;
        for event in events.drain(..) {
            door.receive(event.data.u64() as usize, &mut scratch, guest)?;
        }
    }
    Ok(Back {
        took: began.elapsed(),
        latency: Percentiles::of(&mut door.times_us),
        streams: door.visits.into_iter().filter_map(|visit| visit.stream).collect(),
        received_each: door.bytes / count.max(1),
        put_off: door.put_off_times,
    })
}

/// For source addresses of their own, so that nothing of earlier rounds is in the way.
pub fn next_round() -> u8 {
    static ROUNDS: AtomicU8 = AtomicU8::new(1);
    ROUNDS.fetch_add(1, Ordering::Relaxed)
}

/// Connects from an address and port that follow from who it is. Otherwise the kernel looks for a free port among those
/// of one address: with 18,000 connections that takes longer than all else.
///
/// # Errors
/// Nobody listens there.
pub fn connect(address: SocketAddrV4, (round, who): (u8, usize)) -> std::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
    let (source, port) = (2 + who / usize::from(PORTS.1), PORTS.0 + (who % usize::from(PORTS.1)) as u16);
    let own = SocketAddrV4::new(Ipv4Addr::new(127, 0, round, source as u8), port);
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if bind(&socket, &own).is_err() {
        // Somebody has it: any other will do.
        return TcpStream::connect(address);
    }
    connect(&socket, &address)?;
    Ok(socket.into())
}

struct Door {
    address: SocketAddrV4,
    round: u8,
    epoll: rustix::fd::OwnedFd,
    visits: Vec<Visit>,
    to_connect: VecDeque<usize>,
    /// Until when, and who.
    put_off: Vec<(Instant, usize)>,
    at_door: usize,
    put_off_times: u64,
    bytes: usize,
    times_us: Vec<u64>,
}

#[derive(Default)]
struct Visit {
    stream: Option<TcpStream>,
    received: Vec<u8>,
    began: Option<Instant>,
}

impl Door {
    /// Connects a few, so that those at the door are not kept waiting by those who follow. Whether there are more.
    fn connect(&mut self, guest: &mut impl Guest) -> anyhow::Result<bool> {
        let now = Instant::now();
        let to_connect = &mut self.to_connect;
        self.put_off.retain(|&(until, who)| {
            let is_due = until <= now;
            to_connect.extend(is_due.then_some(who));
            !is_due
        });
        for _ in 0..(AT_ONCE - self.at_door).min(A_FEW) {
            let Some(who) = self.to_connect.pop_front() else { break };
            let visit = &mut self.visits[who];
            visit.began.get_or_insert_with(Instant::now);
            let mut stream = connect(self.address, (self.round, who)).context("connecting")?;
            stream.set_nodelay(true)?;
            stream.write_all(&guest.first(who))?;
            stream.set_nonblocking(true)?;
            epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(who as u64), epoll::EventFlags::IN)?;
            visit.stream = Some(stream);
            self.at_door += 1;
        }
        Ok(!self.to_connect.is_empty() && self.at_door < AT_ONCE)
    }

    fn receive(&mut self, who: usize, scratch: &mut [u8], guest: &mut impl Guest) -> anyhow::Result<()> {
        let visit = &mut self.visits[who];
        let Some(stream) = &mut visit.stream else { return Ok(()) };
        let count = match stream.read(scratch) {
            Ok(0) => anyhow::bail!("client {who} was hung up on"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.bytes += count;
        visit.received.extend_from_slice(&scratch[..count]);
        match guest.told(who, &mut visit.received)? {
            Step::Wait => {}
            Step::Say(say) => stream.write_all(&say).context("a socket takes no request")?,
            Step::There => {
                // What comes later is of no interest.
                epoll::delete(&self.epoll, &*stream)?;
                visit.received = Vec::new();
                self.at_door -= 1;
                let took = visit.began.map(|began| began.elapsed()).unwrap_or_default();
                self.times_us.push(took.as_micros() as u64);
            }
            Step::Again(after) => {
                *visit = Visit { began: visit.began, ..Visit::default() };
                self.at_door -= 1;
                self.put_off_times += 1;
                // Spread over as long again, by who it is.
                let spread = after.mul_f64((who % 64) as f64 / 64.0);
                self.put_off.push((Instant::now() + after + spread, who));
            }
        }
        Ok(())
    }
}

/// Somebody who comes back with what they knew.
pub struct Known {
    /// A token, or a ticket.
    pub token: String,
    /// How far they had come.
    pub cursor: v1::Cursor,
    /// How many conversations have changed since.
    pub changed: usize,
}

impl Known {
    /// Somebody who knows nothing, and has nothing.
    pub fn nothing(token: &str) -> Known {
        Known { token: token.to_owned(), cursor: v1::Cursor::default(), changed: 0 }
    }
}

/// Clients of the server: each is somebody who is known, and is there when every slot that owed something has said
/// that it is done. Who is told of more or fewer changes than there were voids the run.
pub struct Returning<'a> {
    authority: &'a str,
    known: &'a [Known],
    /// By client, from its first answer on.
    phases: Vec<Phase>,
    /// Bytes of the first answer.
    pub first_answer: usize,
}

#[derive(Clone, Default)]
struct Phase {
    is_upgraded: bool,
    is_welcome: bool,
    owing: VecDeque<u32>,
    heads: usize,
}

impl<'a> Returning<'a> {
    /// So many clients of those who are known, in turn.
    pub fn new(authority: &'a str, known: &'a [Known], count: usize) -> Returning<'a> {
        Returning { authority, known, phases: vec![Phase::default(); count], first_answer: 0 }
    }

    fn hello(&self, who: usize) -> Vec<u8> {
        let known = &self.known[who % self.known.len()];
        let hello = v1::Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            token: known.token.clone(),
            cursor: Some(known.cursor.clone()),
            client: "anser-bench".to_owned(),
            ..v1::Hello::default()
        };
        let mut out = Vec::new();
        socket::push_request(&mut out, 1, Request::Hello(hello));
        out
    }
}

impl Guest for Returning<'_> {
    fn first(&mut self, who: usize) -> Vec<u8> {
        self.phases[who] = Phase::default();
        socket::handshake(self.authority).into_bytes()
    }

    fn told(&mut self, who: usize, received: &mut Vec<u8>) -> anyhow::Result<Step> {
        if !self.phases[who].is_upgraded {
            let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(Step::Wait);
            };
            let is_upgrade = received.starts_with(b"HTTP/1.1 101");
            anyhow::ensure!(is_upgrade, "{}", String::from_utf8_lossy(&received[..end]));
            self.first_answer = end + 4;
            received.drain(..end + 4);
            self.phases[who].is_upgraded = true;
            return Ok(Step::Say(self.hello(who)));
        }
        let phase = &mut self.phases[who];
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&received[taken..]) {
            let frame = decode_server(&received[taken..][framed.start..framed.end], Encoding::Binary)?.frame;
            taken += framed.end;
            match frame {
                Some(server_frame::Frame::Response(v1::Response {
                    result: Some(response::Result::Welcome(welcome)),
                    ..
                })) => {
                    phase.is_welcome = true;
                    phase.owing = welcome.owing.into();
                }
                Some(server_frame::Frame::Response(v1::Response {
                    result: Some(response::Result::Error(error)),
                    ..
                })) if error.retry_after_ms > 0 => {
                    return Ok(Step::Again(Duration::from_millis(error.retry_after_ms)));
                }
                Some(server_frame::Frame::Response(other)) => {
                    anyhow::bail!("hello was answered with {other:?}")
                }
                Some(server_frame::Frame::SyncHeads(heads)) => {
                    phase.heads += heads.heads.len();
                    if heads.done {
                        phase.owing.retain(|&slot| slot != heads.slot);
                    }
                }
                _ => {}
            }
        }
        received.drain(..taken);
        if !phase.is_welcome || !phase.owing.is_empty() {
            return Ok(Step::Wait);
        }
        let expected = self.known[who % self.known.len()].changed;
        let heads = phase.heads;
        anyhow::ensure!(
            heads == expected,
            "client {who} was told of {heads} changes, and there were {expected}"
        );
        Ok(Step::There)
    }
}

/// Clients of the limit: they say as much, and are there when they received as much.
pub struct Bare {
    /// What they say first.
    pub first: usize,
    /// The answer to that.
    pub first_answer: usize,
    /// What they say then.
    pub second: usize,
    /// The answer to that.
    pub second_answer: usize,
    /// By client: whether it said that.
    pub has_said: Vec<bool>,
}

impl Guest for Bare {
    fn first(&mut self, _who: usize) -> Vec<u8> {
        vec![1; self.first]
    }

    fn told(&mut self, who: usize, received: &mut Vec<u8>) -> anyhow::Result<Step> {
        let wanted = if self.has_said[who] { self.second_answer } else { self.first_answer };
        if received.len() < wanted {
            return Ok(Step::Wait);
        }
        received.clear();
        if std::mem::replace(&mut self.has_said[who], true) {
            return Ok(Step::There);
        }
        Ok(Step::Say(vec![1; self.second]))
    }
}
