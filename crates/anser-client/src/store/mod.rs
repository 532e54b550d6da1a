//! What a client keeps over a restart, and the port through which it does.

mod file;
mod memory;

use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1;

pub use file::FileStore;
pub use memory::MemoryStore;

use crate::session::command::{Command, Lane};
use crate::session::ranges::Ranges;
use crate::session::{Entry, EntryState};

/// What was saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// Whose it is.
    pub account: Option<AccountId>,
    /// How far it had come.
    pub cursor: v1::Cursor,
    /// Conversations, their unread fields included.
    pub heads: Vec<v1::Head>,
    /// Facts that are held, and the seqs that they cover.
    pub facts: Vec<(ConversationId, Vec<v1::Event>, Ranges)>,
    /// Who people are.
    pub profiles: Vec<v1::Profile>,
    /// Commands without an answer, in any order.
    pub outbox: Vec<SavedEntry>,
}

/// A command without an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedEntry {
    /// Position among all entries.
    pub order: u64,
    /// The idempotency key.
    pub client_id: ClientId,
    /// What is wanted, as a frame with request id 0.
    pub frame: v1::ClientFrame,
    /// Whether it was ever handed to a socket.
    pub written: bool,
    /// Why it was refused, if it was.
    pub error: Option<v1::Error>,
}

impl SavedEntry {
    pub(crate) fn of(entry: &Entry) -> Self {
        let error = match &entry.state {
            EntryState::Failed(error) => Some(error.clone()),
            EntryState::Queued | EntryState::InFlight | EntryState::Waiting { .. } => None,
        };
        let frame = v1::ClientFrame { id: 0, request: Some(entry.command.request(entry.client_id)) };
        let (order, client_id, written) = (entry.order, entry.client_id, entry.written);
        SavedEntry { order, client_id, frame, written, error }
    }

    /// The entry as it goes on. None when the frame is no command that names a conversation.
    pub(crate) fn restore(self, own: Option<AccountId>) -> Option<Entry> {
        let command = Command::from_request(self.frame.request?)?;
        let lane: Lane = command.lane(own, self.order)?;
        let state = self.error.map_or(EntryState::Queued, EntryState::Failed);
        let (order, client_id, written) = (self.order, self.client_id, self.written);
        Some(Entry { order, client_id, command, lane, state, written, refusals: 0, ticket: None })
    }
}

/// Something to remember.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Whose session it is.
    Account(AccountId),
    /// How far it has come. Everything up to there was told before.
    Cursor(v1::Cursor),
    /// A conversation's newest head.
    Head(Box<v1::Head>),
    /// Facts of a conversation, and which seqs are held now.
    Facts {
        /// Of which conversation.
        cid: ConversationId,
        /// New ones, or known ones again.
        events: Vec<v1::Event>,
        /// Everything that is held.
        ranges: Ranges,
    },
    /// Facts that the person has hidden or cleared: nothing is kept of them.
    Forgotten {
        /// Of which conversation.
        cid: ConversationId,
        /// Which, as far as they were kept.
        seqs: Ranges,
    },
    /// Newer profiles.
    Profiles(Vec<v1::Profile>),
    /// A command without an answer; replaces what its client id named.
    OutboxPut(Box<SavedEntry>),
    /// A command has its answer, or was given up.
    OutboxRemoved(ClientId),
    /// Another history began: forget cursor, heads and facts; keep the outbox.
    Restarted,
}

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused. Trying again may help, once there is room or permission.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what this store writes. Trying again does not help.
    #[error("{path}: not a saved session: {reason}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where a client keeps what it must not forget.
///
/// Calls are short and blocking. The driver applies changes in order, and calls `flush_outbox` before a
/// command that was put is written to a socket.
pub trait Store: Send {
    /// What was saved; nothing the first time.
    fn load(&mut self) -> Result<Saved, StoreError>;

    /// Takes a change. It may stay in memory until the next flush.
    fn apply(&mut self, change: Change);

    /// Makes every `OutboxPut` and `OutboxRemoved` taken so far durable.
    fn flush_outbox(&mut self) -> Result<(), StoreError>;

    /// Makes everything taken so far durable: the cursor never without what it stands for.
    fn flush(&mut self) -> Result<(), StoreError>;
}
