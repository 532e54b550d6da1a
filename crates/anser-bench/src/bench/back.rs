//! Clients that come back: each connects, says what it says, and stays. The same loop for the server and for the
//! limit. So many are at the door at once: more would only wait in the kernel's queue, and be counted as slow.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
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
const AT_ONCE: usize = 1_000;
const EVENTS: usize = 1_024;
const READ_BYTES: usize = 64 * 1024;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(120);
const WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a client that comes does next.
pub enum Step {
    /// It waits for more.
    Wait,
    /// It says this.
    Say(Vec<u8>),
    /// It is there.
    There,
}

/// What clients say when they come.
pub trait Guest {
    /// A client is connected.
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
    /// Of each, from its connecting on.
    pub latency: Percentiles,
    /// Their connections.
    pub streams: Vec<TcpStream>,
    /// Bytes that each received.
    pub received_each: usize,
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
    let mut streams: Vec<TcpStream> = Vec::with_capacity(count);
    let (mut connected, mut received) = (Vec::with_capacity(count), vec![Vec::new(); count]);
    let (mut there, mut bytes, mut times_us) = (0, 0, Vec::with_capacity(count));
    let mut events = Vec::with_capacity(EVENTS);
    let mut scratch = vec![0; READ_BYTES];
    while there < count {
        anyhow::ensure!(began.elapsed() < PATIENCE, "{} of {count} did not come back", count - there);
        // A few at a time, so that those at the door are not kept waiting by those who follow.
        for _ in 0..(AT_ONCE - (streams.len() - there)).min(32).min(count - streams.len()) {
            let who = streams.len();
            connected.push(Instant::now());
            let mut stream = TcpStream::connect(address).context("connecting")?;
            stream.set_nodelay(true)?;
            stream.write_all(&guest.first(who))?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(who as u64), epoll::EventFlags::IN)?;
            streams.push(stream);
        }
        let is_room = streams.len() < count && streams.len() - there < AT_ONCE;
        let timeout = if is_room { Timespec { tv_sec: 0, tv_nsec: 0 } } else { WAIT };
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&timeout))?;
        for event in events.drain(..) {
            let who = event.data.u64() as usize;
            let read = match streams[who].read(&mut scratch) {
                Ok(0) => anyhow::bail!("client {who} was hung up on"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            bytes += read;
            received[who].extend_from_slice(&scratch[..read]);
            match guest.told(who, &mut received[who])? {
                Step::Wait => {}
                Step::Say(say) => streams[who].write_all(&say).context("a socket takes no request")?,
                Step::There => {
                    there += 1;
                    times_us.push(connected[who].elapsed().as_micros() as u64);
                    received[who] = Vec::new();
                    // What comes later is of no interest.
                    epoll::delete(&epoll, &streams[who])?;
                }
            }
        }
    }
    let took = began.elapsed();
    Ok(Back { took, latency: Percentiles::of(&mut times_us), streams, received_each: bytes / count.max(1) })
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
    fn first(&mut self, _who: usize) -> Vec<u8> {
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
