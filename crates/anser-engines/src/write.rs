//! Messages at a steady rate, folded as the server folds them, with reads in between.
//!
//! The clock of the messages is not the machine's. It stands while nothing is to be done, so that a candidate
//! that needs a tenth of a second for a second's messages is measured ten times sooner, and it goes on by what
//! each flush really took: a candidate that cannot keep up is given ever larger flushes, as it would be. What a
//! candidate does in the background is thus given less time than it would have.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anser_core::engine::{FLUSH_FACTS, FLUSH_INTERVAL_MS};
use anser_core::ports::history::HistoryBatch;
use anser_core::ports::log_conformance::block_on;
use anyhow::Context as _;
use serde_json::{Value, json};

use crate::engine::{Engine, Opened};
use crate::machine;
use crate::reading::{self, Readable};
use crate::report::percentile;
use crate::traffic::{Tails, Traffic};

/// How often the server's worker looks what is due.
const TICK_MS: f64 = 200.0;
/// Messages that wait to be folded, above which no more come: they are held in memory.
const WAITING_MAX: usize = 400_000;
/// Bytes of a key as the port has it: key, day, n, seq, hash.
const KEY_BYTES: u64 = 16 + 4 + 8 + 8 + 8;
/// Bytes of a fact beside the fact itself: conversation, seq, n.
const FACT_BYTES: u64 = 16 + 8 + 8;
/// How long is read afterwards, with nothing written.
const QUIET: Duration = Duration::from_secs(5);

/// Writes messages and reads some of them.
#[derive(clap::Args)]
pub struct Options {
    /// What is measured
    #[arg(long)]
    pub engine: Engine,
    /// So many messages
    #[arg(long, default_value_t = 1_000_000)]
    pub messages: u64,
    /// So many each second, by the clock of the messages
    #[arg(long, default_value_t = 20_000)]
    pub rate: u64,
    /// Among so many conversations
    #[arg(long, default_value_t = 200_000)]
    pub conversations: u64,
    /// Fold a slot's facts once the oldest is so old
    #[arg(long, default_value_t = FLUSH_INTERVAL_MS)]
    pub flush_interval_ms: u64,
    /// Threads that read meanwhile
    #[arg(long, default_value_t = 1)]
    pub readers: usize,
    /// Write no more after so many seconds of the machine's clock
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
    /// A file with texts in the last column of each line; else they are made up
    #[arg(long)]
    pub corpus: Option<PathBuf>,
    /// Where the history is made; it must be empty. A temporary folder otherwise
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Hold the process to so many MiB of memory, page cache included
    #[arg(long)]
    pub memory_mib: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What the writing came to.
#[derive(Default)]
struct Sums {
    records: u64,
    rows: u64,
    payload: u64,
    busy: Duration,
    /// Processor time of this thread that made messages.
    making: Duration,
    flush_ms: Vec<u32>,
    anonymous_peak: u64,
    held_back_ms: f64,
    now_ms: f64,
}

/// Runs the whole measurement.
///
/// # Errors
/// Those of the machine and of the candidate.
pub fn run(options: &Options) -> anyhow::Result<Value> {
    let group = options.memory_mib.map(machine::Group::hold).transpose()?;
    let temporary;
    let folder = match &options.folder {
        Some(folder) => folder.as_path(),
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path()
        }
    };
    let own = folder.join("history");
    anyhow::ensure!(!own.exists(), "{} is there already", own.display());
    let traffic = Traffic::new(
        options.conversations,
        options.rate,
        options.engine.filing(),
        options.corpus.as_deref(),
    )?;
    let opened = options.engine.open(&own)?;
    let readable = Readable::new(&traffic);
    let mut report = measure(options, &traffic, &opened, &readable)?;
    report["quiet"] = quiet(&traffic, &opened, &readable);
    report["disk_mib"] = mib(machine::folder_bytes(&own)?);
    report["memory_limit_mib"] = json!(options.memory_mib);
    report["memory_peak_mib"] = json!(group.as_ref().map(|group| mib(group.peak_bytes())));
    report["reopen"] = reopen(options, opened, &own)?;
    report["disk_closed_mib"] = mib(machine::folder_bytes(&own)?);
    Ok(report)
}

fn measure(
    options: &Options,
    traffic: &Traffic,
    opened: &Opened,
    readable: &Readable,
) -> anyhow::Result<Value> {
    let mut tails = Tails::new(traffic);
    let (written_before, read_before) = machine::disk_bytes()?;
    let anonymous_before = machine::anonymous_bytes();
    let (cpu_before, begun) = (machine::process_cpu(), Instant::now());
    let (sums, mut latencies) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..options.readers)
            .map(|_| scope.spawn(|| reading::run(&opened.history, traffic, readable, true)))
            .collect();
        let sums = write(options, traffic, opened, readable, &mut tails);
        readable.over.store(true, Ordering::Relaxed);
        let latencies: Vec<_> =
            readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).collect();
        (sums, latencies)
    });
    let mut sums = sums?;
    let elapsed = begun.elapsed();
    let cpu = machine::process_cpu() - cpu_before - sums.making;
    let (written, read) = machine::disk_bytes()?;
    sums.flush_ms.sort_unstable();
    let each = |whole: f64| round(whole / sums.records.max(1) as f64);
    Ok(json!({
        "engine": options.engine.name(),
        "messages": sums.records,
        "asked": options.messages,
        "rows": sums.rows,
        "payload_bytes_each": each(sums.payload as f64),
        "rate": options.rate,
        "flush_interval_ms": options.flush_interval_ms,
        "elapsed_s": round(elapsed.as_secs_f64()),
        "busy_s": round(sums.busy.as_secs_f64()),
        "records_per_busy_second": (sums.records as f64 / sums.busy.as_secs_f64()) as u64,
        "busy_percent_at_rate": round(100.0 * sums.busy.as_secs_f64() * 1_000.0 / sums.now_ms),
        "held_back_s": round(sums.held_back_ms / 1_000.0),
        "cpu_us_each": each(cpu.as_secs_f64() * 1e6),
        "flushes": sums.flush_ms.len(),
        "messages_per_flush": sums.records / sums.flush_ms.len().max(1) as u64,
        "flush_ms": {
            "p50": percentile(&sums.flush_ms, 50),
            "p99": percentile(&sums.flush_ms, 99),
            "max": sums.flush_ms.last(),
        },
        "write_amplification": round((written - written_before) as f64 / sums.payload as f64),
        "written_mib": mib(written - written_before),
        "read_mib": mib(read - read_before),
        "anonymous_peak_mib": mib(sums.anonymous_peak),
        "anonymous_before_mib": mib(anonymous_before),
        "reading": latencies.first_mut().map(reading::Latencies::sorted),
    }))
}

fn write(
    options: &Options,
    traffic: &Traffic,
    opened: &Opened,
    readable: &Readable,
    tails: &mut Tails,
) -> anyhow::Result<Sums> {
    let mut sums = Sums::default();
    let begun = Instant::now();
    loop {
        let cpu = machine::thread_cpu();
        come(options, traffic, tails, &mut sums);
        let in_time = begun.elapsed() < Duration::from_secs(options.seconds);
        if !in_time {
            // What waits is not folded any more: a candidate that is far behind would take minutes over it.
            return Ok(sums);
        }
        let is_last = tails.next >= options.messages;
        let interval = if is_last { 0 } else { options.flush_interval_ms };
        let due = tails.due(sums.now_ms as u64, interval, FLUSH_FACTS);
        let (batches, heads): (Vec<_>, Vec<_>) =
            due.into_iter().map(|slot| tails.take(slot)).map(|taken| (taken.batch, taken.heads)).unzip();
        count(&batches, &mut sums);
        sums.making += machine::thread_cpu() - cpu;
        if batches.is_empty() {
            if is_last {
                return Ok(sums);
            }
            sums.now_ms = ((sums.now_ms / TICK_MS).floor() + 1.0) * TICK_MS;
            continue;
        }
        let flush_begun = Instant::now();
        block_on(opened.history.flush(batches)).context("a flush failed")?;
        let took = flush_begun.elapsed();
        sums.busy += took;
        sums.now_ms += took.as_secs_f64() * 1_000.0;
        sums.flush_ms.push(took.as_millis() as u32);
        for (rank, seq) in heads.into_iter().flatten() {
            readable.heads[rank as usize].fetch_max(seq, Ordering::Release);
        }
        readable.below.store(tails.taken_below(), Ordering::Release);
        sums.anonymous_peak = sums.anonymous_peak.max(machine::anonymous_bytes());
    }
}

/// Sequences what has come until now.
fn come(options: &Options, traffic: &Traffic, tails: &mut Tails, sums: &mut Sums) {
    while tails.next < options.messages {
        let at_ms = traffic.sent_ms(tails.next) as f64 + sums.held_back_ms;
        if at_ms > sums.now_ms {
            return;
        }
        if tails.waiting >= WAITING_MAX {
            sums.held_back_ms += sums.now_ms - at_ms;
            return;
        }
        tails.push(traffic, at_ms as u64);
    }
}

fn count(batches: &[HistoryBatch], sums: &mut Sums) {
    for batch in batches {
        sums.records += batch.keys.len() as u64;
        sums.rows += batch.facts.len() as u64;
        let facts: u64 = batch.facts.iter().map(|row| row.fact.len() as u64 + FACT_BYTES).sum();
        sums.payload += facts + batch.keys.len() as u64 * KEY_BYTES;
    }
}

/// How fast one thread reads while nothing is written.
fn quiet(traffic: &Traffic, opened: &Opened, readable: &Readable) -> Value {
    readable.over.store(false, Ordering::Relaxed);
    let mut latencies = std::thread::scope(|scope| {
        let reader = scope.spawn(|| reading::run(&opened.history, traffic, readable, false));
        std::thread::sleep(QUIET);
        readable.over.store(true, Ordering::Relaxed);
        reader.join().expect("a reader does not panic")
    });
    let per_second = latencies.count() as u64 / QUIET.as_secs();
    json!({ "reads_per_second": per_second, "reading": latencies.sorted() })
}

fn reopen(options: &Options, opened: Opened, folder: &Path) -> anyhow::Result<Value> {
    let before = block_on(opened.history.checkpoints())?;
    let begun = Instant::now();
    drop(opened);
    let close_ms = begun.elapsed().as_millis() as u64;
    let begun = Instant::now();
    let opened = options.engine.open(folder)?;
    anyhow::ensure!(block_on(opened.history.checkpoints())? == before, "reopening changed the checkpoints");
    Ok(json!({ "close_ms": close_ms, "open_ms": begun.elapsed().as_millis() as u64 }))
}

fn mib(bytes: u64) -> Value {
    json!(bytes / (1024 * 1024))
}

fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
