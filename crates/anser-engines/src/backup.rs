//! A consistent copy while others write: how it is taken, how long it takes, and what it costs the writer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anser_core::ports::log_conformance::block_on;
use anser_model::N;
use serde_json::{Value, json};

use crate::engine::{Engine, Opened};
use crate::machine;
use crate::report::percentile;
use crate::traffic::{Tails, Traffic};

/// How often the writer flushes, and what: a second of messages.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Takes a copy of a history while it is written.
#[derive(clap::Args)]
pub struct Options {
    /// What is measured
    #[arg(long)]
    engine: Engine,
    /// A folder in which `write` left a history
    #[arg(long)]
    folder: PathBuf,
    /// Messages each second meanwhile
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// Hold the process to so many MiB of memory, page cache included
    #[arg(long)]
    memory_mib: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the whole measurement.
///
/// # Errors
/// Those of the candidate, and a copy that is not of one moment.
pub fn run(options: &Options) -> anyhow::Result<Value> {
    let _group = options.memory_mib.map(machine::Group::hold).transpose()?;
    let folder = options.folder.join("history");
    machine::forget_cached(&folder)?;
    let begun = Instant::now();
    let opened = options.engine.open(&folder)?;
    let open_ms = begun.elapsed().as_millis() as u64;
    let target = tempfile::tempdir_in(&options.folder)?;
    let before = block_on(opened.history.checkpoints())?;
    let over = AtomicBool::new(false);
    let (took, mut flush_ms) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| keep_writing(options, &opened, &before, &over));
        // Its first flush has landed, so that there is something under way.
        std::thread::sleep(FLUSH_INTERVAL + FLUSH_INTERVAL / 2);
        let begun = Instant::now();
        let copied = opened.back_up(target.path());
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        let flush_ms = writer.join().expect("the writer does not panic");
        copied.and_then(|()| Ok((took, flush_ms?)))
    })?;
    let after = block_on(opened.history.checkpoints())?;
    let opens = opened.copy_opens();
    let copy_bytes = machine::folder_bytes(target.path())?;
    if opens {
        let copy = options.engine.open(target.path())?;
        let copied = block_on(copy.history.checkpoints())?;
        let between =
            copied.iter().zip(before.iter().zip(&after)).all(|(at, (low, high))| low <= at && at <= high);
        anyhow::ensure!(between, "the copy is of one moment while it was taken");
    }
    flush_ms.sort_unstable();
    Ok(json!({
        "engine": options.engine.name(),
        "open_cold_ms": open_ms,
        "way": opened.way_of_backup(),
        "seconds": (took.as_secs_f64() * 100.0).round() / 100.0,
        "copy_mib": copy_bytes / (1024 * 1024),
        "opens_as_it_is": opens,
        "flushes_meanwhile": flush_ms.len(),
        "flush_ms": { "p50": percentile(&flush_ms, 50), "max": flush_ms.last() },
    }))
}

/// Flushes new conversations above what is there; how long each took, in ms.
fn keep_writing(
    options: &Options,
    opened: &Opened,
    before: &[N],
    over: &AtomicBool,
) -> anyhow::Result<Vec<u32>> {
    let traffic = Traffic::new(50_000, options.rate, options.engine.filing(), None)?;
    let mut tails = Tails::new(&traffic);
    tails.resume_above(before);
    let mut took = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        for _ in 0..options.rate {
            tails.push(&traffic, 0);
        }
        let mut batches: Vec<_> = tails.due(0, 0, 0).into_iter().map(|slot| tails.take(slot).batch).collect();
        for batch in &mut batches {
            // Conversations and keys that are not there yet: the ids of those that are, backwards.
            batch.facts.iter_mut().for_each(|row| row.cid.0.reverse());
            batch.keys.iter_mut().for_each(|row| row.key = row.key.swap_bytes());
            batch.facts.sort_by_key(|row| (row.cid, row.seq));
        }
        let flushed = Instant::now();
        block_on(opened.history.flush(batches))?;
        took.push(flushed.elapsed().as_millis() as u32);
        std::thread::sleep(FLUSH_INTERVAL.saturating_sub(begun.elapsed()));
    }
    Ok(took)
}
