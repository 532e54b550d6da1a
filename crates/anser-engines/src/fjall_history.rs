//! The `History` port on fjall, an LSM tree: one journal, a tree for facts, one for keys, one for checkpoints.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{N, Slot};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::rows::{self, Row, answer, fact_address, key_address, number};

/// About what the shipped adapter gives its three connections, and a little more.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Keys that one batch forgets.
const KEYS_FORGOTTEN_AT_ONCE: usize = 20_000;

/// The history in one fjall database.
pub struct FjallHistory {
    trees: Arc<Trees>,
}

struct Trees {
    database: Database,
    facts: Keyspace,
    keys: Keyspace,
    checkpoints: Keyspace,
    /// What the tree of checkpoints says; held while something is written.
    folded: Mutex<Vec<N>>,
}

impl FjallHistory {
    /// Opens the history in `folder`, or makes an empty one there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let database = Database::builder(folder).cache_size(CACHE_BYTES).open().map_err(fault)?;
        let tree = |name| database.keyspace(name, KeyspaceCreateOptions::default).map_err(fault);
        let (facts, keys, checkpoints) = (tree("facts")?, tree("keys")?, tree("checkpoints")?);
        let folded = Slot::all()
            .map(|slot| match checkpoints.get([slot.0]).map_err(fault)? {
                None => Ok(N(0)),
                Some(value) => number(&value, 0).map(N).ok_or_else(cut_off),
            })
            .collect::<Result<_, _>>()?;
        let trees = Trees { database, facts, keys, checkpoints, folded: Mutex::new(folded) };
        Ok(FjallHistory { trees: Arc::new(trees) })
    }

    /// Hands every row as of one moment to `take`, facts then keys, while others write. fjall has no copy of
    /// its files as of a moment, so a backup is this.
    ///
    /// # Errors
    /// Those of the database, and of `take`.
    pub fn dump(&self, mut take: impl FnMut(&[u8], &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let snapshot = self.trees.database.snapshot();
        for tree in [&self.trees.checkpoints, &self.trees.facts, &self.trees.keys] {
            for entry in snapshot.iter(tree) {
                let (key, value) = entry.into_inner()?;
                take(&key, &value)?;
            }
        }
        Ok(())
    }
}

impl History for FjallHistory {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        let trees = Arc::clone(&self.trees);
        answer(move || Ok(trees.folded.lock().expect("no panic while folding").clone()))
    }

    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>> {
        let trees = Arc::clone(&self.trees);
        answer(move || trees.range(slot, &range))
    }

    fn keys(
        &self,
        slot: Slot,
        keys: Vec<(u32, u128)>,
    ) -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>> {
        let trees = Arc::clone(&self.trees);
        answer(move || {
            let one = |(day, key)| {
                let address = key_address(slot, key);
                let found = trees.keys.get(filed(day, &address)).map_err(fault)?;
                found.map(|value| split(address, &value)?.to_key(day)).transpose()
            };
            keys.into_iter().map(one).collect()
        })
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>> {
        let trees = Arc::clone(&self.trees);
        answer(move || trees.flush(batches))
    }

    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>> {
        let trees = Arc::clone(&self.trees);
        answer(move || trees.forget_keys(day))
    }
}

impl Trees {
    fn range(&self, slot: Slot, range: &HistoryRange) -> Result<Vec<FactRow>, StoreError> {
        if range.low > range.high {
            return Ok(Vec::new());
        }
        let [low, high] = [range.low, range.high].map(|seq| fact_address(slot, range.cid, seq));
        let entries = self.facts.range(low..=high);
        let read = |entry: fjall::Guard| {
            let (key, value) = entry.into_inner().map_err(fault)?;
            let address = key[..].try_into().map_err(|_| cut_off())?;
            Ok(split(address, &value)?.into_fact())
        };
        if range.newest_first {
            let mut rows: Vec<FactRow> =
                entries.rev().take(range.limit).map(read).collect::<Result<_, StoreError>>()?;
            rows.reverse();
            return Ok(rows);
        }
        entries.take(range.limit).map(read).collect()
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> Result<(), StoreError> {
        let mut folded = self.folded.lock().expect("no panic while folding");
        let mut raised = folded.clone();
        let rows = rows::fold(batches, &mut raised);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for row in rows.facts {
            if is_newest(&self.facts, &row.address, &row, &folded)? {
                batch.insert(&self.facts, row.address, joined(&row));
            }
        }
        for (day, rows) in rows.keys {
            for row in rows {
                let address = filed(day, &row.address);
                if is_newest(&self.keys, &address, &row, &folded)? {
                    batch.insert(&self.keys, address, joined(&row));
                }
            }
        }
        for (slot, (old, new)) in Slot::all().zip(folded.iter().zip(&raised)) {
            if old != new {
                batch.insert(&self.checkpoints, [slot.0], new.0.to_le_bytes());
            }
        }
        batch.commit().map_err(fault)?;
        *folded = raised;
        Ok(())
    }

    fn forget_keys(&self, day: u32) -> Result<(), StoreError> {
        loop {
            // A flush in between must not be undone: keys of these days may still arrive.
            let _writing = self.folded.lock().expect("no panic while folding");
            let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
            for entry in self.keys.range(..day.to_be_bytes()).take(KEYS_FORGOTTEN_AT_ONCE) {
                batch.remove(&self.keys, entry.key().map_err(fault)?);
            }
            let removed = batch.len();
            batch.commit().map_err(fault)?;
            if removed < KEYS_FORGOTTEN_AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Whether `row` may be written over what is stored. What is newer than the checkpoint is newer than all
/// that was ever stored, so the common row is not looked up.
fn is_newest(tree: &Keyspace, address: &[u8], row: &Row, folded: &[N]) -> Result<bool, StoreError> {
    if row.n > folded[usize::from(row.address[0])] {
        return Ok(true);
    }
    match tree.get(address).map_err(fault)? {
        None => Ok(true),
        Some(stored) => Ok(number(&stored, 0).ok_or_else(cut_off)? <= row.n.0),
    }
}

fn filed(day: u32, address: &[u8]) -> Vec<u8> {
    [&day.to_be_bytes()[..], &address[..rows::PREFIX_BYTES]].concat()
}

fn joined(row: &Row) -> Vec<u8> {
    [&row.n.0.to_le_bytes()[..], &row.value].concat()
}

fn split(address: rows::Address, value: &[u8]) -> Result<Row, StoreError> {
    let n = N(number(value, 0).ok_or_else(cut_off)?);
    Ok(Row { address, n, value: Bytes::copy_from_slice(&value[8..]) })
}

fn cut_off() -> StoreError {
    StoreError::Damaged("a row is cut off".into())
}

fn fault(error: fjall::Error) -> StoreError {
    match &error {
        fjall::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::NoSpace(error.to_string())
        }
        fjall::Error::Locked => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Damaged(error.to_string()),
    }
}
