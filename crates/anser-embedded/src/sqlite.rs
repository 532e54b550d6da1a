//! What every store on SQLite shares: one thread that writes, a few that read, and what errors mean.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anser_core::ports::{PortFuture, StoreError};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

/// Threads that read, for each store.
const READER_THREADS: usize = 2;
/// Calls that may wait for the writing thread. A flush comes once a second, so a longer queue would
/// only hide that the disk does not keep up.
const WRITES_WAITING: usize = 256;
/// Calls that may wait for a reading thread.
const READS_WAITING: usize = 1_024;
/// Statements that each connection keeps prepared.
const STATEMENTS_CACHED: usize = 64;
/// How long to wait for a lock that another process (a backup) holds.
const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Pages in the write-ahead log after which it is copied into the file.
const CHECKPOINT_PAGES: i64 = 4_000;
/// Bytes to which the write-ahead log is cut back after a large flush.
const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;
/// Page cache of each connection, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// The shape of one store: its file, and the steps that make its tables. `PRAGMA user_version`
/// counts the steps that a file has seen, so a step once released never changes.
pub(crate) struct Schema {
    /// Name of the file in the folder.
    pub file: &'static str,
    /// Each step takes the tables from one version to the next.
    pub steps: &'static [&'static str],
}

/// Why a piece of work on a connection failed.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What the caller is told.
    pub error: StoreError,
    /// Whether the medium failed under us, so that what was synced before is no longer known.
    medium_failed: bool,
}

impl Fault {
    /// What was read is not what was written.
    pub fn damaged(what: impl Into<String>) -> Self {
        Fault { error: StoreError::Damaged(what.into()), medium_failed: false }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        /// Extended code of a failure to grow the shared-memory file, for want of space.
        const IOERR_SHMSIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
        let message = error.to_string();
        let Some(failure) = error.sqlite_error() else {
            // A column of another type than was written, or a statement that is wrong.
            return Fault::damaged(message);
        };
        let (error, medium_failed) = match (failure.code, failure.extended_code) {
            (ErrorCode::DiskFull, _) | (_, IOERR_SHMSIZE) => (StoreError::NoSpace(message), false),
            (
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged,
                _,
            ) => (StoreError::Unavailable(message), false),
            (ErrorCode::SystemIoFailure, _) => (StoreError::Damaged(message), true),
            // Corrupt, no database, read-only, constraint, misuse: another try meets the same.
            _ => (StoreError::Damaged(message), false),
        };
        Fault { error, medium_failed }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// The error of one store's work: a fault, or a refusal of the store's own.
pub(crate) trait Failure: From<Fault> + Send + 'static {
    /// The fault, if it is one.
    fn fault(&self) -> Option<&Fault>;
}

impl Failure for Fault {
    fn fault(&self) -> Option<&Fault> {
        Some(self)
    }
}

type Job = Box<dyn FnOnce(&mut Seat) + Send>;

/// What one thread works with.
struct Seat {
    connection: Connection,
    /// Set once the medium failed: after that nothing is acknowledged until the store is opened again,
    /// because a second fsync proves nothing about what the first one lost.
    failed: Option<String>,
}

/// A store's file with its threads. Dropping it waits for what is under way.
pub(crate) struct Database {
    writer: Option<SyncSender<Job>>,
    reader: Option<SyncSender<Job>>,
    reader_threads: Vec<JoinHandle<()>>,
    writer_thread: Option<JoinHandle<()>>,
}

impl Database {
    /// Opens or creates the file of `schema` in `folder`, and brings its tables up to date.
    pub fn open(folder: &Path, schema: &Schema) -> Result<Self, StoreError> {
        let path = folder.join(schema.file);
        create_private(&path)?;
        let mut writing = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(Fault::from)?;
        upgrade(&mut writing, schema)?;
        let reading: Vec<Connection> = (0..READER_THREADS)
            .map(|_| connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .collect::<Result<_, _>>()
            .map_err(Fault::from)?;

        let (writer, writes) = sync_channel(WRITES_WAITING);
        let (reader, reads) = sync_channel(READS_WAITING);
        let reads = Arc::new(Mutex::new(reads));
        let mut database = Database {
            writer: Some(writer),
            reader: Some(reader),
            reader_threads: Vec::with_capacity(READER_THREADS),
            writer_thread: None,
        };
        let writes = Arc::new(Mutex::new(writes));
        database.writer_thread = Some(start(format!("{} writer", schema.file), writing, writes)?);
        for connection in reading {
            let thread = start(format!("{} reader", schema.file), connection, Arc::clone(&reads))?;
            database.reader_threads.push(thread);
        }
        Ok(database)
    }

    /// Runs `work` in one transaction, durable when the future resolves with `Ok`. Calls land in the
    /// order in which they were made.
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> PortFuture<Result<T, E>>
    where
        T: Send + 'static,
        E: Failure,
    {
        submit(self.writer.as_ref(), move |seat| {
            if let Some(failed) = &seat.failed {
                return Err(Fault::damaged(format!("an earlier write failed: {failed}")).into());
            }
            let result = in_transaction(&mut seat.connection, TransactionBehavior::Immediate, work);
            if let Err(fault) = &result
                && let Some(fault) = fault.fault()
                && fault.medium_failed
            {
                seat.failed = Some(fault.error.to_string());
            }
            result
        })
    }

    /// Runs `work` on one snapshot of the store.
    pub fn read<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> PortFuture<Result<T, E>>
    where
        T: Send + 'static,
        E: Failure,
    {
        submit(self.reader.as_ref(), move |seat| {
            in_transaction(&mut seat.connection, TransactionBehavior::Deferred, work)
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Readers first: whoever closes last copies the write-ahead log into the file.
        drop(self.reader.take());
        let readers = self.reader_threads.drain(..);
        // A thread that panicked has said so already.
        readers.for_each(|thread| drop(thread.join()));
        drop(self.writer.take());
        self.writer_thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// The same future with the error that a caller of the port sees.
pub(crate) fn port_answer<T: Send + 'static>(
    future: PortFuture<Result<T, Fault>>,
) -> PortFuture<Result<T, StoreError>> {
    Box::pin(async move { future.await.map_err(StoreError::from) })
}

/// A number as SQLite holds it. Everything counted stays below 2⁶³; a larger bound in a query means
/// "to the end".
pub(crate) fn counted(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number that [`counted`] stored.
pub(crate) fn uncounted(stored: i64) -> Result<u64, Fault> {
    u64::try_from(stored).map_err(|_| Fault::damaged(format!("a count of {stored} was found")))
}

/// CRC32C over the parts of a row, each with its length, so that damage by the medium is never served.
pub(crate) fn checksum(parts: &[&[u8]]) -> i64 {
    let whole = parts.iter().fold(0, |crc, part| {
        let crc = crc32c::crc32c_append(crc, &(part.len() as u64).to_le_bytes());
        crc32c::crc32c_append(crc, part)
    });
    i64::from(whole)
}

/// Reads the file's slot checkpoints, in slot order.
pub(crate) fn checkpoints(transaction: &Transaction<'_>) -> Result<Vec<anser_model::N>, Fault> {
    let mut through = vec![anser_model::N(0); anser_model::Slot::COUNT];
    let mut statement = transaction.prepare_cached("SELECT slot, n FROM checkpoint ORDER BY slot")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (slot, n): (u8, i64) = (row.get(0)?, row.get(1)?);
        through[usize::from(slot)] = anser_model::N(uncounted(n)?);
    }
    Ok(through)
}

/// Raises a slot's checkpoint to `through`; `false`, and nothing changed, if it is past that already.
pub(crate) fn raise_checkpoint(
    transaction: &Transaction<'_>,
    slot: anser_model::Slot,
    through: anser_model::N,
) -> Result<bool, Fault> {
    let raised = transaction
        .prepare_cached(
            "INSERT INTO checkpoint (slot, n) VALUES (?1, ?2)
             ON CONFLICT (slot) DO UPDATE SET n = excluded.n WHERE excluded.n >= n",
        )?
        .execute((slot.0, counted(through.0)))?;
    Ok(raised == 1)
}

/// Makes an empty file that only its owner may read, if there is none; SQLite gives the files beside it
/// the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let create = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    create.map(drop).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreError::NoSpace(message)
            }
            _ => StoreError::Unavailable(message),
        }
    })
}

pub(crate) fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    if mode.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A checkpoint that a caller was told is what the log is trimmed by: every commit is synced.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    }
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Applies the steps that the file has not seen; refuses a file from a newer program.
fn upgrade(connection: &mut Connection, schema: &Schema) -> Result<(), Fault> {
    let known = schema.steps.len();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let seen = usize::try_from(found).ok().filter(|&seen| seen <= known).ok_or_else(|| {
        Fault::damaged(format!(
            "{} has schema version {found}, this program knows versions up to {known}: use the newer program",
            schema.file
        ))
    })?;
    for step in &schema.steps[seen..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", counted(known as u64))?;
    Ok(transaction.commit()?)
}

fn start(
    name: String,
    connection: Connection,
    jobs: Arc<Mutex<Receiver<Job>>>,
) -> Result<JoinHandle<()>, StoreError> {
    let work = move || {
        let mut seat = Seat { connection, failed: None };
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match next {
                Ok(job) => job(&mut seat),
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(format!("no thread could be started: {error}")))
}

fn submit<T, E>(
    queue: Option<&SyncSender<Job>>,
    work: impl FnOnce(&mut Seat) -> Result<T, E> + Send + 'static,
) -> PortFuture<Result<T, E>>
where
    T: Send + 'static,
    E: Failure,
{
    let (answer, answered) = oneshot::channel();
    // Whoever asked may have gone; the work was done all the same.
    let job: Job = Box::new(move |seat| drop(answer.send(work(seat))));
    let queue = queue.expect("the queue is there until the store is dropped");
    let refused = match queue.try_send(job) {
        Ok(()) => None,
        Err(TrySendError::Full(_)) => {
            Some(StoreError::Unavailable("too many calls wait for the store".into()))
        }
        Err(TrySendError::Disconnected(_)) => Some(StoreError::Damaged("the store's thread has died".into())),
    };
    Box::pin(async move {
        if let Some(error) = refused {
            return Err(Fault { error, medium_failed: false }.into());
        }
        answered.await.unwrap_or_else(|_| Err(Fault::damaged("the store's thread has died").into()))
    })
}

fn in_transaction<T, E: Failure>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection.transaction_with_behavior(behavior).map_err(Fault::from)?;
    // On an early return the transaction is dropped, which rolls it back.
    let value = work(&transaction)?;
    transaction.commit().map_err(Fault::from)?;
    Ok(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use anser_core::ports::log_conformance::block_on;

    use super::*;

    const NOTES: Schema = Schema {
        file: "notes.sqlite",
        steps: &["CREATE TABLE note (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"],
    };

    /// Fails where `sql` would walk through a whole table or index.
    pub(crate) fn assert_searches(folder: &Path, schema: &Schema, statements: &[&str]) {
        drop(Database::open(folder, schema).unwrap());
        let connection = Connection::open(folder.join(schema.file)).unwrap();
        for sql in statements {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get("detail"))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(!plan.is_empty(), "{sql} reads something");
            for detail in &plan {
                assert!(!detail.starts_with("SCAN"), "{sql}\nwalks through everything: {plan:?}");
                assert!(!detail.contains("TEMP B-TREE"), "{sql}\nsorts: {plan:?}");
            }
        }
    }

    fn insert(database: &Database, bytes: usize) -> Result<(), StoreError> {
        let write = database.write(move |transaction| {
            transaction.execute("INSERT INTO note (body) VALUES (?1)", [vec![7u8; bytes]])?;
            Ok::<_, Fault>(())
        });
        block_on(write).map_err(StoreError::from)
    }

    fn count(database: &Database) -> i64 {
        let read = database.read(|transaction| {
            Ok::<_, Fault>(transaction.query_row("SELECT count(*) FROM note", [], |row| row.get(0))?)
        });
        block_on(read).unwrap()
    }

    #[test]
    fn a_full_disk_is_no_space_and_passes() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &NOTES).unwrap();
        let limit = |pages: i64| {
            block_on(database.write(move |transaction| {
                transaction.pragma_update(None, "max_page_count", pages)?;
                Ok::<_, Fault>(())
            }))
            .unwrap();
        };
        limit(8);
        let error = insert(&database, 100_000).unwrap_err();
        assert!(matches!(error, StoreError::NoSpace(_)), "{error}");
        assert!(error.retry_helps());
        assert_eq!(count(&database), 0, "reads go on, and nothing landed");
        limit(1_000);
        assert_eq!(insert(&database, 100_000), Ok(()));
        assert_eq!(count(&database), 1);
    }

    #[test]
    fn a_newer_file_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::open(folder.path(), &NOTES).unwrap());
        let connection = Connection::open(folder.path().join(NOTES.file)).unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        drop(connection);
        let Err(StoreError::Damaged(message)) = Database::open(folder.path(), &NOTES) else {
            panic!("a newer file is refused")
        };
        assert!(message.contains("version 7") && message.contains("up to 1"), "{message}");
    }

    #[test]
    fn steps_are_applied_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &NOTES).unwrap();
        insert(&database, 1).unwrap();
        drop(database);
        const NEXT: Schema = Schema {
            file: NOTES.file,
            steps: &[NOTES.steps[0], "ALTER TABLE note ADD COLUMN title TEXT NOT NULL DEFAULT ''"],
        };
        for _ in 0..2 {
            assert_eq!(count(&Database::open(folder.path(), &NEXT).unwrap()), 1);
        }
        assert!(Database::open(folder.path(), &NOTES).is_err(), "there is no way back");
    }

    #[test]
    fn a_failed_medium_ends_all_writing() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &NOTES).unwrap();
        let failing = database.write(|_| -> Result<(), Fault> {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            Err(rusqlite::Error::SqliteFailure(code, None).into())
        });
        assert!(matches!(block_on(failing), Err(Fault { medium_failed: true, .. })));
        let error = insert(&database, 1).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(why) if why.contains("an earlier write")), "{error}");
        assert_eq!(count(&database), 0, "reads go on");
    }

    #[test]
    fn a_file_that_is_no_database_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NOTES.file), [9; 8192]).unwrap();
        assert!(matches!(Database::open(folder.path(), &NOTES), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &NOTES).unwrap();
        insert(&database, 1).unwrap();
        let modes: Vec<u32> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o777)
            .collect();
        assert_eq!(modes, vec![0o600; 3], "the file, its write-ahead log and their index");
    }
}
