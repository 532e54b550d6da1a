//! What goes into the engine and what comes out.

use std::sync::Arc;

use anser_model::{
    AccountId, Command, ConversationId, DeviceId, N, Ordinal, Refusal, Reign, Role, Seq, Slot, UnixMillis,
    Version,
};

use crate::conversation::Head;
use crate::ports::StoreError;
use crate::ports::history::{FactRow, HistoryBatch, HistoryRange, KeyRow};
use crate::ports::index::{ConversationRow, ConversationRows, IndexBatch, MemberRow};
use crate::ports::log::{AppendError, LogError, SlotHead};
use crate::record::Record;
use crate::storage::StoredFact;

/// Names a fetch under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// Names a question to another slot under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Where an answer goes. The engine carries it and never looks inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyTo {
    /// A request of a session at an edge.
    Session {
        /// Which edge.
        edge: u16,
        /// Which session there.
        session: u64,
        /// Which request of it.
        request: u64,
    },
    /// The sync of a session at an edge.
    Sync {
        /// Which edge.
        edge: u16,
        /// Which session there.
        session: u64,
        /// Which slot it asked.
        slot: Slot,
        /// Which of its syncs.
        round: u32,
    },
    /// A question that another slot asked.
    Slot {
        /// Which slot.
        slot: Slot,
        /// Which question.
        ask: AskId,
    },
    /// Somebody inside the process.
    Caller(u64),
}

impl ReplyTo {
    /// Which session at its edge asked.
    pub fn session(self) -> Option<u64> {
        match self {
            ReplyTo::Session { session, .. } | ReplyTo::Sync { session, .. } => Some(session),
            ReplyTo::Slot { .. } | ReplyTo::Caller(_) => None,
        }
    }
}

/// As a trace id: it names one request over all log lines that it causes.
impl std::fmt::Display for ReplyTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplyTo::Session { edge, session, request } => write!(f, "{edge}.{session}.{request}"),
            ReplyTo::Sync { edge, session, slot, round } => write!(f, "{edge}.{session}.sync{round}.{slot}"),
            ReplyTo::Slot { slot, ask } => write!(f, "slot{slot}.{:x}", ask.0),
            ReplyTo::Caller(caller) => write!(f, "caller{caller}"),
        }
    }
}

/// What the time is, when an input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// By the wall clock.
    pub wall: UnixMillis,
    /// Milliseconds by a clock that is never set and counts suspend.
    pub monotonic_ms: u64,
}

/// What an engine starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The slot's end in the log.
    pub head: SlotHead,
    /// Through which n the index is folded.
    pub index_folded: N,
    /// Through which n the history is folded.
    pub history_folded: N,
    /// The nonce of the new reign.
    pub nonce: Reign,
}

/// What goes in.
#[derive(Debug)]
pub enum Input {
    /// Rule from here on. Said once.
    Start(Start),
    /// Somebody wants something.
    Command {
        /// Who is to be answered.
        reply: ReplyTo,
        /// What is wanted.
        command: Command,
    },
    /// Somebody asks something.
    Query {
        /// Who is to be answered.
        reply: ReplyTo,
        /// What is asked.
        query: Query,
    },
    /// Another slot answered.
    Replied {
        /// Which question.
        ask: AskId,
        /// What it said.
        answer: Result<(), Refusal>,
    },
    /// An append resolved. They resolve in order.
    Appended {
        /// n of the last fact of the record.
        through: N,
        /// What became of it.
        result: Result<(), AppendError>,
    },
    /// The log was read.
    LogRead(Result<Vec<Record>, LogError>),
    /// A store answered.
    Fetched {
        /// Which fetch.
        fetch: FetchId,
        /// What it said.
        result: Result<Fetched, StoreError>,
    },
    /// A fold ended: of the index, or of the history.
    Flushed {
        /// Through which n.
        through: N,
        /// Whether the store took it.
        result: Result<(), StoreError>,
    },
    /// Time went on.
    Tick,
    /// Fold what is durable without waiting for it to age.
    FlushNow,
    /// The log was asked for the slot's head: a heartbeat, where others may take the slot over.
    Verified {
        /// When it was asked, by the monotonic clock.
        asked_at_ms: u64,
        /// What it said.
        head: SlotHead,
    },
    /// End the reign in good order. Said once.
    Close,
}

/// What somebody asks of a conversation, or of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Sequenced facts, clipped to what the asker may see.
    Page {
        /// Who asks.
        account: AccountId,
        /// Of which conversation.
        cid: ConversationId,
        /// Only above this; if given, the oldest are kept when the limit cuts.
        after: Option<Seq>,
        /// Only below this.
        before: Option<Seq>,
        /// Of these only what was decided, or rewritten, above this n.
        changed_after: N,
        /// At most so many, counted before `changed_after` leaves some out.
        limit: usize,
    },
    /// Who is in it.
    Members {
        /// Who asks.
        account: AccountId,
        /// Of which conversation.
        cid: ConversationId,
    },
    /// What a message said before it was edited.
    Versions {
        /// Who asks.
        account: AccountId,
        /// In which conversation.
        cid: ConversationId,
        /// Of which message.
        seq: Seq,
    },
    /// How far its members have read.
    Marks {
        /// Who asks.
        account: AccountId,
        /// Of which conversation.
        cid: ConversationId,
    },
    /// Somebody types: the others are told, and nothing is kept.
    Typing {
        /// Who.
        account: AccountId,
        /// In which conversation.
        cid: ConversationId,
    },
    /// Of whom in a conversation an account may know whether they are there.
    Acquainted {
        /// Who asks.
        account: AccountId,
        /// In which conversation.
        cid: ConversationId,
        /// Of whom.
        others: Vec<AccountId>,
    },
    /// What changed for an account in this slot after an n.
    Changes {
        /// Whose conversations.
        account: AccountId,
        /// Since when; above the slot's end it counts as 0.
        after: N,
    },
    /// The head of one conversation, as [`Query::Changes`] would tell it.
    Head {
        /// Who asks.
        account: AccountId,
        /// Of which conversation.
        cid: ConversationId,
    },
    /// What the home of an account keeps. The server's own question.
    Home {
        /// Whose self conversation.
        cid: ConversationId,
    },
}

/// What a store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// Whole conversations, from the index.
    Conversations(Vec<ConversationId>),
    /// What is remembered of one command, from the history.
    Key {
        /// The day it is filed under.
        day: u32,
        /// The key.
        key: u128,
    },
    /// Facts, from the history.
    Facts(Vec<HistoryRange>),
    /// What changed for an account, from the index.
    Changes {
        /// Whose.
        account: AccountId,
        /// Since when.
        after: N,
    },
}

/// What a store answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// In the order asked for.
    Conversations(Vec<Option<ConversationRows>>),
    /// The key, if it is remembered.
    Key(Option<KeyRow>),
    /// Rows of all ranges, ascending within each.
    Facts(Vec<FactRow>),
    /// Rows of what changed.
    Changes(Vec<(ConversationRow, MemberRow)>),
}

/// What comes out.
#[derive(Debug)]
pub enum Effect {
    /// Append to the log; answer with [`Input::Appended`].
    Append(Record),
    /// Read the log from an n; answer with [`Input::LogRead`].
    ReadLog {
        /// From here.
        from: N,
    },
    /// Ask a store; answer with [`Input::Fetched`].
    Fetch {
        /// Which fetch.
        id: FetchId,
        /// What to ask.
        fetch: Fetch,
    },
    /// Give a command to the owner of another conversation; answer with [`Input::Replied`].
    Ask {
        /// Which question.
        ask: AskId,
        /// What to do there.
        command: Command,
    },
    /// Fold into the index; answer with [`Input::Flushed`].
    FlushIndex(IndexBatch),
    /// Fold into the history; answer with [`Input::Flushed`].
    FlushHistory(HistoryBatch),
    /// Durable now: answers and events, in this order.
    Release(Vec<Released>),
    /// The medium failed: nothing may be acknowledged any more, the process must exit.
    Halt(String),
    /// Another owner has begun: this engine answers nobody any more, and may be dropped.
    Deposed,
    /// The reign has ended in good order: this engine may be dropped.
    Closed,
    /// What the engine was started from is out of date: the log was trimmed meanwhile by another owner. It
    /// may be dropped, and another one started in its place.
    Outdated,
}

/// What became durable.
#[derive(Debug)]
pub enum Released {
    /// An answer.
    Answer {
        /// To whom.
        reply: ReplyTo,
        /// What.
        answer: Result<Answer, Refusal>,
    },
    /// A fact and who is told of it.
    Event(Event),
    /// Facts that these accounts hold are void, and they are told of nothing else there: whoever of them is
    /// here syncs the slot.
    Void(Void),
    /// Somebody types. No fact: whoever is not here now never hears of it.
    Typing(Typing),
}

/// Somebody types, on its way to those who are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typing {
    /// Who.
    pub account: AccountId,
    /// In which conversation.
    pub cid: ConversationId,
    /// The others who are members.
    pub audience: Arc<[AccountId]>,
    /// Which slot.
    pub slot: Slot,
    /// As of which n they are members.
    pub n: N,
}

/// Who must sync a slot, since a fact made void what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Void {
    /// Which slot.
    pub slot: Slot,
    /// Former members who may see what was changed, and not the fact that changed it.
    pub accounts: Arc<[AccountId]>,
}

/// A durable fact on its way to those who may see it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The fact.
    pub fact: Arc<StoredFact>,
    /// Who is told.
    pub audience: Arc<[AccountId]>,
    /// The request that made it, which is told by its answer.
    pub origin: ReplyTo,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A command took effect.
    Accepted(Accepted),
    /// A page of history.
    Page(Page),
    /// The members.
    Members(Members),
    /// What a message said before.
    Versions(Versions),
    /// How far the members have read.
    Marks(Marks),
    /// Heads of what changed; everything through `n` is in them.
    Heads {
        /// Which slot.
        slot: Slot,
        /// Through which n.
        n: N,
        /// One for each conversation that changed.
        heads: Vec<Head>,
    },
    /// Of whom it may be known whether they are there.
    Acquainted(Acquainted),
    /// What a home keeps.
    Home(HomeView),
    /// There is nothing to say of it.
    Done,
}

/// A command took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// In which conversation.
    pub cid: ConversationId,
    /// In which slot.
    pub slot: Slot,
    /// n of the fact that answers; the slot's newest for one that needed none.
    pub n: N,
    /// seq of the fact that answers, if it has one.
    pub seq: Option<Seq>,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// When it was decided.
    pub at: UnixMillis,
    /// Whether it had been done before, under the same client id.
    pub duplicate: bool,
}

/// A page of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Of which conversation.
    pub cid: ConversationId,
    /// Ascending by seq.
    pub facts: Vec<Arc<StoredFact>>,
    /// Whether more lies beyond where the limit cut.
    pub more: bool,
    /// Which slot.
    pub slot: Slot,
    /// The newest n taken into account.
    pub n: N,
}

/// What a message said before it was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// In which conversation.
    pub cid: ConversationId,
    /// Which message.
    pub seq: Seq,
    /// Which slot.
    pub slot: Slot,
    /// The newest n taken into account.
    pub n: N,
    /// How often it was edited.
    pub edits: u32,
    /// What is remembered of that and the asker may see, oldest first.
    pub versions: Vec<Version>,
}

/// Who is in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Which conversation.
    pub cid: ConversationId,
    /// Present members with role and when they joined.
    pub members: Vec<(AccountId, Role, UnixMillis)>,
}

/// How far the members of a conversation have read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Which conversation.
    pub cid: ConversationId,
    /// Present members.
    pub marks: Vec<MemberMark>,
    /// Which slot.
    pub slot: Slot,
    /// The newest n taken into account.
    pub n: N,
}

/// How far one member has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberMark {
    /// Who.
    pub account: AccountId,
    /// Up to which seq; 0: nothing.
    pub seq: Seq,
    /// By which fact its membership began.
    pub joined: Seq,
}

/// Of whom in a conversation it may be known whether they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquainted {
    /// In which conversation.
    pub cid: ConversationId,
    /// Those asked for, without those of whom it may not.
    pub accounts: Vec<AccountId>,
    /// Which slot.
    pub slot: Slot,
    /// As of which n.
    pub n: N,
}

/// What the home of an account keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeView {
    /// Slots in which the account may have conversations.
    pub slots: Vec<Slot>,
    /// Tokens with a smaller account version are void.
    pub account_version: u64,
    /// Tokens of these devices with smaller device versions are void.
    pub devices: Vec<(DeviceId, u64)>,
}

/// Work for the engine, with what was already found out for it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) reply: ReplyTo,
    pub(super) what: Wanted,
    /// Since when it waits for its conversation, by the monotonic clock.
    pub(super) parked_ms: u64,
    /// What the history remembers of the command's key, once asked.
    pub(super) key: Option<Option<KeyRow>>,
    /// Facts from the history, once asked.
    pub(super) facts: Option<Vec<FactRow>>,
    /// How often it had facts fetched.
    pub(super) fetches: u8,
    /// Accounts whose home has confirmed that they entered this slot.
    pub(super) entered: Vec<AccountId>,
    /// Why it cannot be done, found out while it waited.
    pub(super) failed: Option<Refusal>,
}

#[derive(Debug)]
pub(super) enum Wanted {
    Command(Command),
    Query(Query),
}

impl Work {
    pub(super) fn command(reply: ReplyTo, command: Command) -> Self {
        Self::new(reply, Wanted::Command(command))
    }

    pub(super) fn query(reply: ReplyTo, query: Query) -> Self {
        Self::new(reply, Wanted::Query(query))
    }

    fn new(reply: ReplyTo, what: Wanted) -> Self {
        Work {
            reply,
            what,
            parked_ms: 0,
            key: None,
            facts: None,
            fetches: 0,
            entered: Vec::new(),
            failed: None,
        }
    }

    /// The conversation it is about; a sync is about none.
    pub(super) fn cid(&self) -> Option<ConversationId> {
        match &self.what {
            Wanted::Command(command) => Some(command.cid),
            Wanted::Query(
                Query::Page { cid, .. }
                | Query::Members { cid, .. }
                | Query::Versions { cid, .. }
                | Query::Marks { cid, .. }
                | Query::Typing { cid, .. }
                | Query::Acquainted { cid, .. }
                | Query::Head { cid, .. }
                | Query::Home { cid },
            ) => Some(*cid),
            Wanted::Query(Query::Changes { .. }) => None,
        }
    }
}
