//! How fast the log is, beside what the disk can do: `cargo run --release -p anser-embedded --example
//! log_rate [FOLDER]`. The limit is measured in the same run: a bare pre-written file, one write of
//! the same size and one fdatasync for each group.
#![expect(clippy::disallowed_methods, reason = "a measurement asks the real clock")]

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anser_core::ports::disk::{Disk, DiskFile};
use anser_core::ports::log::Log;
use anser_core::ports::log_conformance::block_on;
use anser_core::record::{Record, RecordHeader};
use anser_embedded::disk::FolderDisk;
use anser_embedded::log::{LocalLog, LogOptions, SEGMENT_BYTES};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_model::{N, Reign, Slot};
use bytes::Bytes;

const RECORD_BYTES: usize = 300;
const IN_FLIGHT: [usize; 3] = [1, 100, 1_000];
const RUN: Duration = Duration::from_secs(4);
const SECTOR_BYTES: u64 = 512;
const REIGN: Reign = Reign(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    println!(
        "in flight | appends/s | p50 us | p99 us | per sync | raw appends/s | raw p50 us | raw p99 us | ratio"
    );
    for in_flight in IN_FLIGHT {
        let counts = Arc::new(Counts::default());
        let disk = Counting {
            disk: FolderDisk::open(&folder.join(format!("log-{in_flight}")))?,
            counts: counts.clone(),
        };
        let log = LocalLog::open(
            Arc::new(disk),
            LogOptions::new(1),
            Arc::new(SystemRandom),
            Arc::new(SystemClock),
        )?;
        let ours = measure_log(&log, in_flight, &counts);
        drop(log);
        let per_sync = ours.done as f64 / ours.syncs as f64;
        let write_bytes = (ours.bytes / ours.syncs).next_multiple_of(SECTOR_BYTES);
        let raw = measure_raw(&FolderDisk::open(&folder.join(format!("raw-{in_flight}")))?, write_bytes)?;
        let raw_appends = raw.rate() * per_sync;
        println!(
            "{in_flight:9} | {:9.0} | {:6} | {:6} | {per_sync:8.1} | {raw_appends:13.0} | {:10} | {:10} | {:.2}",
            ours.rate(),
            ours.percentile(50),
            ours.percentile(99),
            raw.percentile(50),
            raw.percentile(99),
            ours.rate() / raw_appends,
        );
    }
    Ok(())
}

struct Measured {
    latencies_us: Vec<u64>,
    done: u64,
    took: Duration,
    syncs: u64,
    bytes: u64,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> u64 {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }
}

/// Keeps `in_flight` appends under way, spread over all slots.
fn measure_log(log: &LocalLog, in_flight: usize, counts: &Counts) -> Measured {
    let payload = Bytes::from(vec![7; RECORD_BYTES]);
    let mut last = [N(0); Slot::COUNT];
    let mut appended = 0usize;
    let mut next = || {
        let slot = Slot((appended % Slot::COUNT) as u8);
        appended += 1;
        let first_n = last[slot.index()].next();
        last[slot.index()] = first_n;
        let header = RecordHeader {
            timeline: log.timeline(),
            slot,
            reign: REIGN,
            opens_after: (first_n == N(1)).then_some(Reign(0)),
            first_n,
            count: 1,
            must_understand: false,
        };
        (Instant::now(), log.append(Record { header, payload: payload.clone() }))
    };
    let mut under_way: VecDeque<_> = (0..in_flight).map(|_| next()).collect();
    let mut latencies_us = Vec::with_capacity(1 << 20);
    let started = Instant::now();
    let (syncs, bytes) = counts.now();
    while started.elapsed() < RUN {
        let (since, append) = under_way.pop_front().expect("always some under way");
        block_on(append).expect("appended");
        latencies_us.push(since.elapsed().as_micros() as u64);
        under_way.push_back(next());
    }
    let took = started.elapsed();
    let (syncs_after, bytes_after) = counts.now();
    for (_, append) in under_way {
        block_on(append).expect("appended");
    }
    let done = latencies_us.len() as u64;
    Measured { latencies_us, done, took, syncs: syncs_after - syncs, bytes: bytes_after - bytes }
}

/// One write of `write_bytes` and one sync after another, into a file that was written before.
fn measure_raw(disk: &FolderDisk, write_bytes: u64) -> io::Result<Measured> {
    let file = disk.create("raw")?;
    let zeros = vec![0; 1 << 20];
    for offset in (0..SEGMENT_BYTES).step_by(zeros.len()) {
        file.write_all_at(offset, &zeros)?;
    }
    file.sync_data()?;
    let block = vec![7; write_bytes as usize];
    let mut latencies_us = Vec::new();
    let mut offset = 0;
    let started = Instant::now();
    while started.elapsed() < RUN {
        let since = Instant::now();
        file.write_all_at(offset, &block)?;
        file.sync_data()?;
        latencies_us.push(since.elapsed().as_micros() as u64);
        offset += write_bytes;
        if offset + write_bytes > SEGMENT_BYTES {
            offset = 0;
        }
    }
    let done = latencies_us.len() as u64;
    Ok(Measured { latencies_us, done, took: started.elapsed(), syncs: done, bytes: done * write_bytes })
}

/// How often and how much the log wrote into segments; what is prepared ahead is not counted.
#[derive(Default)]
struct Counts {
    writes: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    fn now(&self) -> (u64, u64) {
        (self.writes.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

struct Counting {
    disk: FolderDisk,
    counts: Arc<Counts>,
}

struct CountingFile {
    file: Box<dyn DiskFile>,
    counts: Arc<Counts>,
}

impl Disk for Counting {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile { file: self.disk.create(name)?, counts: self.counts.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.disk.sync_folder()
    }
}

impl DiskFile for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Zeros are what is prepared ahead; a block begins with its magic.
        if bytes.first().is_some_and(|&first| first != 0) {
            self.counts.writes.fetch_add(1, Ordering::Relaxed);
            self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        self.file.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
