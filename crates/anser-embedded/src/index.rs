//! The `Index` port on SQLite: conversations and members, and what changed since when.

use std::path::Path;

use anser_core::ports::index::{ConversationRow, ConversationRows, Index, IndexBatch, MemberRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{AccountId, ConversationId, N, Slot};
use bytes::Bytes;
use rusqlite::{Row, Transaction};

use crate::sqlite::{self, Database, Fault, Schema, checksum, counted, port_answer, uncounted};

/// A member's n stands in its row and not in the second index, so that a read mark, the most frequent
/// change of all, touches one tree; an account has few conversations in one slot.
const SCHEMA: Schema = Schema {
    file: "index.sqlite",
    steps: &["
        CREATE TABLE checkpoint (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE conversation (
            slot INTEGER NOT NULL, cid BLOB NOT NULL,
            n_shared INTEGER NOT NULL, n_receipts INTEGER NOT NULL,
            state BLOB NOT NULL, crc INTEGER NOT NULL,
            PRIMARY KEY (slot, cid)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE member (
            slot INTEGER NOT NULL, cid BLOB NOT NULL, account INTEGER NOT NULL,
            n INTEGER NOT NULL, present INTEGER NOT NULL,
            state BLOB NOT NULL, crc INTEGER NOT NULL,
            PRIMARY KEY (slot, cid, account)
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX member_by_account ON member (account, slot, cid);
    "],
};

const PUT_CONVERSATION: &str = "
    INSERT INTO conversation (slot, cid, n_shared, n_receipts, state, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (slot, cid) DO UPDATE SET n_shared = excluded.n_shared, n_receipts = excluded.n_receipts,
        state = excluded.state, crc = excluded.crc
    WHERE max(excluded.n_shared, excluded.n_receipts) >= max(n_shared, n_receipts)";

const PUT_MEMBER: &str = "
    INSERT INTO member (slot, cid, account, n, present, state, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (slot, cid, account) DO UPDATE SET n = excluded.n, present = excluded.present,
        state = excluded.state, crc = excluded.crc
    WHERE excluded.n >= n";

const GET_CONVERSATION: &str = "
    SELECT cid, n_shared, n_receipts, state, crc FROM conversation WHERE slot = ?1 AND cid = ?2";

const GET_MEMBERS: &str = "
    SELECT cid, account, n, present, state, crc FROM member WHERE slot = ?1 AND cid = ?2 ORDER BY account";

const GET_CHANGED: &str = "
    SELECT c.cid, c.n_shared, c.n_receipts, c.state, c.crc, m.cid, m.account, m.n, m.present, m.state, m.crc
    FROM member AS m JOIN conversation AS c ON c.slot = m.slot AND c.cid = m.cid
    WHERE m.account = ?2 AND m.slot = ?1
        AND (m.n > ?3 OR (m.present = 1 AND (c.n_shared > ?3 OR c.n_receipts > ?3)))
    ORDER BY m.cid";

/// The index of an installation on one machine.
pub struct SqliteIndex {
    database: Database,
}

impl SqliteIndex {
    /// Opens the index in `folder`, or makes an empty one there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(SqliteIndex { database: Database::open(folder, &SCHEMA)? })
    }
}

impl Index for SqliteIndex {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        port_answer(self.database.read(sqlite::checkpoints))
    }

    fn load(
        &self,
        slot: Slot,
        cids: Vec<ConversationId>,
    ) -> PortFuture<Result<Vec<Option<ConversationRows>>, StoreError>> {
        port_answer(
            self.database
                .read(move |snapshot| cids.into_iter().map(|cid| load_one(snapshot, slot, cid)).collect()),
        )
    }

    fn changed(
        &self,
        slot: Slot,
        account: AccountId,
        after: N,
    ) -> PortFuture<Result<Vec<(ConversationRow, MemberRow)>, StoreError>> {
        port_answer(self.database.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_CHANGED)?;
            let mut rows = statement.query((slot.0, account.0.cast_signed(), counted(after.0)))?;
            let mut changed = Vec::new();
            while let Some(row) = rows.next()? {
                changed.push((conversation_row(row)?, member_row(row, 5)?));
            }
            Ok(changed)
        }))
    }

    fn flush(&self, batches: Vec<IndexBatch>) -> PortFuture<Result<(), StoreError>> {
        port_answer(
            self.database
                .write(move |transaction| batches.iter().try_for_each(|batch| fold(transaction, batch))),
        )
    }
}

fn load_one(
    snapshot: &Transaction<'_>,
    slot: Slot,
    cid: ConversationId,
) -> Result<Option<ConversationRows>, Fault> {
    let mut statement = snapshot.prepare_cached(GET_CONVERSATION)?;
    let mut rows = statement.query((slot.0, cid.0))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let conversation = conversation_row(row)?;
    let mut statement = snapshot.prepare_cached(GET_MEMBERS)?;
    let mut rows = statement.query((slot.0, cid.0))?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(member_row(row, 0)?);
    }
    Ok(Some(ConversationRows { conversation, members }))
}

fn fold(transaction: &Transaction<'_>, batch: &IndexBatch) -> Result<(), Fault> {
    if !sqlite::raise_checkpoint(transaction, batch.slot, batch.through)? {
        return Ok(());
    }
    let slot = batch.slot.0;
    let mut put = transaction.prepare_cached(PUT_CONVERSATION)?;
    for row in &batch.conversations {
        let (n_shared, n_receipts) = (counted(row.n_shared.0), counted(row.n_receipts.0));
        put.execute((slot, row.cid.0, n_shared, n_receipts, &row.state[..], conversation_checksum(row)))?;
    }
    let mut put = transaction.prepare_cached(PUT_MEMBER)?;
    for row in &batch.members {
        let (account, n) = (row.account.0.cast_signed(), counted(row.n.0));
        put.execute((slot, row.cid.0, account, n, row.present, &row.state[..], member_checksum(row)))?;
    }
    Ok(())
}

fn conversation_row(row: &Row<'_>) -> Result<ConversationRow, Fault> {
    let read = ConversationRow {
        cid: ConversationId(row.get(0)?),
        n_shared: N(uncounted(row.get(1)?)?),
        n_receipts: N(uncounted(row.get(2)?)?),
        state: Bytes::copy_from_slice(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?),
    };
    if row.get::<_, i64>(4)? != conversation_checksum(&read) {
        return Err(Fault::damaged(format!("the index row of conversation {} is damaged", read.cid)));
    }
    Ok(read)
}

/// Reads a member's row whose columns begin at `first`.
fn member_row(row: &Row<'_>, first: usize) -> Result<MemberRow, Fault> {
    let read = MemberRow {
        cid: ConversationId(row.get(first)?),
        account: AccountId(row.get::<_, i64>(first + 1)?.cast_unsigned()),
        n: N(uncounted(row.get(first + 2)?)?),
        present: row.get(first + 3)?,
        state: Bytes::copy_from_slice(row.get_ref(first + 4)?.as_blob().map_err(rusqlite::Error::from)?),
    };
    if row.get::<_, i64>(first + 5)? != member_checksum(&read) {
        let (account, cid) = (read.account, read.cid);
        return Err(Fault::damaged(format!("the index row of member {account} of {cid} is damaged")));
    }
    Ok(read)
}

fn conversation_checksum(row: &ConversationRow) -> i64 {
    let (shared, receipts) = (row.n_shared.0.to_le_bytes(), row.n_receipts.0.to_le_bytes());
    checksum(&[&row.cid.0, &shared, &receipts, &row.state])
}

fn member_checksum(row: &MemberRow) -> i64 {
    let (account, n) = (row.account.0.to_le_bytes(), row.n.0.to_le_bytes());
    checksum(&[&row.cid.0, &account, &n, &[u8::from(row.present)], &row.state])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use anser_core::ports::index_conformance::{IndexFactory, check_index};
    use anser_core::ports::log_conformance::block_on;

    use super::*;

    struct Folder(PathBuf);

    impl IndexFactory for Folder {
        fn open(&self) -> Arc<dyn Index> {
            Arc::new(SqliteIndex::open(&self.0).unwrap())
        }
    }

    #[test]
    fn conforms() {
        let mut folders = Vec::new();
        check_index(&mut || {
            let folder = tempfile::tempdir().unwrap();
            let factory = Folder(folder.path().to_owned());
            folders.push(folder);
            Box::new(factory)
        });
    }

    #[test]
    fn no_query_walks_through_everything() {
        let folder = tempfile::tempdir().unwrap();
        let queries = [GET_CONVERSATION, GET_MEMBERS, GET_CHANGED];
        sqlite::tests::assert_searches(folder.path(), &SCHEMA, &queries);
    }

    #[test]
    fn a_damaged_row_is_never_served() {
        let folder = tempfile::tempdir().unwrap();
        let (slot, cid, account) = (Slot(9), ConversationId([7; 16]), AccountId(5));
        let conversation =
            ConversationRow { cid, n_shared: N(1), n_receipts: N(0), state: Bytes::from_static(b"group") };
        let member = MemberRow { cid, account, n: N(1), present: true, state: Bytes::from_static(b"mine") };
        let batch =
            IndexBatch { slot, through: N(1), conversations: vec![conversation], members: vec![member] };
        for damage in ["UPDATE conversation SET state = x'00'", "UPDATE member SET present = 0"] {
            let index = SqliteIndex::open(folder.path()).unwrap();
            block_on(index.flush(vec![batch.clone()])).unwrap();
            assert!(block_on(index.load(slot, vec![cid])).is_ok());
            rusqlite::Connection::open(folder.path().join(SCHEMA.file))
                .unwrap()
                .execute_batch(damage)
                .unwrap();
            let error = block_on(index.load(slot, vec![cid])).unwrap_err();
            assert!(matches!(error, StoreError::Damaged(_)), "{damage}: {error}");
            assert!(block_on(index.changed(slot, account, N(0))).is_err(), "{damage}");
        }
    }
}
