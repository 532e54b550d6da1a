//! The checks are fed what a wrong server would tell, and must say what is wrong with it.

use super::log::{Fact, Registers, Shown, What};
use super::*;

const ALICE: AccountId = AccountId(1);
const BOB: AccountId = AccountId(2);
const CARL: AccountId = AccountId(3);
const DORA: AccountId = AccountId(4);
const ERIC: AccountId = AccountId(5);

/// Alice's group with Bob and Carl. Carl goes at 5, Dora comes at 7, and neither sees what the other did.
fn log() -> Log {
    let created = What::Created { title: "Club".into(), members: vec![BOB, CARL], visible: false };
    let happened = [
        (ALICE, created),
        (ALICE, What::Said("a".into())),
        (BOB, What::Said("b".into())),
        (ALICE, What::Edited(2, "a, edited".into())),
        (ALICE, What::Removed(CARL)),
        (ALICE, What::Edited(2, "a, edited again".into())),
        (ALICE, What::Added(DORA)),
        (ALICE, What::Said("c".into())),
        (BOB, What::Recalled(3)),
        (BOB, What::Said("d".into())),
        (ALICE, What::Renamed("Another club".into())),
    ];
    let fact = |(seq, (author, what)): (u64, (AccountId, What))| Fact { author, n: Some(100 + seq), what };
    let bob = Registers { mark: 2, hidden: [8].into(), ..Registers::default() };
    Log {
        cid: ConversationId([7; 16]),
        kind: ConversationKind::Group,
        facts: (1..).zip(happened).map(fact).collect(),
        registers: [(BOB, bob)].into(),
    }
}

/// A row as a right server gives it.
fn row(log: &Log, account: AccountId, seq: u64) -> v1::Event {
    let (n, shown) = log.stands(account, seq).expect("it may see it");
    event(log, seq, n.expect("it is known"), shown)
}

fn event(log: &Log, seq: u64, n: u64, shown: Shown) -> v1::Event {
    let message = |message: v1::Message| v1::event::Change::Message(message);
    let change = match shown {
        Shown::Says(text, edits) => message(v1::Message { edits, ..v1::Message::text(text) }),
        Shown::Recalled => message(v1::Message { recalled: true, ..v1::Message::default() }),
        Shown::Withheld => message(v1::Message { withheld: true, ..v1::Message::default() }),
        Shown::Change(change) => change,
    };
    let author = log.author(seq).expect("it is there").get();
    v1::Event { seq, n, author, change: Some(change), ..v1::Event::default() }
}

fn page(log: &Log, account: AccountId) -> Vec<v1::Event> {
    log.page(account).into_iter().map(|(seq, ..)| row(log, account, seq)).collect()
}

/// Lost, doubled, reordered, altered, leaked.
fn found(verdict: &Verdict) -> [u64; 5] {
    [verdict.lost, verdict.doubled, verdict.reordered, verdict.altered, verdict.leaked]
}

fn judge_page(account: AccountId, events: &[v1::Event]) -> [u64; 5] {
    let mut verdict = Verdict::default();
    check::page("somebody", &log(), account, events, &mut verdict);
    found(&verdict)
}

fn head(log: &Log, account: AccountId) -> v1::Head {
    let shown = log.head(account);
    v1::Head {
        kind: shown.kind,
        seq: shown.seq,
        ordinal: shown.ordinal,
        title: shown.title,
        role: shown.role,
        mark: shown.mark,
        unread: shown.unread,
        marked_unread: shown.marked_unread,
        cleared_seq: shown.cleared,
        hidden: shown.hidden.iter().map(|&seq| v1::SeqRange { low: seq, high: seq }).collect(),
        member_count: u32::try_from(shown.member_count).expect("few"),
        first_visible_seq: shown.first_visible,
        last_message: shown.last_message.map(|(seq, _)| row(log, account, seq)),
        ..v1::Head::default()
    }
}

fn judge_head(account: AccountId, head: &v1::Head) -> Verdict {
    let mut verdict = Verdict::default();
    check::head("somebody", &log(), account, Some(head), &mut verdict);
    verdict
}

#[test]
fn each_sees_what_it_may() {
    let log = log();
    let seqs = |account| log.page(account).into_iter().map(|(seq, ..)| seq).collect::<Vec<_>>();
    assert_eq!(seqs(ALICE), (1..=11).collect::<Vec<_>>());
    assert_eq!(seqs(BOB), [1, 2, 3, 4, 5, 6, 7, 9, 10, 11], "it has hidden one");
    assert_eq!(seqs(CARL), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(DORA), [7, 8, 9, 10, 11]);
    assert_eq!(seqs(ERIC), [0; 0]);
    let says = |account, seq| log.stands(account, seq);
    assert_eq!(says(BOB, 2), Some((Some(106), Shown::Says("a, edited again".into(), 2))));
    assert_eq!(says(CARL, 2), Some((Some(106), Shown::Withheld)), "it was edited when it was gone");
    assert_eq!(says(CARL, 3), Some((Some(109), Shown::Recalled)), "and that one taken back, from it as well");
    assert_eq!(log.versions(BOB, 2), ["a", "a, edited"]);
    let (bob, carl, dora) = (log.head(BOB), log.head(CARL), log.head(DORA));
    assert_eq!((bob.seq, bob.ordinal, bob.unread, bob.member_count), (11, 4, 1, 3));
    assert_eq!((carl.seq, carl.ordinal, carl.unread, carl.member_count), (5, 2, 2, 2));
    assert_eq!((carl.title.as_str(), carl.role), ("Club", 0), "as of the removal");
    assert_eq!((dora.first_visible, dora.unread, dora.title.as_str()), (7, 2, "Another club"));
    assert_eq!(dora.last_message, Some((10, Shown::Says("d".into(), 0))));
}

#[test]
fn whoever_comes_back_sees_what_it_saw_and_all_where_that_was_decided() {
    let mut log = log();
    let fact = |author, what| Fact { author, n: None, what };
    log.facts.push(fact(ALICE, What::Added(CARL)));
    let seqs = |log: &Log| log.page(CARL).into_iter().map(|(seq, ..)| seq).collect::<Vec<_>>();
    assert_eq!(seqs(&log), [1, 2, 3, 4, 5, 12]);
    assert_eq!(log.head(CARL).unread, 0, "what was before it came does not count");
    log.facts.push(fact(CARL, What::Left));
    log.facts.push(fact(ALICE, What::Opened(true)));
    log.facts.push(fact(BOB, What::Added(CARL)));
    assert_eq!(seqs(&log), (1..=15).collect::<Vec<_>>());
    assert_eq!(log.stands(CARL, 2), Some((Some(106), Shown::Says("a, edited again".into(), 2))));
    let mut verdict = Verdict::default();
    let withheld = event(&log, 2, 106, Shown::Withheld);
    check::heads("somebody", &log, CARL, std::slice::from_ref(&withheld), &mut verdict);
    assert!(verdict.is_clean(), "it was told before it came back: {verdict:?}");
    check::heads("another", &log, BOB, &[withheld], &mut verdict);
    assert_eq!(found(&verdict), [0, 0, 0, 1, 0], "who was there all the time is told the words");
    log.facts.push(fact(ALICE, What::Dissolved));
    let head = log.head(CARL);
    assert_eq!((head.role, head.member_count, head.history_visible), (0, 0, false));
    assert!(!log.is_present(ALICE) && log.newest_for(ALICE) == 16);
}

#[test]
fn a_right_server_is_found_right() {
    let log = log();
    for account in [ALICE, BOB, CARL, DORA] {
        assert_eq!(judge_page(account, &page(&log, account)), [0; 5], "{account}");
        let verdict = judge_head(account, &head(&log, account));
        assert!(verdict.is_clean(), "{account}: {verdict:?}");
        let mut verdict = Verdict::default();
        let there = page(&log, account).into_iter().filter(|event| log.was_there(account, event.seq));
        check::live("somebody", &log, account, &there.collect::<Vec<_>>(), &mut verdict);
        assert!(verdict.is_clean(), "{account}: {verdict:?}");
    }
}

/// A page of somebody with one row otherwise.
fn with(account: AccountId, event: v1::Event) -> [u64; 5] {
    let mut events = page(&log(), account);
    let place = events.iter().position(|row| row.seq >= event.seq).unwrap_or(events.len());
    match events.get(place) {
        Some(row) if row.seq == event.seq => events[place] = event,
        _ => events.insert(place, event),
    }
    judge_page(account, &events)
}

#[test]
fn a_lost_edit_a_body_that_comes_back_and_words_withheld_are_noticed() {
    let log = log();
    let says = |text: &str, edits| Shown::Says(text.into(), edits);
    assert_eq!(with(BOB, event(&log, 2, 106, says("a, edited", 2))), [0, 0, 0, 1, 0], "the words of before");
    assert_eq!(with(BOB, event(&log, 2, 104, says("a, edited", 1))), [0, 0, 0, 1, 0], "an edit is lost");
    assert_eq!(with(BOB, event(&log, 2, 102, says("a", 0))), [0, 0, 0, 1, 0], "both are");
    assert_eq!(
        with(BOB, event(&log, 2, 104, says("a, edited again", 2))),
        [0, 0, 0, 1, 0],
        "the n of before"
    );
    assert_eq!(
        with(ALICE, event(&log, 3, 103, says("b", 0))),
        [0, 0, 0, 1, 0],
        "taken back, and there again"
    );
    let half = v1::Message { recalled: true, ..v1::Message::text("b") };
    let half = v1::Event { change: Some(v1::event::Change::Message(half)), ..row(&log, ALICE, 3) };
    assert_eq!(with(ALICE, half), [0, 0, 0, 1, 0], "said to be taken back, with its words");
    assert_eq!(
        with(CARL, row(&log, BOB, 2)),
        [0, 0, 0, 1, 0],
        "the former member sees what was edited later"
    );
    assert_eq!(with(CARL, event(&log, 2, 104, says("a, edited", 1))), [0, 0, 0, 1, 0]);
    let other = v1::Event { author: DORA.get(), ..row(&log, ALICE, 8) };
    assert_eq!(with(ALICE, other), [0, 0, 0, 1, 0], "in another's name");
}

#[test]
fn what_is_not_for_somebody_is_noticed_in_a_page() {
    let log = log();
    assert_eq!(with(DORA, row(&log, ALICE, 4)), [0, 0, 0, 0, 1], "the past of a newcomer");
    assert_eq!(with(CARL, row(&log, ALICE, 8)), [0, 0, 0, 0, 1], "what came after a former member");
    assert_eq!(with(BOB, row(&log, ALICE, 8)), [0, 0, 0, 0, 1], "what it has hidden");
    let mut without = page(&log, ALICE);
    without.retain(|event| event.seq != 8);
    assert_eq!(judge_page(ALICE, &without), [1, 0, 0, 0, 0], "hidden by another");
    let mut swapped = page(&log, ALICE);
    swapped.swap(2, 3);
    assert_eq!(judge_page(ALICE, &swapped), [0, 0, 1, 0, 0]);
}

#[test]
fn what_was_cleared_is_gone_and_counts_as_read() {
    let mut log = log();
    log.registers.insert(ALICE, Registers { cleared: 9, ..Registers::default() });
    assert_eq!(log.page(ALICE).first().map(|(seq, ..)| *seq), Some(10));
    assert_eq!(log.head(ALICE).unread, 1);
    let mut verdict = Verdict::default();
    check::rows("somebody", &log, ALICE, &[row(&log, ALICE, 8)], &mut verdict);
    assert_eq!(found(&verdict), [0, 0, 0, 0, 1], "it is still held");
    check::rows("another", &log, DORA, &[row(&log, DORA, 8)], &mut verdict);
    assert_eq!(found(&verdict), [0, 0, 0, 0, 1], "and is there for the others");
}

#[test]
fn an_event_to_one_who_is_not_there_is_noticed() {
    let log = log();
    let judge = |account, events: &[v1::Event]| {
        let mut verdict = Verdict::default();
        check::live("somebody", &log, account, events, &mut verdict);
        found(&verdict)
    };
    assert_eq!(judge(CARL, &[row(&log, ALICE, 5)]), [0; 5], "its own removal");
    assert_eq!(judge(CARL, &[row(&log, ALICE, 7)]), [0, 0, 0, 0, 1], "it was removed before");
    assert_eq!(judge(DORA, &[row(&log, ALICE, 6)]), [0, 0, 0, 0, 1], "it came later");
    assert_eq!(judge(BOB, &[event(&log, 2, 102, Shown::Says("a".into(), 0))]), [0; 5], "as it was said then");
    assert_eq!(judge(BOB, &[event(&log, 2, 106, Shown::Says("a".into(), 0))]), [0, 0, 0, 1, 0]);
    let edited = |text: &str| {
        let message = Some(v1::Message { edits: 1, ..v1::Message::text(text) });
        let change = Some(v1::event::Change::Edited(v1::Edited { seq: 2, message }));
        v1::Event { change, ..row(&log, ALICE, 4) }
    };
    assert_eq!(judge(BOB, &[edited("a, edited")]), [0; 5]);
    assert_eq!(judge(BOB, &[edited("a")]), [0, 0, 0, 1, 0], "an edit with the words of before");
    let cleared = v1::event::Change::HistoryCleared(v1::HistoryCleared { seq: 3, ordinal: 2 });
    let cleared = v1::Event { author: ALICE.get(), change: Some(cleared), ..v1::Event::default() };
    assert_eq!(judge(ALICE, std::slice::from_ref(&cleared)), [0; 5]);
    assert_eq!(judge(BOB, &[cleared]), [0, 0, 0, 0, 1], "another's own");
    let mut verdict = Verdict::default();
    check::heads("somebody", &log, DORA, &[row(&log, ALICE, 2)], &mut verdict);
    assert_eq!(found(&verdict), [0, 0, 0, 0, 1], "the newest message of a head");
}

#[test]
fn a_wrong_head_is_noticed() {
    let (right, counts) = (head(&log(), BOB), |verdict: &Verdict| verdict.unread_mismatches);
    for wrong in [
        v1::Head { unread: right.unread + 1, ..right.clone() },
        v1::Head { mark: 1, ..right.clone() },
        v1::Head { seq: 10, ..right.clone() },
    ] {
        assert_eq!(counts(&judge_head(BOB, &wrong)), 1);
    }
    for wrong in [
        v1::Head { hidden: Vec::new(), ..right.clone() },
        v1::Head { cleared_seq: 1, ..right.clone() },
        v1::Head { marked_unread: true, ..right.clone() },
        v1::Head { title: "Club".into(), ..right.clone() },
        v1::Head { avatar: "picture".into(), ..right.clone() },
        v1::Head { history_visible: true, ..right.clone() },
        v1::Head { role: v1::Role::Admin.into(), ..right.clone() },
        v1::Head { member_count: 4, ..right.clone() },
        v1::Head { first_visible_seq: 2, ..right.clone() },
        v1::Head { last_message: None, ..right.clone() },
    ] {
        assert_eq!(found(&judge_head(BOB, &wrong)), [0, 0, 0, 1, 0], "{wrong:?}");
    }
    let mut verdict = Verdict::default();
    check::head("somebody", &log(), BOB, None, &mut verdict);
    assert_eq!(found(&verdict), [1, 0, 0, 0, 0], "it is not there at all");
    let today = head(&log(), ALICE);
    assert!(!judge_head(CARL, &today).is_clean(), "a former member is told the head of today");
}

#[test]
fn wrong_members_and_wrong_versions_are_noticed() {
    let log = log();
    let member = |account: AccountId, role: v1::Role| v1::Member {
        account: account.get(),
        role: role.into(),
        ..v1::Member::default()
    };
    let judge = |members: &[v1::Member]| {
        let mut verdict = Verdict::default();
        check::members("somebody", &log, members, &mut verdict);
        found(&verdict)
    };
    let (alice, bob) = (member(ALICE, v1::Role::Owner), member(BOB, v1::Role::Member));
    let dora = member(DORA, v1::Role::Member);
    assert_eq!(judge(&[dora, bob, alice]), [0; 5]);
    assert_eq!(judge(&[bob, alice]), [0, 0, 0, 1, 0], "one is missing");
    let carl = member(CARL, v1::Role::Member);
    assert_eq!(judge(&[carl, dora, bob, alice]), [0, 0, 0, 1, 0], "one has gone");
    assert_eq!(judge(&[dora, member(BOB, v1::Role::Admin), alice]), [0, 0, 0, 1, 0], "another role");
    let judge = |texts: &[&str]| {
        let version = |text: &&str| v1::Version { text: (*text).to_owned(), ..v1::Version::default() };
        let versions = texts.iter().map(version).collect::<Vec<_>>();
        let mut verdict = Verdict::default();
        check::versions("somebody", &log, (BOB, 2), &versions, &mut verdict);
        found(&verdict)
    };
    assert_eq!(judge(&["a", "a, edited"]), [0; 5]);
    for wrong in [&["a"][..], &["a, edited"], &["a", "a, edited", "a, edited again"], &[]] {
        assert_eq!(judge(wrong), [0, 0, 0, 1, 0], "{wrong:?}");
    }
}

#[test]
fn a_delivered_mark_that_is_lost_or_invented_is_noticed() {
    let created = What::Created { title: String::new(), members: vec![BOB], visible: true };
    let said = |text: &str| What::Said(text.to_owned());
    let fact = |what| Fact { author: ALICE, n: None, what };
    let facts = vec![fact(created), fact(said("a")), fact(said("b"))];
    let (cid, kind) = (ConversationId([7; 16]), ConversationKind::Direct);
    let mut log = Log { cid, kind, facts, registers: BTreeMap::new() };
    assert_eq!((log.delivered_due(ALICE), log.delivered_due(BOB)), (3, 0));
    let judge = |log: &Log, peer_delivered, due| {
        let mut verdict = Verdict::default();
        let head = v1::Head { peer: BOB.get(), peer_mark: 1, peer_delivered, ..v1::Head::default() };
        check::delivered("somebody", log, ALICE, &head, due, &mut verdict);
        found(&verdict)
    };
    assert_eq!(judge(&log, 3, 3), [0; 5]);
    assert_eq!(judge(&log, 2, 3), [0, 0, 0, 1, 0], "it came");
    assert_eq!(judge(&log, 0, 0), [0, 0, 0, 1, 0], "what was read has come");
    assert_eq!(judge(&log, 4, 0), [0, 0, 0, 1, 0], "there is no more");
    log.registers.insert(BOB, Registers { mark: 3, ..Registers::default() });
    assert_eq!(log.delivered_due(ALICE), 0, "it was read");
}

#[test]
fn an_event_that_comes_twice_or_late_is_noticed() {
    let mut told = device::Told::default();
    let log = log();
    told.event(&row(&log, ALICE, 4));
    told.event(&row(&log, ALICE, 5));
    assert_eq!(told.faults.count, 0);
    told.event(&row(&log, ALICE, 5));
    told.event(&row(&log, ALICE, 4));
    assert_eq!(told.faults.count, 2);
}
