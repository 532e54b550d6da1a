//! Rows as ordered bytes: what the candidates without SQL sort by, and what one flush comes to.

use std::collections::BTreeMap;

use anser_core::ports::history::{FactRow, HistoryBatch, KeyRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::{BufMut, Bytes, BytesMut};

/// Slot, sixteen bytes (a conversation, or the key of a command), seq (0 for a key): sorts as its parts do.
pub type Address = [u8; 25];
/// The part of an address that all rows of one conversation share, and that is the whole of a key's.
pub const PREFIX_BYTES: usize = 17;

/// One row by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it sorts.
    pub address: Address,
    /// n of the fact that wrote it last.
    pub n: N,
    /// The fact, or what is remembered of a command.
    pub value: Bytes,
}

/// One flush, ready to be written: sorted, each address once.
#[derive(Debug, Default)]
pub struct Folded {
    /// The facts.
    pub facts: Vec<Row>,
    /// The keys, by the day they are filed under.
    pub keys: BTreeMap<u32, Vec<Row>>,
}

/// The address of a fact.
pub fn fact_address(slot: Slot, cid: ConversationId, seq: Seq) -> Address {
    address(slot, cid.0, seq.0)
}

/// The address of a key within its day.
pub fn key_address(slot: Slot, key: u128) -> Address {
    address(slot, key.to_be_bytes(), 0)
}

fn address(slot: Slot, middle: [u8; 16], seq: u64) -> Address {
    let mut bytes = [0; 25];
    bytes[0] = slot.0;
    bytes[1..PREFIX_BYTES].copy_from_slice(&middle);
    bytes[PREFIX_BYTES..].copy_from_slice(&seq.to_be_bytes());
    bytes
}

impl Row {
    /// The fact that it is.
    pub fn into_fact(self) -> FactRow {
        let cid = ConversationId(self.address[1..PREFIX_BYTES].try_into().expect("sixteen bytes"));
        let seq = Seq(u64::from_be_bytes(self.address[PREFIX_BYTES..].try_into().expect("eight bytes")));
        FactRow { cid, seq, n: self.n, fact: self.value, replaces: false }
    }

    /// What is remembered, filed under `day`.
    pub fn to_key(&self, day: u32) -> Result<KeyRow, StoreError> {
        let (Some(seq), Some(hash)) = (number(&self.value, 0), number(&self.value, 8)) else {
            return Err(StoreError::Damaged("the row of a key is cut off".into()));
        };
        let key = u128::from_be_bytes(self.address[1..PREFIX_BYTES].try_into().expect("sixteen bytes"));
        Ok(KeyRow { key, day, n: self.n, seq: Seq(seq), request_hash: hash })
    }
}

/// Folds what `batches` come to, in their order; raises `checkpoints` as they say. A batch below its slot's
/// checkpoint changes nothing.
///
/// # Panics
/// A row is newer than its batch: then "newer than the checkpoint" would no longer mean "never stored".
pub fn fold(batches: Vec<HistoryBatch>, checkpoints: &mut [N]) -> Folded {
    let mut folded = Folded::default();
    for batch in batches {
        let checkpoint = &mut checkpoints[batch.slot.index()];
        if batch.through < *checkpoint {
            continue;
        }
        *checkpoint = batch.through;
        for fact in batch.facts {
            assert!(fact.n <= batch.through, "a row is of its batch");
            let address = fact_address(batch.slot, fact.cid, fact.seq);
            folded.facts.push(Row { address, n: fact.n, value: fact.fact });
        }
        for key in batch.keys {
            assert!(key.n <= batch.through, "a row is of its batch");
            let mut value = BytesMut::with_capacity(16);
            value.put_u64_le(key.seq.0);
            value.put_u64_le(key.request_hash);
            let row = Row { address: key_address(batch.slot, key.key), n: key.n, value: value.freeze() };
            folded.keys.entry(key.day).or_default().push(row);
        }
    }
    settle(&mut folded.facts);
    folded.keys.values_mut().for_each(settle);
    folded
}

/// Sorts, and keeps of each address the row with the largest n; of equals the last.
fn settle(rows: &mut Vec<Row>) {
    rows.reverse();
    rows.sort_by(|left, right| left.address.cmp(&right.address).then(right.n.cmp(&left.n)));
    rows.dedup_by_key(|row| row.address);
}

/// The number at `at`, if there are eight bytes.
pub fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// A port's answer by work done where it is polled. The shipped adapter hands its work to threads of its
/// own, which costs it some microseconds that the candidates here are spared.
pub fn answer<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> PortFuture<Result<T, StoreError>> {
    Box::pin(async move { work() })
}
