//! The threads around the store: one flushes, two read, one merges and erases.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anser_core::ports::clock::Clock;
use anser_core::ports::disk::Disk;
use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{N, Slot};
use tokio::sync::oneshot;

use super::carry::carry_over;
use super::erase::Erasing;
use super::error::HistoryError;
use super::options::HistoryOptions;
use super::store::Store;
use crate::disk::{FolderDisk, FolderError};
use crate::pace::{Pace, microseconds};

/// The history's folder in the data folder.
pub const HISTORY_FOLDER: &str = "history";
/// Threads that read.
const READER_THREADS: usize = 2;
/// Calls that may wait for the flushing thread. A flush comes once a second, so a longer queue would
/// only hide that the disk does not keep up.
const WRITES_WAITING: usize = 256;
/// Calls that may wait for a reading thread.
const READS_WAITING: usize = 1_024;
/// How often the merging thread looks whether there is something to erase.
const MERGE_IDLE_MS: u64 = 5_000;
/// After how long it tries again what failed. It may be space that is missing, and others need what is left.
const MERGE_AGAIN_MS: u64 = 60_000;
/// How often a flush that waits for the merging looks whether it still must.
const CROWDED_WAIT: Duration = Duration::from_millis(200);
/// For so long at least the merging thread works before it rests, and so long it rests at most.
const WORK_LEAST: Duration = Duration::from_millis(5);
const REST_MOST: Duration = Duration::from_millis(100);
/// So many times the segments that are due to be merged: then it does not rest.
const BEHIND_TIMES: usize = 2;

type Job = Box<dyn FnOnce(&Shared) + Send>;

/// The history of an installation on one machine: segments in one folder.
pub struct SegmentHistory {
    shared: Arc<Shared>,
    writer: Option<SyncSender<Job>>,
    reader: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share.
struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Something was flushed, merged, or the history is being closed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closing: bool,
    /// A flush is under way: merging waits for it.
    is_flushing: bool,
    /// What the merging met last was an error: nobody waits for it.
    is_stuck: bool,
    /// How often there was something new for the merging.
    news: u64,
}

impl SegmentHistory {
    /// Opens the history in `disk`, making it where there is none, and starts its threads. The exclusive
    /// right to the folder is the disk's to hold.
    ///
    /// # Errors
    /// Each [`HistoryError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: HistoryOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<SegmentHistory, HistoryError> {
        let store = Store::open(disk, options)?;
        let (state, changed) = (Mutex::new(State::default()), Condvar::new());
        let shared = Arc::new(Shared { store, clock, state, changed });
        let (writer, writes) = sync_channel(WRITES_WAITING);
        let (reader, reads) = sync_channel(READS_WAITING);
        let (writes, reads) = (Arc::new(Mutex::new(writes)), Arc::new(Mutex::new(reads)));
        let mut history =
            SegmentHistory { shared, writer: Some(writer), reader: Some(reader), threads: Vec::new() };
        history.start("history-flush", move |shared| work(shared, &writes))?;
        for _ in 0..READER_THREADS {
            let reads = Arc::clone(&reads);
            history.start("history-read", move |shared| work(shared, &reads))?;
        }
        history.start("history-merge", merge)?;
        Ok(history)
    }

    /// Opens the history of the data folder `data`, in a folder of its own there that is this process's alone. One that an
    /// earlier version kept in SQLite is carried over first, which takes a while.
    ///
    /// # Errors
    /// The folder is somebody else's, the history is damaged or of a newer version, or it cannot be written.
    pub fn in_folder(data: &Path, clock: Arc<dyn Clock>) -> Result<SegmentHistory, StoreError> {
        let options = HistoryOptions::usual();
        let unavailable = |error: FolderError| StoreError::Unavailable(error.to_string());
        let disk = FolderDisk::open(&data.join(HISTORY_FOLDER)).map_err(unavailable)?;
        carry_over(data, &disk, &options)?;
        Ok(SegmentHistory::open(Arc::new(disk), options, clock)?)
    }

    fn start(&mut self, name: &str, run: impl FnOnce(&Shared) + Send + 'static) -> Result<(), HistoryError> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(&shared));
        let failed = |error| HistoryError::Unavailable(format!("no thread could be started: {error}"));
        self.threads.push(thread.map_err(failed)?);
        Ok(())
    }
}

impl Drop for SegmentHistory {
    /// What was asked for is still done; a merge that is under way is given up.
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_all();
        (self.writer, self.reader) = (None, None);
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread of the history panicked");
            }
        }
    }
}

impl History for SegmentHistory {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.shared.store.version().checkpoints.clone())))
    }

    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>> {
        submit(self.reader.as_ref(), move |shared| shared.store.version().range(slot, &range))
    }

    fn keys(
        &self,
        slot: Slot,
        keys: Vec<(u32, u128)>,
    ) -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>> {
        submit(self.reader.as_ref(), move |shared| {
            let version = shared.store.version();
            keys.into_iter().map(|(day, key)| version.key(day, slot, key)).collect()
        })
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>> {
        submit(self.writer.as_ref(), move |shared| shared.flush(batches))
    }

    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>> {
        submit(self.writer.as_ref(), move |shared| shared.store.forget_keys(day))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the history's state")
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, longest);
        waited.expect("nothing panics while it holds the history's state").0
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> Result<(), HistoryError> {
        let most = self.store.options.tier_segments_max;
        let mut state = self.state();
        while !state.closing && !state.is_stuck && self.store.version().crowded(most).is_some() {
            if self.store.failed().is_some() {
                break;
            }
            state = self.wait(state, CROWDED_WAIT);
        }
        state.is_flushing = true;
        drop(state);
        let flushing = Flushing(self);
        let flushed = self.store.flush(batches, self.clock.now().0);
        drop(flushing);
        flushed
    }

    /// What a merge does between blocks: whoever flushes goes first, and after some work it rests.
    fn pause(&self, pace: &Pace) -> Result<(), HistoryError> {
        let rest = if self.is_behind() { Duration::ZERO } else { pace.rest_due() };
        let until_us = self.clock.monotonic_us() + microseconds(rest);
        let mut state = self.state();
        let has_to_wait = |state: &State, left_us: u64| !state.closing && (state.is_flushing || left_us > 0);
        let (mut left_us, mut has_waited) = (until_us.saturating_sub(self.clock.monotonic_us()), false);
        while has_to_wait(&state, left_us) {
            state = self.wait(state, if left_us > 0 { Duration::from_micros(left_us) } else { CROWDED_WAIT });
            left_us = until_us.saturating_sub(self.clock.monotonic_us());
            has_waited = true;
        }
        if has_waited {
            pace.go_on();
        }
        match state.closing {
            true => Err(HistoryError::Unavailable("it is being closed".into())),
            false => Ok(()),
        }
    }

    fn is_behind(&self) -> bool {
        let due = self.store.options.tier_segments;
        self.store.version().crowded(BEHIND_TIMES * due).is_some()
    }
}

/// Lets the merging go on when a flush is over, even by a panic.
struct Flushing<'a>(&'a Shared);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_flushing = false;
        state.news += 1;
        self.0.changed.notify_all();
    }
}

/// Merges and erases what is due, until the history is closed or its medium failed.
fn merge(shared: &Shared) {
    let mut erasing = Erasing::default();
    loop {
        let news = {
            let state = shared.state();
            if state.closing || shared.store.failed().is_some() {
                return;
            }
            state.news
        };
        let worked = work_at_merging(shared, &mut erasing);
        let mut state = shared.state();
        state.is_stuck = worked.is_err();
        shared.changed.notify_all();
        match worked {
            Ok(true) => continue,
            Ok(false) => {}
            Err(_) if state.closing => return,
            Err(error) => tracing::warn!(%error, "the history could not be merged"),
        }
        rest(shared, state, news);
    }
}

/// Waits until there may be something to merge or erase: after an error for some time, and else until the next flush.
fn rest(shared: &Shared, mut state: MutexGuard<'_, State>, news: u64) {
    let longest_ms = if state.is_stuck { MERGE_AGAIN_MS } else { MERGE_IDLE_MS };
    let until_ms = shared.clock.monotonic_ms() + longest_ms;
    while !state.closing && (state.is_stuck || state.news == news) {
        let left_ms = until_ms.saturating_sub(shared.clock.monotonic_ms());
        if left_ms == 0 {
            return;
        }
        state = shared.wait(state, Duration::from_millis(left_ms));
    }
}

fn work_at_merging(shared: &Shared, erasing: &mut Erasing) -> Result<bool, HistoryError> {
    let pace = Pace::begin(shared.clock.clone(), WORK_LEAST, REST_MOST);
    let pause = || shared.pause(&pace);
    if shared.store.merge_tier(&pause)? {
        return Ok(true);
    }
    let now_ms = shared.clock.now().0;
    erasing.step(&shared.store, (now_ms, shared.clock.monotonic_ms()), &pause)
}

/// Does what comes through a queue, until that is closed.
fn work(shared: &Shared, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(shared),
            Err(_) => return,
        }
    }
}

fn submit<T: Send + 'static>(
    queue: Option<&SyncSender<Job>>,
    work: impl FnOnce(&Shared) -> Result<T, HistoryError> + Send + 'static,
) -> PortFuture<Result<T, StoreError>> {
    let (answer, answered) = oneshot::channel();
    // Whoever asked may have gone; the work was done all the same.
    let job: Job = Box::new(move |shared| drop(answer.send(work(shared))));
    let queue = queue.expect("the queue is there until the history is dropped");
    let refused = match queue.try_send(job) {
        Ok(()) => None,
        Err(TrySendError::Full(_)) => {
            Some(StoreError::Unavailable("too many calls wait for the history".into()))
        }
        Err(TrySendError::Disconnected(_)) => {
            Some(StoreError::Damaged("the history's thread has died".into()))
        }
    };
    Box::pin(async move {
        match refused {
            Some(error) => Err(error),
            None => match answered.await {
                Ok(done) => done.map_err(StoreError::from),
                Err(_) => Err(StoreError::Damaged("the history's thread has died".into())),
            },
        }
    })
}
