//! What every [`History`] must do, as a suite that each adapter runs against itself.

use std::sync::Arc;

use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;

use super::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use super::log_conformance::block_on;

/// How the suite gets at a history.
pub trait HistoryFactory {
    /// Opens the history: empty the first time, and after that with everything that was flushed.
    /// The suite drops the history it had before it asks again.
    fn open(&self) -> Arc<dyn History>;
}

/// Runs the whole suite; `fresh` gives a factory of an empty history for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_history(fresh: &mut dyn FnMut() -> Box<dyn HistoryFactory>) {
    an_empty_history_has_256_checkpoints_at_0(&*fresh());
    ranges_are_cut_at_either_end(&*fresh());
    an_older_row_never_overwrites(&*fresh());
    a_late_flush_undoes_no_recall(&*fresh());
    a_flush_may_be_repeated(&*fresh());
    checkpoints_only_grow_and_survive_reopening(&*fresh());
    a_batch_below_the_checkpoint_changes_nothing(&*fresh());
    one_flush_folds_several_slots(&*fresh());
    conversations_and_slots_do_not_see_one_another(&*fresh());
    facts_of_every_size_come_back(&*fresh());
    keys_come_back_in_the_order_asked_for(&*fresh());
    keys_are_forgotten_by_day(&*fresh());
}

const A: Slot = Slot(0);
const B: Slot = Slot(255);
const FAR: usize = usize::MAX;

fn cid(number: u8) -> ConversationId {
    ConversationId([number; 16])
}

fn fact(number: u8, seq: u64, n: u64) -> FactRow {
    let text = format!("fact {seq} of {number} at {n}");
    FactRow { cid: cid(number), seq: Seq(seq), n: N(n), fact: Bytes::from(text), replaces: false }
}

fn key(key: u128, day: u32, n: u64) -> KeyRow {
    KeyRow { key, day, n: N(n), seq: Seq(n / 2), request_hash: u64::MAX - n }
}

fn batch(slot: Slot, through: u64, facts: Vec<FactRow>, keys: Vec<KeyRow>) -> HistoryBatch {
    HistoryBatch { slot, through: N(through), facts, keys }
}

fn flush(history: &dyn History, batches: Vec<HistoryBatch>) {
    assert_eq!(block_on(history.flush(batches)), Ok(()));
}

fn range(
    history: &dyn History,
    slot: Slot,
    number: u8,
    (low, high): (u64, u64),
    limit: usize,
    newest_first: bool,
) -> Vec<FactRow> {
    let range = HistoryRange { cid: cid(number), low: Seq(low), high: Seq(high), limit, newest_first };
    block_on(history.range(slot, range)).expect("a range succeeds")
}

fn everything(history: &dyn History, slot: Slot, number: u8) -> Vec<FactRow> {
    let forwards = range(history, slot, number, (0, u64::MAX), FAR, false);
    assert_eq!(range(history, slot, number, (0, u64::MAX), FAR, true), forwards);
    forwards
}

fn keys(history: &dyn History, slot: Slot, asked: &[(u32, u128)]) -> Vec<Option<KeyRow>> {
    block_on(history.keys(slot, asked.to_vec())).expect("keys are there")
}

fn checkpoint(history: &dyn History, slot: Slot) -> u64 {
    block_on(history.checkpoints()).expect("checkpoints are there")[slot.index()].0
}

fn an_empty_history_has_256_checkpoints_at_0(factory: &dyn HistoryFactory) {
    let history = factory.open();
    assert_eq!(block_on(history.checkpoints()), Ok(vec![N(0); Slot::COUNT]));
    assert_eq!(everything(&*history, A, 1), []);
    assert_eq!(keys(&*history, A, &[(1, 2), (3, 4)]), [None, None]);
    assert_eq!(keys(&*history, A, &[]), []);
    flush(&*history, vec![]);
    assert_eq!(block_on(history.forget_keys(u32::MAX)), Ok(()));
}

fn ranges_are_cut_at_either_end(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let facts: Vec<_> = (1..=20).map(|seq| fact(1, seq, 100 + seq)).collect();
    flush(&*history, vec![batch(A, 120, facts.clone(), vec![])]);
    let cases: [(u64, u64, usize, bool, std::ops::Range<usize>); 11] = [
        (1, 20, FAR, false, 0..20),
        (0, u64::MAX, FAR, true, 0..20),
        (5, 9, FAR, false, 4..9),
        (5, 9, FAR, true, 4..9),
        (5, 9, 2, false, 4..6),
        (5, 9, 2, true, 7..9),
        (5, 5, 1, true, 4..5),
        (18, 40, 2, false, 17..19),
        (18, 40, 2, true, 18..20),
        (9, 5, FAR, false, 0..0),
        (5, 9, 0, true, 0..0),
    ];
    for (low, high, limit, newest_first, expected) in cases {
        let read = range(&*history, A, 1, (low, high), limit, newest_first);
        assert_eq!(read, facts[expected], "{low}..={high}, at most {limit}, newest first: {newest_first}");
    }
}

fn an_older_row_never_overwrites(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let recalled = fact(1, 5, 30);
    flush(&*history, vec![batch(A, 30, vec![recalled.clone()], vec![key(9, 7, 30)])]);
    flush(&*history, vec![batch(A, 30, vec![fact(1, 5, 8), fact(1, 6, 9)], vec![key(9, 7, 8)])]);
    assert_eq!(everything(&*history, A, 1), [recalled, fact(1, 6, 9)], "each row counts for itself");
    assert_eq!(keys(&*history, A, &[(7, 9)]), [Some(key(9, 7, 30))]);
    let newer = FactRow { replaces: true, ..fact(1, 5, 31) };
    flush(&*history, vec![batch(A, 31, vec![newer], vec![])]);
    assert_eq!(everything(&*history, A, 1), [fact(1, 5, 31), fact(1, 6, 9)]);
    // Also within one flush.
    let twice = batch(A, 33, vec![fact(1, 7, 33), fact(1, 7, 32)], vec![]);
    flush(&*history, vec![twice]);
    assert_eq!(everything(&*history, A, 1)[2..], [fact(1, 7, 33)]);
}

fn a_late_flush_undoes_no_recall(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let sent = fact(1, 5, 8);
    flush(&*history, vec![batch(A, 10, vec![sent.clone()], vec![key(9, 7, 8)])]);
    // The recall stands under its own seq, and writes the row of its message again, without the body.
    let (gone, recall) = (fact(1, 5, 30), fact(1, 6, 30));
    let replacing = FactRow { replaces: true, ..gone.clone() };
    flush(&*history, vec![batch(A, 30, vec![replacing, recall.clone()], vec![])]);
    for through in [10, 30, 31] {
        flush(&*history, vec![batch(A, through, vec![sent.clone()], vec![])]);
        assert_eq!(everything(&*history, A, 1), [gone.clone(), recall.clone()], "a flush through {through}");
    }
    assert_eq!(keys(&*history, A, &[(7, 9)]), [Some(key(9, 7, 8))], "the command is remembered as it was");
}

fn a_flush_may_be_repeated(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let flushed = batch(A, 4, vec![fact(1, 1, 3), fact(1, 2, 4)], vec![key(1, 1, 3), key(2, 1, 4)]);
    flush(&*history, vec![flushed.clone()]);
    flush(&*history, vec![flushed.clone(), flushed.clone()]);
    assert_eq!(everything(&*history, A, 1), flushed.facts);
    assert_eq!(keys(&*history, A, &[(1, 1), (1, 2)]), [Some(key(1, 1, 3)), Some(key(2, 1, 4))]);
    assert_eq!(checkpoint(&*history, A), 4);
    flush(&*history, vec![batch(A, 4, vec![fact(2, 1, 4)], vec![])]);
    assert_eq!(everything(&*history, A, 2), [fact(2, 1, 4)], "the same n with more in it");
}

fn checkpoints_only_grow_and_survive_reopening(factory: &dyn HistoryFactory) {
    for (life, through) in [(1, 5), (2, 5), (3, 70)] {
        let history = factory.open();
        flush(&*history, vec![batch(B, through, vec![], vec![])]);
        flush(&*history, vec![batch(B, 3, vec![], vec![])]);
        assert_eq!(checkpoint(&*history, B), through, "life {life}");
        assert_eq!(checkpoint(&*history, A), 0);
    }
    let history = factory.open();
    assert_eq!(checkpoint(&*history, B), 70);
    flush(&*history, vec![batch(B, 71, vec![fact(1, 1, 71)], vec![key(1, 2, 71)])]);
    drop(history);
    let history = factory.open();
    assert_eq!(checkpoint(&*history, B), 71);
    assert_eq!(everything(&*history, B, 1), [fact(1, 1, 71)]);
    assert_eq!(keys(&*history, B, &[(2, 1)]), [Some(key(1, 2, 71))]);
}

fn a_batch_below_the_checkpoint_changes_nothing(factory: &dyn HistoryFactory) {
    let history = factory.open();
    flush(&*history, vec![batch(A, 50, vec![fact(1, 1, 10)], vec![key(1, 1, 10)])]);
    // Even rows that would be newer than those that are there: such a batch is of a reign that is over.
    let stale = batch(A, 49, vec![fact(1, 1, 49), fact(1, 2, 49)], vec![key(1, 1, 49), key(2, 1, 49)]);
    flush(&*history, vec![stale, batch(B, 1, vec![fact(7, 1, 1)], vec![])]);
    assert_eq!(everything(&*history, A, 1), [fact(1, 1, 10)]);
    assert_eq!(keys(&*history, A, &[(1, 1), (1, 2)]), [Some(key(1, 1, 10)), None]);
    assert_eq!(checkpoint(&*history, A), 50);
    assert_eq!(everything(&*history, B, 7), [fact(7, 1, 1)], "the other slot's batch counts");
}

fn one_flush_folds_several_slots(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let n = |slot: Slot| 1 + u64::from(slot.0);
    let all = Slot::all().map(|slot| {
        batch(slot, n(slot), vec![fact(slot.0, 1, n(slot))], vec![key(5, u32::from(slot.0), n(slot))])
    });
    flush(&*history, all.collect());
    drop(history);
    let history = factory.open();
    for slot in Slot::all() {
        assert_eq!(checkpoint(&*history, slot), n(slot));
        assert_eq!(everything(&*history, slot, slot.0), [fact(slot.0, 1, n(slot))]);
        let day = u32::from(slot.0);
        assert_eq!(keys(&*history, slot, &[(day, 5)]), [Some(key(5, day, n(slot)))]);
    }
}

fn conversations_and_slots_do_not_see_one_another(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let facts = vec![fact(1, 1, 1), fact(2, 1, 2), fact(3, 1, 3)];
    flush(&*history, vec![batch(A, 3, facts, vec![key(1, 1, 1)])]);
    assert_eq!(everything(&*history, A, 2), [fact(2, 1, 2)]);
    assert_eq!(everything(&*history, B, 2), []);
    assert_eq!(keys(&*history, B, &[(1, 1)]), [None]);
}

fn facts_of_every_size_come_back(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let sizes = [0, 1, 300, 1_000, 4_096, 16_384, 65_536, 200_000];
    let facts: Vec<FactRow> = sizes
        .iter()
        .zip(1u64..)
        .map(|(&bytes, seq)| {
            let bytes: Bytes = (0..bytes).map(|at: u64| (at.wrapping_mul(seq) >> 3) as u8).collect();
            FactRow { cid: cid(1), seq: Seq(seq), n: N(seq), fact: bytes, replaces: false }
        })
        .collect();
    flush(&*history, vec![batch(A, 9, facts.clone(), vec![])]);
    drop(history);
    assert_eq!(everything(&*factory.open(), A, 1), facts);
}

fn keys_come_back_in_the_order_asked_for(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let stored = [key(u128::MAX, 3, 1), key(0, 3, 2), key(7, 4, 3), key(1 << 127, u32::MAX, 4)];
    flush(&*history, vec![batch(A, 4, vec![], stored.to_vec())]);
    let asked = [(4, 7), (3, 7), (3, u128::MAX), (u32::MAX, 1 << 127), (3, 0), (4, 7)];
    let expected =
        [Some(stored[2]), None, Some(stored[0]), Some(stored[3]), Some(stored[1]), Some(stored[2])];
    assert_eq!(keys(&*history, A, &asked), expected);
}

fn keys_are_forgotten_by_day(factory: &dyn HistoryFactory) {
    let history = factory.open();
    let of = |slot: Slot| (10..20).map(move |day| key(u128::from(slot.0), day, u64::from(day)));
    let batches =
        [A, B].map(|slot| batch(slot, 20, vec![fact(1, 1, 1)], of(slot).collect::<Vec<_>>())).to_vec();
    flush(&*history, batches);
    assert_eq!(block_on(history.forget_keys(15)), Ok(()));
    assert_eq!(block_on(history.forget_keys(12)), Ok(()), "further back than before changes nothing");
    drop(history);
    let history = factory.open();
    for slot in [A, B] {
        let asked: Vec<_> = of(slot).map(|key| (key.day, key.key)).collect();
        let expected: Vec<_> = of(slot).map(|key| (key.day >= 15).then_some(key)).collect();
        assert_eq!(keys(&*history, slot, &asked), expected);
        assert_eq!(everything(&*history, slot, 1), [fact(1, 1, 1)], "facts stay");
        assert_eq!(checkpoint(&*history, slot), 20);
    }
}
