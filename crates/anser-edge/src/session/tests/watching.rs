//! Whether somebody is there: to those who may know, for as long as they may.

use anser_core::engine::Acquainted;
use anser_model::limits::WATCHED_PER_CONNECTION;

use super::super::QUEUE_BYTES_MAX;
use super::*;
use crate::{deliver, tell_own, tell_watching};

const BOB: AccountId = AccountId(8);
const EVE: AccountId = AccountId(9);
const GROUP: ConversationId = ConversationId([3; 16]);
const OTHER_GROUP: ConversationId = ConversationId([4; 16]);

impl Rig {
    fn watch(&mut self, cid: ConversationId, accounts: &[AccountId]) -> Vec<Effect> {
        let asked = v1::Watch {
            r#in: Some(v1::Target::cid(cid)),
            accounts: accounts.iter().map(|account| account.0).collect(),
        };
        let asked = self.ask(Request::Watch(asked));
        assert!(matches!(&asked[..], [Effect::Query { query: Query::Acquainted { .. }, .. }]), "{asked:?}");
        let found = Acquainted { cid, accounts: accounts.to_vec(), slot: Slot(1), n: N(1) };
        let asked = Asked::Request(self.last_request);
        self.give(Input::Answered(asked, Ok(Answer::Acquainted(found))))
    }
}

/// What sessions are told of somebody, and whether they still wanted to know.
fn offered(rigs: &mut [Rig], account: AccountId) -> (Vec<Vec<String>>, Vec<bool>) {
    let presence = v1::Presence { account: account.0, online: true, ..v1::Presence::default() };
    tell_watching(&presence, &Bare::default(), &mut OnlyMe(rigs));
    let wanted = rigs.iter_mut().flat_map(|rig| std::mem::take(&mut rig.watches)).collect();
    (rigs.iter_mut().map(Rig::told).collect(), wanted)
}

fn offered_one(rig: Rig, account: AccountId) -> (Rig, Vec<String>, bool) {
    let mut rigs = [rig];
    let (told, wanted) = offered(&mut rigs, account);
    let [rig] = rigs;
    (rig, told.concat(), wanted == [true])
}

fn happens(rig: &mut Rig, cid: ConversationId, change: Change) {
    let mut event = message(3, 1, ReplyTo::Caller(1), change);
    Arc::get_mut(&mut event.fact).expect("nobody else holds it").fact.cid = cid;
    let mut rigs = [std::mem::replace(rig, Rig::new())];
    deliver(&event, &[ME], &Bare::default(), &mut OnlyMe(&mut rigs));
    [*rig] = rigs;
    rig.sent();
}

#[test]
fn whoever_is_watched_is_told_of_and_nobody_else() {
    let mut rig = Rig::attached(&[]);
    assert_eq!(wanted(&rig.watch(GROUP, &[BOB])), ["watch [AccountId(8)]", "2 look at [AccountId(8)]"]);
    let presences = Ok(vec![v1::Presence { account: BOB.0, ..v1::Presence::default() }]);
    rig.give(Input::Looked { request: 2, cid: GROUP, presences });
    assert_eq!(rig.told(), ["2: 1 presences"]);
    let (rig, told, wants) = offered_one(rig, BOB);
    assert_eq!((told, wants), (vec!["8 is there".to_owned()], true));
    let (mut rig, told, wants) = offered_one(rig, EVE);
    assert_eq!((told, wants), (vec![], false));
    assert_eq!(wanted(&rig.watch(OTHER_GROUP, &[EVE]))[0], "watch [AccountId(8), AccountId(9)]");
    assert_eq!(wanted(&rig.watch(GROUP, &[]))[0], "watch [AccountId(9)]");
    assert_eq!(wanted(&rig.watch(OTHER_GROUP, &[]))[0], "watch []");
    assert!(rig.session.attached.as_ref().is_some_and(|attached| attached.watching.is_none()));
}

#[test]
fn two_who_share_no_conversation_any_more_know_nothing_of_each_other() {
    let removed = |member| Change::MemberRemoved { member, left: false, new_owner: None };
    let after = |change| {
        let mut rig = Rig::attached(&[]);
        rig.watch(GROUP, &[BOB, EVE]);
        rig.watch(OTHER_GROUP, &[EVE]);
        happens(&mut rig, GROUP, change);
        let (rig, _, bob) = offered_one(rig, BOB);
        let (_, _, eve) = offered_one(rig, EVE);
        (bob, eve)
    };
    assert_eq!(after(text()), (true, true));
    assert_eq!(after(removed(BOB)), (false, true));
    assert_eq!(after(removed(EVE)), (true, true), "they share another one");
    assert_eq!(after(removed(ME)), (false, true));
    assert_eq!(after(Change::Dissolved), (false, true));
}

#[test]
fn who_parts_while_it_is_looked_up_who_is_there_is_not_told_of() {
    let mut rig = Rig::attached(&[]);
    rig.watch(GROUP, &[BOB, EVE]);
    happens(&mut rig, GROUP, Change::MemberRemoved { member: BOB, left: true, new_owner: None });
    let there = |account: AccountId| v1::Presence { account: account.0, ..v1::Presence::default() };
    rig.give(Input::Looked { request: 2, cid: GROUP, presences: Ok(vec![there(BOB), there(EVE)]) });
    assert_eq!(rig.told(), ["2: 1 presences"]);
}

#[test]
fn who_may_have_missed_something_asks_again() {
    let watching = || {
        let mut rig = Rig::attached(&[]);
        rig.watch(GROUP, &[BOB]);
        rig.sent();
        rig
    };
    let mut synced = watching();
    synced.sync();
    assert!(!offered_one(synced, BOB).2);
    let rig = watching();
    let mut missed = rig;
    missed.session.resync(&[Slot(200)], &missed.shell);
    assert!(!offered_one(missed, BOB).2);
    // Who reads too slowly to hear of it syncs, and asks again.
    let mut slow = watching();
    slow.session.push(Bytes::from(vec![0; QUEUE_BYTES_MAX]), &slow.shell);
    let presence = v1::Presence { account: BOB.0, ..v1::Presence::default() };
    let mut rigs = [slow];
    tell_watching(&presence, &Bare::default(), &mut OnlyMe(&mut rigs));
    rigs[0].session.written(QUEUE_BYTES_MAX);
    assert_eq!(rigs[0].told(), ["resync []"]);
    // While a slot owes its heads nothing passes.
    let mut owing = Rig::attached(&[3]);
    owing.watch(GROUP, &[BOB]);
    let (mut owing, told, wants) = offered_one(owing, BOB);
    assert_eq!((told, wants), (vec![], true));
    owing.heads(3, 1, 1);
    owing.sent();
    assert_eq!(offered_one(owing, BOB).1, ["8 is there"]);
}

#[test]
fn a_connection_watches_so_many_and_no_more() {
    let mut rig = Rig::attached(&[]);
    let people = |from: u64, count: usize| (from..from + count as u64).map(AccountId).collect::<Vec<_>>();
    for group in 0..5u8 {
        rig.watch(ConversationId([group; 16]), &people(1_000 * u64::from(group) + 100, 200));
    }
    rig.sent();
    assert_eq!(wanted(&rig.watch(ConversationId([9; 16]), &[BOB])), [""; 0]);
    assert_eq!(rig.told(), ["7: bad_value"]);
    assert_eq!(rig.watch(ConversationId([0; 16]), &[]).len(), 2, "who lets go has room again");
    assert_eq!(wanted(&rig.watch(ConversationId([9; 16]), &[BOB])).len(), 2);
    let all = rig.session.attached.as_ref().and_then(|it| it.watching.as_ref());
    assert!(all.is_some() && WATCHED_PER_CONNECTION == 1_000);
    let too_many = people(1, 201).iter().map(|account| account.0).collect();
    rig.ask(Request::Watch(v1::Watch { r#in: Some(v1::Target::cid(GROUP)), accounts: too_many }));
    assert_eq!(rig.told(), ["10: bad_value"]);
}

#[test]
fn whoever_only_sends_asks_once() {
    let mut rig = Rig::new();
    rig.greet(v1::Hello { send_only: true, ..hello() });
    rig.give(Input::Verified(Ok(VERIFIED)));
    rig.give(home(&[]));
    rig.sent();
    assert_eq!(wanted(&rig.watch(GROUP, &[BOB])), ["2 look at [AccountId(8)]"]);
    assert!(!offered_one(rig, BOB).2);
}

#[test]
fn one_s_own_profile_is_told_once_and_borne_by_what_one_says() {
    let mut rigs = [Rig::attached(&[])];
    let version =
        |profile_version| v1::Presence { account: ME.0, profile_version, ..v1::Presence::default() };
    for (version, is_told) in [(version(5), true), (version(5), false), (version(4), false)] {
        tell_own(&version, &Bare::default(), &mut OnlyMe(&mut rigs));
        assert_eq!(rigs[0].told().len(), usize::from(is_told));
    }
    assert_eq!(rigs[0].session.actor().map(|actor| actor.profile_version), Some(5));
}
