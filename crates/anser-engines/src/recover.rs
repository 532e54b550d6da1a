//! kill -9 while it writes, again and again: what was acknowledged is there, and nothing is there by half.
//!
//! A killed process leaves what it wrote to the kernel. What a machine leaves that loses its power is not
//! tried here.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anser_core::ports::history::{History, HistoryBatch, HistoryRange};
use anser_core::ports::log_conformance::block_on;
use anser_model::{ConversationId, N, Seq, Slot};
use anyhow::Context as _;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::traffic::{Tails, Traffic, draw};

/// The clock of the messages has no part in this.
const RATE: u64 = 20_000;
/// Flushes before the last, of which every row is looked for.
const FLUSHES_LOOKED_AT: usize = 3;
/// Other conversations that are looked through in every round.
const CONVERSATIONS_LOOKED_AT: usize = 300;

/// Kills a writer again and again and looks what is there.
#[derive(clap::Args)]
pub struct Options {
    /// What is tried
    #[arg(long)]
    engine: Engine,
    /// So often
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Messages in one flush
    #[arg(long, default_value_t = 5_000)]
    flush_messages: u64,
    /// Among so many conversations
    #[arg(long, default_value_t = 50_000)]
    conversations: u64,
    /// Kill within so many ms after the first flush of a round
    #[arg(long, default_value_t = 2_000)]
    within_ms: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The writer that is killed.
#[derive(clap::Args)]
pub struct ChildOptions {
    #[arg(long)]
    engine: Engine,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    flush_messages: u64,
    #[arg(long)]
    conversations: u64,
}

/// What must be there after so many flushes.
struct Model {
    traffic: Traffic,
    tails: Tails,
    flush_messages: u64,
    flushes: u64,
    /// n of every row, by slot and conversation, in the order of seqs.
    rows: HashMap<(Slot, ConversationId), Vec<N>>,
}

impl Model {
    fn new(engine: Engine, conversations: u64, flush_messages: u64) -> anyhow::Result<Model> {
        let traffic = Traffic::new(conversations, RATE, engine.filing(), None)?;
        let tails = Tails::new(&traffic);
        Ok(Model { traffic, tails, flush_messages, flushes: 0, rows: HashMap::new() })
    }

    /// The next flush. It is the same in every process.
    fn next(&mut self) -> Vec<HistoryBatch> {
        for _ in 0..self.flush_messages {
            self.tails.push(&self.traffic, 0);
        }
        self.flushes += 1;
        let batches: Vec<HistoryBatch> =
            self.tails.due(0, 0, 0).into_iter().map(|slot| self.tails.take(slot).batch).collect();
        for batch in &batches {
            for row in &batch.facts {
                let rows = self.rows.entry((batch.slot, row.cid)).or_default();
                let at = row.seq.0 as usize - 1;
                rows.resize(rows.len().max(at + 1), N(0));
                rows[at] = row.n;
            }
        }
        batches
    }

    /// Goes on to where `checkpoints` are; gives the last flushes.
    fn catch_up(&mut self, checkpoints: &[N]) -> anyhow::Result<Vec<Vec<HistoryBatch>>> {
        let mut last = Vec::new();
        while self.tails.newest() != checkpoints {
            let ahead = self.tails.newest().iter().zip(checkpoints).any(|(own, there)| own > there);
            anyhow::ensure!(!ahead, "the checkpoints are those of no flush: one landed by half");
            last.push(self.next());
            if last.len() > FLUSHES_LOOKED_AT {
                last.remove(0);
            }
        }
        Ok(last)
    }
}

/// Writes until it is killed, and says each flush that was acknowledged.
///
/// # Errors
/// Those of the candidate.
pub fn child(options: &ChildOptions) -> anyhow::Result<()> {
    let opened = options.engine.open(&options.folder)?;
    let mut model = Model::new(options.engine, options.conversations, options.flush_messages)?;
    model.catch_up(&block_on(opened.history.checkpoints())?)?;
    let mut out = std::io::stdout();
    loop {
        let batches = model.next();
        block_on(opened.history.flush(batches))?;
        writeln!(out, "{}", model.flushes)?;
        out.flush()?;
    }
}

/// Runs all rounds.
///
/// # Errors
/// Something that was promised is not there.
pub fn run(options: &Options) -> anyhow::Result<Value> {
    let temporary = tempfile::tempdir()?;
    let folder = temporary.path().join("history");
    let mut model = Model::new(options.engine, options.conversations, options.flush_messages)?;
    let (mut open_ms, mut checked, mut unsaid) = (Vec::new(), 0, 0);
    for round in 0..options.rounds {
        let acknowledged = one_life(options, &folder, round)?;
        let begun = Instant::now();
        let opened = options.engine.open(&folder)?;
        open_ms.push(begun.elapsed().as_millis() as u64);
        let last = model.catch_up(&block_on(opened.history.checkpoints())?)?;
        let there = model.flushes;
        anyhow::ensure!(
            there >= acknowledged,
            "round {round}: flush {acknowledged} was acknowledged, {there} are there"
        );
        // It may have died between the commit and the line that says so.
        unsaid += there - acknowledged;
        checked += look(&*opened.history, &model, &last, round)?;
    }
    Ok(json!({
        "engine": options.engine.name(),
        "rounds": options.rounds,
        "flushes": model.flushes,
        "messages": model.flushes * options.flush_messages,
        "open_ms_max": open_ms.iter().max(),
        "open_ms_last": open_ms.last(),
        "landed_and_not_acknowledged": unsaid,
        "rows_and_keys_checked": checked,
    }))
}

/// Starts a writer and kills it; the last flush that it acknowledged.
fn one_life(options: &Options, folder: &Path, round: u64) -> anyhow::Result<u64> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("recover-child")
        .args(["--engine", &options.engine.name()])
        .args(["--flush-messages", &options.flush_messages.to_string()])
        .args(["--conversations", &options.conversations.to_string()])
        .arg("--folder")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("it has an output")?).lines();
    let first = lines.next().context("the writer ended before its first flush")??;
    std::thread::sleep(Duration::from_micros(draw(round, 70) % (options.within_ms * 1_000)));
    child.kill()?;
    child.wait()?;
    // A line that was cut off by the kill says nothing.
    let last = lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok()).last();
    Ok(last.map_or(first.parse()?, |last| last))
}

/// Looks for all of the last flushes, and for some conversations from their beginning.
fn look(
    history: &dyn History,
    model: &Model,
    last: &[Vec<HistoryBatch>],
    round: u64,
) -> anyhow::Result<usize> {
    let mut checked = 0;
    let touched = last
        .iter()
        .flatten()
        .flat_map(|batch| batch.facts.iter().map(|row| (batch.slot, row.cid)))
        .collect::<std::collections::HashSet<_>>();
    let skipped = model.rows.len() / CONVERSATIONS_LOOKED_AT + 1;
    let sampled = model.rows.keys().skip(round as usize % skipped).step_by(skipped);
    for &(slot, cid) in touched.iter().chain(sampled) {
        let range =
            HistoryRange { cid, low: Seq(0), high: Seq(u64::MAX), limit: usize::MAX, newest_first: false };
        let found = block_on(history.range(slot, range))?;
        let expected = &model.rows[&(slot, cid)];
        let same = found.len() == expected.len()
            && found.iter().zip(1u64..).all(|(row, seq)| row.seq == Seq(seq))
            && found.iter().zip(expected).all(|(row, n)| row.n == *n && row.fact.starts_with(&cid.0));
        anyhow::ensure!(same, "round {round}: conversation {cid} is not as it was flushed");
        checked += found.len();
    }
    for batch in last.iter().flatten() {
        let asked: Vec<_> = batch.keys.iter().map(|key| (key.day, key.key)).collect();
        let found = block_on(history.keys(batch.slot, asked))?;
        let same = found.iter().zip(&batch.keys).all(|(found, key)| found.as_ref() == Some(key));
        anyhow::ensure!(same, "round {round}: keys of slot {} are not as they were flushed", batch.slot);
        checked += found.len();
    }
    Ok(checked)
}
