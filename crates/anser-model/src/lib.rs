//! What Anser talks about: ids, limits, facts, commands, and the rules between them.
//!
//! Everything here is a value or a pure function. This crate must not know I/O, async, clocks,
//! serialisation, or that there is a network.

pub mod client_id;
pub mod ids;
pub mod limits;
pub mod time;

pub use client_id::ClientId;
pub use ids::{
    AccountId, ConversationId, DeviceId, N, Ordinal, Reign, Seq, SessionId, Slot, SlotKey, Timeline,
};
pub use time::UnixMillis;
