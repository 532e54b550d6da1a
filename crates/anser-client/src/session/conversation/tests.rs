//! A conversation of a client against hand-written events, heads and pages.

use super::*;

const OWN: AccountId = AccountId(1);
const PEER: AccountId = AccountId(2);

fn event(n: u64, seq: u64, author: AccountId, change: Change) -> v1::Event {
    let cid = wire::cid_bytes(ConversationId::direct(OWN, PEER));
    let ordinal = seq.saturating_sub(1);
    v1::Event {
        n,
        seq,
        ordinal,
        cid,
        author: author.get(),
        at_ms: n,
        change: Some(change),
        ..v1::Event::default()
    }
}

fn text(n: u64, seq: u64, author: AccountId) -> v1::Event {
    event(n, seq, author, Change::Message(v1::Message::text("x")))
}

fn direct() -> Conversation {
    let created = v1::Created {
        kind: ConversationKind::Direct.into(),
        members: vec![OWN.get()],
        ..v1::Created::default()
    };
    let first = event(1, 1, PEER, Change::Created(created));
    let mut conversation = Conversation::from_event(&first, OWN).unwrap();
    conversation.take_event(&first, OWN, true);
    conversation
}

#[test]
fn events_keep_the_head() {
    let mut it = direct();
    assert_eq!((it.peer(), it.needs_head(), it.unread()), (Some(PEER), false, 0));
    it.take_event(&text(2, 2, PEER), OWN, true);
    it.take_event(&text(3, 3, OWN), OWN, true);
    it.take_event(&text(4, 4, PEER), OWN, true);
    assert_eq!(it.unread(), 2);
    let mark = v1::MarkMoved { member: OWN.get(), seq: 3, ordinal: 2 };
    it.take_event(&event(5, 0, OWN, Change::MarkMoved(mark)), OWN, true);
    assert_eq!((it.unread(), it.mark(), it.seq()), (1, 3, 4));
    let mark = v1::MarkMoved { member: PEER.get(), seq: 4, ordinal: 3 };
    it.take_event(&event(6, 0, PEER, Change::MarkMoved(mark)), OWN, true);
    assert_eq!((it.head().peer_mark, it.unread()), (4, 1));
    assert_eq!(it.ranges().islands(), [(1, 4)]);
}

#[test]
fn what_the_head_reports_already_changes_nothing() {
    let mut it = direct();
    it.take_event(&text(2, 2, PEER), OWN, true);
    assert_eq!(it.take_event(&text(2, 2, PEER), OWN, true), Applied::default());
    assert_eq!(it.facts().count(), 2);
    let stale = v1::Head { n: 1, ..it.head() };
    assert!(!it.take_head(stale, true));
    assert_eq!(it.unread(), 1);
}

#[test]
fn a_jump_is_a_gap_and_a_page_fills_it() {
    let mut it = direct();
    let applied = it.take_event(&text(9, 5, PEER), OWN, true);
    assert_eq!(applied.gap, Some((2, 4)));
    assert_eq!(it.ranges().gap_below(5, 1), Some((2, 4)));
    let asked = v1::GetPage { after_seq: 1, before_seq: 5, limit: 200, ..v1::GetPage::default() };
    let events = vec![text(2, 2, PEER), text(4, 4, OWN)];
    it.take_page(&asked, &v1::Page { events, n: 9, ..v1::Page::default() });
    assert_eq!(it.ranges().islands(), [(1, 5)]);
    assert_eq!(it.facts().map(|event| event.seq).collect::<Vec<_>>(), [2, 4, 5]);
    // What is older may have been changed by what was missed, until the server says that it was not.
    let asked = it.recheck().unwrap();
    assert_eq!((asked.after_seq, asked.before_seq, asked.changed_after_n), (0, 2, 1));
    it.take_page(&asked, &v1::Page { n: 9, ..v1::Page::default() });
    assert_eq!(it.facts().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 4, 5]);
    assert_eq!(it.recheck(), None);
}

#[test]
fn pages_cover_what_they_say_they_cover() {
    let page = |asked: v1::GetPage, seqs: &[u64], more| {
        let mut it = Conversation::from_head(v1::Head {
            cid: wire::cid_bytes(ConversationId::direct(OWN, PEER)),
            n: 50,
            seq: 20,
            first_visible_seq: 3,
            ..v1::Head::default()
        })
        .unwrap();
        let events = seqs.iter().map(|&seq| text(seq, seq, PEER)).collect();
        it.take_page(&asked, &v1::Page { events, more, n: 50, ..v1::Page::default() });
        it.ranges().islands().to_vec()
    };
    let asked = |after_seq, before_seq| v1::GetPage { after_seq, before_seq, ..v1::GetPage::default() };
    assert_eq!(page(asked(0, 0), &[18, 19], true), [(18, 20)]);
    assert_eq!(page(asked(0, 0), &[], false), [(3, 20)]);
    assert_eq!(page(asked(0, 10), &[7, 8], true), [(7, 9)]);
    assert_eq!(page(asked(5, 0), &[6, 7], true), [(6, 7)]);
    assert_eq!(page(asked(5, 12), &[6, 7], false), [(6, 11)]);
    assert_eq!(page(asked(5, 12), &[], true), []);
}

fn recalled(n: u64, seq: u64, target: u64) -> v1::Event {
    v1::Event { ordinal: 0, ..event(n, seq, PEER, Change::Recalled(v1::Recalled { seq: target })) }
}

/// What a message says; a recalled one nothing.
fn says(it: &Conversation, seq: u64) -> Option<String> {
    match &it.fact(seq)?.change {
        Some(Change::Message(message)) if message.recalled => Some(String::new()),
        Some(Change::Message(message)) => Some(message.text.clone()),
        _ => None,
    }
}

/// A conversation of which the first `held` seqs are held, the first of them its creation.
fn talk(held: u64) -> Conversation {
    let mut it = direct();
    for seq in 2..=held {
        it.take_event(&text(seq, seq, PEER), OWN, true);
    }
    it
}

#[test]
fn a_recall_on_the_stream_takes_the_body_from_the_head_and_the_facts() {
    let mut it = talk(3);
    it.take_event(&recalled(4, 4, 3), OWN, true);
    assert_eq!((says(&it, 2), says(&it, 3)), (Some("x".into()), Some(String::new())));
    let last = it.head().last_message.unwrap();
    assert_eq!(Some(&last), it.fact(3), "both as a server tells them");
    assert_eq!((last.n, it.unread(), it.recheck()), (4, 2, None));
    // An older copy, from wherever it comes, changes nothing.
    it.take_event(&text(3, 3, PEER), OWN, true);
    assert_eq!(says(&it, 3), Some(String::new()));
}

#[test]
fn what_a_sync_skipped_over_is_rechecked_before_it_is_shown() {
    let mut it = talk(300);
    let head = v1::Head { n: 500, seq: 340, role: Role::Member.into(), ..it.head() };
    it.take_head(head, true);
    assert_eq!(
        it.facts().map(|event| event.seq).collect::<Vec<_>>(),
        [300],
        "the newest message of the head"
    );
    assert_eq!(it.sure_ranges().islands(), [(300, 300)], "and no more is saved");
    let first = it.recheck().unwrap();
    assert_eq!((first.after_seq, first.before_seq, first.changed_after_n), (0, 201, 300));
    let mut gone = text(2, 2, PEER);
    gone.recall(320);
    it.take_page(&first, &v1::Page { events: vec![gone], n: 510, ..v1::Page::default() });
    assert_eq!((says(&it, 2), says(&it, 3)), (Some(String::new()), Some("x".into())));
    let second = it.recheck().unwrap();
    assert_eq!((second.after_seq, second.before_seq), (200, 300));
    // Missed again meanwhile: an answer from before proves nothing.
    let head = v1::Head { n: 600, seq: 350, ..it.head() };
    it.take_head(head, true);
    it.take_page(&second, &v1::Page { n: 520, ..v1::Page::default() });
    assert_eq!(says(&it, 250), None);
    let again = it.recheck().unwrap();
    assert_eq!((again.after_seq, again.changed_after_n), (0, 300));
    it.take_page(&again, &v1::Page { n: 600, ..v1::Page::default() });
    let rest = it.recheck().unwrap();
    it.take_page(&rest, &v1::Page { n: 600, ..v1::Page::default() });
    assert_eq!((it.recheck(), it.facts().count()), (None, 300));
}

#[test]
fn a_short_run_is_forgotten_and_a_mark_makes_nothing_doubtful() {
    let mut it = talk(5);
    it.take_head(v1::Head { n: 9, mark: 3, role: Role::Member.into(), ..it.head() }, true);
    assert_eq!((it.facts().count(), it.recheck()), (5, None), "no sequenced fact was missed");
    it.take_head(v1::Head { n: 20, seq: 9, ..it.head() }, true);
    assert_eq!((it.ranges().islands(), it.recheck()), ([(5, 5)].as_slice(), None));
    let mut former = talk(20);
    former.take_head(v1::Head { n: 30, role: Role::Unspecified.into(), ..former.head() }, true);
    assert!(former.recheck().is_some(), "a tombstone changes by recalls alone");
    former.forget_doubted();
    assert_eq!((former.facts().count(), former.recheck()), (1, None));
}

#[test]
fn one_s_own_words_of_long_ago_are_rechecked_too() {
    let mut it = talk(3);
    it.take_head(v1::Head { n: 90, seq: 50, role: Role::Member.into(), ..it.head() }, true);
    // The answer to a retry: what was said at n 40, whatever has become of it since.
    it.take_event(&text(40, 30, OWN), OWN, true);
    assert_eq!(says(&it, 30), None);
    let asked = it.recheck().unwrap();
    assert_eq!((asked.after_seq, asked.before_seq, asked.changed_after_n), (29, 31, 40));
    let mut gone = text(40, 30, OWN);
    gone.recall(60);
    it.take_page(&asked, &v1::Page { events: vec![gone], n: 90, ..v1::Page::default() });
    assert_eq!(says(&it, 30), Some(String::new()));
}

#[test]
fn being_removed_leaves_a_tombstone() {
    let mut it = direct();
    let removed = v1::MemberRemoved { member: OWN.get(), left: false, new_owner: 0 };
    it.take_event(&event(7, 2, PEER, Change::MemberRemoved(removed)), OWN, true);
    assert!(!it.is_member());
}

#[test]
fn what_is_hidden_or_cleared_is_held_no_more_and_not_asked_for() {
    let mut it = talk(6);
    assert_eq!(it.to_acknowledge(), Some(6));
    let range = |low, high| v1::SeqRange { low, high };
    let hidden = v1::MessagesHidden { ranges: vec![range(3, 3), range(6, 6)] };
    it.take_event(&event(7, 0, OWN, Change::MessagesHidden(hidden)), OWN, true);
    let held = |it: &Conversation| it.facts().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!((held(&it), it.ranges().islands()), (vec![1, 2, 4, 5], [(1, 6)].as_slice()));
    assert_eq!((it.head().last_message, it.unread()), (None, 5), "hidden messages stay counted");
    // An older answer does not bring it back.
    let asked = v1::GetPage { limit: 50, ..v1::GetPage::default() };
    let events = vec![text(5, 5, PEER), text(6, 6, PEER)];
    it.take_page(&asked, &v1::Page { events, n: 6, ..v1::Page::default() });
    it.take_event(&text(3, 3, PEER), OWN, true);
    assert_eq!(held(&it), [1, 2, 4, 5]);
    let cleared = v1::HistoryCleared { seq: 4, ordinal: 3 };
    it.take_event(&event(8, 0, OWN, Change::HistoryCleared(cleared)), OWN, true);
    assert_eq!((held(&it), it.ranges().islands(), it.unread()), (vec![5], [(5, 6)].as_slice(), 2));
    assert_eq!(it.head().hidden, [range(6, 6)], "what is cleared needs no word");
    assert_eq!(it.hidden().islands(), [(1, 4), (6, 6)]);
    let page = v1::Page { events: vec![text(5, 5, PEER)], n: 8, ..v1::Page::default() };
    it.take_page(&v1::GetPage { from_oldest: true, ..asked }, &page);
    assert_eq!(it.ranges().islands(), [(5, 6)]);
    // On a device that was away, by a head.
    let mut away = talk(6);
    away.take_head(it.head(), true);
    assert_eq!((held(&away), away.unread(), away.head()), (vec![5], 2, it.head()));
}

#[test]
fn a_mark_of_unread_goes_by_reading_and_what_was_read_has_come() {
    let mut it = talk(3);
    it.take_event(&event(4, 0, OWN, Change::UnreadMarked(v1::UnreadMarked { marked: true })), OWN, true);
    assert!(it.is_marked_unread());
    let mark = |member: AccountId, seq| {
        Change::MarkMoved(v1::MarkMoved { member: member.get(), seq, ordinal: seq - 1 })
    };
    it.take_event(&event(5, 0, PEER, mark(PEER, 2)), OWN, true);
    assert_eq!((it.is_marked_unread(), it.head().peer_delivered), (true, 2));
    let moved =
        |member: AccountId, seq| Change::DeliveredMoved(v1::DeliveredMoved { member: member.get(), seq });
    it.take_event(&event(6, 0, PEER, moved(PEER, 3)), OWN, true);
    it.take_event(&event(7, 0, OWN, moved(OWN, 3)), OWN, true);
    assert_eq!((it.head().peer_delivered, it.head().peer_mark), (3, 2));
    it.take_event(&event(8, 0, OWN, mark(OWN, 3)), OWN, true);
    assert_eq!((it.is_marked_unread(), it.to_acknowledge()), (false, None));
}

#[test]
fn a_dissolved_group_is_a_tombstone() {
    let created = v1::Created {
        kind: ConversationKind::Channel.into(),
        members: vec![OWN.get()],
        avatar: "a".into(),
        history_visible: true,
        ..v1::Created::default()
    };
    let first = event(1, 1, PEER, Change::Created(created));
    let mut it = Conversation::from_event(&first, OWN).unwrap();
    it.take_event(&first, OWN, true);
    assert_eq!((it.head().avatar, it.head().history_visible, it.head().member_count), ("a".into(), true, 2));
    let set = v1::HistoryVisibleSet { visible: false };
    it.take_event(&event(2, 2, PEER, Change::HistoryVisibleSet(set)), OWN, true);
    it.take_event(&event(3, 3, PEER, Change::AvatarSet(v1::AvatarSet { avatar: "b".into() })), OWN, true);
    assert_eq!((it.head().avatar, it.head().history_visible), ("b".into(), false));
    it.take_event(&event(4, 4, PEER, Change::Dissolved(v1::Dissolved {})), OWN, true);
    assert_eq!((it.is_member(), it.head().member_count, it.seq()), (false, 0, 4));
}
