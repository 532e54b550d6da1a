//! The edge: sockets, threads and timers around the sessions of `anser-edge`, and nothing that decides.
//!
//! - [`shard`]: one thread, with the connections that it holds
//! - [`ws`], [`wire`]: how frames lie in bytes; [`deflate`]: messages compressed; [`stream`]: bytes, plain or in TLS
//! - [`inside`]: those who ask from inside the process
//! - [`presence`]: who is there, for those who want to know
//! - [`quotas`]: how much may be asked

pub mod deflate;
mod inside;
mod presence;
mod quotas;
mod shard;
mod stream;
mod wire;
pub mod ws;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anser_core::fanout::EdgeId;
use anser_core::ports::PortFuture;
use anser_core::ports::clock::Clock;
use anser_edge::{Form, Input, Question, Terms, Transport, Verified};
use anser_model::AccountId;
use anser_proto::{Encoding, ErrorCode, v1};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::presence::Ended;
use self::quotas::Quotas;
use self::shard::Shard;
use self::shard::post::{Post, ToShard};
pub use self::stream::{Stream, TlsStream};
use crate::accounts::{LastSeen, Seen, TokenError, Tokens};
use crate::metrics::Metrics;
use crate::node::Node;

pub use self::quotas::EdgeRates;

pub use inside::{Page, Polled};

/// Bytes that the kernel keeps for a connection that does not read; it counts its own overhead in.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// How long a connection may take to say hello, and a blocked one to read.
const PATIENCE_MS: u64 = 15_000;
/// How long draining waits before it closes those who did not go, and until they have.
const DRAIN_POLITE: Duration = Duration::from_millis(300);
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);
/// How often draining looks.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// What the edge must know of people, which is not its own.
pub trait People: Send + Sync {
    /// Whether all of them are known here to exist; `false` says nothing.
    fn known_to_exist(&self, accounts: &[AccountId]) -> bool;

    /// Those of them that do not exist.
    fn missing(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<AccountId>, v1::Error>>;

    /// Profiles of all of them, if they are known here.
    fn known_profiles(&self, accounts: &[AccountId]) -> Option<Vec<v1::Profile>>;

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
    /// The first of the edges that it is to its core: one for each shard.
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
    /// Threads that share the connections.
    pub shards: usize,
    /// WebSocket messages are compressed for clients that offer it.
    pub compresses: bool,
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
    /// Follows its tasks and threads.
    pub tracker: TaskTracker,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
}

/// The public handle of an edge. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<EdgeShared>,
    shards: Arc<[Arc<Post>]>,
    next_shard: Arc<AtomicUsize>,
}

/// What the shards of an edge have in common.
pub(crate) struct EdgeShared {
    terms: Terms,
    proxied_heartbeat_interval_ms: u64,
    connections_max: AtomicUsize,
    compresses: bool,
    quotas: Quotas,
    node: Node,
    tokens: Arc<Tokens>,
    people: Arc<dyn People>,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    /// Finds out what sessions wait for.
    runtime: Handle,
    metrics: Arc<Metrics>,
    ended: Ended,
    draining: CancellationToken,
}

/// By which way a connection came.
#[derive(Debug, Clone, Copy)]
pub struct CameBy {
    /// The network of the client, as far as it is known.
    pub network: IpAddr,
    /// Something stands between that may forget a connection that is silent.
    pub proxied: bool,
}

/// What is spoken on a connection that is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// WebSocket, whose handshake is done.
    WebSocket,
    /// The same, and it was agreed that messages may be compressed.
    Deflated,
    /// Frames, each behind its length.
    Stream,
}

impl Protocol {
    fn transport(self) -> Transport {
        match self {
            Protocol::WebSocket => Transport::WebSocket,
            Protocol::Deflated => Transport::Deflated,
            Protocol::Stream => Transport::Stream,
        }
    }
}

impl Edge {
    /// Starts an edge on its core.
    ///
    /// # Errors
    /// The system gives no threads, or no descriptors.
    pub fn start(config: EdgeConfig, parts: EdgeParts) -> std::io::Result<Edge> {
        assert!(config.shards > 0, "somebody has to hold connections");
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
            compresses: config.compresses,
            quotas: Quotas::new(&config.rates),
            node: parts.node,
            tokens: parts.tokens,
            people: parts.people,
            clock: parts.clock,
            tracker: parts.tracker,
            runtime: Handle::current(),
            metrics: parts.metrics,
            ended: Ended::default(),
            draining: CancellationToken::new(),
        });
        let mut shards = Vec::with_capacity(config.shards);
        for number in 0..config.shards {
            let post = Arc::new(Post::new()?);
            let id = EdgeId(config.id.0 + number as u16);
            let (edge, at) = (shared.clone(), post.clone());
            // Made where it runs: what it holds is for one thread.
            run_shard(&shared, number, move || Shard::new(edge, id, at))?;
            shards.push(post);
        }
        shared.tracker.spawn(shared.clone().write_seen());
        Ok(Edge { shared, shards: shards.into(), next_shard: Arc::default() })
    }

    /// Whether one more connection may come from a network, or in how many milliseconds.
    ///
    /// # Errors
    /// Too many came.
    pub fn admit(&self, network: IpAddr) -> Result<(), u64> {
        self.shared.quotas.connect.charge(network, 1, self.shared.clock.monotonic_ms())
    }

    /// Takes over a socket whose handshakes are done, with what was read beyond them.
    pub fn adopt(&self, stream: Stream, protocol: Protocol, came: CameBy, already_read: Vec<u8>) {
        let edge = &self.shared;
        let connections_max = edge.connections_max.load(Ordering::Relaxed);
        if self.connections() >= connections_max || edge.draining.is_cancelled() {
            // Dropped: the client backs off and comes again.
            edge.metrics.connections_refused.add(1);
            return;
        }
        let post = self.next_shard();
        post.connections.fetch_add(1, Ordering::Relaxed);
        post.put(ToShard::Adopt { stream, protocol, came, already_read });
    }

    /// The shards take turns.
    fn next_shard(&self) -> &Arc<Post> {
        &self.shards[self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len()]
    }

    /// Runs what belongs to this edge.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.shared.tracker
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shards.iter().map(|post| post.connections.load(Ordering::Relaxed)).sum()
    }

    /// On how many of them somebody is signed in.
    pub fn signed_in(&self) -> usize {
        self.shards.iter().map(|post| post.signed_in.load(Ordering::Relaxed)).sum()
    }

    /// Whether WebSocket messages are compressed for clients that offer it.
    pub(crate) fn compresses(&self) -> bool {
        self.shared.compresses
    }

    /// From now on so many connections at most; those above it that are here stay.
    pub fn set_connections_max(&self, connections_max: usize) {
        self.shared.connections_max.store(connections_max, Ordering::Relaxed);
    }

    /// Tells everybody to go, waits a while until they have, and ends.
    pub async fn drain(&self) {
        self.shared.draining.cancel();
        self.tell_shards(|| ToShard::Drain);
        // What was accepted is still answered, for as long as the patience lasts.
        self.wait_until_empty(DRAIN_POLITE).await;
        self.tell_shards(|| ToShard::CloseAll);
        self.wait_until_empty(DRAIN_PATIENCE).await;
        self.tell_shards(|| ToShard::HangUpAll);
        self.wait_until_empty(DRAIN_PATIENCE).await;
        self.tell_shards(|| ToShard::End);
        self.shared.write_seen_now().await;
    }

    fn tell_shards(&self, what: impl Fn() -> ToShard) {
        self.shards.iter().for_each(|post| post.put(what()));
    }

    async fn wait_until_empty(&self, patience: Duration) {
        let empty = async {
            let mut look = tokio::time::interval(DRAIN_LOOK);
            while self.connections() > 0 {
                look.tick().await;
            }
        };
        // Whoever is still there then is told more plainly.
        _ = tokio::time::timeout(patience, empty).await;
    }
}

/// What somebody is told in whose network too many connect, where no HTTP could say it.
pub fn too_many_connections(retry_after_ms: u64) -> Bytes {
    let why = "too many connections came from your network: connect again after retry_after_ms";
    let error = v1::Error::new(ErrorCode::RateLimited, why).after_ms(retry_after_ms);
    let form = Form { encoding: Encoding::Binary, transport: Transport::Stream };
    wire::framed(&anser_proto::encode_server(&v1::ServerFrame::error(0, error), form.encoding), form)
}

/// Runs a shard on a thread of its own, which is followed as a task is.
fn run_shard(
    shared: &Arc<EdgeShared>,
    number: usize,
    shard: impl FnOnce() -> std::io::Result<Shard> + Send + 'static,
) -> std::io::Result<()> {
    let (started, is_started) = std::sync::mpsc::sync_channel(1);
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
        let _ended = ended;
        match shard() {
            Ok(shard) => {
                // Whoever starts it waits for it.
                _ = started.send(Ok(()));
                shard.run();
            }
            Err(error) => _ = started.send(Err(error)),
        }
    })?;
    shared.tracker.spawn(async move { _ = has_ended.await });
    is_started.recv().unwrap_or_else(|_| Err(std::io::Error::other("a shard ended at once")))
}

impl EdgeShared {
    /// Finds out what a session waits for.
    async fn answer_to(&self, question: Question) -> Input {
        match question {
            Question::Token(token) => Input::Verified(self.verify(&token).await),
            Question::Missing(accounts) => Input::Missing(self.people.missing(accounts).await),
            Question::Profiles(accounts) => Input::Profiles(self.people.profiles(accounts).await),
        }
    }

    async fn verify(&self, token: &str) -> Result<Verified, v1::Error> {
        let now = self.clock.now();
        let verified = match self.tokens.verify_access(token, now) {
            Err(TokenError::NotOurs) => self.tokens.verify_ticket(token, now).map(|(grant, _)| grant),
            verified => verified,
        };
        let grant =
            verified.map_err(|error| v1::Error::new(ErrorCode::Unauthenticated, error.to_string()))?;
        Ok(Verified { grant, profile_version: self.profile_version(grant.account).await? })
    }

    /// The profile version of an account; looked up once, so that what it sends bears it.
    async fn profile_version(&self, account: AccountId) -> Result<u64, v1::Error> {
        if self.people.profile_version(account) == 0 {
            self.people.missing(vec![account]).await?;
        }
        Ok(self.people.profile_version(account))
    }
}
