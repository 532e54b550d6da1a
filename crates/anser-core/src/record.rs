//! The log record: one batch of one slot, and its frozen header.
//!
//! A record counts iff its reign is in force where it lands and its first n is the last n + 1.
//! The payload holds the facts in the storage schema of [`crate::storage`]; the log never looks into it.

use anser_model::{N, Reign, Slot, Timeline};
use bytes::Bytes;

/// One batch of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which slot, and how many facts from which n.
    pub header: RecordHeader,
    /// The facts, encoded by [`crate::storage`].
    pub payload: Bytes,
}

/// What a log needs to judge a record without reading its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Which history of the installation.
    pub timeline: Timeline,
    /// Which slot.
    pub slot: Slot,
    /// Under which reign it was written. For an opening record, the reign that it starts.
    pub reign: Reign,
    /// For an opening record, the reign that must be in force for it to count.
    pub opens_after: Option<Reign>,
    /// n of the first fact.
    pub first_n: N,
    /// How many facts: at least one.
    pub count: u32,
    /// A reader that does not know every kind of fact in it must not rule on.
    pub must_understand: bool,
}

impl RecordHeader {
    /// n of the last fact.
    pub fn last_n(&self) -> N {
        N(self.first_n.0 + u64::from(self.count) - 1)
    }

    /// Whether the record counts where `in_force` rules and `last` is the last valid n.
    pub fn follows(&self, in_force: Reign, last: N) -> bool {
        let rules = match self.opens_after {
            Some(after) => after == in_force && self.reign != in_force,
            None => self.reign == in_force,
        };
        rules && self.first_n == last.next() && self.count > 0
    }
}
