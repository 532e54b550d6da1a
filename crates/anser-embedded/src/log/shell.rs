//! The threads around the heart: one commits, one reads, one prepares the next segment and trims, and
//! one checks after the start what opening did not read.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, mem, thread};

use anser_core::ports::PortFuture;
use anser_core::ports::clock::Clock;
use anser_core::ports::disk::Disk;
use anser_core::ports::log::{AppendError, Log, LogError, SlotHead};
use anser_core::ports::random::Random;
use anser_core::record::{RECORD_PAYLOAD_BYTES, Record};
use anser_model::{N, Slot, Timeline};

use super::catalogue::Catalogue;
use super::error::{OpenError, trying};
use super::heart::Heart;
use super::options::LogOptions;
use super::promise::{Promise, promise};
use super::recover::{Recovered, open};
use super::segment::{Spare, Spares, prepare_spare};
use crate::pace::Pace;

/// Appends that may wait at once. 256 slots with a few batches under way each stay far below.
pub const QUEUED_APPENDS: usize = 8 * 1024;
/// Bytes of appends that may wait at once.
pub const QUEUED_APPEND_BYTES: usize = 64 * 1024 * 1024;
/// Reads that may wait at once.
pub const QUEUED_READS: usize = 1024;
/// Trims that may wait at once.
const QUEUED_TRIMS: usize = 64;
/// After so long without an append, the log notes on the medium that all of it is durable.
const SEAL_AFTER_IDLE_MS: u64 = 1_000;

/// After so long without a read, what was read is no longer kept.
const READ_KEPT_MS: u64 = 1_000;
/// How long the keeper rests at most after each piece of a segment that it prepares.
const REST_MOST: Duration = Duration::from_millis(50);
/// How long the check after a start waits before each segment: those who come back go first.
const CHECK_PAUSE_MS: u64 = 250;

/// The log of an installation that is one machine: segment files in one folder.
pub struct LocalLog {
    timeline: Timeline,
    recovered: Recovered,
    catalogue: Arc<Catalogue>,
    queue: Arc<Queue>,
    reads: Option<SyncSender<Read>>,
    keeper: Option<SyncSender<Task>>,
    desk: Arc<SpareDesk>,
    /// Dropped to end the check.
    checking: Option<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

struct Read {
    slot: Slot,
    from: N,
    limit_bytes: usize,
    answer: Promise<Result<Vec<Record>, LogError>>,
}

/// What the keeper does.
enum Task {
    Prepare(u64),
    Trim(Vec<(Slot, N)>, Promise<Result<(), LogError>>),
}

impl LocalLog {
    /// Opens the log in `disk`, making it where there is none, and starts its threads. Blocks while
    /// it reads what is there. The exclusive right to the folder is the disk's to hold.
    ///
    /// # Errors
    /// Each [`OpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<LocalLog, OpenError> {
        let desk = Arc::new(SpareDesk::default());
        let (keeper, tasks) = sync_channel(QUEUED_TRIMS);
        let spares = SparesAhead { desk: desk.clone(), keeper: keeper.clone() };
        let answering = options.answering;
        let (mut heart, recovered) = open(disk.clone(), options, random, &*clock, Box::new(spares))?;
        heart.foresee();
        let (timeline, catalogue) = (heart.timeline, heart.catalogue.clone());
        let queue = Arc::new(Queue::default());
        let (reads, reading) = sync_channel(QUEUED_READS);
        let (checking, ended) = sync_channel(0);
        let mut log = LocalLog {
            timeline,
            recovered,
            catalogue: catalogue.clone(),
            queue: queue.clone(),
            reads: Some(reads),
            keeper: Some(keeper),
            desk: desk.clone(),
            checking: Some(checking),
            threads: Vec::new(),
        };
        log.start("log-commit", move || commit(&mut heart, &queue, answering))?;
        let shown = catalogue.clone();
        log.start("log-read", move || read(&shown, &reading))?;
        let checked = catalogue.clone();
        log.start("log-check", move || check(&checked, &ended))?;
        log.start("log-keep", move || keep(&Keeper { disk, catalogue, desk, clock }, &tasks))?;
        tracing::info!(
            %timeline, created = recovered.created, segments = recovered.segments, facts = recovered.facts,
            cut_bytes = recovered.cut_bytes, milliseconds = recovered.milliseconds, "the log is open"
        );
        Ok(log)
    }

    /// Which history of the installation it holds.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// What opening found.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// How many segment files there are.
    pub fn segments(&self) -> usize {
        self.catalogue.segments()
    }

    /// Resolves with the reason once nothing may be acknowledged any more. The process must exit: what an
    /// opening would have refused may be found later.
    pub fn broken(&self) -> PortFuture<String> {
        let (catalogue, mut broken) = (self.catalogue.clone(), self.catalogue.watch_broken());
        Box::pin(async move {
            // The sender lives as long as the catalogue, which is held here.
            _ = broken.wait_for(|broken| *broken).await;
            catalogue.broken().cloned().unwrap_or_default()
        })
    }

    fn start(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = thread::Builder::new().name(name.into()).spawn(run);
        self.threads.push(thread.map_err(trying("starting a thread"))?);
        Ok(())
    }
}

impl Log for LocalLog {
    /// # Panics
    /// When the payload is above [`RECORD_PAYLOAD_BYTES`]: a batch is cut before that.
    fn append(&self, record: Record) -> PortFuture<Result<(), AppendError>> {
        assert!(
            record.payload.len() <= RECORD_PAYLOAD_BYTES,
            "a batch is cut before its payload is too large"
        );
        let (answer, promised) = promise(|| Err(AppendError::Unknown("the log was closed".into())));
        self.queue.push(record, answer);
        Box::pin(promised)
    }

    fn heads(&self) -> PortFuture<Result<Vec<SlotHead>, LogError>> {
        Box::pin(std::future::ready(Ok(self.catalogue.heads())))
    }

    fn read(&self, slot: Slot, from: N, limit_bytes: usize) -> PortFuture<Result<Vec<Record>, LogError>> {
        let (answer, promised) = promise(|| Err(LogError::Unavailable("the log was closed".into())));
        let read = Read { slot, from, limit_bytes, answer };
        let reads = self.reads.as_ref().expect("open until dropped");
        if let Err(TrySendError::Full(read)) = reads.try_send(read) {
            read.answer
                .keep(Err(LogError::Unavailable(format!("{QUEUED_READS} reads of the log wait already"))));
        }
        Box::pin(promised)
    }

    fn trim(&self, below: Vec<(Slot, N)>) -> PortFuture<Result<(), LogError>> {
        let (answer, promised) = promise(|| Err(LogError::Unavailable("the log was closed".into())));
        let keeper = self.keeper.as_ref().expect("open until dropped");
        if let Err(TrySendError::Full(Task::Trim(_, answer))) = keeper.try_send(Task::Trim(below, answer)) {
            answer.keep(Err(LogError::Unavailable(format!("{QUEUED_TRIMS} tasks of the log wait already"))));
        }
        Box::pin(promised)
    }
}

impl Drop for LocalLog {
    /// Everything that was appended is still committed, and the log is sealed.
    fn drop(&mut self) {
        self.queue.close();
        self.desk.hurry();
        (self.reads, self.keeper, self.checking) = (None, None, None);
        for thread in mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

/// Appends on their way to the committer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    records: Vec<Record>,
    answers: Vec<Promise<Result<(), AppendError>>>,
    bytes: usize,
    closed: bool,
    /// Nobody takes from it any more.
    abandoned: bool,
}

enum Taken {
    Appends(Vec<Record>, Vec<Promise<Result<(), AppendError>>>),
    Idle,
    Closed,
}

impl Queue {
    fn held(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds the queue")
    }

    fn push(&self, record: Record, answer: Promise<Result<(), AppendError>>) {
        let mut waiting = self.held();
        let bytes = record.encoded_len();
        if waiting.abandoned {
            drop(waiting);
            answer.keep(Err(AppendError::Broken("the log's committer has stopped".into())));
            return;
        }
        if waiting.records.len() >= QUEUED_APPENDS || waiting.bytes + bytes > QUEUED_APPEND_BYTES {
            drop(waiting);
            answer.keep(Err(AppendError::NoSpace("too many appends wait for the disk".into())));
            return;
        }
        waiting.bytes += bytes;
        waiting.records.push(record);
        waiting.answers.push(answer);
        if waiting.records.len() == 1 {
            self.arrived.notify_one();
        }
    }

    fn close(&self) {
        self.held().closed = true;
        self.arrived.notify_one();
    }

    /// Everything that waits, or waits for something; where `may_idle`, only for a while.
    fn take(&self, may_idle: bool) -> Taken {
        let nothing = |waiting: &mut Waiting| waiting.records.is_empty() && !waiting.closed;
        let mut waiting = if may_idle {
            let idle = Duration::from_millis(SEAL_AFTER_IDLE_MS);
            let waited = self.arrived.wait_timeout_while(self.held(), idle, nothing);
            waited.expect("nothing panics while it holds the queue").0
        } else {
            self.arrived.wait_while(self.held(), nothing).expect("nothing panics while it holds the queue")
        };
        if waiting.records.is_empty() {
            return if waiting.closed { Taken::Closed } else { Taken::Idle };
        }
        waiting.bytes = 0;
        Taken::Appends(mem::take(&mut waiting.records), mem::take(&mut waiting.answers))
    }
}

/// Sees to it that no append waits for a committer that is gone, even if it panicked.
struct Abandoning<'a>(&'a Queue);

impl Drop for Abandoning<'_> {
    fn drop(&mut self) {
        let left = {
            let mut waiting = self.0.held();
            waiting.abandoned = true;
            (mem::take(&mut waiting.records), mem::take(&mut waiting.answers))
        };
        // Each answer that is dropped says that the log was closed.
        drop(left);
    }
}

fn commit(heart: &mut Heart, queue: &Queue, answering: fn(usize, &mut dyn FnMut())) {
    let _abandoning = Abandoning(queue);
    loop {
        match queue.take(!heart.is_sealed()) {
            Taken::Appends(records, answers) => {
                let outcomes = heart.commit(&records);
                let mut outcomes = answers.into_iter().zip(outcomes);
                answering(records.len(), &mut || {
                    outcomes.by_ref().for_each(|(answer, outcome)| answer.keep(outcome));
                });
            }
            // What went wrong is remembered, and told to every append from now on.
            Taken::Idle => _ = heart.seal(),
            Taken::Closed => {
                _ = heart.seal();
                return;
            }
        }
    }
}

fn read(catalogue: &Catalogue, reads: &Receiver<Read>) {
    let patience = Duration::from_millis(READ_KEPT_MS);
    let mut kept = false;
    loop {
        // Whoever reads once often reads on: only when nobody does, what was read is forgotten.
        let next = match kept {
            true => reads.recv_timeout(patience),
            false => reads.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(Read { slot, from, limit_bytes, answer }) => {
                answer.keep(catalogue.read(slot, from, limit_bytes));
                kept = true;
            }
            Err(RecvTimeoutError::Timeout) => {
                catalogue.forget_read();
                kept = false;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reads through what opening did not, newest first, until all is read or the log is closed. Damage
/// breaks the log, as it would have kept it from opening.
fn check(catalogue: &Catalogue, ended: &Receiver<()>) {
    let mut checked = 0;
    while let Some(number) = catalogue.newest_unread() {
        let pause = ended.recv_timeout(Duration::from_millis(CHECK_PAUSE_MS));
        if pause != Err(RecvTimeoutError::Timeout) || catalogue.check(number).is_err() {
            return;
        }
        checked += 1;
    }
    tracing::info!(segments = checked, "the rest of the log is whole");
}

/// What the keeper works with.
struct Keeper {
    disk: Arc<dyn Disk>,
    catalogue: Arc<Catalogue>,
    desk: Arc<SpareDesk>,
    clock: Arc<dyn Clock>,
}

fn keep(keeper: &Keeper, tasks: &Receiver<Task>) {
    let Keeper { disk, catalogue, desk, .. } = keeper;
    let _clearing = Clearing(desk);
    for task in tasks {
        match task {
            Task::Prepare(bytes) => desk.leave(Next::There(keeper.prepare(bytes))),
            Task::Trim(below, answer) => answer.keep(catalogue.trim(&**disk, &below)),
        }
    }
}

impl Keeper {
    fn prepare(&self, bytes: u64) -> io::Result<Spare> {
        let pace = Pace::begin(self.clock.clone(), Duration::ZERO, REST_MOST);
        prepare_spare(&*self.disk, bytes, &|| {
            self.desk.rest(pace.rest_due());
            pace.go_on();
        })
    }
}

/// Sees to it that no committer waits for a keeper that is gone, even if it panicked.
struct Clearing<'a>(&'a SpareDesk);

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        self.0.leave(Next::Missing);
    }
}

/// Where the keeper leaves a spare for the committer.
#[derive(Default)]
struct SpareDesk {
    state: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    next: Next,
    /// How many wait for what is under way.
    in_a_hurry: u32,
}

#[derive(Default)]
enum Next {
    #[default]
    Missing,
    UnderWay,
    There(io::Result<Spare>),
}

impl SpareDesk {
    fn held(&self) -> MutexGuard<'_, Desk> {
        self.state.lock().expect("nothing panics while it holds the desk")
    }

    fn leave(&self, next: Next) {
        self.held().next = next;
        self.changed.notify_all();
    }

    /// What is there, having waited for what is under way.
    fn take(&self) -> Option<io::Result<Spare>> {
        self.hurry();
        let under_way = |desk: &mut Desk| matches!(desk.next, Next::UnderWay);
        let mut desk =
            self.changed.wait_while(self.held(), under_way).expect("nothing panics while it holds the desk");
        desk.in_a_hurry -= 1;
        match mem::take(&mut desk.next) {
            Next::There(spare) => Some(spare),
            Next::Missing | Next::UnderWay => None,
        }
    }

    /// What is under way is waited for.
    fn hurry(&self) {
        self.held().in_a_hurry += 1;
        self.changed.notify_all();
    }

    /// For whoever prepares a spare: for so long, unless somebody waits for it.
    fn rest(&self, longest: Duration) {
        let nobody_waits = |desk: &mut Desk| desk.in_a_hurry == 0;
        let rested = self.changed.wait_timeout_while(self.held(), longest, nobody_waits);
        drop(rested.expect("nothing panics while it holds the desk"));
    }
}

/// Has the keeper make the next segment's file while the present one fills.
struct SparesAhead {
    desk: Arc<SpareDesk>,
    keeper: SyncSender<Task>,
}

impl Spares for SparesAhead {
    fn take(&mut self, disk: &dyn Disk, bytes: u64) -> io::Result<Spare> {
        match self.desk.take() {
            Some(Ok(spare)) if spare.bytes >= bytes => Ok(spare),
            // Too small, or there was no space then: there may be now.
            Some(Ok(_)) | None => prepare_spare(disk, bytes, &|| ()),
            Some(Err(error)) if super::segment::is_no_space(&error) => prepare_spare(disk, bytes, &|| ()),
            Some(Err(error)) => Err(error),
        }
    }

    fn foresee(&mut self, bytes: u64) {
        let mut desk = self.desk.held();
        // A keeper that is too busy leaves it to the committer.
        if matches!(desk.next, Next::Missing) && self.keeper.try_send(Task::Prepare(bytes)).is_ok() {
            desk.next = Next::UnderWay;
        }
    }
}
