//! The durable log: the truth of which everything else is a fold.
//!
//! One append is one record, which lands whole or not at all. An append is a compare-and-set: it
//! lands only where its reign rules and its first n follows the last one.

use anser_model::{N, Reign, Slot};

use super::PortFuture;
use crate::record::Record;

/// The last valid position of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotHead {
    /// Which slot.
    pub slot: Slot,
    /// The oldest n that can still be read; one above `last` where nothing is retained.
    pub first: N,
    /// The last valid n; 0 before anything was written.
    pub last: N,
    /// The reign in force after it.
    pub reign: Reign,
}

/// The log of an installation: 256 slots, one order for each.
pub trait Log: Send + Sync {
    /// Appends one record. Resolves once it is durable, or with what is known of its fate.
    /// Appends of one slot that are called in order land in order; several may be under way.
    fn append(&self, record: Record) -> PortFuture<Result<(), AppendError>>;

    /// The head of every slot, in slot order, as far as it is durable.
    fn heads(&self) -> PortFuture<Result<Vec<SlotHead>, LogError>>;

    /// Valid records of `slot` from the one that holds `from`, in order, until about `limit_bytes`
    /// of them (at least one where one is there). Void records are never returned.
    fn read(&self, slot: Slot, from: N, limit_bytes: usize) -> PortFuture<Result<Vec<Record>, LogError>>;

    /// Allows every slot to forget what lies below its n. The log may keep more.
    fn trim(&self, below: Vec<(Slot, N)>) -> PortFuture<Result<(), LogError>>;
}

/// What became of an append that did not succeed. After any of these the reign is over for whoever
/// asked: a new `Opened` fences first, then the log is read to learn what landed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another reign is in force, or n is not the next one. Nothing landed, nor will it.
    #[error("slot {slot} is at n {last} under reign {in_force}: the record does not follow")]
    Fenced {
        /// The slot of the record.
        slot: Slot,
        /// The reign in force.
        in_force: Reign,
        /// The last valid n.
        last: N,
    },
    /// There is no room on the medium. Nothing landed; another try can help once there is.
    #[error("no space left for the log: {0}")]
    NoSpace(String),
    /// Whether it landed is not known (a time-out, a lost connection). Reading after fencing tells.
    #[error("the fate of the append is unknown: {0}")]
    Unknown(String),
    /// The medium failed under us. Nothing may be acknowledged any more: the process must exit.
    #[error("the log can no longer be trusted to keep what it is given: {0}")]
    Broken(String),
}

/// Why a read or a trim failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// What was asked for has been trimmed away. Never a silent skip.
    #[error("slot {slot} was trimmed: n {asked} is gone, the oldest is {first}")]
    OutOfRange {
        /// The slot asked for.
        slot: Slot,
        /// The n asked for.
        asked: N,
        /// The oldest n that can be read.
        first: N,
    },
    /// The medium damaged what had been durable.
    #[error("the log is damaged at {place}: {what}")]
    Damaged {
        /// File and offset.
        place: String,
        /// What was found there.
        what: String,
    },
    /// A passing fault; another try can help.
    #[error("the log cannot be reached now: {0}")]
    Unavailable(String),
    /// The medium failed under us.
    #[error("the log failed: {0}")]
    Broken(String),
}

impl LogError {
    /// Whether asking again may help.
    pub fn retry_helps(&self) -> bool {
        matches!(self, LogError::Unavailable(_))
    }
}
