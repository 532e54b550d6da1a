//! The long memory: sequenced facts by (cid, seq), and what idempotency remembers.

use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;

use super::{PortFuture, StoreError};

/// One sequenced fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow {
    /// Which conversation.
    pub cid: ConversationId,
    /// Where in it.
    pub seq: Seq,
    /// n of the fact that wrote this row last; a write with a smaller one is refused.
    pub n: N,
    /// The fact, encoded by the core. Its unknown fields survive.
    pub fact: Bytes,
    /// Whether it replaces a row that an earlier flush may have written: what was recalled or edited must leave
    /// the medium within the time that the adapter promises. False in what is read.
    pub replaces: bool,
}

/// What is remembered of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRow {
    /// Keyed hash of (cid, sender, client id).
    pub key: u128,
    /// The day, since 1970, of the client id's own time: keys are filed and forgotten by it.
    pub day: u32,
    /// n of the fact that answered.
    pub n: N,
    /// seq of the fact that answered.
    pub seq: Seq,
    /// Keyed hash of the request.
    pub request_hash: u64,
}

/// What one slot folds in one flush. Lands whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryBatch {
    /// Which slot.
    pub slot: Slot,
    /// Everything through this n is here; becomes the slot's checkpoint, which only grows.
    pub through: N,
    /// Sorted by (cid, seq).
    pub facts: Vec<FactRow>,
    /// What to remember.
    pub keys: Vec<KeyRow>,
}

/// Which seqs of a conversation to read, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRange {
    /// Which conversation.
    pub cid: ConversationId,
    /// The smallest seq.
    pub low: Seq,
    /// The largest seq.
    pub high: Seq,
    /// At most so many rows.
    pub limit: usize,
    /// Where the limit cuts: keep the newest, or the oldest.
    pub newest_first: bool,
}

/// The history of an installation.
pub trait History: Send + Sync {
    /// Through which n every slot is folded, in slot order; 0 where nothing is.
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>>;

    /// Rows of one conversation, always ascending by seq.
    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>>;

    /// What is remembered of commands, in the order asked for, by (day, key).
    fn keys(&self, slot: Slot, keys: Vec<(u32, u128)>)
    -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>>;

    /// Folds batches of several slots, in one transaction. A batch whose `through` is below the slot's
    /// checkpoint changes nothing.
    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>>;

    /// Forgets every key filed under a day before `day`.
    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>>;
}
