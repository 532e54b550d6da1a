//! A core node: drives the slot engines, performs their effects on the ports, and hands what became
//! durable to the edges. The engines decide; nothing here does.
//!
//! - [`backlog`]: how long its queues delay what comes
//! - [`worker`]: one task that owns some of the slots; [`mailbox`]: where it is given what it is to do
//! - [`newest`]: how far each slot has come
//! - [`runner`]: on which thread a worker does what it does
//! - [`tally`]: what becomes of its commands, for the metrics
//! - [`stores`]: flushes of several slots in one transaction, trimming of the log

mod backlog;
mod mailbox;
mod newest;
mod runner;
mod stores;
mod tally;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use anser_core::engine::{Answer, Event, Query, ReplyTo, Typing, Void};
use anser_core::fanout::{EdgeId, Routing};
use anser_core::ports::PortFuture;
use anser_core::ports::clock::Clock;
use anser_core::ports::history::History;
use anser_core::ports::index::Index;
use anser_core::ports::log::Log;
use anser_core::ports::random::Random;
use anser_core::presence::Presence;
use anser_edge::Asked;
use anser_model::{AccountId, Command, ConversationId, N, Refusal, Slot, SlotKey, Timeline};
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

pub use self::backlog::{Backlog, Meter};
use self::mailbox::Mailbox;
pub use self::mailbox::ToWorker;
use self::newest::Newest;
use self::runner::Runner;
pub use self::runner::{FEW, gathering};
use self::worker::Worker;
use crate::metrics::Metrics;

/// Inputs that may wait for one worker; beyond it senders wait, and new commands are refused.
pub const MAILBOX_INPUTS: usize = 16 * 1024;
/// Batches of durable facts that may wait for one edge.
pub const EDGE_QUEUE_BATCHES: usize = 1_024;
/// Conversations that one slot keeps in memory.
pub const CONVERSATIONS_PER_SLOT: usize = 512;

/// What a node runs on.
#[derive(Clone)]
pub struct NodePorts {
    /// The truth.
    pub log: Arc<dyn Log>,
    /// Its folds.
    pub index: Arc<dyn Index>,
    /// The long one.
    pub history: Arc<dyn History>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Nonces of reigns.
    pub random: Arc<dyn Random>,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
}

/// What a node is told.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The history of the installation.
    pub timeline: Timeline,
    /// Spreads conversations over slots.
    pub slot_key: SlotKey,
    /// How many threads share the slots.
    pub workers: usize,
}

/// What a core hands to an edge, in order.
#[derive(Debug)]
pub enum ToEdge {
    /// An answer to a request of a session, or to its sync of one slot.
    Answer {
        /// Which session.
        session: u64,
        /// What it asked.
        asked: Asked,
        /// What is answered.
        answer: Result<Answer, Refusal>,
    },
    /// Sessions of these accounts must sync the slot.
    Void(Void),
    /// Somebody types, for sessions of these accounts.
    Typing {
        /// Who, and where.
        typing: Typing,
        /// Who of the audience is on this edge.
        accounts: Arc<[AccountId]>,
    },
    /// What others see of these is different: whoever watches them is to be told.
    Presence(Vec<AccountId>),
    /// A durable fact, for sessions of these accounts.
    Event {
        /// The fact.
        event: Event,
        /// Who of the audience is on this edge.
        accounts: Arc<[AccountId]>,
    },
}

/// What became durable at once, on its way to an edge.
#[derive(Debug)]
pub struct Batch {
    /// When it was handed over, by the monotonic clock.
    pub handed_at_ms: u64,
    /// How many deliveries it takes.
    pub weight: u64,
    /// What, in order.
    pub items: Vec<ToEdge>,
}

impl ToEdge {
    /// How many deliveries it takes.
    fn weight(&self) -> u64 {
        match self {
            ToEdge::Answer { .. } => 1,
            ToEdge::Void(void) => void.accounts.len() as u64,
            ToEdge::Presence(accounts) => accounts.len() as u64,
            ToEdge::Event { accounts, .. } | ToEdge::Typing { accounts, .. } => accounts.len() as u64,
        }
    }
}

/// Where an edge takes what is for it.
pub trait EdgeSink: Send + Sync {
    /// Takes a batch; gives it back where [`EDGE_QUEUE_BATCHES`] wait already.
    fn offer(&self, batch: Batch) -> Result<(), Batch>;

    /// Resolves once there is room.
    fn room(self: Arc<Self>) -> PortFuture<()>;
}

#[derive(Clone)]
struct EdgeQueue {
    sink: Arc<dyn EdgeSink>,
    backlog: Arc<Backlog>,
}

/// The edges that this node serves, and who is on them.
#[derive(Default)]
struct Edges {
    routing: RwLock<Routing>,
    /// Locked after the routing, by whoever needs both.
    presence: Mutex<Presence>,
    queues: RwLock<HashMap<EdgeId, EdgeQueue>>,
}

impl Edges {
    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().expect("nothing panics while it holds the presence")
    }

    /// Which edges are to look again at whom.
    fn take_presence(&self, now_ms: u64) -> Vec<(EdgeId, Vec<AccountId>)> {
        let routing = self.routing.read().expect("nothing panics while it holds the routing");
        self.presence().take(now_ms, &routing)
    }

    /// How long what comes now would wait for the busiest edge, in milliseconds.
    fn delay_ms(&self, now_ms: u64) -> u64 {
        let queues = self.queues.read().expect("nothing panics while it holds the queues");
        queues.values().map(|queue| queue.backlog.delay_ms(0, now_ms)).max().unwrap_or(0)
    }
}

/// The public handle of a node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

struct Shared {
    config: NodeConfig,
    mailboxes: Vec<Mailbox>,
    clock: Arc<dyn Clock>,
    edges: Arc<Edges>,
    callers: Arc<Callers>,
    newest: Arc<Newest>,
    /// Set once the log can no longer be trusted: nothing may be acknowledged.
    halted: watch::Receiver<Option<String>>,
}

/// Those inside the process who wait for an answer.
#[derive(Default)]
struct Callers {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Answer, Refusal>>>>,
    next: AtomicU64,
}

impl Callers {
    fn enter(&self) -> (u64, oneshot::Receiver<Result<Answer, Refusal>>) {
        let (sender, receiver) = oneshot::channel();
        let caller = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().expect("nothing panics while it holds the callers").insert(caller, sender);
        (caller, receiver)
    }

    fn answer(&self, caller: u64, answer: Result<Answer, Refusal>) {
        let waiting = self.waiting.lock().expect("nothing panics while it holds the callers").remove(&caller);
        if let Some(sender) = waiting {
            // Whoever stopped waiting has no use for it.
            _ = sender.send(answer);
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Log(#[from] anser_core::ports::log::LogError),
    /// A store cannot be read.
    #[error("a store cannot be read: {0}")]
    Store(#[from] anser_core::ports::StoreError),
    /// The system gives no threads.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
    /// A slot could not begin to rule.
    #[error("{0}")]
    Halted(String),
}

impl Node {
    /// Opens all slots and resolves when every one serves. Its tasks run on `tracker`.
    pub async fn start(
        config: NodeConfig,
        ports: NodePorts,
        tracker: &TaskTracker,
    ) -> Result<Node, StartError> {
        assert!(config.workers > 0, "somebody has to work");
        ports.metrics.set_workers(config.workers);
        let heads = ports.log.heads().await?;
        let indexed = ports.index.checkpoints().await?;
        let in_history = ports.history.checkpoints().await?;
        let edges = Arc::new(Edges::default());
        let callers = Arc::new(Callers::default());
        let newest = Arc::new(Newest::default());
        let (halt, halted) = watch::channel(None);
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) =
            (0..config.workers).map(|_| mailbox::mailbox(MAILBOX_INPUTS)).unzip();
        let mut opened = Vec::new();
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let (open, is_open) = oneshot::channel();
            opened.push(is_open);
            let links = worker::Links {
                mailboxes: mailboxes.clone(),
                edges: edges.clone(),
                callers: callers.clone(),
                newest: newest.clone(),
                halt: halt.clone(),
            };
            let mut worker = Worker::new(number, config.clone(), ports.clone(), links, inbox, open);
            for (head, (&index_folded, &history_folded)) in heads.iter().zip(indexed.iter().zip(&in_history))
            {
                if head.slot.index() % config.workers == number {
                    worker.rule(*head, index_folded, history_folded);
                }
            }
            Runner::start(format!("slots-{number}"), worker.run(), tracker)?;
        }
        for is_open in opened {
            if is_open.await.is_err() {
                let why = halted.borrow().clone();
                return Err(StartError::Halted(why.unwrap_or_else(|| "a worker ended".into())));
            }
        }
        let clock = ports.clock;
        Ok(Node { shared: Arc::new(Shared { config, mailboxes, clock, edges, callers, newest, halted }) })
    }

    /// The history of the installation.
    pub fn timeline(&self) -> Timeline {
        self.shared.config.timeline
    }

    /// The slot of a conversation.
    pub fn slot(&self, cid: ConversationId) -> Slot {
        self.shared.config.slot_key.slot(cid)
    }

    /// n of the newest fact decided in a slot, if it is ruled here: an edge that entered somebody into the routing before is
    /// given every fact above it.
    pub fn newest(&self, slot: Slot) -> Option<N> {
        self.shared.newest.get(slot)
    }

    /// From now on what is for an edge is given to this. It tells the meter what was done.
    pub fn add_edge(&self, edge: EdgeId, sink: Arc<dyn EdgeSink>) -> Meter {
        let backlog = Arc::new(Backlog::default());
        let meter = Meter::new(backlog.clone());
        let mut queues = self.shared.edges.queues.write().expect("nothing panics while it holds the queues");
        queues.insert(edge, EdgeQueue { sink, backlog });
        meter
    }

    /// How many workers share the slots.
    pub fn workers(&self) -> usize {
        self.shared.config.workers
    }

    /// Gives a worker all of these, which are for its slots; what it does not take is left.
    ///
    /// # Errors
    /// `Overloaded` where the mailbox is full: nothing happened to those that are left.
    pub fn give_all(&self, worker: usize, given: &mut Vec<ToWorker>, now_ms: u64) -> Result<(), Refusal> {
        self.shared.mailboxes[worker].give_all(given, now_ms)
    }

    /// An edge holds sessions of the account from now on: what is decided later reaches it.
    pub fn enter(&self, account: AccountId, edge: EdgeId) {
        let mut routing = self.routing();
        if routing.enter(account, edge) {
            self.shared.edges.presence().came(account);
        }
    }

    /// An edge holds no session of the account any more.
    pub fn leave(&self, account: AccountId, edge: EdgeId) {
        let mut routing = self.routing();
        if routing.leave(account, edge) {
            self.shared.edges.presence().left(account, self.shared.clock.monotonic_ms());
        }
    }

    /// Whether somebody is there: on any edge, or a moment ago.
    pub fn is_there(&self, account: AccountId) -> bool {
        let routing = self.shared.edges.routing.read().expect("nothing panics while it holds the routing");
        !routing.edges_of(account).is_empty() || self.shared.edges.presence().is_leaving(account)
    }

    /// From now on the edge is told when one of these comes or goes.
    pub fn watch(&self, accounts: impl IntoIterator<Item = AccountId>, edge: EdgeId) {
        let mut presence = self.shared.edges.presence();
        accounts.into_iter().for_each(|account| presence.watch(account, edge));
    }

    /// The edge wants to know nothing of these any more.
    pub fn unwatch(&self, accounts: impl IntoIterator<Item = AccountId>, edge: EdgeId) {
        let mut presence = self.shared.edges.presence();
        accounts.into_iter().for_each(|account| presence.unwatch(account, edge));
    }

    /// What others see of these is different: edges are told, soon.
    pub fn look_again(&self, accounts: impl IntoIterator<Item = AccountId>) {
        let mut presence = self.shared.edges.presence();
        accounts.into_iter().for_each(|account| presence.change(account));
    }

    fn routing(&self) -> std::sync::RwLockWriteGuard<'_, Routing> {
        self.shared.edges.routing.write().expect("nothing panics while it holds the routing")
    }

    /// Gives a command to its slot. `Overloaded` where the mailbox is full: nothing happened.
    pub fn command(&self, reply: ReplyTo, command: Command) -> Result<(), Refusal> {
        let slot = self.slot(command.cid);
        let given_at_us = self.shared.clock.monotonic_us();
        self.give(slot, ToWorker::Command { slot, reply, command, given_at_us })
    }

    /// Gives a question to a slot.
    pub fn query(&self, slot: Slot, reply: ReplyTo, query: Query) -> Result<(), Refusal> {
        self.give(slot, ToWorker::Query { slot, reply, query })
    }

    fn give(&self, slot: Slot, what: ToWorker) -> Result<(), Refusal> {
        let worker = slot.index() % self.shared.mailboxes.len();
        self.give_all(worker, &mut vec![what], self.shared.clock.monotonic_ms())
    }

    /// How long what comes now would wait for a worker, in milliseconds: for the one with most to do, since they
    /// share the processors. With so much before it that is about to be given.
    pub fn queueing_delay_ms(&self, before: u64) -> u64 {
        let now_ms = self.shared.clock.monotonic_ms();
        self.shared
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.backlog.delay_ms(before, now_ms))
            .max()
            .unwrap_or(0)
    }

    /// Gives a command and waits for what it came to.
    pub async fn ask_command(&self, command: Command) -> Result<Answer, Refusal> {
        let (caller, answer) = self.shared.callers.enter();
        if let Err(refusal) = self.command(ReplyTo::Caller(caller), command) {
            self.shared.callers.answer(caller, Err(refusal));
        }
        answer.await.unwrap_or(Err(Refusal::UnknownOutcome))
    }

    /// Asks and waits for the answer.
    pub async fn ask_query(&self, slot: Slot, query: Query) -> Result<Answer, Refusal> {
        let (caller, answer) = self.shared.callers.enter();
        if let Err(refusal) = self.query(slot, ReplyTo::Caller(caller), query) {
            self.shared.callers.answer(caller, Err(refusal));
        }
        answer.await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Resolves with the reason once the log can no longer be trusted. The process must exit.
    pub async fn halted(&self) -> String {
        let mut halted = self.shared.halted.clone();
        match halted.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Folds everything into the stores and ends the workers. Nothing is accepted any more.
    pub async fn close(&self) {
        for mailbox in &self.shared.mailboxes {
            mailbox.close();
        }
        for mailbox in &self.shared.mailboxes {
            mailbox.closed().await;
        }
        // Edges learn from it that nothing more will come.
        self.shared.edges.queues.write().expect("nothing panics while it holds the queues").clear();
    }
}
