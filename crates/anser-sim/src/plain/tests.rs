//! The paper against hand-written logs: what follows, what cannot, and what each may know.

use anser_model::change::CommandKey;
use anser_model::{
    AccountId, Change, ClientId, ConversationFact, ConversationId, ConversationKind, DeviceId, Message, N,
    Ordinal, Reign, Role, Seq, SeqRanges, Slot, SlotFact, UnixMillis,
};

use super::Plain;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SLOT: Slot = Slot(3);
const ANNA: AccountId = AccountId(1);
const BEN: AccountId = AccountId(2);
const CARL: AccountId = AccountId(3);

/// A log that is written by hand, with what must follow filled in.
struct Paper {
    plain: Plain,
    n: u64,
    seq: u64,
    ordinal: u64,
    cid: ConversationId,
}

fn id(number: u8) -> ClientId {
    ClientId::mint(NOW, [number; 10])
}

fn text() -> Change {
    Change::MessageSent(Message { kind: "text".into(), text: "hi".into(), ..Message::default() })
}

fn group(members: &[AccountId], history_visible: bool) -> Change {
    Change::Created {
        kind: ConversationKind::Group,
        title: "g".into(),
        members: members.into(),
        history_visible,
        avatar: String::new(),
    }
}

impl Paper {
    /// Anna's group, which begins with her command 0.
    fn group(members: &[AccountId], history_visible: bool) -> Paper {
        let cid = ConversationId::created(ANNA, id(0));
        let mut paper = Paper { plain: Plain::default(), n: 0, seq: 0, ordinal: 0, cid };
        paper.add(ANNA, group(members, history_visible));
        paper
    }

    fn next(&self, author: AccountId, change: Change) -> ConversationFact {
        let sequenced = change.is_sequenced();
        let key = CommandKey { client_id: id(self.n as u8), request_hash: 0 };
        ConversationFact {
            cid: self.cid,
            at: NOW,
            author,
            device: DeviceId(1),
            author_profile_version: 1,
            command: sequenced.then_some(key),
            seq: sequenced.then_some(Seq(self.seq + 1)),
            ordinal: Ordinal(self.ordinal + u64::from(change.is_countable())),
            rewritten: None,
            change,
        }
    }

    fn take(&mut self, fact: &ConversationFact) -> Result<(), String> {
        self.plain.take(SLOT, N(self.n + 1), fact)?;
        self.n += 1;
        self.seq += u64::from(fact.seq.is_some());
        self.ordinal = fact.ordinal.0;
        Ok(())
    }

    #[track_caller]
    fn add(&mut self, author: AccountId, change: Change) -> ConversationFact {
        let fact = self.next(author, change);
        self.take(&fact).expect("it follows");
        fact
    }

    #[track_caller]
    fn refuses(&self, says: &str, fact: &ConversationFact) {
        let said = self.plain.clone().take(SLOT, N(self.n + 1), fact).expect_err("it cannot be");
        assert!(said.contains(says), "{said:?} should say {says:?}");
    }
}

#[test]
fn what_cannot_follow_is_named() {
    let mut paper = Paper::group(&[BEN], false);
    paper.add(BEN, text());
    let good = paper.next(BEN, text());
    let with = |change: fn(&mut ConversationFact)| {
        let mut fact = good.clone();
        change(&mut fact);
        fact
    };
    paper.refuses("follows seq 2", &with(|fact| fact.seq = Some(Seq(2))));
    paper.refuses("follows seq 2", &with(|fact| fact.seq = Some(Seq(4))));
    paper.refuses("without its seq", &with(|fact| (fact.seq, fact.command) = (None, None)));
    paper.refuses("ordinal", &with(|fact| fact.ordinal = Ordinal(1)));
    paper.refuses("steps back", &with(|fact| fact.at = UnixMillis(NOW.0 - 1)));
    paper.refuses("no member", &with(|fact| fact.author = CARL));
    paper.refuses(
        "took effect at n 2, seq 2",
        &with(|fact| fact.command = Some(CommandKey { client_id: id(1), request_hash: 0 })),
    );
    paper.refuses(
        "not accepted",
        &with(|fact| {
            fact.command = Some(CommandKey {
                client_id: ClientId::mint(UnixMillis(NOW.0 + 300_001), [0; 10]),
                request_hash: 0,
            })
        }),
    );
    let again = paper.next(ANNA, group(&[], false));
    paper.refuses("once", &again);
    let elsewhere = paper.plain.clone().take(Slot(4), N(1), &good).expect_err("another slot");
    assert!(elsewhere.contains("lives in slot 3"), "{elsewhere}");
    let gap = paper.plain.clone().take(SLOT, N(4), &good).expect_err("a gap");
    assert!(gap.contains("follows n 2"), "{gap}");
    assert!(paper.plain.clone().take(SLOT, N(2), &good).is_err(), "an n is used once");
    let opened = SlotFact::Opened { after: Reign(1), at: NOW };
    assert_eq!(paper.plain.take_slot_fact(SLOT, N(3), &opened), Ok(()));
    assert_eq!(paper.plain.take(SLOT, N(4), &good), Ok(()));
    assert_eq!((paper.plain.at(SLOT, N(3)), paper.plain.at(SLOT, N(4))), (None, Some(&good)));
}

#[test]
fn roles_that_could_not_do_it_are_named() {
    let mut paper = Paper::group(&[BEN, CARL], false);
    let removed = |member, left, new_owner| Change::MemberRemoved { member, left, new_owner };
    let role = |member, role| Change::RoleSet { member, role };
    for (says, author, change) in [
        ("may not", BEN, removed(CARL, false, None)),
        ("may not", BEN, removed(ANNA, false, None)),
        ("removed by others", BEN, removed(CARL, true, None)),
        ("no member", ANNA, removed(AccountId(9), false, None)),
        ("0 owners", ANNA, removed(ANNA, true, None)),
        ("has an heir", BEN, removed(BEN, true, Some(CARL))),
        ("not the owner", BEN, role(CARL, Role::Admin)),
        ("second owner", ANNA, role(BEN, Role::Owner)),
        ("no member", ANNA, role(AccountId(9), Role::Admin)),
        ("renames", BEN, Change::Renamed { title: "b".into() }),
        ("joins twice", ANNA, Change::MembersAdded { members: vec![BEN], visible_from: Seq(2) }),
        ("see from 2", ANNA, Change::MembersAdded { members: vec![AccountId(9)], visible_from: Seq(1) }),
    ] {
        paper.refuses(says, &paper.next(author, change));
    }
    paper.add(ANNA, role(ANNA, Role::Admin));
    paper.refuses("without an owner", &paper.next(ANNA, text()));
    paper.add(ANNA, role(BEN, Role::Owner));
    let group = paper.plain.conversation(paper.cid).expect("it is there");
    assert_eq!((group.members()[&ANNA].role, group.members()[&BEN].role), (Role::Admin, Role::Owner));
}

#[test]
fn marks_grow_and_stay_below_what_is_seen() {
    let mut paper = Paper::group(&[BEN], false);
    paper.add(ANNA, text());
    paper.add(ANNA, text());
    let mark = |member, seq, ordinal| Change::ReadUpTo { member, seq: Seq(seq), ordinal: Ordinal(ordinal) };
    paper.refuses("one's own mark", &paper.next(ANNA, mark(BEN, 2, 1)));
    paper.refuses("a mark past 3", &paper.next(BEN, mark(BEN, 4, 2)));
    paper.refuses("1 messages count", &paper.next(BEN, mark(BEN, 2, 2)));
    paper.refuses("never a member", &paper.next(CARL, mark(CARL, 2, 1)));
    let read = paper.add(BEN, mark(BEN, 2, 1));
    paper.refuses("does not pass", &paper.next(BEN, mark(BEN, 2, 1)));
    let view = paper.plain.view(paper.cid, BEN).expect("a member");
    assert_eq!((view.mark, view.base, view.unread, view.n), (Seq(2), Seq(2), 1, N(4)));
    assert!(paper.plain.was_told(paper.cid, BEN, N(4), &read));
    assert!(!paper.plain.was_told(paper.cid, ANNA, N(4), &read), "marks in a group are one's own");
}

#[test]
fn a_former_member_knows_what_was_and_nothing_after() {
    let mut paper = Paper::group(&[BEN], false);
    paper.add(ANNA, text());
    let removal = Change::MemberRemoved { member: BEN, left: false, new_owner: None };
    let removal = paper.add(ANNA, removal);
    let after = paper.add(ANNA, text());
    paper.add(ANNA, Change::Renamed { title: "new".into() });
    let plain = &paper.plain;
    let view = plain.view(paper.cid, BEN).expect("it was a member");
    assert_eq!(view.visible, [(Seq(1), Seq(3))]);
    assert_eq!((view.head, view.ordinal, view.last_message), (Seq(3), Ordinal(1), Some(Seq(2))));
    assert_eq!((view.role, view.title.as_str(), view.member_count), (None, "g", 1));
    assert_eq!((view.unread, view.n), (1, N(3)));
    assert!(plain.was_told(paper.cid, BEN, N(3), &removal));
    assert!(!plain.was_told(paper.cid, BEN, N(4), &after));
    assert!(plain.may_see(paper.cid, BEN, Seq(3)) && !plain.may_see(paper.cid, BEN, Seq(4)));
    assert_eq!(plain.view(paper.cid, CARL), None);

    paper.add(ANNA, Change::MembersAdded { members: vec![BEN], visible_from: Seq(6) });
    let view = paper.plain.view(paper.cid, BEN).expect("a member again");
    assert_eq!(view.visible, [(Seq(1), Seq(3)), (Seq(6), Seq(6))]);
    assert_eq!((view.last_message, view.unread, view.base), (None, 0, Seq(6)));
    assert!(!paper.plain.may_see(paper.cid, BEN, Seq(4)));
}

#[test]
fn a_recalled_message_says_nothing_and_stays_counted() {
    let mut paper = Paper::group(&[BEN, CARL], false);
    let sent = paper.add(BEN, text());
    paper.add(ANNA, Change::MemberRemoved { member: CARL, left: false, new_owner: None });
    let recall = |paper: &Paper, sent: &ConversationFact, n| Change::Recalled {
        stands: Box::new(sent.without_body(N(n), Seq(paper.seq + 1))),
    };
    let other = paper.add(ANNA, text());
    paper.refuses("another's message", &paper.next(BEN, recall(&paper, &other, 4)));
    paper.refuses("is what remains", &paper.next(BEN, recall(&paper, &sent, 4)));
    let whole = Change::Recalled { stands: Box::new(sent.clone()) };
    paper.refuses("is what remains", &paper.next(BEN, whole));
    let mut late = paper.next(BEN, recall(&paper, &sent, 2));
    late.at = UnixMillis(NOW.0 + 120_001);
    paper.refuses("too late", &late);
    paper.refuses("no member", &paper.next(CARL, recall(&paper, &sent, 2)));
    let stands = sent.without_body(N(2), Seq(5));
    let recalled = paper.add(BEN, recall(&paper, &sent, 2));
    paper.refuses("second recall", &paper.next(ANNA, recall(&paper, &sent, 2)));

    let plain = &paper.plain;
    assert_eq!(plain.standing(paper.cid, Seq(2)), Some((N(5), stands)));
    assert_eq!(plain.standing(paper.cid, Seq(4)), Some((N(4), other)));
    assert_eq!(plain.view(paper.cid, ANNA).expect("a member").unread, 1);
    assert!(plain.was_told(paper.cid, ANNA, N(5), &recalled));
    let former = plain.view(paper.cid, CARL).expect("it was a member");
    assert_eq!((former.head, former.n), (Seq(3), N(5)), "who saw it learns that it is void, and no more");
    assert!(!plain.was_told(paper.cid, CARL, N(5), &recalled));
}

#[test]
fn the_cap_follows_the_sixty_fifth_newest_own_message() {
    let mut paper = Paper::group(&[BEN], true);
    paper.add(BEN, text());
    (0..64).for_each(|_| drop(paper.add(ANNA, text())));
    assert_eq!(paper.plain.view(paper.cid, ANNA).expect("a member").unread, 1);
    paper.add(ANNA, text());
    let view = paper.plain.view(paper.cid, ANNA).expect("a member");
    assert_eq!((view.base, view.unread, view.mark), (Seq(3), 0, Seq(0)));
    assert_eq!(paper.plain.view(paper.cid, BEN).expect("a member").unread, 65);
}

#[test]
fn a_direct_conversation_shows_both_marks_and_its_slots_are_noted() {
    let cid = ConversationId::direct(ANNA, BEN);
    let mut paper = Paper { plain: Plain::default(), n: 0, seq: 0, ordinal: 0, cid };
    let created = Change::Created {
        kind: ConversationKind::Direct,
        title: String::new(),
        members: vec![BEN],
        history_visible: true,
        avatar: String::new(),
    };
    let mut first = paper.next(ANNA, created);
    first.command = None;
    paper.take(&first).expect("it follows");
    let sent = paper.add(ANNA, text());
    let read = paper.add(BEN, Change::ReadUpTo { member: BEN, seq: Seq(2), ordinal: Ordinal(1) });
    assert!(paper.plain.was_told(cid, ANNA, N(3), &read));
    let view = paper.plain.view(cid, ANNA).expect("one of the two");
    assert_eq!((view.peer, view.peer_mark, view.n), (Some(BEN), Some(Seq(2)), N(3)));
    let key = sent.command.expect("it answered a command");
    assert_eq!(paper.plain.done(cid, ANNA, key.client_id), Some((N(2), Seq(2))));
    assert_eq!(paper.plain.done(cid, BEN, key.client_id), None);

    assert_eq!(paper.plain.unentered(), [(ANNA, SLOT, cid), (BEN, SLOT, cid)]);
    for (n, account) in [(1, ANNA), (2, BEN)] {
        paper.cid = ConversationId::of_self(account);
        (paper.seq, paper.ordinal) = (0, 0);
        let noted = paper.next(AccountId(0), Change::Entered { account, slot: SLOT });
        paper.plain.take(Slot(9), N(n), &noted).expect("homes take note");
    }
    assert_eq!(paper.plain.unentered(), []);
    assert!(paper.plain.home(ANNA).entered.contains(&SLOT));
    assert_eq!(paper.plain.conversations_of(ANNA).collect::<Vec<_>>(), [cid]);
}

#[test]
fn what_one_hides_and_clears_is_of_oneself_alone() {
    let mut paper = Paper::group(&[BEN, CARL], true);
    for _ in 0..4 {
        paper.add(ANNA, text());
    }
    let ranges = |low, high| SeqRanges::gather(&[(Seq(low), Seq(high))]);
    let hidden = paper.add(BEN, Change::MessagesHidden { member: BEN, ranges: ranges(3, 5) });
    assert!(paper.plain.was_told(paper.cid, BEN, N(6), &hidden));
    assert!(!paper.plain.was_told(paper.cid, ANNA, N(6), &hidden));
    let view = |paper: &Paper, account| paper.plain.view(paper.cid, account).expect("a member");
    assert_eq!((view(&paper, BEN).last_message, view(&paper, CARL).last_message), (None, Some(Seq(5))));
    assert_eq!((view(&paper, BEN).unread, view(&paper, BEN).hidden), (4, vec![(Seq(3), Seq(5))]));
    paper.add(BEN, Change::HistoryCleared { member: BEN, seq: Seq(4), ordinal: Ordinal(3) });
    let cleared = view(&paper, BEN);
    assert_eq!((cleared.unread, cleared.base, cleared.mark), (1, Seq(4), Seq(0)));
    assert_eq!(cleared.hidden, [(Seq(5), Seq(5))]);
    for impossible in [
        Change::MessagesHidden { member: BEN, ranges: ranges(2, 5) },
        Change::MessagesHidden { member: BEN, ranges: ranges(6, 6) },
        Change::HistoryCleared { member: BEN, seq: Seq(4), ordinal: Ordinal(3) },
        Change::HistoryCleared { member: BEN, seq: Seq(5), ordinal: Ordinal(3) },
        Change::UnreadMarked { member: BEN, marked: false },
        Change::UnreadMarked { member: CARL, marked: true },
        Change::DeliveredUpTo { member: BEN, seq: Seq(5) },
    ] {
        let next = paper.next(BEN, impossible);
        paper.plain.clone().take(SLOT, N(paper.n + 1), &next).expect_err("it cannot follow");
    }
}

#[test]
fn nothing_follows_a_dissolution_and_only_the_owner_dissolves() {
    let mut paper = Paper::group(&[BEN], true);
    let by_ben = paper.next(BEN, Change::Dissolved);
    paper.plain.clone().take(SLOT, N(2), &by_ben).expect_err("Ben does not own it");
    paper.add(ANNA, Change::Dissolved);
    for account in [ANNA, BEN] {
        let view = paper.plain.view(paper.cid, account).expect("a former member");
        assert_eq!((view.present, view.head, view.member_count), (false, Seq(2), 0));
    }
    let more = paper.next(ANNA, text());
    paper.plain.take(SLOT, N(3), &more).expect_err("it is over");
}
