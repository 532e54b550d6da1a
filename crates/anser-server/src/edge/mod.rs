//! The edge: sockets, tasks and timers around the sessions of `anser-edge`, and nothing that decides.
//!
//! - [`ws`]: WebSocket frames
//! - [`connection`]: one socket, and the session on it
//! - [`stream`]: its bytes, plain or in TLS
//! - [`sessions`]: who is here
//! - [`effects`]: what sessions want done
//! - [`deliver`]: what cores hand on
//! - [`inside`]: those who ask from inside the process
//! - [`quotas`]: how much may be asked
//! - [`presence`]: who is there, for those who want to know

mod connection;
mod deliver;
mod effects;
mod inside;
mod presence;
mod quotas;
mod sessions;
mod stream;
pub mod ws;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anser_core::fanout::EdgeId;
use anser_core::ports::PortFuture;
use anser_core::ports::clock::Clock;
use anser_edge::Terms;
use anser_edge::session::{PUT_OFF_MS, RECONNECT_AFTER_MS};
use anser_model::AccountId;
use anser_model::limits::FRAME_BYTES;
use anser_proto::{ErrorCode, v1};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Connection, Flushed};
use self::presence::{Ended, Watchers};
use self::quotas::Quotas;
use self::sessions::Sessions;
pub use self::stream::{Stream, TlsStream};
use self::ws::{CloseCode, Inbox, Incoming};
use crate::accounts::{LastSeen, Seen, Tokens};
use crate::metrics::Metrics;
use crate::node::{Backlog, Node};

pub use self::quotas::EdgeRates;

pub use inside::{Page, Polled};

/// Bytes read off a socket at once, into a buffer that a thread's connections share.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that the kernel keeps for a connection that does not read; it counts its own overhead in.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// How long a connection may take to say hello, and a blocked one to read.
const PATIENCE_MS: u64 = 15_000;
/// How often silent connections are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long, and for how many bytes, a connection that we close is read on.
const LINGER_PATIENCE: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How long draining waits for connections to go.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

/// What the edge must know of people, which is not its own.
pub trait People: Send + Sync {
    /// Whether all of them are known here to exist; `false` says nothing.
    fn known_to_exist(&self, accounts: &[AccountId]) -> bool;

    /// Those of them that do not exist.
    fn missing(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<AccountId>, v1::Error>>;

    /// Profiles of those that exist.
    fn profiles(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<v1::Profile>, v1::Error>>;

    /// When those that exist were there last.
    fn last_seen(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<LastSeen>, v1::Error>>;

    /// Sessions have ended.
    fn note_seen(&self, seen: Vec<Seen>) -> PortFuture<Result<(), v1::Error>>;

    /// The profile version of an account as far as it is known here; 0 if it is not.
    fn profile_version(&self, account: AccountId) -> u64;
}

/// What an edge is told.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Which edge of the installation it is.
    pub id: EdgeId,
    /// After how long without a frame a client pings. One silent for twice as long is closed.
    pub heartbeat_interval_ms: u64,
    /// The same for connections through a proxy, which may forget them when they are silent.
    pub proxied_heartbeat_interval_ms: u64,
    /// What a client's backoff is capped at.
    pub backoff_cap_ms: u64,
    /// Connections at most.
    pub connections_max: usize,
    /// How much may be asked.
    pub rates: EdgeRates,
}

/// What an edge runs on.
#[derive(Clone)]
pub struct EdgeParts {
    /// The core it is linked to.
    pub node: Node,
    /// Who a token is of.
    pub tokens: Arc<Tokens>,
    /// Who exists.
    pub people: Arc<dyn People>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Runs its tasks.
    pub tracker: TaskTracker,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
}

/// The public handle of an edge. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<EdgeShared>,
}

pub(crate) struct EdgeShared {
    terms: Terms,
    proxied_heartbeat_interval_ms: u64,
    connections_max: AtomicUsize,
    quotas: Quotas,
    /// What the core has handed on and is not delivered.
    backlog: Arc<Backlog>,
    node: Node,
    tokens: Arc<Tokens>,
    people: Arc<dyn People>,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    metrics: Arc<Metrics>,
    sessions: Sessions,
    watchers: Watchers,
    ended: Ended,
    next_session: AtomicU64,
    draining: CancellationToken,
}

/// How far what came in was taken.
enum Consumed {
    /// All that is complete.
    All,
    /// Up to a message of which this is left to do first.
    Until(effects::Rest),
    /// Nothing more is to be read.
    Last,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// By which way a connection came.
#[derive(Debug, Clone, Copy)]
pub struct CameBy {
    /// The network of the client, as far as it is known.
    pub network: IpAddr,
    /// Something stands between that may forget a connection that is silent.
    pub proxied: bool,
}

impl Edge {
    /// Starts an edge on its core.
    pub fn start(config: EdgeConfig, parts: EdgeParts) -> Edge {
        let from_core = parts.node.add_edge(config.id);
        let shared = Arc::new(EdgeShared {
            terms: Terms {
                edge: config.id,
                timeline: parts.node.timeline(),
                heartbeat_interval_ms: config.heartbeat_interval_ms,
                backoff_cap_ms: config.backoff_cap_ms,
                session_rate: config.rates.session,
            },
            proxied_heartbeat_interval_ms: config
                .proxied_heartbeat_interval_ms
                .min(config.heartbeat_interval_ms),
            connections_max: AtomicUsize::new(config.connections_max),
            quotas: Quotas::new(&config.rates),
            backlog: from_core.meter.backlog(),
            node: parts.node,
            tokens: parts.tokens,
            people: parts.people,
            clock: parts.clock,
            tracker: parts.tracker,
            metrics: parts.metrics,
            sessions: Sessions::default(),
            watchers: Watchers::default(),
            ended: Ended::default(),
            next_session: AtomicU64::new(1),
            draining: CancellationToken::new(),
        });
        shared.tracker.spawn(shared.clone().deliver(from_core));
        shared.tracker.spawn(shared.clone().sweep());
        shared.tracker.spawn(shared.clone().write_seen());
        Edge { shared }
    }

    /// Whether one more connection may come from a network, or in how many milliseconds.
    ///
    /// # Errors
    /// Too many came.
    pub fn admit(&self, network: IpAddr) -> Result<(), u64> {
        self.shared.quotas.connect.charge(network, 1, self.shared.clock.monotonic_ms())
    }

    /// Takes over a socket whose WebSocket handshake is done, with what was read beyond it.
    pub fn adopt(&self, stream: Stream, came: CameBy, already_read: Bytes) {
        let edge = self.shared.clone();
        let connections_max = edge.connections_max.load(Ordering::Relaxed);
        if edge.sessions.read().len() >= connections_max || edge.draining.is_cancelled() {
            // Dropped: the client backs off and comes again.
            edge.metrics.connections_refused.add(1);
            return;
        }
        edge.metrics.connections_opened.add(1);
        _ = stream.tcp().set_nodelay(true);
        // What the kernel keeps for a slow reader is memory too, and would grow to megabytes.
        _ = socket2::SockRef::from(stream.tcp()).set_send_buffer_size(SEND_BUFFER_BYTES);
        let id = edge.next_session.fetch_add(1, Ordering::Relaxed);
        let heartbeat_interval_ms = match came.proxied {
            true => edge.proxied_heartbeat_interval_ms,
            false => edge.terms.heartbeat_interval_ms,
        };
        let now_ms = edge.clock.monotonic_ms();
        let connection = Arc::new(Connection::new(id, stream, came.network, heartbeat_interval_ms, now_ms));
        edge.sessions.add(connection.clone());
        edge.tracker.clone().spawn(edge.converse(connection, already_read));
    }

    /// Runs what belongs to this edge.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.shared.tracker
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.sessions.read().len()
    }

    /// On how many of them somebody is signed in.
    pub fn signed_in(&self) -> usize {
        self.shared.sessions.read().signed_in()
    }

    /// From now on so many connections at most; those above it that are here stay.
    pub fn set_connections_max(&self, connections_max: usize) {
        self.shared.connections_max.store(connections_max, Ordering::Relaxed);
    }

    /// Tells everybody to go, and waits a while until they have.
    pub async fn drain(&self) {
        let edge = &self.shared;
        edge.draining.cancel();
        let draining = v1::Draining { reconnect_after_ms: RECONNECT_AFTER_MS };
        let frame = v1::ServerFrame { frame: Some(v1::server_frame::Frame::Draining(draining)) };
        let everybody: Vec<_> = edge.sessions.read().all().cloned().collect();
        for connection in &everybody {
            connection.state().session.push_frame(&frame, &**edge);
            edge.write(connection);
        }
        // What was accepted is still answered, for as long as the patience lasts.
        let wait = async {
            let mut look = tokio::time::interval(Duration::from_millis(50));
            for _ in 0..6 {
                look.tick().await;
            }
            for connection in &everybody {
                connection.state().session.close(Some(ws::close(CloseCode::GoingAway)));
                edge.write(connection);
            }
            while edge.sessions.read().len() > 0 {
                look.tick().await;
            }
        };
        if tokio::time::timeout(DRAIN_PATIENCE, wait).await.is_err() {
            for connection in &everybody {
                connection.hang_up();
                edge.was_here(connection);
            }
        }
        edge.write_seen_now().await;
    }
}

impl EdgeShared {
    /// Reads a connection until it ends. While it is idle this holds no buffer and no timer.
    async fn converse(self: Arc<Self>, connection: Arc<Connection>, already_read: Bytes) {
        let mut inbox = Inbox::default();
        inbox.push(&already_read);
        drop(already_read);
        loop {
            match self.consume(&connection, &mut inbox) {
                Consumed::All => {}
                Consumed::Until(rest) => {
                    rest.await;
                    continue;
                }
                Consumed::Last => break,
            }
            if connection.state().session.was_put_off() {
                // Boxed, so that an idle connection does not carry its timer.
                Box::pin(tokio::time::sleep(Duration::from_millis(PUT_OFF_MS))).await;
            }
            if poll_fn(|context| connection.stream().poll_read_ready(context)).await.is_err() {
                break;
            }
            match read_some(connection.stream(), &mut inbox) {
                Ok(0) => break,
                Ok(count) => {
                    self.metrics.bytes_received.add(count as u64);
                    connection.heard(self.clock.monotonic_ms());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        if connection.is_closing() {
            // Boxed, so that an idle connection does not carry its timer.
            Box::pin(linger(&connection)).await;
        }
        self.forget(&connection);
    }

    /// A connection is gone.
    fn forget(&self, connection: &Connection) {
        let account = connection.state().session.account();
        self.was_here(connection);
        self.sessions.remove(connection.id, account, || {
            if let Some(account) = account {
                self.node.leave(account, self.id());
            }
        });
        self.watch_nobody(connection.id);
    }

    /// Somebody was here until now.
    fn was_here(&self, connection: &Connection) {
        if let Some(grant) = connection.state().session.entered() {
            let (account, device) = (grant.account, grant.device);
            self.ended.note(Seen { account, device, at: self.clock.now() });
        }
    }

    /// Takes what is complete.
    fn consume(self: &Arc<Self>, connection: &Arc<Connection>, inbox: &mut Inbox) -> Consumed {
        loop {
            if connection.is_closing() {
                self.write(connection);
                return Consumed::Last;
            }
            self.put_off_unread(connection, inbox);
            let incoming = inbox.next(FRAME_BYTES);
            if matches!(incoming, Ok(Some(_))) && self.is_stranger_too_often(connection) {
                continue;
            }
            match incoming {
                Ok(Some(Incoming::Message(kind, bytes))) => {
                    if let Some(rest) = self.message(connection, kind, &bytes) {
                        return Consumed::Until(rest);
                    }
                }
                Ok(Some(Incoming::Ping(payload))) => {
                    connection.state().session.push(ws::pong(&payload), &**self);
                }
                Ok(Some(Incoming::Pong)) => {}
                Ok(Some(Incoming::Close)) => {
                    connection.state().session.close(Some(ws::close(CloseCode::Normal)));
                }
                Ok(None) => {
                    self.write(connection);
                    return Consumed::All;
                }
                Err(error) => {
                    let code = match error.code {
                        CloseCode::TooLarge => ErrorCode::FrameTooLarge,
                        _ => ErrorCode::MalformedFrame,
                    };
                    let frame = v1::ServerFrame::error(0, v1::Error::new(code, error.what));
                    let session = &mut connection.state().session;
                    session.push_frame(&frame, &**self);
                    session.close(Some(ws::close(error.code)));
                }
            }
        }
    }

    /// Where there is no time for sends there is none to read them either: refusing one must cost a small part of
    /// what doing it costs, or a server that is offered five times what it bears does nothing but refuse.
    fn put_off_unread(&self, connection: &Connection, inbox: &mut Inbox) {
        let mut state = connection.state();
        let Some(error) = state.session.puts_off_sends(self) else { return };
        let error = prost::Message::encode_to_vec(&error);
        let mut refusals = Vec::new();
        while let Some(id) = inbox.skip_send(FRAME_BYTES) {
            ws::append_refusal(id, &error, &mut refusals);
        }
        if !refusals.is_empty() {
            state.session.push_put_off(refusals.into(), self);
        }
    }

    /// Counts what comes before it is known of whom. Whether it was too much from one network: then the
    /// connection is being closed.
    fn is_stranger_too_often(&self, connection: &Connection) -> bool {
        let session = &mut connection.state().session;
        if session.account().is_some() {
            return false;
        }
        let taken = self.quotas.stranger.charge(connection.network(), 1, self.clock.monotonic_ms());
        let Err(retry_after_ms) = taken else { return false };
        let why = "too much came from your network: connect again after retry_after_ms";
        let error = v1::Error::new(ErrorCode::RateLimited, why).after_ms(retry_after_ms);
        session.refuse_and_close(0, error, self);
        true
    }

    /// Writes what is queued; a task waits for the socket only if it takes no more.
    fn write(self: &Arc<Self>, connection: &Arc<Connection>) {
        if connection.flush(&self.metrics) == Flushed::Blocked {
            let (connection, metrics) = (connection.clone(), self.metrics.clone());
            self.tracker.spawn(async move {
                loop {
                    let writable = connection.stream().tcp().writable();
                    let patience = Duration::from_millis(PATIENCE_MS);
                    if !matches!(tokio::time::timeout(patience, writable).await, Ok(Ok(()))) {
                        return connection.hang_up();
                    }
                    if connection.flush_on(&metrics) == Flushed::Done {
                        return;
                    }
                }
            });
        }
    }

    /// Closes connections that have been silent for too long.
    async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = self.draining.cancelled() => return,
            }
            let now = self.clock.monotonic_ms();
            let all: Vec<_> = self.sessions.read().all().cloned().collect();
            // Those inside say what they have to say, and are gone.
            for connection in all.into_iter().filter(|connection| connection.inbox().is_none()) {
                let silent = now.saturating_sub(connection.heard_at_ms());
                let mut state = connection.state();
                let session = &mut state.session;
                let is_attached = session.account().is_some() && !session.is_closing();
                let allowed = if is_attached { 2 * connection.heartbeat_interval_ms() } else { PATIENCE_MS };
                if silent > allowed {
                    self.metrics.connections_silent.add(1);
                    let error = v1::Error::new(ErrorCode::TooSlow, "nothing was heard for too long");
                    session.refuse_and_close(0, error, &*self);
                    drop(state);
                    self.write(&connection);
                    connection.hang_up();
                }
            }
        }
    }
}

/// Reads on for a while without looking, where we closed first: a socket that is dropped with unread bytes
/// resets the connection, and the other end may lose our last words.
async fn linger(connection: &Connection) {
    let read_on = async {
        let mut left = LINGER_BYTES;
        while poll_fn(|context| connection.stream().poll_read_ready(context)).await.is_ok() {
            let read = SCRATCH.with_borrow_mut(|scratch| connection.stream().try_read(scratch));
            match read {
                Ok(count) if count > 0 && count <= left => left -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    };
    // Who does not close by then is closed on.
    _ = tokio::time::timeout(LINGER_PATIENCE, read_on).await;
}

fn read_some(stream: &Stream, inbox: &mut Inbox) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        let count = stream.try_read(scratch)?;
        inbox.push(&scratch[..count]);
        Ok(count)
    })
}
