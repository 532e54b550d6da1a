//! The `History` port on SQLite, as it was shipped before: one transaction for each flush, in the write-ahead log's mode.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::rows::answer;

/// Its file.
pub const FILE: &str = "history.sqlite";
/// Pages in the write-ahead log after which it is copied into the file.
const CHECKPOINT_PAGES: i64 = 4_000;
/// Page cache of each connection, in KiB.
const CACHE_KIB: i64 = 16 * 1024;
/// Keys that one transaction forgets.
const KEYS_FORGOTTEN_AT_ONCE: i64 = 20_000;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS checkpoint (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS fact (
        slot INTEGER NOT NULL, cid BLOB NOT NULL, seq INTEGER NOT NULL,
        n INTEGER NOT NULL, fact BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (slot, cid, seq)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS key (
        day INTEGER NOT NULL, slot INTEGER NOT NULL, key BLOB NOT NULL,
        n INTEGER NOT NULL, seq INTEGER NOT NULL, request_hash INTEGER NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (day, slot, key)
    ) WITHOUT ROWID, STRICT;
    PRAGMA user_version = 1;";

const RAISE: &str = "
    INSERT INTO checkpoint (slot, n) VALUES (?1, ?2)
    ON CONFLICT (slot) DO UPDATE SET n = excluded.n WHERE excluded.n >= n";

const PUT_FACT: &str = "
    INSERT INTO fact (slot, cid, seq, n, fact, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (slot, cid, seq) DO UPDATE SET n = excluded.n, fact = excluded.fact, crc = excluded.crc
    WHERE excluded.n >= n";

const PUT_KEY: &str = "
    INSERT INTO key (day, slot, key, n, seq, request_hash, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (day, slot, key) DO UPDATE SET n = excluded.n, seq = excluded.seq,
        request_hash = excluded.request_hash, crc = excluded.crc
    WHERE excluded.n >= n";

const GET_OLDEST: &str = "
    SELECT seq, n, fact FROM fact WHERE slot = ?1 AND cid = ?2 AND seq BETWEEN ?3 AND ?4
    ORDER BY seq LIMIT ?5";

const GET_NEWEST: &str = "
    SELECT seq, n, fact FROM fact WHERE slot = ?1 AND cid = ?2 AND seq BETWEEN ?3 AND ?4
    ORDER BY seq DESC LIMIT ?5";

const GET_KEY: &str = "SELECT n, seq, request_hash FROM key WHERE day = ?1 AND slot = ?2 AND key = ?3";

const FORGET_SOME: &str = "
    DELETE FROM key WHERE (day, slot, key) IN
    (SELECT day, slot, key FROM key WHERE day < ?1 ORDER BY day, slot, key LIMIT ?2)";

/// The history in one file.
pub struct SqliteHistory {
    writing: Arc<Mutex<Connection>>,
    reading: Arc<Mutex<Connection>>,
}

impl SqliteHistory {
    /// Opens the history in `folder`, or makes an empty one there.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open(folder: &Path) -> rusqlite::Result<SqliteHistory> {
        let connect = || {
            let connection = Connection::open(folder.join(FILE))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let writing = connect()?;
        writing.execute_batch(SCHEMA)?;
        let reading = Arc::new(Mutex::new(connect()?));
        Ok(SqliteHistory { writing: Arc::new(Mutex::new(writing)), reading })
    }
}

/// Runs `work` in one transaction, where the future is polled.
fn transact<T: Send + 'static>(
    connection: &Arc<Mutex<Connection>>,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
) -> PortFuture<Result<T, StoreError>> {
    let connection = Arc::clone(connection);
    answer(move || {
        let whole = || {
            let mut connection = held(&connection);
            let transaction = connection.transaction()?;
            let value = work(&transaction)?;
            transaction.commit().map(|()| value)
        };
        whole().map_err(|error: rusqlite::Error| StoreError::Damaged(error.to_string()))
    })
}

fn held(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().expect("nothing panics in a transaction")
}

impl History for SqliteHistory {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        transact(&self.reading, |snapshot| {
            let mut through = vec![N(0); Slot::COUNT];
            let mut statement = snapshot.prepare_cached("SELECT slot, n FROM checkpoint")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (slot, n): (u8, i64) = (row.get(0)?, row.get(1)?);
                through[usize::from(slot)] = N(n.cast_unsigned());
            }
            Ok(through)
        })
    }

    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>> {
        transact(&self.reading, move |snapshot| read_range(snapshot, slot, &range))
    }

    fn keys(
        &self,
        slot: Slot,
        keys: Vec<(u32, u128)>,
    ) -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>> {
        transact(&self.reading, move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_KEY)?;
            let one = |(day, key): (u32, u128)| {
                let read = |row: &rusqlite::Row<'_>| {
                    let (n, seq, hash): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    let (n, seq) = (N(n.cast_unsigned()), Seq(seq.cast_unsigned()));
                    Ok(KeyRow { key, day, n, seq, request_hash: hash.cast_unsigned() })
                };
                statement.query_row((day, slot.0, key.to_be_bytes()), read).optional()
            };
            keys.into_iter().map(one).collect()
        })
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>> {
        transact(&self.writing, move |transaction| {
            batches.iter().try_for_each(|batch| fold(transaction, batch))
        })
    }

    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>> {
        let writing = Arc::clone(&self.writing);
        Box::pin(async move {
            let some = |transaction: &Transaction<'_>, day| {
                transaction.prepare_cached(FORGET_SOME)?.execute((day, KEYS_FORGOTTEN_AT_ONCE))
            };
            while transact(&writing, move |transaction| some(transaction, day)).await? > 0 {}
            Ok(())
        })
    }
}

fn counted(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_range(
    snapshot: &Transaction<'_>,
    slot: Slot,
    range: &HistoryRange,
) -> rusqlite::Result<Vec<FactRow>> {
    let sql = if range.newest_first { GET_NEWEST } else { GET_OLDEST };
    let mut statement = snapshot.prepare_cached(sql)?;
    let (low, high, limit) = (counted(range.low.0), counted(range.high.0), counted(range.limit as u64));
    let mut rows = statement.query((slot.0, range.cid.0, low, high, limit))?;
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, n): (i64, i64) = (row.get(0)?, row.get(1)?);
        let fact = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
        let (seq, n) = (Seq(seq.cast_unsigned()), N(n.cast_unsigned()));
        read.push(FactRow { cid: range.cid, seq, n, fact, replaces: false });
    }
    if range.newest_first {
        read.reverse();
    }
    Ok(read)
}

fn fold(transaction: &Transaction<'_>, batch: &HistoryBatch) -> rusqlite::Result<()> {
    let slot = batch.slot.0;
    if transaction.prepare_cached(RAISE)?.execute((slot, counted(batch.through.0)))? == 0 {
        return Ok(());
    }
    let mut put = transaction.prepare_cached(PUT_FACT)?;
    for row in &batch.facts {
        let crc = fact_checksum(row.cid, row);
        put.execute((slot, row.cid.0, counted(row.seq.0), counted(row.n.0), &row.fact[..], crc))?;
    }
    // In the order of the tree, so that neighbours meet the same page.
    let mut keys: Vec<&KeyRow> = batch.keys.iter().collect();
    keys.sort_unstable_by_key(|row| (row.day, row.key));
    let mut put = transaction.prepare_cached(PUT_KEY)?;
    for row in keys {
        let (n, seq, hash) = (counted(row.n.0), counted(row.seq.0), row.request_hash.cast_signed());
        put.execute((row.day, slot, row.key.to_be_bytes(), n, seq, hash, key_checksum(row)))?;
    }
    Ok(())
}

/// As the shipped one computed it: a folder that this writes can be carried over.
fn checksum(parts: &[&[u8]]) -> i64 {
    let whole = parts.iter().fold(0, |crc, part| {
        let crc = crc32c::crc32c_append(crc, &(part.len() as u64).to_le_bytes());
        crc32c::crc32c_append(crc, part)
    });
    i64::from(whole)
}

fn fact_checksum(cid: ConversationId, row: &FactRow) -> i64 {
    checksum(&[&cid.0, &row.seq.0.to_le_bytes(), &row.n.0.to_le_bytes(), &row.fact])
}

fn key_checksum(row: &KeyRow) -> i64 {
    let (n, seq, hash) = (row.n.0.to_le_bytes(), row.seq.0.to_le_bytes(), row.request_hash.to_le_bytes());
    checksum(&[&row.key.to_le_bytes(), &row.day.to_le_bytes(), &n, &seq, &hash])
}
