//! An open loop: what is sent comes when it comes, whether or not what was sent before is answered. One thread,
//! one epoll, bare sockets.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anser_model::{AccountId, ClientId, ConversationId, UnixMillis};
use anser_proto::v1::{client_frame::Request, event, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use tokio::time::Instant;

use crate::book::{Book, Entry, Message, Tag, tag_of};
use crate::random::Random;
use crate::report::percentile;
use crate::socket::{self, Attached, BINARY, CLOSE};

/// What is answered later than this has no use any more.
pub const USEFUL_WITHIN: Duration = Duration::from_secs(1);
/// How long answers are waited for after the last request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that may wait at our end of a socket that takes no more: what comes then is not sent, and counts as not
/// answered.
const UNSENT_BYTES: usize = 1 << 20;
/// How late a request may be sent.
const LAG_MOST: Duration = Duration::from_millis(50);
/// Field 2 of a server frame.
const EVENT_KEY: u8 = 2 << 3 | 2;
const EVENTS: usize = 1_024;
const READ_BYTES: usize = 256 * 1024;
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000 };

/// A request on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Said(Tag),
    Sync,
    Answered,
}

/// One person's connection.
struct Line {
    account: AccountId,
    stream: TcpStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// Requests, by id from `first_pending` on.
    pending: VecDeque<Asked>,
    first_pending: u64,
    /// Of whom nothing is read.
    is_slow: bool,
    resyncs: u64,
}

/// What is sent, and where.
#[derive(Debug, Clone)]
pub struct Load {
    /// Each second.
    pub rate: f64,
    /// For so long.
    pub run: Duration,
    /// Conversations, each with the lines of its members. Each is as likely as the others.
    pub circles: Arc<Vec<(ConversationId, Vec<usize>)>>,
    /// Bytes of a text.
    pub text_bytes: usize,
    /// Whether deliveries are looked at too, which costs the generator time.
    pub times_deliveries: bool,
}

/// What came of it.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// Requests that were sent.
    pub offered: u64,
    /// Accepted within a second.
    pub useful: u64,
    /// Accepted later.
    pub late: u64,
    /// Told to come again.
    pub put_off: u64,
    /// Never answered, or not even sent.
    pub unanswered: u64,
    /// Times that somebody was told to resync.
    pub resyncs: u64,
    /// From a request until it was accepted, in microseconds, ascending.
    pub answers_us: Vec<u64>,
    /// The same until it was delivered to somebody else.
    pub deliveries_us: Vec<u64>,
    /// For so long.
    pub run: Duration,
}

impl Outcome {
    /// Useful answers each second.
    pub fn goodput(&self) -> f64 {
        self.useful as f64 / self.run.as_secs_f64()
    }

    /// Requests sent each second.
    pub fn sent_rate(&self) -> f64 {
        self.offered as f64 / self.run.as_secs_f64()
    }

    /// 99 of 100 answers took less, in milliseconds.
    pub fn p99_ms(&self) -> f64 {
        percentile(&self.answers_us, 99) as f64 / 1e3
    }
}

/// People on bare sockets.
pub struct Crowd {
    lines: Vec<Line>,
    epoll: rustix::fd::OwnedFd,
    book: Arc<Book>,
    random: Random,
    /// When each message of the run was sent, from tag `first_tag` on.
    sent: Vec<Instant>,
    first_tag: Tag,
    cids: Vec<ConversationId>,
    text_bytes: usize,
    times_deliveries: bool,
    /// Lines whose sync was put off, and when it is to be asked for again.
    again: Vec<(Instant, usize)>,
    began: Instant,
    began_ms: u64,
}

impl Crowd {
    /// People, attached.
    ///
    /// # Errors
    /// A socket fails.
    pub fn new(people: Vec<(AccountId, Attached)>, book: Arc<Book>, seed: u64) -> anyhow::Result<Crowd> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let began_ms = people.iter().map(|(_, attached)| attached.server_time_ms).max().unwrap_or_default();
        let mut lines = Vec::with_capacity(people.len());
        for (at, (account, attached)) in people.into_iter().enumerate() {
            let Attached { stream, already_read, .. } = attached;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
            lines.push(Line {
                account,
                stream,
                received: already_read,
                unsent: Vec::new(),
                pending: VecDeque::new(),
                // The hello was 1.
                first_pending: 2,
                is_slow: false,
                resyncs: 0,
            });
        }
        Ok(Crowd {
            lines,
            epoll,
            book,
            random: Random::new(seed),
            sent: Vec::new(),
            first_tag: 1,
            cids: Vec::new(),
            text_bytes: 0,
            times_deliveries: false,
            again: Vec::new(),
            began: Instant::now(),
            began_ms,
        })
    }

    /// From here on nothing of a line is read; or it is, again.
    ///
    /// # Errors
    /// The socket fails.
    pub fn slow(&mut self, at: usize, is_slow: bool) -> anyhow::Result<()> {
        let flags = if is_slow { epoll::EventFlags::empty() } else { epoll::EventFlags::IN };
        epoll::modify(&self.epoll, &self.lines[at].stream, epoll::EventData::new_u64(at as u64), flags)?;
        self.lines[at].is_slow = is_slow;
        Ok(())
    }

    /// How often a line was told to resync.
    pub fn resyncs(&self, at: usize) -> u64 {
        self.lines[at].resyncs
    }

    /// Offers a load, and waits until all of it is answered.
    ///
    /// # Errors
    /// A socket fails, or an answer is none to its request.
    pub fn offer(&mut self, load: &Load) -> anyhow::Result<Outcome> {
        self.first_tag += self.sent.len() as Tag;
        (self.sent, self.cids, self.text_bytes) = (Vec::new(), Vec::new(), load.text_bytes);
        let before: u64 = self.lines.iter().map(|line| line.resyncs).sum();
        let mut outcome = Outcome { run: load.run, ..Outcome::default() };
        self.times_deliveries = load.times_deliveries;
        let begun = Instant::now();
        let end = begun + load.run;
        let (mut due, mut waiting, mut dirty) = (begun, 0u64, Vec::new());
        let mut events = Vec::with_capacity(EVENTS);
        let mut scratch = vec![0; READ_BYTES];
        loop {
            let now = Instant::now();
            // What a generator that was kept waiting did not send in time is not made up for: it would come as one
            // wave. How much was offered is told.
            due = due.max(now.checked_sub(LAG_MOST).unwrap_or(begun));
            while due <= now && now < end {
                outcome.offered += 1;
                match self.say(load, now) {
                    Some(at) => {
                        waiting += 1;
                        dirty.push(at);
                    }
                    None => outcome.unanswered += 1,
                }
                due += self.pause(load.rate);
            }
            for (_, at) in self.again.extract_if(.., |(due, _)| *due <= now) {
                self.lines[at].sync();
                dirty.push(at);
            }
            for at in dirty.drain(..) {
                self.lines[at].write()?;
            }
            if (now >= end && waiting == 0) || now > end + PATIENCE {
                break;
            }
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&WAIT))?;
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                waiting -= self.receive(at, &mut scratch, &mut outcome)?;
                self.lines[at].write()?;
            }
        }
        outcome.unanswered += waiting;
        outcome.resyncs = self.lines.iter().map(|line| line.resyncs).sum::<u64>() - before;
        outcome.answers_us.sort_unstable();
        outcome.deliveries_us.sort_unstable();
        Ok(outcome)
    }

    /// Until the next one: arrivals that know nothing of each other.
    fn pause(&mut self, rate: f64) -> Duration {
        let even = (self.random.bits() >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - even).ln() / rate)
    }

    /// Somebody says something somewhere. On which line; `None` if too much waits there already.
    fn say(&mut self, load: &Load, now: Instant) -> Option<usize> {
        let (cid, members) = &load.circles[self.random.below(load.circles.len())];
        let at = members[self.random.below(members.len())];
        let tag = self.first_tag + self.sent.len() as Tag;
        self.sent.push(now);
        self.cids.push(*cid);
        let line = &mut self.lines[at];
        if line.unsent.len() > UNSENT_BYTES {
            return None;
        }
        let message = message(tag, line.account, *cid, load.text_bytes).to_wire();
        let client_id = self.began_ms + self.began.elapsed().as_millis() as u64;
        let client_id = client_id_of(tag, client_id);
        let client_id = client_id.as_bytes().to_vec().into();
        let send = v1::Send { to: Some(v1::Target::cid(*cid)), client_id, message: Some(message) };
        let id = line.first_pending + line.pending.len() as u64;
        line.pending.push_back(Asked::Said(tag));
        socket::push_request(&mut line.unsent, id, Request::Send(send));
        Some(at)
    }

    /// Reads a line once. How many messages were answered.
    fn receive(&mut self, at: usize, scratch: &mut [u8], outcome: &mut Outcome) -> anyhow::Result<u64> {
        let count = match self.lines[at].stream.read(scratch) {
            Ok(0) => anyhow::bail!("the server hung up on line {at}"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        let mut bytes = std::mem::take(&mut self.lines[at].received);
        bytes.extend_from_slice(&scratch[..count]);
        let (mut taken, mut answered) = (0, 0);
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed line {at}");
            let is_event = payload.first() == Some(&EVENT_KEY);
            if framed.opcode != BINARY || (is_event && !self.times_deliveries) {
                continue;
            }
            match decode_server(payload, Encoding::Binary).context("a frame of the server")?.frame {
                Some(server_frame::Frame::Response(answer)) => {
                    answered += self.answer(at, now, answer, outcome)?;
                }
                Some(server_frame::Frame::Event(event)) => self.delivery(now, &event, outcome),
                Some(server_frame::Frame::Resync(_)) => self.lines[at].missed(),
                _ => {}
            }
        }
        bytes.drain(..taken);
        self.lines[at].received = bytes;
        Ok(answered)
    }

    fn answer(
        &mut self,
        at: usize,
        now: Instant,
        answer: v1::Response,
        outcome: &mut Outcome,
    ) -> anyhow::Result<u64> {
        let line = &mut self.lines[at];
        let place = answer.id.checked_sub(line.first_pending).map(|place| place as usize);
        let asked = place.and_then(|place| line.pending.get_mut(place));
        let asked = asked.with_context(|| format!("line {at} did not ask for {answer:?}"))?;
        let asked = std::mem::replace(asked, Asked::Answered);
        while line.pending.front() == Some(&Asked::Answered) {
            line.pending.pop_front();
            line.first_pending += 1;
        }
        let tag = match asked {
            Asked::Said(tag) => tag,
            Asked::Sync => {
                if let Some(response::Result::Error(error)) = answer.result {
                    anyhow::ensure!(error.retry_after_ms > 0, "line {at} may not sync: {error:?}");
                    let due = now + Duration::from_millis(error.retry_after_ms);
                    self.again.push((due, at));
                }
                return Ok(0);
            }
            Asked::Answered => anyhow::bail!("line {at} was answered twice: {answer:?}"),
        };
        let place = (tag - self.first_tag) as usize;
        match answer.result {
            Some(response::Result::Accepted(accepted)) => {
                let (cid, seq) = (self.cids[place], accepted.seq);
                let client_id = client_id_of(tag, self.began_ms);
                let digest = message(tag, line.account, cid, self.text_bytes).digest();
                self.book.acknowledge(tag, Entry { cid, seq, client_id, digest });
                let took = now - self.sent[place];
                outcome.answers_us.push(took.as_micros() as u64);
                if took <= USEFUL_WITHIN { outcome.useful += 1 } else { outcome.late += 1 }
            }
            Some(response::Result::Error(error))
                if error.code == "overloaded" && error.retry_after_ms > 0 =>
            {
                outcome.put_off += 1;
            }
            other => anyhow::bail!("message {tag} of line {at} was answered with {other:?}"),
        }
        Ok(1)
    }

    fn delivery(&mut self, now: Instant, event: &v1::Event, outcome: &mut Outcome) {
        let Some(event::Change::Message(message)) = &event.change else { return };
        let place = tag_of(message).and_then(|tag| tag.checked_sub(self.first_tag));
        if let Some(sent) = place.and_then(|place| self.sent.get(place as usize)) {
            outcome.deliveries_us.push((now - *sent).as_micros() as u64);
        }
    }
}

impl Line {
    /// Events were missed: none come until a sync is asked for.
    fn missed(&mut self) {
        self.resyncs += 1;
        self.sync();
    }

    fn sync(&mut self) {
        if !self.pending.contains(&Asked::Sync) {
            let id = self.first_pending + self.pending.len() as u64;
            self.pending.push_back(Asked::Sync);
            socket::push_request(&mut self.unsent, id, Request::Sync(v1::Sync::default()));
        }
    }

    fn write(&mut self) -> anyhow::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("a socket takes no request"),
            }
        }
        Ok(())
    }
}

fn message(tag: Tag, author: AccountId, cid: ConversationId, text_bytes: usize) -> Message {
    let mut text = format!("{tag} ");
    text.extend(std::iter::repeat_n('x', text_bytes.saturating_sub(text.len())));
    Message { tag, author, cid, text }
}

fn client_id_of(tag: Tag, ms: u64) -> ClientId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&tag.to_be_bytes());
    ClientId::mint(UnixMillis(ms), random)
}
