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
    let book = Arc::new(Book::default());
    (1..=SAID).for_each(|tag| book.acknowledge(tag, entry(tag)));
    let mut audit = Audit::default();
    audit.take(CID, fresh);
    audit.check_entries(&book.drain_new());
    audit.check_nothing_else(&book);
    let device = Recorder::new(BOB, book.clone());
    delivered.iter().for_each(|event| device.observe(&Update::Event(Box::new(event.clone()))));
    audit.check_device("a device", &device.seen(), &[CID], &book);
    let heads = [head(3, unread)];
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
