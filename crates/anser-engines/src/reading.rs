//! Reads while it is written: pages near the end, pages far back, and keys. Every answer is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anser_core::ports::history::{History, HistoryRange};
use anser_core::ports::log_conformance::block_on;
use anser_model::Seq;
use serde_json::{Value, json};

use crate::report::percentile;
use crate::traffic::{Traffic, draw, place};

/// Rows of a page.
const PAGE_ROWS: u64 = 50;
/// Messages from the newest within which somebody reads on.
const RECENT_MESSAGES: u64 = 100_000;
/// How long one reader rests between reads.
const REST: Duration = Duration::from_millis(4);
/// Fewer messages than this are not read.
const MESSAGES_MIN: u64 = 1_000;

/// What a reader may rely on: it is folded.
pub struct Readable {
    /// The newest seq of each conversation, by rank.
    pub heads: Vec<AtomicU32>,
    /// Every message before this one.
    pub below: AtomicU64,
    /// Ends the readers.
    pub over: AtomicBool,
}

impl Readable {
    /// Nothing yet.
    pub fn new(traffic: &Traffic) -> Readable {
        let heads = (0..traffic.conversations()).map(|_| AtomicU32::new(0)).collect();
        Readable { heads, below: AtomicU64::new(0), over: AtomicBool::new(false) }
    }
}

/// What is read, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// The newest page of a conversation in which something was said lately.
    Near,
    /// A page anywhere in any conversation.
    Far,
    /// The key of any command that was stored.
    Known,
    /// The key of a command that is new.
    Unknown,
}

const READS: [Read; 4] = [Read::Near, Read::Far, Read::Known, Read::Unknown];

/// How long reads took, in µs, by what was read.
#[derive(Default)]
pub struct Latencies {
    took: [Vec<u32>; 4],
}

impl Latencies {
    /// Sorts them, and gives p50 and p99 of each kind.
    pub fn sorted(&mut self) -> Value {
        let [near, far, known, unknown] = &mut self.took;
        let figures = |took: &mut Vec<u32>| {
            took.sort_unstable();
            let largest = took.last().copied().unwrap_or(0);
            json!({ "count": took.len(), "p50_us": percentile(took, 50), "p99_us": percentile(took, 99), "max_us": largest })
        };
        json!({
            "page_near": figures(near), "page_far": figures(far),
            "key_known": figures(known), "key_unknown": figures(unknown),
        })
    }

    /// How many reads there were.
    pub fn count(&self) -> usize {
        self.took.iter().map(Vec::len).sum()
    }
}

/// Reads until it is over, resting between reads or not.
///
/// # Panics
/// A read fails, or what is folded is not there as it was written.
pub fn run(history: &Arc<dyn History>, traffic: &Traffic, readable: &Readable, rests: bool) -> Latencies {
    let mut latencies = Latencies::default();
    let mut turn = 0u64;
    while !readable.over.load(Ordering::Relaxed) {
        if rests {
            std::thread::sleep(REST);
        }
        let below = readable.below.load(Ordering::Acquire);
        if below < MESSAGES_MIN {
            std::thread::sleep(REST);
            continue;
        }
        turn += 1;
        let which = (turn % READS.len() as u64) as usize;
        let random = draw(turn, 60);
        let begun = Instant::now();
        match READS[which] {
            Read::Near => {
                let g = below - 1 - random % RECENT_MESSAGES.min(below);
                page(history, traffic, readable, g, |head| head);
            }
            Read::Far => {
                let position = draw(turn, 61);
                page(history, traffic, readable, random % below, |head| 1 + position % head);
            }
            Read::Known => key(history, traffic, random % below, true),
            Read::Unknown => key(history, traffic, below + random % RECENT_MESSAGES, false),
        }
        latencies.took[which].push(begun.elapsed().as_micros() as u32);
    }
    latencies
}

fn page(
    history: &Arc<dyn History>,
    traffic: &Traffic,
    readable: &Readable,
    g: u64,
    high: impl Fn(u64) -> u64,
) {
    let rank = traffic.conversation(g);
    let (cid, slot) = place(rank);
    let head = u64::from(readable.heads[rank as usize].load(Ordering::Acquire));
    assert!(head > 0, "message {g} is folded");
    let high = high(head);
    let low = high.saturating_sub(PAGE_ROWS - 1).max(1);
    let limit = PAGE_ROWS as usize;
    let range = HistoryRange { cid, low: Seq(low), high: Seq(high), limit, newest_first: true };
    let rows = block_on(history.range(slot, range)).expect("a page can be read");
    assert!(rows.iter().map(|row| row.seq.0).eq(low..=high), "the page {low}..={high} of {cid} is whole");
    assert!(rows.iter().all(|row| row.fact.starts_with(&cid.0)), "and of that conversation");
}

fn key(history: &Arc<dyn History>, traffic: &Traffic, g: u64, known: bool) {
    let (_, slot) = place(traffic.conversation(g));
    let (day, key) = if known { traffic.key(g) } else { traffic.key_unknown(g) };
    let found = block_on(history.keys(slot, vec![(day, key)])).expect("keys can be read");
    assert_eq!(found[0].is_some(), known, "the key of message {g}");
    assert!(found[0].is_none_or(|row| row.request_hash == draw(g, 8)), "is the key of message {g}");
}
