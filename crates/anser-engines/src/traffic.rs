//! What people write, without randomness: message g is the same in every run and for every candidate.
//!
//! Who talks: a share of the messages falls on the few conversations that are lively now, the rest on any, and
//! both are drawn by rank^-0.9. What: a head of ids and times (which nothing compresses) and text, whose
//! length is log-normal, so that an encoded fact has about 300 bytes. When: at an even rate; two of a hundred
//! commands were minted up to three hours earlier, by people who were offline. One of a hundred messages edits
//! one of the twenty before it, which writes that row again.

use std::path::Path;

use anser_core::ports::history::{FactRow, HistoryBatch, KeyRow};
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::{BufMut, Bytes, BytesMut};

/// The exponent of the skew.
const SKEW: f64 = 0.9;
/// Messages during which the same conversations are lively.
const LIVELY_MESSAGES: u64 = 50_000;
/// So many are lively.
const LIVELY_CONVERSATIONS: u64 = 2_048;
/// So many of a hundred messages fall on a lively one.
const LIVELY_PERCENT: u64 = 60;
/// So many of a hundred commands arrive late,
const LATE_PERCENT: u64 = 2;
/// by up to so much.
const LATE_MS_MAX: u64 = 3 * 60 * 60 * 1_000;
/// One of so many messages is an edit,
const EDIT_ONE_OF: u64 = 100;
/// of one of so many before it.
const EDIT_REACH: u64 = 20;
/// What an encoded fact has beside its ids and times.
const HEAD_CONSTANT_BYTES: usize = 24;
/// Median of the bytes of text, and the spread of their logarithm.
const TEXT_BYTES_MEDIAN: f64 = 150.0;
const TEXT_BYTES_SPREAD: f64 = 0.75;
const TEXT_BYTES_MAX: f64 = 8_000.0;
/// Message 0 is sent then, since 1970.
const EPOCH_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Texts made up where no corpus is given, and words they are made of.
const TEXTS_MADE: u64 = 20_000;
const WORDS_MADE: u64 = 4_000;

/// What a command's key is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filing {
    /// The day of its client id, as the engine does it now.
    Day,
    /// The second of its client id.
    Second,
}

/// The stream of messages.
pub struct Traffic {
    conversations: u64,
    rate: u64,
    filing: Filing,
    texts: Vec<String>,
}

impl Traffic {
    /// Messages among so many conversations, so many each second; texts are the last column of the lines of
    /// `corpus`, or made up.
    ///
    /// # Errors
    /// The corpus cannot be read.
    pub fn new(
        conversations: u64,
        rate: u64,
        filing: Filing,
        corpus: Option<&Path>,
    ) -> anyhow::Result<Traffic> {
        let texts = match corpus {
            Some(path) => {
                let whole = std::fs::read_to_string(path)?;
                let text = |line: &str| line.rsplit('\t').next().unwrap_or_default().to_owned();
                whole.lines().map(text).filter(|text| !text.is_empty()).collect()
            }
            None => made_up(),
        };
        anyhow::ensure!(!texts.is_empty() && conversations > 0 && rate > 0, "there is something to say");
        Ok(Traffic { conversations, rate, filing, texts })
    }

    /// How many conversations there are.
    pub fn conversations(&self) -> u64 {
        self.conversations
    }

    /// When message g is sent, in ms since message 0.
    pub fn sent_ms(&self, g: u64) -> u64 {
        g * 1_000 / self.rate
    }

    /// In which conversation, by its rank.
    pub fn conversation(&self, g: u64) -> u64 {
        let drawn = draw(g, 1);
        let seed = if drawn % 100 < LIVELY_PERCENT {
            draw(g / LIVELY_MESSAGES, 2).wrapping_add((drawn >> 32) % LIVELY_CONVERSATIONS)
        } else {
            drawn
        };
        let share = fraction(draw(seed, 3));
        let exponent = 1.0 - SKEW;
        let most = (self.conversations as f64).powf(exponent);
        let rank = (share * (most - 1.0) + 1.0).powf(1.0 / exponent);
        (rank as u64 - 1).min(self.conversations - 1)
    }

    /// The key of its command, and what that is filed under.
    pub fn key(&self, g: u64) -> (u32, u128) {
        let late = draw(g, 4);
        let late_ms = if late % 100 < LATE_PERCENT { (late >> 32) % LATE_MS_MAX } else { late % 700 };
        let minted_ms = EPOCH_MS + self.sent_ms(g) - late_ms;
        let filed = match self.filing {
            Filing::Day => minted_ms / DAY_MS,
            Filing::Second => minted_ms / 1_000,
        };
        (filed as u32, (u128::from(draw(g, 5)) << 64) | u128::from(draw(g, 6)))
    }

    /// A key that was never stored, of a command that is sent with message g.
    pub fn key_unknown(&self, g: u64) -> (u32, u128) {
        let (filed, key) = self.key(g);
        (filed, !key)
    }

    fn fact(&self, g: u64, cid: ConversationId, edited: bool) -> Bytes {
        let sum: f64 = (10..14).map(|which| fraction(draw(g, which))).sum();
        // Four even draws come near a normal one: their sum has mean 2 and variance 1/3.
        let normal = (sum - 2.0) * 3f64.sqrt();
        let length = (TEXT_BYTES_MEDIAN.ln() + TEXT_BYTES_SPREAD * normal).exp().min(TEXT_BYTES_MAX) as usize;
        let mut fact = BytesMut::with_capacity(length + 512);
        fact.put_slice(&cid.0);
        fact.put_u64(self.sent_ms(g));
        (20..26).for_each(|which| fact.put_u64(draw(g, which)));
        fact.put_bytes(u8::from(edited), HEAD_CONSTANT_BYTES);
        let head = fact.len();
        let mut at = draw(g, 7) as usize;
        while fact.len() < head + length {
            fact.put_slice(self.texts[at % self.texts.len()].as_bytes());
            fact.put_u8(b' ');
            at += 1;
        }
        fact.truncate(head + length);
        fact.freeze()
    }
}

/// What is sequenced and not yet folded: the tails of all slots.
pub struct Tails {
    slots: Vec<Tail>,
    /// seqs given in each conversation, by rank.
    seqs: Vec<u32>,
    /// The next message.
    pub next: u64,
    /// Facts that wait.
    pub waiting: usize,
}

/// The tail of one slot.
#[derive(Default)]
struct Tail {
    n: u64,
    /// Oldest message in it, and when it came.
    oldest: Option<(u64, u64)>,
    facts: Vec<FactRow>,
    keys: Vec<KeyRow>,
    heads: Vec<(u32, u32)>,
}

/// What one slot folds, and the conversations in it: rank and seq of every message.
pub struct Taken {
    /// As the engine makes it.
    pub batch: HistoryBatch,
    /// For those who read while it is written.
    pub heads: Vec<(u32, u32)>,
}

impl Tails {
    /// Nothing was said yet.
    pub fn new(traffic: &Traffic) -> Tails {
        let slots = Slot::all().map(|_| Tail::default()).collect();
        Tails { slots, seqs: vec![0; traffic.conversations as usize], next: 0, waiting: 0 }
    }

    /// Sequences the next message, which comes at `now_ms`.
    pub fn push(&mut self, traffic: &Traffic, now_ms: u64) {
        let g = self.next;
        self.next += 1;
        let rank = traffic.conversation(g);
        let (cid, slot) = place(rank);
        let tail = &mut self.slots[slot.index()];
        tail.n += 1;
        tail.oldest.get_or_insert((g, now_ms));
        let seq = &mut self.seqs[rank as usize];
        *seq += 1;
        let (n, seq) = (N(tail.n), u64::from(*seq));
        tail.facts.push(FactRow {
            cid,
            seq: Seq(seq),
            n,
            fact: traffic.fact(g, cid, false),
            replaces: false,
        });
        if let Some(target) = edited(g, seq) {
            tail.facts.push(FactRow {
                cid,
                seq: Seq(target),
                n,
                fact: traffic.fact(g, cid, true),
                replaces: true,
            });
        }
        let (day, key) = traffic.key(g);
        tail.keys.push(KeyRow { key, day, n, seq: Seq(seq), request_hash: draw(g, 8) });
        tail.heads.push((rank as u32, seq as u32));
        self.waiting += 1;
    }

    /// Slots whose tail is that old, or that long.
    pub fn due(&self, now_ms: u64, interval_ms: u64, facts: usize) -> Vec<Slot> {
        let is_due = |slot: &Slot| {
            let tail = &self.slots[slot.index()];
            tail.oldest.is_some_and(|(_, since)| since + interval_ms <= now_ms) || tail.keys.len() >= facts
        };
        Slot::all().filter(is_due).collect()
    }

    /// Takes a slot's tail, as the engine makes a batch of it.
    pub fn take(&mut self, slot: Slot) -> Taken {
        let tail = &mut self.slots[slot.index()];
        let (mut facts, keys) = (std::mem::take(&mut tail.facts), std::mem::take(&mut tail.keys));
        tail.oldest = None;
        self.waiting -= keys.len();
        facts.sort_by_key(|row| (row.cid, row.seq, std::cmp::Reverse(row.n)));
        facts.dedup_by_key(|row| (row.cid, row.seq));
        let heads = std::mem::take(&mut tail.heads);
        Taken { batch: HistoryBatch { slot, through: N(tail.n), facts, keys }, heads }
    }

    /// Every message before this one was taken.
    pub fn taken_below(&self) -> u64 {
        self.slots.iter().filter_map(|tail| tail.oldest).map(|(g, _)| g).min().unwrap_or(self.next)
    }

    /// Through which n each slot is sequenced.
    pub fn newest(&self) -> Vec<N> {
        self.slots.iter().map(|tail| N(tail.n)).collect()
    }

    /// Sequences from here on go above these.
    pub fn resume_above(&mut self, checkpoints: &[N]) {
        self.slots.iter_mut().zip(checkpoints).for_each(|(tail, n)| tail.n = n.0);
    }
}

/// The id of the conversation of this rank, and its slot.
pub fn place(rank: u64) -> (ConversationId, Slot) {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&draw(rank, 30).to_be_bytes());
    bytes[8..].copy_from_slice(&draw(rank, 31).to_be_bytes());
    (ConversationId(bytes), Slot(draw(rank, 32) as u8))
}

/// Which seq message g edits, being the message `seq` of its conversation.
pub fn edited(g: u64, seq: u64) -> Option<u64> {
    let drawn = draw(g, 9);
    let reach = EDIT_REACH.min(seq - 1);
    (drawn.is_multiple_of(EDIT_ONE_OF) && reach > 0).then(|| seq - 1 - (drawn >> 32) % reach)
}

/// An even draw that depends on its arguments alone (SplitMix64).
pub fn draw(g: u64, which: u64) -> u64 {
    let mixed = (g ^ (which << 56)).wrapping_add(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(which + 1));
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn fraction(drawn: u64) -> f64 {
    (drawn >> 11) as f64 / (1u64 << 53) as f64
}

/// Lines of made-up words, some used far more often than others, of about 34 bytes.
fn made_up() -> Vec<String> {
    let word = |number: u64| -> String {
        let letters = 2 + draw(number, 40) % 8;
        (0..letters).map(|at| char::from(b'a' + (draw(number * 16 + at, 41) % 26) as u8)).collect()
    };
    let words: Vec<String> = (0..WORDS_MADE).map(word).collect();
    let text = |number: u64| -> String {
        let count = 1 + draw(number, 42) % 12;
        let pick = |at: u64| {
            let share = fraction(draw(number * 16 + at, 43));
            &words[((WORDS_MADE as f64).powf(share) as usize - 1).min(words.len() - 1)][..]
        };
        (0..count).map(pick).collect::<Vec<_>>().join(" ")
    };
    (0..TEXTS_MADE).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_skewed_and_of_the_size_that_is_said() {
        let traffic = Traffic::new(10_000, 1_000, Filing::Day, None).unwrap();
        let mut tails = Tails::new(&traffic);
        let mut counts = vec![0u64; 10_000];
        for g in 0..50_000 {
            tails.push(&traffic, traffic.sent_ms(g));
            counts[traffic.conversation(g) as usize] += 1;
        }
        assert_eq!(tails.due(0, 1_000, usize::MAX), []);
        let batches: Vec<HistoryBatch> = Slot::all().map(|slot| tails.take(slot).batch).collect();
        assert_eq!((tails.waiting, tails.taken_below()), (0, 50_000));
        assert_eq!(batches.iter().map(|batch| batch.keys.len()).sum::<usize>(), 50_000);
        let bytes: usize = batches.iter().flat_map(|batch| &batch.facts).map(|row| row.fact.len()).sum();
        assert!((250..350).contains(&(bytes / 50_000)), "{} bytes each", bytes / 50_000);
        counts.sort_unstable_by(|left, right| right.cmp(left));
        let top: u64 = counts[..100].iter().sum();
        assert!((10_000..40_000).contains(&top), "the first hundredth has {top} of 50,000");
    }
}
