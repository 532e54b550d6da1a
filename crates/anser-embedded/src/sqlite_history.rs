//! The `History` port on SQLite: facts by (cid, seq), and what idempotency remembers.

use std::path::Path;
use std::sync::Arc;

use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{ConversationId, N, Seq, Slot, planted};
use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Transaction};

use crate::sqlite::{self, Database, Fault, Schema, checksum, counted, port_answer, uncounted};

/// Keys that one transaction forgets, so that flushes get their turn in between.
const KEYS_FORGOTTEN_AT_ONCE: i64 = 20_000;

const SCHEMA: Schema = Schema {
    file: "history.sqlite",
    steps: &["
        CREATE TABLE checkpoint (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE fact (
            slot INTEGER NOT NULL, cid BLOB NOT NULL, seq INTEGER NOT NULL,
            n INTEGER NOT NULL, fact BLOB NOT NULL, crc INTEGER NOT NULL,
            PRIMARY KEY (slot, cid, seq)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE key (
            day INTEGER NOT NULL, slot INTEGER NOT NULL, key BLOB NOT NULL,
            n INTEGER NOT NULL, seq INTEGER NOT NULL, request_hash INTEGER NOT NULL, crc INTEGER NOT NULL,
            PRIMARY KEY (day, slot, key)
        ) WITHOUT ROWID, STRICT;
    "],
};

const PUT_FACT: &str = "
    INSERT INTO fact (slot, cid, seq, n, fact, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (slot, cid, seq) DO UPDATE SET n = excluded.n, fact = excluded.fact, crc = excluded.crc
    WHERE excluded.n >= n";

/// Without the guard that a late flush runs into: only for the bug that is planted here.
const PUT_FACT_ANYHOW: &str =
    "INSERT OR REPLACE INTO fact (slot, cid, seq, n, fact, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const PUT_KEY: &str = "
    INSERT INTO key (day, slot, key, n, seq, request_hash, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (day, slot, key) DO UPDATE SET n = excluded.n, seq = excluded.seq,
        request_hash = excluded.request_hash, crc = excluded.crc
    WHERE excluded.n >= n";

const GET_OLDEST: &str = "
    SELECT seq, n, fact, crc FROM fact WHERE slot = ?1 AND cid = ?2 AND seq BETWEEN ?3 AND ?4
    ORDER BY seq LIMIT ?5";

const GET_NEWEST: &str = "
    SELECT seq, n, fact, crc FROM fact WHERE slot = ?1 AND cid = ?2 AND seq BETWEEN ?3 AND ?4
    ORDER BY seq DESC LIMIT ?5";

const GET_KEY: &str = "
    SELECT n, seq, request_hash, crc FROM key WHERE day = ?1 AND slot = ?2 AND key = ?3";

/// The key up to which one step forgets: the last of the oldest ones below the day.
const LAST_FORGOTTEN: &str = "
    SELECT day, slot, key FROM key WHERE day < ?1 ORDER BY day, slot, key LIMIT 1 OFFSET ?2";

const FORGET_THROUGH: &str = "DELETE FROM key WHERE (day, slot, key) <= (?1, ?2, ?3)";

const FORGET_BELOW: &str = "DELETE FROM key WHERE day < ?1";

/// The history of an installation on one machine.
pub struct SqliteHistory {
    database: Arc<Database>,
}

impl SqliteHistory {
    /// Opens the history in `folder`, or makes an empty one there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(SqliteHistory { database: Arc::new(Database::open(folder, &SCHEMA)?) })
    }
}

impl History for SqliteHistory {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        port_answer(self.database.read(sqlite::checkpoints))
    }

    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>> {
        port_answer(self.database.read(move |snapshot| read_range(snapshot, slot, &range)))
    }

    fn keys(
        &self,
        slot: Slot,
        keys: Vec<(u32, u128)>,
    ) -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>> {
        port_answer(self.database.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_KEY)?;
            keys.into_iter()
                .map(|(day, key)| {
                    let row = statement
                        .query_row((day, slot.0, key.to_be_bytes()), |row| Ok(key_row(row, day, key)))
                        .optional()?;
                    row.transpose()
                })
                .collect()
        }))
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>> {
        port_answer(
            self.database
                .write(move |transaction| batches.iter().try_for_each(|batch| fold(transaction, batch))),
        )
    }

    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>> {
        let database = Arc::clone(&self.database);
        Box::pin(async move {
            while !database.write(move |transaction| forget_some(transaction, day)).await? {}
            Ok(())
        })
    }
}

fn read_range(snapshot: &Transaction<'_>, slot: Slot, range: &HistoryRange) -> Result<Vec<FactRow>, Fault> {
    let sql = if range.newest_first { GET_NEWEST } else { GET_OLDEST };
    let mut statement = snapshot.prepare_cached(sql)?;
    let (low, high, limit) = (counted(range.low.0), counted(range.high.0), counted(range.limit as u64));
    let mut rows = statement.query((slot.0, range.cid.0, low, high, limit))?;
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        read.push(fact_row(row, range.cid)?);
    }
    if range.newest_first {
        read.reverse();
    }
    Ok(read)
}

fn fold(transaction: &Transaction<'_>, batch: &HistoryBatch) -> Result<(), Fault> {
    if !sqlite::raise_checkpoint(transaction, batch.slot, batch.through)? {
        return Ok(());
    }
    let slot = batch.slot.0;
    let put = if planted!(LateFlushUndoesRecall) { PUT_FACT_ANYHOW } else { PUT_FACT };
    let mut put = transaction.prepare_cached(put)?;
    for row in &batch.facts {
        let (seq, n) = (counted(row.seq.0), counted(row.n.0));
        put.execute((slot, row.cid.0, seq, n, &row.fact[..], fact_checksum(row)))?;
    }
    // In the order of the tree, so that neighbours meet the same page.
    let mut keys: Vec<&KeyRow> = batch.keys.iter().collect();
    keys.sort_unstable_by_key(|row| (row.day, row.key));
    let mut put = transaction.prepare_cached(PUT_KEY)?;
    for row in keys {
        let (n, seq, request_hash) = (counted(row.n.0), counted(row.seq.0), row.request_hash.cast_signed());
        put.execute((row.day, slot, row.key.to_be_bytes(), n, seq, request_hash, key_checksum(row)))?;
    }
    Ok(())
}

/// Forgets some of the keys below `day`, oldest first; whether that was all of them.
fn forget_some(transaction: &Transaction<'_>, day: u32) -> Result<bool, Fault> {
    let last: Option<(u32, u8, Vec<u8>)> = transaction
        .prepare_cached(LAST_FORGOTTEN)?
        .query_row((day, KEYS_FORGOTTEN_AT_ONCE - 1), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    match &last {
        Some(last) => transaction.prepare_cached(FORGET_THROUGH)?.execute((last.0, last.1, &last.2))?,
        None => transaction.prepare_cached(FORGET_BELOW)?.execute([day])?,
    };
    Ok(last.is_none())
}

fn fact_row(row: &Row<'_>, cid: ConversationId) -> Result<FactRow, Fault> {
    let read = FactRow {
        cid,
        seq: Seq(uncounted(row.get(0)?)?),
        n: N(uncounted(row.get(1)?)?),
        fact: Bytes::copy_from_slice(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?),
        replaces: false,
    };
    if row.get::<_, i64>(3)? != fact_checksum(&read) {
        return Err(Fault::damaged(format!("the history row of seq {} of {cid} is damaged", read.seq)));
    }
    Ok(read)
}

fn key_row(row: &Row<'_>, day: u32, key: u128) -> Result<KeyRow, Fault> {
    let read = KeyRow {
        key,
        day,
        n: N(uncounted(row.get(0)?)?),
        seq: Seq(uncounted(row.get(1)?)?),
        request_hash: row.get::<_, i64>(2)?.cast_unsigned(),
    };
    if row.get::<_, i64>(3)? != key_checksum(&read) {
        return Err(Fault::damaged(format!("the row of key {key:032x} of day {day} is damaged")));
    }
    Ok(read)
}

fn fact_checksum(row: &FactRow) -> i64 {
    checksum(&[&row.cid.0, &row.seq.0.to_le_bytes(), &row.n.0.to_le_bytes(), &row.fact])
}

fn key_checksum(row: &KeyRow) -> i64 {
    let (n, seq, hash) = (row.n.0.to_le_bytes(), row.seq.0.to_le_bytes(), row.request_hash.to_le_bytes());
    checksum(&[&row.key.to_le_bytes(), &row.day.to_le_bytes(), &n, &seq, &hash])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anser_core::ports::history_conformance::{HistoryFactory, check_history};
    use anser_core::ports::log_conformance::block_on;

    use super::*;

    struct Folder(PathBuf);

    impl HistoryFactory for Folder {
        fn open(&self) -> Arc<dyn History> {
            Arc::new(SqliteHistory::open(&self.0).unwrap())
        }
    }

    #[test]
    fn conforms() {
        let mut folders = Vec::new();
        check_history(&mut || {
            let folder = tempfile::tempdir().unwrap();
            let factory = Folder(folder.path().to_owned());
            folders.push(folder);
            Box::new(factory)
        });
    }

    #[test]
    fn no_query_walks_through_everything() {
        let folder = tempfile::tempdir().unwrap();
        let queries = [GET_OLDEST, GET_NEWEST, GET_KEY, LAST_FORGOTTEN, FORGET_THROUGH, FORGET_BELOW];
        sqlite::tests::assert_searches(folder.path(), &SCHEMA, &queries);
    }

    #[test]
    fn many_keys_are_forgotten_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let history = SqliteHistory::open(folder.path()).unwrap();
        let count = 2 * KEYS_FORGOTTEN_AT_ONCE as u64 + 5;
        let key = |at: u64| KeyRow {
            key: u128::from(at),
            day: 100 + (at % 3) as u32,
            n: N(at + 1),
            seq: Seq(at + 1),
            request_hash: at,
        };
        let keys: Vec<KeyRow> = (0..count).map(key).collect();
        let batch = HistoryBatch { slot: Slot(1), through: N(count), facts: Vec::new(), keys: keys.clone() };
        block_on(history.flush(vec![batch])).unwrap();
        block_on(history.forget_keys(102)).unwrap();
        let asked = keys.iter().map(|row| (row.day, row.key)).collect();
        let found = block_on(history.keys(Slot(1), asked)).unwrap();
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found, (key.day == 102).then_some(*key));
        }
    }

    #[test]
    fn a_damaged_row_is_never_served() {
        let folder = tempfile::tempdir().unwrap();
        let history = SqliteHistory::open(folder.path()).unwrap();
        let (slot, cid) = (Slot(4), ConversationId([1; 16]));
        let fact =
            FactRow { cid, seq: Seq(1), n: N(1), fact: Bytes::from_static(b"a fact"), replaces: false };
        let key = KeyRow { key: 3, day: 5, n: N(1), seq: Seq(1), request_hash: u64::MAX };
        let batch = HistoryBatch { slot, through: N(1), facts: vec![fact], keys: vec![key] };
        block_on(history.flush(vec![batch])).unwrap();
        let damage = "UPDATE fact SET fact = x'61206661637a'; UPDATE key SET request_hash = 1;";
        rusqlite::Connection::open(folder.path().join(SCHEMA.file)).unwrap().execute_batch(damage).unwrap();
        let range = HistoryRange { cid, low: Seq(1), high: Seq(9), limit: 10, newest_first: false };
        assert!(matches!(block_on(history.range(slot, range)), Err(StoreError::Damaged(_))));
        assert!(matches!(block_on(history.keys(slot, vec![(5, 3)])), Err(StoreError::Damaged(_))));
    }
}
