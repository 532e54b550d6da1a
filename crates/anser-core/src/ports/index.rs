//! Conversations and members by who may see them, and what changed since when: a fold of the log.
//!
//! Rows carry their state as the core encodes it ([`crate::storage`]); an adapter looks only at the
//! columns beside it. Each row is written by the slot it belongs to, in [`Index::flush`] alone.

use anser_model::{AccountId, ConversationId, N, Slot};
use bytes::Bytes;

use super::{PortFuture, StoreError};

/// What all members share of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Which conversation.
    pub cid: ConversationId,
    /// n of the newest fact that all members see.
    pub n_shared: N,
    /// n of the newest read mark that others than its owner may see.
    pub n_receipts: N,
    /// The state, encoded by the core.
    pub state: Bytes,
}

/// What one member, or former member, has of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Which conversation.
    pub cid: ConversationId,
    /// Whose row.
    pub account: AccountId,
    /// n of the newest fact that only this one sees, or that changed this one's membership.
    pub n: N,
    /// Whether it is a member now. A former member's conversation changes no more for it.
    pub present: bool,
    /// The state, encoded by the core.
    pub state: Bytes,
}

/// A conversation with all its members, present and former.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRows {
    /// What all share.
    pub conversation: ConversationRow,
    /// Its members.
    pub members: Vec<MemberRow>,
}

/// What one slot folds in one flush. Lands whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBatch {
    /// Which slot.
    pub slot: Slot,
    /// The rows hold everything through this n; becomes the slot's checkpoint, which only grows.
    pub through: N,
    /// Sorted by cid.
    pub conversations: Vec<ConversationRow>,
    /// Sorted by (cid, account).
    pub members: Vec<MemberRow>,
}

/// The index of an installation.
pub trait Index: Send + Sync {
    /// Through which n every slot is folded, in slot order; 0 where nothing is.
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>>;

    /// The rows of conversations of one slot, in the order asked for; `None` for one that is not there.
    fn load(
        &self,
        slot: Slot,
        cids: Vec<ConversationId>,
    ) -> PortFuture<Result<Vec<Option<ConversationRows>>, StoreError>>;

    /// The account's conversations in `slot` in which something that it may see has an n above `after`:
    /// its own row's n is, or it is present and n_shared or n_receipts is. Each with its own member row.
    fn changed(
        &self,
        slot: Slot,
        account: AccountId,
        after: N,
    ) -> PortFuture<Result<Vec<(ConversationRow, MemberRow)>, StoreError>>;

    /// Folds batches of several slots, in one transaction. A batch whose `through` is below the slot's
    /// checkpoint changes nothing.
    fn flush(&self, batches: Vec<IndexBatch>) -> PortFuture<Result<(), StoreError>>;
}
