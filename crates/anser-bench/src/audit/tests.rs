//! The verifier is fed what a wrong server would deliver, and must say what is wrong with it. A run that
//! finds nothing proves something only because of this.

use std::sync::Arc;

use anser_client::{Observer as _, Update};
use anser_model::{ClientId, UnixMillis};

use super::*;
use crate::book::Message;
use crate::device::Recorder;

const ALICE: AccountId = AccountId(1);
const BOB: AccountId = AccountId(2);
const CID: ConversationId = ConversationId([9; 16]);
/// Messages said: Alice and Bob in turns, at seqs 2 to 7 behind the creation.
const SAID: u64 = 6;

fn message(tag: Tag) -> Message {
    let author = if tag.is_multiple_of(2) { BOB } else { ALICE };
    Message { tag, author, cid: CID, text: format!("message {tag}") }
}

fn client_id(tag: Tag) -> ClientId {
    ClientId::mint(UnixMillis(1), [tag as u8; 10])
}

fn entry(tag: Tag) -> Entry {
    Entry { cid: CID, seq: tag + 1, client_id: client_id(tag), digest: message(tag).digest() }
}

fn created() -> v1::Event {
    let change = Some(v1::event::Change::Created(v1::Created::default()));
    v1::Event {
        slot: 3,
        n: 11,
        cid: CID.0.to_vec().into(),
        author: ALICE.0,
        seq: 1,
        change,
        ..v1::Event::default()
    }
}

/// A message as an event at a seq.
fn event(tag: Tag, seq: u64) -> v1::Event {
    let message = message(tag);
    v1::Event {
        slot: 3,
        n: 10 + seq,
        cid: CID.0.to_vec().into(),
        author: message.author.0,
        client_id: client_id(tag).as_bytes().to_vec().into(),
        seq,
        change: Some(v1::event::Change::Message(message.to_wire())),
        ..v1::Event::default()
    }
}

/// What a right server delivers, and would give whoever reads afresh.
fn right() -> Vec<v1::Event> {
    std::iter::once(created()).chain((1..=SAID).map(|tag| event(tag, tag + 1))).collect()
}

/// A head of Bob, who has read up to `mark`.
fn head(mark: u64, unread: u64) -> v1::Head {
    v1::Head { cid: CID.0.to_vec().into(), seq: SAID + 1, mark, unread, ..v1::Head::default() }
}

/// Judges a server that acknowledged everything, told `fresh` to whoever read afresh, delivered
/// `delivered` to a device of Bob, and `unread` to him who has read up to seq 3.
fn judge(fresh: &[v1::Event], delivered: &[v1::Event], unread: u64) -> Verdict {
    let newest_n = fresh.iter().map(|event| event.n).max().unwrap_or_default();
    judge_book(Book::default(), (newest_n, fresh), delivered, head(3, unread))
}

/// The same with a ledger that knows more, of what was told as of an n.
fn judge_book(
    book: Book,
    (as_of, fresh): (u64, &[v1::Event]),
    delivered: &[v1::Event],
    head: v1::Head,
) -> Verdict {
    let book = Arc::new(book);
    (1..=SAID).for_each(|tag| book.acknowledge(tag, entry(tag)));
    let mut audit = Audit::default();
    audit.take(CID, as_of, fresh);
    audit.check_entries(&book.drain_new(), &book);
    audit.check_nothing_else(&book);
    let device = Recorder::new(BOB, book.clone());
    delivered.iter().for_each(|event| device.observe(&Update::Event(Box::new(event.clone()))));
    audit.check_device("a device", &device.seen(), &[CID], &book);
    let heads = [head];
    audit.check_heads("a device", BOB, &heads, &heads, |_| (3, 3));
    audit.verdict.faults.take(book.faults());
    audit.verdict
}

/// Lost, doubled, reordered, unread mismatches.
fn found(verdict: &Verdict) -> [u64; 4] {
    [verdict.lost, verdict.doubled, verdict.reordered, verdict.unread_mismatches]
}

/// Of Alice, past seq 3: messages 3 and 5, at seqs 4 and 6.
const UNREAD: u64 = 2;

#[test]
fn a_right_server_is_found_right() {
    let verdict = judge(&right(), &right(), UNREAD);
    assert!(verdict.is_clean() && found(&verdict) == [0; 4], "{verdict:?}");
}

#[test]
fn an_acknowledged_message_that_is_gone_is_lost() {
    for gone in 1..=SAID {
        let mut fresh = right();
        fresh.truncate(gone as usize);
        let verdict = judge(&fresh, &fresh, UNREAD);
        assert_eq!(verdict.lost, SAID + 1 - gone, "{verdict:?}");
    }
}

#[test]
fn another_message_in_the_place_of_an_acknowledged_one_is_a_loss() {
    let mut fresh = right();
    fresh[3] = event(77, 4);
    let verdict = judge(&fresh, &fresh, UNREAD);
    assert!(verdict.lost == 1 && verdict.doubled == 1, "the other one was never acknowledged: {verdict:?}");
}

#[test]
fn a_message_that_stands_twice_is_doubled() {
    let mut fresh = right();
    fresh.push(event(2, SAID + 2));
    let verdict = judge(&fresh, &fresh, UNREAD);
    assert!(verdict.doubled > 0 && verdict.lost == 0, "{verdict:?}");
}

#[test]
fn a_senders_messages_that_changed_places_are_reordered_and_not_where_they_were_acknowledged() {
    let mut fresh = right();
    (fresh[1], fresh[3]) = (event(3, 2), event(1, 4));
    let verdict = judge(&fresh, &fresh, UNREAD);
    assert!(verdict.reordered == 1 && verdict.lost == 2, "{verdict:?}");
}

#[test]
fn a_hole_in_a_conversation_is_found() {
    let mut fresh = right();
    fresh.remove(2);
    let verdict = judge(&fresh, &right(), UNREAD);
    assert!(verdict.reordered == 1 && verdict.lost == 1, "{verdict:?}");
}

#[test]
fn a_delivery_that_did_not_come_is_lost() {
    for lacking in 0..right().len() {
        let mut delivered = right();
        delivered.remove(lacking);
        assert_eq!(found(&judge(&right(), &delivered, UNREAD)), [1, 0, 0, 0]);
    }
}

#[test]
fn a_delivery_that_came_twice_is_doubled() {
    for again in 0..right().len() {
        let mut delivered = right();
        delivered.insert(again, right()[again].clone());
        assert_eq!(found(&judge(&right(), &delivered, UNREAD)), [0, 1, 0, 0]);
    }
}

#[test]
fn a_delivery_behind_a_later_one_is_reordered() {
    for early in 1..right().len() {
        let mut delivered = right();
        delivered.swap(early - 1, early);
        assert_eq!(found(&judge(&right(), &delivered, UNREAD)), [0, 0, 1, 0]);
    }
}

#[test]
fn a_device_that_was_told_something_else_is_found() {
    let mut delivered = right();
    delivered[2] = event(2 + SAID, 3);
    let verdict = judge(&right(), &delivered, UNREAD);
    assert!(verdict.doubled > 0, "{verdict:?}");
    // The same message under another client id was sent twice.
    let mut delivered = right();
    delivered[2].client_id = client_id(99).as_bytes().to_vec().into();
    assert_eq!(found(&judge(&right(), &delivered, UNREAD)), [0, 1, 0, 0]);
}

#[test]
fn unread_that_is_not_the_recount_is_a_mismatch() {
    for unread in [0, UNREAD - 1, UNREAD + 1] {
        assert_eq!(found(&judge(&right(), &right(), unread)), [0, 0, 0, 1]);
    }
}

#[test]
fn one_message_acknowledged_at_two_places_is_a_fault() {
    let book = Book::default();
    book.acknowledge(1, entry(1));
    book.acknowledge(1, entry(1));
    assert_eq!(book.faults().count, 0, "the same answer again");
    book.acknowledge(1, Entry { seq: 9, ..entry(1) });
    assert_eq!(book.faults().count, 1);
}

/// Bob's message 2, at seq 3, is taken back by the fact at seq 8.
fn recalled() -> Vec<v1::Event> {
    let change = Some(v1::event::Change::Recalled(v1::Recalled { seq: 3 }));
    let recall = v1::Event { change, client_id: bytes::Bytes::new(), ..event(2, SAID + 2) };
    let stands = v1::Message { kind: "anser.load".into(), recalled: true, ..v1::Message::default() };
    let mut fresh = right();
    fresh[2] =
        v1::Event { n: recall.n, change: Some(v1::event::Change::Message(stands)), ..fresh[2].clone() };
    fresh.push(recall);
    fresh
}

fn judge_recalled(fresh: &[v1::Event], delivered: &[v1::Event]) -> Verdict {
    let book = Book::default();
    book.amend(CID, 3, RECALLED);
    let head = v1::Head { seq: SAID + 2, ..head(3, UNREAD) };
    judge_book(book, (100, fresh), delivered, head)
}

#[test]
fn a_message_that_was_taken_back_is_gone_for_everybody() {
    let live = [right(), recalled()[SAID as usize + 1..].to_vec()].concat();
    let verdict = judge_recalled(&recalled(), &live);
    assert!(verdict.is_clean() && found(&verdict) == [0; 4], "{verdict:?}");
}

#[test]
fn a_page_that_is_looked_at_late_undoes_no_recall() {
    let device = Recorder::new(BOB, Arc::new(Book::default()));
    let recall = recalled().pop().expect("the last one is the recall");
    device.observe(&Update::Event(Box::new(recall)));
    let page = v1::Page { events: right(), ..v1::Page::default() };
    device.take_page(CID, (1, SAID + 1), &page);
    let rows = device.seen().rows[&CID].digests.clone();
    assert!(rows[2] == RECALLED && rows[3] == message(3).digest(), "{rows:?}");
}

#[test]
fn a_message_that_is_shown_after_it_was_taken_back_is_found() {
    let live = [right(), recalled()[SAID as usize + 1..].to_vec()].concat();
    assert!(judge_recalled(&live, &live).doubled > 0, "whoever reads afresh is shown it");
    let mut undone = recalled();
    undone.pop();
    assert!(!judge_recalled(&undone, &undone).is_clean(), "the fact is gone that took it back");
    assert!(!judge_recalled(&recalled(), &right()).is_clean(), "a device was never told");
    let verdict = judge_recalled(&right(), &right());
    assert!(verdict.lost > 0, "taken back, acknowledged, and undone: {verdict:?}");
}

/// Bob's message 2, at seq 3, says something else by the fact at seq 8.
fn edited() -> Vec<v1::Event> {
    let change = Some(v1::event::Change::Edited(v1::Edited { seq: 3, message: None }));
    let edit = v1::Event { change, client_id: bytes::Bytes::new(), ..event(2, SAID + 2) };
    let stands = v1::Message { edits: 1, ..message(2).edited().to_wire() };
    let mut fresh = right();
    fresh[2] = v1::Event { n: edit.n, change: Some(v1::event::Change::Message(stands)), ..fresh[2].clone() };
    fresh.push(edit);
    fresh
}

/// What comes to a device that is there: everything as it was said, and the edit with its words.
fn edited_live() -> Vec<v1::Event> {
    let mut edit = edited().pop().expect("the last one is the edit");
    let says = v1::Message { edits: 1, ..message(2).edited().to_wire() };
    edit.change = Some(v1::event::Change::Edited(v1::Edited { seq: 3, message: Some(says) }));
    [right(), vec![edit]].concat()
}

fn judge_edited(fresh: &[v1::Event], delivered: &[v1::Event]) -> Verdict {
    let book = Book::default();
    book.amend(CID, 3, message(2).edited().digest());
    let head = v1::Head { seq: SAID + 2, ..head(3, UNREAD) };
    judge_book(book, (100, fresh), delivered, head)
}

#[test]
fn an_edited_message_stands_as_it_was_edited_for_everybody() {
    let verdict = judge_edited(&edited(), &edited_live());
    assert!(verdict.is_clean() && found(&verdict) == [0; 4], "{verdict:?}");
}

#[test]
fn an_edit_that_is_lost_is_noticed() {
    let mut undone = edited();
    undone[2] = right()[2].clone();
    assert!(judge_edited(&undone, &edited_live()).lost > 0, "the row says what it said");
    assert!(judge_edited(&right(), &right()).lost > 0, "nothing is left of it");
    assert!(!judge_edited(&edited(), &right()).is_clean(), "a device was never told");
    let mut wrong = edited_live();
    let says = v1::Message { edits: 1, ..message(2).to_wire() };
    wrong[SAID as usize + 1].change =
        Some(v1::event::Change::Edited(v1::Edited { seq: 3, message: Some(says) }));
    assert!(!judge_edited(&edited(), &wrong).is_clean(), "a device was told the words of before");
    let invented = judge_book(Book::default(), (100, &edited()), &edited_live(), head(3, UNREAD));
    assert!(invented.lost > 0 && invented.doubled > 0, "nobody edited it: {invented:?}");
}

#[test]
fn an_edit_without_its_words_has_a_device_ask_for_the_row() {
    let device = Recorder::new(BOB, Arc::new(Book::default()));
    let edit = edited().pop().expect("the last one is the edit");
    right().into_iter().chain([edit]).for_each(|event| device.observe(&Update::Event(Box::new(event))));
    assert_eq!(device.gaps(), [(CID, 3, 3)], "what it holds is void");
    let page = |event: v1::Event| v1::Page { events: vec![event], ..v1::Page::default() };
    device.take_page(CID, (3, 3), &page(right()[2].clone()));
    assert_eq!(device.gaps(), [(CID, 3, 3)], "a page of before the edit says nothing new");
    device.take_page(CID, (3, 3), &page(edited()[2].clone()));
    assert!(device.holds(CID, SAID + 2));
    assert_eq!(device.seen().rows[&CID].digests[2], message(2).edited().digest());
}

#[test]
fn what_was_read_before_it_was_edited_is_read_again() {
    let mut audit = Audit::default();
    audit.take(CID, 10 + SAID + 1, &right());
    audit.take(CID, 100, &edited()[SAID as usize + 1..]);
    assert_eq!(audit.edited(CID), [3]);
    audit.take_edited(CID, 3, 100, &edited());
    let expected = Entry { digest: message(2).edited().digest(), ..entry(2) };
    audit.check_entries(&[(2, expected)], &Book::default());
    assert!(audit.verdict.is_clean(), "{:?}", audit.verdict);
    audit.take_edited(CID, 3, 100, &[]);
    assert_eq!(audit.verdict.lost, 1, "it was edited, and is gone");
}

#[test]
fn a_recall_that_is_refused_for_being_late_is_a_fault_unless_it_was() {
    let (book, error) = (Book::default(), v1::Error::new(anser_proto::ErrorCode::RecallTooLate, "late"));
    book.begin(2);
    book.acknowledge(2, entry(2));
    book.refuse_amendment(CID, 3, &error);
    assert_eq!((book.faults().count, book.too_late()), (1, 0), "it was said a moment ago");
    book.begin_at(2, anser_model::limits::RECALL_WINDOW_MS);
    book.refuse_amendment(CID, 3, &error);
    book.refuse_amendment(CID, 3, &error);
    assert_eq!((book.faults().count, book.too_late()), (1, 1), "whoever sent it was away");
    book.refuse_amendment(CID, 3, &v1::Error::new(anser_proto::ErrorCode::NotAllowed, "no"));
    assert_eq!(book.faults().count, 2, "another refusal is one");
}
