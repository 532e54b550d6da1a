//! What one member decides for itself, settings of groups and their end: what people do, and a naive reading.

use std::collections::{BTreeMap, BTreeSet};

use anser_core::conversation::Head;
use anser_core::engine::{Answer, Query};
use anser_model::{
    AccountId, Change, ConversationFact, ConversationId, ConversationKind, Intent, N, Refusal, Role, Seq,
    SeqRanges, Slot,
};

use super::Play;
use super::world::{Roughness, TIMELINE};

impl Play {
    pub(super) fn act_on_own_view(
        &mut self,
        actor: AccountId,
        other: AccountId,
        group: Option<ConversationId>,
    ) {
        let direct = ConversationId::direct(actor, other);
        let cid = group.filter(|_| self.world.dice.one_in(2)).unwrap_or(direct);
        let seq = Seq(1 + self.world.dice.roll(12));
        let register = match self.world.dice.roll(10) {
            0..=2 => Intent::DeliveredUpTo { seq, timeline: TIMELINE },
            3 | 4 => Intent::MarkUnread(self.world.dice.one_in(2)),
            5 | 6 => {
                let more = Seq(seq.0 + self.world.dice.roll(3));
                Intent::Hide { ranges: SeqRanges::gather(&[(seq, more)]), timeline: TIMELINE }
            }
            8.. if let Some(cid) = group => {
                let setting = match self.world.dice.roll(9) {
                    0 => Intent::Dissolve,
                    1..=4 => Intent::SetAvatar("face".into()),
                    _ => Intent::SetHistoryVisible(self.world.dice.one_in(2)),
                };
                let client_id = self.client_id();
                return self.send(actor, cid, None, Some(client_id), setting);
            }
            _ => Intent::ClearHistory { seq, timeline: TIMELINE },
        };
        self.send(actor, cid, None, None, register);
    }
}

/// What one account decided for itself in a conversation.
#[derive(Default)]
pub(super) struct Own {
    account: AccountId,
    cleared: Seq,
    hidden: BTreeSet<Seq>,
    marked_unread: bool,
}

/// Read naively off the log.
pub(super) fn of(facts: &[(N, ConversationFact)], account: AccountId) -> Own {
    let mut own = Own { account, ..Own::default() };
    for (_, fact) in facts {
        match &fact.change {
            Change::UnreadMarked { member, marked } if *member == account => own.marked_unread = *marked,
            Change::ReadUpTo { member, .. } if *member == account => own.marked_unread = false,
            Change::MessagesHidden { member, ranges } if *member == account => {
                own.hidden.extend(ranges.parts().iter().flat_map(|&(low, high)| (low.0..=high.0).map(Seq)));
            }
            Change::HistoryCleared { member, seq, .. } if *member == account => {
                own.cleared = own.cleared.max(*seq);
            }
            _ => {}
        }
    }
    own
}

impl Own {
    /// Whether what may be seen is given.
    pub(super) fn gives(&self, seq: Seq) -> bool {
        seq > self.cleared && !self.hidden.contains(&seq)
    }

    pub(super) fn check(&self, head: &Head, facts: &[(N, ConversationFact)], mark: Seq) {
        assert_eq!((head.marked_unread, head.cleared), (self.marked_unread, self.cleared), "{}", head.cid);
        let hidden: BTreeSet<Seq> =
            head.hidden.parts().iter().flat_map(|&(low, high)| (low.0..=high.0).map(Seq)).collect();
        let expected: BTreeSet<Seq> = self.hidden.iter().copied().filter(|&seq| seq > self.cleared).collect();
        assert_eq!(hidden, expected, "what {} has hidden in {}", self.account, head.cid);
        let delivered = head.peer.map(|peer| {
            let of_peer = facts.iter().filter_map(|(_, fact)| match fact.change {
                Change::DeliveredUpTo { member, seq } | Change::ReadUpTo { member, seq, .. } => {
                    (member == peer).then_some(seq)
                }
                _ => None,
            });
            of_peer.max().unwrap_or_default()
        });
        assert_eq!(head.peer_delivered, delivered, "what came to the other one of {}", head.cid);
        assert!(head.unread.base() >= mark.max(self.cleared), "what is cleared is not unread");
        if head.role.is_some() && head.kind.is_group() {
            let settings =
                facts.iter().fold((String::new(), true), |(avatar, visible), (_, fact)| match &fact.change {
                    Change::Created { history_visible, .. } => (avatar, *history_visible),
                    Change::AvatarSet { avatar } => (avatar.clone(), visible),
                    Change::HistoryVisibleSet { visible } => (avatar, *visible),
                    _ => (avatar, visible),
                });
            assert_eq!((head.avatar.clone(), head.history_visible), settings);
        }
    }
}

/// How far others have read, who types and who is there is told to members alone; in a channel, to its admins and owner.
pub(super) fn check_marks(
    play: &mut Play,
    slot: Slot,
    account: AccountId,
    cid: ConversationId,
    facts: &[(N, ConversationFact)],
    present: bool,
) {
    let mut roles: BTreeMap<AccountId, Role> = BTreeMap::new();
    let mut marks: BTreeMap<AccountId, Seq> = BTreeMap::new();
    let mut kind = None;
    for (_, fact) in facts {
        match &fact.change {
            Change::Created { kind: created, members, .. } => {
                kind = Some(*created);
                roles.extend(members.iter().map(|&member| (member, Role::Member)));
                roles.insert(fact.author, if created.is_group() { Role::Owner } else { Role::Member });
            }
            Change::MembersAdded { members, .. } => {
                roles.extend(members.iter().map(|&member| (member, Role::Member)));
            }
            Change::MemberRemoved { member, new_owner, .. } => {
                roles.remove(member);
                roles.extend(new_owner.map(|heir| (heir, Role::Owner)));
            }
            Change::RoleSet { member, role } => drop(roles.insert(*member, *role)),
            Change::Dissolved => roles.clear(),
            Change::ReadUpTo { member, seq, .. } => drop(marks.insert(*member, *seq)),
            _ => {}
        }
    }
    let caller = play.world.query(slot, Query::Marks { account, cid });
    play.world.settle();
    let answer = play.world.answers.remove(&caller).expect("it is answered");
    let may = roles.get(&account).map(|role| kind != Some(ConversationKind::Channel) || *role >= Role::Admin);
    assert_eq!(may.is_some(), present);
    match (may, answer) {
        (Some(true), Ok(Answer::Marks(told))) => {
            let told: Vec<_> = told.marks.iter().map(|mark| (mark.account, mark.seq)).collect();
            let due: Vec<_> = roles
                .keys()
                .map(|&member| (member, marks.get(&member).copied().unwrap_or_default()))
                .collect();
            assert_eq!(told, due);
        }
        (Some(false), Err(Refusal::NotAllowed(_))) | (None, Err(Refusal::NoLongerMember)) => {}
        (may, answer) => panic!("{account} may be told {may:?}, and is told {answer:?}"),
    }
    play.world.typings.clear();
    let caller = play.world.query(slot, Query::Typing { account, cid });
    play.world.settle();
    let answer = play.world.answers.remove(&caller).expect("it is answered");
    let told = std::mem::take(&mut play.world.typings);
    let others: Vec<AccountId> = roles.keys().copied().filter(|&other| other != account).collect();
    match (may, answer, &told[..]) {
        // Whoever is alone is told nothing.
        (Some(true), Ok(Answer::Done), []) => assert_eq!(others, []),
        (Some(true), Ok(Answer::Done), [typing]) => {
            assert_eq!((typing.account, typing.cid, &typing.audience[..]), (account, cid, &others[..]));
            assert!(!others.is_empty());
        }
        (Some(false), Err(Refusal::NotAllowed(_)), []) | (None, Err(Refusal::NoLongerMember), []) => {}
        (may, answer, told) => panic!("{account} may write {may:?}: {answer:?}, and {told:?} are told"),
    }
    let asked: Vec<AccountId> = (0..12).map(AccountId).collect();
    let caller = play.world.query(slot, Query::Acquainted { account, cid, others: asked });
    play.world.settle();
    let answer = play.world.answers.remove(&caller).expect("it is answered");
    // In a direct conversation only of those who have spoken: every fact under a client id is such.
    let has_spoken =
        |other: &AccountId| facts.iter().any(|(_, it)| it.author == *other && it.command.is_some());
    let is_known = |other: &AccountId| kind != Some(ConversationKind::Direct) || has_spoken(other);
    match (may, answer) {
        (Some(true), Ok(Answer::Acquainted(known))) => {
            assert_eq!(known.accounts, others.into_iter().filter(is_known).collect::<Vec<_>>());
        }
        (Some(false), Err(Refusal::NotAllowed(_))) | (None, Err(Refusal::NoLongerMember)) => {}
        (may, answer) => panic!("{account} may know who is there {may:?}, and is told {answer:?}"),
    }
}

const CALM: Roughness = Roughness { append_unknown: 0, append_no_space: 0, store_unavailable: 0 };

/// What a page and a head no longer give stays away after the rows were written and read back.
#[test]
fn hidden_and_cleared_stay_so_over_a_crash() {
    let mut play = Play::new(3, CALM);
    let (ann, ben) = (AccountId(1), AccountId(2));
    let cid = ConversationId::direct(ann, ben);
    let slot = play.world.key.slot(cid);
    for number in 0..6 {
        let client_id = play.client_id();
        let text = format!("words {number}");
        let message = anser_model::Message { kind: "text".into(), text, ..anser_model::Message::default() };
        play.send(ann, cid, Some(ben), Some(client_id), Intent::Send(message));
        play.world.settle();
    }
    let hide =
        |low, high| Intent::Hide { ranges: SeqRanges::gather(&[(Seq(low), Seq(high))]), timeline: TIMELINE };
    for intent in [hide(4, 4), hide(7, 7), Intent::ClearHistory { seq: Seq(2), timeline: TIMELINE }] {
        play.send(ben, cid, None, None, intent);
        play.world.settle();
    }
    play.collect(false);
    for _ in 0..2 {
        let Answer::Heads { heads, .. } = play.ask(slot, Query::Head { account: ben, cid }) else { panic!() };
        assert_eq!((heads[0].last_message.is_none(), heads[0].unread_count), (true, 5));
        let page =
            |account| Query::Page { account, cid, after: None, before: None, changed_after: N(0), limit: 50 };
        let Answer::Page(given) = play.ask(slot, page(ben)) else { panic!() };
        let seqs: Vec<u64> = given.facts.iter().filter_map(|fact| fact.fact.seq).map(|seq| seq.0).collect();
        assert_eq!(seqs, [3, 5, 6]);
        let Answer::Page(whole) = play.ask(slot, page(ann)) else { panic!() };
        assert_eq!(whole.facts.len(), 7, "the other one sees all of it");
        play.world.crash(slot);
    }
}
