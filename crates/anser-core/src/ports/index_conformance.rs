//! What every [`Index`] must do, as a suite that each adapter runs against itself.

use std::sync::Arc;

use anser_model::{AccountId, ConversationId, N, Slot};
use bytes::Bytes;

use super::index::{ConversationRow, ConversationRows, Index, IndexBatch, MemberRow};
use super::log_conformance::block_on;

/// How the suite gets at an index.
pub trait IndexFactory {
    /// Opens the index: empty the first time, and after that with everything that was flushed.
    /// The suite drops the index it had before it asks again.
    fn open(&self) -> Arc<dyn Index>;
}

/// Runs the whole suite; `fresh` gives a factory of an empty index for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_index(fresh: &mut dyn FnMut() -> Box<dyn IndexFactory>) {
    an_empty_index_has_256_checkpoints_at_0(&*fresh());
    rows_come_back_in_the_order_asked_for(&*fresh());
    an_older_row_never_overwrites(&*fresh());
    a_flush_may_be_repeated(&*fresh());
    checkpoints_only_grow_and_survive_reopening(&*fresh());
    a_batch_below_the_checkpoint_changes_nothing(&*fresh());
    one_flush_folds_several_slots(&*fresh());
    slots_do_not_see_one_another(&*fresh());
    a_member_is_told_what_it_may_see(&*fresh());
    a_former_member_is_told_only_of_itself(&*fresh());
    members_by_the_hundred_come_back(&*fresh());
}

const A: Slot = Slot(0);
const B: Slot = Slot(255);
const ME: AccountId = AccountId(u64::MAX >> 1);
const YOU: AccountId = AccountId(2);

fn cid(number: u8) -> ConversationId {
    ConversationId([number; 16])
}

fn conversation(number: u8, n_shared: u64, n_receipts: u64) -> ConversationRow {
    let state = format!("conversation {number} at {n_shared}/{n_receipts}");
    ConversationRow {
        cid: cid(number),
        n_shared: N(n_shared),
        n_receipts: N(n_receipts),
        state: Bytes::from(state),
    }
}

fn member(number: u8, account: AccountId, n: u64, present: bool) -> MemberRow {
    let state = Bytes::from(format!("member {account} of {number} at {n}"));
    MemberRow { cid: cid(number), account, n: N(n), present, state }
}

fn batch(
    slot: Slot,
    through: u64,
    conversations: Vec<ConversationRow>,
    members: Vec<MemberRow>,
) -> IndexBatch {
    IndexBatch { slot, through: N(through), conversations, members }
}

fn flush(index: &dyn Index, batches: Vec<IndexBatch>) {
    assert_eq!(block_on(index.flush(batches)), Ok(()));
}

fn load(index: &dyn Index, slot: Slot, numbers: &[u8]) -> Vec<Option<ConversationRows>> {
    let cids = numbers.iter().map(|&number| cid(number)).collect();
    block_on(index.load(slot, cids)).expect("a load succeeds")
}

fn load_one(index: &dyn Index, slot: Slot, number: u8) -> ConversationRows {
    load(index, slot, &[number]).remove(0).expect("the conversation is there")
}

fn checkpoint(index: &dyn Index, slot: Slot) -> u64 {
    block_on(index.checkpoints()).expect("checkpoints are there")[slot.index()].0
}

/// The numbers of the conversations that `changed` names, ascending.
fn changed(index: &dyn Index, slot: Slot, account: AccountId, after: u64) -> Vec<u8> {
    let rows = block_on(index.changed(slot, account, N(after))).expect("changes are there");
    let mut numbers: Vec<u8> = rows
        .iter()
        .map(|(conversation, member)| {
            assert_eq!(conversation.cid, member.cid, "each with its own member row");
            assert_eq!(member.account, account, "each with its own member row");
            conversation.cid.0[0]
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

fn an_empty_index_has_256_checkpoints_at_0(factory: &dyn IndexFactory) {
    let index = factory.open();
    assert_eq!(block_on(index.checkpoints()), Ok(vec![N(0); Slot::COUNT]));
    assert_eq!(load(&*index, A, &[1, 2]), vec![None, None]);
    assert_eq!(load(&*index, A, &[]), vec![]);
    assert_eq!(changed(&*index, A, ME, 0), []);
    flush(&*index, vec![]);
}

fn rows_come_back_in_the_order_asked_for(factory: &dyn IndexFactory) {
    let index = factory.open();
    let (first, second) = (conversation(1, 3, 0), conversation(2, 4, 5));
    let members = vec![member(1, YOU, 1, true), member(1, ME, 3, true), member(2, ME, 4, false)];
    flush(&*index, vec![batch(A, 5, vec![first.clone(), second.clone()], members.clone())]);
    let mut loaded = load(&*index, A, &[2, 9, 1, 2]);
    loaded.iter_mut().flatten().for_each(|rows| rows.members.sort_by_key(|member| member.account));
    let first = ConversationRows { conversation: first, members: members[..2].to_vec() };
    let second = ConversationRows { conversation: second, members: members[2..].to_vec() };
    assert_eq!(loaded, vec![Some(second.clone()), None, Some(first), Some(second)]);
}

fn an_older_row_never_overwrites(factory: &dyn IndexFactory) {
    let index = factory.open();
    flush(&*index, vec![batch(A, 9, vec![conversation(1, 7, 9)], vec![member(1, ME, 8, false)])]);
    let expected = load_one(&*index, A, 1);
    // A conversation's row is as new as the larger of its two n.
    for (older, mine) in [(conversation(1, 7, 6), 7), (conversation(1, 8, 0), 1)] {
        flush(&*index, vec![batch(A, 9, vec![older], vec![member(1, ME, mine, true)])]);
        assert_eq!(load_one(&*index, A, 1), expected);
    }
    let newer = conversation(1, 10, 9);
    flush(&*index, vec![batch(A, 10, vec![newer.clone()], vec![member(1, ME, 7, true)])]);
    let rows = load_one(&*index, A, 1);
    assert_eq!(rows.conversation, newer, "each row counts for itself");
    assert_eq!(rows.members, expected.members);
}

fn a_flush_may_be_repeated(factory: &dyn IndexFactory) {
    let index = factory.open();
    let flushed = batch(A, 4, vec![conversation(1, 4, 2)], vec![member(1, ME, 3, true)]);
    flush(&*index, vec![flushed.clone()]);
    let expected = load(&*index, A, &[1]);
    flush(&*index, vec![flushed.clone(), flushed]);
    assert_eq!(load(&*index, A, &[1]), expected);
    assert_eq!(checkpoint(&*index, A), 4);
    // The same n with more in it, as a flush that was cut short would leave to the next.
    flush(&*index, vec![batch(A, 4, vec![conversation(2, 4, 0)], vec![member(2, ME, 4, true)])]);
    assert_eq!(changed(&*index, A, ME, 0), [1, 2]);
}

fn checkpoints_only_grow_and_survive_reopening(factory: &dyn IndexFactory) {
    for (life, through) in [(1, 5), (2, 5), (3, 70)] {
        let index = factory.open();
        flush(&*index, vec![batch(B, through, vec![], vec![])]);
        flush(&*index, vec![batch(B, 3, vec![], vec![])]);
        assert_eq!(checkpoint(&*index, B), through, "life {life}");
        assert_eq!(checkpoint(&*index, A), 0);
    }
    let index = factory.open();
    assert_eq!(checkpoint(&*index, B), 70);
    flush(&*index, vec![batch(B, 71, vec![conversation(3, 71, 0)], vec![member(3, ME, 71, true)])]);
    let expected = load_one(&*index, B, 3);
    drop(index);
    let index = factory.open();
    assert_eq!((checkpoint(&*index, B), load_one(&*index, B, 3)), (71, expected));
}

fn a_batch_below_the_checkpoint_changes_nothing(factory: &dyn IndexFactory) {
    let index = factory.open();
    flush(&*index, vec![batch(A, 50, vec![conversation(1, 10, 0)], vec![member(1, ME, 10, true)])]);
    let expected = load(&*index, A, &[1]);
    // Even rows that would be newer than those that are there: such a batch is of a reign that is over.
    let stale = batch(
        A,
        49,
        vec![conversation(1, 49, 0), conversation(2, 49, 0)],
        vec![member(1, ME, 49, false), member(2, ME, 49, true)],
    );
    let good = batch(B, 1, vec![conversation(7, 1, 0)], vec![member(7, ME, 1, true)]);
    flush(&*index, vec![stale, good]);
    assert_eq!(load(&*index, A, &[1]), expected);
    assert_eq!(load(&*index, A, &[2]), vec![None]);
    assert_eq!(checkpoint(&*index, A), 50);
    assert_eq!(changed(&*index, B, ME, 0), [7], "the other slot's batch counts");
}

fn one_flush_folds_several_slots(factory: &dyn IndexFactory) {
    let index = factory.open();
    let all = Slot::all()
        .map(|slot| {
            let number = slot.0;
            let n = 1 + u64::from(number);
            batch(slot, n, vec![conversation(number, n, 0)], vec![member(number, ME, n, true)])
        })
        .collect();
    flush(&*index, all);
    drop(index);
    let index = factory.open();
    for slot in Slot::all() {
        let n = 1 + u64::from(slot.0);
        assert_eq!(checkpoint(&*index, slot), n);
        assert_eq!(load_one(&*index, slot, slot.0).conversation, conversation(slot.0, n, 0));
    }
}

fn slots_do_not_see_one_another(factory: &dyn IndexFactory) {
    let index = factory.open();
    flush(&*index, vec![batch(A, 9, vec![conversation(1, 9, 0)], vec![member(1, ME, 9, true)])]);
    assert_eq!(load(&*index, B, &[1]), vec![None]);
    assert_eq!(changed(&*index, B, ME, 0), []);
}

fn a_member_is_told_what_it_may_see(factory: &dyn IndexFactory) {
    let index = factory.open();
    let conversations = (1..=4).zip([(10, 0), (3, 12), (3, 4), (11, 11)]);
    let conversations =
        conversations.map(|(number, (shared, receipts))| conversation(number, shared, receipts));
    let members = vec![
        member(1, YOU, 20, true),
        member(1, ME, 1, true),
        member(2, ME, 2, true),
        member(3, ME, 15, true),
        member(4, YOU, 11, true),
    ];
    flush(&*index, vec![batch(A, 20, conversations.collect(), members)]);
    assert_eq!(changed(&*index, A, ME, 0), [1, 2, 3]);
    assert_eq!(changed(&*index, A, ME, 9), [1, 2, 3]);
    assert_eq!(changed(&*index, A, ME, 10), [2, 3], "above, not at");
    assert_eq!(changed(&*index, A, ME, 12), [3], "another's own row wakes nobody");
    assert_eq!(changed(&*index, A, ME, 15), []);
    assert_eq!(changed(&*index, A, YOU, 11), [1]);
    assert_eq!(changed(&*index, A, AccountId(3), 0), [], "a stranger learns nothing");
    assert_eq!(changed(&*index, A, ME, u64::MAX), []);
    let rows = block_on(index.changed(A, ME, N(12))).expect("changes are there");
    assert_eq!(rows, vec![(conversation(3, 3, 4), member(3, ME, 15, true))]);
}

fn a_former_member_is_told_only_of_itself(factory: &dyn IndexFactory) {
    let index = factory.open();
    flush(&*index, vec![batch(A, 9, vec![conversation(1, 9, 0)], vec![member(1, ME, 5, true)])]);
    assert_eq!(changed(&*index, A, ME, 8), [1]);
    flush(&*index, vec![batch(A, 10, vec![conversation(1, 10, 0)], vec![member(1, ME, 10, false)])]);
    assert_eq!(changed(&*index, A, ME, 9), [1], "its removal is its own");
    flush(&*index, vec![batch(A, 12, vec![conversation(1, 11, 12)], vec![])]);
    assert_eq!(changed(&*index, A, ME, 9), [1]);
    assert_eq!(changed(&*index, A, ME, 10), [], "nothing after it");
    flush(&*index, vec![batch(A, 13, vec![conversation(1, 13, 12)], vec![member(1, ME, 13, true)])]);
    flush(&*index, vec![batch(A, 14, vec![conversation(1, 14, 12)], vec![])]);
    assert_eq!(changed(&*index, A, ME, 13), [1], "and again as a member");
}

fn members_by_the_hundred_come_back(factory: &dyn IndexFactory) {
    let index = factory.open();
    let members: Vec<_> = (1..=512).map(|account| member(1, AccountId(account), account, true)).collect();
    flush(&*index, vec![batch(A, 512, vec![conversation(1, 1, 0)], members.clone())]);
    let mut loaded = load_one(&*index, A, 1).members;
    loaded.sort_by_key(|member| member.account);
    assert_eq!(loaded, members);
    // Several calls under way at once get each their own answer.
    let answers: Vec<_> = (1..=512).map(|account| index.changed(A, AccountId(account), N(0))).collect();
    for (answer, member) in answers.into_iter().zip(members) {
        assert_eq!(block_on(answer), Ok(vec![(conversation(1, 1, 0), member)]));
    }
}
