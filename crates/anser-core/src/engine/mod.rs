//! The slot engine: one writer of one slot's conversations, as a machine without I/O.
//!
//! Inputs go in one at a time through [`SlotEngine::step`]; after each drained batch of them
//! [`SlotEngine::settle`] turns what was decided into one record. Effects come out; what they lead to
//! comes back as an input. Every answer and event waits until what it looked at is durable, in one
//! ordered queue. The same inputs give the same effects in the same order: no map here has an order
//! of its own.
//!
//! - [`open`]: a reign begins, and the tail is read back
//! - [`commands`]: idempotency, prefetching, parking, deciding
//! - [`append`]: records under way, held answers, failed appends
//! - [`flush`]: folding the tail into the stores, and forgetting
//! - [`reign`]: leases, heartbeats, and how a reign ends
//! - [`queries`]: pages, members, heads for sync, homes

mod append;
mod cache;
mod commands;
mod flush;
mod messages;
mod open;
mod queries;
mod reign;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use anser_model::{AccountId, ConversationId, N, Reign, Slot, SlotKey, Timeline, UnixMillis};

use self::append::Pipeline;
use self::cache::Cached;
use self::commands::Parked;
use self::flush::Flushing;
use self::messages::Work;
pub use self::messages::{
    Accepted, Acquainted, Answer, AskId, Effect, Event, Fetch, FetchId, Fetched, HomeView, Input, Marks,
    MemberMark, Members, Now, Page, Query, Released, ReplyTo, Start, Typing, Versions, Void,
};
use crate::storage::StoredFact;

/// What an engine is told once.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Which slot it rules.
    pub slot: Slot,
    /// The history of the installation.
    pub timeline: Timeline,
    /// Spreads conversations over slots and keys hashes.
    pub slot_key: SlotKey,
    /// Conversations kept in memory beyond those that must be.
    pub conversations_kept: usize,
    /// Whether others may take the slot over: then it serves only while its lease lasts. Where the log
    /// is locked exclusively there is no lease, no heartbeat and no wait.
    pub leased: bool,
}

/// Work that may wait for one conversation before more is refused.
pub const PARKED_PER_CONVERSATION: usize = 1_024;
/// How long the first may have waited for a conversation before more is refused: those who fill the slot's queue
/// do not see this one.
pub const PARKED_MS: u64 = 1_000;
/// Work that may wait for the slot to open before more is refused.
pub const WAITING_FOR_SLOT: usize = 8_192;
/// Records of one slot under way at once.
pub const RECORDS_IN_FLIGHT: usize = 4;
/// Facts in one record.
pub const FACTS_PER_RECORD: usize = 2_048;
/// Bytes of facts after which a record is closed.
pub const RECORD_SOFT_BYTES: usize = 512 * 1024;
/// Sequenced facts of a conversation kept in memory beyond those that must be.
pub const RECENT_FACTS_KEPT: usize = 24;
/// How long a durable fact waits before it is folded into the stores.
pub const FLUSH_INTERVAL_MS: u64 = 1_000;
/// Facts that are folded at once even if they are young.
pub const FLUSH_FACTS: usize = 8_192;
/// Facts waiting to be folded, above which commands are refused: what a restart must replay.
pub const TAIL_FACTS_MAX: usize = 400_000;
/// How long a refusal for want of space stands before the next command tries again.
pub const NO_SPACE_BACKOFF_MS: u64 = 1_000;
/// How long an ask of another slot may go unanswered.
pub const ASK_TIMEOUT_MS: u64 = 5_000;
/// How long an owner serves after it last knew that it rules.
pub const LEASE_MS: u64 = 3_000;
/// By how much the clocks of two nodes may differ over one lease.
pub const LEASE_GRACE_MS: u64 = 300;
/// Bytes of records read from the log in one step of opening.
pub const REPLAY_CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Accounts remembered as having entered the slot.
pub const ENTERED_KEPT: usize = 65_536;

/// Where the engine stands.
#[derive(Debug)]
enum Phase {
    /// Not told to rule.
    Idle,
    /// The `Opened` record is under way.
    Opening,
    /// Waiting for appends of the ended speculation to resolve before the log is read.
    Draining {
        /// Whether a new reign must be opened then; else the reign goes on.
        reopen: bool,
    },
    /// Reading the tail back from the log.
    Replaying,
    /// Loading the conversations that the tail touches.
    Loading,
    /// Waiting until the lease of the reign before is over for certain.
    Succeeding {
        /// Until then, by the monotonic clock.
        until_ms: u64,
    },
    /// Ruling.
    Open,
    /// The `Closed` record is under way.
    Closing,
    /// The medium failed, or somebody else rules, or the reign was closed: nothing is served.
    Stopped,
}

/// The engine of one slot.
pub struct SlotEngine {
    config: EngineConfig,
    phase: Phase,
    reign: Reign,
    next_nonce: Option<Reign>,
    /// n of the newest fact decided.
    newest: N,
    /// n of the newest fact known to be durable.
    durable: N,
    /// Through which n the index is folded, and the history.
    index_folded: N,
    history_folded: N,
    /// The newest time known: time never steps back within a reign.
    latest: UnixMillis,
    /// The monotonic time of the newest input.
    monotonic_ms: u64,
    /// When what last proved that this reign is in force was asked for, by the monotonic clock.
    verified_at_ms: u64,
    /// The reign is to end: nothing new is taken.
    closing: bool,
    conversations: BTreeMap<ConversationId, Cached>,
    /// Every conversation in which something is newer than this is among them.
    complete_from: N,
    /// Facts above `history_folded`, in order.
    tail: VecDeque<Arc<StoredFact>>,
    parked: BTreeMap<ConversationId, Parked>,
    /// Parked work that could go on but for a flush being taken or a full pipeline.
    resumable: Vec<ConversationId>,
    waiting: VecDeque<Work>,
    pipeline: Pipeline,
    flushing: Flushing,
    fetches: BTreeMap<FetchId, PendingFetch>,
    asks: BTreeMap<AskId, PendingAsk>,
    entered: BTreeSet<AccountId>,
    next_fetch: u64,
    next_ask: u64,
    clock: u64,
    /// By the monotonic clock: the other one may be set back by hours.
    no_space_until_ms: u64,
    replay: open::Replay,
}

/// A fetch whose answer has not come.
#[derive(Debug)]
struct PendingFetch {
    purpose: FetchFor,
    /// What the stores were known to hold when it was asked: nothing newer may be forgotten
    /// until it is answered.
    folded: N,
}

/// Who a fetch is for.
#[derive(Debug)]
enum FetchFor {
    /// Work parked at a conversation.
    Parked(ConversationId),
    /// The tail that is being read back.
    Replay,
    /// A sync.
    Changes { reply: ReplyTo, account: AccountId, after: N, n: N },
}

/// An ask whose answer has not come.
#[derive(Debug)]
struct PendingAsk {
    cid: ConversationId,
    account: AccountId,
    /// By the monotonic clock.
    deadline_ms: u64,
}

impl SlotEngine {
    /// An engine that rules nothing yet.
    pub fn new(config: EngineConfig) -> Self {
        SlotEngine {
            config,
            phase: Phase::Idle,
            reign: Reign(0),
            next_nonce: None,
            newest: N(0),
            durable: N(0),
            index_folded: N(0),
            history_folded: N(0),
            latest: UnixMillis(0),
            monotonic_ms: 0,
            verified_at_ms: 0,
            closing: false,
            conversations: BTreeMap::new(),
            complete_from: N(0),
            tail: VecDeque::new(),
            parked: BTreeMap::new(),
            resumable: Vec::new(),
            waiting: VecDeque::new(),
            pipeline: Pipeline::default(),
            flushing: Flushing::default(),
            fetches: BTreeMap::new(),
            asks: BTreeMap::new(),
            entered: BTreeSet::new(),
            next_fetch: 0,
            next_ask: 0,
            clock: 0,
            no_space_until_ms: 0,
            replay: open::Replay::default(),
        }
    }

    /// Whether the slot serves.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// n of the newest fact decided, durable or not.
    pub fn newest(&self) -> N {
        self.newest
    }

    /// n of the newest durable fact.
    pub fn durable(&self) -> N {
        self.durable
    }

    /// Through which n the stores hold everything: the log may be trimmed up to it.
    pub fn folded(&self) -> N {
        self.history_folded.min(self.index_folded)
    }

    /// Through which n the index holds everything.
    pub fn index_folded(&self) -> N {
        self.index_folded
    }

    /// Through which n History holds everything.
    pub fn history_folded(&self) -> N {
        self.history_folded
    }

    /// Facts in memory that History does not hold yet.
    pub fn tail_facts(&self) -> usize {
        self.tail.len()
    }

    /// Conversations in memory.
    pub fn conversations_kept(&self) -> usize {
        self.conversations.len()
    }

    /// Whether nothing is under way and nothing waits to be folded.
    pub fn is_quiet(&self) -> bool {
        self.pipeline.is_idle() && self.tail.is_empty() && self.waiting.is_empty() && self.parked.is_empty()
    }

    /// Takes one input. `now` was read after it came.
    pub fn step(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        self.latest = self.latest.max(now.wall);
        self.monotonic_ms = self.monotonic_ms.max(now.monotonic_ms);
        match input {
            Input::Start(start) => self.start(start, effects),
            Input::Command { reply, command } => {
                self.accept(Work::command(reply, command), effects);
            }
            Input::Query { reply, query } => self.accept(Work::query(reply, query), effects),
            Input::Replied { ask, answer } => self.replied(ask, answer, effects),
            Input::Appended { through, result } => self.appended(through, result, effects),
            Input::LogRead(result) => self.log_read(result, effects),
            Input::Fetched { fetch, result } => self.fetched(fetch, result, effects),
            Input::Flushed { through, result } => self.flushed(through, result, effects),
            Input::Tick => self.tick(effects),
            Input::FlushNow => self.flush_now(effects),
            Input::Verified { asked_at_ms, head } => self.verified(asked_at_ms, head, effects),
            Input::Close => self.close(effects),
        }
    }

    /// Ends a batch of inputs: what was decided since the last call becomes one record, and what
    /// became durable is released.
    pub fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.submit(effects);
        self.take_flush(effects);
        self.submit(effects);
        self.release(effects);
        self.close_when_idle(effects);
    }

    /// Queues work until the slot is open and no flush is being taken, else does it now.
    fn accept(&mut self, work: Work, effects: &mut Vec<Effect>) {
        match self.phase {
            _ if self.closing => self.refuse_now(work.reply, anser_model::Refusal::Unavailable, effects),
            Phase::Open
                if self.waiting.is_empty() && !self.flushing.is_wanted() && !self.pipeline.is_full() =>
            {
                self.admit(work, effects);
            }
            Phase::Closing | Phase::Stopped => {
                self.refuse_now(work.reply, anser_model::Refusal::Unavailable, effects)
            }
            _ if self.waiting.len() >= WAITING_FOR_SLOT => {
                self.refuse_now(work.reply, anser_model::Refusal::Overloaded, effects);
            }
            _ => self.waiting.push_back(work),
        }
    }

    /// Does what was queued while the slot could not.
    fn admit_waiting(&mut self, effects: &mut Vec<Effect>) {
        while self.is_open() && !self.flushing.is_wanted() && !self.pipeline.is_full() {
            if let Some(cid) = self.resumable.pop() {
                self.resume(cid, effects);
                continue;
            }
            let Some(work) = self.waiting.pop_front() else { return };
            self.admit(work, effects);
        }
    }

    fn tick(&mut self, effects: &mut Vec<Effect>) {
        self.clock += 1;
        self.expire_asks(effects);
        self.flush_due(self.latest);
        self.retry_open(effects);
        self.succeed(effects);
    }

    fn fetch(&mut self, fetch: Fetch, purpose: FetchFor, effects: &mut Vec<Effect>) -> FetchId {
        self.next_fetch += 1;
        let id = FetchId(self.next_fetch);
        self.fetches.insert(id, PendingFetch { purpose, folded: self.folded() });
        effects.push(Effect::Fetch { id, fetch });
        id
    }

    fn fetched(
        &mut self,
        id: FetchId,
        result: Result<Fetched, crate::ports::StoreError>,
        effects: &mut Vec<Effect>,
    ) {
        // One that is not known belongs to a speculation that has ended.
        let Some(pending) = self.fetches.remove(&id) else { return };
        match pending.purpose {
            FetchFor::Parked(cid) => self.parked_fetched(cid, result, effects),
            FetchFor::Replay => self.replay_loaded(result, effects),
            FetchFor::Changes { reply, account, after, n } => {
                self.changes_fetched(reply, account, after, n, pending.folded, result, effects);
            }
        }
    }

    /// What the stores hold for every fetch under way: nothing above it may leave memory.
    fn forgettable(&self) -> N {
        self.fetches.values().map(|fetch| fetch.folded).min().unwrap_or(N(u64::MAX)).min(self.folded())
    }
}
