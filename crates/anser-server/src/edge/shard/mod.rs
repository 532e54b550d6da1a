//! One thread of an edge, with the connections that it holds. Nobody else touches them, so nothing here is locked:
//! what others want of a shard comes by [`post`]. It waits for all its sockets at once, and what it does between two
//! waits shares its costs: commands are handed to the core together, and each connection is written once.
//!
//! To the core each shard is an edge.
//!
//! - [`post`]: what others hand it
//! - [`seats`]: who is here; [`seat`]: one connection
//! - [`reading`]: what comes from sockets; [`effects`]: what sessions want done; [`due`]: what has its time
//! - [`outbound`]: what it hands to the core

mod due;
mod effects;
mod outbound;
pub(super) mod post;
mod reading;
mod seat;
mod seats;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anser_core::fanout::EdgeId;
use anser_edge::admission::Pause;
use anser_edge::session::RECONNECT_AFTER_MS;
use anser_edge::{Effect, Input, Session, Terms, deliver, pass_on, resync, tell_own, tell_watching};
use anser_model::{Slot, UnixMillis};
use anser_proto::{Encoding, v1};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use self::outbound::Outbound;
use self::post::{Looking, Post, ToShard};
use self::seat::{Flushed, Reading, Seat, Transport};
use self::seats::{Here, Seats};
use super::presence::Watchers;
use super::stream::Stream;
use super::wire::Wire;
use super::ws::CloseCode;
use super::{CameBy, EdgeShared, Protocol, SEND_BUFFER_BYTES};
use crate::accounts::Seen;
use crate::node::{Backlog, Batch, Meter, ToEdge};

/// Bytes read off a socket at once, into a buffer that a shard's connections share.
const READ_BYTES: usize = 64 * 1024;
/// Sockets that one wait tells of.
const EVENTS: usize = 1_024;
/// How often silent connections are looked for.
const SWEEP_INTERVAL_MS: u64 = 5_000;
/// How long, and for how many bytes, a connection that we close is read on.
const LINGER_S: u32 = 2;
const LINGER_BYTES: u32 = 4 * 1024 * 1024;
/// What is not a connection among what may tell of something.
const BELL: u64 = u64::MAX;
const MS_PER_S: u64 = 1_000;

/// What sessions take from around them without waiting.
struct ShardShell {
    edge: Arc<EdgeShared>,
    terms: Terms,
    /// What the core has handed on and is not delivered.
    backlog: Arc<Backlog>,
    /// The time of this turn, by the monotonic clock.
    now_ms: Cell<u64>,
    /// How much is about to be handed to the core.
    gathered: Cell<usize>,
}

/// What is counted between two waits, and handed to the metrics together.
#[derive(Default)]
pub(super) struct Counts {
    pub frames_received: u64,
    pub bytes_received: u64,
    pub frames_sent: u64,
    pub bytes_sent: u64,
}

pub(super) struct Shard {
    shell: ShardShell,
    post: Arc<Post>,
    meter: Meter,
    epoll: OwnedFd,
    seats: Seats,
    watchers: Watchers,
    /// Sessions of those inside.
    callers: HashMap<u64, u64>,
    /// Sessions that are not read for a while, and until when: the longest waiting first.
    put_off: VecDeque<(u64, u64)>,
    pause: Pause,
    /// Slots that are asked again for a session, and when; in this order.
    ask_again: VecDeque<(u64, u64, Slot, u32)>,
    /// Sessions that may have more to read although their sockets tell of nothing.
    unread: Vec<u64>,
    /// Sessions that wait for nothing any more.
    settled: Vec<u64>,
    outbound: Outbound,
    counts: Counts,
    scratch: Vec<u8>,
    effects: Vec<Effect>,
    wall: UnixMillis,
    swept_at_ms: u64,
    ended: bool,
}

impl Shard {
    /// A shard of an edge, as the edge that it is to the core.
    ///
    /// # Errors
    /// The system gives no descriptors.
    pub fn new(edge: Arc<EdgeShared>, id: EdgeId, post: Arc<Post>) -> io::Result<Shard> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, post.bell(), epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        let meter = edge.node.add_edge(id, post.clone());
        let terms = Terms { edge: id, ..edge.terms.clone() };
        let (now_ms, wall) = (Cell::new(edge.clock.monotonic_ms()), edge.clock.now());
        let outbound = Outbound::new(edge.node.workers());
        let swept_at_ms = now_ms.get();
        Ok(Shard {
            shell: ShardShell { edge, terms, backlog: meter.backlog(), now_ms, gathered: Cell::new(0) },
            post,
            meter,
            epoll,
            seats: Seats::default(),
            watchers: Watchers::default(),
            callers: HashMap::new(),
            put_off: VecDeque::new(),
            pause: Pause::default(),
            ask_again: VecDeque::new(),
            unread: Vec::new(),
            settled: Vec::new(),
            outbound,
            counts: Counts::default(),
            scratch: vec![0; READ_BYTES],
            effects: Vec::new(),
            wall,
            swept_at_ms,
            ended: false,
        })
    }

    /// Serves until it is told that nothing more will come.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        let (mut others, mut batches, mut dirty) = (Vec::new(), VecDeque::new(), Vec::new());
        while !self.ended {
            if let Err(error) = self.wait(&mut events) {
                // Nothing can be served any more by whom the system tells nothing.
                panic!("waiting for sockets failed: {error}");
            }
            self.look_at_the_clock();
            self.deliver(&mut batches);
            self.post.take_others(&mut others);
            others.drain(..).for_each(|what| self.take(what));
            for event in events.drain(..) {
                self.told(event.data.u64(), event.flags);
            }
            for session in std::mem::take(&mut self.unread) {
                self.read(session);
            }
            self.do_what_is_due();
            self.hand_in();
            while let Some(session) = self.settled.pop() {
                self.go_on(session);
            }
            self.hand_in();
            self.seats.take_dirty(&mut dirty);
            dirty.drain(..).for_each(|session| self.write(session));
            self.count();
        }
        self.post.close();
    }

    fn edge(&self) -> &EdgeShared {
        &self.shell.edge
    }

    fn now_s(&self) -> u32 {
        (self.shell.now_ms.get() / MS_PER_S) as u32
    }

    fn look_at_the_clock(&mut self) {
        self.shell.now_ms.set(self.edge().clock.monotonic_ms());
        self.wall = self.edge().clock.now();
    }

    /// Waits until something has come, or something is due.
    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let mut wait_ms = 0;
        if self.unread.is_empty() && self.post.fall_asleep() {
            let due = [self.put_off.front().map(|it| it.0), self.ask_again.front().map(|it| it.0)];
            let swept = self.swept_at_ms + SWEEP_INTERVAL_MS;
            let next = due.into_iter().flatten().fold(swept, u64::min);
            wait_ms = next.saturating_sub(self.edge().clock.monotonic_ms());
        }
        let timeout = Timespec {
            tv_sec: (wait_ms / MS_PER_S) as i64,
            tv_nsec: (wait_ms % MS_PER_S) as i64 * 1_000_000,
        };
        let waited = epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout));
        self.post.wake();
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn count(&mut self) {
        let Counts { frames_received, bytes_received, frames_sent, bytes_sent } =
            std::mem::take(&mut self.counts);
        let metrics = &self.edge().metrics;
        for (counter, count) in [
            (&metrics.frames_received, frames_received),
            (&metrics.bytes_received, bytes_received),
            (&metrics.frames_sent, frames_sent),
            (&metrics.bytes_sent, bytes_sent),
        ] {
            if count > 0 {
                counter.add(count);
            }
        }
    }

    // What comes from the core.

    fn deliver(&mut self, batches: &mut VecDeque<Batch>) {
        self.post.take_core(batches);
        let Some(first) = batches.front() else { return };
        let since_ms = first.handed_at_ms;
        let weight = batches.iter().map(|batch| batch.weight).sum();
        for item in batches.drain(..).flat_map(|batch| batch.items) {
            self.deliver_one(item);
        }
        self.meter.done(weight, since_ms, self.edge().clock.monotonic_ms());
    }

    fn deliver_one(&mut self, item: ToEdge) {
        match item {
            ToEdge::Answer { session, asked, answer } => self.answer(session, asked, answer),
            ToEdge::Presence(accounts) => self.look_again(accounts),
            ToEdge::Event { event, accounts } => {
                self.here(|shell, here| deliver(&event, &accounts, shell, here));
            }
            ToEdge::Void(void) => self.here(|shell, here| resync(&void, shell, here)),
            ToEdge::Typing { typing, accounts } => {
                self.here(|shell, here| pass_on(&typing, &accounts, shell, here));
            }
        }
    }

    fn here(&mut self, tell: impl FnOnce(&ShardShell, &mut Here)) {
        let mut unwatched = Vec::new();
        let (seats, watchers) = (&mut self.seats, &mut self.watchers);
        tell(&self.shell, &mut Here { seats, watchers, unwatched: &mut unwatched });
        if !unwatched.is_empty() {
            self.edge().node.unwatch(unwatched, self.shell.terms.edge);
        }
    }

    // What comes from others.

    fn take(&mut self, what: ToShard) {
        match what {
            ToShard::Adopt { stream, protocol, came, already_read } => {
                self.adopt(stream, protocol, came, already_read);
            }
            ToShard::Enter { caller, verified, inbox, frame } => {
                let Some(id) = self.seats.next_session() else { return inbox.close() };
                let session = match verified {
                    Some(verified) => Session::admitted(id, verified),
                    None => Session::new(id),
                };
                let transport = Transport::Inside { caller, inbox };
                self.seat(session, transport, Ipv4Addr::LOCALHOST.into());
                self.callers.insert(caller, id);
                self.step(id, Input::Frame { encoding: Encoding::Binary, frame: Ok(frame) });
            }
            ToShard::Fill { caller } => {
                if let Some(&session) = self.callers.get(&caller) {
                    self.seats.mark(session);
                }
            }
            ToShard::Leave { caller } => {
                if let Some(session) = self.callers.remove(&caller) {
                    self.end(session);
                }
            }
            ToShard::Input { session, input } => self.step(session, input),
            ToShard::Seen { seen, answer } => self.seen(&seen, answer),
            ToShard::Drain => {
                let draining = v1::Draining { reconnect_after_ms: RECONNECT_AFTER_MS };
                let frame = v1::ServerFrame { frame: Some(v1::server_frame::Frame::Draining(draining)) };
                self.each(|seat, shell| seat.session.push_frame(&frame, shell));
            }
            ToShard::CloseAll => self.each(|seat, _| {
                let last = Wire::close(seat.session.form().transport, CloseCode::GoingAway);
                seat.session.close(last);
            }),
            ToShard::HangUpAll => self.seats.all().into_iter().for_each(|session| self.end(session)),
            ToShard::End => self.ended = true,
        }
    }

    fn each(&mut self, with: impl Fn(&mut Seat, &ShardShell)) {
        for session in self.seats.all() {
            if let Some(seat) = self.seats.get(session) {
                with(seat, &self.shell);
                self.seats.mark(session);
            }
        }
    }

    fn with(&mut self, session: u64, with: impl FnOnce(&mut Seat, &ShardShell)) {
        if let Some(seat) = self.seats.get(session) {
            with(seat, &self.shell);
            self.seats.mark(session);
        }
    }

    fn adopt(&mut self, stream: Stream, protocol: Protocol, came: CameBy, already_read: Vec<u8>) {
        _ = stream.tcp().set_nodelay(true);
        // What the kernel keeps for a slow reader is memory too, and would grow to megabytes.
        _ = socket2::SockRef::from(stream.tcp()).set_send_buffer_size(SEND_BUFFER_BYTES);
        let id = self.seats.next_session();
        let edge = self.edge();
        let heartbeat_interval_ms = match came.proxied {
            true => edge.proxied_heartbeat_interval_ms,
            false => edge.terms.heartbeat_interval_ms,
        };
        let Some(id) = id else {
            // Dropped: the client backs off and comes again.
            self.post.connections.fetch_sub(1, Ordering::Relaxed);
            return edge.metrics.connections_refused.add(1);
        };
        edge.metrics.connections_opened.add(1);
        let data = epoll::EventData::new_u64(id);
        if epoll::add(&self.epoll, stream.tcp(), data, epoll::EventFlags::IN).is_err() {
            // It stays silent, and is swept.
            tracing::debug!("the system does not tell of a socket");
        }
        let transport = protocol.transport();
        let session = Session::over(id, transport, heartbeat_interval_ms);
        self.seat(session, Transport::Socket { stream, wire: Wire::of(transport) }, came.network);
        if !already_read.is_empty() {
            self.came(id, already_read);
        }
        self.unread.push(id);
    }

    fn seat(&mut self, session: Session, transport: Transport, network: std::net::IpAddr) {
        let heartbeat_interval_ms = session.heartbeat_interval_ms().unwrap_or(u64::MAX);
        let seat = Seat {
            transport,
            session,
            kept: Vec::new(),
            network,
            heard_at_s: self.now_s(),
            blocked_since_s: None,
            heartbeat_interval_s: u32::try_from(heartbeat_interval_ms / MS_PER_S).unwrap_or(u32::MAX),
            reading: Reading::Open,
            is_put_off: false,
            is_dirty: false,
            was_active: true,
        };
        self.seats.put(seat);
    }

    fn seen(&mut self, seen: &[crate::accounts::LastSeen], answer: Option<Looking>) {
        let presences: Vec<v1::Presence> = seen.iter().map(|seen| self.edge().presence_of(seen)).collect();
        for presence in &presences {
            let is_news = self.watchers.is_news(presence);
            self.here(|shell, here| {
                tell_own(presence, shell, here);
                if is_news {
                    tell_watching(presence, shell, here);
                }
            });
        }
        let Some(Looking { session, request, cid }) = answer else { return };
        // Of those who show it to nobody the answer is silent.
        let shown = seen.iter().zip(presences).filter(|(seen, _)| seen.at.is_some());
        let presences = Ok(shown.map(|(_, presence)| presence).collect());
        self.step(session, Input::Looked { request, cid, presences });
    }

    /// Writes a connection, as far as its socket takes it.
    fn write(&mut self, session: u64) {
        let now_s = self.now_s();
        let Some(seat) = self.seats.get(session) else { return };
        let flushed = seat.flush(&mut self.counts);
        let Transport::Socket { stream, .. } = &seat.transport else { return };
        let was_blocked = seat.blocked_since_s.is_some();
        match flushed {
            Flushed::Done => {
                if was_blocked {
                    seat.blocked_since_s = None;
                    interest(&self.epoll, stream, session, seat.reading, false);
                }
            }
            Flushed::Said => {
                seat.blocked_since_s = None;
                seat.kept = Vec::new();
                seat.reading = Reading::Lingering { left_bytes: LINGER_BYTES, until_s: now_s + LINGER_S };
                interest(&self.epoll, stream, session, seat.reading, false);
                self.unread.push(session);
            }
            Flushed::Blocked => {
                if !was_blocked {
                    seat.blocked_since_s = Some(now_s);
                    interest(&self.epoll, stream, session, seat.reading, true);
                }
            }
            Flushed::Gone => self.end(session),
        }
    }

    /// A connection is gone.
    fn end(&mut self, session: u64) {
        let Some((seat, is_last)) = self.seats.remove(session) else { return };
        let edge = &self.shell.edge;
        if let Some(grant) = seat.session.entered() {
            let (account, device) = (grant.account, grant.device);
            edge.ended.note(Seen { account, device, at: self.wall });
            if is_last {
                edge.node.leave(account, self.shell.terms.edge);
            }
            self.watch_only(session, Default::default());
        }
        match seat.transport {
            Transport::Socket { .. } => _ = self.post.connections.fetch_sub(1, Ordering::Relaxed),
            Transport::Inside { caller, inbox } => {
                self.callers.remove(&caller);
                inbox.close();
            }
        }
        self.post.signed_in.store(self.seats.signed_in(), Ordering::Relaxed);
    }
}

/// Has the system tell of a socket what is wanted now.
fn interest(epoll: &OwnedFd, stream: &Stream, session: u64, reading: Reading, writing: bool) {
    let mut flags = epoll::EventFlags::empty();
    flags.set(epoll::EventFlags::IN, reading != Reading::Paused);
    flags.set(epoll::EventFlags::OUT, writing);
    // A socket that is gone tells so by itself.
    _ = epoll::modify(epoll, stream.tcp(), epoll::EventData::new_u64(session), flags);
}
