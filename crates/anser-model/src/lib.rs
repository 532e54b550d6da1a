//! What Anser talks about: ids, limits, facts, commands, and the rules between them.
//!
//! Everything here is a value or a pure function. This crate must not know I/O, async, clocks,
//! serialisation, or that there is a network.

pub mod change;
pub mod client_id;
pub mod command;
pub mod ids;
pub mod limits;
pub mod planted;
pub mod ranges;
pub mod refusal;
pub mod time;
pub mod unread;
pub mod visible;

pub use change::{
    Change, ConversationFact, ConversationKind, Edits, Fact, KickReason, Message, Rewrite, Rewritten, Role,
    SlotFact, Version,
};
pub use client_id::ClientId;
pub use command::{Actor, Command, Intent};
pub use ids::{
    AccountId, ConversationId, DeviceId, N, Ordinal, Reign, Seq, SessionId, Slot, SlotKey, Timeline,
};
pub use ranges::SeqRanges;
pub use refusal::Refusal;
pub use time::UnixMillis;
pub use unread::Unread;
pub use visible::Intervals;
