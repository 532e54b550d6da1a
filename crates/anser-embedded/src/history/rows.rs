//! Rows as ordered bytes, and what one flush comes to.

use anser_core::ports::history::{FactRow, HistoryBatch, KeyRow};
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of an [`Address`].
pub(crate) const ADDRESS_BYTES: usize = 25;
/// What is remembered of a command: seq and request hash.
pub(crate) const KEY_VALUE_BYTES: usize = 16;
/// The part of a fact's address that all of its conversation share: slot and conversation.
const FACT_PREFIX_BYTES: usize = 17;
/// The part of a key's address that is not padding: day, slot and key.
const KEY_PREFIX_BYTES: usize = 21;

/// Where a row sorts. A fact: slot, conversation, seq. A key: day, slot, key, four zeros. Sorts as its parts do.
pub(crate) type Address = [u8; ADDRESS_BYTES];

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Facts, by conversation and seq.
    Facts,
    /// What is remembered of commands, by the day it is filed under.
    Keys,
}

/// One row by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Where it sorts.
    pub address: Address,
    /// n of the fact that wrote it last.
    pub n: N,
    /// The fact, or what is remembered of a command.
    pub value: Bytes,
}

/// One flush, ready to be written: sorted, each address once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// The facts.
    pub facts: Vec<Row>,
    /// The keys.
    pub keys: Vec<Row>,
    /// Addresses of facts of which an older segment may hold another version.
    pub rewritten: Vec<Address>,
    /// A checkpoint moved, or there are rows.
    pub is_any: bool,
}

impl Kind {
    /// The bytes of an address that the filter of a segment remembers.
    pub fn prefix(self, address: &Address) -> &[u8] {
        match self {
            Kind::Facts => &address[..FACT_PREFIX_BYTES],
            Kind::Keys => &address[..KEY_PREFIX_BYTES],
        }
    }
}

/// The address of a fact.
pub(crate) fn fact_address(slot: Slot, cid: ConversationId, seq: Seq) -> Address {
    let mut address = [0; ADDRESS_BYTES];
    address[0] = slot.0;
    address[1..FACT_PREFIX_BYTES].copy_from_slice(&cid.0);
    address[FACT_PREFIX_BYTES..].copy_from_slice(&seq.0.to_be_bytes());
    address
}

/// The address of a key.
pub(crate) fn key_address(day: u32, slot: Slot, key: u128) -> Address {
    let mut address = [0; ADDRESS_BYTES];
    address[..4].copy_from_slice(&day.to_be_bytes());
    address[4] = slot.0;
    address[5..KEY_PREFIX_BYTES].copy_from_slice(&key.to_be_bytes());
    address
}

/// The day that a key's address files it under.
pub(crate) fn day_of(address: &Address) -> u32 {
    u32::from_be_bytes(part(address, 0))
}

impl Row {
    /// A fact as it is stored.
    pub fn of_fact(slot: Slot, fact: FactRow) -> Row {
        Row { address: fact_address(slot, fact.cid, fact.seq), n: fact.n, value: fact.fact }
    }

    /// A key as it is stored.
    pub fn of_key(slot: Slot, key: &KeyRow) -> Row {
        let mut value = BytesMut::with_capacity(KEY_VALUE_BYTES);
        value.put_u64_le(key.seq.0);
        value.put_u64_le(key.request_hash);
        Row { address: key_address(key.day, slot, key.key), n: key.n, value: value.freeze() }
    }

    /// The fact that it is.
    pub fn into_fact(self) -> FactRow {
        let cid = ConversationId(part(&self.address, 1));
        let seq = Seq(u64::from_be_bytes(part(&self.address, FACT_PREFIX_BYTES)));
        FactRow { cid, seq, n: self.n, fact: self.value, replaces: false }
    }

    /// What is remembered.
    ///
    /// # Panics
    /// It is no key's row: the values of those are measured as their block is read.
    pub fn to_key(&self) -> KeyRow {
        assert_eq!(self.value.len(), KEY_VALUE_BYTES, "a key's value was measured when it was read");
        KeyRow {
            key: u128::from_be_bytes(part(&self.address, 5)),
            day: day_of(&self.address),
            n: self.n,
            seq: Seq(u64::from_le_bytes(part(&self.value, 0))),
            request_hash: u64::from_le_bytes(part(&self.value, 8)),
        }
    }
}

/// The `COUNT` bytes at `at`, which are there.
fn part<const COUNT: usize>(bytes: &[u8], at: usize) -> [u8; COUNT] {
    bytes[at..at + COUNT].try_into().expect("a range of that many bytes")
}

/// Folds what `batches` come to, in their order; raises `checkpoints` as they say. A batch below its slot's
/// checkpoint changes nothing.
///
/// # Panics
/// A row is newer than its batch: then "newer than the checkpoint" would no longer mean "never stored".
pub(crate) fn fold(batches: Vec<HistoryBatch>, checkpoints: &mut [N]) -> Folded {
    let mut folded = Folded::default();
    for batch in batches {
        let checkpoint = &mut checkpoints[batch.slot.index()];
        if batch.through < *checkpoint {
            continue;
        }
        folded.is_any |= batch.through > *checkpoint || !batch.facts.is_empty() || !batch.keys.is_empty();
        *checkpoint = batch.through;
        for fact in batch.facts {
            assert!(fact.n <= batch.through, "a row is of its batch");
            let replaces = fact.replaces;
            let row = Row::of_fact(batch.slot, fact);
            if replaces {
                folded.rewritten.push(row.address);
            }
            folded.facts.push(row);
        }
        for key in &batch.keys {
            assert!(key.n <= batch.through, "a row is of its batch");
            folded.keys.push(Row::of_key(batch.slot, key));
        }
    }
    settle(&mut folded.facts);
    settle(&mut folded.keys);
    folded.rewritten.sort_unstable();
    folded.rewritten.dedup();
    folded
}

/// Sorts, and keeps of each address the row with the largest n; of equals the last.
fn settle(rows: &mut Vec<Row>) {
    rows.reverse();
    rows.sort_by(|left, right| left.address.cmp(&right.address).then(right.n.cmp(&left.n)));
    rows.dedup_by_key(|row| row.address);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_sort_as_their_parts() {
        let fact = FactRow {
            cid: ConversationId([7; 16]),
            seq: Seq(300),
            n: N(9),
            fact: Bytes::from_static(b"fact"),
            replaces: false,
        };
        assert_eq!(Row::of_fact(Slot(3), fact.clone()).into_fact(), fact);
        let key = KeyRow { key: 1 << 100, day: 20_000, n: N(4), seq: Seq(5), request_hash: u64::MAX };
        assert_eq!(Row::of_key(Slot(3), &key).to_key(), key);
        assert!(fact_address(Slot(1), fact.cid, Seq(255)) < fact_address(Slot(1), fact.cid, Seq(256)));
        assert!(key_address(255, Slot(9), 1) < key_address(256, Slot(0), 0));
        assert!(key_address(255, Slot(9), 1) < key_address(255, Slot(9), 1 << 127));
    }

    #[test]
    fn a_fold_keeps_the_largest_n_and_notes_what_was_written_again() {
        let row = |seq, n, replaces| FactRow {
            cid: ConversationId([7; 16]),
            seq: Seq(seq),
            n: N(n),
            fact: Bytes::new(),
            replaces,
        };
        let facts = vec![row(2, 5, true), row(1, 3, false), row(2, 4, false)];
        let batch = HistoryBatch { slot: Slot(0), through: N(5), facts, keys: Vec::new() };
        let mut checkpoints = vec![N(0); Slot::COUNT];
        let folded = fold(vec![batch.clone()], &mut checkpoints);
        assert_eq!(folded.facts.iter().map(|row| row.n.0).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(folded.rewritten, [fact_address(Slot(0), ConversationId([7; 16]), Seq(2))]);
        assert_eq!(checkpoints[0], N(5));
        let stale = HistoryBatch { through: N(4), facts: vec![row(3, 4, false)], ..batch };
        assert_eq!(fold(vec![stale], &mut checkpoints), Folded::default());
    }
}
