//! Carrying over a history that an earlier version of this program kept in SQLite: it is read in order and written as
//! segments, and goes once the manifest that names them is durable.

use std::path::Path;

use anser_core::ports::StoreError;
use anser_core::ports::disk::Disk;
use anser_core::ports::history::{FactRow, KeyRow};
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};

use super::error::HistoryError;
use super::manifest::{Entry, Manifest, is_segment};
use super::options::HistoryOptions;
use super::rows::{Kind, Row};
use super::writer::TableWriter;
use crate::sqlite::{self, Fault, checksum, uncounted};

/// The file in the data folder, and what SQLite puts beside it.
const FILE: &str = "history.sqlite";
const BESIDE: [&str; 2] = ["history.sqlite-wal", "history.sqlite-shm"];
/// The only version of its tables that was ever released.
const SCHEMA_VERSION: i64 = 1;
/// A row takes at least so many bytes there: says how large a filter may have to be.
const ROW_BYTES_LEAST: u64 = 64;
/// Prefixes that a filter is made for at most, which is some 100 MiB; beyond that it lets more through.
const PREFIXES_MAX: u64 = 64 * 1024 * 1024;
/// After so many rows the operator is told how far it is.
const ROWS_TOLD: u64 = 1_000_000;
/// Rows of one flush and segments of one tier, as they usually are: says which level so many rows belong to.
const FLUSH_ROWS: u64 = 20_000;
const TIER_SEGMENTS: u64 = 12;

const FACTS: &str = "SELECT slot, cid, seq, n, fact, crc FROM fact ORDER BY slot, cid, seq";
const KEYS: &str = "SELECT day, slot, key, n, seq, request_hash, crc FROM key ORDER BY day, slot, key";

/// Rewrites the SQLite history of the data folder `data`, if it has one, into `disk`. Until that is complete nothing
/// counts, and the next try begins anew. Blocks while it does.
///
/// # Errors
/// The old history is damaged or of an unknown version, or the new one cannot be written; and both are
/// there, and the old one is ahead: then an older program has run on this folder since.
pub fn carry_over(data: &Path, disk: &dyn Disk, options: &HistoryOptions) -> Result<(), StoreError> {
    let path = data.join(FILE);
    if !path.is_file() {
        return Ok(());
    }
    let reading = |error| StoreError::from(Fault::from(error));
    let mut connection = sqlite::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(reading)?;
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(reading)?;
    if version > SCHEMA_VERSION {
        return Err(StoreError::Damaged(format!(
            "{FILE} has schema version {version}, this program knows versions up to {SCHEMA_VERSION}: \
             use the newer program"
        )));
    }
    // One that was made and never given tables holds nothing.
    if version == SCHEMA_VERSION {
        let snapshot = connection.transaction().map_err(reading)?;
        let checkpoints = sqlite::checkpoints(&snapshot)?;
        match Manifest::read(disk)? {
            Some(manifest) => refuse_ahead(&checkpoints, &manifest)?,
            None => rewrite(&snapshot, checkpoints, disk, options, &path)?,
        }
    }
    connection.close().map_err(|(_, error)| reading(error))?;
    remove(data, &path)
}

/// What is left of a carrying over that was completed goes; what an older program wrote since does not.
fn refuse_ahead(checkpoints: &[N], manifest: &Manifest) -> Result<(), StoreError> {
    match checkpoints.iter().zip(&manifest.checkpoints).any(|(old, new)| old > new) {
        false => Ok(()),
        true => Err(StoreError::Damaged(format!(
            "an older version of this program has written {FILE} after the history was carried over to the \
             folder history: move one of them away"
        ))),
    }
}

fn remove(data: &Path, path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    // Without its write-ahead log a database is an older one, so it goes first.
    std::fs::remove_file(path).map_err(failed)?;
    for name in BESIDE {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    std::fs::File::open(data).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn rewrite(
    snapshot: &Connection,
    checkpoints: Vec<N>,
    disk: &dyn Disk,
    options: &HistoryOptions,
    path: &Path,
) -> Result<(), StoreError> {
    let listing = |source| HistoryError::Reading { file: "history".into(), source };
    for name in disk.list().map_err(listing)?.iter().filter(|name| is_segment(name)) {
        // Of a try that was not finished.
        disk.remove(name).map_err(HistoryError::writing(format!("removing history/{name}")))?;
    }
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    tracing::info!(bytes, "carrying the history over from {FILE} to the folder history");
    let prefixes = (bytes / ROW_BYTES_LEAST).clamp(1, PREFIXES_MAX) as usize;
    let mut entries = Vec::new();
    for (kind, number) in [(Kind::Facts, 1), (Kind::Keys, 2)] {
        let table = TableWriter::create(disk, options, kind, number, prefixes)?;
        entries.extend(rewrite_kind(snapshot, disk, kind, number, table)?);
    }
    let manifest = Manifest { checkpoints, next_number: 3, entries };
    manifest.write(disk, false)?;
    let rows: u64 = manifest.entries.iter().map(|entry| entry.rows).sum();
    tracing::info!(rows, "the history is carried over");
    Ok(())
}

/// Writes all rows of one kind; `None` where there is none.
fn rewrite_kind(
    snapshot: &Connection,
    disk: &dyn Disk,
    kind: Kind,
    number: u64,
    mut table: TableWriter,
) -> Result<Option<Entry>, StoreError> {
    let reading = |error| StoreError::from(Fault::from(error));
    let sql = match kind {
        Kind::Facts => FACTS,
        Kind::Keys => KEYS,
    };
    let mut statement = snapshot.prepare(sql).map_err(reading)?;
    let mut rows = statement.query([]).map_err(reading)?;
    while let Some(row) = rows.next().map_err(reading)? {
        let row = match kind {
            Kind::Facts => fact(row)?,
            Kind::Keys => key(row)?,
        };
        table.add(&row)?;
        if table.rows().is_multiple_of(ROWS_TOLD) {
            tracing::info!(rows = table.rows(), ?kind, "carrying the history over");
        }
    }
    if table.rows() == 0 {
        _ = disk.remove(&super::manifest::file_name(kind, number));
        return Ok(None);
    }
    let written = table.finish(&[])?;
    Ok(Some(Entry {
        kind,
        level: level_of(written.rows),
        number,
        newest: number,
        bytes: written.bytes,
        rows: written.rows,
        day_low: written.days.0,
        day_high: written.days.1,
        forgotten_below: 0,
        rewritten_since_ms: 0,
    }))
}

/// The level whose segments usually have so many rows.
fn level_of(rows: u64) -> u8 {
    let flushes = (rows / FLUSH_ROWS).max(1);
    flushes.ilog(TIER_SEGMENTS) as u8
}

fn fact(row: &rusqlite::Row<'_>) -> Result<Row, Fault> {
    let slot = Slot(row.get(0)?);
    let read = FactRow {
        cid: ConversationId(row.get(1)?),
        seq: Seq(uncounted(row.get(2)?)?),
        n: N(uncounted(row.get(3)?)?),
        fact: Bytes::copy_from_slice(row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?),
        replaces: false,
    };
    let (seq, n) = (read.seq.0.to_le_bytes(), read.n.0.to_le_bytes());
    if row.get::<_, i64>(5)? != checksum(&[&read.cid.0, &seq, &n, &read.fact]) {
        let (seq, cid) = (read.seq, read.cid);
        return Err(Fault::damaged(format!("{FILE}: the row of seq {seq} of {cid} is damaged")));
    }
    Ok(Row::of_fact(slot, read))
}

fn key(row: &rusqlite::Row<'_>) -> Result<Row, Fault> {
    let read = KeyRow {
        day: row.get(0)?,
        key: u128::from_be_bytes(row.get(2)?),
        n: N(uncounted(row.get(3)?)?),
        seq: Seq(uncounted(row.get(4)?)?),
        request_hash: row.get::<_, i64>(5)?.cast_unsigned(),
    };
    let slot = Slot(row.get(1)?);
    let (n, seq, hash) = (read.n.0.to_le_bytes(), read.seq.0.to_le_bytes(), read.request_hash.to_le_bytes());
    if row.get::<_, i64>(6)? != checksum(&[&read.key.to_le_bytes(), &read.day.to_le_bytes(), &n, &seq, &hash])
    {
        let (day, key) = (read.day, read.key);
        return Err(Fault::damaged(format!("{FILE}: the row of key {key:032x} of day {day} is damaged")));
    }
    Ok(Row::of_key(slot, &read))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use anser_core::ports::history::HistoryRange;

    use super::*;
    use crate::disk::FolderDisk;
    use crate::history::SteppedHistory;

    /// The tables as version 0.1 made them.
    const SCHEMA: &str = "
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
        PRAGMA user_version = 1;";
    const CID: ConversationId = ConversationId([8; 16]);
    const FACT: &[u8] = b"what was said";

    /// An old history as a killed process leaves it: with its write-ahead log.
    fn old(data: &Path, through: i64) {
        let path = data.join(FILE);
        let connection =
            sqlite::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
                .unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute("INSERT INTO checkpoint VALUES (3, ?1)", [through]).unwrap();
        for seq in 1..=40_u64 {
            let crc = checksum(&[&CID.0, &seq.to_le_bytes(), &(seq + 1).to_le_bytes(), FACT]);
            connection
                .execute(
                    "INSERT INTO fact VALUES (3, ?1, ?2, ?3, ?4, ?5)",
                    (CID.0, seq as i64, seq as i64 + 1, FACT, crc),
                )
                .unwrap();
            let (key, day) = (u128::from(seq) << 70, 20_000 + (seq % 3) as u32);
            let hash = u64::MAX - seq;
            let crc = checksum(&[
                &key.to_le_bytes(),
                &day.to_le_bytes(),
                &(seq + 1).to_le_bytes(),
                &seq.to_le_bytes(),
                &hash.to_le_bytes(),
            ]);
            connection
                .execute(
                    "INSERT INTO key VALUES (?1, 3, ?2, ?3, ?4, ?5, ?6)",
                    (day, key.to_be_bytes(), seq as i64 + 1, seq as i64, hash.cast_signed(), crc),
                )
                .unwrap();
        }
        // A copy with its log: what is closed in order has none.
        for name in [FILE, BESIDE[0]] {
            std::fs::copy(data.join(name), data.join(format!("{name}.kept"))).unwrap();
        }
        drop(connection);
        for name in [FILE, BESIDE[0]] {
            std::fs::rename(data.join(format!("{name}.kept")), data.join(name)).unwrap();
        }
    }

    fn carried(data: &Path) -> Result<SteppedHistory, StoreError> {
        let disk = Arc::new(FolderDisk::open(&data.join("history")).unwrap());
        carry_over(data, &*disk, &HistoryOptions::usual())?;
        Ok(SteppedHistory::open(disk, HistoryOptions::usual())?)
    }

    #[test]
    fn everything_is_carried_over_and_the_old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        old(data, 41);
        // A try that was cut off.
        std::fs::create_dir(data.join("history")).unwrap();
        std::fs::write(data.join("history/000000000001.facts"), "half").unwrap();
        for _ in 0..2 {
            let history = carried(data).unwrap();
            assert_eq!(history.checkpoints()[3], N(41));
            let range = HistoryRange { cid: CID, low: Seq(0), high: Seq(99), limit: 99, newest_first: false };
            let rows = history.range(Slot(3), &range).unwrap();
            assert_eq!(rows.len(), 40);
            assert!(rows.iter().zip(1..).all(|(row, seq)| row.seq == Seq(seq) && row.fact == FACT));
            for seq in 1..=40_u64 {
                let key = history.key(20_000 + (seq % 3) as u32, Slot(3), u128::from(seq) << 70).unwrap();
                assert_eq!(key.map(|key| (key.seq, key.request_hash)), Some((Seq(seq), u64::MAX - seq)));
            }
            let left = std::fs::read_dir(data).unwrap().count();
            assert_eq!(left, 1, "the folder history alone");
        }
    }

    #[test]
    fn an_old_history_that_is_ahead_or_damaged_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        old(data, 41);
        drop(carried(data).unwrap());
        old(data, 50);
        let Err(error) = carried(data) else { panic!("an older program was there") };
        assert!(error.to_string().contains("older version"), "{error}");
        assert!(data.join(FILE).is_file());
        std::fs::remove_dir_all(data.join("history")).unwrap();
        let connection = Connection::open(data.join(FILE)).unwrap();
        connection.execute("UPDATE fact SET n = 77 WHERE seq = 5", []).unwrap();
        drop(connection);
        let Err(error) = carried(data) else { panic!("a row is damaged") };
        assert!(error.to_string().contains("seq 5"), "{error}");
        assert!(data.join(FILE).is_file());
        let connection = Connection::open(data.join(FILE)).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let Err(error) = carried(data) else { panic!("a newer version") };
        assert!(error.to_string().contains("99") && error.to_string().contains("newer"), "{error}");
    }
}
