//! Registers of one member as they are recorded.

use anser_model::{AccountId, Change, Ordinal, Seq, SeqRanges};

use super::{ChangeSchema, ReadUpToSchema, StorageError};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UnreadMarkedSchema {
    #[prost(fixed64, tag = "1")]
    member: u64,
    #[prost(bool, tag = "2")]
    marked: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessagesHiddenSchema {
    #[prost(fixed64, tag = "1")]
    member: u64,
    /// Both ends of each run, one after the other.
    #[prost(uint64, repeated, tag = "2")]
    ranges: Vec<u64>,
}

#[cfg(test)]
impl MessagesHiddenSchema {
    pub(super) fn of(member: u64, ranges: &[u64]) -> Self {
        MessagesHiddenSchema { member, ranges: ranges.to_vec() }
    }
}

pub(super) fn schema(change: &Change) -> ChangeSchema {
    match change {
        Change::DeliveredUpTo { member, seq } => {
            ChangeSchema::DeliveredUpTo(ReadUpToSchema { member: member.0, seq: seq.0, ordinal: 0 })
        }
        Change::UnreadMarked { member, marked } => {
            ChangeSchema::UnreadMarked(UnreadMarkedSchema { member: member.0, marked: *marked })
        }
        Change::MessagesHidden { member, ranges } => {
            ChangeSchema::MessagesHidden(MessagesHiddenSchema { member: member.0, ranges: flat(ranges) })
        }
        Change::HistoryCleared { member, seq, ordinal } => {
            ChangeSchema::HistoryCleared(ReadUpToSchema { member: member.0, seq: seq.0, ordinal: ordinal.0 })
        }
        _ => unreachable!("called for these registers"),
    }
}

pub(super) fn change(schema: ChangeSchema) -> Result<Change, StorageError> {
    Ok(match schema {
        ChangeSchema::DeliveredUpTo(it) => {
            Change::DeliveredUpTo { member: AccountId(it.member), seq: Seq(it.seq) }
        }
        ChangeSchema::UnreadMarked(it) => {
            Change::UnreadMarked { member: AccountId(it.member), marked: it.marked }
        }
        ChangeSchema::MessagesHidden(it) => {
            let ranges = runs(&it.ranges)?;
            if ranges.is_empty() {
                return Err(StorageError::Impossible("list of hidden runs"));
            }
            Change::MessagesHidden { member: AccountId(it.member), ranges }
        }
        ChangeSchema::HistoryCleared(it) => Change::HistoryCleared {
            member: AccountId(it.member),
            seq: Seq(it.seq),
            ordinal: Ordinal(it.ordinal),
        },
        _ => unreachable!("called for these registers"),
    })
}

/// Runs as they are stored: both ends of each, one after the other.
pub(crate) fn flat(ranges: &SeqRanges) -> Vec<u64> {
    ranges.parts().iter().flat_map(|&(low, high)| [low.0, high.0]).collect()
}

/// Reads [`flat`] back.
pub(crate) fn runs(flat: &[u64]) -> Result<SeqRanges, StorageError> {
    let pairs = flat.chunks(2).map(|pair| match pair {
        &[low, high] => Ok((Seq(low), Seq(high))),
        _ => Err(StorageError::Impossible("list of hidden runs")),
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    SeqRanges::from_parts(pairs).ok_or(StorageError::Impossible("list of hidden runs"))
}
